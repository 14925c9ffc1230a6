"""Segments that are sealed and loaded → compressed, and in the end removed.

Nothing is touched that a loader has not read to its end, and nothing that the receiver did not
write: files dropped into the spool by hand belong to whoever put them there.
"""

import fcntl
import hashlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import zstandard

from loader.durable import sync_directory
from loader.errors import SpoolError
from loader.receipts import give, reserve
from loader.spool import (
    Segment,
    ends_whole,
    is_active,
    is_ours,
    list_segments,
    other_form,
    segment_end,
)
from loader.wording import plural

COMPRESS_AFTER = timedelta(days=1)
"""A segment that was written to more recently stays plain, for whoever wants to look into it."""

_PATIENCE = timedelta(days=2)
"""So long after its time a segment may still be there before that is told."""

_BLOCK = 8 * 1024 * 1024
_LEVEL = 6


def retain(
    spool: Path,
    loaded: Mapping[str, int],
    *,
    now: datetime,
    keep_days: int | None,
    enough: Callable[[], bool] = lambda: False,
) -> None:
    """Compress and expire the segments under ``spool`` that need not stay as they are.

    ``loaded`` maps a segment's name to the offset up to which its lines are committed in the
    warehouse. A segment is compressed once it is sealed, whole, loaded to its end and a day old;
    it is removed when ``keep_days`` have passed since it was last written (None: never).
    ``now`` is aware. After a segment ``enough()`` leaves the others to the next round. A crash at
    any moment leaves every line in place, plain or compressed; what
    it left half made goes in the next round. Raises ``SpoolError`` when a segment is shorter than
    what was loaded from it, before anything is touched; and when something could not be put away,
    after everything else was. While another process is at it nothing is done.
    """
    problems: list[SpoolError] = []
    with _turn(spool) as mine:
        if mine:
            _put_away(spool, loaded, now, keep_days, enough, problems)
    if problems:
        more = f" (and {len(problems) - 1} more like it)" * (len(problems) > 1)
        raise SpoolError(f"{str(problems[0]).removesuffix('.')}{more}.")


def _put_away(
    spool: Path,
    loaded: Mapping[str, int],
    now: datetime,
    keep_days: int | None,
    enough: Callable[[], bool],
    problems: list[SpoolError],
) -> None:
    _remove_half_made(spool)
    if keep_days is not None:
        reserve(spool)
    for segment in _done(spool, loaded, problems):
        with _keeping(segment, problems):
            age = now - _written(segment)
            if keep_days is not None and age > timedelta(days=keep_days):
                _expire(spool, segment, now)
            elif age > COMPRESS_AFTER and _is_plain(segment):
                _compress(segment)
            else:
                continue
        if enough():
            break


@contextmanager
def _turn(spool: Path) -> Iterator[bool]:
    """Say whether nobody else puts away meanwhile, such as the loader of another warehouse."""
    try:
        held = os.open(spool, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        yield False  # there is nothing to put away
        return
    try:
        yield _locks(held)
    finally:
        os.close(held)


def _locks(held: int) -> bool:
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # not every file system locks a directory
    return True


def overdue(
    spool: Path, loaded: Mapping[str, int], *, now: datetime, keep_days: int | None
) -> Iterator[str]:
    """Yield a sentence where segments are there that should have expired ``_PATIENCE`` ago."""
    if keep_days is None:
        return
    longest, left = timedelta(days=keep_days) + _PATIENCE, 0
    with suppress(SpoolError, OSError):  # what cannot be read is told elsewhere
        left = sum(now - _written(one) > longest for one in _done(spool, loaded, []))
    if left:
        yield (
            f"{plural(left, 'segment')} stayed in the spool longer than LOADER_RETAIN_DAYS says: "
            "loader ingest puts away what should go, or says why it cannot."
        )


def _done(spool: Path, loaded: Mapping[str, int], problems: list[SpoolError]) -> list[Segment]:
    """Return what is sealed and loaded to its end, the oldest first: that may free the space."""
    ends: dict[Segment, int] = {}
    written: dict[Segment, datetime] = {}
    for segment in list_segments(spool):
        with _keeping(segment, problems):
            if is_ours(segment.name) and not is_active(segment):
                ends[segment] = segment_end(segment)
                written[segment] = _written(segment)
    for segment, end in ends.items():
        if (offset := loaded.get(segment.name, 0)) > end:
            raise SpoolError(
                f"segment {segment.name} holds {end} bytes, but {offset} were loaded from it: "
                "restore it from a backup; nothing was put away."
            )
    whole = (one for one in written if 0 < ends[one] == loaded.get(one.name, 0))
    return sorted(whole, key=lambda one: written[one])


def _written(segment: Segment) -> datetime:
    return datetime.fromtimestamp(segment.path.stat().st_mtime, UTC)


@contextmanager
def _keeping(segment: Segment, problems: list[SpoolError]) -> Iterator[None]:
    """Let what cannot be done with a segment stop nothing else."""
    try:
        yield
    except OSError as error:
        problems.append(
            SpoolError(
                f"segment {segment.name} could not be put away ({error.strerror}): "
                "it is kept as it was."
            )
        )
    except SpoolError as error:
        problems.append(error)


def _remove_half_made(spool: Path) -> None:
    """Remove what a kill left of a compression: addresses that nobody would ever remove."""
    for aside in spool.glob("*/.*.jsonl.zst.part"):
        with suppress(OSError):
            aside.unlink()


def _is_plain(segment: Segment) -> bool:
    """Say whether a segment can be compressed; one with a torn tail keeps its bytes as they are."""
    return segment.path.suffix != ".zst" and ends_whole(segment)


def _compress(segment: Segment) -> None:
    """Replace a plain segment by a compressed one of the same name."""
    state = segment.path.stat()
    aside = segment.path.with_name(f".{segment.path.name}.zst.part")
    fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as target, segment.path.open("rb") as source:
            packer = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
            packer.copy_stream(source, target, size=state.st_size)
            target.flush()
            os.fsync(target.fileno())
            if not _reads_back(aside, segment.path):
                raise SpoolError(
                    f"segment {segment.name} does not read back from its compressed form: "
                    "the disk or the memory is failing; it is kept as it was."
                )
            os.utime(aside, ns=(state.st_atime_ns, state.st_mtime_ns))
            aside.rename(segment.path.with_name(segment.path.name + ".zst"))
    except BaseException:
        with suppress(OSError):
            aside.unlink()
        raise
    sync_directory(segment.path.parent)
    segment.path.unlink()


def _reads_back(packed: Path, plain: Path) -> bool:
    try:
        return _digest(packed) == _digest(plain)
    except zstandard.ZstdError:
        return False


def _expire(spool: Path, segment: Segment, now: datetime) -> None:
    size = segment_end(segment)
    receipt = {
        "segment": segment.name,
        "bytes": size,
        "sha256": _digest(segment.path, size),
        "expired_at": now.astimezone(UTC).isoformat(),
    }
    give(spool, receipt)
    for path in (segment.path, other_form(segment.path)):
        with suppress(FileNotFoundError):
            path.unlink()


def _digest(path: Path, size: int = sys.maxsize) -> str:
    """Return the SHA-256 of the first ``size`` bytes, uncompressed."""
    digest = hashlib.sha256()
    with path.open("rb") as source:
        reader = zstandard.ZstdDecompressor().stream_reader(source, read_across_frames=True)
        stream = source if path.suffix == ".jsonl" else reader
        while part := stream.read(min(_BLOCK, size)):
            digest.update(part)
            size -= len(part)
    return digest.hexdigest()
