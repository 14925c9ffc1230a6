"""The quick way of reading lines, held against the definition of what a line means."""

import json
import os
import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

import polars as pl
import pytest

from loader import batch as batching
from loader import shape as shaping
from loader.batch import Block, Parsed, parse
from loader.events import Event, Refused
from loader.shape import Shapes, learn
from loader.spool import LONGEST_LINE, LongLine
from tests.provider import CAMPAIGN, CLICK, DELIVERED, MESSAGE, bare, line

DOCUMENTS = int(os.environ.get("LOADER_TEST_DOCUMENTS", "24000"))
AT_ONCE = 4000

# Pieces of JSON source, between quotes or as values; some of them are no JSON.
TEXTS = [
    *("x", "", " ", "a b", "é", "😀", '\\"', "\\\\", "\\/", "\\u00e9", "\\ud83d\\ude00", "\\ud800"),
    *(
        "\\q",
        "\t",
        "\\t",
        "\\u0000",
        "\\u0022",
        "A@b.C",
        " u@x.y ",
        "null",
        "7",
        "{",
        "[",
        ":",
        ",",
    ),
    *("\u2028", "\x7f", "\\u005C", "İ", "Σ", ": ", '\\\\\\"', "\\u00015", "\\udc00\\ud800"),
]
PLAIN = ["x", "a b", "é", "A@b.C", "\\/", "\\u00e9", '\\"']
VALUES = [
    "null",
    "7",
    "-0",
    "1.0",
    "1e5",
    "true",
    "[]",
    "{}",
    '["é"]',
    '{"a":"x"}',
    "NaN",
    "9" * 23,
]
TIMES = [
    *("2025-09-04T10:00:00Z", "2025-09-04T10:00:00.5Z", "2025-09-04T10:00:00.123456Z"),
    *("2025-09-04T10:00:00.123456789Z", "2025-09-04T10:00:00.1234567891Z"),
    *("2025-09-04T10:00:00+02:00", "2025-09-04T10:00:00-0330", "2025-09-04T10:00:00+25:00"),
    *("2025-09-04T10:00:00", "2025-09-04", "2025-02-30T10:00:00Z", "2025-09-04T24:00:00Z"),
    *("2025-09-04T10:00:60Z", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+01:00"),
    *("9999-12-31T23:59:59-01:00", "9999-12-31T23:59:59.999999Z", " 025-09-04T10:00:00Z"),
    *("2025-09- 4T10:00:00Z", "+025-09-04T10:00:00Z", "20250904T100000Z", "2025-09-04T10:00Z"),
    *("2025-09-04t10:00:00z", "2025-09-04T10:00:00,5Z", "-025-09-04T10:00:00Z"),
    "\u0662025-09-04T10:00:00Z",
]
IDS = [
    *(f"<{MESSAGE}@e.com>", MESSAGE, MESSAGE.upper(), f" <{MESSAGE}> ", "<>", "abc", f"{MESSAGE}x"),
    *(f"{MESSAGE}@a@b", f"<{MESSAGE}@>", f"@{MESSAGE}", f"{{{MESSAGE}}}", MESSAGE.replace("-", "")),
]
BLANKS = ['""', '" "', '"\\t\\r\\n"', '"\\u000b\\f "', '"\\u00a0"', '"\\u001c"']
"""Campaign ids that are blank, and two that only look so."""
STATUSES = ["4.4.7 (x)", "smtp; 550 5.1.1 no", "1.2.3.4 5.1.1.", "5.1.1.1", "é"]
KINDS = ["delivered", "open", "click", "bounce", "subscription_changed", "complaint", "test"]
ODD_KEYS = ["kind", "url", "zz", "campaign", "x.y", "é", "contact_list", "a\\u0041", "\\u00015"]
ODD_LINES = [
    b"",
    b"  ",
    b"nope",
    b"[]",
    b"{}",
    b"{",
    b'\xef\xbb\xbf{"kind":"open"}',
    b'{"event":{}}',
]


class Author:
    """Writes lines, as odd as it is told to; the same for the same seed."""

    def __init__(self, seed: int, odd: float) -> None:
        """``odd`` is the share of odd things, 0 to 1."""
        self.chance, self.odd = random.Random(seed), odd

    def line(self) -> bytes:
        """A line without its newline."""
        if self._oddly(0.2):
            return self.chance.choice(ODD_LINES)
        separators = self.chance.choice([(",", ":"), (", ", ": ")])
        comma, colon = (" ,\t", ":\r") if self._oddly() else separators
        text = self._framed(self._event(comma, colon), comma, colon)
        return self._damaged(text.encode("utf-8", "surrogatepass"))

    def _oddly(self, share: float = 1.0) -> bool:
        return self.chance.random() < self.odd * share

    def _text(self) -> str:
        return f'"{self.chance.choice(TEXTS if self._oddly() else PLAIN)}"'

    def _value(self) -> str:
        return self.chance.choice([self._text(), self.chance.choice(VALUES)])

    def _field(self) -> str:
        return self._value() if self._oddly() else self._text()

    def _time(self) -> str:
        return self.chance.choice(TIMES) if self._oddly(3) else TIMES[0]

    def _object(self, fields: list[tuple[str, str]], comma: str, colon: str) -> str:
        return "{" + comma.join(f'"{name}"{colon}{value}' for name, value in fields) + "}"

    def _event(self, comma: str, colon: str) -> str:
        kind = self.chance.choice(KINDS)
        identity = self.chance.choice(BLANKS) if self.chance.random() < 0.1 else self._field()
        campaign = self._object([("id", identity), ("name", self._field())], comma, colon)
        fields = [
            ("kind", self._text() if self._oddly() else f'"{kind}"'),
            ("sender", self._field()),
            ("recipient", self._field()),
            ("message_id", f'"{self.chance.choice(IDS)}"'),
            ("timestamp", f'"{self._time()}"'),
        ]
        if self.chance.random() < 0.8:
            fields.append(("campaign", self._value() if self._oddly() else campaign))
        fields += self._own(kind, comma, colon)
        if self._oddly():
            fields.append((self.chance.choice(ODD_KEYS), self._value()))
        if self._oddly():
            del fields[self.chance.randrange(len(fields))]
        if self._oddly(0.5):
            self.chance.shuffle(fields)
        return self._object(fields, comma, colon)

    def _own(self, kind: str, comma: str, colon: str) -> list[tuple[str, str]]:
        contact_list = self._object([("id", self._field()), ("name", self._field())], comma, colon)
        own = {
            "click": [("url", self._field())],
            "bounce": [
                ("sync_type", self._field()),
                ("dsn_status", f'"{self.chance.choice(STATUSES)}"'),
            ],
            "subscription_changed": [("change", self._field()), ("contact_list", contact_list)],
        }
        return own.get(kind, [])

    def _framed(self, event: str, comma: str, colon: str) -> str:
        micros = self.chance.randrange(10**6)
        at = self._time() if self._oddly() else f"2026-11-23T07:00:00.{micros:06}Z"
        head = f'"received_at": "{at}", "webhook": "inboxroad"'
        forms = [
            event,
            f'{{{head}, "signature": {self._text()}, "event": {event}}}',
            f'{{{head}, "signature": "abc=", "event": {event}}}',
            f'{{{head}, "events":[{event},{self._event(comma, colon)}]}}',
            f'{{"received_at": {self._value()},"webhook":"w","event":{event}}}',
            f'{{{head},"body":{json.dumps(event)}}}',
            f'{{{head},"body":{self._text()},"event":{event}}}',
            f'{{"webhook":{self._value()},"event":{event},"z":{self._value()}}}',
        ]
        return self.chance.choices(forms, weights=[3, 3, 8, 1, 1, 1, 1, 1])[0]

    def _damaged(self, text: bytes) -> bytes:
        if self._oddly(0.2):
            at = self.chance.randrange(len(text))
            piece = self.chance.choice([b"", b"\x80", b"\\", b'"', b"\x01", b"{"])
            text = text[:at] + piece + text[at + self.chance.randrange(2) :]
        text += b"\r" if self._oddly(0.2) else b""
        return text.replace(b"\n", b" ")


def one_by_one(blocks: list[Block]) -> Parsed:
    """What the definition makes of the lines."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batching, "_FEW", 2**62)
        patch.setattr(batching, "_HELD", 2**40)
        patch.setattr(batching, "_PORTION", 2**40)
        return parse(blocks, Shapes())


def same(quick: Parsed, slow: Parsed) -> bool:
    """Whether two readings of the same lines are equal, row for row."""
    return (
        quick.events.keys() == slow.events.keys()
        and all(quick.events[table].equals(slow.events[table]) for table in slow.events)
        and quick.refused.equals(slow.refused)
        and quick.read == slow.read
    )


@pytest.mark.parametrize(("odd", "most"), [(0.0, 0.4), (0.02, 0.8), (0.1, 0.95)])
def test_both_ways_of_reading_agree(
    odd: float, most: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of each generated line the quick way says what the definition says, or nothing."""
    monkeypatch.setattr(batching, "_FEW", 0)
    monkeypatch.setattr(batching, "_HELD", 20)
    monkeypatch.setattr(batching, "_PORTION", 5_000)
    monkeypatch.setattr(shaping, "_WORTH", 2)
    monkeypatch.setattr(shaping, "_MOST_SHAPES", 400)
    monkeypatch.setattr(shaping, "_TRIES", 100)
    author, shapes = Author(DOCUMENTS, odd), Shapes()
    singly = Counter[str]()
    read = batching.read_line

    def counting(text: bytes) -> Iterator[Event | Refused]:
        singly["line"] += 1
        return read(text)

    for _ in range(DOCUMENTS // 3 // AT_ONCE):
        lines = [author.line() for _ in range(AT_ONCE // 2)]
        lines += author.chance.choices(lines, k=AT_ONCE // 2)
        data = b"".join(text + b"\n" for text in lines)
        half = data.index(b"\n", len(data) // 2) + 1
        blocks = [Block("a", 0, data[:half]), Block("b", 7, data[half:])]
        slow = one_by_one(blocks)
        with monkeypatch.context() as patch:
            patch.setattr(batching, "read_line", counting)
            quick = parse(blocks, shapes)

        assert same(quick, slow)
    # Held against itself the definition would always agree.
    assert singly["line"] < most * DOCUMENTS / 3


def test_lines_of_one_shape_are_never_read_singly(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream of proper events, escapes and unknown fields among them, keeps the quick way."""
    names = ["plain", 'quo"ted', "back\\slash", "é", "😀", "tab\t", "/"]
    text = b"".join(
        line(DELIVERED | {"campaign": CAMPAIGN | {"name": name}, "new": {"field": name}})
        + json.dumps(CLICK | {"url": f"https://x.example/{number}"}).replace("/", "\\/").encode()
        + b"\n"
        for number, name in enumerate(names * 100)
    )
    blocks = [Block("a", 0, text)]
    expected = one_by_one(blocks)
    monkeypatch.setattr(batching, "read_line", None)

    assert same(parse(blocks, Shapes()), expected)


@pytest.mark.parametrize(
    ("there", "instead"),
    [
        (b'"sender":"sender@example.com"', b'"sender":7'),
        (b'"sender":"sender@example.com"', b'"sender":null,"x":7'),
        (b'"sender"', b'"recipient":"x@example.com","sender"'),
        (b'"kind":"delivered"', b'"kind":"open","kind":"delivered"'),
        (b'"kind":"delivered"', b'"kind":" "'),
        (b'"kind":"delivered"', b'"kind":"\\u000b\\f"'),
        (b'"user@example.com"', b'"\\f\\u00a0user@example.com\\u000b"'),
        (b'"message_id":"<', b'"message_id":"\\u000b\\u00a0<'),
        (b"T10:00:00Z", b"T10:00:00"),
        (b"T10:00:00Z", b"T10:00:00+01:60"),
        (b'"campaign":', b'"zz":'),
        (b'"campaign":{"id":"', b'"campaign":{"id":"","was":"'),
    ],
)
def test_an_answer_does_not_depend_on_the_batch(there: bytes, instead: bytes) -> None:
    """A coerced, doubled, unknown or missing field is read the same alone and among others."""
    good = line(DELIVERED)
    odd = good.replace(there, instead)
    alone = parse([Block("a", 0, odd)], Shapes())
    among = parse([Block("a", 0, good * 500 + odd + good * 500)], Shapes())
    mine = among.events["delivered"].filter(pl.col("line") == 500).drop("line", "rank")

    assert among.refused["reason"].to_list() == alone.refused["reason"].to_list()
    assert mine.rows() == [
        row for frame in alone.events.values() for row in frame.drop("line", "rank").rows()
    ]


def test_a_bare_event_with_an_event_in_it_is_read_as_itself() -> None:
    """Many bare events that hold another in a field are read as the definition says."""
    blocks = [Block("a", 0, bare(DELIVERED | {"event": CLICK}) * 300)]
    quick = parse(blocks, Shapes())

    assert same(quick, one_by_one(blocks))
    assert {table: frame.height for table, frame in quick.events.items()} == {"delivered": 300}


def test_a_known_shape_may_find_nothing_left() -> None:
    """A shape that is known from earlier lines may meet none, and nothing is left over for it."""
    shapes, spaced = Shapes(), line(DELIVERED).replace(b'","', b'", "')
    blocks = [Block("a", 0, (line(DELIVERED) + spaced) * 500)]
    parse(blocks, shapes)

    for text in (line(DELIVERED), spaced):
        blocks = [Block("a", 0, text * 500)]
        assert same(parse(blocks, shapes), one_by_one(blocks))


@pytest.mark.parametrize(
    "more",
    [
        {"k" * 500_000: "x"},
        {"k" * 4_000: "x"},
        {f"é{number}": "x" for number in range(60)},
        {f"k{number}": number for number in range(500)},
        {"many": [{"a": "x", "n": 7}] * 3_000},
    ],
)
def test_no_line_is_too_much_for_a_pattern(more: dict[str, object]) -> None:
    """Many lines with long keys or many values are read, one by one where it has to be."""
    blocks = [Block("a", 0, line(DELIVERED | more) * 300)]

    assert same(parse(blocks, Shapes()), one_by_one(blocks))


def test_a_line_that_is_too_long_is_no_event_among_others() -> None:
    """Such a line is set aside, though what is read of it looks like hundreds of events do."""
    text = line(DELIVERED)
    long = Block.of_long("a", 300 * len(text), LongLine("a", 0, text[:-1], LONGEST_LINE + 2))
    parsed = parse([Block("a", 0, text * 300), long], Shapes())

    assert parsed.refused["reason"].to_list() == ["too_long"]
    assert parsed.read == [300, 1]


def test_places_are_those_of_the_spool() -> None:
    """What is set aside says where its line starts, in every block and beside odd bytes."""
    first, second = b"\xff\n" + line(DELIVERED), line(DELIVERED) + "é\n".encode() + b"nope\n"
    blocks = [Block("a", 0, first), Block("b", 1000, second), Block("c", 7, b"no\n")]
    parsed = parse(blocks, Shapes())
    places = parsed.refused.select("segment", "line_offset", "line").rows()
    start = 1000 + len(line(DELIVERED))

    assert places[:3] == [("a", 0, "\\xff"), ("b", start, "é"), ("b", start + 3, "nope")]
    assert places[3:] == [("c", 7, "no")]
    assert parsed.read == [2, 3, 1]


def test_an_array_is_held_once() -> None:
    """An array of which every event may be a duplicate is held once, not once an event."""
    people = [DELIVERED | {"recipient": f"u{number % 500}@example.com"} for number in range(1000)]
    text = line(people, key="events")
    frame = parse([Block("a", 0, text)], Shapes()).events["delivered"]

    assert frame["rank"].to_list() == [0] * 1000
    assert frame.estimated_size() < 4 * len(text)


def test_a_shape_is_learned_from_strict_json_only() -> None:
    """Where strict JSON refuses the line, or its keys come twice, there is no shape."""
    text = bare(DELIVERED).decode().strip()

    assert learn(text) is not None
    assert learn(text.replace("sender", "kind", 1)) is None
    assert learn(text.replace('"sender"', '"k\\u0069nd"')) is None
    assert learn(text + "}") is None
    assert learn(text.replace('"user@example.com"', "7")) is None


def test_received_at_is_utc_microseconds() -> None:
    """Frames hold naive UTC times to the microsecond, as the tables do."""
    at = datetime(2026, 11, 23, 7, 0, 0, 123456, tzinfo=UTC)
    frame = parse([Block("a", 0, line(DELIVERED) * 300)], Shapes()).events["delivered"]

    assert frame["received_at"].unique().to_list() == [at.replace(tzinfo=None)]
    assert frame.schema["received_at"] == pl.Datetime("us")
