"""Promises of the checks: every warning's words and severity, one judge, whole rows of quality."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from scipy import stats

from loader import leads, query, tables
from loader.ingest import ingest
from loader.status import status
from tests.marts import at, bulk, database, one, put, refresh, rows
from tests.pages import event, loaded_home, settings_of
from tests.pages import rows as frame

NOW = "2026-04-01 12:00:00"
SENT = "2026-03-01 10:00:00"
LAST = "2026-03-31 20:00:00"
WRONG = {"bounce_category": "bad-mailbox", "bounce_type": "soft", "sync_type": "sync"}
HARD = WRONG | {"bounce_type": "hard"}

Con = duckdb.DuckDBPyConnection
Fault = Callable[[Con], None]
Said = tuple[str, str, str]
"""Severity, topic and sentence of a warning."""


def clean(con: Con) -> None:
    """Put in 490 events of one campaign, of which nothing is to be said.

    300 deliveries, 95 bounces, 94 opens and a complaint: 95 reactions.
    """
    at(con, NOW)
    bulk(con, "delivered", "A", 300, SENT)
    bulk(con, "bounce", "A", 95, SENT, first=300, **HARD)
    bulk(con, "open", "A", 94, LAST)
    bulk(con, "other_event", "A", 1, LAST, kind="complaint")


def none(con: Con) -> None:
    """Leave the data clean."""


def fallback(number: int) -> Fault:
    """So many opens whose id nobody has; a known click makes 95 of the others."""

    def put_in(con: Con) -> None:
        bulk(con, "click", "A", 1, LAST, url="a")
        for n in range(number):
            put(con, "open", id=f"x{n}", to=f"p{n}@web.de", at=LAST, campaign_id="A")

    return put_in


def orphans(number: int) -> Fault:
    """So many unsubscribes of nobody's message."""

    def put_in(con: Con) -> None:
        for n in range(number):
            put(con, "subscription_changed", id=f"x{n}", at=LAST, change="unsubscribe")

    return put_in


def bounces(number: int, campaign: str | None, *, alone: bool = False, **fields: Any) -> Fault:
    """So many bounces more, or alone."""

    def put_in(con: Con) -> None:
        if alone:
            con.execute("delete from bounce")
        for n in range(number):
            put(con, "bounce", id=f"b{n}", to=f"b{n}@web.de", at=SENT, campaign_id=campaign,
                **{**HARD, **fields})  # fmt: skip

    return put_in


def silent(*deliveries: int) -> Fault:
    """Senders without any async bounce, each of so many deliveries; the first says no sender."""

    def put_in(con: Con) -> None:
        for n, number in enumerate(deliveries):
            sender = f"a@s{n}.example" if n else None
            bulk(con, "delivered", "A", number, SENT, first=10_000 * (n + 1), sender=sender)

    return put_in


def quarters(*first_hours: str) -> Fault:
    """Opens of twelve quarter hours from each of these hours on, by ever the same person."""

    def put_in(con: Con) -> None:
        for hour in first_hours:
            con.execute(
                "insert into open by name select message_key, recipient, campaign_id, sender, "
                "$from::timestamp + to_minutes(15 * n) as occurred_at from range(12) as r (n) "
                "cross join (select * from delivered limit 1)",
                {"from": hour},
            )

    return put_in


def words(number: int) -> Fault:
    """Events of so many kinds that nobody knows, the first of them twice."""

    def put_in(con: Con) -> None:
        for n in [0, *range(number)]:
            bulk(con, "other_event", "A", 1, LAST, first=n, kind=f"kind-{n}")

    return put_in


def late(number: int, more: int = 0) -> Fault:
    """So many deliveries that came over 24 hours late, one just in time, and ``more`` others."""

    def put_in(con: Con) -> None:
        bulk(con, "delivered", "A", more, SENT, first=1000)
        con.execute(
            "update delivered set received_at = occurred_at + interval 24 hour + "
            "if(recipient = 'p299@web.de', interval 0 second, interval 1 second) "
            "where recipient = 'p299@web.de' or cast(recipient[2:-8] as integer) < ?",
            [number],
        )

    return put_in


def campaigns(number: int, sent: str, opened: bool) -> Fault:
    """So many campaigns more, each of a message."""

    def put_in(con: Con) -> None:
        for n in range(number):
            bulk(con, "delivered", f"B{n}", 1, sent)
            if opened:
                bulk(con, "open", f"B{n}", 1, "2026-04-01 11:30:00")

    return put_in


