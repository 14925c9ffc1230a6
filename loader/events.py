"""One line of the spool → its events, or the reason why it is set aside; pure.

The kinds, their fields and every reason stand here as data. ``read_line`` is the definition of
what a line means: the fast path of ``loader.batch`` may only be quicker, never different.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Any, TypeGuard
from uuid import UUID

import orjson

from loader.strict_json import DEEPEST, NotStrict, check

REQUIRED = ("kind", "recipient", "message_id", "timestamp")
"""The text fields without which an event of no kind is loaded."""

COMMON: Mapping[str, tuple[str, ...]] = {
    "sender": ("sender",),
    "campaign_id": ("campaign", "id"),
    "campaign_name": ("campaign", "name"),
}
"""Column → path in the event, of the optional text fields that every kind shares."""

KINDS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "delivered": {},
    "open": {},
    "click": {"url": ("url",)},
    "bounce": {
        "sync_type": ("sync_type",),
        "dsn_status": ("dsn_status",),
        "bounce_category": ("bounce_category",),
        "bounce_type": ("bounce_type",),
    },
    "subscription_changed": {
        "change": ("change",),
        "contact_list_id": ("contact_list", "id"),
        "contact_list_name": ("contact_list", "name"),
    },
}
"""Kind → column → path, of the optional text fields of that kind alone.

What was loaded before a kind or a field was added here stands as it was read then, and its
duplicates would not be known again: a version that adds one asks for ``loader ingest --rebuild``.
"""

OTHER = "other_event"
"""The table of every kind that is not in ``KINDS``."""

TABLES = (*KINDS, OTHER)

SPECIFIC: Mapping[str, tuple[str, ...]] = {
    **{kind: tuple(fields) for kind, fields in KINDS.items()},
    "bounce": ("sync_type", "dsn_status", "dsn_code", "bounce_category", "bounce_type"),
    OTHER: ("kind", "event"),
}
"""Table → its columns beyond the shared ones; they belong to what makes an event a duplicate."""

REASONS: Mapping[str, str] = {
    "not_json": "the line, or the body in it, is not JSON",
    "trailing_data": "something follows the JSON value",
    "not_utf8": "the bytes are not UTF-8",
    "byte_order_mark": "the text starts with a byte-order mark",
    "duplicate_key": "a key stands twice in one object, and readers disagree which one counts",
    "not_finite": "a number is NaN, infinite or too large to hold",
    "long_integer": "an integer needs more than 64 bits",
    "lone_surrogate": "an escape is half of a surrogate pair",
    "too_deep": "the value is nested too deeply",
    "too_long": "the line has over 16 MiB, of which 4,096 bytes are kept: put one event on it",
    "empty": "the signed body was empty",
    "not_an_object": "the line, or the body in it, is neither an object nor an array of objects",
    "not_base64:body_base64": "the kept body is not base64",
    "ambiguous:event": "the line holds more than one of event, events, body and body_base64",
    "missing:<field>": "kind, recipient, message_id or timestamp is absent or null",
    "empty:<field>": "kind, recipient or message_id holds nothing but spaces",
    "wrong_type:<field>": "the field holds another JSON type than declared",
    "not_a_time:<field>": "the text is no ISO-8601 time, such as 2026-11-23T07:00:00Z",
    "not_zoned:<field>": "the time has no zone, so its moment is unknown",
}
"""Every reason of the quarantine, with its meaning; ``<field>`` is the path in the event."""

BLANK = " \t\r\n\f\v"
"""What is stripped from recipients and message ids, and of what a blank campaign id, which is none,
consists: ASCII white space, the same in every engine."""

UUID_FORM = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
DSN_FORM = r"(?:^|[^0-9.])([245]\.[0-9]{1,3}\.[0-9]{1,3})(?:[^0-9.]|\.[^0-9]|\.?$)"
"""An enhanced status code (RFC 3463) that is not part of a longer dotted number, such as an
address; without look-around, so that Python, polars and DuckDB read it alike."""

_DSN = re.compile(DSN_FORM, re.DOTALL)
_TIME = re.compile(
    r"""(?P<year>[0-9]{4})(?P<extended>-)?
    (?:(?P<month>[0-9]{2})(?(extended)-)(?P<day>[0-9]{2})
      |W(?P<week>[0-9]{2})(?(extended)-)(?P<weekday>[1-7])
      |(?P<day_of_year>[0-9]{3}))
    T(?P<hour>[0-9]{2})(?(extended):)(?P<minute>[0-9]{2})
    (?:(?(extended):)(?P<second>[0-9]{2})(?:[.,](?P<decimals>[0-9]+))?)?
    (?:(?P<zulu>Z)|(?P<sign>[+-])(?P<hours>[0-9]{2})(?::?(?P<minutes>[0-9]{2}))?)?""",
    re.VERBOSE,
)
_HOLDERS = ("event", "events", "body", "body_base64")


class SetAside(ValueError):
    """The line or event cannot be loaded; ``reason`` is one of ``REASONS``."""

    def __init__(self, reason: str) -> None:
        """``reason`` becomes the attribute of that name."""
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Event:
    """One event that can be loaded: its table, and a value for each of the table's columns."""

    table: str
    row: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Refused:
    """One event, or one whole line, that is set aside."""

    reason: str
    line: bytes
    """The line; of an element of an array, a line of its own that holds just that element."""
    received_at: datetime | None


