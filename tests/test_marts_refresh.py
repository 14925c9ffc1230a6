"""Promises of ``sql/refresh``: what is kept is a function of the events, however they came."""

from contextlib import closing
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from loader import query
from loader.batch import Block, parse
from loader.events import message_key
from loader.ingest import ingest
from loader.refresh import refresh as run_refresh
from loader.refresh import refresh_steps
from loader.shape import Shapes
from loader.target import target_of
from loader.warehouse import Warehouse
from tests.marts import KEPT, database, put, refresh, rows
from tests.provider import DELIVERED, drop, home, line

KEYS = [f"<{digit}35026fa-0b4d-4fb3-a92c-8193ac2636b8@mail.example>" for digit in range(4)]
PEOPLE = ["ann@gmail.com", "Ann@Gmail.com", "ben@web.de"]
PADDING = 500
"""Events of strangers: so that what a step touches stays a small part of all."""

EVENT = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(
            ["delivered", "delivered", "bounce", "open", "click", "click", "click",
             "subscription_changed", "other_event"]
        ),
        "id": st.sampled_from(KEYS),
        "to": st.sampled_from(PEOPLE),
        "at": st.sampled_from([0, 1, 2, 3, 4, 15, 21, 60, 100, 121, 400]),
        "campaign_id": st.sampled_from(["A", "A", "B", None]),
        "word": st.sampled_from(["a", "b", "c", "d"]),
    }
)  # fmt: skip
STEP = st.tuples(st.lists(EVENT, max_size=6), st.lists(st.integers(0, 50), max_size=2))


def happened(kind: str, second: int, word: str = "a") -> dict[str, Any]:
    """An event of one message."""
    who = {"id": KEYS[0], "to": PEOPLE[0], "campaign_id": "A"}
    return {"kind": kind, "at": second, "word": word, **who}


def clicked(**seconds: int) -> list[dict[str, Any]]:
    """Clicks of one message: when on which link."""
    return [happened("click", second, word) for word, second in seconds.items()]


@cache
def shared() -> duckdb.DuckDBPyConnection:
    """One database for all examples: making it takes longer than an example."""
    return strangers()