def set_aside(*reasons: str) -> Fault:
    """A line in the quarantine for each of the reasons."""

    def put_in(con: Con) -> None:
        con.execute(
            "insert into quarantine by name select unnest(?::varchar[]) as reason", [[*reasons]]
        )

    return put_in


def duplicates(number: int) -> Fault:
    """A load that met so many duplicates."""
    return lambda con: put_ledger(con, number)


def put_ledger(con: Con, number: int) -> None:
    """A row of the ledger with so many duplicates."""
    con.execute("insert into ingest_ledger by name select ? as duplicates", [number])


def ahead(number: int) -> Fault:
    """So many opens two hours ahead of the clock."""
    return lambda con: bulk(con, "open", "A", number, "2026-04-01 14:00:00")


def unheard(con: Con) -> None:
    """Four days without an event, but for one that claims to be of another century."""
    bulk(con, "open", "A", 1, "2099-01-01 00:00:00")
    at(con, "2026-04-04 20:00:00")


def unsent(con: Con) -> None:
    """A campaign of one message, sent and opened in another century."""
    for table in ("delivered", "open"):
        bulk(con, table, "B", 1, "2099-01-01 00:00:00")


def undelivered() -> Fault:
    """Nothing but bounces and a complaint."""

    def put_in(con: Con) -> None:
        for table in ("delivered", "open", "click", "subscription_changed"):
            con.execute(f"delete from {table}")

    return put_in


MATCH = "of a delivered or bounced message; the others count only where campaign and recipient fit."
NAMELESS = "campaigns may have bounced more than their rates say (see bounce_rate_upper)."
MX = "and never an async bounce: the MX of its bounce domain is probably missing."
GAP = (
    "where events usually come every 0.25 hours: if the receiver was down, what it missed is gone."
)
DSN = "it is kept, and bounces with it are classed by their DSN."
KEPT = "it is kept, and changes nothing that is computed."
CLOCK = "one of the clocks is wrong, and so are the ages of what they touch."
HOLD = "rates of the last days still move."
CLASS = "hard for us and soft for the provider, or the other way round."

