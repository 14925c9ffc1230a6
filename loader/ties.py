"""Events of which two different lines arrived at the same moment → the one that stands.

Tables hold no lines, so the bytes that decide are read from the spool again: only the loads whose
events were received at that moment. That is rare, or else comes from files without any
``received_at``; it is done once before publishing, however many there are.
"""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from loader.batch import Block, Lines, Parsed, parse_with_lines
from loader.dedupe import first
from loader.shape import Shapes
from loader.spool import Segment, list_segments, read_block
from loader.warehouse import Span, Warehouse

TIES_AT_ONCE = 200_000
_BLOCK_BYTES = 32 * 1024 * 1024


def settle_ties(warehouse: Warehouse, spool: Path) -> None:
    """Put the right row in place of each tied one. Raises ``LoaderError`` as a load does.

    A line whose segment has been removed from the spool cannot be compared: then the smallest of
    those that are left stands.
    """
    while (ties := warehouse.ties(TIES_AT_ONCE)).height:
        found: dict[str, pl.DataFrame] = {}
        for parsed, lines in _read(spool, warehouse.spans(ties)):
            for table, frame in parsed.events.items():
                mine = ties.filter(pl.col("kind") == table)
                met = frame.join(mine, on=["message_key", "occurred_at"], how="semi")
                if met.height:
                    known = [found[table]] if table in found else []
                    met = met.with_columns(lines.bytes_of(met["line"]).alias("bytes"))
                    found[table] = first(pl.concat([*known, met]))
        warehouse.settle(ties, found)


def _read(spool: Path, spans: list[Span]) -> Iterator[tuple[Parsed, Lines]]:
    segments, shapes = {segment.name: segment for segment in list_segments(spool)}, Shapes()
    for span in spans:
        if span.segment in segments:
            for block in _blocks(segments[span.segment], span):
                yield parse_with_lines([block], shapes)


def _blocks(segment: Segment, span: Span) -> Iterator[Block]:
    offset = span.start
    while offset < span.stop:
        data = read_block(segment, offset, min(_BLOCK_BYTES, span.stop - offset))
        if not data:
            return
        yield Block(segment.name, offset, data)
        offset += len(data)
