"""Lines → segment files on disk, and back from an offset; bytes only.

A segment is one file that one process writes once. While it is being written a companion
``<segment>.active`` stands beside it: locked by the writer, and holding the number of bytes that
are known to be on disk. When the writer seals the segment the companion goes. A companion that
nobody has locked belongs to a writer that died: whoever reads next makes what is there durable
and removes it. No segment is ever appended to by a second process: a file that a power failure
shortened would regrow under offsets that a reader has already consumed.
"""

import base64
import errno
import fcntl
import os
import re
import secrets
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import IO, Literal

import orjson
import zstandard

from loader.errors import SpoolError
from loader.wording import plural

ROTATE_BYTES = 128 * 1024 * 1024
ROTATE_SECONDS = 6 * 3600.0
BACK_OFF_SECONDS = 1.0
WAITING_BYTES = 64 * 1024 * 1024
"""Largest batch that may wait for the one being synced; more is refused."""
RESERVE_BYTES = 64 * 1024 * 1024
"""Free bytes below which nothing more is stored (but never more than 5 % of the disk)."""
RESERVE_FILES = 100

LONGEST_LINE = 16 * 1024 * 1024
"""Bytes up to which a line is read: one of the largest body that is taken, with every byte of it
escaped, is shorter, so what is longer is none of ours."""
BEGINNING = 4096
"""Bytes of a longer line that are read all the same."""

Key = Literal["event", "events", "body", "body_base64"]

_FRAME = re.compile(
    rb'\{"received_at": "([^"]*)", "webhook": "([^"]*)", "signature": "([^"]*)", '
    rb'"(event|events|body|body_base64)": (.*)\}\n?',
    re.DOTALL,
)
_SCAN = 1024 * 1024
_PEEK = 4096
_NEWLINE = ord("\n")
_ENDINGS = (".jsonl", ".jsonl.zst")
_OF_THE_DISK = "lost+found"
"""Root's own directory at the root of an ext4: it stands in a spool that is a disk of its own."""
_sync = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync


# ── lines ────────────────────────────────────────────────────────────────────────────────────


class LongLine(SpoolError):
    """The next line of a segment is longer than ``LONGEST_LINE``."""

    def __init__(self, name: str, offset: int, beginning: bytes, size: int) -> None:
        """``size`` counts its newline; of ``beginning`` the first ``BEGINNING`` bytes are kept."""
        super().__init__(
            f"segment {name} has a line of {size - 1} bytes at {offset}; one of up to "
            f"{LONGEST_LINE} is read, so put one event on a line."
        )
        self.beginning, self.size = beginning[:BEGINNING], size


@dataclass(frozen=True, slots=True)
class Framed:
    """A spool line taken apart: what ``frame`` was given."""

    received_at: str
    webhook: str
    signature: str
    key: Key
    body: bytes


def frame(
    received_at: datetime,
    webhook: str,
    signature: str,
    key: Literal["event", "events", "body"],
    body: bytes,
) -> bytes:
    """Return the spool line of one signed body, newline included.

    ``received_at`` is aware; ``key`` is what ``strict_json.form`` said. Under ``event`` and
    ``events`` the body stands byte for byte; under ``body`` as text, or, where it is not UTF-8,
    under ``body_base64``. ``unframe`` gives the body back byte for byte in every case.
    """
    name, value = (key, body) if key != "body" else _as_text(body)
    when = received_at.astimezone(UTC).isoformat(timespec="microseconds")[:-6]
    head = f'{{"received_at": "{when}Z", "webhook": "{webhook}", "signature": "{signature}", '
    return b'%s"%s": %s}\n' % (head.encode(), name.encode(), value)


