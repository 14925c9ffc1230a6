"""A world small enough to count by eye, and awkward enough to hold every rule of the marts."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loader import query
from loader.ingest import ingest
from loader.settings import Settings, load_settings

ONE = "335026fa-0b4d-4fb3-a92c-8193ac263600"
TWO = "48b6240d-cd8b-4d45-b4cb-684f99032103"
THREE = "59d619ca-d402-4865-a333-d5a5c5cdb30c"
FOUR = "9d76d4b4-660f-422b-9437-282c31506f7f"
FIVE = "0a1b2c3d-0000-4000-8000-00000000000e"
SPRING = {"id": "A", "name": "Spring"}
RENAMED = {"id": "A", "name": "Spring sale"}
NAMELESS = {"id": "B"}
SHOP = "https://shop.example/"


def event(kind: str, message: str, to: str, clock: str, **fields: Any) -> dict[str, Any]:
    """An event of 1 March 2026, as the provider would send it."""
    return {
        "kind": kind,
        "sender": "news@shop.example",
        "recipient": to,
        "message_id": message,
        "timestamp": f"2026-03-01T{clock}Z",
        **fields,
    }


WORLD = [
    # One id, two recipients: two messages. Both id forms; a recipient in upper case.
    event("delivered", f"<{ONE}@mail.example>", "ann@gmail.com", "10:00:00", campaign=SPRING),
    event("delivered", f"<{ONE}@mail.example>", "ben@web.de", "10:00:00", campaign=SPRING),
    event("open", ONE, "ANN@Gmail.com", "10:05:00", campaign=SPRING),
    event("click", ONE, "ben@web.de", "10:10:00", campaign=SPRING, url=SHOP + "a"),
    # The payload names another campaign: the message knows better.
    event("click", ONE, "ann@gmail.com", "11:00:00", campaign=NAMELESS, url=SHOP + "z"),
    # Bounced, then delivered after all: accepted, and bounced.
    event("bounce", TWO, "cid@libero.it", "09:59:00", bounce_category="quota-issues"),
    event("delivered", f"<{TWO}@mail.example>", "cid@libero.it", "10:01:00", campaign=SPRING),
    # Delivered twice, in two campaigns: the first counts. Sent back later: not accepted.
    event("delivered", THREE, "dot@orange.fr", "10:00:00", campaign=SPRING),
    event("delivered", THREE, "dot@orange.fr", "10:30:00", campaign=NAMELESS),
    # The latest event that names the campaign gives its name.
    event("open", THREE, "dot@orange.fr", "11:00:00", campaign=RENAMED),
    event("bounce", THREE, "dot@orange.fr", "12:00:00", sync_type="async",
          bounce_category="Bad-Mailbox", bounce_type="soft", dsn_status="5.1.1 (unknown)"),
    # Opened before it was delivered.
    event("open", FOUR, "eve@gmail.com", "09:58:00", campaign=SPRING),
    event("delivered", f"<{FOUR}@mail.example>", "eve@gmail.com", "10:00:00", campaign=SPRING),
    # A scanner follows three links, opens and unsubscribes; a person clicks half an hour later.
    event("delivered", FIVE, "fay@corp.example", "09:00:00", campaign=NAMELESS),
    event("open", FIVE, "fay@corp.example", "09:59:00", campaign=NAMELESS),
    event("click", FIVE, "fay@corp.example", "10:00:30", campaign=NAMELESS, url=SHOP + "a"),
    event("click", FIVE, "fay@corp.example", "10:00:32", campaign=NAMELESS, url=SHOP + "b"),
    event("click", FIVE, "fay@corp.example", "10:00:34", campaign=NAMELESS, url=SHOP + "c"),
    event("subscription_changed", FIVE, "fay@corp.example", "10:01:30", campaign=NAMELESS,
          change="unsubscribe", contact_list={"id": "l", "name": "Main"}),
    event("click", FIVE, "fay@corp.example", "10:30:00", campaign=NAMELESS, url=SHOP + "a"),
    # A bounce of no campaign, of an unknown word: hard by its DSN.
    event("bounce", "<six@mail.example>", "gus@gmx.de", "10:00:00", sync_type="sync",
          bounce_category="listed-by-operator", dsn_status="5.1.1 (no such user)"),
    # A bounce that names its campaign and says nothing else.
    event("bounce", "<seven@mail.example>", "hal@yahoo.com", "10:00:00", campaign=SPRING),
    # Unknown ids: one reaches its recipient's message of that campaign, one nobody's.
    event("open", "mail-x", "ben@web.de", "10:20:00", campaign=SPRING),
    event("click", "mail-y", "ida@proton.me", "10:20:00", campaign=SPRING, url=SHOP + "a"),
]  # fmt: skip


def load(home: Path, parts: list[list[dict[str, Any]]]) -> Settings:
    """Load events by the loader, a segment and a load a part."""
    (home / "spool").mkdir(parents=True)
    chosen = load_settings({"LOADER_HOME": str(home)}, home)
    for number, part in enumerate(parts):
        lines = "".join(json.dumps(one) + "\n" for one in part)
        (home / "spool" / f"{number:02}.jsonl").write_text(lines, "utf-8")
        ingest(chosen)
    return chosen


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The world, loaded in one go."""
    with query.connect(load(tmp_path_factory.mktemp("world"), [WORLD])) as con:
        yield con


