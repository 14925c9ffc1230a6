"""``python -m tests.torture [--short] [name …] [--write]``: the long proofs, one table.

Without names all of them run. ``--short`` runs a hundredth, to see that they run. ``--write`` puts
the table, with the date and the commit, into ``docs/torture.md``; rows of tortures that did not
run keep what stood there.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.torture import crash, fuzz, loading, probes, proxy, server, soak
from tests.torture.client import Receiver

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "torture.md"


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    size: str
    result: str
    holds: bool


Torture = Callable[[float], list[Row]]


def _lives(share: float, *, power: bool) -> list[Row]:
    tally = crash.spawn(max(50, int(10_000 * share)), 1, power=power)
    size = f"{tally['lives']:,} lives, {tally['acknowledged']:,} acknowledged"
    result = (
        f"{tally['lost']} lost, {tally['twice']} twice, {tally['taken_back']} taken back "
        f"({tally['killed']:,} killed, {tally['refused']:,} refused)"
    )
    holds = not (tally["lost"] or tally["twice"] or tally["taken_back"])
    return [Row("crash points" + (" and power loss" if power else ""), size, result, holds)]


def _controls(share: float) -> list[Row]:
    rows = []
    for control in crash.CONTROLS:
        tally = crash.spawn(max(100, int(1000 * share)), 1, power=True, control=control)
        size = f"{tally['lives']:,} lives, {tally['acknowledged']:,} acknowledged"
        result = f"{tally['lost']:,} lost, {tally['taken_back']:,} taken back, as it must"
        rows.append(Row(f"control: {control}", size, result, tally["lost"] > 0))
    return rows


def _loading(share: float) -> list[Row]:
    rows = []
    for control, lives in ((False, 2000), (True, 200)):
        tally = loading.spawn(max(24, int(lives * share)), 1, control=control)
        size = f"{tally['lives']:,} lives ({tally['killed']:,} killed, {tally['failed']:,} failed)"
        result = (
            f"{tally['lost']} lost, {tally['twice']} loaded twice, {tally['unopenable']} unopenable"
        )
        holds = not (tally["lost"] or tally["twice"] or tally["unopenable"])
        if control:
            rows.append(Row("loader, control: split commit", size, result, tally["twice"] > 0))
        else:
            rows.append(Row("loader: load, checkpoint, publish", size, result, holds))
    return rows


def _kill(share: float) -> list[Row]:
    with tempfile.TemporaryDirectory() as home:
        out = server.kill(
            Path(home, "h"), max(5, int(1000 * share)), 1, least=max(2_000, int(1e6 * share))
        )
    return [_disturbed("kill -9 under 32 clients", "kills", out, out.lost == 0)]


def _drain(share: float) -> list[Row]:
    with tempfile.TemporaryDirectory() as home:
        out = server.drain(Path(home, "h"), max(3, int(200 * share)))
    return [
        _disturbed("SIGTERM under 32 clients", "restarts", out, not (out.lost or out.unanswered))
    ]


def _disturbed(name: str, what: str, out: server.Outcome, holds: bool) -> Row:
    size = f"{out.disturbances} {what}, {out.acknowledged:,} acknowledged"
    result = (
        f"{out.lost} lost, {out.unanswered} stored but unanswered, "
        f"{out.answers.get(0, 0):,} connections cut off"
    )
    return Row(name, size, result, holds)


def _disk(share: float) -> list[Row]:
    with tempfile.TemporaryDirectory() as directory:
        disk = server.SmallDisk(Path(directory, "disk"), "4m")
        with disk as home:
            out = server.fill_disk(home / "h", rounds=max(2, int(20 * share)))
    size = f"{out.acknowledged:,} acknowledged, {out.refused:,} answered 503"
    result = (
        f"{out.lost} lost, stored again after {out.recovery:.2f} s at most, "
        f"{out.files} files left behind"
    )
    holds = out.lost == 0 and out.recovery < 5 and out.retry_after and out.files < 20
    return [Row("disk full", size, result, holds)]


def _fuzz(share: float) -> list[Row]:
    rows = []
    for name, run in (("mutated bodies, signed", fuzz.bodies), ("mutated headers", fuzz.headers)):
        total = fuzz.Fuzzed(0, {}, 0, 0, 0, 0)
        for seed in range(max(1, int(100 * share))):
            total = total + run(10_000, seed)
        answers = ", ".join(f"{n:,} of {status}" for status, n in sorted(total.answers.items()))
        result = (
            f"{answers}; {total.vanished} vanished, {total.unread} unreadable, "
            f"{total.miscounted} miscounted"
        )
        wrong = total.vanished + total.unread + total.miscounted
        holds = max(total.answers) < 500 and not wrong
        rows.append(Row(name, f"{total.requests:,}", result, holds))
    return rows


def _probes(share: float) -> list[Row]:
    rows = []
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        receiver = stack.enter_context(Receiver(Path(directory, "h")))
        direct = probes.plain(receiver.port)
        rows.append(_probed("named probes", probes.probe_named(direct), receiver))
        nginx = stack.enter_context(proxy.Nginx("nginx", Path(directory, "n"), receiver.port))
        through = probes.encrypted(nginx.port)
        named = probes.probe_named(through, behind_proxy=True)
        rows.append(_probed("named probes through nginx", named, receiver))
        mutated = probes.probe_mutated(direct, 1, max(1000, int(100_000 * share)))
        rows.append(_probed("mutated probes", mutated))
        mutated = probes.probe_mutated(through, 2, max(100, int(5_000 * share)))
        rows.append(_probed("mutated probes through nginx", mutated))
        said = receiver.log.read_text()
        quiet = "Traceback" not in said and "@" not in said
        found = "none" if quiet else "some"
        rows.append(Row("traces and addresses in the log", "of all of them", found, quiet))
    return rows


def _probed(name: str, probed: probes.Probed, receiver: Receiver | None = None) -> Row:
    hidden = server.stored(receiver.home)[probes.HIDDEN] if receiver else 0
    smuggled = f", {hidden} smuggled" if receiver else ""
    result = f"{len(probed.unexpected)} answered otherwise than they may be{smuggled}"
    return Row(name, f"{probed.asked:,}", result, not probed.unexpected and not hidden)


def _slow(share: float) -> list[Row]:
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        receiver = stack.enter_context(Receiver(Path(directory, "h")))
        nginx = stack.enter_context(proxy.Nginx("nginx", Path(directory, "n"), receiver.port))
        out = proxy.slow_clients(
            probes.encrypted(nginx.port), max(60, int(600 * share)), max(50, int(500 * share))
        )
    size = f"{out.slow} slow, {out.legitimate} others"
    result = f"{out.served} of {out.legitimate} served, the slowest in {out.slowest * 1000:.0f} ms"
    return [Row("slow clients through nginx", size, result, out.served == out.legitimate)]


def _soak(share: float) -> list[Row]:
    requests, disturbances = max(4_000, int(1e6 * share)), max(3, int(50 * share))
    with (
        tempfile.TemporaryDirectory() as directory,
        server.SmallDisk(Path(directory, "disk"), "10g") as disk,
    ):
        out = soak.soak(disk / "h", requests, disturbances, apart=10.0 if share == 1 else 2.0)
    growth = out.memory[1] / out.memory[0] - 1
    files = out.descriptors[1] - out.descriptors[0]
    result = (
        f"{out.lost} lost, {out.twice} twice in the warehouse; left alone, memory {growth:+.0%}, "
        f"open files {files:+d}, loader's peak {out.peak // 1024} MiB"
    )
    holds = not (out.lost or out.twice) and growth < 0.2 and files < 10 and out.peak < 1024**2
    size = f"{out.acknowledged:,} acknowledged, {out.disturbances} disturbances"
    return [Row("soak", size, result, holds)]


def _readers(share: float) -> list[Row]:
    lines = 24_000 * max(1, round(84 * share))
    test = "tests/test_batch.py::test_both_ways_of_reading_agree"
    size = f"{lines // 2:,} documents in {lines:,} lines"
    return [_suite("both ways of reading a line", size, test, DOCUMENTS=lines)]


def _states(share: float) -> list[Row]:
    ways, steps = max(1, int(200 * share)), 50
    test = "tests/test_exactly_once.py::test_any_way_leads_to_the_same_tables"
    size = f"{ways} ways of {steps} steps"
    return [_suite("any way to the same tables", size, test, EXAMPLES=ways, STEPS=steps)]


def _suite(name: str, size: str, test: str, **sizes: int) -> Row:
    """Run a test of the suite at another size than it has there."""
    more = {f"LOADER_TEST_{key}": str(value) for key, value in sizes.items()}
    command = [sys.executable, "-m", "pytest", "-q", "--timeout=0", test]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **more}, capture_output=True, text=True, check=False
    )
    holds = done.returncode == 0
    if not holds:
        print(done.stdout[-4000:], file=sys.stderr)
    return Row(name, size, "no difference" if holds else "a difference", holds)


TORTURES: dict[str, Torture] = {
    "crash": lambda share: _lives(share, power=False),
    "power": lambda share: _lives(share, power=True),
    "controls": _controls,
    "loading": _loading,
    "kill": _kill,
    "drain": _drain,
    "disk": _disk,
    "fuzz": _fuzz,
    "probes": _probes,
    "slow": _slow,
    "soak": _soak,
    "readers": _readers,
    "states": _states,
}


def main() -> None:
    """Run what was asked for; exit 1 when something does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m tests.torture")
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(TORTURES))
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    unknown = set(asked.names) - set(TORTURES)
    if unknown:
        parser.error(f"there is no {sorted(unknown)[0]!r}; there are {', '.join(TORTURES)}")
    bad = 0
    for name in asked.names or TORTURES:
        started = time.monotonic()
        rows = TORTURES[name](0.01 if asked.short else 1.0)
        for row in rows:
            mark = "holds" if row.holds else "DOES NOT HOLD"
            print(f"{row.name:34} {row.size:42} {row.result} … {mark}", flush=True)
            bad += not row.holds
        print(f"  ({name}: {time.monotonic() - started:.0f} s)", file=sys.stderr, flush=True)
        if asked.write:
            write(rows)
    sys.exit(bool(bad))


def write(rows: list[Row]) -> None:
    """Put ``rows`` into the table of ``docs/torture.md``, in place of earlier ones."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    when = f"{datetime.now(UTC):%Y-%m-%d}"
    head, begin, rest = PAGE.read_text("utf-8").partition("<!-- table -->\n")
    old, end, tail = rest.partition("<!-- /table -->")
    assert begin and end, "docs/torture.md has lost the marks of its table"
    table = {line.split(" | ")[0].removeprefix("| "): line for line in old.splitlines()[2:]}
    for row in rows:
        cells = (row.name, row.size, row.result, "yes" if row.holds else "**no**", when, commit)
        table[row.name] = "| " + " | ".join(re.sub(r"\|", "/", cell) for cell in cells) + " |"
    lines = [
        "| torture | size | result | holds | date | commit |",
        "|---|---|---|---|---|---|",
        *table.values(),
    ]
    PAGE.write_text(head + begin + "\n".join(lines) + "\n" + end + tail, "utf-8")


if __name__ == "__main__":
    main()
