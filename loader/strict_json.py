"""Bytes → the one value that every JSON reader sees in them, or ``NotStrict``; pure.

JSON readers disagree in the corners: of two equal keys some keep the first and some the last,
some read ``NaN``, some turn a lone surrogate into NUL, some round a long integer. Text that two
readers would read differently must not pass as an event, so it is refused here by name.
"""

import json
import math
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

import orjson

DEEPEST = 64
"""Levels of nesting that are read; the provider's events have two."""

_SMALLEST, _LARGEST = -(2**63), 2**64 - 1
_INTEGER_DIGITS = 20  # of the largest, so that a million digits are never converted


class NotStrict(ValueError):
    """The text is not strict JSON; ``reason`` is one short stable word."""

    def __init__(self, reason: str) -> None:  # noqa: D107
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Form:
    """What a signed body is: the key it stands under in a spool line, and its events."""

    key: Literal["event", "events", "body"]
    events: int
    reason: str | None
    """Why nothing in it counts as an event: a short stable word; None when it counts."""


def check(text: bytes, deepest: int = DEEPEST) -> object:
    """Return the value of one strict JSON document.

    Strict means: UTF-8 without a byte-order mark, no duplicate keys, no NaN or Infinity, no
    integer beyond 64 bits, no lone surrogate, at most ``deepest`` levels, nothing after the
    value. Raises ``NotStrict`` for everything else, and nothing besides.
    """
    try:
        decoded = text.decode("utf-8")
    except UnicodeDecodeError:
        raise NotStrict("not_utf8") from None
    if decoded.startswith("\ufeff"):
        raise NotStrict("byte_order_mark")
    value = _parse(decoded)
    if text.count(b"[") + text.count(b"{") > deepest and _depth(value) > deepest:
        raise NotStrict("too_deep")
    if b"\\u" in text:
        _refuse_lone_surrogates(text)
    return value


def form(body: bytes) -> Form:
    """Say how a signed ``body`` stands in the spool, and how many events it holds.

    A body whose JSON is spread over several lines counts its events too, but stands in the spool
    as text, because a spool line ends at the first newline.
    """
    if not body:
        return Form("body", 0, "empty")
    try:
        value = check(body)
    except NotStrict as error:
        return Form("body", 0, error.reason)
    if isinstance(value, dict):
        return Form("body" if b"\n" in body else "event", 1, None)
    if isinstance(value, list) and all(isinstance(item, dict) for item in value):
        return Form("body" if b"\n" in body else "events", len(value), None)
    return Form("body", 0, "not_an_object")


def _parse(text: str) -> object:
    try:
        value, end = _DECODER.raw_decode(text, len(text) - len(text.lstrip(_WHITESPACE)))
    except NotStrict:
        raise
    except RecursionError:
        raise NotStrict("too_deep") from None
    except ValueError:
        raise NotStrict("not_json") from None
    if text[end:].strip(_WHITESPACE):
        raise NotStrict("trailing_data")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise NotStrict("duplicate_key")
    return found


def _integer(digits: str) -> int:
    if len(digits) <= _INTEGER_DIGITS and _SMALLEST <= (value := int(digits)) <= _LARGEST:
        return value
    raise NotStrict("long_integer")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise NotStrict("not_finite")
    return value


def _constant(_word: str) -> NoReturn:
    raise NotStrict("not_finite")


def _refuse_lone_surrogates(text: bytes) -> None:
    # Everything else has been refused already: what orjson still refuses is an escape that is
    # half of a pair.
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        raise NotStrict("lone_surrogate") from None


def _depth(value: object) -> int:
    levels, layer = 0, [value]
    while layer:
        levels += 1
        layer = [child for item in layer for child in _children(item)]
    return levels - 1


def _children(value: object) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values()) or [None]
    return (value or [None]) if isinstance(value, list) else []


_WHITESPACE = " \t\r\n"
_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique,
    parse_int=_integer,
    parse_float=_finite,
    parse_constant=_constant,
)