def emptied(con: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """Leave nothing but the strangers, as if nothing had been."""
    for kind in ("delivered", "bounce", "open", "click", "subscription_changed", "other_event"):
        con.execute(f"delete from {kind} where message_id is not null")
    con.execute("delete from refresh_touched")
    con.execute("delete from refresh_state")
    refresh(con)
    return con


def specific(event: dict[str, Any]) -> dict[str, Any]:
    """The fields that only its kind has."""
    word = event["word"]
    return {
        "delivered": {},
        "open": {},
        "click": {"url": f"https://shop.example/{word}"},
        "bounce": {
            "sync_type": {"a": "async", "b": "sync"}.get(word),
            "dsn_status": {"a": "5.1.1", "b": "4.2.2", "c": "5.7.1"}.get(word),
            "bounce_category": {"a": "bad-mailbox", "d": "quota-issues"}.get(word),
        },
        "subscription_changed": {"change": "resubscribe" if word == "a" else "unsubscribe"},
        "other_event": {"kind": "complaint" if word in "ab" else "deferral"},
    }[event["kind"]]


def apply(con: duckdb.DuckDBPyConnection, event: dict[str, Any]) -> None:
    """Insert an event, and say so as the loader does."""
    moment = f"2026-03-01 10:{event['at'] // 60:02}:{event['at'] % 60:02}"
    put(
        con,
        event["kind"],
        **{
            "id": event["id"],
            "to": event["to"],
            "at": moment,
            "campaign_id": event["campaign_id"],
            "campaign_name": event["campaign_id"] and f"Name {event['word']}",
        },
        **{("other_kind" if name == "kind" else name): value
           for name, value in specific(event).items() if name != "kind"},
    )  # fmt: skip
    if event["kind"] == "other_event":
        con.execute("update other_event set kind = ? where kind is null", [specific(event)["kind"]])
    touch(con, event)


def remove(con: duckdb.DuckDBPyConnection, event: dict[str, Any]) -> None:
    """Remove the events of a key and recipient from its table, as a replacement would."""
    con.execute(
        f"delete from {event['kind']} where message_key = ? and recipient = ?",
        [message_key(event["id"]), event["to"]],
    )
    touch(con, event)


def touch(con: duckdb.DuckDBPyConnection, event: dict[str, Any]) -> None:
    """Say that a key changed."""
    con.execute(
        "insert into refresh_touched values (?, ?, ?)",
        [message_key(event["id"]), event["to"], event["campaign_id"]],
    )


def strangers() -> duckdb.DuckDBPyConnection:
    """A database that holds events of nobody else, and has been refreshed."""
    con = database()
    con.execute(
        f"""
        insert into delivered by name
        select
            cast(md5(cast(i as varchar)) as uuid) as message_key,
            'p' || i || '@web.de' as recipient,
            'A' as campaign_id,
            timestamp '2026-02-01' + to_seconds(i) as occurred_at,
        from range({PADDING}) as numbers (i)
        """
    )
    refresh(con)
    return con


def kept(con: duckdb.DuckDBPyConnection) -> dict[str, list[dict[str, Any]]]:
    """What the kept tables hold, in an order of its own."""
    return {table: rows(con, f"from {table} order by all") for table in KEPT}


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(steps=st.lists(STEP, min_size=1, max_size=4))
def test_incremental_equals_rebuilt(
    steps: list[tuple[list[dict[str, Any]], list[int]]],
) -> None:
    """After any additions and removals the kept tables are those made anew from all events."""
    con = emptied(shared())
    standing: list[dict[str, Any]] = []
    for added, removed in steps:
        for event in added:
            apply(con, event)
        standing += added
        for number in removed:
            if standing:
                remove(con, standing[number % len(standing)])
        full = refresh(con)

        assert not full
    incremental = kept(con)
    con.execute("delete from refresh_state")

    assert refresh(con)
    assert kept(con) == incremental


@settings(max_examples=25, deadline=None, derandomize=True)
@given(events=st.lists(EVENT, min_size=1, max_size=15), part_events=st.integers(120, 400))
def test_parts_equal_whole(events: list[dict[str, Any]], part_events: int) -> None:
    """However many parts everything is made in, the kept tables are those made in one."""
    con = emptied(shared())
    for event in events:
        apply(con, event)
    con.execute("delete from refresh_state")
    refresh(con)
    whole = kept(con)
    con.execute("delete from refresh_state")

    assert refresh(con, part_events)
    assert con.execute("select getvariable('refresh_parts')").fetchall()[0][0] > 1
    assert kept(con) == whole


@settings(max_examples=60, deadline=None, derandomize=True)
@given(events=st.lists(EVENT, min_size=1, max_size=25))
@example(events=[happened("delivered", 0), *clicked(a=15, b=21, c=60, d=60)])
@example(events=[happened("delivered", 0), *clicked(a=15, b=100, c=121, d=400)])
@example(events=[happened("delivered", 0), *clicked(a=100, b=100, c=100), happened("open", 60)])
def test_last_human_event_is_the_latest_unflagged_one(events: list[dict[str, Any]]) -> None:
    """What is kept of a recipient's last reaction is what its events, one by one, say."""
    con = emptied(shared())
    for event in events:
        apply(con, event)
    refresh(con)
    one_by_one = rows(
        con,
        """
        select recipient, max(occurred_at) as last_human_event_at
        from event_message
        where not is_machine and matched_by <> 'none' and kind <> 'complaint'
        group by recipient
        order by all
        """,
    )
    kept_of_it = rows(
        con,
        """
        select recipient, last_human_event_at
        from recipient_health
        where last_human_event_at is not null
        order by all
        """,
    )

    assert kept_of_it == one_by_one


def test_more_links_judge_everybody_anew() -> None:
    """Who clicked all links of a campaign is a person again once others click new ones."""
    con = strangers()
    ann = [happened("delivered", 0), *clicked(a=100, b=110, c=120, d=130)]
    ben = [{**event, "to": PEOPLE[2], "id": KEYS[1]}
           for event in (happened("delivered", 0), *clicked(e=200, f=400))]  # fmt: skip
    reacted = "select last_human_event_at from recipient_health where recipient = 'ann@gmail.com'"
    for event in ann:
        apply(con, event)
    refresh(con)
    before = rows(con, reacted)
    for event in ben:
        apply(con, event)

    assert not refresh(con)
    assert before == [{"last_human_event_at": None}]
    assert rows(con, reacted) == [{"last_human_event_at": datetime(2026, 3, 1, 10, 2, 10)}]


def test_nothing_touched_nothing_done() -> None:
    """A refresh with nothing new leaves every kept row as it stands."""
    con = strangers()
    before = kept(con)

    assert not refresh(con)
    assert kept(con) == before


def test_untold_change_is_noticed() -> None:
    """Events that came without being named make everything anew."""
    con = strangers()
    put(con, "open", id=KEYS[0], at="2026-03-01 10:00:00", campaign_id="A")

    assert refresh(con)
    assert len(kept(con)["event_fallback"]) == 1


def test_changed_definition_is_noticed() -> None:
    """A changed threshold, class or provider makes everything anew."""
    con = strangers()
    con.execute("update metric_threshold set value = 5 where name = 'burst_urls'")

    assert refresh(con)
    assert not refresh(con)


def test_what_other_rules_kept_is_made_anew() -> None:
    """Where a loader of another version refreshed last, nothing that it kept is left standing."""
    con = emptied(shared())
    apply(con, happened("delivered", 0))
    refresh(con)
    older = [(often, [*texts, "-- older"]) for often, texts in refresh_steps()]
    con.begin()
    run_refresh(con, older)
    con.commit()
    apply(con, happened("open", 60))

    assert refresh(con)
    assert not refresh(con)


@pytest.mark.parametrize("others", [200, 5], ids=["a small part", "a large part"])
def test_what_loads_tell_is_enough(others: int, tmp_path: Path) -> None:
    """After small loads, by one loader or another, what is kept is what a rebuild makes.

    Also of an event that takes the place of another, at once or once a tie is settled.
    """
    where = home(tmp_path)
    strangers = [DELIVERED | {"message_id": f"<{n}@shop.example>"} for n in range(others)]
    third, second, first = (
        line(DELIVERED | {"campaign": {"id": campaign}}, f"2026-11-23T07:00:0{at}Z")
        for campaign, at in (("C", 3), ("B", 2), ("A", 2))
    )
    with closing(Warehouse(target_of(where), where.timezone).open()) as warehouse:
        for name, lines in (("a.jsonl", [*map(line, strangers), third]), ("b.jsonl", [second])):
            data = drop(where, name, *lines).read_bytes()
            warehouse.load(parse([Block(name, 0, data)], Shapes()))
            warehouse.publish()
    drop(where, "c.jsonl", first)
    ingest(where)
    with query.connect(where) as con:
        found = kept(con)
    ingest(where, rebuild=True)
    with query.connect(where) as con:
        assert found == kept(con)
