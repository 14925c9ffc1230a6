"""Keys of events → the rows that stand in their tables and may be duplicates of them."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from typing import Any

import duckdb
import numpy as np
import polars as pl

from loader.batch import PLACES, schema

_FAR, _MOST_GAPS = timedelta(days=1), 7
"""Between two events so far apart a look for duplicates is two, up to so many times."""


def look_up(con: duckdb.DuckDBPyConnection, table: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of ``table`` whose message_key and occurred_at are in ``frame``."""
    wanted = {name: kind for name, kind in schema(table).items() if name not in PLACES}
    parts = (_standing_between(con, table, part) for part in _apart(frame))
    found = [part for part in parts if part.height]
    if not found:
        return pl.DataFrame(schema=wanted)
    return pl.concat(found).select(pl.col(name).cast(kind) for name, kind in wanted.items())


def _standing_between(
    con: duckdb.DuckDBPyConnection, table: str, frame: pl.DataFrame
) -> pl.DataFrame:
    keys = frame.select("message_key", "occurred_at")  # noqa: F841 - DuckDB sees it
    query = f"""
        select rowid as row, occurred_at
        from {table}
        semi join (select message_key::uuid as message_key, occurred_at from keys) as keys
            using (message_key, occurred_at)
        where occurred_at between $earliest and $latest
    """
    rows = con.sql(query, params=bounds(frame)).pl()
    if not rows.height:  # two columns are enough to find that out
        return rows
    query = f"""
        select * replace (message_key::varchar as message_key)
        from {table}
        where occurred_at between $earliest and $latest
            and rowid in (select row from rows)
    """
    return con.sql(query, params=bounds(rows)).pl()


def bounds(frame: pl.DataFrame) -> dict[str, Any]:
    """Return when the events occurred: DuckDB passes over what holds no such moment."""
    return {"earliest": frame["occurred_at"].min(), "latest": frame["occurred_at"].max()}


def _apart(frame: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Yield the events in a few parts, what occurred together in one.

    One event of last year would make DuckDB look through everything since.
    """
    gaps = np.diff(np.sort(frame["occurred_at"].to_numpy()))
    far = np.flatnonzero(gaps > _FAR)
    if not len(far):
        yield from [frame] if frame.height else []
        return
    widest = far[np.argsort(gaps[far])[-_MOST_GAPS:]] + 1
    events = frame.sort("occurred_at")
    for start, stop in pairwise([0, *sorted(widest.tolist()), events.height]):
        yield events[start:stop]
