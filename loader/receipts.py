"""Segments that were removed from the spool → what is known of each for ever: its receipt."""

import errno
import json
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from operator import itemgetter
from pathlib import Path

from loader.durable import sync_directory
from loader.errors import SpoolError
from loader.spool import Segment, list_segments, other_form, segment_end
from loader.wording import plural

RECEIPTS = "expired.log"
"""In the spool: a JSON line for every segment that was removed, written before it goes."""

RESERVE = "expired.reserve"
"""In the spool: some space, given up for the next receipt where the disk is full."""

_RESERVE_BYTES = 64 * 1024
_FULL = {errno.ENOSPC, errno.EDQUOT}


def expired(spool: Path) -> dict[str, int]:
    """Return the names of the segments that were removed, each with its uncompressed length.

    Of one that came back, and went again, the most that it ever had. Raises ``SpoolError`` where
    somebody else has written what is no receipt.
    """
    try:
        lines = (spool / RECEIPTS).read_text("utf-8").splitlines()
        whole = [json.loads(one) for one in lines if one.startswith("{") and one.endswith("}")]
        return dict(sorted(((one["segment"], one["bytes"]) for one in whole), key=itemgetter(1)))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (ValueError, KeyError, TypeError):
        raise SpoolError(
            f"{spool / RECEIPTS} has a line that is no receipt: take it out, or restore the file "
            "from a backup."
        ) from None


def lacking(spool: Path, receipts: Mapping[str, int], loaded: Mapping[str, int]) -> Iterator[str]:
    """Yield a sentence where a warehouse that has ``loaded`` lacks what was removed.

    ``receipts``, which ``expired`` gave, are no younger than ``loaded``.
    """
    lost = {name for name, size in receipts.items() if loaded.get(name, 0) < size}
    segments = list_segments(spool, []) if lost else []
    if lost := lost - {one.name for one in segments if _holds(one, receipts.get(one.name, 0))}:
        yield (
            f"{plural(len(lost), 'segment')} expired from the spool that this warehouse does not "
            "hold, so every figure lacks their events: restore a backup of the warehouse that "
            "does (of a file: in its place, and delete the private one beside it), or of the "
            f"segments that {RECEIPTS} names."
        )


def _holds(segment: Segment, size: int) -> bool:
    """Say whether a segment that came back has all that went."""
    with suppress(SpoolError):
        return segment_end(segment) >= size
    return False


def gone(spool: Path, present: Collection[str], loaded: Mapping[str, int]) -> list[str]:
    """Return the names of what was loaded and is neither ``present`` nor put away."""
    removed = expired(spool)
    return sorted(
        name
        for name, offset in loaded.items()
        if offset and name not in present and name not in removed
    )


def was_put_away(spool: Path, segment: Segment) -> bool:
    """Say whether ``segment`` was removed since it was listed: its receipt was written before."""
    forms = (segment.path, other_form(segment.path))
    return not any(path.exists() for path in forms) and segment.name in expired(spool)


def give(spool: Path, receipt: Mapping[str, object]) -> None:
    """Write the receipt of a segment that goes next; it is on disk when this returns."""
    try:
        _write(spool, receipt)
    except OSError as error:
        if error.errno not in _FULL:
            raise
        (spool / RESERVE).unlink(missing_ok=True)
        _write(spool, receipt)
    sync_directory(spool)


def _write(spool: Path, receipt: Mapping[str, object]) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    fd = os.open(spool / RECEIPTS, flags, 0o600)
    with os.fdopen(fd, "wb") as target:
        # The newline before it keeps it whole when an earlier receipt was torn by a crash.
        target.write(b"\n" + json.dumps(receipt).encode() + b"\n")
        target.flush()
        os.fsync(target.fileno())


def reserve(spool: Path) -> None:
    """Keep some space for a receipt: no segment goes without, and on a full disk one has to."""
    with suppress(OSError), (spool / RESERVE).open("ab") as file:
        if hasattr(os, "posix_fallocate"):  # which macOS lacks
            os.posix_fallocate(file.fileno(), 0, _RESERVE_BYTES)
