"""Lines that differ only in their strings → the places of those strings, with a proof; pure.

Without escaped quotes every other quote of a line begins a string. Two lines with the same bytes
outside of the strings, and the same keys, are the same document but for the values of its
strings. So one line is read strictly, by ``loader.strict_json``, and every line of its shape is
then read by comparing what stands between the values: nothing of it can have been overlooked,
coerced or read twice.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import orjson
import polars as pl
from numpy.typing import NDArray

from loader.events import DECLARED, KINDS, beyond, canonical
from loader.scan import REACH, Scan, Span, Truths, strips
from loader.strict_json import DEEPEST, NotStrict, check

Path = tuple[str, ...]

REQUIRED = ("kind", "recipient", "message_id", "timestamp")
_MARK = "\x01"  # a shape with a key that holds it is not learned
_MARKED = re.compile(r'"\\u0001([0-9]+)"')


@dataclass(frozen=True, slots=True)
class Place:
    """Which of the strings of a line, keys not counted."""

    number: int


@dataclass(frozen=True)
class Shape:
    """What the lines of one shape have in common.

    ``runs`` are the bytes before, between and after the strings, quotes included; string ``i``
    ends at the quote ``closings[i]`` of the line, and begins at the one before. ``event`` is the
    event with a ``Place`` for each of its strings.
    """

    runs: tuple[bytes, ...]
    closings: tuple[int, ...]
    received_at: Place | None
    webhook: Place | None
    event: Mapping[str, Any]

    @cached_property
    def fields(self) -> dict[Path, int]:
        """Return path → number of the declared text fields that these lines have."""
        found = {path: _at(self.event, path) for path in _PATHS}
        return {path: place.number for path, place in found.items() if isinstance(place, Place)}

    @cached_property
    def places(self) -> list[int]:
        """Return the numbers of the strings that a row is made of."""
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
        keys = set(_keys(document))
        values = [place for place in range(1, len(pieces), 2) if place not in keys]
        numbers = {place: number for number, place in enumerate(values)}
        named = _named(document, pieces, numbers)
    except (NotStrict, ValueError):
        return None
    borders = [-1, *values, len(pieces)]
    runs = [
        '"' * (after >= 0) + '"'.join(pieces[after + 1 : before]) + '"' * (before < len(pieces))
        for after, before in pairwise(borders)
    ]
    return _shape(tuple(run.encode() for run in runs), tuple(values), named)


def _keys(value: Any) -> Iterator[int]:
    if isinstance(value, dict):
        yield from map(int, value)
    for item in _items(value):
        yield from _keys(item)


def _items(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _named(value: Any, pieces: list[str], numbers: Mapping[int, int]) -> Any:
    """Give a document of numbered strings its keys back, and a ``Place`` for each string."""
    if isinstance(value, str):
        return Place(numbers[int(value)])
    if isinstance(value, list):
        return [_named(item, pieces, numbers) for item in value]
    if not isinstance(value, dict):
        return value
    names = [orjson.loads(f'"{pieces[int(number)]}"') for number in value]
    if len(set(names)) < len(names) or any(_MARK in name for name in names):
        raise NotStrict("duplicate_key")
    items = [_named(item, pieces, numbers) for item in value.values()]
    return dict(zip(names, items, strict=True))


def _shape(runs: tuple[bytes, ...], closings: tuple[int, ...], document: Any) -> Shape | None:
    if not isinstance(document, dict) or max(map(len, runs)) > REACH:
        return None
    if "kind" in document:
        return _if_plain(Shape(runs, closings, None, None, document))
    if not isinstance(document.get("event"), dict):
        return None
    if any(holder in document for holder in ("events", "body", "body_base64")):
        return None
    received_at, webhook = document.get("received_at"), document.get("webhook")
    if not all(value is None or isinstance(value, Place) for value in (received_at, webhook)):
        return None
    return _if_plain(Shape(runs, closings, received_at, webhook, document["event"]))


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

_MOST_SHAPES = 16
"""Shapes remembered for one number of quotes."""
_WORTH = 32
"""Lines of a shape from which on comparing is quicker than reading them one by one."""
_TRIES = 8

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Alike:
    """Lines of a scan, by their numbers, that have one shape."""

    shape: Shape
    scan: Scan
    lines: Numbers

    def span(self, number: int) -> Span:
        """Return where that string of the lines begins and ends."""
        closing = self.scan.firsts[self.lines] + self.shape.closings[number]
        return self.scan.quotes[closing - 1] + 1, self.scan.quotes[closing]

    def texts(self, numbers: Sequence[int]) -> list[pl.Series]:
        """Return those strings of the lines."""
        return self.scan.texts([self.span(number) for number in numbers])


class Shapes:
    """The shapes met so far. What it remembers changes the speed of reading, never an answer."""

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._known: dict[int, list[Shape]] = {}

    def alike(self, scan: Scan, usable: Truths) -> Iterator[Alike]:
        """Yield the ``usable`` lines of ``scan``, those together that have one shape.

        Every quote in them begins or ends a string. Lines that have no shape, or none worth its
        while, are not yielded.
        """
        numbers, found = np.unique(scan.counts[usable], return_counts=True)
        for place in np.argsort(-found)[: 2 * _MOST_SHAPES]:
            if found[place] < _WORTH:
                return
            lines = np.flatnonzero(usable & (scan.counts == numbers[place]))
            yield from self._alike(int(numbers[place]), scan, lines)

    def _alike(self, quotes: int, scan: Scan, lines: Numbers) -> Iterator[Alike]:
        known = self._known.setdefault(quotes, [])
        for shape in list(known):
            met = _have(shape, scan, lines)
            if met.any():
                yield Alike(shape, scan, lines[met])
                lines = lines[~met]
        for attempt in range(_TRIES):
            if len(lines) < _WORTH:
                return
            # Not always the first: what is odd often stands together.
            learned = learn(scan.text.line(lines[len(lines) * attempt // _TRIES]).decode())
            if not learned:
                continue
            met = _have(learned, scan, lines)
            if met.sum() >= _WORTH:
                known.insert(0, learned)
                del known[_MOST_SHAPES:]
                yield Alike(learned, scan, lines[met])
                lines = lines[~met]


def _have(shape: Shape, scan: Scan, lines: Numbers) -> Truths:
    """Say of each of ``lines``, which have as many quotes as ``shape``, whether they have it."""
    return np.concatenate([_strip_has(shape, scan, lines[rows]) for rows in strips(len(lines))])


def _strip_has(shape: Shape, scan: Scan, lines: Numbers) -> Truths:
    firsts, place = scan.firsts[lines], scan.text.starts[lines]
    same = np.ones(len(lines), np.bool_)
    for run, closing in zip(shape.runs, shape.closings, strict=False):
        same &= scan.have(place, run)
        place = scan.quotes[firsts + closing]
    last = shape.runs[-1]
    same &= scan.have(place, last)
    same &= place + len(last) == scan.text.ends[lines]
    return same
