"""What one spool line means."""

import base64
import hashlib
import json
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest

from loader.events import REASONS, Event, Refused, canonical, dsn_code, message_key, read_line
from loader.strict_json import form
from tests.provider import (
    BOUNCE,
    CAMPAIGN,
    CLICK,
    DELIVERED,
    MESSAGE,
    OPEN,
    SHORT_BOUNCE,
    SUBSCRIPTION_CHANGED,
    bare,
    line,
)

ELLIPSIS_KEY = message_key("…@example.com")
RECEIVED = datetime(2026, 11, 23, 7, 0, 0, 123456)
OCCURRED = datetime(2025, 9, 4, 10, 0)


def row(event: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The columns that all kinds share, as the guide's samples fill them."""
    campaign = event.get("campaign", {})
    return {
        "message_key": UUID(event["message_id"].strip("<>").split("@")[0]),
        "message_id": event["message_id"],
        "recipient": "user@example.com",
        "sender": event.get("sender"),
        "campaign_id": campaign.get("id"),
        "campaign_name": campaign.get("name"),
        "webhook": "inboxroad",
        "occurred_at": OCCURRED,
        "received_at": RECEIVED,
        "extra": None,
    } | more


def one(text: bytes) -> Event | Refused:
    """The only thing that a line holds."""
    found = list(read_line(text.rstrip(b"\n")))

    assert len(found) == 1
    return found[0]


def reason(text: bytes) -> str:
    """Why a line is set aside."""
    found = one(text)

    assert isinstance(found, Refused)
    return found.reason


@pytest.mark.parametrize(
    ("event", "table", "expected"),
    [
        (DELIVERED, "delivered", row(DELIVERED)),
        (OPEN, "open", row(OPEN)),
        (CLICK, "click", row(CLICK, url="https://someurl.com")),
        (
            BOUNCE,
            "bounce",
            row(
                BOUNCE | {"message_id": MESSAGE},
                message_key=ELLIPSIS_KEY,
                message_id="<…@example.com>",
                sync_type="async",
                dsn_status="4.4.7 (delivery time expired)",
                dsn_code="4.4.7",
                bounce_category="message-expired",
                bounce_type="expired",
            ),
        ),
        (
            SHORT_BOUNCE,
            "bounce",
            row(
                SHORT_BOUNCE | {"message_id": MESSAGE},
                message_key=ELLIPSIS_KEY,
                message_id="<…@example.com>",
                sync_type=None,
                dsn_status=None,
                dsn_code=None,
                bounce_category=None,
                bounce_type=None,
            ),
        ),
        (
            SUBSCRIPTION_CHANGED,
            "subscription_changed",
            row(
                SUBSCRIPTION_CHANGED,
                change="unsubscribe",
                contact_list_id="59d619ca-d402-4865-a333-d5a5c5cdb30c",
                contact_list_name="Main List",
            ),
        ),
    ],
)
def test_samples(event: dict[str, Any], table: str, expected: dict[str, Any]) -> None:
    """Every payload of the provider's guide becomes the row that it says."""
    assert one(line(event)) == Event(table, expected)


@pytest.mark.parametrize(
    "message_id",
    [MESSAGE, f"<{MESSAGE}@example.com>", MESSAGE.upper(), f" <{MESSAGE}@a> ", f"{MESSAGE}@"],
)
def test_both_forms_of_a_message_id_have_one_key(message_id: str) -> None:
    """The bare uuid and the uuid before the last @ are the same message."""
    assert message_key(message_id) == UUID(MESSAGE)


@pytest.mark.parametrize(
    "message_id", ["abc", f"{MESSAGE}0@example.com", MESSAGE.replace("-", ""), f"{MESSAGE}@a@b"]
)
def test_other_message_ids_are_hashed(message_id: str) -> None:
    """An id that is no UUID has the MD5 of the stripped id as its key."""
    md5 = hashlib.md5(message_id.encode(), usedforsecurity=False).hexdigest()

    assert message_key(f" <{message_id}> ") == UUID(md5)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2025-09-04T10:00:00Z", OCCURRED),
        ("2025-09-04T10:00:00.5Z", datetime(2025, 9, 4, 10, 0, 0, 500000)),
        ("2025-09-04T10:00:00.123456789Z", datetime(2025, 9, 4, 10, 0, 0, 123456)),
        ("2025-09-04T12:00:00+02:00", OCCURRED),
        ("2025-09-04T06:30:00-0330", OCCURRED),
        ("2025-09-04T12:00:00,0+02", OCCURRED),
        ("2025-09-04T10:00Z", OCCURRED),
        ("20250904T100000Z", OCCURRED),
        ("20250904T1200+0200", OCCURRED),
        ("2025-W36-4T10:00:00Z", OCCURRED),
        ("2025W364T100000Z", OCCURRED),
        ("2025-247T10:00:00Z", OCCURRED),
        ("2024-366T24:00Z", datetime(2025, 1, 1)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1)),
        ("9999-12-31T23:59:59Z", datetime(9999, 12, 31, 23, 59, 59)),
    ],
)
def test_zoned_times_become_utc(text: str, moment: datetime) -> None:
    """Every complete form of the standard is read, fractions and offsets too; the column is UTC."""
    found = one(line(OPEN | {"timestamp": text}))

    assert isinstance(found, Event)
    assert found.row["occurred_at"] == moment


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("2025-09-04T10:00:00", "not_zoned:timestamp"),
        ("2025-09-04", "not_a_time:timestamp"),
        ("2025-09-04 10:00:00Z", "not_a_time:timestamp"),
        ("2025-02-30T10:00:00Z", "not_a_time:timestamp"),
        ("2025-09-04T10:00:60Z", "not_a_time:timestamp"),
        ("2025-09-04T10:60:00Z", "not_a_time:timestamp"),
        ("2025-09-04T24:00:01Z", "not_a_time:timestamp"),
        ("2025-09-04T25:00:00Z", "not_a_time:timestamp"),
        ("2025-0904T10:00:00Z", "not_a_time:timestamp"),
        ("2025-09-04T100000Z", "not_a_time:timestamp"),
        ("20250904T10:00:00Z", "not_a_time:timestamp"),
        ("2025-W53-1T10:00:00Z", "not_a_time:timestamp"),
        ("2025-366T10:00:00Z", "not_a_time:timestamp"),
        ("2025-000T10:00:00Z", "not_a_time:timestamp"),
        ("9999-12-31T24:00:00Z", "not_a_time:timestamp"),
        ("2025-09-04T10:00:00+24:00", "not_a_time:timestamp"),
        ("2025-09-04T10:00:00+01:60", "not_a_time:timestamp"),
        ("0001-01-01T00:00:00+01:00", "not_a_time:timestamp"),
        ("9999-12-31T23:59:59-01:00", "not_a_time:timestamp"),
        ("yesterday", "not_a_time:timestamp"),
        ("", "not_a_time:timestamp"),
        (1757000000, "wrong_type:timestamp"),
        (None, "missing:timestamp"),
    ],
)
def test_other_times_are_set_aside(text: Any, word: str) -> None:
    """A time without a zone, and what is no time, is never guessed at."""
    assert reason(line(OPEN | {"timestamp": text})) == word


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"kind": None}, "missing:kind"),
        ({"kind": " "}, "empty:kind"),
        ({"kind": 7}, "wrong_type:kind"),
        ({"recipient": None}, "missing:recipient"),
        ({"recipient": "  "}, "empty:recipient"),
        ({"recipient": ["a"]}, "wrong_type:recipient"),
        ({"message_id": None}, "missing:message_id"),
        ({"message_id": "< >"}, "empty:message_id"),
        ({"sender": True}, "wrong_type:sender"),
        ({"campaign": "September"}, "wrong_type:campaign"),
        ({"campaign": {"id": 7}}, "wrong_type:campaign.id"),
        ({"kind": "click", "url": {}}, "wrong_type:url"),
        ({"kind": "subscription_changed", "contact_list": []}, "wrong_type:contact_list"),
        ({"kind": "complaint", "recipient": ""}, "empty:recipient"),
    ],
)
def test_reasons_name_the_field(change: dict[str, Any], word: str) -> None:
    """What is absent, empty or of another type than declared is set aside by name."""
    assert reason(line(DELIVERED | change)) == word
    assert word in REASONS or f"{word.split(':', maxsplit=1)[0]}:<field>" in REASONS


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (b"nope", "not_json"),
        (b'{"kind": "open"', "not_json"),
        (b"[]", "not_an_object"),
        (b'"kind"', "not_an_object"),
        (b"{}", "missing:kind"),
        (b'{"kind": "open", "kind": "click"}', "duplicate_key"),
        (b'{"kind": "\xff"}', "not_utf8"),
        (b'\xef\xbb\xbf{"kind": "open"}', "byte_order_mark"),
        (b'{"kind": NaN}', "not_finite"),
        (b'{"kind": "\\ud800"}', "lone_surrogate"),
        (b'{"n": 123456789012345678901234567890}', "long_integer"),
        (b'{"a":' * 70 + b"1" + b"}" * 70, "too_deep"),
        (b'{"kind": "open"} {}', "trailing_data"),
        (b'{"event": [], "webhook": "w"}', "wrong_type:event"),
        (b'{"event": {}, "events": []}', "ambiguous:event"),
        (b'{"events": [1]}', "not_an_object"),
        (b'{"body": ""}', "empty"),
        (b'{"body": "not json"}', "not_json"),
        (b'{"body": "[1]"}', "not_an_object"),
        (b'{"body_base64": "%"}', "not_base64:body_base64"),
        (b'{"body_base64": "/w=="}', "not_utf8"),
        (b'{"received_at": "now", "event": {}}', "not_a_time:received_at"),
        (b'{"webhook": 1, "event": {}}', "wrong_type:webhook"),
    ],
)
def test_unreadable_lines_have_a_stable_reason(text: bytes, word: str) -> None:
    """A line that two readers could read differently, or that holds no event, is set aside."""
    assert reason(text) == word
    assert word in REASONS or f"{word.split(':', maxsplit=1)[0]}:<field>" in REASONS


