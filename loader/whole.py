"""A file that somebody will read → on disk whole, or not at all; for its owner only."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def written(path: Path) -> Iterator[IO[bytes]]:
    """Yield a file to write to, which takes the place of ``path`` at the end of the block.

    A link is followed. Where anything fails, ``path`` stays as it was and nothing is left behind.
    Raises ``OSError``, also where ``path`` is there and no file: a device, a pipe, a directory.
    """
    path = path.resolve()  # from Python 3.13 on a link in a circle stays one
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise OSError(errno.EINVAL, "it is no file", str(path))
    descriptor, aside = tempfile.mkstemp(dir=path.parent, prefix=".written-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
        Path(aside).replace(path)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise
