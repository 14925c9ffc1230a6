"""A warehouse file → a lake that holds the same, proved before anybody sees it."""

from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb

from loader.errors import SettingsError, WarehouseError
from loader.lake import NAME, is_lake
from loader.lake_target import LakeTarget
from loader.progress import Report
from loader.settings import Settings
from loader.warehouse import Warehouse

SOURCE = "source"
WITH_SEGMENTS = ("ingest_ledger", "quarantine")
_OWN = ("report_settings", "schema_state")


def migrate(
    settings: Settings, source: Path, progress: Report = lambda _rows, _share: None
) -> dict[str, Any]:
    """Copy the warehouse file ``source`` into the empty lake of ``settings``, and publish it.

    Rows, quarantine and ledger go in one commit, so that loaders go on where the file ended: the
    spool of ``settings`` is the one the file was loaded from. That commit is made only if every
    table then counts as many rows as the file's and ``campaign_report`` is the same, row by row
    and column by column. ``progress`` is told in rows. Returns ``rows`` by table and
    ``campaigns``, those compared. Raises ``LoaderError``; then the lake is as it was.
    """
    if not is_lake(settings):
        raise SettingsError("LOADER_WAREHOUSE names no lake to migrate into: set ducklake:….")
    if not source.exists():
        raise WarehouseError(f"there is no warehouse file at {source}: name the published one.")
    target = LakeTarget(settings)
    warehouse = Warehouse(target, settings.timezone)
    with closing(warehouse.open()):
        found: dict[str, Any] = {}
        target.publish(lambda: found.update(_move(target, source, progress)))
    return found


def _attach(con: duckdb.DuckDBPyConnection, source: Path) -> None:
    name = str(source.resolve()).replace("'", "''")
    try:
        con.execute(f"attach if not exists '{name}' as {SOURCE} (read_only)")
        same = _one(con, f"select fingerprint from {SOURCE}.schema_state")
    except duckdb.Error as error:
        raise WarehouseError(
            f"{source} cannot be read as a warehouse ({type(error).__name__}): name the published "
            "file, and run loader ingest on it with this version first."
        ) from None
    if same != _one(con, "select fingerprint from schema_state"):
        raise WarehouseError(
            f"{source} was published by another version of loader, or for another time zone: run "
            "loader ingest on it with this one first."
        )


def _move(target: LakeTarget, source: Path, progress: Report) -> dict[str, Any]:
    con = target.con
    _attach(con, source)
    if _one(con, "select count(*) from ingest_ledger"):
        raise WarehouseError(
            "the lake is not empty: migrate into a new one, or go on with loader ingest."
        )
    rows = {table: _copy(con, table, target.prefix) for table in _tables(con)}
    progress(sum(rows.values()), 0.8)
    campaigns = _compare(con, rows)
    progress(sum(rows.values()), 1.0)
    return {"rows": rows, "campaigns": campaigns}


def _tables(con: duckdb.DuckDBPyConnection) -> list[str]:
    query = f"""
        select table_name
        from duckdb_tables() as here
        semi join (select table_name from duckdb_tables() where database_name = '{SOURCE}') as there
            using (table_name)
        where database_name = '{NAME}'
        order by estimated_size, table_name
    """
    return [name for (name,) in con.execute(query).fetchall() if name not in _OWN]


def _copy(con: duckdb.DuckDBPyConnection, table: str, prefix: str) -> int:
    named = f"replace ('{prefix}' || segment as segment)" if table in WITH_SEGMENTS else ""
    con.execute(f"delete from {table}")  # definitions stand there already
    con.execute(f"insert into {table} by name select * {named} from {SOURCE}.{table}")
    return int(_one(con, f"select count(*) from {SOURCE}.{table}"))


def _compare(con: duckdb.DuckDBPyConnection, rows: dict[str, int]) -> int:
    differing = [name for name, count in rows.items() if _count(con, name) != count]
    if differing:
        raise WarehouseError(f"{differing[0]} has other rows in the lake: nothing was moved.")
    here, there = "select * from campaign_report", f"select * from {SOURCE}.campaign_report"
    query = (
        f"select count(*) from (({here} except all {there}) union all ({there} except all {here}))"
    )
    if _one(con, query):
        raise WarehouseError("campaign_report differs in the lake: nothing was moved.")
    return _one(con, "select count(*) from campaign_report where campaign_id is not null")


def _count(con: duckdb.DuckDBPyConnection, table: str) -> int:
    return int(_one(con, f"select count(*) from {table}"))


def _one(con: duckdb.DuckDBPyConnection, query: str) -> int:
    row = con.execute(query).fetchone()
    return row[0] if row else 0
