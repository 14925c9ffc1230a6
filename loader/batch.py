"""Blocks of spool bytes → one typed frame per table, and a frame of what is set aside; pure.

What a line means, ``loader.events.read_line`` defines. Lines of a known shape are read many at a
time instead; whatever in them is not plainly as declared goes to ``read_line`` after all, so the
answer for a line never depends on which lines stand beside it.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from typing import Any

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
    REQUIRED,
    SPECIFIC,
    TABLES,
    UUID_FORM,
    Event,
    Refused,
    message_key,
    read_line,
)
from loader.moments import moments
from loader.shape import Alike, Left, Shapes
from loader.spool import BEGINNING, LONGEST_LINE, LongLine

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
_HELD, _PORTION = 2**12, 2**20
"""Events, and bytes of lines, that are held as Python's objects at once, about."""
_NEWLINE = ord("\n")
_AT_ONCE = 2**18
"""Bytes that stay in the processor's cache while they are looked at."""

_WITH_UUID = f"^{UUID_FORM.pattern}(?:@[^@]*)?$"
_ENCODED = {char: orjson.dumps(char).decode()[1:-1] for char in ('"', "\\", *map(chr, range(0x20)))}


LINE_BYTES = 96
"""A line weighs as much at least: its row takes memory too."""


@dataclass(frozen=True)
class Block:
    """Whole lines of one segment, from one offset on."""

    segment: str
    offset: int
    data: bytes
    left_out: int = 0
    """Bytes of its one line, a long one, that ``data`` lacks; of a kept one less than none."""

    @classmethod
    def of_long(cls, segment: str, offset: int, line: LongLine) -> "Block":
        """Return a block of one long line: it holds how the line begins, as if that were it."""
        data = line.beginning + b"\n"
        return cls(segment, offset, data, line.size - len(data))

    @classmethod
    def of_kept(cls, segment: str, offset: int, line: bytes) -> "Block":
        """Return a block of one line of the quarantine, which takes no bytes of the segment."""
        data = line + b"\n"
        return cls(segment, offset, data, -len(data))

    @property
    def size(self) -> int:
        """Return how many bytes of the segment it is."""
        return len(self.data) + self.left_out

    @cached_property
    def lines(self) -> int:
        """Return how many lines it has."""
        return sum(int(np.count_nonzero(part)) for part in _newlines(self.data))

    @property
    def weight(self) -> int:
        """Return how much of a batch it is, in bytes."""
        return max(len(self.data), LINE_BYTES * self.lines)