CASES: dict[str, tuple[Fault, list[Said]]] = {
    "clean": (none, []),
    "match rate at its threshold": (fallback(5), []),
    "match rate below it": (fallback(6), [
        ("warning", "match rate",
         f"Only 94.1% of 101 opens and clicks carry the message id {MATCH}")]),
    "an orphan": (orphans(1), [
        ("note", "orphans", "1 open, click or other reaction reached no message: it is left out "
         "of every rate; its delivery was probably never received.")]),
    "orphans at the threshold": (orphans(5), [
        ("warning", "orphans", "5 opens, clicks and other reactions reached no message: they are "
         "left out of every rate; their deliveries were probably never received.")]),
    "few bounces of no campaign": (bounces(4, None), [
        ("note", "unattributed bounces", "4.0% of 99 bounces name no campaign and have no "
         f"delivery that does: {NAMELESS}")]),
    "bounces of no campaign at the threshold": (bounces(5, None), [
        ("warning", "unattributed bounces", "5.0% of 100 bounces name no campaign and have no "
         f"delivery that does: {NAMELESS}")]),
    "one bounce, of no campaign": (bounces(1, None, alone=True), [
        ("warning", "unattributed bounces", "100.0% of 1 bounce names no campaign and has no "
         f"delivery that does: {NAMELESS}")]),
    "senders that are silent": (silent(1001, 1002, 999, 1000), [
        ("warning", "no async bounce", f"Sender domain (none given) has 1,001 deliveries {MX}"),
        ("warning", "no async bounce", f"Sender domain s1.example has 1,002 deliveries {MX}"),
        ("warning", "no async bounce", f"Sender domain s3.example has 1,000 deliveries {MX}")]),
    "more silent senders than are named": (silent(1000, 1001, 1002, 1003, 1004, 1005, 1006), [
        *(("warning", "no async bounce", f"Sender domain s{n}.example has 1,00{n} deliveries {MX}")
          for n in range(2, 7)),
        ("warning", "no async bounce",
         "Sender domains without any async bounce either: 2 more.")]),
    "a gap": (quarters("2026-03-31 15:00", "2026-03-31 18:00"), [
        ("warning", "gap", "1 gap in the event stream; the longest, of 725.0 hours, began at "
         f"2026-03-01 10:00 UTC, {GAP}")]),
    "gaps": (quarters("2026-03-31 08:00", "2026-03-31 11:00", "2026-03-31 20:00"), [
        ("warning", "gap", "2 gaps in the event stream; the longest, of 718.0 hours, began at "
         f"2026-03-01 10:00 UTC, {GAP}")]),
    "a word": (bounces(1, "A", bounce_category="new", dsn_status="5.1.1"), [
        ("warning", "unknown words", "The word new in bounce_category is not known here (1 event, "
         f"first on 2026-03-01): {DSN}")]),
    "six words": (words(6), [
        *(("warning", "unknown words", f"The word kind-{n} in kind is not known here "
           f"({'1 event' if n else '2 events'}, first on 2026-03-31): {KEPT}") for n in range(5)),
        ("warning", "unknown words", "unknown_words lists 1 more that is not known.")]),
    "seven words": (words(7), [
        *(("warning", "unknown words", f"The word kind-{n} in kind is not known here "
           f"({'1 event' if n else '2 events'}, first on 2026-03-31): {KEPT}") for n in range(5)),
        ("warning", "unknown words", "unknown_words lists 2 more that are not known.")]),
    "a late event": (late(1), [
        ("note", "late events",
         f"1 event (0.2%) arrived over 24 hours after it occurred: {HOLD}")]),
    "late events": (late(24), [
        ("note", "late events",
         f"24 events (4.9%) arrived over 24 hours after they occurred: {HOLD}")]),
    "late events at the threshold": (late(25, 10), [
        ("warning", "late events",
         f"25 events (5.0%) arrived over 24 hours after they occurred: {HOLD}")]),
    "a campaign that is not tracked": (campaigns(1, SENT, opened=False), [
        ("warning", "tracking absent", "1 of 2 campaigns has no open, click or subscription "
         "change at all: its open and click rates are not tracked (NULL), not 0%.")]),
    "campaigns that are not tracked": (campaigns(2, SENT, opened=False), [
        ("warning", "tracking absent", "2 of 3 campaigns have no open, click or subscription "
         "change at all: their open and click rates are not tracked (NULL), not 0%.")]),
    "a campaign of today": (campaigns(1, "2026-04-01 10:00:00", opened=True), [
        ("note", "young campaigns", "1 of 2 campaigns was last delivered less than 72 hours ago: "
         "compare it at equal age only.")]),
    "campaigns of today": (campaigns(2, "2026-03-29 12:00:01", opened=True), [
        ("note", "young campaigns", "2 of 3 campaigns were last delivered less than 72 hours "
         "ago: compare them at equal age only.")]),
    "campaigns that are just comparable": (campaigns(2, "2026-03-29 12:00:00", opened=True), []),
    "few bounces classed otherwise": (bounces(4, "A", **WRONG), []),
    "bounces classed otherwise, at the threshold": (bounces(5, "A", **WRONG), [
        ("warning", "bounce types", f"5.0% of 100 bounced messages are {CLASS}")]),
    "one bounce, classed otherwise": (bounces(1, "A", alone=True, **WRONG), [
        ("warning", "bounce types", f"100.0% of 1 bounced message is {CLASS}")]),
    "lines set aside": (set_aside("not_json", "no_kind", "no_kind"), [
        ("warning", "quarantine",
         "1 line was set aside (not_json): loader quarantine shows it."),
        ("warning", "quarantine",
         "2 lines were set aside (no_kind): loader quarantine shows them.")]),
    "not yet a day of silence": (lambda con: at(con, "2026-04-01 19:59:59"), []),
    "a day of silence": (lambda con: at(con, "2026-04-01 20:00:00"), [
        ("note", "freshness", "The newest event is 24 hours old.")]),
    "days of silence": (lambda con: at(con, "2026-04-04 20:00:00"), [
        ("note", "freshness", "The newest event is 4 days old.")]),
    "days of silence and a wrong clock": (unheard, [
        ("warning", "future events", "1 event lies in the future by this machine's clock, up to "
         f"2099-01-01 00:00 UTC: {CLOCK}"),
        ("note", "freshness", "The newest event is 4 days old.")]),
    "a duplicate": (duplicates(1), [
        ("note", "duplicates", "1 event came more than once and was counted once.")]),
    "duplicates": (duplicates(300), [
        ("note", "duplicates", "300 events came more than once and were counted once.")]),
    "no complaint": (lambda con: con.execute("delete from other_event") and None, [
        ("note", "complaints", "No complaint event has ever come: complaint rates are not "
         "available, not 0%.")]),
    "no delivery": (undelivered(), [
        ("warning", "orphans", "1 open, click or other reaction reached no message: it is left "
         "out of every rate; its delivery was probably never received."),
        ("warning", "no delivery", "No delivered event has ever come, of 95 events: see that the "
         "webhook sends them. Without them nothing counts as accepted, and opens and clicks reach "
         "no message.")]),
    "an event of the future": (ahead(1), [
        ("warning", "future events", "1 event lies in the future by this machine's clock, up to "
         f"2026-04-01 14:00 UTC: {CLOCK}")]),
    "a campaign of the future": (unsent, [
        ("warning", "future events", "2 events lie in the future by this machine's clock, up to "
         f"2099-01-01 00:00 UTC: {CLOCK}")]),
    "events of the future": (ahead(2), [
        ("warning", "future events", "2 events lie in the future by this machine's clock, up to "
         f"2026-04-01 14:00 UTC: {CLOCK}")]),
}  # fmt: skip
"""What is wrong with clean data → all that is then said of it, in this order."""


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest) -> tuple[Con, list[Said]]:
    """Clean data with one fault, and what is said of it."""
    con = database()
    fault, said = CASES[request.param]
    clean(con)
    fault(con)
    refresh(con)
    return con, said


