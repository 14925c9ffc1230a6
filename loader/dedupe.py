"""Events of a batch, and the rows that stand already → which to insert, replace, leave; pure.

Two events are duplicates when kind, message_key, recipient (in lower case), occurred_at and the
kind's own fields are equal. Of duplicates the one with the smallest (received_at, line bytes)
stands, in whatever order they come; one that was received at an unknown moment comes last.
"""

from dataclasses import dataclass

import polars as pl

from loader.batch import Lines
from loader.events import SPECIFIC


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of the events of one table in one batch.

    ``insert``: rows to insert; ``duplicates``: rows that are not; ``delete``: standing rows that
    an earlier one of ``insert`` replaces; ``ties``: rows (of ``duplicates``) that differ from
    the standing row and were received at the same moment, so that only the bytes of both lines
    can tell which one stands.
    """

    insert: pl.DataFrame
    duplicates: pl.DataFrame
    delete: pl.DataFrame
    ties: pl.DataFrame


def contested(frame: pl.DataFrame) -> pl.Series:
    """Say of each row whether another of ``frame`` may be its duplicate."""
    pair = frame["message_key"].hash() ^ frame["occurred_at"].hash(1)
    return pair.is_duplicated()


def decide(table: str, frame: pl.DataFrame, standing: pl.DataFrame, lines: Lines) -> Decision:
    """Decide about ``frame``, the events of ``table`` in a batch.

    ``standing`` holds the rows of the table (at least) whose message_key and occurred_at are
    those of an event in ``frame``; ``lines`` is what the places in ``frame`` point into.
    """
    doubtful = contested(frame)
    if standing.height:
        pairs = standing.select("message_key", "occurred_at").unique()
        numbered = frame.select("message_key", "occurred_at").with_row_index("row")
        met = numbered.join(pairs, on=["message_key", "occurred_at"], how="semi")["row"]
        doubtful = doubtful.scatter(met, True)
    if not doubtful.any():
        return Decision(frame, frame.clear(), standing.clear(), frame.clear())
    settled = _settle(table, frame.filter(doubtful), standing, lines)
    rows = frame.filter(~doubtful)
    # Arrival order is kept: it is what makes a query of one day quick.
    insert = pl.concat([rows, settled.insert]).sort("line", "element") if rows.height else None
    return Decision(
        settled.insert if insert is None else insert,
        settled.duplicates,
        settled.delete,
        settled.ties,
    )


def _settle(table: str, rows: pl.DataFrame, standing: pl.DataFrame, lines: Lines) -> Decision:
    ranked = _ranked(table, rows, lines)
    first = ranked.unique(_KEY, keep="first", maintain_order=True)
    later = ranked.join(first.select("line", "element"), on=["line", "element"], how="anti")
    old = _keyed(table, standing).rename({name: f"{name}_old" for name in standing.columns})
    both = first.join(old, on=_KEY, how="left", nulls_equal=True, maintain_order="left")
    found = pl.col("message_key_old").is_not_null()
    new_at, old_at = pl.col("received_at"), pl.col("received_at_old")
    earlier = found & ((new_at < old_at) | (new_at.is_not_null() & old_at.is_null()))
    same = pl.all_horizontal(
        pl.col(name).eq_missing(pl.col(f"{name}_old")) for name in standing.columns
    )
    tied = found & new_at.eq_missing(old_at) & ~same
    insert = both.filter(~found | earlier).select(rows.columns)
    replaced = both.filter(earlier).select(
        pl.col(f"{name}_old").alias(name) for name in standing.columns
    )
    left = both.filter(found & ~earlier).select(rows.columns)
    return Decision(
        insert,
        pl.concat([later.select(rows.columns), left, both.filter(earlier).select(rows.columns)]),
        replaced,
        both.filter(tied).select(rows.columns),
    )


_KEY = ["dedupe_key"]


def _keyed(table: str, rows: pl.DataFrame) -> pl.DataFrame:
    recipient = pl.col("recipient").str.to_lowercase()
    fields = ["message_key", "occurred_at", *SPECIFIC[table]]
    return rows.with_columns(pl.struct(recipient.alias("r"), *fields).alias("dedupe_key"))


def _ranked(table: str, rows: pl.DataFrame, lines: Lines) -> pl.DataFrame:
    """Order rows so that of duplicates the one that stands comes first."""
    text = pl.Series("bytes", [lines.bytes_of(place) for place in rows["line"]], dtype=pl.Binary)
    order = ["received_at", "bytes", "element"]
    keyed = _keyed(table, rows.with_columns(text))
    return keyed.sort(order, nulls_last=[True, False, False])
