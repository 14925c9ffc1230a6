"""Errors of DuckDB → whether memory was what it lacked; and how much of it DuckDB takes.

A loader lets DuckDB have little, which is enough for events of the usual size. Texts of 64 kB and
more are not: 2,048 values of a column are in memory together when they are written.
"""

import re

import duckdb

_LACKED = re.compile("failed to pin block|could not allocate|out of memory", re.IGNORECASE)
"""How DuckDB puts it in errors of other classes: of a commit, of a checkpoint."""


def lacked_memory(error: Exception) -> bool:
    """Say whether DuckDB might have done it with a higher ``memory_limit``."""
    if isinstance(error, duckdb.OutOfMemoryException):
        return True
    return isinstance(error, duckdb.Error) and _LACKED.search(str(error)) is not None


def default_memory() -> str:
    """Return how much DuckDB takes where nobody says, of this machine's memory."""
    with duckdb.connect() as con:
        return str(con.execute("select current_setting('memory_limit')").fetchall()[0][0])
