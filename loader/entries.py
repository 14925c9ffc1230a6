"""What loads did → the rows of the ledger, and their sums."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from loader.batch import TIME, Parsed, count_by_block
from loader.dedupe import Decision

LEDGER: dict[str, Any] = {
    "segment": pl.String,
    **dict.fromkeys(("from_offset", "to_offset"), pl.Int64),
    **dict.fromkeys(("read", "inserted", "duplicates", "quarantined"), pl.Int64),
    "without_received_at": pl.Int64,
    **dict.fromkeys(("first_received_at", "last_received_at"), TIME),
    **dict.fromkeys(("started_at", "finished_at"), TIME),
}


@dataclass(frozen=True, slots=True)
class Loaded:
    """What loads did: counts of events; read = inserted + duplicates + quarantined."""

    read: int = 0
    inserted: int = 0
    duplicates: int = 0
    quarantined: int = 0

    def __add__(self, other: "Loaded") -> "Loaded":
        """Return the sums."""
        return Loaded(
            self.read + other.read,
            self.inserted + other.inserted,
            self.duplicates + other.duplicates,
            self.quarantined + other.quarantined,
        )


def entries(
    parsed: Parsed, decisions: Mapping[str, Decision], started: datetime, finished: datetime
) -> pl.DataFrame:
    """Return a row for each block of ``parsed``, as the table ``ingest_ledger`` has them."""
    blocks = len(parsed.blocks)
    duplicates = count_by_block(blocks, (decision.duplicates for decision in decisions.values()))
    quarantined = count_by_block(blocks, [parsed.refused])
    moments = _moments(parsed)
    rows = [
        {
            "segment": block.segment,
            "from_offset": block.offset,
            "to_offset": block.offset + block.size,
            "read": parsed.read[number],
            "inserted": parsed.read[number] - duplicates[number] - quarantined[number],
            "duplicates": duplicates[number],
            "quarantined": quarantined[number],
            **moments.get(number, {"without_received_at": 0}),
            "started_at": started,
            "finished_at": finished,
        }
        for number, block in enumerate(parsed.blocks)
    ]
    return pl.DataFrame(rows, schema=LEDGER)


def corrected(ledger: pl.DataFrame, was: pl.DataFrame) -> pl.DataFrame:
    """Return a ledger row per segment of what changes when lines are read again.

    Elements of an array that were not set aside come again too, as duplicates of themselves:
    they change nothing and are not counted.
    """
    inserted, aside = pl.col("inserted"), pl.col("quarantined") - pl.col("was")
    sums = [pl.col(name).sum() for name in ("inserted", "quarantined", "without_received_at")]
    lows = [pl.col(name).min() for name in ("from_offset", "first_received_at", "started_at")]
    highs = [pl.col(name).max() for name in ("to_offset", "last_received_at", "finished_at")]
    rows = ledger.group_by("segment").agg(*sums, *lows, *highs).join(was, on="segment")
    rows = rows.with_columns(
        duplicates=pl.max_horizontal(-aside - inserted, pl.lit(0)), quarantined=aside
    )
    rows = rows.filter(pl.any_horizontal(pl.col("inserted", "duplicates", "quarantined") != 0))
    rows = rows.with_columns(read=inserted + pl.col("duplicates") + pl.col("quarantined"))
    return rows.select(pl.col(name).cast(kind) for name, kind in LEDGER.items())


def _moments(parsed: Parsed) -> dict[int, dict[str, object]]:
    """Return block → when its events were received: what bounds the search for a tied line."""
    if not parsed.events:
        return {}
    seen = pl.concat([frame.select("block", "received_at") for frame in parsed.events.values()])
    received = pl.col("received_at")
    found = seen.group_by("block").agg(
        received.null_count().cast(pl.Int64).alias("without_received_at"),
        received.min().alias("first_received_at"),
        received.max().alias("last_received_at"),
    )
    return {row.pop("block"): row for row in found.to_dicts()}


def sums(ledger: pl.DataFrame) -> Loaded:
    """Return what all its rows did."""
    return Loaded(*ledger.select("read", "inserted", "duplicates", "quarantined").sum().row(0))
