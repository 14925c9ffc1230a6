"""Blocks of spool bytes → one typed frame per table, and a frame of what is set aside; pure.

What a line means, ``loader.events.read_line`` defines. Lines of a known shape are read many at a
time instead; whatever in them is not plainly as declared goes to ``read_line`` after all, so the
answer for a line never depends on which lines stand beside it.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from typing import Any
from uuid import UUID

import orjson
import polars as pl
import pyarrow as pa  # type: ignore[import-untyped]

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
from loader.shape import Shape, Shapes

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

_TIME = (
    "^[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
    r"(?:\.[0-9]{1,9})?"
)
_ZULU = _TIME + "Z$"
_OFFSET = _TIME + "[+-](?:[01][0-9]|2[0-3]):[0-5][0-9]$"
_FIRST, _LAST = datetime.min, datetime.max
_WITH_UUID = f"^{UUID_FORM.pattern}(?:@[^@]*)?$"
_ESCAPES = (
    r"\\(?:[/bfnrt]|u(?:[0-9a-cA-CefEF][0-9a-fA-F]{3}|[dD][0-7][0-9a-fA-F]{2}"
    r"|[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}))"
)
_ENCODED = {char: orjson.dumps(char).decode()[1:-1] for char in ('"', "\\", *map(chr, range(0x20)))}


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines of one segment, from one offset on."""

    segment: str
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines of some blocks, one after another, without their newlines."""

    text: pl.Series
    """A line a row; null where it is not UTF-8."""
    raw: dict[int, bytes]
    """The lines that are not UTF-8."""
    starts: list[int]
    """Of each block, the number of its first line."""

    def bytes_of(self, number: int) -> bytes:
        """Return one line."""
        text: str | None = self.text[number]
        return self.raw[number] if text is None else text.encode()


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a sequence of blocks holds.

    ``events`` has a frame per table: the columns of the table, ``message_key`` as text, and
    ``block``, ``line`` and ``element``, the places of the event's block in ``blocks``, of its
    line in ``lines``, and of it in the line. ``refused`` has a row per event set aside, with the
    columns of the table ``quarantine`` and ``block``. ``read`` counts the events of each block.
    """

    blocks: Sequence[Block]
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
    left = pl.arange(0, len(lines.text), dtype=pl.UInt32, eager=True)
    if len(left) > _FEW:
        for table, frame in _read_by_shape(lines, shapes, blocks):
            frames[table].append(frame)
        left = _without(left, [frame["line"] for found in frames.values() for frame in found])
    singly, refused = _read_singly(lines, left, blocks)
    for table, frame in singly.items():
        frames[table].append(frame)
    events = {table: _in_order(found, lines.starts) for table, found in frames.items() if found}
    return Parsed(blocks, lines, events, refused, _tally(len(blocks), [*events.values(), refused]))


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


def _without(numbers: pl.Series, taken: Iterable[pl.Series]) -> pl.Series:
    left = pl.repeat(True, len(numbers), dtype=pl.Boolean, eager=True)
    for part in taken:
        left = left.scatter(part, False)
    return numbers.filter(left)


def _in_order(frames: list[pl.DataFrame], starts: list[int]) -> pl.DataFrame:
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
    data = b"".join(block.data for block in blocks) if len(blocks) > 1 else blocks[0].data
    starts = [0, *accumulate(block.data.count(b"\n") for block in blocks[:-1])]
    try:
        whole = pl.Series([data], dtype=pl.Binary).cast(pl.String)
    except pl.exceptions.PolarsError:
        return _lines_of_bytes(data, starts)
    text = whole.str.split("\n").explode()
    return Lines(text.head(len(text) - 1), {}, starts)  # nothing follows the last newline


def _lines_of_bytes(data: bytes, starts: list[int]) -> Lines:
    lines = data.split(b"\n")[:-1]
    text = [_text(line) for line in lines]
    bad = {number: lines[number] for number, line in enumerate(text) if line is None}
    return Lines(pl.Series(text, dtype=pl.String), bad, starts)


def _text(line: bytes) -> str | None:
    try:
        return line.decode()
    except UnicodeDecodeError:
        return None


# ── one by one ───────────────────────────────────────────────────────────────────────────────


def _read_singly(
    lines: Lines, numbers: pl.Series, blocks: Sequence[Block]
) -> tuple[dict[str, pl.DataFrame], pl.DataFrame]:
    rows: dict[str, list[dict[str, Any]]] = {table: [] for table in TABLES}
    aside: list[tuple[int, Refused]] = []
    for number in numbers.to_list():
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
    aside: list[tuple[int, Refused]], lines: Lines, blocks: Sequence[Block]
) -> pl.DataFrame:
    if not aside:
        return pl.DataFrame(schema=REFUSED)
    ends = (lines.text.str.len_bytes() + 1).cast(pl.Int64)
    if lines.raw:
        bad = {number: len(raw) + 1 for number, raw in lines.raw.items()}
        ends = ends.scatter(list(bad), list(bad.values()))
    before = ends.cum_sum() - ends
    borders = pl.Series(lines.starts)
    rows = []
    for number, item in aside:
        block = borders.search_sorted(number, side="right") - 1
        within = before[number] - before[lines.starts[block]]
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


