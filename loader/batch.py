"""Blocks of spool bytes → one typed frame per table, and a frame of what is set aside; pure.

What a line means, ``loader.events.read_line`` defines. Lines of a known shape are read many at a
time instead; whatever in them is not plainly as declared goes to ``read_line`` after all, so the
answer for a line never depends on which lines stand beside it.
"""

import hashlib
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from itertools import accumulate
from typing import Any
from uuid import UUID

import numpy as np
import orjson
import polars as pl
import pyarrow as pa  # type: ignore[import-untyped]
from numpy.typing import NDArray

from loader.events import (
    BLANK,
    COMMON,
    DSN_FORM,
    KINDS,
    OTHER,
    SPECIFIC,
    TABLES,
    UUID_FORM,
    Event,
    Refused,
    read_line,
)
from loader.moments import moments
from loader.scan import REACH, Scan, Text, Truths
from loader.shape import Alike, Shape, Shapes

TIME = pl.Datetime("us")

PLACES = {"block": pl.UInt32, "line": pl.UInt32, "element": pl.UInt32}
"""Columns of every frame of events: where the event was found."""

REFUSED: dict[str, Any] = {
    "reason": pl.String,
    "line": pl.String,
    "segment": pl.String,
    "line_offset": pl.Int64,
    "received_at": TIME,
    "block": pl.UInt32,
}

_FEW = 256
"""Lines up to which reading one by one is quicker than looking for shapes."""
_AT_ONCE = 16 * 1024 * 1024
"""Bytes that are looked at together."""
_MUCH = 2**29
"""Bytes from which on lines are read one by one: escaped they could outgrow Arrow's offsets."""

_WITH_UUID = f"^{UUID_FORM.pattern}(?:@[^@]*)?$"
_ESCAPES = (
    r"\\(?:[/bfnrt]|u(?:[0-9a-cA-CefEF][0-9a-fA-F]{3}|[dD][0-7][0-9a-fA-F]{2}"
    r"|[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}))"
)
_PLAIN = {rb"\\": rb"\u005c", rb"\"": rb"\u0022"}
_ESCAPED = re.compile(rb"\\[\\\"]")
_ENCODED = {char: orjson.dumps(char).decode()[1:-1] for char in ('"', "\\", *map(chr, range(0x20)))}


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines of one segment, from one offset on."""

    segment: str
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Extent:
    """What a block was, without its bytes."""

    segment: str
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines of some blocks, one after another."""

    texts: Sequence[Text]
    firsts: Sequence[int]
    """Of each text, the number of its first line."""
    starts: Sequence[int]
    """Of each block, the number of its first line."""

    def bytes_of(self, number: int) -> bytes:
        """Return one line, without its newline."""
        text, line = self._place(number)
        return text.line(line)

    def block_of(self, number: int) -> tuple[int, int]:
        """Return the block that holds a line, and the line's offset in it, in bytes."""
        text, line = self._place(number)
        block = bisect_right(self.starts, number) - 1
        first = line - (number - self.starts[block])
        return block, int(text.starts[line] - text.starts[first])

    def _place(self, number: int) -> tuple[Text, int]:
        place = bisect_right(self.firsts, number) - 1
        return self.texts[place], number - self.firsts[place]


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a sequence of blocks holds.

    ``events`` has a frame per table: the columns of the table, ``message_key`` as text, and
    ``block``, ``line`` and ``element``, the places of the event's block in ``blocks``, of its
    line in ``lines``, and of it in the line. ``refused`` has a row per event set aside, with the
    columns of the table ``quarantine`` and ``block``. ``read`` counts the events of each block.
    """

    blocks: Sequence[Extent]
    lines: Lines
    events: dict[str, pl.DataFrame]
    refused: pl.DataFrame
    read: list[int]


def schema(table: str) -> dict[str, Any]:
    """Return column → type of a table's frame."""
    texts = ["message_key", "message_id", "recipient", *COMMON, "webhook", *SPECIFIC[table]]
    times = {"occurred_at": TIME, "received_at": TIME}
    return {**dict.fromkeys(texts, pl.String), **times, "extra": pl.String, **PLACES}


