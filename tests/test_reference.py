"""Promise: plain SQL on the published warehouse and the slow reference give the same numbers."""

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, note, settings
from hypothesis import strategies as st

from loader import query
from loader.ingest import ingest
from loader.settings import Settings, load_settings
from tests import reference_metrics as reference

WORLDS = int(os.environ.get("REFERENCE_WORLDS", "200"))
TOGETHER = 5
"""Worlds that share a warehouse: they share no person, message or campaign, only its views."""
MIDDAY = datetime(2026, 3, 28, 12, 0, tzinfo=UTC)

# Few names for everything, so that events meet, and the shapes in which each may come.
PEOPLE = ("ann{}@gmail.com", "ben{}@yahoo.com", "eva{}@staff.example.net")
KEYS = ("335026fa-0b4d-4fb3-a92c-8193ac26360{}", "48b6240d-cd8b-4d45-b4cb-684f9903210{}", "mail-{}")
CAMPAIGNS = (
    ("alpha-{}", "Alpha"), ("alpha-{}", "Alpha"), ("beta-{}", "Beta"),
    ("alpha-{}", "Alpha (corrected)"), ("beta-{}", None), ("", "Blank"), None,
)  # fmt: skip
SENDERS = ("news@news.example.com", "Shop <post@Shop.example.org>", "bounces@b.example.net", None)
URLS = tuple(f"https://shop.example.org/{page}" for page in "abcde")
MOMENTS = (0, 1, 2, 3, 4, 5, 6, 19, 20, 21, 59, 60, 61, 119, 120, 121, 3600, 90_000)
KINDS = (
    "delivered", "open", "open", "click", "click", "burst", "scan", "sweep", "stroll", "bounce",
    "bounce", "bounce", "subscription_changed", "subscription_changed", "complaint",
)  # fmt: skip
CATEGORIES = (
    "bad-mailbox", "inactive-mailbox", "quota-issues", "routing-errors", "policy-related",
    "spam-related", "other", "listed-by-operator", None,
)  # fmt: skip
STATUSES = (
    "5.1.1 (bad destination mailbox address)", "4.2.2 (mailbox full)", "5.7.1", "4.4.7 (expired)",
    "5.0.0 (undefined status)", "4.9.9", "2.0.0 (ok)", "no code at all", None,
)  # fmt: skip


def spelled(person: str) -> st.SearchStrategy[str]:
    """A recipient as it may be written."""
    return st.sampled_from((person, person, person.upper(), f" {person.title()} "))


def identified(key: str) -> st.SearchStrategy[str]:
    """A message id in the forms that mean the same message."""
    if key.startswith("mail"):
        return st.sampled_from((f"<{key}@news.example.com>", f" {key}@news.example.com"))
    return st.sampled_from((f"<{key}@news.example.com>", key, f" <{key.upper()}@b.example> "))


def named(campaign: tuple[str, str | None] | None, world: int) -> dict[str, Any]:
    """A payload's campaign, which may have no name; nothing for none."""
    if campaign is None:
        return {}
    identity, name = campaign
    return {"campaign": {"id": identity.format(world), **({"name": name} if name else {})}}


def timed(seconds: int) -> str:
    """A time as a payload has it."""
    return f"{MIDDAY + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}"


@st.composite
def addressed(draw: st.DrawFn, message: int, world: int) -> dict[str, Any]:
    """What an event of a message says of itself: now and then another person or campaign."""
    person = PEOPLE[message % 2] if draw(st.integers(0, 5)) else draw(st.sampled_from(PEOPLE))
    campaign = CAMPAIGNS[message] if draw(st.booleans()) else draw(st.sampled_from(CAMPAIGNS))
    return {
        "sender": draw(st.sampled_from(SENDERS)),
        "recipient": draw(spelled(person.format(world))),
        "message_id": draw(identified(KEYS[message % 3].format(world))),
        **named(campaign, world),
    }


@st.composite
def happening(draw: st.DrawFn, world: int) -> list[dict[str, Any]]:
    """One event of some message, or what happens in one visit; of some the id is lost."""
    message = draw(st.integers(0, 3))
    event = draw(addressed(message, world))
    if not draw(st.integers(0, 3)):
        event["message_id"] = f"lost-{world}@nowhere.example"
    start = draw(st.sampled_from(MOMENTS))
    kind = draw(st.sampled_from(KINDS))
    if kind in VISITS:
        return [
            {**event, **what, "timestamp": timed(start + after)}
            for what, after in draw(VISITS[kind])
        ]
    return [{"kind": kind, **event, **draw(details(kind)), "timestamp": timed(start)}]