def unframe(line: bytes) -> Framed | None:
    """Take a line made by ``frame`` apart; None when it was not made by it (a bare event)."""
    match = _FRAME.fullmatch(line)
    if match is None:
        return None
    when, webhook, signature, name = (
        part.decode("utf-8", "replace") for part in match.groups()[:4]
    )
    try:
        body = _from_text(name, match[5])
    except ValueError:
        return None
    return Framed(when, webhook, signature, name, body)  # type: ignore[arg-type]


def _as_text(body: bytes) -> tuple[str, bytes]:
    try:
        return "body", orjson.dumps(body.decode("utf-8"))
    except UnicodeDecodeError:
        return "body_base64", orjson.dumps(base64.b64encode(body).decode("ascii"))


def _from_text(name: str, value: bytes) -> bytes:
    if name == "body":
        return str(orjson.loads(value)).encode()
    return base64.b64decode(orjson.loads(value), validate=True) if name == "body_base64" else value


# ── writing ──────────────────────────────────────────────────────────────────────────────────


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


def sync_directory(path: Path) -> None:
    """Make the entries of a directory durable: a new, renamed or removed name is on disk."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _create(path: Path, opened: float) -> _Open:
    """Create a segment and, before it, its companion; both vanish again if that fails."""
    flags = os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    companion = os.open(_companion(path), flags | os.O_RDWR, 0o600)
    made = {companion: _companion(path)}  # never what stood there before
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
        _companion(segment.path).unlink()
    _close(segment.fd, segment.companion)


def _close(*descriptors: int) -> None:
    for fd in descriptors:
        with suppress(OSError):
            os.close(fd)


def _companion(path: Path) -> Path:
    return path.with_name(path.name + ".active")


@contextmanager
def _as_spool_error() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SpoolError(
            f"the spool cannot be written ({error.strerror}): free or mend its disk."
        ) from None


# ── reading ──────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, order=True, slots=True)
class Segment:
    """One file of lines in the spool.

    ``name`` is its path relative to the spool, with ``/``, and always ends in ``.jsonl``: a file
    that has been compressed keeps its name. ``path`` is where it was when it was listed.
    """

    name: str
    path: Path


def list_segments(spool: Path, unread: list[SpoolError] | None = None) -> list[Segment]:
    """Return the segments under ``spool``, sorted by name; none when there is no such directory.

    Files dropped in by hand count. Symbolic links and anything that is not a plain file do not.
    A file that stands there both plain and compressed (a crash between the two steps, a backup
    of its beginning that was restored) counts once, in the form that holds more. Raises
    ``SpoolError`` for a directory that cannot be read; where ``unread`` is given, that is put
    there instead, and the others are listed, unless it is the spool itself.
    """
    found: dict[str, Segment] = {}
    for place in sorted(_files(spool, unread)):  # x.jsonl before x.jsonl.zst
        # A file's name may be no UTF-8, and the tables hold nothing else.
        name = os.fsencode(place.removesuffix(".zst")).decode("utf-8", "backslashreplace")
        segment = Segment(name, spool / place)
        found[name] = _longer(found[name], segment) if name in found else segment
    return sorted(found.values())


def vanished(spool: Path, loaded: Collection[str]) -> Iterator[SpoolError]:
    """Yield what is to be told where the directory of segments that were loaded is not there."""
    if loaded and not spool.exists():
        yield SpoolError(
            f"{spool} is not there, but {plural(len(loaded), 'segment')} of it had been loaded: "
            "mount or restore it, or name the right LOADER_HOME."
        )


def read_block(segment: Segment, offset: int, limit: int) -> bytes:
    """Return whole lines of ``segment`` from ``offset`` on: ``limit`` bytes at most.

    One line that is longer than ``limit`` comes alone. Nothing comes from beyond what is known
    to be on disk, nor from a last line without its newline; ``b""`` when there is nothing.
    Offsets count uncompressed bytes. Reading a compressed segment from where the last block
    ended costs no more than the block. Raises ``SpoolError`` when the segment is shorter than
    ``offset``, or cannot be read; ``LongLine`` where a line is longer than ``limit`` and
    ``LONGEST_LINE``.
    """
    with _readable(segment) as (fd, path):
        if path is None and offset:
            raise SpoolError(f"segment {segment.name} is gone from the spool: put it back.")
        if path is None:
            return b""  # it was empty, and its writer has taken it away
        if path.suffix == ".zst":
            return _read_compressed(segment, path, fd, offset, limit)
        return _read_plain(segment, path, fd, offset, limit)


def segment_end(segment: Segment) -> int:
    """Return the offset after the last whole durable line of ``segment``, in uncompressed bytes.

    Of a compressed segment made elsewhere this is its length, even where the last line is torn;
    of one that is gone, 0.
    """
    with _readable(segment) as (fd, path):
        if path is None:
            return 0
        if path.suffix == ".zst":
            return _compressed_end(segment, path, os.fstat(fd))
        durable = _durable(path, fd)
        return _last_newline(fd, 0, durable)


def holds_more(segment: Segment, offset: int) -> bool:
    """Say whether ``segment`` may hold anything else than what was read up to ``offset``.

    That costs a look at the file's size; of a compressed one, once in a process, at its frames.
    It may be nothing that is durable yet, or no more than what a dead writer left to be sealed;
    where the file cannot be looked at, reading it will tell.
    """
    try:
        state = segment.path.stat()
        if segment.path.suffix == ".zst":
            return _compressed_end(segment, segment.path, state) != offset
        return state.st_size != offset or _companion(segment.path).exists()
    except (OSError, SpoolError):
        return True


def is_active(segment: Segment) -> bool:
    """Say whether a living process is still writing ``segment``."""
    return _watermark(segment.path) is not None


def ends_whole(segment: Segment) -> bool:
    """Say whether the last line of a plain segment has its newline."""
    with _readable(segment) as (fd, path):
        return path is not None and segment_end(segment) == os.fstat(fd).st_size


def other_form(path: Path) -> Path:
    """Return where the compressed form of a plain segment stands, or the plain one of it."""
    if path.suffix == ".zst":
        return path.with_suffix("")
    return path.with_name(path.name + ".zst")


def _longer(plain: Segment, packed: Segment) -> Segment:
    """Return the form that holds more; the plain one where they are alike or one is damaged."""
    try:
        return packed if segment_end(packed) > segment_end(plain) else plain
    except SpoolError:
        return plain


def _files(spool: Path, unread: list[SpoolError] | None, inside: str = "") -> Iterator[str]:
    """Yield where the plain files of segments are, relative to ``spool``."""
    try:
        with os.scandir(spool / inside) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if entry.name != _OF_THE_DISK:
                        yield from _files(spool, unread, f"{inside}{entry.name}/")
                elif entry.name.endswith(_ENDINGS) and entry.is_file(follow_symlinks=False):
                    yield inside + entry.name
    except FileNotFoundError:
        return  # removed since the directory above it was read
    except OSError as error:
        told = SpoolError(_sentence(str(error.filename), error))
        if unread is None or not inside:
            raise told from None
        unread.append(told)


@contextmanager
def _readable(segment: Segment) -> Iterator[tuple[int, Path | None]]:
    """Open the segment where it is now: it may have been compressed since it was listed."""
    for path in (segment.path, other_form(segment.path)):
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise _unreadable(segment, error) from None
        try:
            yield fd, path
        except OSError as error:
            raise _unreadable(segment, error) from None
        finally:
            os.close(fd)
        return
    yield -1, None


def _unreadable(segment: Segment, error: OSError) -> SpoolError:
    return SpoolError(_sentence(f"segment {segment.name}", error))


def _sentence(what: str, error: OSError) -> str:
    denied = isinstance(error, PermissionError)
    remedy = "let this user read it" if denied else "mend the disk or restore it from a backup"
    return f"{what} cannot be read ({error.strerror}): {remedy}."


def shorter(segment: Segment, size: int, offset: int) -> SpoolError:
    """Return what is to be told of a segment that holds less than was read from it."""
    return SpoolError(
        f"segment {segment.name} holds {size} bytes, but {offset} have been read from it: "
        "it was cut after it was loaded, so restore it from a backup."
    )


def _durable(path: Path, fd: int) -> int:
    """Return how many bytes of a plain segment are known to be on disk."""
    watermark = _watermark(path)
    if watermark is not None:
        return min(watermark, os.fstat(fd).st_size)
    if _companion(path).exists():
        _adopt(path, fd)
    return os.fstat(fd).st_size


def _watermark(path: Path) -> int | None:
    """Return the durable length while a living writer holds ``path``, else None."""
    try:
        fd = os.open(_companion(path), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _written_twice(fd)
    else:
        return None
    finally:
        os.close(fd)


def _written_twice(companion: int) -> int:
    while True:
        first, _, second = os.pread(companion, 64, 0).partition(b" ")
        if first == second.rstrip(b"\n"):
            return int(first or b"0")


def _adopt(path: Path, fd: int) -> None:
    """Make what a dead writer left durable, so that what is read now is never taken back."""
    os.fsync(fd)
    sync_directory(path.parent)
    # In a spool that may only be read the companion stays, and the next reader syncs again.
    with suppress(OSError):
        if os.fstat(fd).st_size == 0:
            path.unlink()
        _companion(path).unlink()


def _read_plain(segment: Segment, path: Path, fd: int, offset: int, limit: int) -> bytes:
    durable = _durable(path, fd)
    if offset > os.fstat(fd).st_size:
        raise shorter(segment, durable, offset)
    end = _last_newline(fd, offset, min(offset + limit, durable))
    if end == offset:
        end = _next_newline(fd, offset, durable)
        if end - offset > LONGEST_LINE + 1:
            raise LongLine(segment.name, offset, _pread(fd, BEGINNING, offset), end - offset)
    return _pread(fd, end - offset, offset)


def _pread(fd: int, size: int, offset: int) -> bytes:
    parts = []
    while size > 0 and (part := os.pread(fd, size, offset)):
        parts.append(part)
        offset, size = offset + len(part), size - len(part)
    return b"".join(parts)


def _last_newline(fd: int, start: int, stop: int) -> int:
    """Return the offset after the last newline in ``[start, stop)``; ``start`` if none."""
    step = _PEEK  # nearly always the last byte is one
    while stop > start:
        low = max(start, stop - step)
        found = _pread(fd, stop - low, low).rfind(b"\n")
        if found >= 0:
            return low + found + 1
        stop, step = low, _SCAN
    return start


def _next_newline(fd: int, start: int, stop: int) -> int:
    """Return the offset after the first newline in ``[start, stop)``; ``start`` if none."""
    for low in range(start, stop, _SCAN):
        found = _pread(fd, min(_SCAN, stop - low), low).find(b"\n")
        if found >= 0:
            return low + found + 1
    return start


# ── compressed segments ──────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class _Stream:
    """A compressed segment read up to ``offset``; ``rest`` is what has been read beyond it."""

    identity: tuple[int, int, int]
    source: IO[bytes]
    reader: zstandard.ZstdDecompressionReader
    offset: int = 0
    rest: bytes = b""

    def take(self, size: int) -> bytes:
        """Return up to ``size`` bytes and go on after them."""
        while len(self.rest) < size and (more := self.reader.read(max(_SCAN, size))):
            self.rest += more
        taken, self.rest = self.rest[:size], self.rest[size:]
        self.offset += len(taken)
        return taken

    def give_back(self, data: bytes) -> None:
        """Put the end of what was taken back."""
        self.rest = data + self.rest
        self.offset -= len(data)


_stream: _Stream | None = None  # where the last block of a compressed segment ended
_stream_lock = threading.Lock()


def _read_compressed(segment: Segment, path: Path, fd: int, offset: int, limit: int) -> bytes:
    global _stream  # noqa: PLW0603
    with _stream_lock, _whole(segment):
        stream, _stream = _stream_at(segment, path, fd, offset), None
        data, size = _take_lines(stream, limit)
        _stream = stream  # only now: after an error its place would be unknown
    if size > len(data):
        raise LongLine(segment.name, offset, data, size)
    return data


def _take_lines(stream: _Stream, limit: int) -> tuple[bytes, int]:
    """Take lines of ``limit`` bytes at most, or one line; return them, and their size.

    Of a line that is longer than ``LONGEST_LINE`` only how it begins is returned.
    """
    data = stream.take(limit)
    end = data.rfind(b"\n") + 1
    if end:
        stream.give_back(data[end:])
        return data[:end], end
    size = len(data)
    while more := stream.take(_SCAN):
        end = more.find(b"\n") + 1 or len(more)
        stream.give_back(more[end:])
        size += end
        if size <= LONGEST_LINE + 1:
            data += more[:end]
        if more[end - 1] == _NEWLINE:
            return data, size
    if size == len(data):
        stream.give_back(data)
    return b"", 0


@contextmanager
def _whole(segment: Segment) -> Iterator[None]:
    try:
        yield
    except zstandard.ZstdError:
        raise SpoolError(
            f"segment {segment.name} is not whole zstd data: restore it from a backup."
        ) from None


def _stream_at(segment: Segment, path: Path, fd: int, offset: int) -> _Stream:
    state = os.fstat(fd)
    identity = (state.st_dev, state.st_ino, state.st_mtime_ns)
    stream = _stream
    if stream is None or stream.identity != identity or stream.offset > offset:
        source = path.open("rb")
        reader = zstandard.ZstdDecompressor().stream_reader(source, read_across_frames=True)
        stream = _Stream(identity, source, reader)
    while stream.offset < offset:
        if not stream.take(min(_SCAN, offset - stream.offset)):
            raise shorter(segment, stream.offset, offset)
    return stream


def _compressed_end(segment: Segment, path: Path, state: os.stat_result) -> int:
    with _whole(segment):
        return _uncompressed_size(path, state.st_ino, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=100_000)
def _uncompressed_size(path: Path, _inode: int, _changed: int, size: int) -> int:
    """Return the sum of the frames' lengths, as their headers say; else by reading it all."""
    with path.open("rb", buffering=0) as source:  # three bytes here, three bytes there
        total = 0
        while source.tell() < size:
            length = _skip_frame(source)
            if length is None:
                source.seek(0)
                return _count(source)
            if source.tell() > size:
                raise zstandard.ZstdError("the frame ends early")
            total += length
        return total


def _skip_frame(source: IO[bytes]) -> int | None:
    """Go on to the next frame; return this one's uncompressed length, None where it is unsaid."""
    start = source.tell()
    head = source.read(18)
    if head[:4] == zstandard.FRAME_HEADER:
        about = zstandard.get_frame_parameters(head)
        if about.content_size in {zstandard.CONTENTSIZE_UNKNOWN, zstandard.CONTENTSIZE_ERROR}:
            return None
        source.seek(start + zstandard.frame_header_size(head))
        last = False
        while not last:
            header = source.read(3)
            if len(header) < 3:
                raise zstandard.ZstdError("the frame ends early")
            block = int.from_bytes(header, "little")
            last, kind, length = bool(block & 1), block >> 1 & 3, block >> 3
            source.seek(1 if kind == 1 else length, os.SEEK_CUR)
        source.seek(4 if about.has_checksum else 0, os.SEEK_CUR)
        return int(about.content_size)
    return None


def _count(source: IO[bytes]) -> int:
    reader = zstandard.ZstdDecompressor().stream_reader(source, read_across_frames=True)
    total = 0
    while part := reader.read(_SCAN):
        total += len(part)
    return total
