"""What ``loader ingest`` costs, beside DuckDB reading the same file and beside dlt.

Each measure is a process of its own, start-up included, and those that are compared run one after
the other on the same files. The spools are simulated, unless homes that have one are named.

    python bench/loader.py [--small HOME] [--large HOME] [--dlt-events 20000]
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loader.ingest import _Run

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)  # else this file would be taken for the package of the same name

from bench.spools import (  # noqa: E402
    LARGE,
    SMALL,
    beside,
    environment_of,
    lines_of,
    row,
    simulated,
)

NEW = 10_000
YEAR = 4 * 4 * 365
"""Segments of a year, of four workers that begin a new one every six hours."""
LOOKS = 20
ROUNDS = 3


@dataclass(frozen=True)
class Measured:
    """What one process took: seconds by the clock, seconds of processors, MB at its largest."""

    seconds: float
    processor: float
    memory: float
    said: str


def measure(arguments: Sequence[str], home: Path) -> Measured:
    """Run Python with ``arguments`` and ``LOADER_HOME`` set to ``home``."""
    environment = {**os.environ, **environment_of(home)}
    with tempfile.TemporaryFile() as out:
        started = time.perf_counter()
        child = subprocess.Popen([sys.executable, *arguments], env=environment, stdout=out)
        _, status, used = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        said = out.read().decode()
    assert child.returncode == 0, f"{arguments} ended with {child.returncode}"
    return Measured(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, said)


def ingest(home: Path) -> Measured:
    """Run ``loader ingest``."""
    return measure(["-m", "loader", "ingest", "--json"], home)


def child(work: str, home: Path) -> Measured:
    """Run one of the functions below in a process of its own."""
    return measure([str(Path(__file__).resolve()), "--child", work], home)


# ── what runs in a process of its own ────────────────────────────────────────────────────────

COLUMNS = """{
    received_at: 'TIMESTAMP', webhook: 'VARCHAR', signature: 'VARCHAR', event: 'STRUCT(
        kind VARCHAR, sender VARCHAR, recipient VARCHAR, message_id VARCHAR,
        "timestamp" TIMESTAMP, campaign STRUCT(id VARCHAR, name VARCHAR), url VARCHAR,
        sync_type VARCHAR, dsn_status VARCHAR, bounce_category VARCHAR, bounce_type VARCHAR,
        change VARCHAR, contact_list STRUCT(id VARCHAR, name VARCHAR))'
}"""


def raw(home: Path) -> None:
    """Let DuckDB read the spool into one table of a file, as it comes."""
    import duckdb  # noqa: PLC0415 - each in a process of its own

    path = home / "raw.duckdb"
    path.unlink(missing_ok=True)
    with duckdb.connect(str(path)) as con:
        files = f"{home}/spool/**/*.jsonl"
        con.execute(
            f"create table raw as select * from read_ndjson('{files}', columns = {COLUMNS})"
        )


def dlt(home: Path) -> None:
    """Let dlt load the spool into DuckDB, a table per kind."""
    import dlt  # noqa: PLC0415

    def events() -> Iterator[dict[str, object]]:
        for file in sorted((home / "spool").rglob("*.jsonl")):
            for line in file.read_bytes().splitlines():
                envelope = json.loads(line)
                yield {**envelope, **envelope.pop("event")}

    pipeline = dlt.pipeline(
        "bench",
        destination=dlt.destinations.duckdb(str(home / "dlt.duckdb")),
        dataset_name="events",
        pipelines_dir=str(home / "pipelines"),
    )
    pipeline.run(dlt.resource(events, name="events", table_name=lambda event: event["kind"]))


@contextmanager
def opened(home: Path) -> Iterator["_Run"]:
    """Yield a run of ``loader ingest`` on the open warehouse of ``home``."""
    from loader.ingest import _Run  # noqa: PLC0415
    from loader.settings import load_settings  # noqa: PLC0415
    from loader.target import target_of  # noqa: PLC0415
    from loader.warehouse import Warehouse  # noqa: PLC0415

    settings = load_settings({"LOADER_HOME": str(home)}, home)
    target = target_of(settings)
    with target.turn("bench"), closing(Warehouse(target, settings.timezone).open()) as warehouse:
        yield _Run(settings, warehouse, lambda *_: None, lambda *_: None)


def load(home: Path) -> None:
    """Load what is new without publishing; print the seconds from the open warehouse on."""
    with opened(home) as run:
        started = time.perf_counter()
        run.once()
        print(time.perf_counter() - started)


def look(home: Path) -> None:
    """Load what is new; print the seconds of processor that looking for more takes then."""
    with opened(home) as run:
        run.once()
        started = time.process_time()
        for _ in range(LOOKS):
            run._look()
        print((time.process_time() - started) / LOOKS)


# ── the files ────────────────────────────────────────────────────────────────────────────────


def with_lines(scratch: Path, name: str, lines: Sequence[bytes]) -> Path:
    """Make a home whose spool is one segment with these lines."""
    made = scratch / name
    shutil.rmtree(made, ignore_errors=True)
    (made / "spool").mkdir(parents=True)
    (made / "spool" / "lines.jsonl").write_bytes(b"".join(lines))
    return made


def newer(lines: Sequence[bytes]) -> list[bytes]:
    """Return events of the same shape that are in no spool yet, of the same days."""
    return [line.replace(b'"message_id":"', b'"message_id":"<new>', 1) for line in lines]


def malformed(lines: Sequence[bytes], share: float) -> list[bytes]:
    """Return ``lines`` of which a share is cut, mistyped or no JSON at all."""
    chance = random.Random(1)
    damages = (
        lambda line: line[: len(line) // 2] + b"\n",
        lambda line: line.replace(b'"recipient":"', b'"recipient":7,"was":"', 1),
        lambda line: b"nothing of the kind\n",
        lambda line: line.replace(b'Z","campaign', b'","campaign', 1),
    )
    return [chance.choice(damages)(x) if chance.random() < share else x for x in lines]


# ── the table ────────────────────────────────────────────────────────────────────────────────


def against_raw(scratch: Path, home: Path, rounds: int) -> tuple[Measured, Measured]:
    """Return the quickest ingest and the quickest raw read of ``rounds`` turns."""
    mine, theirs = [], []
    for turn in range(rounds):
        made = beside(scratch, f"ingest-{turn % 2}", home)
        theirs.append(child("raw", made))
        mine.append(ingest(made))
    quickest = [min(found, key=lambda one: one.seconds) for found in (mine, theirs)]
    return quickest[0], quickest[1]


def rows_of_size(scratch: Path, home: Path, name: str, rounds: int) -> None:
    """Print the rows of one spool."""
    mine, theirs = against_raw(scratch, home, rounds)
    read = json.loads(mine.said)["read"]
    size = (scratch / "ingest-0" / "warehouse.duckdb").stat().st_size / 1e6
    row(
        f"ingest {name}: spool to published warehouse, against DuckDB's raw read",
        f"{mine.seconds:.1f} s against {theirs.seconds:.1f} s = "
        f"{mine.seconds / theirs.seconds:.2f} times ({read / mine.seconds:,.0f} events/s; "
        f"processors {mine.processor:.1f} s against {theirs.processor:.1f} s)",
        "≤ 2.5 times, aim 1.5 times",
    )
    row(f"peak memory, {name}", f"{mine.memory:.0f} MB", "≤ 1024 MB")
    row(f"published file, {name}", f"{size / (read / 1e6):.0f} MB per million events", "report")


def rows_of_again(scratch: Path, home: Path) -> None:
    """Print the row of a spool that holds every line a second time, in other segments."""
    made = scratch / "again"
    shutil.copytree(home / "spool", made / "spool")
    ingest(made)
    for file in list((made / "spool").rglob("*.jsonl")):
        shutil.copy(file, file.with_name(f"again-{file.name}"))
    again = ingest(made)
    row(
        "the same 1 M events again, in other segments",
        f"{again.seconds:.1f} s, peak {again.memory:.0f} MB",
        "≤ 1024 MB",
    )
    shutil.rmtree(made)


def rows_of_dlt(scratch: Path, home: Path, events: int) -> None:
    """Print the row of dlt: its pace on few events, ours on all of them."""
    few = with_lines(scratch, "dlt", list(islice(lines_of(home), events)))
    theirs = events / child("dlt", few).seconds
    mine = ingest(beside(scratch, "ingest-0", home))
    pace = json.loads(mine.said)["read"] / mine.seconds
    row(
        "events a second against dlt, a table per kind",
        f"{pace:,.0f} against {theirs:,.0f} = {pace / theirs:.0f} times",
        "≥ 40 times",
    )


def rows_of_new(scratch: Path, large: Path) -> None:
    """Print the row of new events into a full warehouse and into an empty one."""
    ingest(full := beside(scratch, "ingest-0", large))
    new = newer(list(islice(lines_of(large), 300_000, 300_000 + NEW)))
    times: dict[str, list[float]] = {"full": [], "empty": []}
    for turn in range(ROUNDS):
        part = [line.replace(b"<new>", b"<new%d>" % turn) for line in new]
        empty = with_lines(scratch, "empty", [])
        ingest(empty)
        for name, made in (("empty", empty), ("full", full)):
            (made / "spool").unlink() if (made / "spool").is_symlink() else None
            (made / "spool").mkdir(exist_ok=True)
            (made / "spool" / f"new-{turn}.jsonl").write_bytes(b"".join(part))
            times[name].append(float(child("load", made).said))
    full_, empty_ = min(times["full"]), min(times["empty"])
    row(
        f"{NEW:,} new events into 10 M against into none, publishing apart",
        f"{full_ * 1000:.0f} ms against {empty_ * 1000:.0f} ms = {full_ / empty_:.2f} times",
        "≤ 1.5 times",
    )


def rows_of_malformed(scratch: Path, small: Path) -> None:
    """Print the row of a spool with 1 % malformed lines against a clean one."""
    lines = list(islice(lines_of(small), 400_000))
    times: dict[float, list[float]] = {0.0: [], 0.01: []}
    for _ in range(ROUNDS):
        for share, found in times.items():
            made = with_lines(scratch, "malformed", malformed(lines, share))
            found.append(float(child("load", made).said))
    clean, odd = min(times[0.0]), min(times[0.01])
    row(
        "1 % malformed lines against none, 400,000 events",
        f"{odd:.2f} s against {clean:.2f} s = {odd / clean:.2f} times",
        "≤ 1.5 times",
    )


def rows_of_nothing_new(scratch: Path, small: Path) -> None:
    """Print the row of a year's segments that are all loaded."""
    import zstandard  # noqa: PLC0415

    made, lines = with_lines(scratch, "year", []), lines_of(small)
    for number in range(YEAR):
        some = zstandard.compress(b"".join(islice(lines, 100)))
        (made / "spool" / f"{number:05}.jsonl.zst").write_bytes(some)
    look_ = float(child("look", made).said)
    row(
        f"nothing new in {YEAR:,} segments: a look while following, a whole loader ingest",
        f"{look_ * 1000:.0f} ms, {ingest(made).seconds:.1f} s",
        "report",
    )


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", type=Path, help="a home with about 1 M events in its spool")
    parser.add_argument("--large", type=Path, help="a home with about 10 M events in its spool")
    parser.add_argument("--dlt-events", type=int, default=20_000)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        {"raw": raw, "dlt": dlt, "load": load, "look": look}[asked.child](
            Path(os.environ["LOADER_HOME"])
        )
        return
    with tempfile.TemporaryDirectory(prefix="bench-", dir=os.environ.get("TMPDIR")) as directory:
        scratch = Path(directory)
        small = asked.small or simulated(scratch / "small", SMALL, 24)
        large = asked.large or simulated(scratch / "large", LARGE, 120)
        print("| measure | found | wanted |\n|---|---|---|")
        rows_of_size(scratch, small, "1 M events", ROUNDS)
        rows_of_again(scratch, small)
        rows_of_dlt(scratch, small, asked.dlt_events)
        rows_of_malformed(scratch, small)
        rows_of_nothing_new(scratch, small)
        rows_of_size(scratch, large, "10 M events", 1)
        rows_of_new(scratch, large)


if __name__ == "__main__":
    main()
