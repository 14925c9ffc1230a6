"""The published warehouse → a read-only connection, and answers in the usual forms."""

from pathlib import Path

import duckdb

from loader.errors import WarehouseError
from loader.settings import Settings


def connect(settings: Settings) -> duckdb.DuckDBPyConnection:
    """Return a connection that can read the published warehouse and nothing else.

    No file, no network, no setting is within its reach; times are UTC. What it sees does not
    change while it is open. Raises ``WarehouseError`` when there is no warehouse yet.
    """
    path = Path(settings.warehouse)
    if not path.exists():
        raise WarehouseError(f"there is no warehouse at {path} yet: run loader ingest first.")
    try:
        con = duckdb.connect(str(path), read_only=True)
    except (duckdb.Error, OSError) as error:
        raise WarehouseError(
            f"{path} cannot be opened ({type(error).__name__}): run loader ingest to publish it."
        ) from None
    con.execute("set TimeZone = 'UTC'; set enable_external_access = false")
    con.execute("set lock_configuration = true")
    return con