def parse(blocks: Sequence[Block], shapes: Shapes) -> Parsed:
    """Read ``blocks`` into frames. Every answer depends on its line alone."""
    lines = _lines(blocks)
    frames: dict[str, list[pl.DataFrame]] = {table: [] for table in TABLES}
    singly: list[int] = []
    for first, text in zip(lines.firsts, lines.texts, strict=True):
        left = np.ones(len(text.ends), np.bool_)
        if len(left) > _FEW and len(text.bytes) < _MUCH:
            for table, frame in _read_by_shape(text, shapes):
                left[frame["line"].to_numpy()] = False
                frames[table].append(frame.with_columns(pl.col("line") + first))
        singly += (np.flatnonzero(left) + first).tolist()
    extents = [Extent(block.segment, block.offset, len(block.data)) for block in blocks]
    read, refused = _read_singly(lines, singly, extents)
    for table, frame in read.items():
        frames[table].append(frame)
    events = {table: _in_order(found, lines.starts) for table, found in frames.items() if found}
    tally = _tally(len(blocks), [*events.values(), refused])
    return Parsed(extents, lines, events, refused, tally)


def without(parsed: Parsed, blocks: Set[int]) -> Parsed:
    """Return ``parsed`` as if it had been read without those of its blocks."""
    kept = [number for number in range(len(parsed.blocks)) if number not in blocks]
    places = {number: place for place, number in enumerate(kept)}

    def fewer(frame: pl.DataFrame) -> pl.DataFrame:
        frame = frame.filter(pl.col("block").is_in(kept))
        place = pl.col("block").replace_strict(places, return_dtype=pl.UInt32)
        return frame.with_columns(place) if frame.height else frame

    return Parsed(
        [parsed.blocks[number] for number in kept],
        parsed.lines,
        {table: fewer(frame) for table, frame in parsed.events.items()},
        fewer(parsed.refused),
        [parsed.read[number] for number in kept],
    )


def _in_order(frames: list[pl.DataFrame], starts: Sequence[int]) -> pl.DataFrame:
    frame = frames[0] if len(frames) == 1 else pl.concat(frames).sort("line", "element")
    borders = pl.Series(starts, dtype=pl.UInt32)
    block = borders.search_sorted(frame["line"], side="right") - 1
    return frame.with_columns(block.cast(pl.UInt32).alias("block"))


def _tally(blocks: int, frames: Iterable[pl.DataFrame]) -> list[int]:
    read = [0] * blocks
    for frame in frames:
        for number, found in frame["block"].value_counts().rows():
            read[number] += found
    return read


# ── lines ────────────────────────────────────────────────────────────────────────────────────


def _lines(blocks: Sequence[Block]) -> Lines:
    texts = [Text(data) for data in _joined(blocks)]
    firsts = [0, *accumulate(len(text.ends) for text in texts[:-1])]
    starts = [0, *accumulate(block.data.count(b"\n") for block in blocks[:-1])]
    return Lines(texts, firsts, starts)


def _joined(blocks: Sequence[Block]) -> Iterator[bytes]:
    """Join small blocks: lines are quicker read many at once."""
    some: list[bytes] = []
    size = 0
    for block in blocks:
        size += len(block.data)
        if some and size > _AT_ONCE:
            yield b"".join(some)
            some, size = [], len(block.data)
        some.append(block.data)
    yield b"".join(some)


# ── one by one ───────────────────────────────────────────────────────────────────────────────