def read_line(line: bytes) -> Iterator[Event | Refused]:
    """Read one spool line (without its newline) into its events, in their order.

    Yields nothing for a blank line or an empty array; never raises. The answer depends on the
    line alone. Times are naive UTC.
    """
    if not line.strip(b" \t\r"):
        return
    received_at = None
    try:
        envelope = _document(line, DEEPEST + 1)
        if not isinstance(envelope, dict):
            raise SetAside("not_an_object")
        if _holders(envelope):
            received_at = _received_at(envelope)
        yield from _read_envelope(envelope, line, received_at)
    except SetAside as aside:
        yield Refused(aside.reason, line, received_at)


def _document(text: bytes, deepest: int) -> object:
    try:
        return check(text, deepest)
    except NotStrict as error:
        raise SetAside(error.reason) from None


def _holders(envelope: Mapping[str, Any]) -> list[str]:
    # A bare event may have a field of any name, so it is its kind that tells it from an envelope.
    return [] if "kind" in envelope else [key for key in _HOLDERS if key in envelope]


def _received_at(envelope: Mapping[str, Any]) -> datetime | None:
    if envelope.get("received_at") is None:
        return None
    return read_time(_text(envelope, "received_at"), "received_at")


def _read_envelope(
    envelope: Mapping[str, Any], line: bytes, received_at: datetime | None
) -> Iterator[Event | Refused]:
    holders = _holders(envelope)
    if len(holders) > 1:
        raise SetAside("ambiguous:event")
    webhook = _optional(envelope, ("webhook",)) if holders else None
    held = _held(envelope, holders[0]) if holders else envelope
    if isinstance(held, dict):
        yield _event(held, webhook, received_at)
    elif _is_array(held):
        yield from _elements(held, envelope, webhook, received_at)
    else:
        raise SetAside("not_an_object")


def _held(envelope: Mapping[str, Any], holder: str) -> object:
    if holder == "event" and not isinstance(envelope["event"], dict):
        raise SetAside("wrong_type:event")
    if holder == "events" and not isinstance(envelope["events"], list):
        raise SetAside("wrong_type:events")
    if holder in {"event", "events"}:
        return envelope[holder]
    body = _text(envelope, holder)
    text = body.encode() if holder == "body" else _base64(body)
    if not text:
        raise SetAside("empty")
    return _document(text, DEEPEST)


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise SetAside("not_base64:body_base64") from None


def _is_array(held: object) -> TypeGuard[list[dict[str, Any]]]:
    return isinstance(held, list) and all(isinstance(item, dict) for item in held)


def _elements(
    held: list[dict[str, Any]],
    envelope: Mapping[str, Any],
    webhook: str | None,
    received_at: datetime | None,
) -> Iterator[Event | Refused]:
    for element in held:
        try:
            yield _event(element, webhook, received_at)
        except SetAside as aside:
            yield Refused(aside.reason, _own_line(envelope, element), received_at)


def _own_line(envelope: Mapping[str, Any], element: dict[str, Any]) -> bytes:
    frame = {key: envelope[key] for key in ("received_at", "webhook") if key in envelope}
    return orjson.dumps({**frame, "event": element})


def own_lines(line: bytes) -> list[bytes]:
    """Return of each item of ``read_line(line)`` what ``Refused.line`` is of it, refused or not."""
    try:
        envelope = _document(line, DEEPEST + 1)
        if not isinstance(envelope, dict) or len(holders := _holders(envelope)) != 1:
            return [line]
        held = _held(envelope, holders[0])
    except SetAside:
        return [line]
    return [_own_line(envelope, element) for element in held] if _is_array(held) else [line]


def _event(event: dict[str, Any], webhook: str | None, received_at: datetime | None) -> Event:
    kind = _filled(event, "kind")
    recipient = _filled(event, "recipient").strip(BLANK)
    message_id = _filled(event, "message_id", BLANK + "<>")
    row: dict[str, Any] = {
        "message_key": message_key(message_id),
        "message_id": message_id,
        "recipient": recipient,
        "webhook": webhook,
        "occurred_at": read_time(_required(event, "timestamp"), "timestamp"),
        "received_at": received_at,
    }
    fields = {**COMMON, **KINDS.get(kind, {})}
    row |= {column: _optional(event, path) for column, path in fields.items()}
    if not (row["campaign_id"] or "").strip(BLANK):
        row["campaign_id"] = None
    if kind not in KINDS:
        return Event(OTHER, {**row, "kind": kind, "event": canonical(event), "extra": None})
    if kind == "bounce":
        row["dsn_code"] = dsn_code(row["dsn_status"])
    return Event(kind, {**row, "extra": _extra(event, kind)})


