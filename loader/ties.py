"""Events of which two different lines arrived at the same moment → the one that stands.

Tables hold no lines, so the bytes that decide are read from the spool again: only the loads whose
events were received at that moment. That is rare, or else comes from files without any
``received_at``; it is done once before publishing, however many there are.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from loader.batch import Block, Lines, Parsed, parse_with_lines, ranks_of
from loader.dedupe import first
from loader.errors import SpoolError
from loader.receipts import was_put_away
from loader.shape import Shapes
from loader.spool import LongLine, Segment, list_segments, read_block
from loader.warehouse import Span, Warehouse

TIES_AT_ONCE = 200_000
_BLOCK_BYTES = 32 * 1024 * 1024


def settle_ties(warehouse: Warehouse, spool: Path) -> None:
    """Put the right row in place of each tied one. Raises ``LoaderError`` as a load does.

    A line whose segment has been removed from the spool cannot be compared: then the smallest of
    those that are left stands.
    """
    while (ties := warehouse.ties(TIES_AT_ONCE)).height:
        found: dict[str, _Best] = {}
        for parsed, lines in _read(spool, warehouse.spans(ties)):
            for table, frame in parsed.events.items():
                mine = ties.filter(pl.col("kind") == table)
                met = frame.join(mine, on=["message_key", "occurred_at"], how="semi")
                if met.height:
                    found[table] = _best(found.get(table), met, lines)
        warehouse.settle(ties, {table: best.rows for table, best in found.items()})


@dataclass(frozen=True, slots=True)
class _Best:
    """The first of tied events so far, and the lines of their ranks."""

    rows: pl.DataFrame
    texts: dict[int, bytes]


def _best(known: _Best | None, met: pl.DataFrame, lines: Lines) -> _Best:
    """Return the first of those ``known`` and of those ``met`` in ``lines``."""
    new, old = lines.texts_of(met["line"]), known.texts if known else {}
    ranks = ranks_of([*new.values(), *old.values()])
    rows = [_placed(met, [ranks[new[line]] for line in met["line"]])]
    if known:
        rows.append(_placed(known.rows, [ranks[old[rank]] for rank in known.rows["rank"]]))
    best = first(pl.concat(rows))
    kept = set(best["rank"])  # the others need not stay in memory
    return _Best(best, {rank: text for text, rank in ranks.items() if rank in kept})


def _placed(rows: pl.DataFrame, ranks: list[int]) -> pl.DataFrame:
    return rows.with_columns(pl.Series("rank", ranks, dtype=pl.UInt32))


def _read(spool: Path, spans: list[Span]) -> Iterator[tuple[Parsed, Lines]]:
    unread: list[SpoolError] = []
    segments = {segment.name: segment for segment in list_segments(spool, unread)}
    shapes = Shapes()
    for span in spans:
        if span.segment in segments:
            for block in _blocks(spool, segments[span.segment], span):
                yield parse_with_lines([block], shapes)
        elif unread:
            raise unread[0]  # it may stand there


def _blocks(spool: Path, segment: Segment, span: Span) -> Iterator[Block]:
    offset = span.start
    while offset < span.stop:
        try:
            data = read_block(segment, offset, min(_BLOCK_BYTES, span.stop - offset))
        except LongLine as line:
            offset += line.size
            continue
        except SpoolError:
            if not was_put_away(spool, segment):
                raise
            return
        if not data:
            return
        yield Block(segment.name, offset, data)
        offset += len(data)