@st.composite
def history(draw: st.DrawFn, world: int) -> list[dict[str, Any]]:
    """The events of one world: most of its messages delivered at first, then anything."""
    events = [
        {"kind": "delivered", **draw(addressed(message, world)), "timestamp": timed(start)}
        for message in range(4)
        if (start := draw(st.sampled_from((0, 0, 0, 1, 3600, None)))) is not None
    ]
    for happened in draw(st.lists(happening(world), max_size=14)):
        events += happened
    return events


def details(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    """What only events of the kind say; a missing word is left out."""
    words: dict[str, tuple[Any, ...]] = {
        "click": (("url", URLS),),
        "bounce": (
            ("sync_type", ("sync", "async", "async", None)),
            ("dsn_status", STATUSES),
            ("bounce_category", CATEGORIES),
            ("bounce_type", ("hard", "soft", "expired", None)),
        ),
        "subscription_changed": (
            ("change", ("unsubscribe", "resubscribe")),
            ("contact_list", ({"id": "1", "name": "Main List"}, None)),
        ),
    }.get(kind, ())
    chosen = st.fixed_dictionaries({name: st.sampled_from(values) for name, values in words})
    return chosen.map(lambda row: {name: value for name, value in row.items() if value is not None})


Visit = list[tuple[dict[str, Any], int]]
"""What happens in one visit, and how many seconds after its start."""


def clicks(offsets: tuple[int, ...]) -> st.SearchStrategy[Visit]:
    """Some clicks on any links."""
    click = st.tuples(st.sampled_from(URLS), st.sampled_from(offsets))
    return st.lists(click, min_size=3, max_size=8).map(clicked)


def clicked(links: Iterable[tuple[str, int]]) -> Visit:
    """The clicks on links, each at its second."""
    return [({"kind": "click", "url": url}, after) for url, after in links]


@st.composite
def scan(draw: st.DrawFn) -> Visit:
    """Three links at once, an open about two minutes before, a change about two minutes after."""
    around = st.sampled_from((119, 120, 121))
    return [
        *clicked((url, 0) for url in URLS[:3]),
        ({"kind": "open"}, -draw(around)),
        ({"kind": "subscription_changed", "change": "unsubscribe"}, draw(around)),
    ]


VISITS = {
    "burst": clicks((0, 1, 2, 3, 4, 5)),
    "scan": scan(),
    "stroll": clicks((0, 20, 40, 59, 60, 61)),
    # Four links one after the other, the last about a minute after the first.
    "sweep": st.tuples(st.permutations(URLS), st.sampled_from((59, 60, 61))).map(
        lambda drawn: clicked(zip(drawn[0], (0, 20, 40, drawn[1]), strict=False))
    ),
}


def line(event: dict[str, Any], received: int | None) -> bytes:
    """A spool line; a bare one where it is not known when it was received."""
    body = json.dumps(event, ensure_ascii=False)
    if received is None:
        return f"{body}\n".encode()
    moment = f"{MIDDAY + timedelta(seconds=received):%Y-%m-%dT%H:%M:%S.%fZ}"
    framed = f'{{"received_at": "{moment}", "webhook": "inboxroad", "signature": "x", "event": '
    return f"{framed}{body}}}\n".encode()


@st.composite
def loads(draw: st.DrawFn) -> list[list[bytes]]:
    """Lines of a few worlds, some twice, in any order, cut into the loads in which they come."""
    events: list[dict[str, Any]] = []
    for world in range(TOGETHER):
        events += draw(history(world))
    events += draw(st.lists(st.sampled_from(events), max_size=12)) if events else []
    received = st.one_of(st.none(), st.integers(0, 3))
    lines = draw(st.permutations([line(event, draw(received)) for event in events]))
    cuts = sorted(draw(st.lists(st.integers(0, len(lines)), max_size=2)))
    parts = [lines[low:high] for low, high in pairwise([0, *cuts, len(lines)])]
    return [part for part in parts if part]


def edges() -> list[bytes]:
    """What worlds seldom meet, written out; each would count otherwise one second or key away."""
    lost, (ann, ben, eva) = "<lost@nowhere.example>", PEOPLE
    told = [
        # Two messages delivered at once: an open of a lost id is the one's with the smaller key,
        ("delivered", ann, KEYS[0], 0), ("delivered", ann, KEYS[1], 0),
        ("open", ann, KEYS[0], 90_000), ("open", ann, lost, 90_001),
        # one in the second of a delivery is that message's, and so an echo,
        ("delivered", ben, KEYS[0], 0), ("delivered", ben, KEYS[1], 3600),
        ("open", ben, lost, 3600),
        # and one exactly two minutes before a burst is an echo too, as is one in its second,
        # in which nobody unsubscribed either.
        ("delivered", eva, KEYS[0], 0), ("open", eva, KEYS[0], 7080),
        *(("click", eva, KEYS[0], 7200) for _ in range(3)),
        ("open", eva, KEYS[0], 7200), ("subscription_changed", eva, KEYS[0], 7200),
    ]  # fmt: skip
    common = {"campaign": {"id": "edge", "name": "Edge"}}
    return [
        line({"kind": kind, "recipient": person, "message_id": key, **common,
              "url": URLS[number % 5], "change": "unsubscribe", "timestamp": timed(at)}, None)
        for number, (kind, person, key, at) in enumerate(told)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def empty_home() -> Iterator[Path]:
    """A home whose warehouse has been made and holds nothing: what every world starts from."""
    with TemporaryDirectory() as directory:
        home = Path(directory)
        (home / "spool").mkdir()
        ingest(settings_of(home))
        yield home


def settings_of(home: Path) -> Settings:
    """Settings of a home."""
    return load_settings({"LOADER_HOME": str(home)}, home)


def loaded(
    parts: list[list[bytes]], empty: Path, home: Path
) -> tuple[dict[str, dict[tuple[object, ...], Any]], datetime]:
    """Load lines as ``loader ingest`` does, a segment a load; return four reports, and when."""
    shutil.copytree(empty, home, dirs_exist_ok=True)
    for number, part in enumerate(parts):
        (home / "spool" / f"{number}.jsonl").write_bytes(b"".join(part))
        ingest(settings_of(home))
    with query.connect(settings_of(home)) as con:
        con.begin()  # in a transaction the clock stands still
        ((now,),) = con.execute("select report_now()").fetchall()
        return {view: rows(con, view, keys) for view, keys in GRAIN.items()}, now


GRAIN = {
    "campaign_report": ("campaign_id",),
    "provider_report": ("campaign_id", "provider"),
    "bounce_report": ("campaign_id", "bounce_category", "bounce_class", "sync_type"),
    "link_report": ("campaign_id", "url"),
}


def rows(con: Any, view: str, keys: tuple[str, ...]) -> dict[tuple[object, ...], Any]:
    """The rows of a view by its grain."""
    frame = con.sql(f"select * from {view}").pl()
    found = {tuple(row[key] for key in keys): row for row in frame.to_dicts()}

    assert len(found) == frame.height, f"{view} has two rows of one grain"
    return found


@settings(
    max_examples=WORLDS // TOGETHER,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(parts=loads())
@example(parts=[edges()])
def test_sql_agrees_with_the_reference(parts: list[list[bytes]], empty_home: Path) -> None:
    """Every count and rate of four reports is the reference's, in any order and cut of loading."""
    note("\n".join(line.decode().strip() for part in parts for line in part))
    with TemporaryDirectory() as directory:
        found, now = loaded(parts, empty_home, Path(directory))
    world = reference.world_of((line for part in parts for line in part), now)
    for view in GRAIN:
        expected = getattr(reference, view)(world)
        for key, row in expected.items():
            seen = found[view].get(key)
            assert seen is not None, f"{view} has no row {key}"
            differing = {n: (seen[n], v) for n, v in row.items() if not same(seen[n], v)}
            assert not differing, f"{view} {key}: (SQL, reference) = {differing}"
        for key in found[view].keys() - expected.keys():
            counted = [n for n, v in found[view][key].items() if n in COUNTS and v]
            assert not counted, f"{view} counts {counted} in a row {key} that should not be"


def same(seen: object, expected: object) -> bool:
    """Counts and NULL exactly, rates to the last digits of a double."""
    if isinstance(expected, float):
        return isinstance(seen, float) and seen == pytest.approx(expected, rel=1e-12, abs=1e-12)
    return type(seen) is type(expected) and seen == expected


COUNTS = frozenset(reference.counts([]))
