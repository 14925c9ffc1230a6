"""Segment files of a spool → whole lines from an offset; bytes only.

A segment is one file that one process writes once. While it is being written a companion
``<segment>.active`` stands beside it: locked by the writer, and holding the number of bytes that
are known to be on disk. When the writer seals the segment the companion goes. A companion that
nobody has locked belongs to a writer that died: whoever reads next makes what is there durable
and removes it. No segment is ever appended to by a second process: a file that a power failure
shortened would regrow under offsets that a reader has already consumed.
"""

import fcntl
import os
import re
import threading
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO

import zstandard

from loader.durable import sync_directory
from loader.errors import SpoolError
from loader.wording import plural

LONGEST_LINE = 16 * 1024 * 1024
"""Bytes up to which a line is read: one of the largest body that is taken, with every byte of it
escaped, is shorter, so what is longer is none of ours."""
BEGINNING = 4096
"""Bytes of a longer line that are read all the same."""

_SCAN = 1024 * 1024
_PEEK = 4096
_NEWLINE = ord("\n")
_ENDINGS = (".jsonl", ".jsonl.zst")
_OURS = re.compile(r"\d{4}-\d\d-\d\d/\d{6}\.\d{6}-[0-9a-f]+\.jsonl")
_OF_THE_DISK = "lost+found"
"""Root's own directory at the root of an ext4: it stands in a spool that is a disk of its own."""
_AT_ONCE = 100
"""Names that the system lists in one step, however long they are."""


class LongLine(SpoolError):
    """The next line of a segment is longer than ``LONGEST_LINE``."""

    def __init__(self, name: str, offset: int, beginning: bytes, size: int) -> None:
        """``size`` counts its newline; of ``beginning`` the first ``BEGINNING`` bytes are kept."""
        super().__init__(
            f"segment {name} has a line of {size - 1} bytes at {offset}; one of up to "
            f"{LONGEST_LINE} is read, so put one event on a line."
        )
        self.beginning, self.size = beginning[:BEGINNING], size


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
    ``SpoolError`` where two forms disagree, or a directory cannot be read; where ``unread`` is
    given, that is put there instead, and the others are listed, unless it is the spool itself.
    """
    found: dict[str, Segment] = {}
    for place in sorted(_files(spool, unread)):  # x.jsonl before x.jsonl.zst
        # A file's name may be no UTF-8, and the tables hold nothing else.
        name = os.fsencode(place.removesuffix(".zst")).decode("utf-8", "backslashreplace")
        segment = Segment(name, spool / place)
        if kept := _longer(found.pop(name), segment) if name in found else segment:
            found[name] = kept
        elif unread is None:
            raise _disagreeing(name)
        else:
            unread.append(_disagreeing(name))
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
    ``offset``, has no line that begins there, or cannot be read; ``LongLine`` where a line is
    longer than ``limit`` and ``LONGEST_LINE``.
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
        return state.st_size != offset or companion_of(segment.path).exists()
    except (OSError, SpoolError):
        return True


def is_active(segment: Segment) -> bool:
    """Say whether a living process is still writing ``segment``."""
    return _watermark(segment.path) is not None


def is_ours(name: str) -> bool:
    """Say whether a segment's name is of the form that the receiver gives."""
    return _OURS.fullmatch(name) is not None


def ends_whole(segment: Segment) -> bool:
    """Say whether the last line of a plain segment has its newline."""
    with _readable(segment) as (fd, path):
        return path is not None and segment_end(segment) == os.fstat(fd).st_size


def other_form(path: Path) -> Path:
    """Return where the compressed form of a plain segment stands, or the plain one of it."""
    if path.suffix == ".zst":
        return path.with_suffix("")
    return path.with_name(path.name + ".zst")


def _longer(plain: Segment, packed: Segment) -> Segment | None:
    """Return the form that holds more, None where neither is the beginning of the other.

    It is the plain one where they are alike, or the other is damaged.
    """
    try:
        states = [path.stat() for path in (plain.path, packed.path)]
        times = [(state.st_ino, state.st_mtime_ns, state.st_size) for state in states]
        beyond = _beyond(plain.path, packed.path, *times)
    except (OSError, zstandard.ZstdError):
        return plain  # where it is gone by now, the other one is read
    if beyond is None:
        return None
    return packed if beyond > 0 else plain


@lru_cache(maxsize=1000)
def _beyond(plain: Path, packed: Path, *_states: tuple[int, int, int]) -> int | None:
    """Return how many bytes more the compressed form holds, fewer than none where it has less."""
    with plain.open("rb") as beside, packed.open("rb") as source:
        reader = zstandard.ZstdDecompressor().stream_reader(source, read_across_frames=True)
        more = 0
        while part := reader.read(_SCAN):
            same = beside.read(len(part))
            if not part.startswith(same):
                return None
            more += len(part) - len(same)
        return more or -len(beside.read(1))


def _disagreeing(name: str) -> SpoolError:
    return SpoolError(
        f"segment {name} stands there plain and compressed, and neither is the beginning of the "
        "other: give one of them another name."
    )


def companion_of(path: Path) -> Path:
    """Return what stands beside a segment while it is being written."""
    return path.with_name(path.name + ".active")


def _files(spool: Path, unread: list[SpoolError] | None, inside: str = "") -> Iterator[str]:
    """Yield where the plain files of segments are, relative to ``spool``."""
    try:
        for entry in _entries(spool / inside):
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


def _entries(directory: Path) -> Iterable["os.DirEntry[str]"]:
    """Return what is in a directory; what gets another name meanwhile, under one of the two."""
    found: dict[str, os.DirEntry[str]] = {}
    # The system lists many in several steps. What is compressed between two of them it may pass
    # over under both names; then it has been compressed by the second time.
    for _ in range(2):
        with os.scandir(directory) as entries:
            found.update((entry.name, entry) for entry in entries)
        if len(found) <= _AT_ONCE:
            break
    return found.values()


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


def _refuse_replaced(segment: Segment, offset: int, before: bytes) -> None:
    """Raise where the byte ``before`` an offset up to which was read ends no line."""
    if before not in {b"", b"\n"}:
        raise SpoolError(
            f"segment {segment.name} is not the one of which {offset} bytes have been read, for "
            "no line begins there: put that one back, and this one under another name; or loader "
            "ingest --rebuild takes it as it is now."
        )


def _durable(path: Path, fd: int) -> int:
    """Return how many bytes of a plain segment are known to be on disk."""
    watermark = _watermark(path)
    if watermark is not None:
        return min(watermark, os.fstat(fd).st_size)
    if companion_of(path).exists():
        _adopt(path, fd)
    return os.fstat(fd).st_size


def _watermark(path: Path) -> int | None:
    """Return the durable length while a living writer holds ``path``, else None."""
    try:
        fd = os.open(companion_of(path), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
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
        companion_of(path).unlink()


def _read_plain(segment: Segment, path: Path, fd: int, offset: int, limit: int) -> bytes:
    durable = _durable(path, fd)
    if offset > os.fstat(fd).st_size:
        raise shorter(segment, durable, offset)
    _refuse_replaced(segment, offset, _pread(fd, 1, offset - 1) if offset else b"")
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
    taken = b""
    while stream.offset < offset:
        taken = stream.take(min(_SCAN, offset - stream.offset))
        if not taken:
            raise shorter(segment, stream.offset, offset)
    _refuse_replaced(segment, offset, taken[-1:])
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