def test_each_fault_has_its_sentence_and_no_other(case: tuple[Con, list[Said]]) -> None:
    """Of clean data nothing is said; of each fault its sentence, as grave as it is, in grammar."""
    con, said = case

    assert con.sql("select severity, topic, sentence from warnings").fetchall() == said


JUDGED = {
    "matched by message id": "match rate",
    "orphans": "orphans",
    "bounces without a campaign": "unattributed bounces",
    "delivered by senders that never had an async bounce": "no async bounce",
    "bounces that the provider classes otherwise": "bounce types",
    "late events": "late events",
    "duplicates": "duplicates",
    "unknown words": "unknown words",
    "lines in quarantine": "quarantine",
    "events ahead of the clock": "future events",
}
"""Check → the topic of its warnings."""


def test_one_judge_decides_what_is_grave(case: tuple[Con, list[Said]]) -> None:
    """A check needs attention exactly where a warning, and not merely a note, is about it."""
    con, _ = case
    checks = con.sql("select check_name from quality_total where needs_attention").fetchall()
    grave = con.sql("select distinct topic from warnings where severity = 'warning'").fetchall()

    assert {JUDGED[name] for (name,) in checks} == {
        topic for (topic,) in grave if topic in JUDGED.values()
    }


def test_a_word_has_one_first_day() -> None:
    """The table of words and the warning tell the same day, that of the report zone."""
    con = database("Asia/Tokyo")
    put(con, "bounce", id="m", at="2026-03-01 20:00:00", bounce_category="new")
    refresh(con)
    sentence = one(con, "select sentence from warnings where topic = 'unknown words'")

    assert "first on 2026-03-02" in sentence
    assert "2026-03-02" in tables.words(frame(con, "unknown_words")).markup


# ── one of each ──────────────────────────────────────────────────────────────────────────────


def of(kind: str, message: str, to: str, at: str, sender: str = "shop", **more: Any) -> str:
    """A line of the spool: an event of 1 November 2025, received when it happened or as told."""
    campaign = more.pop("campaign", {"shop": "A", "quiet": "B"}[sender])
    received = more.pop("received_at", f"2025-11-01T{at}Z")
    told = {
        "kind": kind,
        "sender": f"news@{sender}.example",
        "recipient": to,
        "message_id": message,
        "timestamp": f"2025-11-01T{at}Z",
        **({"campaign": {"id": campaign, "name": f"{campaign} of all"}} if campaign else {}),
        **more,
    }
    line = {"received_at": received, "webhook": "inboxroad", "signature": "x", "event": told}
    return json.dumps(line)


ODD = {"sync_type": "sync", "bounce_category": "new", "bounce_type": "other"}
ONE_OF_EACH = [
    *(of("delivered", f"m{n}", f"p{n}@web.de", "01:00:00") for n in range(5)),
    # A person's open, sent twice: a duplicate.
    of("open", "m0", "p0@web.de", "01:10:00"),
    of("open", "m0", "p0@web.de", "01:10:00"),
    # A machine's open, for it comes with the message.
    of("open", "m1", "p1@web.de", "01:00:05"),
    # Sent back after its delivery: an async sender; and the provider calls it soft.
    of("bounce", "m2", "p2@web.de", "03:00:00", bounce_category="bad-mailbox", bounce_type="soft"),
    # Of an id that nobody has, but of a campaign and a recipient that one message has.
    of("click", "other", "p3@web.de", "01:20:00", url="https://shop.example/"),
    # A day and a second late.
    of("open", "m4", "p4@web.de", "01:30:00", received_at="2025-11-02T01:30:01Z"),
    # Another sender: 1,000 messages, no async bounce; its click is of the next day in Tokyo.
    *(of("delivered", f"q{n}", f"q{n}@web.de", "00:00:00", "quiet") for n in range(1000)),
    of("click", "nobody's", "nobody@web.de", "16:00:00", "quiet", url="https://shop.example/"),
    of("bounce", "unknown", "u@web.de", "00:30:00", "quiet", campaign=None, **ODD),
    "not JSON",
]  # fmt: skip
"""One duplicate, late event, async bounce, machine's open, fallback, orphan, word, bad line."""


