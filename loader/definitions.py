"""``sql/`` → its fingerprint, which says whether a warehouse has the definitions of this version.

A database is given them whenever it is opened for loading. Readers find what was published, which
after an upgrade is the work of the version before until something is loaded.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import duckdb

from loader.assets import asset
from loader.errors import WarehouseError

LAYERS = ("tables", "staging", "marts")
OTHER_VERSION = (
    "this warehouse was published by another version of loader: loader ingest, or a restart of "
    "what follows the spool, brings it to this one."
)


def definitions() -> dict[Path, str]:
    """Return every file of ``sql/`` that makes an object, and its text."""
    return {
        file: file.read_text("utf-8")
        for layer in LAYERS
        for file in sorted((asset("sql") / layer).glob("*.sql"))
    }


def fingerprint(files: Mapping[Path, str], timezone: str) -> str:
    """Return what tells definitions apart, and the zone and the DuckDB that they were given to."""
    return digest([duckdb.__version__, timezone, *files.values()])


def digest(texts: Iterable[str]) -> str:
    """Return what tells some texts from all others."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def applied(con: duckdb.DuckDBPyConnection) -> str | None:
    """Return the fingerprint of what a database was given last."""
    try:
        rows = con.execute("select fingerprint from schema_state").fetchall()
    except duckdb.CatalogException:
        return None
    return rows[0][0] if rows else None


def other_version(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Return a sentence where another version published what ``con`` reads, whatever its zone."""
    given = applied(con)
    zones = con.execute("select timezone from report_settings").fetchall() if given else []
    files = definitions()
    is_ours = any(given == fingerprint(files, zone) for (zone,) in zones)
    return [] if is_ours else [OTHER_VERSION]


@contextmanager
def of_this_version() -> Iterator[None]:
    """Turn it into one sentence where our own queries do not fit what another version published."""
    try:
        yield
    except (duckdb.CatalogException, duckdb.BinderException):
        raise WarehouseError(OTHER_VERSION) from None
