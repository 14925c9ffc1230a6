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
    lost: tuple[pl.DataFrame, ...] = ()
    """The rows, new ones and standing ones, that stand no more or never will."""


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
        numbered = frame.select(*_PAIR).with_row_index("row")
        doubtful = doubtful.scatter(numbered.join(standing, on=_PAIR, how="semi")["row"], True)
    rows = doubtful.arg_true()
    if not len(rows):
        return Decision(frame, frame.clear(), standing.clear(), frame.clear())
    # Arrival order is kept: it is what makes a query of one day quick.
    return _settle(table, frame, rows, standing, lines)


def first(table: str, rows: pl.DataFrame) -> pl.DataFrame:
    """Return of duplicates the one that stands; ``rows`` has the column ``bytes``, the line."""
    order = ["received_at", "bytes", "element"]
    ranked = _keyed(table, rows).sort(order, nulls_last=[True, False, False])
    return ranked.unique("dedupe_key", keep="first", maintain_order=True).drop("dedupe_key")


def replaced(
    table: str, rows: pl.DataFrame, standing: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows that take the place of tied standing ones, and those standing ones.

    ``rows`` are, of each event, the first that was received when the standing one was.
    """
    best = _beside(table, rows, standing).filter("tied")
    return best.select(rows.columns), _old(best, standing)


def with_bytes(rows: pl.DataFrame, lines: Lines) -> pl.DataFrame:
    """Return ``rows`` with their lines in the column ``bytes``."""
    return rows.with_columns(lines.bytes_of(rows["line"]).alias("bytes"))


_PAIR = ["message_key", "occurred_at"]


def _settle(
    table: str, frame: pl.DataFrame, rows: pl.Series, standing: pl.DataFrame, lines: Lines
) -> Decision:
    doubtful = frame[rows].with_columns(rows.alias("row"))
    best = _beside(table, first(table, with_bytes(doubtful, lines)), standing)
    insert = best.filter(~pl.col("found") | pl.col("earlier"))
    keep = pl.repeat(True, frame.height, dtype=pl.Boolean, eager=True)
    keep = keep.scatter(rows, False).scatter(insert["row"], True)
    earlier, late = best.filter("earlier"), frame.filter(~keep)
    delete = _old(earlier, standing)
    return Decision(
        insert=frame.filter(keep),
        duplicates=pl.concat([late, earlier.select(frame.columns)]),
        delete=delete,
        ties=best.filter("tied").select(frame.columns),
        lost=(late, delete),
    )


def _old(both: pl.DataFrame, standing: pl.DataFrame) -> pl.DataFrame:
    return both.select(pl.col(f"{name}_old").alias(name) for name in standing.columns)


def _beside(table: str, rows: pl.DataFrame, standing: pl.DataFrame) -> pl.DataFrame:
    """Return ``rows`` with the standing row of each, and how the two compare."""
    old = _keyed(table, standing).rename({name: f"{name}_old" for name in standing.columns})
    both = _keyed(table, rows).join(
        old, on="dedupe_key", how="left", nulls_equal=True, maintain_order="left"
    )
    found = pl.col("message_key_old").is_not_null()
    new_at, old_at = pl.col("received_at"), pl.col("received_at_old")
    earlier = (new_at < old_at) | (new_at.is_not_null() & old_at.is_null())
    same = pl.all_horizontal(
        pl.col(name).eq_missing(pl.col(f"{name}_old")) for name in standing.columns
    )
    return both.with_columns(
        found.alias("found"),
        (found & earlier.fill_null(False)).alias("earlier"),
        (found & new_at.eq_missing(old_at) & ~same).alias("tied"),
    )


def _keyed(table: str, rows: pl.DataFrame) -> pl.DataFrame:
    recipient = pl.col("recipient").str.to_lowercase().alias("recipient_key")
    key = pl.struct(recipient, *_PAIR, *SPECIFIC[table])
    return rows.with_columns(key.alias("dedupe_key"))