def _read_singly(
    lines: Lines, numbers: Sequence[int], blocks: Sequence[Extent]
) -> tuple[dict[str, pl.DataFrame], pl.DataFrame]:
    rows: dict[str, list[dict[str, Any]]] = {table: [] for table in TABLES}
    aside: list[tuple[int, Refused]] = []
    for number in numbers:
        for element, item in enumerate(read_line(lines.bytes_of(number))):
            if isinstance(item, Event):
                place = {"block": 0, "line": number, "element": element}
                key = {"message_key": str(item.row["message_key"])}
                rows[item.table].append({**item.row, **key, **place})
            else:
                aside.append((number, item))
    frames = {
        table: pl.DataFrame(found, schema=schema(table), orient="row")
        for table, found in rows.items()
        if found
    }
    return frames, _refused(aside, lines, blocks)


def _refused(
    aside: list[tuple[int, Refused]], lines: Lines, blocks: Sequence[Extent]
) -> pl.DataFrame:
    if not aside:
        return pl.DataFrame(schema=REFUSED)
    rows = []
    for number, item in aside:
        block, within = lines.block_of(number)
        rows.append(
            {
                "reason": item.reason,
                "line": item.line.decode("utf-8", "backslashreplace"),
                "segment": blocks[block].segment,
                "line_offset": blocks[block].offset + within,
                "received_at": item.received_at,
                "block": block,
            }
        )
    return pl.DataFrame(rows, schema=REFUSED)


# ── by shape ─────────────────────────────────────────────────────────────────────────────────


def _read_by_shape(text: Text, shapes: Shapes) -> Iterator[tuple[str, pl.DataFrame]]:
    scan = Scan(_with_plain_escapes(text))
    for alike in shapes.alike(scan, _usable(scan, text)):
        rows = _checked(alike)
        known = pl.col("kind").is_in(list(KINDS))
        tables = rows.with_columns(pl.when(known).then("kind").otherwise(pl.lit(OTHER)).alias("t"))
        for (table,), part in tables.partition_by("t", as_dict=True).items():
            yield str(table), _of_kind(alike.shape, str(table), part)


def _with_plain_escapes(text: Text) -> Text:
    """Write escaped quotes and backslashes another way: then each quote borders a string."""
    data = text.bytes[:-REACH].data
    if not text.escaped.any() or not _ESCAPED.search(data):
        return text
    return Text(_ESCAPED.sub(lambda found: _PLAIN[found[0]], data))


def _usable(scan: Scan, text: Text) -> Truths:
    """Say of each line whether it is UTF-8, with proper escapes and no control character."""
    usable = ~text.controlled
    if not _is_utf8(text.bytes):
        usable &= [_decodes(text.line(number)) for number in range(len(text.ends))]
    escaped = np.flatnonzero(usable & scan.text.escaped)
    if len(escaped):
        (texts,) = scan.texts([(scan.text.starts[escaped], scan.text.ends[escaped])])
        rest = texts.str.replace_all(_ESCAPES, "")
        usable[escaped] = ~rest.str.contains("\\", literal=True).to_numpy()
    return usable