@pytest.fixture(scope="module")
def one_of_each(tmp_path_factory: pytest.TempPathFactory) -> Con:
    """Those events loaded; days are Tokyo's."""
    home = tmp_path_factory.mktemp("one")
    (home / "spool").mkdir()
    (home / "spool" / "events.jsonl").write_text("\n".join(ONE_OF_EACH) + "\n", "utf-8")
    ingest(settings_of(home))
    return query.connect(settings_of(home))


def test_a_day_of_each_sender(one_of_each: Con) -> None:
    """Every count of a sender's day is that of the hand-made events, by the day in the zone."""
    found = rows(
        one_of_each,
        "select * exclude (match_rate_lo, match_rate_hi) replace (day::varchar as day) "
        "from data_quality order by all",
    )
    names = ("day", "sender_domain", "events", "delivered_events", "bounce_events", "duplicates",
             "opens_clicks", "matched_by_message_id", "matched_by_campaign", "orphans",
             "unattributed_bounces", "unknown_words", "late_events", "ahead_events", "match_rate",
             "async_bounce_seen")  # fmt: skip

    assert found == [
        dict(zip(names, values, strict=True))
        for values in (
            ("2025-11-01", "quiet.example", 1001, 1000, 1, 0, 0, 0, 0, 0, 1, 1, 0, 0, None, False),
            ("2025-11-01", "shop.example", 10, 5, 1, 1, 4, 3, 1, 0, 0, 0, 1, 0, 0.75, True),
            ("2025-11-02", "quiet.example", 1, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0.0, False),
        )
    ]


def test_a_day_counts_all_its_hours() -> None:
    """What happened twice in one hour of a day and once in another happened three times."""
    con = database()
    for number, hour in enumerate(("01:00", "01:01", "05:00")):
        moment = f"2026-03-01 {hour}:00"
        put(con, "delivered", id=f"m{number}", at=moment, campaign_id="A")
        put(con, "open", id=f"m{number}", at=moment, received_at="2026-03-02 05:00:01")
        put(con, "click", id="lost", at=moment, campaign_id="A", url="a")
        put(con, "click", id="lost", at=moment, url="a")
        put(con, "bounce", id=f"b{number}", at=moment, bounce_category="new")
        con.execute(
            "insert into duplicate_tally values ('open', 'shop.example', $1::timestamp, 1), "
            "('open', 'again.example', $1::timestamp, 1)",
            [f"{moment[:-5]}00:00"],
        )
    refresh(con)
    found = con.sql("select * exclude (day) from data_quality order by sender_domain").fetchall()
    interval = stats.binomtest(3, 9).proportion_ci(method="wilson")

    assert found == [
        ("again.example", 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, None, None, None, False),
        ("shop.example", 15, 3, 3, 3, 9, 3, 3, 3, 3, 3, 3, 0,
         *map(pytest.approx, (3 / 9, interval.low, interval.high)), False),
    ]  # fmt: skip


