"""Receiver and loader together over a long load: killed, out of disk, and then left alone."""

import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import duckdb
import polars as pl

from tests.torture.client import Receiver, children, drive, environment, event, signed
from tests.torture.server import CONNECTIONS, fill

MANY = 19
"""Events of every second request, a signed array; the others have one."""
FULL_SECONDS = 2.0


@dataclass
class Soaked:
    """What came of the acknowledged requests, and how the processes stood."""

    acknowledged: int
    """Events."""
    disturbances: int
    lost: int
    """Acknowledged events that are not in the warehouse."""
    twice: int
    """Events that are there more than once."""
    memory: tuple[int, int]
    """Resident KiB of the receiver's workers, when they were left alone, and at the end."""
    descriptors: tuple[int, int]
    """Open files of the receiver's workers, then and at the end."""
    peak: int
    """KiB that the last loader took at most."""


def soak(home: Path, requests: int, disturbances: int, apart: float, *, seed: int = 1) -> Soaked:
    """Have ``loader run`` acknowledge ``requests`` requests; disturb it in the first half of them.

    ``home`` stands on a small disk, which is filled to the last byte now and then. Disturbances
    are ``apart`` seconds apart in the mean, and the first half lasts until there were so many.
    """
    told: set[str] = set()
    disturber = _Disturber(home, _start(home), random.Random(seed), apart)
    try:
        disturber.start()
        _post(disturber, told, "d", lambda: disturber.done < disturbances, requests // 2)
        disturber.end()
        _post(disturber, told, "w", lambda: False, len(told) + requests // 20)  # they are warm
        early = _settled(disturber.workers())
        _post(disturber, told, "q", lambda: False, requests)
        late = _settled(disturber.workers())
        peak = _status(disturber.loader(), "VmHWM")
    finally:
        disturber.end()
        disturber.running.stop()
    _load_the_rest(home)
    lost, twice = _compared(home, told)
    memory, descriptors = zip(early, late, strict=True)
    return Soaked(_events(told), disturber.done, lost, twice, memory, descriptors, peak)


def _start(home: Path, port: int = 0) -> Receiver:
    return Receiver(home, port=port, command=[sys.executable, "-m", "loader", "run"]).start()


class _Disturber(threading.Thread):
    """Kills a part of ``loader run``, or fills its disk, again and again."""

    def __init__(self, home: Path, running: Receiver, random_: random.Random, apart: float) -> None:
        super().__init__()
        self.running, self.done = running, 0
        self._home, self._random, self._over = home, random_, threading.Event()
        self._apart = apart
        self._failed: list[BaseException] = []

    def run(self) -> None:
        try:
            while not self._over.wait(self._random.uniform(0, 2 * self._apart)):
                self._random.choice(
                    [self._kill_all, self._kill_loader, self._kill_worker, self._fill]
                )()
                if self.running.process.poll() is not None:
                    self.running = _start(self._home, self.running.port)
                self.done += 1
        except BaseException as error:
            self._failed.append(error)

    def end(self) -> None:
        """Stop disturbing; raise what went wrong."""
        self._over.set()
        self.join()
        if self._failed:
            raise self._failed[0]

    def loader(self) -> int:
        """Return the process id of the following loader; waits while there is none."""
        return self._child(" ingest ")

    def workers(self) -> list[int]:
        """Return the process ids of the receiver's workers."""
        return children(self._child(" serve "))

    def _child(self, command: str) -> int:
        for _ in range(300):
            for pid in children(self.running.process.pid, command):
                return pid
            time.sleep(0.1)
        raise AssertionError(f"loader run has no{command}")

    def _kill_all(self) -> None:
        self.running.kill()

    def _kill_loader(self) -> None:
        _kill(self.loader())

    def _kill_worker(self) -> None:
        _kill(self._random.choice(self.workers()))

    def _fill(self) -> None:
        ballast, rest = (self._home.parent / name for name in ("ballast", "rest"))
        with ballast.open("wb") as file, suppress(OSError):  # it may be full before
            free = shutil.disk_usage(self._home).free
            os.posix_fallocate(file.fileno(), 0, max(1, free - 2**15))
        fill(rest)
        self._over.wait(FULL_SECONDS)
        ballast.unlink()
        rest.unlink()


def _kill(pid: int) -> None:
    subprocess.run(["kill", "-9", str(pid)], check=False)


def _requests(prefix: str) -> Iterator[tuple[str, bytes]]:
    """Give names and signed requests of one or ``MANY`` events without end."""
    for number in count():
        one, many = f"{prefix}{number}", f"{prefix}{number}-{MANY}"
        yield one, signed(event(one))
        yield many, signed(b"[%b]" % b", ".join(event(f"{many}.{at}") for at in range(MANY)))


def _events(names: Collection[str]) -> int:
    return sum(MANY if "-" in name else 1 for name in names)


def _post(
    disturber: _Disturber, told: set[str], prefix: str, goes_on: Callable[[], bool], enough: int
) -> None:
    """Post for as long as it ``goes_on``, and until ``told`` holds ``enough``."""
    drive(
        lambda: disturber.running.port,
        CONNECTIONS,
        _requests(prefix),
        answered=lambda name, status: told.add(name) if status == 200 else None,
        meanwhile=lambda: goes_on() or len(told) < enough,
    )


def _settled(pids: list[int]) -> tuple[int, int]:
    """Return KiB and open files, once connections of a moment ago are closed on this side too."""
    samples = []
    for _ in range(15):
        time.sleep(0.2)
        samples.append((sum(_status(pid, "VmRSS") for pid in pids), sum(map(_open_files, pids))))
    return samples[-1][0], min(files for _, files in samples)


def _status(pid: int, what: str) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.split(f"{what}:")[1].split()[0])


def _open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def _load_the_rest(home: Path) -> None:
    command = [sys.executable, "-m", "loader", "ingest", "--json"]
    done = subprocess.run(
        command, env=environment(home), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["quarantined"] == 0, done.stdout


def _compared(home: Path, told: set[str]) -> tuple[int, int]:
    """Return how many acknowledged events the warehouse lacks, and how many it has twice."""
    with duckdb.connect(home / "warehouse.duckdb", read_only=True) as con:
        there = con.sql(
            "select split_part(split_part(recipient, '@', 1), '.', 1) as name, count(*) as events,"
            " count(distinct recipient) as different from open group by all"
        ).pl()
    asked = pl.DataFrame({"name": list(told)}, schema={"name": pl.String})
    found = asked.join(there, on="name")["different"].sum()
    return _events(told) - found, (there["events"] - there["different"]).sum()
