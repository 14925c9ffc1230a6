"""Lines that differ only in their strings → columns of those strings, with a proof; pure.

``line.split('"')`` of a line without escaped quotes puts its strings, keys among them, at the odd
places and everything else of the JSON at the even ones. Two lines with the same pieces at the
even places and the same keys are the same document but for the values of its strings. So one line
is read strictly, by ``loader.strict_json``, and every line of its shape is then read by taking
pieces: nothing of it can have been overlooked, coerced or read twice.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson
import polars as pl

from loader.events import DECLARED, KINDS, beyond, canonical
from loader.strict_json import DEEPEST, NotStrict, check

Path = tuple[str, ...]

REQUIRED = ("kind", "recipient", "message_id", "timestamp")
_MARK = "\x01"  # a shape with a key that holds it is not learned
_MARKED = re.compile(r'"\\u0001([0-9]+)"')


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the pieces of a line a string stands."""

    number: int


@dataclass(frozen=True)
class Shape:
    """What the lines of one shape have in common.

    ``pieces`` is how many there are, ``fixed`` maps places to the piece that stands there in each
    of these lines. ``event`` is the event with a ``Place`` for each of its strings.
    """

    pieces: int
    fixed: Mapping[int, str]
    received_at: Place | None
    webhook: Place | None
    event: Mapping[str, Any]

    @cached_property
    def fields(self) -> dict[Path, int]:
        """Return path → place of the declared text fields that these lines have."""
        found = {path: _at(self.event, path) for path in _PATHS}
        return {path: place.number for path, place in found.items() if isinstance(place, Place)}

    @cached_property
    def places(self) -> list[int]:
        """Return the places of every string that a row is made of."""
        around = [place.number for place in (self.received_at, self.webhook) if place]
        return sorted({*around, *_places(self.event)})

    def left(self, kind: str) -> tuple[list[str], list[int]] | None:
        """Return the JSON that a row of ``kind`` keeps besides its columns, in parts.

        Between two texts of the first list the string at the place of the second belongs. It is
        ``extra`` of a kind known here (None when there is nothing), else the whole event.
        """
        kept = beyond(self.event, DECLARED[kind]) if kind in KINDS else dict(self.event)
        if not kept:
            return None
        parts = _MARKED.split(canonical(_marked(kept)))
        return parts[::2], [int(number) for number in parts[1::2]]


def learn(line: str) -> Shape | None:
    """Return the shape of ``line``, or None where lines like it have to be read one by one.

    Every quote in ``line`` is the beginning or the end of a string.
    """
    pieces = line.split('"')
    numbered = [str(place) if place % 2 else piece for place, piece in enumerate(pieces)]
    try:
        document = check('"'.join(numbered).encode(), DEEPEST + 1)
        keys: set[int] = set()
        named = _named(document, pieces, keys)
    except (NotStrict, ValueError):
        return None
    fixed = {
        place: pieces[place] for place in range(len(pieces)) if place in keys or place % 2 == 0
    }
    return _shape(len(pieces), fixed, named)


def _named(value: Any, pieces: list[str], keys: set[int]) -> Any:
    """Give a document of numbered strings its keys back, and a ``Place`` for each string."""
    if isinstance(value, str):
        return Place(int(value))
    if isinstance(value, list):
        return [_named(item, pieces, keys) for item in value]
    if not isinstance(value, dict):
        return value
    keys |= {int(number) for number in value}
    names = [orjson.loads(f'"{pieces[int(number)]}"') for number in value]
    if len(set(names)) < len(names) or any(_MARK in name for name in names):
        raise NotStrict("duplicate_key")
    return {
        name: _named(item, pieces, keys) for name, item in zip(names, value.values(), strict=True)
    }


def _shape(pieces: int, fixed: Mapping[int, str], document: Any) -> Shape | None:
    if not isinstance(document, dict):
        return None
    if "kind" in document:
        return _if_plain(Shape(pieces, fixed, None, None, document))
    if not isinstance(document.get("event"), dict):
        return None
    if any(holder in document for holder in ("events", "body", "body_base64")):
        return None
    received_at, webhook = document.get("received_at"), document.get("webhook")
    if not all(value is None or isinstance(value, Place) for value in (received_at, webhook)):
        return None
    return _if_plain(Shape(pieces, fixed, received_at, webhook, document["event"]))


def _if_plain(shape: Shape) -> Shape | None:
    """Return ``shape`` if every declared field in it has its declared type."""
    holders = {path[:1] for path in _PATHS if len(path) > 1}
    plain = (
        all(isinstance(shape.event.get(name), Place) for name in REQUIRED)
        and all(isinstance(_at(shape.event, path), (dict, type(None))) for path in holders)
        and all(isinstance(_at(shape.event, path), (Place, type(None))) for path in _PATHS)
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
    elif isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
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

_MOST_SHAPES = 16
"""Shapes remembered for one number of pieces."""
_WORTH = 32
"""Lines of a shape from which on taking pieces is quicker than reading them one by one."""
_TRIES = 8


class Shapes:
    """The shapes met so far. What it remembers changes the speed of reading, never an answer."""

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._known: dict[int, list[Shape]] = {}

    def strings(self, lines: pl.DataFrame) -> Iterator[tuple[Shape, pl.DataFrame]]:
        """Yield each shape with the strings of those ``lines`` that have it.

        ``lines`` has the column ``text``, whose every quote begins or ends a string, its
        ``pieces``, and any others, which are kept. A string stands in a column named by its
        place. Lines that have no shape, or none worth its while, are not yielded.
        """
        count = lines["pieces"].list.len()
        for number, found in count.value_counts(sort=True).head(2 * _MOST_SHAPES).rows():
            if found < _WORTH:
                return
            mine = count == number
            if found > lines.height // 2:
                # To copy the pieces of most lines costs more than to look at all of them.
                yield from self._strings(number, lines, mine)
            else:
                some = lines.filter(mine)
                yield from self._strings(number, some, mine.filter(mine))

    def _strings(
        self, number: int, lines: pl.DataFrame, left: pl.Series
    ) -> Iterator[tuple[Shape, pl.DataFrame]]:
        known = self._known.setdefault(number, [])
        for shape in list(known):
            met = left & _has(lines, shape)
            if met.any():
                yield shape, _take(lines, shape, met)
                left &= ~met
        for attempt in range(_TRIES):
            rest = left.arg_true()
            if len(rest) < _WORTH:
                return
            # Not always the first: what is odd often stands together.
            sample = lines["text"][rest[len(rest) * attempt // _TRIES]]
            met = _has(lines, learned) & left if (learned := learn(sample)) else left & False
            if learned and met.sum() >= _WORTH:
                known.insert(0, learned)
                del known[_MOST_SHAPES:]
                yield learned, _take(lines, learned, met)
                left &= ~met


def _has(lines: pl.DataFrame, shape: Shape) -> pl.Series:
    piece = pl.col("pieces").list
    same = [piece.get(place, null_on_oob=True) == text for place, text in shape.fixed.items()]
    return lines.select(pl.all_horizontal(same)).to_series().fill_null(False)


def _take(lines: pl.DataFrame, shape: Shape, met: pl.Series) -> pl.DataFrame:
    piece = pl.col("pieces").list
    taken = {str(place): piece.get(place, null_on_oob=True) for place in shape.places}
    strings = lines.select(pl.exclude("text", "pieces"), **taken)
    return strings if met.all() else strings.filter(met)
