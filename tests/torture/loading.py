"""Many short lives of the loader, each ended or hurt at one system call.

A life is a forked process with the shim of ``shim.c`` armed below its home: lines have come, some
of them again, and it ingests: birth of the database, load, checkpoint, publication. After every
life another process, unharmed, looks at what is published; then, after every second, it ingests
too, and every table must be what the lines say.

The control commits the offsets apart from the rows; it must load lines twice.
"""

import ctypes
import json
import os
import random
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.torture.crash import ACTIONS, with_shim

LIVES_PER_HOME = 8


@dataclass
class Tally:
    """What a run of lives came to."""

    lives: int = 0
    killed: int = 0
    failed: int = 0
    """Lives that ended with one clear sentence."""
    unopenable: int = 0
    """Times that there was something published, and it could not be read."""
    twice: int = 0
    """Times that a line was loaded or set aside twice."""
    lost: int = 0
    """Times that a table was not what the lines say."""


def run(lives: int, seed: int, *, control: bool = False) -> Tally:
    """Run ``lives`` lives in this process, which must have been started with the shim."""
    shim, chance, tally = ctypes.CDLL(None), random.Random(seed), Tally()
    while tally.lives < lives:
        with tempfile.TemporaryDirectory(prefix="loads-") as scratch:
            world = World(Path(scratch), shim, chance, control)
            for _ in range(min(LIVES_PER_HOME, lives - tally.lives)):
                world.live(tally)
    return tally


class World:
    """One home, through many lives. This process itself never opens the warehouse."""

    def __init__(  # noqa: D107
        self, scratch: Path, shim: ctypes.CDLL, chance: random.Random, control: bool
    ) -> None:
        self._home, self._graves = scratch / "home", scratch / "graves"
        self._journal = scratch / "journal"
        self._shim, self._chance, self._control = shim, chance, control
        self._lives = 0
        (self._home / "spool").mkdir(parents=True)
        self._graves.mkdir()

    def live(self, tally: Tally) -> None:
        """Let lines come, and one loader live and die; then look at what is left."""
        from tests.test_exactly_once import some_lines

        seed = self._chance.randrange(2**32)
        with (self._home / "spool" / f"{self._lives % 3}.jsonl").open("ab") as file:
            file.write(b"".join(some_lines(seed)))
        # Longer than a life has calls, so that some lives end in peace.
        at = int(2 ** self._chance.uniform(0, 6.5 if self._lives else 8.5))
        action = self._chance.choice(list(ACTIONS.values()))
        lasts = self._chance.choice([1, 1, 1, 1000])
        status = _apart(lambda: self._ingest(at, action, lasts))
        tally.lives += 1
        # DuckDB ends the process itself where it meets an error while it undoes something.
        tally.killed += status in {-signal.SIGKILL, -signal.SIGABRT}
        tally.failed += status == 1
        assert status in {0, 1, -signal.SIGKILL, -signal.SIGABRT}, (
            f"the loader ended with {status} at {action} {at}"
        )
        self._look(tally, mend=self._lives % 2 == 1)
        self._lives += 1

    def _ingest(self, at: int, action: int, lasts: int) -> int:
        from loader.errors import LoaderError
        from loader.ingest import ingest
        from tests.provider import home

        if self._control:
            _commit_offsets_apart()
        where = home(self._home)
        paths = (self._home, self._graves, self._journal)
        self._shim.shim_arm(*(os.fsencode(path) for path in paths), at, action, lasts)
        try:
            ingest(where)
        except LoaderError:
            return 1
        return 0

    def _look(self, tally: Tally, mend: bool) -> None:
        readable, writable = os.pipe()
        status = _apart(lambda: self._report(writable, mend))
        os.close(writable)
        with os.fdopen(readable) as pipe:
            found = json.loads(pipe.read() or "{}")
        assert status == 0, "looking at the warehouse failed"
        tally.unopenable += found["unopenable"]
        tally.twice += found["twice"]
        tally.lost += found["lost"]

    def _report(self, report: int, mend: bool) -> int:
        from loader.ingest import ingest
        from loader.query import connect
        from tests.provider import home
        from tests.test_exactly_once import expected, stored

        where = home(self._home)
        found = {"unopenable": 0, "twice": 0, "lost": 0}
        if mend:
            ingest(where)
        if Path(where.warehouse).exists():
            try:
                with connect(where) as con:
                    found["twice"] = _twice(con, self._home / "spool")
                    if mend:
                        found["lost"] = int(stored(con) != expected(_lines(self._home / "spool")))
            except Exception:
                traceback.print_exc()
                found["unopenable"] = 1
        os.write(report, json.dumps(found).encode())
        return 0


def _apart(work: Callable[[], int]) -> int:
    """Do ``work`` in a process of its own; return its exit code, or minus the signal."""
    child = os.fork()
    if child == 0:
        try:
            os._exit(work())
        except BaseException:
            traceback.print_exc()
            os._exit(70)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def _lines(spool: Path) -> list[bytes]:
    return [
        line + b"\n"
        for file in sorted(spool.glob("*.jsonl"))
        for line in file.read_bytes().split(b"\n")[:-1]
    ]


def _twice(con: Any, spool: Path) -> int:
    """Say whether the published ledger or the quarantine counts any line more than once."""
    rows = "(select count(*) from delivered) + (select count(*) from open) + \
        (select count(*) from bounce) + (select count(*) from other_event)"
    query = f"""
        select
            (select coalesce(sum(quarantined), 0) from ingest_ledger)
            <> (select count(*) from quarantine)
            or (select coalesce(sum(inserted), 0) from ingest_ledger) <> {rows}
            or exists (
                select 1
                from ingest_ledger as one
                join ingest_ledger as other on
                    one.segment = other.segment
                    and one.from_offset < other.from_offset
                    and one.to_offset > other.from_offset
            )
    """
    return int(con.execute(query).fetchone()[0])


def _commit_offsets_apart() -> None:
    """Break the rule: rows first, and the ledger in a transaction of its own."""
    from loader.warehouse import Warehouse

    whole = Warehouse._insert

    def insert(self: Warehouse, table: str, rows: Any) -> None:
        if table == "ingest_ledger":
            self._con.commit()
            self._con.begin()
        whole(self, table, rows)

    Warehouse._insert = insert  # type: ignore[method-assign]


def spawn(lives: int, seed: int, *, control: bool = False) -> dict[str, int]:
    """Run lives in a process of their own that has the shim; return the tally."""
    asked = {"lives": lives, "seed": seed, "control": control}
    return with_shim("tests.torture.loading", asked, POLARS_MAX_THREADS="1")


if __name__ == "__main__":
    print(json.dumps(vars(run(**json.loads(sys.argv[1])))))
