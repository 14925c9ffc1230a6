"""Many short lives of a spool's writer, each ended or hurt at one system call.

A life is a forked process with the shim of ``shim.c`` armed: four threads append lines and report
each acknowledged one; or, now and then, everything so far is compressed instead. Then, for a
power failure, what was never synced is taken away: names whose directory was not synced, bytes
beyond the last synced size (some of it stays, with holes); cuts, removals and new names that were
not made durable come undone. Meanwhile and afterwards the spool is read the way the loader reads
it, and

- every acknowledged line must be there, whole, and once;
- what a reader had been given before must still be there, byte for byte.

The controls break the writer on purpose, one rule at a time; they must lose events.
"""

import ctypes
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock

from loader import spool
from loader import writer as writing
from loader.errors import SpoolError
from loader.retention import retain

ACTIONS = {"none": 0, "kill": 1, "kill after": 2, "EIO": 3, "ENOSPC": 4, "short write": 5}
CONTROLS = ("no fsync", "no directory fsync", "reused segment", "no cut after a short write")
THREADS, APPENDS = 4, 12
LIVES_PER_SPOOL = 25


@dataclass
class Tally:
    """What a run of lives came to."""

    lives: int = 0
    acknowledged: int = 0
    lost: int = 0
    """Acknowledged lines that are not there, or not whole."""
    twice: int = 0
    taken_back: int = 0
    """Times that a reader had been given bytes which were gone or different later."""
    killed: int = 0
    refused: int = 0
    """Appends that were answered with an error."""
    by_action: Counter[str] = field(default_factory=Counter)


