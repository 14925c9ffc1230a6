"""Events of a batch, and the rows that stand already → which to insert, replace, leave; pure.

Two events are duplicates when kind, message_key, recipient (in lower case), occurred_at and the
kind's own fields are equal. Of duplicates the one with the smallest (received_at, line bytes)
stands, in whatever order they come; one that was received at an unknown moment comes last.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

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


def decide(
    batches: Sequence[Mapping[str, pl.DataFrame]], standing: Mapping[str, pl.DataFrame]
) -> list[dict[str, Decision]]:
    """Decide about the events of each batch, a frame per table, after those of the ones before.

    ``standing`` holds of each table the rows (at least) whose message_key and occurred_at are
    those of one of its events.
    """
    decided: list[dict[str, Decision]] = []
    for events in batches:
        now = {
            table: _after([one[table] for one in decided if table in one], standing[table], frame)
            for table, frame in events.items()
        }
        decided.append(_decided(events, now))
    return decided


def net(decisions: Sequence[Decision]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows to insert, and those to delete before, of decisions about one table."""
    insert, delete = decisions[0].insert, decisions[0].delete
    for one in decisions[1:]:
        delete = pl.concat([delete, _without(one.delete, insert)])
        insert = pl.concat([_without(insert, one.delete), one.insert])
    return insert, delete


def first(rows: pl.DataFrame) -> pl.DataFrame:
    """Return of duplicates the one that stands.

    ``rows`` have the ``rank`` of their line, unless they are no duplicates; they are of one table,
    or have the column ``table``.
    """
    order = ["received_at", "rank", "element"]
    ranked = _keyed(rows).sort(order, nulls_last=[True, False, False])
    return ranked.unique("dedupe_key", keep="first", maintain_order=True).drop("dedupe_key")


def replaced(rows: pl.DataFrame, standing: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows that take the place of tied standing ones, and those standing ones.

    Both are of one table; ``rows`` are, of each event, the first that was received when the
    standing one was.
    """
    best = _beside(rows, standing).filter("tied")
    return best.select(rows.columns), _old(best, standing.columns)


_PAIR = ["message_key", "occurred_at"]
_AT_ONCE = 2**14
"""Events that are compared at once: meanwhile each is held several times, with what stands."""
_SPECIFIC = sorted({name for names in SPECIFIC.values() for name in names})


def _after(
    decisions: Sequence[Decision], standing: pl.DataFrame, frame: pl.DataFrame
) -> pl.DataFrame:
    """Return what stands after ``decisions``, as far as the events of ``frame`` may meet it."""
    for one in decisions:
        met = one.insert.select(standing.columns).join(frame, on=_PAIR, how="semi")
        standing = pl.concat([_without(standing, one.delete), met])
    return standing


def _without(rows: pl.DataFrame, gone: pl.DataFrame) -> pl.DataFrame:
    if not gone.height:
        return rows
    kept = _keyed(rows).join(
        _keyed(gone), on="dedupe_key", how="anti", nulls_equal=True, maintain_order="left"
    )
    return kept.drop("dedupe_key")


def _decided(
    events: Mapping[str, pl.DataFrame], standing: Mapping[str, pl.DataFrame]
) -> dict[str, Decision]:
    rows = {table: _doubtful(frame, standing[table]) for table, frame in events.items()}
    best = _settled(events, {table: some for table, some in rows.items() if len(some)}, standing)
    return {
        table: _decision(frame.drop("rank"), rows[table], best.get(table), standing[table])
        for table, frame in events.items()
    }


def _doubtful(frame: pl.DataFrame, standing: pl.DataFrame) -> pl.Series:
    """Return the numbers of the rows that may have a duplicate, in the batch or in the table."""
    doubtful = frame["rank"].is_not_null()
    if standing.height:
        numbered = frame.select(*_PAIR).with_row_index("row")
        met = numbered.join(standing, on=_PAIR, how="semi")["row"]
        doubtful = doubtful.scatter(met, True)
    return doubtful.arg_true()


def _settled(
    events: Mapping[str, pl.DataFrame],
    rows: Mapping[str, pl.Series],
    standing: Mapping[str, pl.DataFrame],
) -> dict[str, pl.DataFrame]:
    """Return of each table's ``rows`` the first of duplicates, beside the row that stands already.

    Those are left out that neither take its place nor are tied with it.
    """
    if not rows:
        return {}
    parts = 1 + sum(map(len, rows.values())) // _AT_ONCE
    # A part has all the duplicates of its rows.
    new = {table: events[table]["message_key"][some].hash() % parts for table, some in rows.items()}
    old = {table: standing[table]["message_key"].hash() % parts for table in rows}
    best = pl.concat(
        _beside(
            # Of all tables at once: these are few rows, and each step has its price.
            first(_together({t: _numbered(events[t], rows[t].filter(new[t] == n)) for t in rows})),
            _together({t: standing[t].filter(old[t] == n) for t in rows}),
        ).filter(~pl.col("found") | pl.col("earlier") | pl.col("tied"))
        for n in range(parts)
    )
    return {table: best.filter(table=table) for table in rows}


def _numbered(frame: pl.DataFrame, rows: pl.Series) -> pl.DataFrame:
    return frame[rows].with_columns(rows.alias("row"))


def _together(frames: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    named = [frame.with_columns(pl.lit(table).alias("table")) for table, frame in frames.items()]
    return pl.concat(named, how="diagonal")


def _decision(
    frame: pl.DataFrame, rows: pl.Series, best: pl.DataFrame | None, standing: pl.DataFrame
) -> Decision:
    if best is None:
        return Decision(frame, frame.clear(), standing.clear(), frame.clear())
    insert = best.filter(~pl.col("found") | pl.col("earlier"))["row"]
    left = rows.filter(~rows.is_in(insert.implode()))
    earlier, late = best.filter("earlier"), frame[left]
    delete = _old(earlier, standing.columns)
    # Arrival order is kept: it is what makes a query of one day quick.
    keep = pl.repeat(True, frame.height, dtype=pl.Boolean, eager=True).scatter(left, False)
    return Decision(
        insert=frame.filter(keep),
        duplicates=pl.concat([late, earlier.select(frame.columns)]),
        delete=delete,
        ties=best.filter("tied").select(frame.columns),
        lost=(late, delete),
    )


def _old(both: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    return both.select(pl.col(f"{name}_old").alias(name) for name in names)


def _beside(rows: pl.DataFrame, standing: pl.DataFrame) -> pl.DataFrame:
    """Return ``rows`` with the standing row of each, and how the two compare."""
    old = _keyed(standing).rename({name: f"{name}_old" for name in standing.columns})
    both = _keyed(rows).join(
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


def _keyed(rows: pl.DataFrame) -> pl.DataFrame:
    recipient = pl.col("recipient").str.to_lowercase().alias("recipient_key")
    of_kind = [name for name in ("table", *_SPECIFIC) if name in rows.columns]
    return rows.with_columns(pl.struct(recipient, *_PAIR, *of_kind).alias("dedupe_key"))
