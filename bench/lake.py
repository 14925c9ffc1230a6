"""What a lake costs beside the warehouse file, on the same events, in the same run.

PostgreSQL of this machine holds the catalog, a directory the files. What is compared runs one
after the other, in turns; of each the quickest stands. PostgreSQL's own work is on the same cores.

    python bench/lake.py [--small HOME] [--large HOME]
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)  # else this file would be taken for a module of the same name

from bench.spools import (  # noqa: E402
    LARGE,
    SMALL,
    beside,
    environment_of,
    lines_of,
    row,
    simulated,
)
from loader import query  # noqa: E402
from loader.batch import Block, parse  # noqa: E402
from loader.maintain import maintain  # noqa: E402
from loader.migrate import migrate  # noqa: E402
from loader.settings import Settings, load_settings  # noqa: E402
from loader.shape import Shapes  # noqa: E402
from loader.spool import list_segments, read_block  # noqa: E402
from loader.target import target_of  # noqa: E402
from loader.warehouse import Warehouse  # noqa: E402
from tests.lake import Postgres, environment, running_postgres  # noqa: E402

SEGMENTS = 16
ROUNDS = 3
SMALL_BATCH, BATCHES = 500, 60
BATCH_BYTES = 16 * 1024 * 1024


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", type=Path)
    parser.add_argument("--large", type=Path)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, running_postgres(fsync=True) as postgres:
        scratch = Path(name)
        print("| measure | found | to reach |\n|---|---|---|", flush=True)
        small = options.small or simulated(scratch / "small", SMALL, 24)
        parts = split(small, scratch / "split", SEGMENTS)
        loads(scratch, postgres, parts, options.rounds)
        shares(scratch, postgres, parts)
        small_batches(scratch, postgres, small)
        large = options.large or simulated(scratch / "large", LARGE, 120)
        four_on_large(scratch, postgres, large)
        reports(scratch, postgres, large)


# ── the rows ─────────────────────────────────────────────────────────────────────────────────


def loads(scratch: Path, postgres: Postgres, home: Path, rounds: int) -> None:
    """Print what one loader and four loaders take for a million events."""
    took: dict[str, list[float]] = {"file": [], "lake": [], "four": []}
    for turn in range(rounds):
        took["file"].append(run([environment_of(beside(scratch, f"file-{turn}", home))]))
        took["lake"].append(run([new_lake(scratch, postgres, f"lake-{turn}", home)]))
        took["four"].append(run([new_lake(scratch, postgres, f"four-{turn}", home)] * 4))
    best = {name: min(seconds) for name, seconds in took.items()}
    row(
        "one loader, lake / file, 1 M events",
        f"{best['lake'] / best['file']:.2f} x ({best['lake']:.1f} s / {best['file']:.1f} s)",
        "≤ 1.5 x",
    )
    row(
        f"4 loaders / 1 loader on the lake, {os.cpu_count()} cores",
        f"{best['lake'] / best['four']:.2f} x as quick ({best['four']:.1f} s / "
        f"{best['lake']:.1f} s)",
        "no slower than 1",
    )


def four_on_large(scratch: Path, postgres: Postgres, large: Path) -> None:
    """Print what one loader and four loaders take for ten million events, once each."""
    one = run([new_lake(scratch, postgres, "large-one", large)])
    four = run([new_lake(scratch, postgres, "large-four", large)] * 4)
    row(
        "the same, 10 M events",
        f"{one / four:.2f} x as quick ({four:.1f} s / {one:.1f} s)",
        "no slower than 1",
    )


def shares(scratch: Path, postgres: Postgres, home: Path) -> None:
    """Print what of a load can run beside others, and what in turns."""
    settings = load_settings(new_lake(scratch, postgres, "shares", home), scratch)
    apart = in_turn = 0.0
    shapes = Shapes()
    with closing(Warehouse(target_of(settings), settings.timezone).open()) as warehouse:
        for blocks in batches(settings):
            started = time.perf_counter()
            parsed = parse(blocks, shapes)
            between = time.perf_counter()
            warehouse.load(parsed)
            apart += between - started
            in_turn += time.perf_counter() - between
    share = apart / (apart + in_turn)
    row("of a load: parsing, beside others / in turn", f"{share:.0%} / {1 - share:.0%}", "report")
    shards = (4 * apart + in_turn) / (apart + in_turn)
    row(
        "4 loaders by message_key instead: each reads every line",
        f"{shards:.2f} x the work of segments claimed, in turns",
        "report",
    )


def small_batches(scratch: Path, postgres: Postgres, home: Path) -> None:
    """Print how many small batches a second are committed."""
    lines = list(islice(lines_of(home), SMALL_BATCH * BATCHES))
    for name, environ in (
        ("lake", new_lake(scratch, postgres, "batches", home)),
        ("file", environment_of(beside(scratch, "batches-file", home))),
    ):
        settings, offset, shapes = load_settings(environ, scratch), 0, Shapes()
        with closing(Warehouse(target_of(settings), settings.timezone).open()) as warehouse:
            started = time.perf_counter()
            for number in range(BATCHES):
                some = lines[number * SMALL_BATCH : (number + 1) * SMALL_BATCH]
                data = b"".join(some)
                warehouse.load(parse([Block("small.jsonl", offset, data)], shapes))
                offset += len(data)
            seconds = time.perf_counter() - started
        row(
            f"batches of {SMALL_BATCH} events, {name}",
            f"{BATCHES / seconds:.1f} a second, {BATCHES * SMALL_BATCH / seconds:,.0f} events",
            "report",
        )


def reports(scratch: Path, postgres: Postgres, large: Path) -> None:
    """Print what the campaign report takes on ten million events, and moving them."""
    in_file = load_settings(environment_of(beside(scratch, "large-file", large)), scratch)
    run([environment_of(in_file.home)])
    in_lake = load_settings(new_lake(scratch, postgres, "large-lake", large), scratch)
    moving = timed(lambda: migrate(in_lake, Path(in_file.warehouse)))
    keeping = timed(lambda: maintain(in_lake))
    found: dict[str, list[float]] = {"file": [], "lake": []}
    with query.connect(in_file) as file, query.connect(in_lake) as lake:
        for _ in range(5):
            for name, con in (("file", file), ("lake", lake)):
                found[name].append(timed(con.sql("from campaign_report").fetchall))
    file_best, lake_best = min(found["file"]), min(found["lake"])
    row(
        "campaign_report on 10 M events, lake / file",
        f"{lake_best / file_best:.2f} x ({lake_best:.2f} s / {file_best:.2f} s)",
        "≤ 1.5 x",
    )
    row("migrate 10 M events, proof included", f"{moving:.0f} s", "report")
    row("maintain them afterwards", f"{keeping:.0f} s", "report")


# ── the parts ────────────────────────────────────────────────────────────────────────────────


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that ``work`` takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def run(environs: list[dict[str, str]]) -> float:
    """Run ``loader ingest`` in a process for each; return the seconds until the last has ended."""
    command = [sys.executable, "-m", "loader", "ingest", "--json"]
    quiet = subprocess.DEVNULL

    def together() -> None:
        started = [
            subprocess.Popen(command, env={**os.environ, **environ}, stdout=quiet)
            for environ in environs
        ]
        assert all(process.wait() == 0 for process in started)

    return timed(together)


def new_lake(scratch: Path, postgres: Postgres, name: str, home: Path) -> dict[str, str]:
    """Return the settings of a loader of the spool of ``home``, with a lake that holds nothing."""
    made = beside(scratch, name, home)
    return environment(made, postgres.database(), str(made / "files"))


def split(home: Path, into: Path, segments: int) -> Path:
    """Write the lines of a spool in so many segments, into the home ``into``; return that."""
    (into / "spool").mkdir(parents=True)
    lines = list(lines_of(home))
    size = -(-len(lines) // segments)
    for number in range(segments):
        part = lines[number * size : (number + 1) * size]
        (into / "spool" / f"{number:02}.jsonl").write_bytes(b"".join(part))
    return into


def batches(settings: Settings) -> Iterator[list[Block]]:
    """Yield the spool, a batch a segment's part."""
    for segment in list_segments(settings.spool):
        offset = 0
        while data := read_block(segment, offset, BATCH_BYTES):
            yield [Block(segment.name, offset, data)]
            offset += len(data)


if __name__ == "__main__":
    main()