def _decodes(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_utf8(data: NDArray[np.uint8]) -> bool:
    buffers = [None, pa.py_buffer(np.array([0, len(data)], np.int32)), pa.py_buffer(data)]
    try:
        pa.Array.from_buffers(pa.string(), 1, buffers).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _strings(alike: Alike) -> pl.DataFrame:
    """Return the strings of the lines as they are meant, in columns named by their numbers."""
    escaped = alike.scan.text.escaped[alike.lines]
    names = [str(number) for number in alike.shape.places]
    strings = dict(zip(names, alike.texts(alike.shape.places), strict=True))
    if escaped.any():
        rows = np.flatnonzero(escaped)
        strings = {
            name: texts.scatter(rows, _decoded(texts.gather(rows)))
            for name, texts in strings.items()
        }
    lines = pl.Series(alike.lines.astype(np.uint32))
    return pl.DataFrame({"line": lines, "escaped": escaped, **strings})


def _decoded(texts: pl.Series) -> pl.Series:
    return pl.Series(orjson.loads('["' + '","'.join(texts) + '"]'), dtype=pl.String)


def _checked(alike: Alike) -> pl.DataFrame:
    """Return the rows that are plainly as declared, with the columns that all kinds share."""
    shape, strings = alike.shape, _strings(alike)
    named = {"_".join(path): str(number) for path, number in shape.fields.items()}
    stripped = strings[named["message_id"]].str.strip_chars(BLANK + "<>")
    rows = strings.with_columns(
        pl.col(named["kind"]).alias("kind"),
        pl.col(named["message_id"]).alias("message_id"),
        pl.col(named["recipient"]).str.strip_chars(BLANK).alias("recipient"),
        moments(alike.scan, *alike.span(int(named["timestamp"]))).alias("occurred_at"),
        *_envelope(alike),
        stripped.alias("stripped"),
        *(_or_null(named.get("_".join(path))).alias(name) for name, path in COMMON.items()),
    )
    plain = (
        (pl.col("kind").str.strip_chars(BLANK) != "")
        & (pl.col("recipient") != "")
        & (pl.col("stripped") != "")
        & pl.col("occurred_at").is_not_null()
    )
    if shape.received_at:
        plain &= pl.col("received_at").is_not_null()
    rows = rows.filter(plain)
    return rows.with_columns(_message_key(rows["stripped"]).alias("message_key"))


def _envelope(alike: Alike) -> list[pl.Series | pl.Expr]:
    at, webhook = alike.shape.received_at, alike.shape.webhook
    received = moments(alike.scan, *alike.span(at.number)) if at else pl.lit(None, dtype=TIME)
    name = str(webhook.number) if webhook else None
    return [received.alias("received_at"), _or_null(name).alias("webhook")]


def _or_null(column: str | None) -> pl.Expr:
    return pl.col(column) if column else pl.lit(None, dtype=pl.String)


def _message_key(stripped: pl.Series) -> pl.Series:
    """Return what ``events.message_key`` does, as text."""
    key = stripped.str.slice(0, 36).str.to_lowercase()
    other = ~stripped.str.contains(_WITH_UUID)
    if not other.any():
        return key
    hashed = [str(_md5(text)) for text in stripped.filter(other)]
    return key.scatter(other.arg_true(), pl.Series(hashed, dtype=pl.String))


def _md5(text: str) -> UUID:
    return UUID(bytes=hashlib.md5(text.encode(), usedforsecurity=False).digest())


def _of_kind(shape: Shape, table: str, rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows of one kind with exactly the columns of its table."""
    places = {path: str(place) for path, place in shape.fields.items()}
    own = {name: _or_null(places.get(path)) for name, path in KINDS.get(table, {}).items()}
    if "dsn_status" in own:
        own["dsn_code"] = own["dsn_status"].str.extract(DSN_FORM, 1)
    kept = _kept(shape, table, bool(rows["escaped"].any()))
    own |= {"kind": pl.col("kind"), "event": kept} if table == OTHER else {"extra": kept}
    zero = pl.lit(0, dtype=pl.UInt32)
    rows = rows.with_columns(
        **{"extra": pl.lit(None, dtype=pl.String), "block": zero, "element": zero, **own}
    )
    return rows.select(list(schema(table)))


def _kept(shape: Shape, table: str, escaped: bool) -> pl.Expr:
    """Return the JSON of what has no column (of another kind: of the whole event)."""
    kept = shape.left(table)
    if kept is None:
        return pl.lit(None, dtype=pl.String)
    texts, places = kept
    values = [pl.col(str(place)) for place in places]
    if escaped:
        values = [value.str.replace_many(_ENCODED) for value in values]
    parts = [pl.lit(texts[0])]
    for value, text in zip(values, texts[1:], strict=True):
        parts += [pl.lit('"'), value, pl.lit('"' + text)]
    return pl.concat_str(parts)
