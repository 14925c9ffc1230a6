"""The real server killed, restarted and starved of disk while clients post: what is still there."""

import json
import random
import shutil
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from loader.framing import unframe
from tests.provider import lines_of
from tests.torture.client import Driven, Receiver, drive, event, signed

CONNECTIONS = 32


@dataclass
class Outcome:
    """What clients were told, held against what is in the spool."""

    disturbances: int
    acknowledged: int
    lost: int
    """Acknowledged, but not in the spool."""
    unanswered: int
    """In the spool, but never acknowledged."""
    answers: dict[int, int]
    seconds: float


def stored(home: Path) -> Counter[str]:
    """Return the names of the events in a spool, each with how often it is there."""
    framed = map(unframe, lines_of(home / "spool"))
    return Counter(_name(one.body) for one in framed if one is not None)


def _name(body: bytes) -> str:
    return str(json.loads(body)["recipient"]).removesuffix("@example.com")


def requests(prefix: str = "") -> Iterator[tuple[str, bytes]]:
    """Give names and signed requests without end."""
    for number in count():
        name = f"{prefix}{number}"
        yield name, signed(event(name))


def kill(home: Path, kills: int, seed: int, *, least: int = 0) -> Outcome:
    """Kill workers, or all of the server, with -9 while clients post.

    Goes on until there were ``kills`` and ``least`` acknowledged events.
    """
    random_ = random.Random(seed)

    def disturb(receiver: Receiver) -> None:
        time.sleep(random_.uniform(0.05, 0.6))
        if random_.random() < 0.3:
            receiver.kill()
        else:
            for pid in receiver.workers()[: random_.randint(1, 2)]:
                subprocess.run(["kill", "-9", str(pid)], check=False)

    return _disturbed(home, disturb, lambda done, told: done < kills or told < least)


def drain(home: Path, restarts: int) -> Outcome:
    """Stop the server with SIGTERM and start it again while clients post."""

    def disturb(receiver: Receiver) -> None:
        time.sleep(0.3)
        assert receiver.stop() == 0

    return _disturbed(home, disturb, lambda done, _told: done < restarts)


def _disturbed(
    home: Path, disturb: Callable[[Receiver], None], goes_on: Callable[[int, int], bool]
) -> Outcome:
    """Disturb a server, start it again where it ended, and hold what clients were told.

    ``goes_on`` is asked with the disturbances and the acknowledged events so far.
    """
    servers = [Receiver(home).start()]
    port, done = servers[0].port, [0]
    acknowledged: set[str] = set()
    failed: list[BaseException] = []

    def keep_disturbing() -> None:
        try:
            while goes_on(done[0], len(acknowledged)):
                disturb(servers[-1])
                if servers[-1].process.poll() is not None:
                    servers.append(Receiver(home, port=port).start())
                done[0] += 1
        except BaseException as error:
            failed.append(error)

    disturber = threading.Thread(target=keep_disturbing)
    disturber.start()
    try:
        driven = drive(
            lambda: port,
            CONNECTIONS,
            requests(),
            answered=lambda name, status: acknowledged.add(name) if status == 200 else None,
            meanwhile=disturber.is_alive,
        )
        disturber.join()
    finally:
        servers[-1].stop()
    if failed:
        raise failed[0]
    there = stored(home)
    return Outcome(
        done[0],
        len(acknowledged),
        len(acknowledged - set(there)),
        len(set(there) - acknowledged),
        driven.answers,
        driven.seconds,
    )


@dataclass
class DiskOutcome:
    """What a full disk did."""

    acknowledged: int
    refused: int
    lost: int
    recovery: float
    """Seconds from free space to the next stored event."""
    files: int
    """Files in the spool afterwards."""
    answers: dict[int, int]
    retry_after: bool
    """Every 503 named a time to come back."""


def _fails(command: list[str]) -> bool:
    return subprocess.run(command, stderr=subprocess.PIPE, check=False).returncode != 0


class SmallDisk:
    """A tmpfs of a few MiB; raises ``PermissionError`` where none may be mounted."""

    def __init__(self, path: Path, size: str) -> None:  # noqa: D107
        self.path, self._size = path, size

    def __enter__(self) -> Path:  # noqa: D105
        self.path.mkdir()
        options = f"size={self._size},mode=0700"
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.path)]
        if not shutil.which("mount") or _fails(command):
            raise PermissionError("this user may not mount a tmpfs")
        return self.path

    def __exit__(self, *_: object) -> None:  # noqa: D105
        subprocess.run(["umount", "-l", str(self.path)], check=True)


def fill_disk(home: Path, *, rounds: int) -> DiskOutcome:
    """Let the disk under ``home`` fill up and get space again, ``rounds`` times."""
    acknowledged: set[str] = set()
    answers: Counter[int] = Counter()
    slowest = 0.0
    with Receiver(home) as receiver:
        ballast = home / "ballast"

        def post(prefix: str, until: Callable[[Driven], bool], seconds: float) -> float:
            seen = Driven()
            stop = threading.Event()

            def answered(name: str, status: int) -> None:
                seen.answers[status] = seen.answers.get(status, 0) + 1
                if status == 200:
                    acknowledged.add(name)
                if until(seen):
                    stop.set()

            driven = drive(
                lambda: receiver.port,
                16,
                requests(prefix),
                seconds=seconds,
                answered=answered,
                meanwhile=lambda: not stop.is_set(),
            )
            answers.update(driven.answers)
            assert stop.is_set(), driven.answers
            return driven.seconds

        for turn in range(rounds):
            ballast.write_bytes(bytes(shutil.disk_usage(home).free // 2))
            post(f"{turn}.filling.", lambda seen: seen.answers.get(503, 0) > 200, 60)
            # To the last byte, past the receiver's own reserve.
            fill(home / "rest")
            post(f"{turn}.full.", lambda seen: seen.answers.get(503, 0) > 100, 60)
            retry_after = _names_a_time(receiver.port)
            ballast.unlink()
            (home / "rest").unlink()
            slowest = max(
                slowest, post(f"{turn}.again.", lambda seen: seen.answers.get(200, 0) > 0, 10)
            )
    there = stored(home)
    return DiskOutcome(
        len(acknowledged),
        answers[503],
        len(acknowledged - set(there)),
        slowest,
        sum(path.is_file() for path in (home / "spool").rglob("*")),
        dict(answers),
        retry_after,
    )


def fill(path: Path) -> None:
    """Write into a file until its disk is full to the last byte."""
    with path.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            return


def _names_a_time(port: int) -> bool:
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.putrequest("POST", "/webhooks/inboxroad")
    body = event("x")
    for line in signed(body).split(b"\r\n")[2:-2]:
        name, _, value = line.decode().partition(": ")
        connection.putheader(name, value)
    connection.endheaders(body)
    answer = connection.getresponse()
    return answer.status == 503 and int(answer.headers["Retry-After"]) > 0
