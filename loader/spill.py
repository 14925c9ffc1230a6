"""Where a session's queries go on that need more than the memory: a directory that is its own.

DuckDB gives the files in it the same names in every process: two sessions that share a directory
overwrite each other's rows, and may answer with wrong numbers (duckdb/duckdb#15173).
"""

import glob
import secrets
import shutil
import time
from contextlib import suppress
from pathlib import Path

_LEFT_SECONDS = 7 * 86_400.0


def spill_directory(home: Path, name: str) -> str:
    """Return the path of a directory in ``home`` that no other session has.

    DuckDB makes it when it is needed, and removes it when the session is closed. Those that
    killed sessions left are removed here, once nothing in them has changed for a week.
    """
    for left in home.glob(f"{glob.escape(name)}.{'[0-9a-f]' * 8}.tmp"):
        with suppress(OSError):  # another session removes it too
            if _changed_at(left) < time.time() - _LEFT_SECONDS:
                shutil.rmtree(left)
    return str(home / f"{name}.{secrets.token_hex(4)}.tmp")


def _changed_at(directory: Path) -> float:
    return max(path.stat().st_mtime for path in (directory, *directory.iterdir()))