def test_what_is_to_be_known_of_a_campaign(one_of_each: Con) -> None:
    """A campaign's limits are its own events': matched, by machines, lost, bounced unseen."""
    found = rows(
        one_of_each,
        "select * replace (age_hours > 72 as age_hours) from campaign_limit order by campaign_id",
    )

    assert found == [
        {
            "campaign_id": "A", "campaign_name": "A of all", "maturity": "comparable",
            "orphans": 0, "accepted": 4, "unattributed_nearby": 0, "unattributed": 1, "urls": 1,
            "match_rate": 0.75, "machine_open_rate": pytest.approx(1 / 3),
            "machine_click_rate": 0.0, "bounce_rate": 0.2,
            "bounce_rate_upper": 0.2, "age_hours": True, "is_tracked": True,
            "is_small": True, "small_attempted": 200, "comparable_hours": 72,
            "is_silent_sender": False, "known_hours": pytest.approx(24.5, abs=0.01),
            "gap_hours": None,
        },
        {
            "campaign_id": "B", "campaign_name": "B of all", "maturity": "comparable",
            "orphans": 1, "accepted": 1000, "unattributed_nearby": 1, "unattributed": 1, "urls": 0,
            "match_rate": 0.0, "machine_open_rate": None, "machine_click_rate": None,
            "bounce_rate": 0.0, "bounce_rate_upper": pytest.approx(1 / 1001), "age_hours": True,
            "is_tracked": True, "is_small": False, "small_attempted": 200,
            "comparable_hours": 72, "is_silent_sender": True,
            "known_hours": pytest.approx(25.5, abs=0.01), "gap_hours": None,
        },
    ]  # fmt: skip


def test_where_every_id_is_known_all_is_matched() -> None:
    """A campaign of which no event is lost has a match rate of 1 and no orphan."""
    con = database()
    clean(con)
    refresh(con)

    assert con.sql("select match_rate, orphans from campaign_limit").fetchall() == [(1.0, 0)]


def test_what_was_checked_of_all(one_of_each: Con) -> None:
    """Every check counts what it says, of what it says, and asks for attention where it must."""
    found = one_of_each.sql(
        "select check_name, found, of_all, share, amiss_share, needs_attention "
        "from quality_total order by check_number"
    ).fetchall()

    def share(k: int, n: int) -> Any:
        return pytest.approx(k / n)

    assert found == [
        ("matched by message id", 3, 5, 0.6, 0.4, True),
        ("matched by campaign and recipient", 1, 5, 0.2, 0.2, False),
        ("orphans", 1, 5, 0.2, 0.2, True),
        ("bounces without a campaign", 1, 2, 0.5, 0.5, True),
        ("delivered by senders that never had an async bounce", 1000, 1005,
         share(1000, 1005), share(1000, 1005), True),
        ("bounces that the provider classes otherwise", 1, 2, 0.5, 0.5, True),
        ("late events", 1, 1012, share(1, 1012), share(1, 1012), False),
        ("duplicates", 1, 1013, share(1, 1013), share(1, 1013), False),
        ("unknown words", 1, 6, share(1, 6), share(1, 6), True),
        ("lines in quarantine", 1, 1013, share(1, 1013), share(1, 1013), True),
        ("events ahead of the clock", 0, 1012, 0.0, 0.0, False),
    ]  # fmt: skip


def test_each_check_says_what_it_means(one_of_each: Con) -> None:
    """The table of checks shows the meaning of each, as the mart gives it."""
    checks = frame(one_of_each, "quality_total")
    told = checks.with_columns((pl.lit("<so & so> ") + pl.col("check_name")).alias("meaning"))

    assert "came more than 24 h after they happened" in tables.checks(checks).markup
    assert all(checks["meaning"].str.len_chars() > 20)
    assert tables.checks(told).markup.count("&lt;so &amp; so&gt;") == checks.height


def test_what_is_worst_is_named_first(tmp_path: Path) -> None:
    """The page names what is amiss by its share, and what it names is what the command warns of."""
    sent = [event("delivered", n, 0, "c") for n in range(400)]
    opened = [event("open", n, 1, "c") for n in range(90)]
    lost = [event("open", n, 1, "c", message_id=f"lost-{n}") for n in range(10)]
    returned = [event("bounce", n, 0, "c", sync_type="sync") for n in range(400, 443)]
    nameless = [event("bounce", n, 0, None, sync_type="sync") for n in range(7)]
    new = [event("bounce", 999, 0, "c", sync_type="sync", bounce_category="never seen")]
    bad = [{"kind": "open"}]
    chosen = loaded_home(tmp_path, [*sent, *opened, *lost, *returned, *nameless, *new, *bad])
    con = query.connect(chosen)
    said = repr(leads.quality(frame(con, "quality_total"), frame(con, "freshness")))
    warned = con.sql("select topic, sentence from warnings where severity = 'warning'").fetchall()

    assert (
        "look at: bounces without a campaign (7 of 51); matched by message id (90 of 100); "
        "unknown words (1 of 153); lines in quarantine (1 of 552)."
    ) in said
    assert sorted(topic for topic, _ in warned) == [
        "match rate", "quarantine", "unattributed bounces", "unknown words",
    ]  # fmt: skip
    assert set(status(chosen)["warnings"]) == {sentence for _, sentence in warned}
