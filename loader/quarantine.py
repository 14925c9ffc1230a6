"""What was set aside and why; and, after a fix, read again."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from loader.batch import Block, parse
from loader.definitions import of_this_version
from loader.entries import Loaded
from loader.errors import SpoolError
from loader.events import REASONS
from loader.lake import described
from loader.query import reading
from loader.settings import Settings
from loader.shape import Shapes
from loader.spool import list_segments, read_block
from loader.target import target_of, told
from loader.ties import settle_ties
from loader.warehouse import Warehouse
from loader.wording import plural

_BATCH_BYTES = 16 * 1024 * 1024
_PLACES = 3


def summary(settings: Settings) -> dict[str, Any]:
    """Return ``total`` and ``reasons``: of each its meaning, its lines, and where some stand.

    Raises ``WarehouseError`` when there is no warehouse yet.
    """
    query = f"""
        select reason, lines, first_received_at, last_received_at, places
        from quarantine_reason
        inner join (
            select reason, min(segment || ' at ' || line_offset, {_PLACES}) as places
            from quarantine
            group by reason
        ) using (reason)
        order by lines desc, reason
    """
    with reading(settings) as con, of_this_version():
        reasons = con.sql(query).pl().to_dicts()
    for row in reasons:
        row["meaning"] = _meaning(row["reason"])
    return {"total": sum(row["lines"] for row in reasons), "reasons": reasons}


def retry(settings: Settings) -> dict[str, Any]:
    """Read every line in the quarantine again, load what can be loaded now, and publish.

    Returns ``summary`` afterwards, and ``retried``: how many were read again, inserted, found to
    be duplicates, and stay set aside. A batch of lines is one transaction with its ledger rows.
    Raises ``LoaderError`` as ``loader.ingest.ingest`` does.
    """
    target = target_of(settings)
    with (
        told(described(settings)),
        target.turn("loader quarantine --retry"),
        closing(Warehouse(target, settings.timezone).open()) as warehouse,
    ):
        before, done = warehouse.set_aside(), Loaded()
        for blocks in _batches(settings, warehouse):
            done += warehouse.load_again(blocks, parse(blocks, Shapes()))
        settle_ties(warehouse, settings.spool)
        warehouse.publish()
        left = warehouse.set_aside()
    counts = {**asdict(done), "read": before, "quarantined": left}
    return {"retried": counts, **summary(settings)}


def _meaning(reason: str) -> str:
    word, _, field = reason.partition(":")
    return REASONS.get(reason) or REASONS.get(f"{word}:<field>" if field else word, "")


def sentences(found: dict[str, Any]) -> list[str]:
    """Return the lines that tell a person what ``summary`` or ``retry`` found."""
    lines = []
    if "retried" in found:
        again = found["retried"]
        lines.append(
            f"{again['read']:,} read again: {again['inserted']:,} inserted, "
            f"{plural(again['duplicates'], 'duplicate')}, {again['quarantined']:,} still set aside"
        )
    if not found["total"]:
        return [*lines, "nothing is set aside"]
    for row in found["reasons"]:
        places = "; ".join(row["places"])
        lines.append(f"{row['lines']:>9,}  {row['reason']:<28}  {places}")
        lines.append(f"{'':>9}  {row['meaning']}")
    return lines


def _batches(settings: Settings, warehouse: Warehouse) -> Iterator[list[Block]]:
    blocks: list[Block] = []
    size = 0
    for found in _blocks(settings.spool, warehouse):
        blocks += found
        size += sum(len(block.data) for block in found)
        if size >= _BATCH_BYTES:
            yield blocks
            blocks, size = [], 0
    if blocks:
        yield blocks


def _blocks(spool: Path, warehouse: Warehouse) -> Iterator[list[Block]]:
    """Yield each line from the spool, or, where its segment is gone, what the table has of it.

    Of an array that may be several lines, which leave the quarantine together.
    """
    segments = {segment.name: segment for segment in list_segments(spool)}
    for name, offset in warehouse.places_set_aside():
        segment = segments.get(name)
        try:
            data = read_block(segment, offset, 1) if segment else b""
        except SpoolError:
            data = b""
        if data:
            yield [Block(name, offset, data)]
        elif lines := warehouse.lines_set_aside(name, offset):
            yield [Block.of_kept(name, offset, line.encode()) for line in lines]
