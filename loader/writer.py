"""Lines → segment files on disk: appended by many threads, synced together, then sealed.

``loader.spool`` says what a segment and its companion are, and reads them.
"""

import errno
import fcntl
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from loader.durable import sync_directory
from loader.errors import SpoolError
from loader.spool import companion_of

ROTATE_BYTES = 128 * 1024 * 1024
ROTATE_SECONDS = 6 * 3600.0
BACK_OFF_SECONDS = 1.0
WAITING_BYTES = 64 * 1024 * 1024
"""Largest batch that may wait for the one being synced; more is refused."""
RESERVE_BYTES = 64 * 1024 * 1024
"""Free bytes below which nothing more is stored (but never more than 5 % of the disk)."""
RESERVE_FILES = 100

_sync = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync


@dataclass(slots=True)
class _Batch:
    """Lines that are written and synced together, and the threads that wait for it."""

    lines: list[bytes] = field(default_factory=list)
    size: int = 0
    done: threading.Lock = field(default_factory=threading.Lock)
    error: SpoolError | None = None


@dataclass(slots=True)
class _Open:
    """The segment being written. ``good`` is its length up to which it is known to be on disk."""

    path: Path
    fd: int
    companion: int
    opened: float
    good: int = 0


class Writer:
    """Appends lines to segments of one process; many threads may append at once.

    Group commit: whoever comes while one batch is being synced forms the next one, so the number
    of syncs does not grow with the number of threads. Make it after fork, never before.

    ``clock`` gives seconds since 1970, ``monotonic`` seconds since anything; ``token`` makes the
    random part of a segment's name. ``synced(seconds, bytes)`` is called after each sync.
    """

    def __init__(  # noqa: D107
        self,
        spool: Path,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        token: Callable[[], str] = lambda: secrets.token_hex(4),
        synced: Callable[[float, int], None] = lambda _seconds, _size: None,
        rotate_bytes: int = ROTATE_BYTES,
        rotate_seconds: float = ROTATE_SECONDS,
        back_off: float = BACK_OFF_SECONDS,
        reserve_bytes: int = RESERVE_BYTES,
    ) -> None:
        self._spool = spool
        self._clock, self._monotonic, self._token, self._synced = clock, monotonic, token, synced
        self._rotate_bytes, self._rotate_seconds = rotate_bytes, rotate_seconds
        self._back_off, self._reserve_bytes = back_off, reserve_bytes
        self._door = threading.Lock()  # guards the batch that is forming
        self._disk = threading.Lock()  # guards the segment; held while a batch is stored
        self._forming: _Batch | None = None
        self._segment: _Open | None = None
        self._broken: _Open | None = None
        self._not_before = -float("inf")
        self._closed = False

    def append(self, lines: bytes) -> None:
        """Store ``lines``, whole lines with their newlines; return once they are on disk.

        Raises ``SpoolError`` when they are not stored. After that none of them is in the spool,
        save where a power failure comes before the cut is on disk. Raises ``ValueError`` for what
        does not end in a newline.
        """
        if not lines.endswith(b"\n"):
            raise ValueError("a spool takes whole lines only")
        with self._door:
            batch, leads = self._join(lines)
        if leads:
            self._commit(batch)
        else:
            with batch.done:  # released by the leader, then handed from waiter to waiter
                pass
        if batch.error is not None:
            raise batch.error

    def ready(self) -> None:
        """Return if the next ``append`` has somewhere to go, else raise ``SpoolError``."""
        with self._disk, _as_spool_error():
            self._current()

    def close(self) -> None:
        """Seal the segment; what is waiting is stored first, what comes later is refused."""
        with self._disk:
            self._closed = True
            self._seal()

    def __enter__(self) -> "Writer":  # noqa: D105
        return self

    def __exit__(self, *_error: object) -> None:  # noqa: D105
        self.close()

    def _join(self, lines: bytes) -> tuple[_Batch, bool]:
        batch = self._forming
        leads = batch is None
        if batch is None:
            batch = self._forming = _Batch()
            batch.done.acquire()
        elif batch.size + len(lines) > WAITING_BYTES:
            raise SpoolError("more is waiting for the disk than may wait; try again in a moment.")
        batch.lines.append(lines)
        batch.size += len(lines)
        return batch, leads

    def _commit(self, batch: _Batch) -> None:
        # What is not known to be stored is not stored: the error stands until it is taken away.
        batch.error = SpoolError("the events could not be stored.")
        try:
            with self._disk:
                with self._door:
                    self._forming = None
                with _as_spool_error():
                    self._store(batch)
            batch.error = None
        except SpoolError as error:
            batch.error = error
        finally:
            batch.done.release()

    def _store(self, batch: _Batch) -> None:
        segment = self._current()
        data = b"".join(batch.lines)
        try:
            _write(segment.fd, data)
            started = self._monotonic()
            _sync(segment.fd)
        except BaseException:
            # After a failed sync the descriptor is finished: asked again it would claim success.
            self._abandon()
            raise
        segment.good += len(data)
        _publish(segment)
        with suppress(Exception):  # counting must not turn what is stored into a refusal
            self._synced(self._monotonic() - started, len(data))

    def _current(self) -> _Open:
        """Return a segment that can take a batch: the open one, or a new one."""
        if self._closed:
            raise SpoolError("the receiver is shutting down.")
        self._refuse_when_full()
        segment = self._segment
        # Deleted, replaced or cut by somebody else: what is written there nobody would read.
        if segment is not None and (not _is_still_ours(segment) or self._is_full(segment)):
            self._seal()
        if self._segment is None:
            self._open()
        assert self._segment is not None  # noqa: S101
        return self._segment

    def _is_full(self, segment: _Open) -> bool:
        age = self._monotonic() - segment.opened
        return segment.good >= self._rotate_bytes or (
            segment.good > 0 and age >= self._rotate_seconds
        )

    def _refuse_when_full(self) -> None:
        try:
            disk = os.statvfs(self._spool)
        except FileNotFoundError:
            return  # made when the first segment is opened
        reserve = min(self._reserve_bytes, disk.f_blocks * disk.f_frsize // 20)
        if disk.f_bavail * disk.f_frsize < reserve:
            raise SpoolError("the disk of the spool is nearly full: free some space.")
        if disk.f_files and disk.f_favail < min(RESERVE_FILES, disk.f_files // 20):
            raise SpoolError("the disk of the spool has nearly no inodes left: free some.")

    def _open(self) -> None:
        if self._broken is not None:
            _cut(self._broken)
            self._broken = None
        moment = datetime.fromtimestamp(self._clock(), UTC)
        directory = self._spool / f"{moment:%Y-%m-%d}"
        if directory.is_symlink():  # no reader follows one: it could lead in a circle
            raise SpoolError(
                f"{directory.name} in the spool is a link, behind which nothing would be loaded: "
                "put a directory in its place."
            )
        if self._monotonic() < self._not_before:
            raise SpoolError(
                "the spool could not be written a moment ago; waiting before retrying."
            )
        self._not_before = self._monotonic() + self._back_off  # stands unless opening succeeds
        _make_directory(directory)
        _sync_parents(directory)
        path = directory / f"{moment:%H%M%S.%f}-{self._token()}.jsonl"
        self._segment = _create(path, self._monotonic())
        self._not_before = -float("inf")

    def _abandon(self) -> None:
        """Cut a failed batch off the segment and let nothing follow it there."""
        segment, self._segment = self._segment, None
        assert segment is not None  # noqa: S101
        self._not_before = self._monotonic() + self._back_off
        try:
            _cut(segment)
        except OSError:
            # Readers keep to the watermark while the companion is locked, so keep it locked.
            self._broken = segment

    def _seal(self) -> None:
        segment, self._segment = self._segment, None
        if segment is not None:
            _finish(segment)


def prepare(spool: Path) -> None:
    """Make the directory ``spool`` and see that this process may write there.

    Raises ``SpoolError`` when it may not. A full disk is not an error here: a receiver that
    starts on one answers 503 until there is space.
    """
    if spool.is_symlink() and not spool.exists():
        raise SpoolError(f"{spool} is a link that leads nowhere: mount or make what it leads to.")
    try:
        _make_directory(spool)
    except OSError as error:
        raise SpoolError(f"{spool} cannot be made ({error.strerror}): mend LOADER_HOME.") from None
    if not os.access(spool, os.R_OK | os.W_OK | os.X_OK):
        raise SpoolError(f"{spool} may not be written by this user: mend LOADER_HOME.")


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:  # a disk that fills up writes a part first, and says so only at the next call
        view = view[os.write(fd, view) :]


def _publish(segment: _Open) -> None:
    # Twice, so that a reader that comes in the middle of the write sees that it did. An error is
    # of no consequence: the bytes are on disk, and readers only wait for the segment's end.
    with suppress(OSError):
        os.pwrite(segment.companion, b"%020d %020d\n" % (segment.good, segment.good), 0)


def _is_still_ours(segment: _Open) -> bool:
    try:
        found = os.stat(segment.path, follow_symlinks=False)  # noqa: PTH116
    except OSError:
        return False
    mine = os.fstat(segment.fd)
    if segment.path.parent.is_symlink():  # moved, and what is there now no reader follows
        return False
    return (found.st_dev, found.st_ino, found.st_size) == (mine.st_dev, mine.st_ino, segment.good)


def _make_directory(path: Path) -> None:
    """Make ``path`` and its missing parents, for the owner only; their names are on disk then."""
    if not path.is_dir():
        _make_directory(path.parent)
        with suppress(FileExistsError):
            path.mkdir(mode=0o700)
        _sync_if_possible(path.parent)


def _sync_parents(directory: Path) -> None:
    """Make the entries of ``directory``, of the spool and of its home durable.

    They are synced also when they were there already: whoever made them may have died, or be
    about to, before its own sync.
    """
    spool = directory.parent
    sync_directory(spool)
    for parent in (spool.parent, spool.parent.parent):
        _sync_if_possible(parent)


def _sync_if_possible(directory: Path) -> None:
    try:
        sync_directory(directory)
    except OSError as error:
        # It may stand where we may not read, or on what knows no sync of directories.
        if error.errno not in {errno.EACCES, errno.EPERM, errno.EINVAL}:
            raise


def _create(path: Path, opened: float) -> _Open:
    """Create a segment and, before it, its companion; both vanish again if that fails."""
    flags = os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    companion = os.open(companion_of(path), flags | os.O_RDWR, 0o600)
    made = {companion: companion_of(path)}  # never what stood there before
    try:
        fcntl.flock(companion, fcntl.LOCK_EX)
        fd = os.open(path, flags | os.O_WRONLY | os.O_APPEND, 0o600)
        made[fd] = path
        segment = _Open(path, fd, companion, opened)
        os.pwrite(companion, b"%020d %020d\n" % (0, 0), 0)
        sync_directory(path.parent)
    except OSError:
        for name in made.values():
            with suppress(OSError):
                name.unlink()
        _close(*made)
        raise
    return segment


def _cut(segment: _Open) -> None:
    """Take what follows the last good byte away and finish; ``OSError`` if it stays."""
    if os.fstat(segment.fd).st_size > segment.good:
        os.ftruncate(segment.fd, segment.good)
    _finish(segment)


def _finish(segment: _Open) -> None:
    """Let go of a segment that ends at its last good byte; an empty one is removed."""
    with suppress(OSError):
        if segment.good == 0 and _is_still_ours(segment):
            segment.path.unlink()
    with suppress(OSError):
        companion_of(segment.path).unlink()
    _close(segment.fd, segment.companion)


def _close(*descriptors: int) -> None:
    for fd in descriptors:
        with suppress(OSError):
            os.close(fd)


@contextmanager
def _as_spool_error() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SpoolError(
            f"the spool cannot be written ({error.strerror}): free or mend its disk."
        ) from None