def test_a_body_over_several_lines_is_an_event() -> None:
    """A signed body that is pretty-printed stands in the spool as text, and is loaded."""
    pretty = json.dumps(DELIVERED, indent=2)

    assert one(line(pretty, key="body")) == one(line(DELIVERED))


def test_a_body_in_base64_is_read() -> None:
    """What is kept as base64 is read like any other body."""
    text = base64.b64encode(json.dumps(DELIVERED).encode()).decode()

    assert one(line(text, key="body_base64")) == one(line(DELIVERED))


def test_each_element_of_an_array_is_an_event() -> None:
    """A signed array is its elements; a bad one is set aside alone, as a line of its own.

    Mended, that line is the event that it would have been in the array.
    """
    good, bad = read_line(line([DELIVERED, OPEN | {"recipient": 1}], key="events"))

    assert good == one(line(DELIVERED))
    assert isinstance(bad, Refused)
    assert bad.reason == "wrong_type:recipient"
    assert list(read_line(bad.line)) == [bad]
    mended = json.loads(bad.line)
    mended["event"]["recipient"] = OPEN["recipient"]
    assert one(json.dumps(mended).encode()) == one(line(OPEN))


def test_bare_events_have_no_received_at() -> None:
    """A bare event from elsewhere is loaded; when it was received is unknown."""
    found = one(bare(DELIVERED))

    assert found == Event("delivered", row(DELIVERED, webhook=None, received_at=None))


