"""Names and contents of files → on disk, where a power failure leaves them."""

import os
from pathlib import Path


def sync_directory(path: Path) -> None:
    """Make the entries of a directory durable: a new, renamed or removed name is on disk."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_file(path: Path) -> None:
    """Make the contents of ``path`` durable."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