def rows(con: Any, text: str) -> list[tuple[Any, ...]]:
    """The rows of a query."""
    return con.sql(text).fetchall()


COUNTS = """
    select campaign_id, campaign_name, attempted, delivered, accepted,
        bounced, hard, soft, block, undetermined,
        opened, clicked, confirmed_opened, opens, clicks, unsubscribed,
        opened_human, clicked_human, unsubscribed_human
    from campaign_report order by campaign_id
"""
COUNTED = [
    ("A", "Spring sale", 6, 5, 4, 3, 1, 1, 0, 1, 3, 2, 3, 4, 2, 0, 2, 2, 0),
    ("B", None, 1, 1, 1, 0, 0, 0, 0, 0, 1, 1, 1, 1, 4, 1, 0, 1, 0),
    (None, None, 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
]


def test_every_count_of_the_campaigns(world: Any) -> None:
    """The campaigns' counts are those that one counts by eye."""
    assert rows(world, COUNTS) == COUNTED


def test_every_rate_of_a_campaign(world: Any) -> None:
    """Rates have the denominators of their definitions, and NULL where there is none."""
    rates = "delivery_rate, bounce_rate, open_rate, click_rate, click_to_open_rate"
    text = f"select {rates}, unsubscribe_rate from campaign_report order by campaign_id"

    assert rows(world, text) == [
        (pytest.approx(4 / 6), 0.5, 0.75, 0.5, pytest.approx(2 / 3), 0.0),
        (1.0, 0.0, 1.0, 1.0, 1.0, 1.0),
        (0.0, 1.0, None, None, None, None),
    ]


def test_order_of_loading_leaves_no_trace(tmp_path: Path) -> None:
    """Loaded backwards in small parts the world gives the same campaigns."""
    backwards = WORLD[::-1]
    parts = [backwards[start : start + 5] for start in range(0, len(backwards), 5)]
    with query.connect(load(tmp_path, parts)) as con:
        assert rows(con, COUNTS) == COUNTED


def test_bounces_by_class(world: Any) -> None:
    """A bounce is classed by category, else DSN, and unattributed ones stand alone."""
    text = """
        select campaign_id, bounce_category, bounce_class, sync_type, bounced, disagreed
        from bounce_report order by all
    """

    assert rows(world, text) == [
        ("A", "Bad-Mailbox", "hard", "async", 1, 1),
        ("A", "quota-issues", "soft", "async", 1, 0),
        ("A", None, "undetermined", "sync", 1, 0),
        (None, "listed-by-operator", "hard", "sync", 1, 0),
    ]


def test_every_message(world: Any) -> None:
    """A message is its delivery, its latest bounce and all that reached it, by whom it was."""
    text = """
        select split_part(recipient, '@', 1), campaign_id, recipient_domain, provider,
            sender_domain = 'shop.example', bounce_class, opens, clicks,
            [accepted, bounced_sync, bounced_async, opened, clicked]::integer[],
            [opened_human, clicked_human, unsubscribed, unsubscribed_human]::integer[],
            strftime(attempted_at, '%H:%M'), strftime(delivered_at, '%H:%M')
        from messages order by recipient
    """

    assert rows(world, text) == [
        ("ann", "A", "gmail.com", "gmail", True, None, 1, 1, [1, 0, 0, 1, 1], [1, 1, 0, 0],
         "10:00", "10:00"),
        ("ben", "A", "web.de", "gmx", True, None, 1, 1, [1, 0, 0, 1, 1], [1, 1, 0, 0],
         "10:00", "10:00"),
        ("cid", "A", "libero.it", "libero", True, "soft", 0, 0, [1, 0, 1, 0, 0], [0, 0, 0, 0],
         "10:01", "10:01"),
        ("dot", "A", "orange.fr", "orange", True, "hard", 1, 0, [0, 0, 1, 1, 0], [1, 0, 0, 0],
         "10:00", "10:00"),
        ("eve", "A", "gmail.com", "gmail", True, None, 1, 0, [1, 0, 0, 1, 0], [0, 0, 0, 0],
         "10:00", "10:00"),
        ("fay", "B", "corp.example", "other", True, None, 1, 4, [1, 0, 0, 1, 1], [0, 1, 1, 0],
         "09:00", "09:00"),
        ("gus", None, "gmx.de", "gmx", True, "hard", 0, 0, [0, 1, 0, 0, 0], [0, 0, 0, 0],
         "10:00", None),
        ("hal", "A", "yahoo.com", "yahoo", True, "undetermined", 0, 0, [0, 1, 0, 0, 0],
         [0, 0, 0, 0], "10:00", None),
    ]  # fmt: skip


def test_when_it_happened_to_a_message(world: Any) -> None:
    """The moments of a message are its first reactions and its latest bounces."""
    text = """
        select split_part(recipient, '@', 1), strftime(columns([
            'sync_bounced_at', 'async_bounced_at', 'first_opened_at', 'first_human_opened_at',
            'first_clicked_at', 'unsubscribed_at'
        ]), '%H:%M')
        from messages where provider <> 'gmx' order by recipient
    """

    assert rows(world, text) == [
        ("ann", None, None, "10:05", "10:05", "11:00", None),
        ("cid", None, "09:59", None, None, None, None),
        ("dot", None, "12:00", "11:00", "11:00", None, None),
        ("eve", None, None, "09:58", None, None, None),
        ("fay", None, None, "09:59", None, "10:00", "10:01"),
        ("hal", "10:00", None, None, None, None, None),
    ]


def test_every_bounce_event(world: Any) -> None:
    """A bounce is its message's campaign's, late where it says so or where that was delivered."""
    text = """
        select recipient, campaign_id, named_campaign_id, sender_domain, sync_type, bounce_class,
            bounce_category, meant_category, bounce_type, dsn_code, dsn_status,
            strftime(delivered_at, '%H:%M'), strftime(occurred_at, '%H:%M'), received_at
        from bounce_event order by recipient
    """

    assert rows(world, text) == [
        ("cid@libero.it", "A", None, "shop.example", "async", "soft", "quota-issues",
         "quota-issues", None, None, None, "10:01", "09:59", None),
        ("dot@orange.fr", "A", None, "shop.example", "async", "hard", "Bad-Mailbox",
         "bad-mailbox", "soft", "5.1.1", "5.1.1 (unknown)", "10:00", "12:00", None),
        ("gus@gmx.de", None, None, "shop.example", "sync", "hard", "listed-by-operator",
         "bad-mailbox", None, "5.1.1", "5.1.1 (no such user)", None, "10:00", None),
        ("hal@yahoo.com", "A", "A", "shop.example", "sync", "undetermined", None,
         None, None, None, None, None, "10:00", None),
    ]  # fmt: skip


def test_unattributed_bounces_bound_the_rate(world: Any) -> None:
    """Had the unattributed bounce been the campaign's, its rate would be the upper bound."""
    text = """
        select campaign_id, unattributed_nearby, bounce_rate_upper
        from campaign_report order by campaign_id
    """

    assert rows(world, text) == [("A", 1, pytest.approx(4 / 7)), ("B", 1, 0.5), (None, None, None)]


def test_links(world: Any) -> None:
    """Clicks count to the campaign of their message, machine and human side by side."""
    text = """
        select campaign_id, replace(url, 'https://shop.example/', ''), clicks, clicks_human,
            clicked, clicked_human, first_clicks, first_clicks_human
        from link_report order by all
    """

    assert rows(world, text) == [
        ("A", "a", 1, 1, 1, 1, 1, 1),
        ("A", "z", 1, 1, 1, 1, 1, 1),
        ("B", "a", 2, 1, 1, 1, 1, 1),
        ("B", "b", 1, 0, 1, 0, 0, 0),
        ("B", "c", 1, 0, 1, 0, 0, 0),
    ]
    assert rows(world, "select distinct is_small from link_report") == [(True,)]


def test_how_events_reach_messages(world: Any) -> None:
    """Every event is matched by id, else by campaign and recipient, else it is an orphan."""
    text = "select matched_by, count(*) from event_message group by all order by all"

    assert rows(world, text) == [("campaign", 1), ("message_id", 11), ("none", 1)]


def test_machine_flags(world: Any) -> None:
    """Each rule flags the events that its definition names, and no other."""
    text = """
        select kind, strftime(occurred_at, '%H:%M:%S'), is_burst, is_instant, is_coverage,
            is_echo, is_suspect
        from event_message where is_machine order by all
    """

    assert rows(world, text) == [
        ("click", "10:00:30", True, False, False, False, False),
        ("click", "10:00:32", True, False, False, False, False),
        ("click", "10:00:34", True, False, False, False, False),
        ("open", "09:58:00", False, False, False, True, False),
        ("open", "09:59:00", False, False, False, True, False),
        ("subscription_changed", "10:01:30", False, False, False, False, True),
    ]


def test_data_quality(world: Any) -> None:
    """Match rate, orphans, unattributed bounces and unknown words are counted by day."""
    text = """
        select strftime(day, '%Y-%m-%d'), sender_domain, opens_clicks, matched_by_message_id,
            matched_by_campaign, orphans, unattributed_bounces, unknown_words, match_rate,
            async_bounce_seen
        from data_quality
    """

    assert rows(world, text) == [
        ("2026-03-01", "shop.example", 12, 10, 1, 1, 1, 1, pytest.approx(10 / 12), True)
    ]


def test_suppression(world: Any) -> None:
    """A hard bounce and an unsubscribe suppress a recipient, and the reason is given."""
    text = "select recipient, suppress_reason from recipient_health where suppress order by all"

    assert rows(world, text) == [
        ("dot@orange.fr", "hard bounce: bad-mailbox"),
        ("fay@corp.example", "unsubscribed"),
        ("gus@gmx.de", "hard bounce: bad-mailbox"),
    ]


def test_warnings_in_words(world: Any) -> None:
    """What an analyst must know stands in sentences, and none of them holds an address."""
    found = dict(rows(world, "select topic, sentence from warnings where number <> 12"))

    assert {"match rate", "orphans", "unattributed bounces", "unknown words"} <= set(found)
    assert found["match rate"].startswith("Only 83.3% of 12 opens and clicks carry")
    assert "listed-by-operator" in found["unknown words"]
    assert not [text for text in found.values() if "@" in text]


def test_what_is_asked_with_yes_or_no_is_answered(world: Any) -> None:
    """No verdict is NULL where little is known, so that neither it nor its opposite is lost."""
    text = """
        select table_name, string_agg(column_name || ' is null', ' or ')
        from duckdb_columns() semi join duckdb_views() on table_name = view_name
        where data_type = 'BOOLEAN' and not internal
            and column_name not in ('accepted', 'has_complaints')
        group by table_name
    """
    asked = rows(world, text)

    assert len(asked) > 20
    for view, unknown in asked:
        assert rows(world, f"select * from {view} where {unknown}") == [], view


def test_every_interval_holds_its_rate(world: Any) -> None:
    """Wherever a rate is known its interval is and holds it; where it is not, neither is that."""
    text = """
        select low.table_name, string_agg(
            format('not ({0}_lo <= {0} and {0} <= {0}_hi) or ({0} is null) <> ({0}_lo is null) '
            'or ({0} is null) <> ({0}_hi is null)', rate.column_name), ' or '), count(*)
        from duckdb_columns() as low
        inner join duckdb_columns() as rate
            on low.table_name = rate.table_name and low.column_name = rate.column_name || '_lo'
        where not low.internal
        group by low.table_name
    """
    intervals = rows(world, text)

    assert sum(number for _, _, number in intervals) > 90
    for view, wrong, _ in intervals:
        assert rows(world, f"select * from {view} where {wrong}") == [], view


def test_identities(world: Any) -> None:
    """Classes sum to bounced, accepted ≤ delivered ≤ attempted, and all cuts to one total."""
    broken = """
        select campaign_id from campaign_report
        where hard + soft + block + undetermined <> bounced
            or not (accepted <= delivered and delivered <= attempted)
    """
    totals = "sum(attempted), sum(accepted), sum(bounced), sum(opens), sum(clicked_human)"

    assert rows(world, broken) == []
    for view in ("campaign_report", "provider_report", "provider_total", "daily_report"):
        assert rows(world, f"select {totals} from {view}") == [(8, 5, 4, 5, 3)], view
    for view in ("bounce_category", "bounce_total"):
        assert rows(world, f"select sum(bounced) from {view}") == [(4,)], view
    assert rows(world, "select sum(messages) from daily_outcome_report") == [(8,)]
    assert rows(world, "select sum(messages) from campaign_funnel where stage_number = 1") == [(7,)]
    assert rows(world, "select count(*), sum(clicks) from messages") == [(8, 6)]