def _required(event: Mapping[str, Any], field: str) -> str:
    if event.get(field) is None:
        raise SetAside(f"missing:{field}")
    return _text(event, field)


def _filled(event: Mapping[str, Any], field: str, blank: str = BLANK) -> str:
    text = _required(event, field)
    if not text.strip(blank):
        raise SetAside(f"empty:{field}")
    return text


def _text(holder: Mapping[str, Any], field: str, path: str = "") -> str:
    value = holder[field]
    if not isinstance(value, str):
        raise SetAside(f"wrong_type:{path or field}")
    return value


def _optional(event: Mapping[str, Any], path: tuple[str, ...]) -> str | None:
    holder: Any = event
    for depth, name in enumerate(path[:-1], start=1):
        holder = holder.get(name)
        if holder is None:
            return None
        if not isinstance(holder, dict):
            raise SetAside(f"wrong_type:{'.'.join(path[:depth])}")
    return None if holder.get(path[-1]) is None else _text(holder, path[-1], ".".join(path))


def message_key(message_id: str) -> UUID:
    """Return the key of a message id: the UUID in it, else the MD5 of the stripped id as one.

    Both of the provider's forms, ``<uuid@domain>`` and the bare uuid, give the same key.
    """
    stripped = message_id.strip(BLANK + "<>")
    local = stripped.rpartition("@")[0] or stripped
    if UUID_FORM.fullmatch(local):
        return UUID(local)
    return UUID(bytes=hashlib.md5(stripped.encode(), usedforsecurity=False).digest())


def dsn_code(dsn_status: str | None) -> str | None:
    """Return the enhanced status code in a DSN text, such as ``4.4.7``, or None."""
    found = _DSN.search(dsn_status or "")
    return found[1] if found else None


def read_time(text: str, field: str) -> datetime:
    """Return the moment of a zoned ISO-8601 time as naive UTC, to the microsecond, cut off.

    The date is one of month, week or day of the year, all with separators or all without; the
    time is given from the minute on; a leap second is none. ``field`` names the field in the
    reason. Raises ``SetAside`` where the text is not such a time of the years 1 to 9999, or has
    no zone.
    """
    found = _TIME.fullmatch(text)
    if not found:
        raise SetAside(f"not_a_time:{field}")
    zone = _zone(found, field)
    try:
        local = datetime.combine(_date(found), time(tzinfo=zone)) + _since_midnight(found)
        return local.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        raise SetAside(f"not_a_time:{field}") from None


def _date(found: re.Match[str]) -> date:
    year = int(found["year"])
    if found["week"]:
        return date.fromisocalendar(year, int(found["week"]), int(found["weekday"]))
    if found["day_of_year"]:
        day = date(year, 1, 1) + timedelta(int(found["day_of_year"]) - 1)
        if day.year != year:
            raise ValueError("no day of this year")
        return day
    return date(year, int(found["month"]), int(found["day"]))


def _since_midnight(found: re.Match[str]) -> timedelta:
    """Return the time of day, at most 24:00. Raises ``ValueError`` where it is none."""
    hour, minute, second = (int(found[part] or 0) for part in ("hour", "minute", "second"))
    micros = int(f"{found['decimals'] or '0':0<6.6}")
    since = timedelta(hours=hour, minutes=minute, seconds=second, microseconds=micros)
    if minute > 59 or second > 59 or since > timedelta(days=1):
        raise ValueError("no time of day")
    return since


def _zone(found: re.Match[str], field: str) -> timezone:
    if found["zulu"]:
        return UTC
    if not found["sign"]:
        raise SetAside(f"not_zoned:{field}")
    hours, minutes = int(found["hours"]), int(found["minutes"] or 0)
    if hours > 23 or minutes > 59:
        raise SetAside(f"not_a_time:{field}")
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if found["sign"] == "-" else offset)


def canonical(value: object) -> str:
    """Return JSON text that is equal for equal values: sorted keys, no spaces."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def _extra(event: Mapping[str, Any], kind: str) -> str | None:
    left = beyond(event, DECLARED[kind])
    return canonical(left) if left else None


def beyond(event: Mapping[str, Any], declared: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of ``event`` is outside the tree of fields ``declared``."""
    left: dict[str, Any] = {}
    for key, value in event.items():
        if key not in declared:
            left[key] = value
        elif declared[key] and value and (inner := beyond(value, declared[key])):
            left[key] = inner
    return left


def _tree(kind: str) -> dict[str, Any]:
    tree: dict[str, Any] = dict.fromkeys(REQUIRED)
    for path in (*COMMON.values(), *KINDS[kind].values()):
        holder = tree
        for name in path[:-1]:
            holder = holder.setdefault(name, {})
        holder[path[-1]] = None
    return tree


DECLARED: Mapping[str, Mapping[str, Any]] = {kind: _tree(kind) for kind in KINDS}
"""Kind → the tree of the fields that have a column; None stands for a text."""
