"""What ``loader run`` promises: received and loaded in one, the receiver above the loader."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import duckdb
import pytest

from loader.posting import to_url
from loader.run import LOADER, stop_with
from loader.scenario import Plan
from tests.conftest import lacks, require

SECRET = "a-secret-of-the-tests"
PATIENCE = 60.0


@contextmanager
def running(
    home: Path, errors: IO[bytes] | int = subprocess.DEVNULL
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start ``loader run``; yield the process and the address of its webhook."""
    process = subprocess.Popen(
        [*LOADER, "run", "--port", "0"],
        cwd=home,
        env={**os.environ, "LOADER_HOME": str(home), "LOADER_SECRETS": SECRET},
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
    )
    try:
        assert process.stdout
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found
        yield process, f"{found.group()}/webhooks/inboxroad"
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)


def eventually(holds: Callable[[], bool]) -> bool:
    """Say whether something comes to hold within a minute."""
    until = time.monotonic() + PATIENCE
    while not holds() and time.monotonic() < until:
        time.sleep(0.1)
    return holds()


def loaded(home: Path) -> int:
    """Return how many events the published warehouse says were read."""
    path = home / "warehouse.duckdb"
    if not path.exists():
        return 0
    with duckdb.connect(str(path), read_only=True) as con:
        return con.execute("select coalesce(sum(read), 0) from ingest_ledger").fetchall()[0][0]


def following(process: subprocess.Popen[str]) -> list[int]:
    """Return the process ids of the ``ingest --follow`` that ``loader run`` has started."""
    return children(process, "ingest --follow")


def children(process: subprocess.Popen[str], command: str) -> list[int]:
    """Return the process ids of what ``loader run`` has started with such a command."""
    found = subprocess.run(
        ["pgrep", "-P", str(process.pid), "-f", command],
        capture_output=True,
        text=True,
        check=False,
    )
    return [int(number) for number in found.stdout.split()]


def lives(number: int) -> bool:
    """Say whether a process is there still."""
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return True


def test_what_is_posted_is_soon_in_the_warehouse(tmp_path: Path) -> None:
    """Events posted to ``loader run`` are published within seconds, and SIGTERM ends it with 0."""
    with running(tmp_path) as (process, url):
        posted = to_url(Plan(campaigns=1, messages=40), url, SECRET)

        assert eventually(lambda: loaded(tmp_path) == posted)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=PATIENCE) == 0


def test_the_working_directory_holds_none_of_our_modules(tmp_path: Path) -> None:
    """``loader run`` starts in a directory of somebody's own scripts, one of them loader.py."""
    (tmp_path / "loader.py").write_text("raise SystemExit('another one')\n")

    with running(tmp_path) as (_process, url):
        assert url


def test_a_dead_loader_does_not_stop_the_receiver(tmp_path: Path) -> None:
    """When the loader is killed events go on being received, and a new loader loads them."""
    require("pgrep")
    with running(tmp_path) as (process, url):
        assert eventually(lambda: bool(following(process)))
        for number in following(process):
            os.kill(number, signal.SIGKILL)

        posted = to_url(Plan(campaigns=1, messages=40), url, SECRET)

        assert eventually(lambda: loaded(tmp_path) == posted)


def test_a_killed_receiver_is_told_as_killed(tmp_path: Path) -> None:
    """When the receiver is killed ``loader run`` ends with 1 and a line that names the signal."""
    require("pgrep")
    with (tmp_path / "log").open("wb") as log, running(tmp_path, log) as (process, _url):
        (receiver,) = children(process, "serve")
        os.kill(receiver, signal.SIGKILL)
        assert process.wait(timeout=PATIENCE) == 1
    assert "loader: the receiver was killed (SIGKILL)" in (tmp_path / "log").read_text()


def test_nothing_outlives_a_killed_run(tmp_path: Path) -> None:
    """When ``loader run`` is killed its receiver and its loader stop cleanly too."""
    require("pgrep")
    with running(tmp_path) as (process, url):
        assert eventually((tmp_path / "warehouse.duckdb").exists)  # both are at work
        started = children(process, "loader")
        posted = to_url(Plan(campaigns=1, messages=40), url, SECRET)
        process.kill()

        assert len(started) == 2
        assert eventually(lambda: not any(map(lives, started)))
        assert eventually(lambda: loaded(tmp_path) == posted)


@pytest.mark.parametrize("died", ["before", "after"])
def test_nothing_outlives_a_run_that_is_killed_as_it_starts_it(died: str) -> None:
    """What is to become the receiver ends, whether its parent died before it can be told or after.

    What SIGTERM means to the parent does not matter.
    """
    if sys.platform != "linux":
        lacks("this system does not tell of a parent's death")

    def starting() -> None:
        signal.signal(signal.SIGTERM, lambda *_: None)
        stop_with(0 if died == "before" else os.getppid())
        os.kill(os.getpid(), signal.SIGTERM)

    process = subprocess.run(["true"], preexec_fn=starting, check=False)

    assert process.returncode == (1 if died == "before" else -signal.SIGTERM)
