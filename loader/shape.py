"""Lines that differ only in their strings and whole numbers → a pattern of them all; pure.

Two lines with the same bytes outside of their values, and the same keys, are the same document
but for those values. So one line is read strictly, by ``loader.strict_json``, and a regular
expression is made of it: its own bytes, and where its values stand, every value of that kind.
What the expression matches can have nothing in it that was overlooked, coerced or read twice.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, count
from typing import Any

import orjson
import polars as pl

from loader.events import DECLARED, KINDS, REQUIRED, beyond, canonical
from loader.strict_json import DEEPEST, NotStrict, check

Path = tuple[str, ...]

_MARK = "\x01"  # a shape with a key that holds it is not learned
_MARKED = re.compile(r'"\\u0001([0-9]+)"')
_NUMBER = "-?[1-9][0-9]{0,17}|0"
"""Whole numbers that every reader, and ``canonical``, writes as they stand."""
_VALUE = re.compile(
    rf'"(?P<text>(?:[^"\\]|\\.)*)"|(?<![0-9A-Za-z.+-])(?:{_NUMBER})(?![0-9A-Za-z.+-])'
)
_TEXT = r'(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*'
"""What may stand in a string of strict JSON, but that surrogates come in pairs: a pattern that
knew this too would be beyond what polars matches in one pass."""
_SURROGATE = r"\\u[dD][89a-fA-F]"
_PAIR = r"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
"""Escaped: a backslash, or two halves of one character."""
_LONGEST = 4096
_MOST_VALUES = 64
"""Characters between the values of a line, and values, up to which a pattern is made of it."""


@dataclass(frozen=True, slots=True)
class Place:
    """Which of the values of a line: of its strings, keys not counted, and its whole numbers."""

    number: int
    is_text: bool


Left = tuple[tuple[str, ...], tuple[Place, ...]] | None
"""JSON in parts: between two texts of the first the value at the place of the second belongs."""


@dataclass(frozen=True)
class Shape:
    """What the lines of one shape have in common.

    ``runs`` are what stands before, between and after the values, quotes included. ``values``
    are the values, in their order, and ``event`` is the event with a ``Place`` for each of its.
    """

    runs: tuple[str, ...]
    values: tuple[Place, ...]
    received_at: Place | None
    webhook: Place | None
    event: Mapping[str, Any]

    @cached_property
    def pattern(self) -> str:
        """Return a regular expression of the lines; its groups are ``places``, in their order."""
        parts = [r"\A", pl.escape_regex(self.runs[0])]
        for value, run in zip(self.values, self.runs[1:], strict=True):
            group = "" if value.number in self.places else "?:"
            form = _TEXT if value.is_text else _NUMBER
            parts += [f"({group}{form})", pl.escape_regex(run)]
        return "".join([*parts, r"\n\z"])

    @cached_property
    def fields(self) -> dict[Path, int]:
        """Return path → number of the declared text fields that these lines have."""
        found = {path: _at(self.event, path) for path in _PATHS}
        return {path: place.number for path, place in found.items() if isinstance(place, Place)}

    @cached_property
    def places(self) -> list[int]:
        """Return the numbers of the values that a row is made of."""
        around = [place.number for place in (self.received_at, self.webhook) if place]
        return sorted({*around, *_places(self.event)})

    def left(self, kind: str) -> Left:
        """Return the JSON that a row of ``kind`` keeps besides its columns.

        It is ``extra`` of a kind known here (None when there is nothing), else the whole event.
        """
        kept = beyond(self.event, DECLARED[kind]) if kind in KINDS else dict(self.event)
        if not kept:
            return None
        parts = _MARKED.split(canonical(_marked(kept)))
        return tuple(parts[::2]), tuple(self.values[int(number)] for number in parts[1::2])


def learn(line: str) -> Shape | None:
    """Return the shape of ``line``, or None where lines like it have to be read one by one."""
    tokens = list(_VALUE.finditer(line))
    try:
        check(line.encode(), DEEPEST + 1)
    except NotStrict:
        return None
    numbers = count()
    document = orjson.loads(_VALUE.sub(lambda _token: f'"{next(numbers)}"', line))
    keys = set(_keys(document))
    values = [number for number in range(len(tokens)) if number not in keys]
    places = {
        token: Place(number, tokens[token]["text"] is not None)
        for number, token in enumerate(values)
    }
    names = {key: orjson.loads(tokens[key][0]) for key in keys}
    if len(values) > _MOST_VALUES or any(_MARK in name for name in names.values()):
        return None
    inner = [tokens[value].span("text" if places[value].is_text else 0) for value in values]
    borders = [0, *chain.from_iterable(inner), len(line)]
    runs = tuple(line[start:stop] for start, stop in zip(borders[::2], borders[1::2], strict=True))
    if sum(map(len, runs)) > _LONGEST:
        return None
    return _shape(runs, tuple(places.values()), _named(document, names, places))


def _keys(value: Any) -> Iterator[int]:
    if isinstance(value, dict):
        yield from map(int, value)
    for item in _items(value):
        yield from _keys(item)


def _items(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _named(value: Any, names: Mapping[int, str], places: Mapping[int, Place]) -> Any:
    """Give a document of numbered tokens its keys back, and a ``Place`` for each value."""
    if isinstance(value, str):
        return places[int(value)]
    if isinstance(value, list):
        return [_named(item, names, places) for item in value]
    if isinstance(value, dict):
        return {names[int(key)]: _named(item, names, places) for key, item in value.items()}
    return value


def _shape(runs: tuple[str, ...], values: tuple[Place, ...], document: Any) -> Shape | None:
    if not isinstance(document, dict):
        return None
    if "kind" in document:
        return _if_plain(Shape(runs, values, None, None, document))
    if not isinstance(document.get("event"), dict):
        return None
    if any(holder in document for holder in ("events", "body", "body_base64")):
        return None
    received_at, webhook = document.get("received_at"), document.get("webhook")
    if not all(value is None or _is_text(value) for value in (received_at, webhook)):
        return None
    return _if_plain(Shape(runs, values, received_at, webhook, document["event"]))


def _is_text(value: Any) -> bool:
    return isinstance(value, Place) and value.is_text


def _if_plain(shape: Shape) -> Shape | None:
    """Return ``shape`` if every declared field in it has its declared type."""
    holders = {path[:1] for path in _PATHS if len(path) > 1}
    declared = [_at(shape.event, path) for path in _PATHS]
    plain = (
        all(_is_text(shape.event.get(name)) for name in REQUIRED)
        and all(isinstance(_at(shape.event, path), (dict, type(None))) for path in holders)
        and all(value is None or _is_text(value) for value in declared)
    )
    return shape if plain else None


def _at(event: Mapping[str, Any], path: Path) -> Any:
    value: Any = event
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _places(value: Any) -> Iterator[int]:
    if isinstance(value, Place):
        yield value.number
    for item in _items(value):
        yield from _places(item)


def _marked(value: Any) -> Any:
    if isinstance(value, Place):
        return f"{_MARK}{value.number}"
    if isinstance(value, list):
        return [_marked(item) for item in value]
    return {k: _marked(v) for k, v in value.items()} if isinstance(value, dict) else value


def _paths(tree: Mapping[str, Any], above: Path = ()) -> Iterator[Path]:
    for name, inner in tree.items():
        yield from _paths(inner, (*above, name)) if inner else iter([(*above, name)])


_PATHS = sorted({path for tree in DECLARED.values() for path in _paths(tree)})


# ── many lines at once ───────────────────────────────────────────────────────────────────────

_MOST_SHAPES = 24
"""Shapes remembered; polars keeps 32 compiled expressions."""
_WORTH = 32
"""Lines of a shape from which on a pattern is quicker than reading them one by one."""
_TRIES = 8


@dataclass(frozen=True)
class Alike:
    """Lines of one shape: a row each, in their order.

    ``rows`` has the columns ``line``, the number of the line, ``escaped``, whether a backslash
    stands in it, and one for each of ``shape.places``, named by its number: its value as it
    stands in the line.
    """

    shape: Shape
    rows: pl.DataFrame


class Shapes:
    """The shapes met so far. What it remembers changes the speed of reading, never an answer."""

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._known: list[Shape] = []

    def alike(self, lines: pl.Series) -> Iterator[Alike]:
        """Yield the ``lines`` (texts that end with a newline, or null) that have one shape.

        Lines that have no shape, or none worth its while, are not yielded.
        """
        met, left = [], _proper(lines)
        for shape in self._known:
            rows, left = _split(shape, left)
            met.append((rows.height, shape))
            yield Alike(shape, rows)
        for attempt in range(_TRIES):
            if left.height < _WORTH:
                break
            # Not always the first: what is odd often stands together.
            learned = learn(left["text"][left.height * attempt // _TRIES].removesuffix("\n"))
            if not learned:
                continue
            rows, rest = _split(learned, left)
            if rows.height >= _WORTH:
                left = rest
                met.append((rows.height, learned))
                yield Alike(learned, rows)
        commonest = sorted(met, key=lambda one: one[0], reverse=True)
        self._known = [shape for _rows, shape in commonest[:_MOST_SHAPES]]


def _proper(lines: pl.Series) -> pl.DataFrame:
    """Return ``line``, ``text`` and ``escaped`` of lines that have no half of a surrogate pair."""
    rows = pl.DataFrame({"text": lines, "escaped": lines.str.contains("\\", literal=True)})
    rows = rows.with_row_index("line").drop_nulls()
    if not rows["escaped"].any():
        return rows
    text = pl.col("text").str.replace_all(_PAIR, "")
    halves = rows.filter("escaped").filter(text.str.contains(_SURROGATE))
    return rows.join(halves, on="line", how="anti", maintain_order="left")


def _split(shape: Shape, lines: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows of those ``lines`` that have the shape, and the other lines."""
    found = lines["text"].str.extract_groups(shape.pattern).struct.unnest()
    found.columns = [str(number) for number in shape.places]
    has = found.to_series().is_not_null()
    return lines.select("line", "escaped").hstack(found).filter(has), lines.filter(~has)
