"""Blocks of spool bytes → one typed frame per table, and a frame of what is set aside; pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from loader.events import COMMON, SPECIFIC, TABLES, Event, Refused, read_line

TIME = pl.Datetime("us")


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines of one segment, from one offset on."""

    segment: str
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a sequence of blocks holds.

    ``events`` has a frame per table: the columns of the table, ``message_key`` as text, and
    ``block``, ``line`` and ``element``, the places of the event's block in ``blocks``, of its
    line in ``lines``, and of it in the line. ``refused`` has a row per event set aside, with the
    columns of the table ``quarantine`` and ``block``. ``read`` counts the events of each block.
    """

    blocks: Sequence[Block]
    lines: Sequence[bytes]
    events: dict[str, pl.DataFrame]
    refused: pl.DataFrame
    read: list[int]


def schema(table: str) -> dict[str, Any]:
    """Return column → type of a table's frame."""
    texts = ["message_key", "message_id", "recipient", *COMMON, "webhook", *SPECIFIC[table]]
    places = {"block": pl.UInt32, "line": pl.UInt32, "element": pl.UInt32}
    times = {"occurred_at": TIME, "received_at": TIME}
    return {**dict.fromkeys(texts, pl.String), **times, "extra": pl.String, **places}


REFUSED: dict[str, Any] = {
    "reason": pl.String,
    "line": pl.String,
    "segment": pl.String,
    "line_offset": pl.Int64,
    "received_at": TIME,
    "block": pl.UInt32,
}


def parse(blocks: Sequence[Block]) -> Parsed:
    """Read ``blocks`` into frames. Every answer depends on its line alone."""
    lines: list[bytes] = []
    rows: dict[str, list[dict[str, Any]]] = {table: [] for table in TABLES}
    refused: list[dict[str, Any]] = []
    read = [0] * len(blocks)
    for number, block in enumerate(blocks):
        for offset, line in _lines(block):
            for element, item in enumerate(read_line(line)):
                read[number] += 1
                if isinstance(item, Event):
                    place = {"block": number, "line": len(lines), "element": element}
                    key = {"message_key": str(item.row["message_key"])}
                    rows[item.table].append({**item.row, **key, **place})
                else:
                    refused.append(_aside(item, block, offset, number))
            lines.append(line)
    events = {
        table: pl.DataFrame(found, schema=schema(table), orient="row")
        for table, found in rows.items()
        if found
    }
    return Parsed(blocks, lines, events, pl.DataFrame(refused, schema=REFUSED), read)


def _lines(block: Block) -> Iterator[tuple[int, bytes]]:
    offset = block.offset
    for line in block.data.split(b"\n")[:-1]:
        yield offset, line
        offset += len(line) + 1


def _aside(item: Refused, block: Block, offset: int, number: int) -> dict[str, Any]:
    return {
        "reason": item.reason,
        "line": item.line.decode("utf-8", "backslashreplace"),
        "segment": block.segment,
        "line_offset": offset,
        "received_at": item.received_at,
        "block": number,
    }