def test_a_bare_event_may_have_any_field() -> None:
    """What has a kind is an event itself, and no envelope, whatever else it has."""
    more = {"event": CLICK, "events": [], "body": 7, "received_at": 7, "webhook": 7}
    found = one(bare(OPEN | more))
    extra = canonical(more)

    assert found == Event("open", row(OPEN, webhook=None, received_at=None, extra=extra))


def nested(levels: int) -> Any:
    """An array in an array, so many of them."""
    value: Any = []
    for _ in range(levels - 1):
        value = [value]
    return value


@pytest.mark.parametrize("key", ["event", "events", "body", "body_base64"])
def test_an_event_may_be_as_deep_as_the_receiver_takes_it(key: str) -> None:
    """A body of 64 levels, the deepest that the receiver counts, is an event; one of 65 is none."""
    for levels, count in ((64, 1), (65, 0)):
        event = DELIVERED | {"deep": nested(levels - 1 - (key == "events"))}
        body = json.dumps([event] if key == "events" else event)
        text = base64.b64encode(body.encode()).decode() if key == "body_base64" else body
        held = json.loads(body) if key in {"event", "events"} else text
        found = one(line(held, key=key))

        assert form(body.encode()).events == count
        assert isinstance(found, Event) == (count == 1)
        assert count or found.reason == "too_deep"  # type: ignore[union-attr]