def _read_by_shape(
    lines: Lines, shapes: Shapes, blocks: Sequence[Block]
) -> Iterator[tuple[str, pl.DataFrame]]:
    for shape, found in shapes.strings(_in_pieces(lines, blocks)):
        rows = _checked(shape, _unescaped(shape, found))
        for kind in KINDS:
            of_kind = rows.filter(pl.col("kind") == kind)
            if of_kind.height:
                yield kind, _of_kind(shape, kind, of_kind)
        others = rows.filter(~pl.col("kind").is_in(list(KINDS)))
        if others.height:
            yield OTHER, _of_kind(shape, OTHER, others)


def _in_pieces(lines: Lines, blocks: Sequence[Block]) -> pl.DataFrame:
    """Return the lines whose every quote begins or ends a string, cut at the quotes."""
    frame = pl.DataFrame({"text": lines.text}).with_row_index("line")
    frame = frame.with_columns(pl.lit(False).alias("escaped"))
    if lines.raw:
        frame = frame.drop_nulls("text")
    if sum(_control_characters(block.data) for block in blocks) > len(lines.text):
        within = pl.col("text").str.strip_chars_end("\r").str.contains(r"[\x00-\x1f]")
        frame = frame.filter(~within)
    if any(b"\\" in block.data for block in blocks):
        frame = _with_plain_escapes(frame)
    return frame.with_columns(pl.col("text").str.split('"').alias("pieces"))


def _control_characters(data: bytes) -> int:
    """Return how many characters below the space there are: at least the newlines."""
    buffer = pa.Array.from_buffers(pa.uint8(), len(data), [None, pa.py_buffer(data)])
    return int((pl.Series(buffer) < ord(" ")).sum())


def _with_plain_escapes(frame: pl.DataFrame) -> pl.DataFrame:
    """Write escaped quotes and backslashes another way; leave out what is no proper escape."""
    escaped = frame["text"].str.contains("\\", literal=True)
    text = pl.col("text").str.replace_all("\\\\", "\\u005c", literal=True)
    text = text.str.replace_all('\\"', "\\u0022", literal=True)
    rewritten = frame.filter(escaped).with_columns(text, pl.lit(True).alias("escaped"))
    rest = rewritten["text"].str.replace_all(_ESCAPES, "")
    proper = rewritten.filter(~rest.str.contains("\\", literal=True))
    return pl.concat([frame.filter(~escaped), proper]).sort("line")


def _unescaped(shape: Shape, strings: pl.DataFrame) -> pl.DataFrame:
    """Return the strings as they are meant."""
    rows = strings["escaped"].arg_true()
    if not len(rows):
        return strings
    names = [str(place) for place in shape.places]
    return strings.with_columns(
        strings[name].scatter(rows, _decoded(strings[name].gather(rows))) for name in names
    )


def _decoded(texts: pl.Series) -> pl.Series:
    return pl.Series(orjson.loads('["' + '","'.join(texts) + '"]'), dtype=pl.String)


def _checked(shape: Shape, strings: pl.DataFrame) -> pl.DataFrame:
    """Return the rows that are plainly as declared, with the columns that all kinds share."""
    named = {"_".join(path): str(place) for path, place in shape.fields.items()}
    stripped = strings[named["message_id"]].str.strip_chars(BLANK + "<>")
    rows = strings.with_columns(
        pl.col(named["kind"]).alias("kind"),
        pl.col(named["message_id"]).alias("message_id"),
        pl.col(named["recipient"]).str.strip_chars(BLANK).alias("recipient"),
        _times(strings[named["timestamp"]]).alias("occurred_at"),
        *_envelope(shape, strings),
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


def _envelope(shape: Shape, strings: pl.DataFrame) -> list[pl.Series | pl.Expr]:
    at, webhook = shape.received_at, shape.webhook
    received = _times(strings[str(at.number)]) if at else pl.lit(None, dtype=TIME)
    name = str(webhook.number) if webhook else None
    return [received.alias("received_at"), _or_null(name).alias("webhook")]


def _or_null(column: str | None) -> pl.Expr:
    return pl.col(column) if column else pl.lit(None, dtype=pl.String)


def _times(texts: pl.Series) -> pl.Series:
    """Return the moments, null where a text is not plainly a zoned time."""
    zulu = texts.str.contains(_ZULU)
    found = _parsed(texts if zulu.all() else texts.set(~zulu, None), _form(texts))
    if not zulu.all() and (offset := texts.str.contains(_OFFSET)).any():
        there = _parsed(texts.set(~offset, None), "%.f%z").dt.replace_time_zone(None)
        found = found.zip_with(~offset, there)
    return found.set(~found.is_between(_FIRST, _LAST), None)


def _form(texts: pl.Series) -> str:
    # With a fraction of fixed length polars is four times as quick as with one of any length.
    for length, form in ((27, ".%6fZ"), (20, "Z")):
        if (texts.str.len_bytes() == length).all():
            return form
    return "%.fZ"


def _parsed(texts: pl.Series, form: str) -> pl.Series:
    seconds = "%Y-%m-%dT%H:%M:%S"
    return texts.str.to_datetime(seconds + form, time_unit="us", strict=False, cache=False)


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
