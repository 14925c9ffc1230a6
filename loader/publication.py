"""The private database file → the published one, which readers open as long as they like.

The published file is never changed in place: a complete copy takes its name, so a reader has
either the old one or the new one, and an open connection keeps what it opened.
"""

import fcntl
import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path

from loader.durable import sync_directory
from loader.errors import WarehouseError

_FICLONE = 0x40049409
_COPY_BYTES = 1024 * 1024


def private_path(published: Path) -> Path:
    """Return where the loader's own database file stands: beside the published one."""
    return published.with_name(f"{published.stem}.private{published.suffix}")


def beside(published: Path, role: str) -> Path:
    """Return the path of a file that belongs to ``published``, such as its lock."""
    return published.with_name(f"{published.stem}.{role}")


def publish(source: int, published: Path) -> None:
    """Give the name ``published`` to a read-only copy of the open file ``source``.

    ``source`` is a descriptor of a checkpointed database. When this returns, the copy and its
    name are on disk. Raises ``WarehouseError``; then the old file stands.
    """
    aside = beside(published, "publishing")
    try:
        with suppress(FileNotFoundError):
            aside.unlink()
        _copy(source, aside, stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH)
        # DuckDB would replay the log of an older file into the new one, without a word.
        with suppress(FileNotFoundError):
            wal(published).unlink()
        aside.rename(published)
        sync_directory(published.parent)
    except OSError as error:
        with suppress(OSError):
            aside.unlink()
        raise WarehouseError(
            f"{published} cannot be published ({error.strerror}): free space, or mend the disk."
        ) from None


def copy(published: Path, private: Path) -> None:
    """Make a new private file of a published one. Raises ``OSError``."""
    with published.open("rb") as source:
        _copy(source.fileno(), private, stat.S_IRUSR | stat.S_IWUSR)


def wal(path: Path) -> Path:
    """Return the path of DuckDB's write-ahead log of ``path``."""
    return path.with_name(path.name + ".wal")


def _copy(source: int, target: Path, mode: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    fd = os.open(target, flags, 0o600)
    try:
        if not _clone(source, fd):
            _copy_bytes(source, fd)
        os.fchmod(fd, mode)
        os.fsync(fd)
    finally:
        os.close(fd)


def _clone(source: int, target: int) -> bool:
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError:
        return False  # only some file systems share blocks between files
    return True


def _copy_bytes(source: int, target: int) -> None:
    # As quick as copy_file_range, which not every file system and sandbox has.
    with open(source, "rb", closefd=False) as whole, open(target, "wb", closefd=False) as aside:
        whole.seek(0)
        shutil.copyfileobj(whole, aside, _COPY_BYTES)