@pytest.mark.parametrize("blank", [" ", "\t", "\r", "\n", "\v", "\f"])
def test_recipients_are_stripped_of_ascii_blanks(blank: str) -> None:
    """All six blanks of ASCII are stripped from a recipient and a message id, and no others."""
    stripped = one(line(OPEN | {"recipient": f"{blank}user@example.com{blank}"}))

    assert stripped == one(line(OPEN))
    assert message_key(f"{blank}<abc>{blank}") == message_key("abc")
    for other in ("\x1c", "\x85", "\xa0", "\u2003"):
        kept = one(line(OPEN | {"recipient": f"{other}user@example.com"}))

        assert isinstance(kept, Event)
        assert kept.row["recipient"] == f"{other}user@example.com"
        assert message_key(f"{other}abc") != message_key("abc")


def test_fields_without_a_column_are_kept() -> None:
    """What has no column stands in ``extra``, the same text whatever the order of the keys."""
    more = {"z": {"b": 1, "a": [2]}, "url": "https://x.example"}
    campaign = CAMPAIGN | {"tag": "é"}
    texts = [
        line(OPEN | more | {"campaign": campaign}),
        line(dict(reversed((OPEN | more | {"campaign": campaign}).items()))),
    ]
    kept = '{"campaign":{"tag":"é"},"url":"https://x.example","z":{"a":[2],"b":1}}'

    assert [one(text).row["extra"] for text in texts] == [kept, kept]  # type: ignore[union-attr]


def test_unknown_kinds_are_kept_whole() -> None:
    """A kind that is not known here goes to other_event, with the whole event."""
    event = DELIVERED | {"kind": "complaint", "feedback": {"type": "abuse"}}
    found = one(line(event))

    assert isinstance(found, Event)
    assert (found.table, found.row["kind"]) == ("other_event", "complaint")
    assert json.loads(found.row["event"]) == event


@pytest.mark.parametrize("blank", ["", " ", " \t\r\n\v\f"])
def test_a_blank_campaign_id_is_none(blank: str) -> None:
    """An event whose campaign id is blank is of no campaign; another id stays as it came."""
    found = one(line(DELIVERED | {"campaign": CAMPAIGN | {"id": blank}}))
    other = one(line(DELIVERED | {"campaign": CAMPAIGN | {"id": f" 7{blank}"}}))

    assert isinstance(found, Event) and isinstance(other, Event)
    assert (found.row["campaign_id"], found.row["extra"]) == (None, None)
    assert found.row["campaign_name"] == CAMPAIGN["name"]
    assert other.row["campaign_id"] == f" 7{blank}"


@pytest.mark.parametrize("blank", [b"", b"  ", b"\r", b" \t"])
def test_blank_lines_hold_nothing(blank: bytes) -> None:
    """A blank line is no event, and nothing is wrong with it."""
    assert list(read_line(blank)) == []


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("4.4.7 (delivery time expired)", "4.4.7"),
        ("smtp; 550 5.1.10 no such user", "5.1.10"),
        ("host 192.168.2.1 said: 550 5.2.2.", "5.2.2"),
        ("5.1.1", "5.1.1"),
        ("5.1.1.2", None),
        ("3.1.1", None),
        ("no code", None),
        (None, None),
    ],
)
def test_dsn_codes(text: str | None, code: str | None) -> None:
    """The enhanced status code is taken from the text, and an address is not taken for one."""
    assert dsn_code(text) == code