@dataclass(frozen=True, slots=True)
class Extent:
    """What a block was, without its bytes."""

    segment: str
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines of some blocks, one after another."""

    rows: pl.Series
    """Bytes of each line, its newline included."""
    offsets: NDArray[np.int64]
    """Where each line starts, were all blocks one, and where the last one ends."""
    starts: Sequence[int]
    """Of each block, the number of its first line."""
    long: Set[int]
    """The numbers of the lines that are longer than what is read."""

    def bytes_of(self, numbers: pl.Series) -> pl.Series:
        """Return some lines, without their newlines."""
        return self.rows.gather(numbers).bin.head(-1)

    def texts_of(self, numbers: pl.Series) -> dict[int, bytes]:
        """Return number → line, each once: an array of a thousand events is one line."""
        some = numbers.unique()
        return dict(zip(some, self.bytes_of(some), strict=True))

    def block_of(self, number: int) -> tuple[int, int]:
        """Return the block that holds a line, and the line's offset in it, in bytes."""
        block = bisect_right(self.starts, number) - 1
        return block, int(self.offsets[number] - self.offsets[self.starts[block]])


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a sequence of blocks holds.

    ``events`` has a frame per table: the columns of the table, ``message_key`` as text, and
    ``block``, ``line`` and ``element``, the places of the event's block in ``blocks``, of its
    line in all of them, and of it in the line, and ``rank``: where another event of the frame may
    be a duplicate, the place of the line, without its newline, among others in the order of their
    bytes, else null. ``refused`` has a row per event set aside, with the columns of the table
    ``quarantine`` and ``block``. ``read`` counts the events of each block.
    """

    blocks: Sequence[Extent]
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
    return parse_with_lines(blocks, shapes)[0]


def parse_with_lines(blocks: Sequence[Block], shapes: Shapes) -> tuple[Parsed, Lines]:
    """Do what ``parse`` does, and return the lines too: as large as the blocks are."""
    lines = _lines(blocks)
    frames: dict[str, list[pl.DataFrame]] = {table: [] for table in TABLES}
    left = np.ones(len(lines.rows), np.bool_)
    if len(left) > _FEW:
        for table, frame in _read_by_shape(lines, shapes).items():
            left[frame["line"].to_numpy()] = False
            frames[table].append(frame)
    extents = [Extent(block.segment, block.offset, block.size) for block in blocks]
    read, refused = _read_singly(lines, np.flatnonzero(left), extents)
    for table, frame in read.items():
        frames[table].append(frame)
    events = {table: _in_order(found, lines) for table, found in frames.items() if found}
    tally = count_by_block(len(blocks), [*events.values(), refused])
    return Parsed(extents, events, refused, tally), lines


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
        {table: fewer(frame) for table, frame in parsed.events.items()},
        fewer(parsed.refused),
        [parsed.read[number] for number in kept],
    )


def _in_order(frames: list[pl.DataFrame], lines: Lines) -> pl.DataFrame:
    frame = frames[0] if len(frames) == 1 else pl.concat(frames).sort("line", "element")
    borders = pl.Series(lines.starts, dtype=pl.UInt32)
    block = borders.search_sorted(frame["line"], side="right") - 1
    return frame.with_columns(block.cast(pl.UInt32).alias("block"), _contested(frame, lines))


def _contested(frame: pl.DataFrame, lines: Lines) -> pl.Series:
    # Whatever else makes two events duplicates, these two are equal.
    pair = frame["message_key"].hash() ^ frame["occurred_at"].hash(1)
    places = pair.is_duplicated().arg_true()
    texts = lines.texts_of(frame["line"][places])
    ranks = ranks_of(texts.values())
    mine = [ranks[texts[number]] for number in frame["line"][places]]
    nothing = pl.repeat(None, frame.height, dtype=pl.UInt32, eager=True)
    return nothing.scatter(places, pl.Series(mine, dtype=pl.UInt32)).alias("rank")


def ranks_of(texts: Iterable[bytes]) -> dict[bytes, int]:
    """Return text → its place among them all in the order of their bytes."""
    return {text: rank for rank, text in enumerate(sorted(set(texts)))}


def count_by_block(blocks: int, frames: Iterable[pl.DataFrame]) -> list[int]:
    """Return how many rows of ``frames`` each of so many blocks has."""
    read = [0] * blocks
    for frame in frames:
        for number, found in frame["block"].value_counts().rows():
            read[number] += found
    return read


# ── lines ────────────────────────────────────────────────────────────────────────────────────


def _lines(blocks: Sequence[Block]) -> Lines:
    data = b"".join(block.data for block in blocks)
    offsets = np.concatenate([[0], *_ends(data)])
    starts = np.searchsorted(offsets, np.cumsum([0, *(len(block.data) for block in blocks[:-1])]))
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    rows = pa.Array.from_buffers(pa.large_binary(), len(offsets) - 1, buffers)
    long = np.flatnonzero(np.diff(offsets) > LONGEST_LINE + 1).tolist()
    cut = [start for start, block in zip(starts, blocks, strict=True) if block.left_out > 0]
    return Lines(pl.Series(pl.from_arrow(rows)), offsets, starts.tolist(), {*long, *cut})


def _ends(data: bytes) -> Iterator[NDArray[np.int64]]:
    """Yield where the lines of ``data`` end, each newline included, a part of it at a time."""
    for number, found in enumerate(_newlines(data)):
        yield np.flatnonzero(found) + (number * _AT_ONCE + 1)


def _newlines(data: bytes) -> Iterator[NDArray[np.bool_]]:
    """Yield of each byte of ``data`` whether it ends a line, a part of them at a time."""
    seen = np.frombuffer(data, np.uint8)
    for start in range(0, len(data), _AT_ONCE):
        yield seen[start : start + _AT_ONCE] == _NEWLINE


# ── one by one ───────────────────────────────────────────────────────────────────────────────


Rows = dict[str, list[dict[str, Any]]]
"""Table → rows, a value for each of its columns."""


def _read_singly(
    lines: Lines, numbers: NDArray[np.int64], blocks: Sequence[Extent]
) -> tuple[dict[str, pl.DataFrame], pl.DataFrame]:
    read: dict[str, list[pl.DataFrame]] = {table: [] for table in TABLES}
    refused = [pl.DataFrame(schema=REFUSED)]
    for rows, aside in _items(lines, numbers):
        for table, found in rows.items():
            read[table].append(pl.DataFrame(found, schema=schema(table), orient="row"))
        refused.append(_refused(aside, lines, blocks))
    return {table: pl.concat(parts) for table, parts in read.items() if parts}, pl.concat(refused)


def _items(
    lines: Lines, numbers: NDArray[np.int64]
) -> Iterator[tuple[Rows, list[tuple[int, Refused]]]]:
    """Yield the rows of each table that has some, and what is set aside, beside its line.

    Not all at once: as Python's objects they are several times as large as in frames.
    """
    rows: Rows = {}
    aside: list[tuple[int, Refused]] = []
    for held, (number, element, item) in enumerate(_each(lines, numbers), start=1):
        if isinstance(item, Event):
            place = {"block": 0, "line": number, "element": element}
            key = {"message_key": str(item.row["message_key"])}
            rows.setdefault(item.table, []).append({**item.row, **key, **place})
        else:
            aside.append((number, item))
        if held % _HELD == 0:
            yield rows, aside
            rows, aside = {}, []
    yield rows, aside


def _each(lines: Lines, numbers: NDArray[np.int64]) -> Iterator[tuple[int, int, Event | Refused]]:
    """Yield number of the line, number of the element in it, and what it is."""
    ends = np.cumsum(lines.offsets[numbers + 1] - lines.offsets[numbers])
    for portion in np.split(numbers, np.flatnonzero(np.diff(ends // _PORTION)) + 1):
        some = pl.Series(portion, dtype=pl.UInt32)
        for number, text in zip(some, lines.bytes_of(some), strict=True):
            items = [_too_long(text)] if number in lines.long else read_line(text)
            for element, item in enumerate(items):
                yield number, element, item


def _too_long(line: bytes) -> Refused:
    return Refused("too_long", line[:BEGINNING], None)


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
                "line": as_text(item.line),
                "segment": blocks[block].segment,
                "line_offset": blocks[block].offset + within,
                "received_at": item.received_at,
                "block": block,
            }
        )
    return pl.DataFrame(rows, schema=REFUSED)


def as_text(line: bytes) -> str:
    """Return a line as the table ``quarantine`` has it; what is not UTF-8 is escaped."""
    return line.decode("utf-8", "backslashreplace")


# ── by shape ─────────────────────────────────────────────────────────────────────────────────


_PATHS: dict[str, tuple[str, ...]] = {
    **{name: (name,) for name in REQUIRED},
    **COMMON,
    **{name: path for fields in KINDS.values() for name, path in fields.items()},
}
"""Column → path in the event, of the declared fields of all kinds."""


def _read_by_shape(lines: Lines, shapes: Shapes) -> dict[str, pl.DataFrame]:
    texts = _texts(lines.rows)
    if lines.long:
        texts = texts.scatter(list(lines.long), None)
    parts = [part for alike in shapes.alike(texts) for part in _fields(alike)]
    if not parts:
        return {}
    rows = _checked(pl.concat(parts, rechunk=True).sort("line"))
    table = pl.when(pl.col("kind").is_in(list(KINDS))).then("kind").otherwise(pl.lit(OTHER))
    tables = rows.with_columns(table.alias("table")).partition_by("table", as_dict=True)
    return {str(name): _of_table(str(name), part) for (name,), part in tables.items()}


def _texts(rows: pl.Series) -> pl.Series:
    """Return the lines as text; null where one is not UTF-8."""
    try:
        return rows.cast(pl.String)
    except pl.exceptions.ComputeError:
        return pl.Series([_text(line) for line in rows], dtype=pl.String)


def _text(line: bytes) -> str | None:
    try:
        return line.decode()
    except UnicodeDecodeError:
        return None


def _fields(alike: Alike) -> Iterator[pl.DataFrame]:
    """Yield the declared fields of the lines, and ``kept``: the JSON of what has no column."""
    shape, rows = alike.shape, _decoded(alike)
    kind = str(shape.fields["kind",])
    lefts: dict[Left, list[str]] = {}
    for name in rows[kind].unique():
        lefts.setdefault(shape.left(name), []).append(name)
    columns = [_value(shape.fields.get(path)).alias(name) for name, path in _PATHS.items()]
    for name, place in (("received_at", shape.received_at), ("webhook", shape.webhook)):
        columns.append(_value(place.number if place else None).alias(name))
    for left, names in lefts.items():
        some = rows.filter(pl.col(kind).is_in(names)) if len(lefts) > 1 else rows
        timed = pl.lit(shape.received_at is not None).alias("timed")
        yield some.select("line", timed, *columns, _json(left).alias("kept"))


def _decoded(alike: Alike) -> pl.DataFrame:
    """Return the values of the lines as they are meant."""
    rows, places = alike.rows, alike.rows["escaped"].arg_true()
    if not len(places):
        return rows
    names = map(str, alike.shape.places)
    return rows.with_columns(_unescaped(rows[name], places) for name in names)


def _unescaped(texts: pl.Series, places: pl.Series) -> pl.Series:
    """Return ``texts``, of which at most those at ``places`` have an escape in them, decoded."""
    some = texts.gather(places)
    has = some.str.contains("\\", literal=True)
    if not has.any():
        return texts
    meant = orjson.loads('["' + '","'.join(some.filter(has)) + '"]')
    return texts.scatter(places.filter(has), pl.Series(meant, dtype=pl.String))


def _value(number: int | None) -> pl.Expr:
    return pl.lit(None, dtype=pl.String) if number is None else pl.col(str(number))


def _json(left: Left) -> pl.Expr:
    if left is None:
        return pl.lit(None, dtype=pl.String)
    texts, places = left
    parts = [pl.lit(texts[0])]
    for place, text in zip(places, texts[1:], strict=True):
        value, quote = pl.col(str(place.number)), '"' * place.is_text
        parts += [pl.lit(quote), value.str.replace_many(_ENCODED), pl.lit(quote + text)]
    return pl.concat_str(parts)


def _checked(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows that are plainly as declared, with the columns that all kinds share."""
    stripped = rows["message_id"].str.strip_chars(BLANK + "<>")
    rows = rows.with_columns(
        pl.col("recipient").str.strip_chars(BLANK),
        pl.when(pl.col("campaign_id").str.strip_chars(BLANK) != "").then("campaign_id"),
        moments(rows["timestamp"]).alias("occurred_at"),
        moments(rows["received_at"]).alias("received_at"),
        stripped.alias("stripped"),
    )
    plain = (
        (pl.col("kind").str.strip_chars(BLANK) != "")
        & (pl.col("recipient") != "")
        & (pl.col("stripped") != "")
        & pl.col("occurred_at").is_not_null()
        & (pl.col("received_at").is_not_null() == pl.col("timed"))
    )
    rows = rows.filter(plain)
    return rows.with_columns(_message_key(rows["stripped"]).alias("message_key"))


def _message_key(stripped: pl.Series) -> pl.Series:
    """Return what ``events.message_key`` does, as text."""
    key = stripped.str.slice(0, 36).str.to_lowercase()
    other = ~stripped.str.contains(_WITH_UUID)
    if not other.any():
        return key
    hashed = [str(message_key(text)) for text in stripped.filter(other)]
    return key.scatter(other.arg_true(), pl.Series(hashed, dtype=pl.String))


def _of_table(table: str, rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows with exactly the columns of their table."""
    zero, kept = pl.lit(0, dtype=pl.UInt32), pl.col("kept")
    more = {"block": zero, "element": zero, "event" if table == OTHER else "extra": kept}
    if table == OTHER:
        more["extra"] = pl.lit(None, dtype=pl.String)
    if "dsn_code" in SPECIFIC[table]:
        more["dsn_code"] = pl.col("dsn_status").str.extract(DSN_FORM, 1)
    return rows.with_columns(**more).select(list(schema(table)))