def build_shim(directory: Path) -> Path:
    """Compile ``shim.c`` into ``directory``."""
    library = directory / "shim.so"
    source = Path(__file__).with_name("shim.c")
    command = ["cc", "-O2", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    return library


def run(lives: int, seed: int, *, power: bool, control: str | None = None) -> Tally:
    """Run ``lives`` lives in this process, which must have been started with the shim."""
    shim = ctypes.CDLL(None)
    random_ = random.Random(seed)
    tally = Tally()
    while tally.lives < lives:
        with tempfile.TemporaryDirectory(prefix="lives-", dir=memory()) as scratch:
            world = World(Path(scratch), shim, random_, power=power, control=control)
            for _ in range(min(LIVES_PER_SPOOL, lives - tally.lives)):
                world.live(tally)
    return tally


def memory() -> str | None:
    """Return a directory that is kept in memory; None, the usual place, where there is none."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108


class World:
    """One spool and what is known about it, through many lives."""

    def __init__(  # noqa: D107
        self,
        scratch: Path,
        shim: ctypes.CDLL,
        random_: random.Random,
        *,
        power: bool,
        control: str | None,
    ) -> None:
        self._shim, self._random, self._power, self._control = shim, random_, power, control
        self._root = scratch / "disk"
        self._root.mkdir()
        self._spool = self._root / "home" / "spool"
        self._graveyard, self._journal = scratch / "graves", scratch / "journal"
        self._graveyard.mkdir()
        self._acknowledged: set[str] = set()
        self._given: dict[str, bytes] = {}  # segment → what a reader was given of it
        self._next = 0

    def live(self, tally: Tally) -> None:
        """Let one writer live and die, fail the power, and look at what is left."""
        # Longer than a life has calls, so that some lives end in peace.
        at, action = self._random.randint(1, 130), self._random.choice(list(ACTIONS))
        puts_away = self._random.random() < 0.15
        readable, writable = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(readable)
            self._work(writable, at, ACTIONS[action], puts_away)
        os.close(writable)
        # What a reader makes durable is durable too, so its syncs go into the same journal.
        self._arm(0, ACTIONS["none"], 0)
        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(self._read_meanwhile)
            with os.fdopen(readable, "rb") as pipe:
                reports = pipe.read().decode().splitlines()
            reading.result()
        self._shim.shim_disarm()
        _, status = os.waitpid(child, 0)
        tally.lives += 1
        tally.by_action[action] += 1
        tally.killed += os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        if os.WIFEXITED(status) and os.WEXITSTATUS(status):
            raise AssertionError(f"the writer died of an error of its own, at {action} {at}")
        self._note(reports, tally)
        if self._power:
            fail_power(self._root, self._journal, self._graveyard, self._random)
        self._look(tally)

    def _work(self, report: int, at: int, action: int, puts_away: bool) -> None:
        """Be the writer, or what compresses behind it; never returns."""
        try:
            lasts = self._random.choice([1, 1, 3, 1000])
            self._arm(at, action, lasts)
            with broken(self._control):
                self._put_away() if puts_away else self._append_all(report)
            os._exit(0)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)

    def _arm(self, at: int, action: int, lasts: int) -> None:
        paths = (self._root, self._graveyard, self._journal)
        self._shim.shim_arm(*(os.fsencode(path) for path in paths), at, action, lasts)

    def _append_all(self, report: int) -> None:
        writer = writing.Writer(self._spool, back_off=0.0005, rotate_bytes=1500, reserve_bytes=0)

        def work(thread: int) -> None:
            for turn in range(APPENDS):
                name = f"{self._next}.{thread}.{turn}"
                line = json.dumps({"name": name, "filling": "x" * (7 * turn % 90)}) + "\n"
                try:
                    writer.append(line.encode())
                except SpoolError:
                    os.write(report, f"refused {name}\n".encode())
                else:
                    os.write(report, f"stored {name}\n".encode())

        threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._random.random() < 0.5:  # else it dies without sealing
            writer.close()

    def _put_away(self) -> None:
        """Compress everything, as if it had all been loaded and were old."""
        loaded = {name: len(text) for name, text in self._given.items()}
        later = datetime.now(UTC) + timedelta(days=2)
        with suppress(SpoolError):
            retain(self._spool, loaded, now=later, keep_days=None)

    def _note(self, reports: list[str], tally: Tally) -> None:
        stored = {line.split()[1] for line in reports if line.startswith("stored ")}
        tally.refused += sum(line.startswith("refused ") for line in reports)
        tally.acknowledged += len(stored)
        self._acknowledged |= stored
        self._next += 1

    def _read_meanwhile(self) -> None:
        """Read what a loader would be given while the writer is at work."""
        for _ in range(self._random.randint(0, 3)):
            for segment in spool.list_segments(self._spool):
                known = self._given.get(segment.name, b"")
                try:
                    block = spool.read_block(segment, len(known), 1 << 20)
                except SpoolError:
                    continue  # found again, and counted, when the writer is gone
                self._given[segment.name] = known + block

    def _look(self, tally: Tally) -> None:
        there: Counter[str] = Counter()
        for segment in spool.list_segments(self._spool):
            text = self._text(segment)
            there.update(_names(text))
            if not text.startswith(self._given.pop(segment.name, b"")):
                tally.taken_back += 1
            self._given[segment.name] = text
        gone = set(self._given) - {one.name for one in spool.list_segments(self._spool)}
        tally.taken_back += sum(bool(self._given.pop(name)) for name in gone)
        lost = {name for name in self._acknowledged if not there[name]}
        tally.lost += len(lost)
        self._acknowledged -= lost  # counted once
        tally.twice += sum(there[name] > 1 for name in self._acknowledged)

    def _text(self, segment: spool.Segment) -> bytes:
        text = b""
        with suppress(SpoolError):  # what cannot be read is missed as lost, or as taken back
            while block := spool.read_block(segment, len(text), 1 << 20):
                text += block
        return text


def _names(text: bytes) -> Iterator[str]:
    for line in text.split(b"\n"):
        try:
            yield json.loads(line)["name"]
        except (ValueError, KeyError, TypeError):
            continue  # a torn line: nobody may have been promised it


def fail_power(root: Path, journal: Path, graveyard: Path, random_: random.Random) -> None:
    """Take away from ``root`` what a power failure may take, and forget the journal."""
    synced: dict[str, int] = {}
    unsure: dict[str, list[tuple[str, str]]] = {}  # directory → what happened since its sync
    cuts: dict[str, str] = {}
    for record in journal.read_text().splitlines() if journal.exists() else []:
        op, number, path = record.split(" ", 2)
        parent = str(Path(path).parent)
        if op == "sync":
            synced[path] = int(number)
            cuts.pop(path, None)
        elif op == "dirsync":
            unsure.pop(path, None)
        elif op == "cut":
            cuts[path] = number
        else:
            unsure.setdefault(parent, []).append((op + " " + number, path))
            if op == "create":
                synced.setdefault(path, 0)
            elif op == "rename":
                earlier = (graveyard / number).read_text()
                if earlier in synced:
                    synced[path] = synced.pop(earlier)
    _forget_bytes(synced, random_)
    for path, grave in cuts.items():
        if Path(path).exists() and random_.random() < 0.5:
            with Path(path).open("ab") as file:
                file.write((graveyard / grave).read_bytes())
    _forget_names(unsure, graveyard, random_)
    journal.unlink(missing_ok=True)
    shutil.rmtree(graveyard)
    graveyard.mkdir()


def _forget_bytes(synced: dict[str, int], random_: random.Random) -> None:
    for name, size in synced.items():
        path = Path(name)
        if not path.is_file() or path.stat().st_size <= size:
            continue
        data = bytearray(path.read_bytes())
        del data[random_.randint(size, len(data)) :]
        for _ in range(random_.randint(0, 2)):
            if len(data) > size:
                start = random_.randint(size, len(data) - 1)
                length = random_.randint(1, len(data) - start)
                data[start : start + length] = bytes(length)
        path.write_bytes(data)


def _forget_names(
    unsure: dict[str, list[tuple[str, str]]], graveyard: Path, random_: random.Random
) -> None:
    for happened in unsure.values():
        for op, name in reversed(happened):
            if random_.random() < 0.5:
                continue
            path = Path(name)
            if op.startswith(("create", "mkdir")):
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
            elif op.startswith("rename") and path.exists():
                path.rename((graveyard / op.split()[1]).read_text())
            elif op.startswith("unlink") and path.parent.is_dir() and not path.exists():
                shutil.copyfile(graveyard / op.split()[1], path)


@contextmanager
def broken(control: str | None) -> Iterator[None]:
    """Take one rule out of the writer."""
    with ExitStack() as stack:
        for target, name, substitute in _SWAPS[control]:
            stack.enter_context(mock.patch.object(target, name, substitute))
        yield


_create = writing._create


def _reuse(path: Path, opened: float) -> "writing._Open":
    """Go on in the newest segment of an earlier life, as an append-only log naively would."""
    segments = [segment.path for segment in spool.list_segments(path.parent.parent)]
    older = [one for one in segments if one.suffix == ".jsonl"]
    if not older:
        return _create(path, opened)
    fd = os.open(older[-1], os.O_WRONLY | os.O_APPEND)
    companion = os.open(f"{older[-1]}.active", os.O_RDWR | os.O_CREAT, 0o600)
    return writing._Open(older[-1], fd, companion, opened, os.fstat(fd).st_size)


_SWAPS: dict[str | None, list[tuple[object, str, Callable[..., object]]]] = {
    None: [],
    "no fsync": [(writing, "_sync", lambda _fd: None)],
    "no directory fsync": [
        (module, "sync_directory", lambda _path: None) for module in (spool, writing)
    ],
    "reused segment": [(writing, "_create", _reuse)],
    "no cut after a short write": [
        (writing.Writer, "_abandon", lambda _self: None),
        # which notices, by itself, that the file is longer than it should be
        (writing, "_is_still_ours", lambda _segment: True),
    ],
}


def spawn(lives: int, seed: int, *, power: bool, control: str | None = None) -> dict[str, int]:
    """Run lives in a process of their own that has the shim; return the tally."""
    asked = {"lives": lives, "seed": seed, "power": power, "control": control}
    return with_shim("tests.torture.crash", asked)


def with_shim(module: str, asked: dict[str, object], **variables: str) -> dict[str, int]:
    """Let a module run the lives that are asked for, with the shim; return the tally."""
    with tempfile.TemporaryDirectory() as directory:
        shim = {"LD_PRELOAD": str(build_shim(Path(directory)))}
        command = [sys.executable, "-m", module, json.dumps(asked)]
        environ = {**os.environ, **shim, **variables}
        done = subprocess.run(command, env=environ, check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout)  # type: ignore[no-any-return]


if __name__ == "__main__":
    print(json.dumps(vars(run(**json.loads(sys.argv[1])))))
