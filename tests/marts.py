"""A small world for tests of the marts: a database with all of ``sql/``, and events put in it."""

import shutil
from collections.abc import Sequence
from functools import cache
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb

from loader import query
from loader.events import dsn_code, message_key
from loader.objects import apply_sql
from loader.refresh import PART_EVENTS, refresh_steps
from loader.refresh import refresh as run_refresh
from loader.settings import Settings

KEPT = (
    "message_dense", "click_moment", "event_fallback", "message_reaction", "campaign",
    "recipient_state",
)  # fmt: skip
"""The tables that ``sql/refresh`` keeps."""


def database(timezone: str = "UTC") -> duckdb.DuckDBPyConnection:
    """Return an empty warehouse, reports being cut in ``timezone``."""
    template, number = _template(), next(_NUMBERS)
    path = template.with_name(f"{number}.duckdb")
    shutil.copy(template, path)
    con = duckdb.connect(str(path))
    con.execute("set TimeZone = 'UTC'")
    con.execute("update report_settings set timezone = ?", [timezone])
    return con


_NUMBERS = count()
_DIRECTORY = TemporaryDirectory()


@cache
def _template() -> Path:
    # Binding all views takes a second or two; copying a file takes nothing.
    path = Path(_DIRECTORY.name) / "template.duckdb"
    with duckdb.connect(str(path)) as con:
        apply_sql(con, "UTC")
    return path


def at(con: duckdb.DuckDBPyConnection, moment: str) -> None:
    """Stop the clock of the marts at ``moment`` (naive UTC)."""
    con.execute(f"create or replace macro report_now() as (timestamp '{moment}')")


def put(con: duckdb.DuckDBPyConnection, table: str, /, **fields: Any) -> None:
    """Insert an event of ``table``; ``id`` is its message id, ``at`` when it occurred."""
    row = {
        "message_key": message_key(fields["id"]),
        "message_id": fields.pop("id"),
        "recipient": fields.pop("to", "ann@gmail.com"),
        "occurred_at": fields.pop("at"),
        "sender": "news@shop.example",
        **fields,
    }
    if "dsn_status" in row:
        row["dsn_code"] = dsn_code(row["dsn_status"])
    names = ", ".join(row)
    marks = ", ".join(f"${name}" for name in row)
    con.execute(
        f"insert into {table} by name select * from (values ({marks})) as e ({names})",
        row,
    )


def refresh(con: duckdb.DuckDBPyConnection, part_events: int = PART_EVENTS) -> bool:
    """Bring the kept tables up to date in one transaction; say whether all were made anew."""
    (_, plan), *others = refresh_steps()
    full = "create or replace temp table refreshed as select is_full from refresh_plan"
    con.begin()
    run_refresh(con, [(None, [*plan, full]), *others], part_events)
    con.commit()
    return con.execute("from refreshed").fetchall()[0][0]


def rows(con: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    """The rows of a query."""
    return con.sql(query).pl().to_dicts()


def one(con: duckdb.DuckDBPyConnection, query: str, *values: Any) -> Any:
    """The one row of a query; the value itself where there is one column."""
    (row,) = con.execute(query, list(values)).fetchall()
    return row[0] if len(row) == 1 else row


def bulk(
    con: duckdb.DuckDBPyConnection, table: str, /, campaign: str, number: int, at: str,
    first: int = 0, **fields: Any,
) -> None:  # fmt: skip
    """Insert ``number`` events of ``table``, a message of ``campaign`` each, from ``first`` on."""
    row = {"sender": "news@shop.example", **fields}
    query = f"""
        insert into {table} by name
        select
            md5($campaign || '-' || n)::uuid as message_key,
            $campaign || '-' || n as message_id,
            'p' || n || '@web.de' as recipient,
            $campaign as campaign_id,
            $at::timestamp as occurred_at,
            {", ".join(f"${name} as {name}" for name in row)}
        from range($first, $first + $number) as r (n)
    """
    con.execute(query, {"campaign": campaign, "number": number, "at": at, "first": first, **row})


def comments(
    settings: Settings, kinds: Sequence[str] = ("table", "view", "function")
) -> dict[str, str | None]:
    """Return the comment of every object of some kinds, as readers see them."""
    listed = " union all ".join(
        f"select {kind}_name, comment from duckdb_{kind}s() where not internal" for kind in kinds
    )
    with query.connect(settings) as con:
        return dict(con.execute(listed).fetchall())
