"""Promises of the marts: statistics, NULLs, ages, zones, bounce classes, recipients, warnings."""

import re
from collections import Counter
from datetime import UTC, date
from itertools import product
from math import hypot, sqrt
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pytest
from scipy import stats

from loader.assets import asset
from loader.events import TABLES, message_key
from tests.marts import at, bulk, database, one, put, refresh, rows

NOW = "2026-04-01 12:00:00"
DOCUMENT = Path(__file__).parents[1] / "docs" / "marts.md"


@pytest.fixture(scope="module")
def empty() -> duckdb.DuckDBPyConnection:
    """A warehouse without events, for macros."""
    return database()


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    """A warehouse of its own, its clock stopped."""
    made = database()
    at(made, NOW)
    return made


def delivered(con: duckdb.DuckDBPyConnection, number: int, **fields: Any) -> None:
    """Insert ``number`` delivered events, a recipient each."""
    for index in range(number):
        put(con, "delivered", **{"id": f"m{index}", "to": f"p{index}@gmail.com", **fields})


def test_wilson(empty: duckdb.DuckDBPyConnection) -> None:
    """The interval is scipy's Wilson score interval, holds the rate, and stays in [0, 1]."""
    sizes = (1, 2, 3, 7, 10, 199, 1000, 48_120, 10**7, 3 * 10**9)
    counts = [(k, n) for n in sizes for k in {0, 1, n // 40, n // 3, n // 2, n - 1, n}]
    values = ", ".join(str(row) for row in counts)
    query = f"""
        select wilson_lo(k, n), rate(k, n), wilson_hi(k, n) from (values {values}) as c (k, n)
    """
    for (k, n), (lo, rate, hi) in zip(counts, empty.sql(query).fetchall(), strict=True):
        expected = stats.binomtest(k, n).proportion_ci(method="wilson")

        assert (lo, hi) == pytest.approx((expected.low, expected.high), rel=1e-12, abs=1e-15)
        assert 0 <= lo <= rate <= hi <= 1


def test_no_trials_no_rate(empty: duckdb.DuckDBPyConnection) -> None:
    """Without trials rate, interval, difference and p value are NULL, never NaN."""
    query = """
        select rate(0, 0), wilson_lo(0, 0), wilson_hi(0, 0),
            newcombe_lo(0, 0, 1, 2), newcombe_hi(1, 2, 0, 0), two_rates_p(0, 0, 1, 2)
    """

    assert one(empty, query) == (None,) * 6


@pytest.mark.parametrize(
    ("counts", "interval"),
    [
        ((56, 70, 48, 80), (0.0524, 0.3339)),
        ((9, 10, 3, 10), (0.1705, 0.8090)),
        ((5, 56, 0, 29), (-0.0381, 0.1926)),
        ((10, 10, 0, 10), (0.6075, 1.0)),
    ],
)
def test_newcombe(
    empty: duckdb.DuckDBPyConnection, counts: tuple[int, ...], interval: tuple[float, float]
) -> None:
    """The interval of a difference is that of Newcombe's own table (1998, method 10)."""
    query = "select newcombe_lo($1, $2, $3, $4), newcombe_hi($1, $2, $3, $4)"

    assert one(empty, query, *counts) == pytest.approx(interval, abs=6e-5)


def test_newcombe_of_scipy(empty: duckdb.DuckDBPyConnection) -> None:
    """The interval of any two counts is Newcombe's hybrid of the Wilson intervals of scipy."""
    groups = [(k, n) for n in (1, 2, 7, 40, 1000, 250_000) for k in sorted({0, 1, n // 3, n})]
    pairs = list(product(groups, groups))
    found = empty.execute(
        """
        select newcombe_lo(p[1], p[2], p[3], p[4]), newcombe_hi(p[1], p[2], p[3], p[4])
        from (select unnest(?) as p)
        """,
        [[[*one, *other] for one, other in pairs]],
    ).fetchall()
    expected = [newcombe(*one, *other) for one, other in pairs]

    assert len(found) == len(pairs)
    for seen, wanted in zip(found, expected, strict=True):
        assert seen == pytest.approx(wanted, abs=1e-12)


def newcombe(k1: int, n1: int, k2: int, n2: int) -> tuple[float, float]:
    """The hybrid score interval of k1 / n1 - k2 / n2 (Newcombe 1998, method 10)."""
    one = stats.binomtest(k1, n1).proportion_ci(method="wilson")
    other = stats.binomtest(k2, n2).proportion_ci(method="wilson")
    low = hypot(k1 / n1 - one.low, other.high - k2 / n2)
    high = hypot(one.high - k1 / n1, k2 / n2 - other.low)
    return k1 / n1 - k2 / n2 - low, k1 / n1 - k2 / n2 + high


def test_normal_tail(empty: duckdb.DuckDBPyConnection) -> None:
    """The tail of the normal distribution is scipy's, even far out."""
    points = [step / 8 for step in range(37 * 8)]
    found = empty.execute("select normal_tail(unnest(?))", [points]).fetchall()

    assert [tail for (tail,) in found] == pytest.approx(list(stats.norm.sf(points)), rel=1e-7)


def test_two_rates(empty: duckdb.DuckDBPyConnection) -> None:
    """The p value of two rates is that of scipy's chi-squared test, corrected for continuity."""
    counts = [(a, 40, b, m) for a in (0, 1, 20, 39) for m in (1, 50, 10**6) for b in (0, 1, m // 3)]
    values = ", ".join(str(row) for row in counts)
    query = f"select two_rates_p(a, n, b, m) from (values {values}) as pairs (a, n, b, m)"
    for (a, n, b, m), (p,) in zip(counts, empty.sql(query).fetchall(), strict=True):
        expected = 1.0
        if 0 < a + b < n + m:
            table = [[a, n - a], [b, m - b]]
            expected = stats.chi2_contingency(table, correction=True).pvalue

        assert p == pytest.approx(expected, rel=1e-6, abs=1e-12), (a, n, b, m)


@pytest.mark.parametrize("level", [95, 99])
def test_prediction_reach(empty: duckdb.DuckDBPyConnection, level: int) -> None:
    """How far one more value may lie is told by scipy's Student's t, of two to all peers."""
    query = "select prediction_reach(n * n, $level) from range($values) as values (n)"
    peers = (asset("sql") / "marts" / "campaign_peer.sql").read_text("utf-8")
    for values in range(2, int(peers.rpartition("between 1 and ")[2].rstrip(";\n")) + 1):
        spread = stats.tstd([n * n for n in range(values)]) * sqrt(1 + 1 / values)
        reach = stats.t.ppf(0.5 + level / 200, values - 1) * spread
        found = empty.execute(query, {"level": level, "values": values}).fetchall()

        assert found == [(pytest.approx(reach, rel=3e-4),)]
    assert one(empty, "select prediction_reach(1, 95), prediction_reach(null, 99)") == (None, None)


CLASSES = [
    ("bad-mailbox", "4.2.2", "hard"),
    ("Quota-Issues ", "5.1.1", "soft"),
    ("policy-related", "5.4.1", "block"),
    ("other", "5.1.10", "hard"),
    ("other", "5.7.13", "hard"),
    ("other", "4.5.3", "soft"),
    ("a new word", "5.6.9", "block"),
    (None, "5.7.99", "block"),
    (None, "4.0.0", "soft"),
    ("", "5.9.9", "hard"),
    ("other", None, "undetermined"),
    (None, "no code", "undetermined"),
]


def test_bounce_class(con: duckdb.DuckDBPyConnection) -> None:
    """Category decides, then the DSN's detail, then its class, else it is undetermined."""
    for number, (category, status, _) in enumerate(CLASSES):
        put(con, "bounce", id=str(number), to=f"{number:02}", at=NOW, bounce_category=category,
            dsn_status=status)  # fmt: skip
    refresh(con)
    query = "select bounce_class from messages order by recipient"

    assert con.sql(query).fetchall() == [(expected,) for *_, expected in CLASSES]


TABLE = {
    "bad-mailbox": ("x.1.1 x.1.3 x.1.6 x.2.0", "hard", 1, 1, None),
    "inactive-mailbox": ("x.2.1 x.7.13", "hard", 1, 2, None),
    "bad-domain": ("x.1.2 x.1.10", "hard", 1, 1, None),
    "quota-issues": ("x.2.2 x.3.1 x.3.4", "soft", 7, 7, None),
    "message-expired": ("x.4.7", "soft", None, None, None),
    "no-answer-from-host": ("x.4.1", "soft", None, None, 14),
    "bad-connection": ("x.4.2", "soft", None, None, None),
    "routing-errors": ("x.4.3 x.4.4 x.4.6", "soft", 3, 3, None),
    "bad-configuration": ("x.3.5", "soft", None, None, None),
    "protocol-errors": ("x.5.0 x.5.9", "soft", None, None, None),
    "relaying-issues": ("", "block", 2, 2, None),
    "policy-related": ("x.7.0 x.7.2 x.7.26", "block", None, None, None),
    "spam-related": ("x.7.1", "block", None, None, None),
    "content-related": ("x.6.0 x.6.9 x.7.7", "block", None, None, None),
    "virus-related": ("x.7.3 x.7.99", "block", None, None, None),
    "invalid-sender": ("x.1.7 x.1.8 x.7.27", "block", None, None, None),
    None: ("x.0.0 x.1.4 x.3.0 x.9.9", None),
}
"""Category → codes that are usual for it, its class, and when a recipient is suppressed: after how
many of permanent and of transient codes, and after how many days of them. x.7.1 may be relaying
too; what is usual for none is last."""


def test_every_category_and_code_is_classed_as_the_table_says(
    con: duckdb.DuckDBPyConnection,
) -> None:
    """All sixteen categories have their class and rule, and a code alone means its category."""
    for category, (codes, *_rest) in TABLE.items():
        if category:
            put(con, "bounce", id=category, to=f"by {category}", at=NOW, bounce_category=category)
        for code in codes.split():
            for digit, word in (("4", "other"), ("5", None)):
                status = code.replace("x", digit)
                put(con, "bounce", id=status, to=f"by {status}", at=NOW, dsn_status=status,
                    bounce_category=word)  # fmt: skip
    refresh(con)
    rules = con.sql(
        "select * exclude (usual_dsn, advice) from bounce_class order by all"
    ).fetchall()
    found = con.sql("select recipient, meant_category, bounce_class from messages").fetchall()
    by_digit = {"4": "soft", "5": "hard"}
    expected = [
        *((f"by {name}", name, word) for name, (_, word, *_after) in TABLE.items() if name),
        *(
            (f"by {digit}{code[1:]}", name, word or by_digit[digit])
            for name, (codes, word, *_after) in TABLE.items()
            for code in codes.split()
            for digit in by_digit
        ),
    ]

    assert rules == sorted((name, *row[1:]) for name, row in TABLE.items() if name)
    assert sorted(found) == sorted(expected)


def test_untracked_is_not_zero(con: duckdb.DuckDBPyConnection) -> None:
    """Without any tracked event rates of reactions are NULL; without complaints theirs is."""
    delivered(con, 3, at="2026-03-01 10:00:00", campaign_id="A")
    refresh(con)
    query = """
        select delivery_rate, open_rate, open_rate_hi, confirmed_open_rate, click_rate,
            unsubscribe_rate, complaint_rate, maturity
        from campaign_report
    """

    assert one(con, query) == (1.0, None, None, None, None, None, None, "comparable")


def test_every_kind_of_event_is_counted(con: duckdb.DuckDBPyConnection) -> None:
    """An event of each table counts, is seen in data quality and names its campaign."""
    for table in TABLES:
        put(con, table, id=table, at="2026-03-01", campaign_id=table, campaign_name=table)
    refresh(con)
    counted = one(con, "select event_count(), (select sum(events) from data_quality)")
    named = con.execute("select campaign_id, campaign_name from campaign").fetchall()

    assert counted == (len(TABLES), len(TABLES))
    assert set(named) == {(None, None), *zip(TABLES, TABLES, strict=True)}


def test_complaints(con: duckdb.DuckDBPyConnection) -> None:
    """Once complaint events come, every campaign has a complaint rate."""
    delivered(con, 4, at="2026-03-01 10:00:00", campaign_id="A")
    put(con, "other_event", id="m0", to="p0@gmail.com", at="2026-03-01 11:00:00")
    con.execute("update other_event set kind = 'Complaint'")
    refresh(con)
    query = "select complained, complaints, complaint_rate, is_tracked from campaign_report"

    assert one(con, query) == (1, 1, 0.25, False)


def test_small_coverage_and_its_growth(con: duckdb.DuckDBPyConnection) -> None:
    """Four of five URLs within a minute are a machine's, until the campaign has six URLs."""
    delivered(con, 2, at="2026-03-01 09:00:00", campaign_id="A")
    for index, url in enumerate("abcd"):
        moment = f"2026-03-01 10:00:{index * 20:02}" if index < 3 else "2026-03-01 10:01:00"
        put(con, "click", id="m0", to="p0@gmail.com", at=moment, url=url)
    put(con, "click", id="m1", to="p1@gmail.com", at="2026-03-01 10:00:00", url="e")
    refresh(con)
    query = "select clicked, clicked_human from campaign_report"

    assert one(con, query) == (2, 1)
    put(con, "click", id="m1", to="p1@gmail.com", at="2026-03-02 10:00:00", url="f")
    con.execute("insert into refresh_touched values (?, 'p1@gmail.com', 'A')", [message_key("m1")])
    refresh(con)
    assert one(con, query) == (2, 2)


def test_equal_age(con: duckdb.DuckDBPyConnection) -> None:
    """A reaction counts at the ages that its message's delivery gives it, unless that came back."""
    delivered(con, 5, at="2026-03-30 12:00:00", campaign_id="A")
    for number, moment in enumerate(
        ("2026-03-30 13:00:00", "2026-03-30 13:00:01", "2026-03-31 12:00:00", "2026-03-30 12:30:00")
    ):
        put(con, "open", id=f"m{number}", to=f"p{number}@gmail.com", at=moment)
    put(con, "bounce", id="m3", to="p3@gmail.com", at="2026-03-30 14:00:00", sync_type="async")
    refresh(con)
    query = "select age_hours, accepted, opened, open_rate, is_reached from campaign_age"

    assert con.sql(f"{query} order by age_hours").fetchall() == [
        (1, 4, 1, 0.25, True),
        (6, 4, 2, 0.5, True),
        (24, 4, 3, 0.75, True),
        (72, 4, None, None, False),
        (168, 4, None, None, False),
    ]


def test_bounces_are_compared_at_equal_age(con: duckdb.DuckDBPyConnection) -> None:
    """Mail whose later bounces are yet to come is no better than mail that has had them."""
    days = [f"2026-03-{day:02}" for day in range(10, 19)]
    for number, day in enumerate(days):
        bulk(con, "delivered", f"c{number}", 1000, f"{day} 10:00:00")
        late = f"{day[:-2]}{int(day[-2:]) + 1} 16:00:00"
        bulk(con, "bounce", f"c{number}", 24 + number % 4, late, sync_type="async")
    bulk(con, "delivered", "new", 1000, "2026-04-01 09:00:00")
    bulk(con, "delivered", "bad", 1000, "2026-04-01 08:00:00")
    bulk(con, "bounce", "bad", 200, "2026-04-01 08:00:00", first=1000)
    refresh(con)
    at_age = "select rate from measured_rate where campaign_id = 'c0' and measure = "
    judged = "select campaign_id, measure, outside from funnel_plot where outside not in ('no', "
    days_out = "select day::varchar from daily_bounce_limit where is_out_of_control"

    assert con.sql(at_age + "'bounce' order by age_hours").fetchall() == [
        (0.0,), (0.0,), (0.0,), (0.024,), (0.024,), (0.024,)]  # fmt: skip
    assert con.sql(at_age + "'delivery' and age_hours in (24, 72) order by 1").fetchall() == [
        (0.976,), (1.0,)]  # fmt: skip
    assert con.sql(
        "select campaign_id, measure from campaign_measure where stands_out order by all"
    ).fetchall() == [("bad", "bounce"), ("bad", "delivery")]
    assert set(con.sql(judged + "'95')").fetchall()) == {
        ("bad", "bounce", "998"), ("bad", "delivery", "998"),
        ("new", "bounce", "unsure"), ("new", "delivery", "unsure"),
    }  # fmt: skip
    assert con.sql(days_out).fetchall() == [("2026-04-01",)]
    assert one(con, "from campaign_spread where measure = 'bounce'") == (
        "bounce", pytest.approx(0.0257, abs=0.001), 0.0)  # fmt: skip


def test_a_day_ahead_of_the_clock_hides_no_period(con: duckdb.DuckDBPyConnection) -> None:
    """The newest thirty days end no later than tomorrow, whatever an event claims."""
    bulk(con, "delivered", "A", 300, "2026-03-31 10:00:00")
    put(con, "delivered", id="wrong", at="2099-01-01 00:00:00", campaign_id="A")
    refresh(con)
    query = "select denominator, cast(first_day as varchar) from period_measure where measure = "

    assert one(con, query + "'delivery'") == (300, "2026-03-02")


def test_mail_that_was_not_delivered_is_no_earlier_campaign(con: duckdb.DuckDBPyConnection) -> None:
    """A campaign that bounced whole is nobody's peer: nothing tells when it was sent."""
    for number in range(4):
        bulk(con, "delivered", f"c{number}", 5, f"2026-03-0{number + 1} 10:00:00")
    bulk(con, "bounce", "lost", 5, "2026-03-20 10:00:00")
    refresh(con)

    assert (
        one(con, "select count(*) from campaign_peer where 'lost' in (campaign_id, peer_id)") == 0
    )
    assert one(con, "select count(*) from campaign_peer") == 6


def test_mail_without_a_sender_has_its_async_bounces_too(con: duckdb.DuckDBPyConnection) -> None:
    """An async bounce of mail that names no sender is seen, and no MX is doubted for it."""
    bulk(con, "delivered", "A", 1200, "2026-03-01 10:00:00", sender=None)
    bulk(con, "bounce", "A", 20, "2026-03-02 10:00:00", sender=None, sync_type="async")
    refresh(con)

    assert one(con, "select count(*) from warnings where topic = 'no async bounce'") == 0
    assert one(con, "select is_silent_sender from campaign_limit") is False
    assert one(con, "select needs_attention from quality_total where check_number = 5") is False


def test_small_senders_are_not_summed_up_to_a_silent_one(con: duckdb.DuckDBPyConnection) -> None:
    """Whether a sender domain should have had an async bounce is asked of each, by its own mail."""
    for number in range(60):
        bulk(con, "delivered", f"c{number}", 20, "2026-03-01 10:00:00", sender=f"a@s{number}.de")
    refresh(con)

    assert one(con, "select found from quality_total where check_number = 5") == 0
    for half, sender in enumerate(("a@large.de", "b@large.de")):
        bulk(con, "delivered", "large", 500, "2026-03-01 10:00:00", half * 500, sender=sender)
    refresh(con)
    assert one(con, "select found, of_all, needs_attention from quality_total "
                    "where check_number = 5") == (1000, 2200, True)  # fmt: skip


def test_a_resubscription_after_a_burst_is_a_persons(con: duckdb.DuckDBPyConnection) -> None:
    """What machines are suspected of is unsubscribing: whoever comes back is a person."""
    put(con, "delivered", id="m", at="2026-03-01 10:00:00", campaign_id="A")
    for second, url in enumerate("abc"):
        put(con, "click", id="m", at=f"2026-03-01 10:10:0{second}", url=url, campaign_id="A")
    put(con, "subscription_changed", id="m", at="2026-03-01 10:11:00", change="resubscribe",
        campaign_id="A")  # fmt: skip
    refresh(con)
    query = "select cast(last_human_event_at as varchar) from recipient_health"

    assert one(con, query) == "2026-03-01 10:11:00"


def test_untracked_mail_has_no_curve(con: duckdb.DuckDBPyConnection) -> None:
    """Rates of mail that nobody tracks are unknown, its counts 0; both at an age yet to come."""
    put(con, "delivered", id="m", at="2026-03-31 10:00:00", campaign_id="A")
    put(con, "delivered", id="n", at="2026-04-01 11:00:00", campaign_id="B")
    put(con, "open", id="n", at="2026-04-01 11:00:30", campaign_id="B")
    refresh(con)
    curve = "select distinct open_rate, open_rate_lo, open_rate_hi from campaign_curve "
    ahead = "select distinct open_rate, open_rate_lo, open_rate_hi from campaign_age "
    counts = "select distinct opened, opened_human, clicked, clicked_human, confirmed_opened, "

    assert one(con, curve + "where campaign_id = 'A'") == (None, None, None)
    assert one(con, ahead + "where campaign_id = 'B' and not is_reached") == (None, None, None)
    assert one(con, f"{counts} unsubscribed from campaign_age where campaign_id = 'A' "
                    "and is_reached") == (0,) * 6  # fmt: skip


def test_maturity(con: duckdb.DuckDBPyConnection) -> None:
    """A campaign's badge is the age of its last delivery."""
    badges = [
        ("2026-03-29 12:00:00", "comparable"),
        ("2026-03-29 12:00:01", "maturing"),
        ("2026-03-31 12:00:00", "maturing"),
        ("2026-03-31 12:00:01", "preliminary"),
        ("2026-04-02 12:00:00", "preliminary"),
    ]
    for last, _ in badges:
        put(con, "delivered", id=last, at=last, campaign_id=last)
    refresh(con)
    query = "select campaign_id, maturity from campaign_report order by campaign_id"

    assert con.sql(query).fetchall() == badges


MOMENTS = [
    "2026-03-07 18:29:00", "2026-03-07 18:30:00",
    "2026-03-08 04:59:00", "2026-03-08 05:00:00",  # New York: still winter time
    "2026-03-08 06:59:59", "2026-03-08 07:00:00",  # the hour that is left out
    "2026-03-09 03:59:00", "2026-03-09 04:00:00",  # summer time
]  # fmt: skip


@pytest.mark.parametrize(
    ("zone", "days"),
    [
        ("UTC", {"2026-03-07": 2, "2026-03-08": 4, "2026-03-09": 2}),
        ("Asia/Kolkata", {"2026-03-07": 1, "2026-03-08": 5, "2026-03-09": 2}),
        ("America/New_York", {"2026-03-07": 3, "2026-03-08": 4, "2026-03-09": 1}),
    ],
)
def test_days_of_the_report_zone(zone: str, days: dict[str, int]) -> None:
    """Days are cut in the report zone across a change of clocks; totals stay the same."""
    con = database(zone)
    for number, moment in enumerate(MOMENTS):
        fields = {"id": f"m{number}", "to": f"p{number}@gmail.com"}
        put(con, "delivered", at=moment, campaign_id="A", **fields)
        put(con, "open", at=moment, campaign_id="A", **fields)
    refresh(con)
    query = "select strftime(day, '%Y-%m-%d'), attempted from daily_report order by day"

    assert dict(con.sql(query).fetchall()) == days
    assert one(con, "select sum(opens), sum(attempted) from daily_report") == (8, 8)
    assert one(con, "select sum(opens), sum(delivered) from weekday_hour_report") == (8, 8)
    assert one(con, "select attempted, opened from campaign_report") == (8, 8)


@pytest.mark.parametrize(
    "zone",
    ["Europe/Rome", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Chatham", "Pacific/Apia"],
)
def test_a_year_is_cut_where_its_zone_cuts_it(zone: str) -> None:
    """Days of 23 and 25 hours, hours that come twice, quarters of an hour and a lost day too."""
    con = database(zone)
    arriving(con, "2012-01-01", "true", since="2011-01-01 00:14:59")
    sent = [moment for (moment,) in con.sql("select occurred_at from delivered").fetchall()]
    local = [moment.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)) for moment in sent]
    hours = con.sql("select weekday, hour, delivered from weekday_hour_report").fetchall()

    assert dict(con.sql("select day, attempted from daily_report").fetchall()) == Counter(
        moment.date() for moment in local
    )
    assert {(day, hour): number for day, hour, number in hours} == Counter(
        (moment.isoweekday(), moment.hour) for moment in local
    )


def test_a_curve_ends_at_the_campaigns_own_age(con: duckdb.DuckDBPyConnection) -> None:
    """The last point of a curve is the age of the last delivery, with all that came by then."""
    for number, hour in enumerate((0, 0, 0, 6, 0)):
        fields = {"id": f"m{number}", "to": f"p{number}@gmail.com", "campaign_id": "A"}
        put(con, "delivered", at=f"2026-04-01 {hour:02d}:00:00", **fields)
    for number, opened in enumerate(("01:00", "05:45", "06:15")):  # the third beyond 6 h
        fields = {"id": f"m{number}", "to": f"p{number}@gmail.com", "campaign_id": "A"}
        put(con, "open", at=f"2026-04-01 {opened}:00", **fields)
    for table, hour in (("open", 1), ("bounce", 2)):  # accepted no longer
        put(con, table, id="m4", to="p4@gmail.com", at=f"2026-04-01 0{hour}:00:00")
    refresh(con)
    points = con.sql(
        "select round(age_hours, 2), opened, accepted from campaign_curve "
        "where age_hours > 3 order by age_hours"
    ).fetchall()

    assert points == [(4.0, 1, 4), (5.66, 1, 4), (6.0, 2, 4)]


@pytest.mark.parametrize(
    ("delivered_at", "last"),
    [("2026-04-01 11:57:00", None), ("2026-04-01 11:52:00", 0.13), ("2026-01-01 00:00:00", 1024.0)],
)
def test_a_curve_has_a_horizon(
    con: duckdb.DuckDBPyConnection, delivered_at: str, last: float | None
) -> None:
    """A campaign younger than 1/8 h has no curve, and none reaches beyond 1,024 h."""
    delivered(con, 3, campaign_id="A", at=delivered_at)
    refresh(con)

    assert one(con, "select round(max(age_hours), 2) from campaign_curve") == last


@pytest.mark.parametrize(
    ("load", "last", "known"),
    [
        ({"last_received_at": "2026-03-01 20:00:00", "without_received_at": 0}, 12.0, 12.0),
        ({"last_received_at": "2026-03-31 20:00:00", "without_received_at": 0}, 748.0, None),
        ({"finished_at": "2026-03-01 20:00:00", "without_received_at": 1}, 12.0, 12.0),
        ({"finished_at": "2026-04-01 11:00:00", "without_received_at": 1}, 748.0, None),
    ],
)
def test_what_is_not_known_has_no_age(
    con: duckdb.DuckDBPyConnection, load: dict[str, Any], last: float, known: float | None
) -> None:
    """Where no event has come for a day, a campaign is known as it was when the last one came."""
    delivered(con, 3, campaign_id="A", at="2026-03-01 08:00:00")
    values = ", ".join(f"'{value}' as {name}" for name, value in load.items())
    con.execute(f"insert into ingest_ledger by name select {values}")
    refresh(con)

    assert one(con, "select round(max(age_hours), 2) from campaign_curve") == last
    assert one(con, "select known_hours from campaign_limit") == known


def test_every_hour_of_the_week_has_a_share(con: duckdb.DuckDBPyConnection) -> None:
    """Once anybody opened, each of the 168 hours says its share, and they add up to the whole."""
    delivered(con, 2, campaign_id="A", at="2026-03-30 08:00:00")
    put(con, "open", id="m0", to="p0@gmail.com", campaign_id="A", at="2026-03-30 21:00:00")
    refresh(con)
    found = one(
        con,
        "select count(*), count(open_human_share), sum(open_human_share), "
        "count(click_human_share), sum(delivered), sum(opens), sum(opens_human), sum(clicks), "
        "sum(clicks_human) from weekday_hour_report",
    )

    assert found == (168, 168, 1.0, 0, 2, 1, 1, 0, 0)


def test_bounces_in_a_row(con: duckdb.DuckDBPyConnection) -> None:
    """A recipient is suppressed after as many bounces in a row as the category bears."""
    rows_of = {
        ("quota-issues", 6): False, ("quota-issues", 7): True,
        ("routing-errors", 2): False, ("routing-errors", 3): True,
        ("relaying-issues", 1): False, ("relaying-issues", 2): True,
        ("protocol-errors", 20): False,
    }  # fmt: skip
    for category, number in rows_of:
        for index in range(number):
            put(con, "bounce", id=f"{category} {number} {index}", to=f"{category} {number}",
                at=f"2026-03-{index + 1:02} 10:00:00", bounce_category=category)  # fmt: skip
    refresh(con)
    found = con.sql("select recipient, suppress from recipient_health").fetchall()

    assert dict(found) == {f"{name} {number}": told for (name, number), told in rows_of.items()}


@pytest.mark.parametrize(
    ("accepted", "last", "suppressed"),
    [(None, "15 10:00:00", True), (None, "15 09:59:59", False), ("08", "15 10:00:00", False)],
)
def test_a_domain_that_does_not_answer_is_given_up_after_two_weeks(
    con: duckdb.DuckDBPyConnection, accepted: str | None, last: str, suppressed: bool
) -> None:
    """Whose domain has not answered for 14 days, and took nothing meanwhile, is suppressed."""
    for moment in ("01 10:00:00", "05 10:00:00", last):
        put(con, "bounce", id=moment, at=f"2026-03-{moment}", dsn_status="4.4.1 (no answer)",
            bounce_category="no-answer-from-host")  # fmt: skip
    if accepted:
        put(con, "delivered", id="d", at=f"2026-03-{accepted} 10:00:00")
    refresh(con)
    reason = "repeated bounces: no-answer-from-host" if suppressed else None

    assert one(con, "select suppress_reason from recipient_health") == reason


def test_a_row_of_bounces_is_one_whatever_their_codes(con: duckdb.DuckDBPyConnection) -> None:
    """Bounces of one category in a row are counted together, transient or permanent."""
    codes = {
        "ann": ["4.2.2", "5.2.2"] * 4,
        "bob": ["4.4.4", "5.4.4", None],
        "cid": ["4.7.1", "5.7.1"],
    }
    categories = {"ann": "quota-issues", "bob": "routing-errors", "cid": "relaying-issues"}
    for name, statuses in codes.items():
        for day, status in enumerate(statuses, start=1):
            put(con, "bounce", id=f"{name}{day}", to=f"{name}@web.de", dsn_status=status,
                at=f"2026-03-{day:02} 10:00:00", bounce_category=categories[name])  # fmt: skip
    put(con, "bounce", id="d1", to="dan@web.de", at="2026-03-01 10:00:00", dsn_status="4.2.1",
        bounce_category="inactive-mailbox")  # fmt: skip
    refresh(con)
    query = "select recipient, suppress_reason from recipient_health order by all"

    assert con.sql(query).fetchall() == [
        ("ann@web.de", "repeated bounces: quota-issues"),
        ("bob@web.de", "repeated bounces: routing-errors"),
        ("cid@web.de", "repeated bounces: relaying-issues"),
        ("dan@web.de", None),
    ]


def test_when_a_hard_bounce_suppresses(con: duckdb.DuckDBPyConnection) -> None:
    """At once; after a 4.x of an inactive mailbox, twice; never where only its class is known."""
    inactive = "inactive-mailbox"
    for to, bounces in {
        "ann@web.de": [("5.9.9", None), ("5.9.9", "other")],
        "bob@web.de": [("5.2.1", inactive)],
        "cid@web.de": [("4.2.1", inactive)],
        "dan@web.de": [("4.2.1", inactive), ("4.2.1", inactive)],
        "eva@web.de": [("4.2.1", "bad-mailbox")],
        "fay@web.de": [("5.1.1", "listed-by-operator")],
    }.items():
        for day, (status, category) in enumerate(bounces, start=1):
            put(con, "bounce", id=f"{to}{day}", to=to, at=f"2026-03-0{day} 10:00:00",
                dsn_status=status, bounce_category=category)  # fmt: skip
    refresh(con)
    query = "select recipient, suppress_reason from recipient_health order by all"

    assert con.sql(query).fetchall() == [
        ("ann@web.de", None),
        ("bob@web.de", "hard bounce: inactive-mailbox"),
        ("cid@web.de", None),
        ("dan@web.de", "hard bounce: inactive-mailbox"),
        ("eva@web.de", "hard bounce: bad-mailbox"),
        ("fay@web.de", "hard bounce: bad-mailbox"),
    ]


def test_whoever_complained_is_written_to_no_more(con: duckdb.DuckDBPyConnection) -> None:
    """A complaint suppresses its recipient though no message is known of it, or of them."""
    put(con, "delivered", id="m", at="2026-03-01 10:00:00", campaign_id="A")
    for to in ("ann@gmail.com", "stranger@web.de"):
        put(con, "other_event", id=f"fbl {to}", to=to, at="2026-03-02 10:00:00", kind="complaint")
    refresh(con)
    query = "select recipient, suppress_reason, attempted, cast(complained_at as varchar) "
    found = con.sql(query + "from recipient_health order by all").fetchall()

    assert found == [
        ("ann@gmail.com", "complained", 1, "2026-03-02 10:00:00"),
        ("stranger@web.de", "complained", 0, "2026-03-02 10:00:00"),
    ]


@pytest.mark.parametrize(
    ("change", "suppressed"), [("resubscribe", False), ("unsubscribed_all", True), (None, True)]
)
def test_only_a_resubscription_lifts_an_unsubscribe(
    con: duckdb.DuckDBPyConnection, change: str | None, suppressed: bool
) -> None:
    """A word that nobody knows, or none, changes nothing about whom to stop writing to."""
    put(con, "delivered", id="m", at="2026-03-01 10:00:00", campaign_id="A")
    for day, word in ((2, "unsubscribe"), (3, change)):
        put(con, "subscription_changed", id="m", at=f"2026-03-{day:02} 10:00:00", change=word,
            contact_list_id="all")  # fmt: skip
    refresh(con)
    found = one(con, "select suppress, cast(unsubscribed_at as varchar) from recipient_health")

    assert found == (suppressed, "2026-03-02 10:00:00" if suppressed else None)


def test_of_two_changes_in_one_second_the_unsubscribe_stands(
    con: duckdb.DuckDBPyConnection,
) -> None:
    """Who unsubscribed and resubscribed at one time is not written to, whichever came first."""
    for change in ("resubscribe", "unsubscribe", "resubscribe"):
        put(con, "subscription_changed", id=change, at="2026-03-01 10:00:00", change=change)
    refresh(con)

    assert one(con, "select suppress_reason from recipient_health") == "unsubscribed"


def test_who_changed_anything_is_known(con: duckdb.DuckDBPyConnection) -> None:
    """A change of subscription alone makes a recipient known, whatever its word."""
    for to, change in (("ann@web.de", "updated"), ("bob@web.de", None)):
        put(con, "subscription_changed", id=to, to=to, at="2026-03-01 10:00:00", change=change)
    refresh(con)

    assert con.sql("select recipient, suppress from recipient_health order by all").fetchall() == [
        ("ann@web.de", False), ("bob@web.de", False)]  # fmt: skip


def test_a_message_bounces_first_when_it_bounces_first(con: duckdb.DuckDBPyConnection) -> None:
    """At an age a message has bounced, and is returned, from its first bounce on."""
    put(con, "delivered", id="m", at="2026-03-01 10:00:00", campaign_id="A")
    for moment in ("2026-03-01 10:30:00", "2026-03-03 12:00:00"):
        put(con, "bounce", id="m", at=moment, sync_type="async")
    refresh(con)
    query = "select bounced, accepted_then from measured_counts where age_hours in (1, 72)"

    assert con.sql(query).fetchall() == [(1, 0), (1, 0)]


def test_a_lost_id_reaches_nobody_elses_message(con: duckdb.DuckDBPyConnection) -> None:
    """By campaign an event reaches its own recipient's message, however late another's went out."""
    for to, hour in (("ann@web.de", 9), ("bob@web.de", 10)):
        put(con, "delivered", id=to, to=to, at=f"2026-03-01 {hour}:00:00", campaign_id="A")
        put(con, "open", id=f"lost {to}", to=to, at="2026-03-01 11:00:00", campaign_id="A")
    refresh(con)

    assert con.sql("select recipient, opens from messages order by all").fetchall() == [
        ("ann@web.de", 1), ("bob@web.de", 1)]  # fmt: skip


TIES = {
    "bounce_category": ("bad-mailbox", "Quota-issues"), "dsn_code": ("4.2.2", "5.1.1"),
    "sync_type": ("async", "sync"), "bounce_type": ("hard", "soft"),
    "dsn_status": ("5.1.1 (a)", "5.1.1 (b)"),
}  # fmt: skip
"""What tells two bounces of one second apart → the one that decides, and the other."""


@pytest.mark.parametrize("field", TIES)
def test_of_bounces_in_one_second_the_alphabet_decides(
    con: duckdb.DuckDBPyConnection, field: str
) -> None:
    """The first by category, code, sync and bounce type, text decides; what is missing is last."""
    first, other = TIES[field]
    said = "dsn_status" if field == "dsn_code" else field
    for to, values in {"ann": (None, other, first), "bob": (other, None), "cid": (first,)}.items():
        for value in values:
            put(con, "bounce", id=to, to=to, at="2026-03-01 10:00:00", **{said: value})
    refresh(con)
    query = f"select {field} from messages order by recipient"

    assert con.sql(query).fetchall() == [(first,), (other,), (first,)]


def test_unattributed_of_a_period_are_all_that_bounced(con: duckdb.DuckDBPyConnection) -> None:
    """A bounce that takes no acceptance back is unattributed on every page, or on none."""
    put(con, "delivered", id="m", at="2026-03-01 10:00:00")
    put(con, "bounce", id="m", at="2026-03-01 11:00:00", sync_type="sync")
    refresh(con)

    assert one(con, "select distinct unattributed from period_measure") == 1
    assert one(con, "select sum(unattributed) from bounce_total") == 1


def test_nothing_bounced_is_everything_accepted(con: duckdb.DuckDBPyConnection) -> None:
    """Where most campaigns have no bounce, bounces and acceptance tell the same of the rest."""
    for number in range(13):
        bulk(con, "delivered", f"c{number}", 1960, f"2026-03-{number + 1:02} 10:00:00")
        bulk(con, "bounce" if number > 9 else "delivered", f"c{number}", 40,
             f"2026-03-{number + 1:02} 10:00:00", first=1960)  # fmt: skip
    refresh(con)
    query = "select campaign_id, outside from funnel_plot where measure = $1 order by all"
    bounce, delivery = (con.execute(query, [m]).fetchall() for m in ("bounce", "delivery"))

    assert bounce == delivery
    assert {outside for _campaign, outside in bounce[:2]} == {"no"}


def test_acceptance_ends_a_row_of_bounces(con: duckdb.DuckDBPyConnection) -> None:
    """An accepted message begins the count of soft bounces anew."""
    for day in (1, 2, 3):
        put(con, "bounce", id=f"b{day}", at=f"2026-03-{day:02} 10:00:00",
            bounce_category="quota-issues")  # fmt: skip
    put(con, "delivered", id="d", at="2026-03-02 12:00:00")
    refresh(con)

    assert one(con, "select consecutive_soft_bounces from recipient_health") == 1


def test_mail_that_came_back_ends_no_row(con: duckdb.DuckDBPyConnection) -> None:
    """Soft bounces after their deliveries are in a row, of one category or several."""
    for day, category in enumerate(("quota-issues", "protocol-errors", "quota-issues"), start=1):
        put(con, "delivered", id=f"b{day}", at=f"2026-03-{day:02} 09:00:00")
        put(con, "bounce", id=f"b{day}", at=f"2026-03-{day:02} 10:00:00",
            bounce_category=category)  # fmt: skip
    refresh(con)
    query = "select consecutive_soft_bounces, last_accepted_at from recipient_health"

    assert one(con, query) == (3, None)


def test_a_person_lifts_a_hard_bounce(con: duckdb.DuckDBPyConnection) -> None:
    """A hard bounce suppresses until a later reaction that no machine rule flags."""
    put(con, "delivered", id="d", at="2026-03-01 10:00:00", campaign_id="A")
    put(con, "bounce", id="b", at="2026-03-02 10:00:00", bounce_category="bad-mailbox")
    refresh(con)
    query = "select suppress, suppress_reason, hard_bounced from recipient_health"

    assert one(con, query) == (True, "hard bounce: bad-mailbox", True)
    put(con, "open", id="d", at="2026-03-03 10:00:00", campaign_id="A")
    refresh(con)
    assert one(con, query) == (False, None, False)


READ = {
    "30": "2026-03-02 12:00:00", "30 and a second": "2026-03-02 11:59:59",
    "90": "2026-01-01 12:00:00", "90 and a second": "2026-01-01 11:59:59",
    "180": "2025-10-03 12:00:00", "180 and a second": "2025-10-03 11:59:59",
    "365": "2025-04-01 12:00:00", "365 and a second": "2025-04-01 11:59:59",
}  # fmt: skip
"""When those who only read did so last, by how many days before now that is."""


@pytest.fixture(scope="module")
def listed() -> duckdb.DuckDBPyConnection:
    """A list in which every reason, row of bounces and recency occurs, reported in Tokyo."""
    con = database("Asia/Tokyo")
    at(con, NOW)
    put(con, "bounce", id="hard", to="hard@a.example", at="2026-03-10 18:00:00",
        bounce_category="bad-mailbox")  # fmt: skip
    for name, number, category in (
        ("full", 7, "quota-issues"), ("fuller", 8, "quota-issues"), ("slow", 3, "protocol-errors"),
    ):  # fmt: skip
        for day in range(1, number + 1):
            put(con, "bounce", id=f"{name}-{day}", to=f"{name}@a.example",
                at=f"2026-03-{day:02} 18:00:00", bounce_category=category)  # fmt: skip
    for name in ("gone", "angry"):
        fields = {"id": name, "to": f"{name}@a.example"}
        put(con, "delivered", at="2026-03-04 10:00:00", campaign_id="A", **fields)
        put(con, "subscription_changed", at="2026-03-05 20:00:00", change="unsubscribe", **fields)
    put(con, "other_event", id="angry", to="angry@a.example", at="2026-03-07 14:00:00")
    con.execute("update other_event set kind = 'complaint'")
    put(con, "bounce", id="late", to="gone@a.example", at="2026-03-08 18:00:00",
        bounce_category="bad-mailbox")  # fmt: skip
    put(con, "delivered", id="quiet", to="quiet@a.example", at="2026-03-04 10:00:00")
    for day, moment in READ.items():
        fields = {"id": f"read-{day}", "to": f"{day}@a.example", "campaign_id": "A"}
        put(con, "delivered", at="2025-01-01 10:00:00", **fields)
        put(con, "open", at=moment, **fields)
    refresh(con)
    return con


def test_health_of_a_list(listed: duckdb.DuckDBPyConnection) -> None:
    """Who is to be suppressed counts once, by the first of the reasons that apply."""
    assert rows(listed, "from list_health") == [
        {
            "recipients": 15,
            "to_suppress": 5,
            "hard_bounced": 1,
            "repeatedly_bounced": 2,
            "unsubscribed": 1,
            "complained": 1,
            "reached": 11,
            "never_reacted": 1,
            "suppress_rate": pytest.approx(5 / 15),
            "never_reacted_rate": pytest.approx(1 / 11),
            "since_date": date(2025, 1, 1),
        }
    ]
    assert listed.sql("from suppression_reason order by suppress_reason").fetchall() == [
        ("complained", 1, 0.2),
        ("hard bounce: bad-mailbox", 1, 0.2),
        ("repeated bounces: quota-issues", 2, 0.4),
        ("unsubscribed", 1, 0.2),
    ]


def test_whom_to_stop_writing_to_and_since_when(listed: duckdb.DuckDBPyConnection) -> None:
    """Each recipient to suppress stands there since the day, in the report zone, of the reason."""
    text = "select * replace (strftime(since_date, '%d %B') as since_date) from suppression_list"

    assert listed.sql(f"{text} order by recipient").fetchall() == [
        ("angry@a.example", "complained", 0, "07 March"),
        ("full@a.example", "repeated bounces: quota-issues", 7, "08 March"),
        ("fuller@a.example", "repeated bounces: quota-issues", 8, "09 March"),
        ("gone@a.example", "unsubscribed", 0, "06 March"),
        ("hard@a.example", "hard bounce: bad-mailbox", 0, "11 March"),
    ]


def test_a_reason_that_was_lifted_dates_no_other(con: duckdb.DuckDBPyConnection) -> None:
    """Who reacted after a hard bounce and then bounced softly is on the list since the latter."""
    fields = {"to": "back@a.example", "campaign_id": "A"}
    put(con, "bounce", id="hard", at="2025-01-01", bounce_category="bad-mailbox", **fields)
    put(con, "delivered", id="read", at="2025-01-02", **fields)
    put(con, "open", id="read", at="2025-01-03", **fields)
    for day in range(1, 8):
        soft = {"id": f"soft-{day}", "at": f"2025-03-0{day}", **fields}
        put(con, "bounce", bounce_category="quota-issues", **soft)
    refresh(con)

    assert con.sql("select suppress_reason, since_date::text from suppression_list").fetchall() == [
        ("repeated bounces: quota-issues", "2025-03-07")
    ]


def test_rows_of_soft_bounces(listed: duckdb.DuckDBPyConnection) -> None:
    """Recipients are counted by their soft bounces in a row; seven and more are one number."""
    found = listed.sql("from soft_bounce_run order by soft_bounces_in_a_row").fetchall()

    assert found == [(3, 1, False), (7, 2, True)]


def test_recency_of_a_list(listed: duckdb.DuckDBPyConnection) -> None:
    """A recipient's recency is that of the last reaction; the last day of each still belongs."""
    text = (
        "select * exclude (suppress_rate_lo, suppress_rate_hi, reached_share) from recency_report"
    )
    found = listed.sql(f"{text} order by recency_number").fetchall()
    interval = stats.binomtest(3, 4).proportion_ci(method="wilson")
    reached = "select reached_share from recency_report where recency_number in (1, 6, 7) "
    bounds = (
        "select suppress_rate_lo, suppress_rate_hi from recency_report where recency_number = 7"
    )

    assert found == [
        ("up to 30 days", 1, 3, 2, 4, 3, 1, pytest.approx(3 / 15), pytest.approx(2 / 3)),
        ("31 to 90 days", 2, 2, 0, 2, 2, 0, pytest.approx(2 / 15), 0.0),
        ("91 to 180 days", 3, 2, 0, 2, 2, 0, pytest.approx(2 / 15), 0.0),
        ("181 to 365 days", 4, 2, 0, 2, 2, 0, pytest.approx(2 / 15), 0.0),
        ("over a year", 5, 1, 0, 1, 1, 0, pytest.approx(1 / 15), 0.0),
        ("never", 6, 1, 0, 1, 1, 0, pytest.approx(1 / 15), 0.0),
        ("nothing accepted", 7, 4, 3, 19, 0, 19, pytest.approx(4 / 15), 0.75),
    ]
    assert one(listed, bounds) == pytest.approx((interval.low, interval.high))
    assert listed.sql(reached + "order by recency_number").fetchall() == [
        (pytest.approx(3 / 11),), (pytest.approx(1 / 11),), (0.0,)
    ]  # fmt: skip


def test_reasons_of_the_quarantine() -> None:
    """Lines set aside are counted by reason, and when the first and the last came."""
    con = database("Asia/Tokyo")
    con.execute("""
        insert into quarantine by name
        select unnest(['not_json', 'not_json', 'missing:kind', 'not_json']) as reason,
            unnest([timestamp '2026-03-02 10:00', '2026-03-01 18:00', null, null]) as received_at
    """)
    text = """
        select reason, lines, line_share, strftime(columns('received_at'), '%d %H')
        from quarantine_reason order by reason
    """

    assert con.sql(text).fetchall() == [
        ("missing:kind", 1, 0.25, None, None, None, None),
        ("not_json", 3, 0.75, "02 03", "02 19", "01 18", "02 10"),
    ]


def test_codes_by_provider(con: duckdb.DuckDBPyConnection) -> None:
    """A message is counted once, by its latest bounce's code, with the commonest of its words."""
    delivered(con, 2, at="2026-03-01 08:00:00", campaign_id="A")
    for number, day, status, category, campaign in (
        (0, 1, "5.1.1 (no such user)", "bad-mailbox", "A"),
        (1, 2, "5.1.1 (no such user)", "bad-mailbox", "A"),
        (2, 3, "5.1.1 (go away)", "quota-issues", "B"),
        (3, 4, "5.1.1 (go away)", "bad-mailbox", None),
        (3, 5, "4.9.9 (odd)", None, None),
        (4, 6, "5.7.99 (odd)", None, "B"),
    ):
        fields = {"id": f"b{number}", "to": f"b{number}@gmail.com", "campaign_id": campaign}
        put(con, "bounce", at=f"2026-03-0{day} 10:00:00", dsn_status=status,
            bounce_category=category, **fields)  # fmt: skip
    put(con, "bounce", id="x", to="x@gmx.de", at="2026-03-07 10:00:00", bounce_type="x")
    put(con, "delivered", id="y", to="y@gmx.de", at="2026-03-07 10:00:00")
    refresh(con)
    text = """
        select * exclude (bounce_rate_lo, bounce_rate_hi) replace (
            strftime(first_bounced_at, '%d') as first_bounced_at,
            strftime(last_bounced_at, '%d') as last_bounced_at,
        ) from dsn_total order by dsn_code nulls last
    """
    interval = stats.binomtest(3, 7).proportion_ci(method="wilson")
    bounds = "select bounce_rate_lo, bounce_rate_hi from dsn_report where dsn_code = '5.1.1'"

    assert con.sql(text).fetchall() == [
        ("4.9.9", "gmail", "4.9.9 (odd)", "soft", None, 1, 0, 1, 0, 0, 0,
         7, pytest.approx(1 / 7), 0.2, True, "05", "05", "transient: not registered"),
        ("5.1.1", "gmail", "5.1.1 (no such user)", "hard", "bad-mailbox", 3, 2, 1, 0, 0, 2,
         7, pytest.approx(3 / 7), 0.6, True, "01", "03", "permanent: mailbox does not exist"),
        ("5.7.99", "gmail", "5.7.99 (odd)", "block", None, 1, 0, 0, 1, 0, 1,
         7, pytest.approx(1 / 7), 0.2, True, "06", "06", "permanent: security or policy"),
        (None, "gmx", None, "undetermined", None, 1, 0, 0, 0, 1, 0,
         2, 0.5, 1.0, True, "07", "07", "not registered"),
    ]  # fmt: skip
    assert one(con, bounds) == pytest.approx((interval.low, interval.high))
    assert con.sql("from dsn_report order by all").fetchall() == (
        con.sql("select * exclude (meaning) from dsn_total order by all").fetchall()
    )


@pytest.fixture(scope="module")
def reacted() -> duckdb.DuckDBPyConnection:
    """Eleven messages opened after 0 to 10 hours, other reactions of some, one of no campaign."""
    con = database()
    at(con, NOW)
    delivered(con, 11, at="2026-03-01 00:00:00", campaign_id="A", campaign_name="Spring")
    people = [{"id": f"m{number}", "to": f"p{number}@gmail.com"} for number in range(11)]
    for number, person in enumerate(people):
        put(con, "open", at=f"2026-03-01 {number:02}:00:00", **person)
    put(con, "open", at="2026-03-01 10:00:00", **people[0])
    put(con, "click", at="2026-03-01 00:00:00", url="a", **people[2])
    put(con, "click", at="2026-03-01 02:00:00", url="b", **people[1])
    put(con, "click", at="2026-03-01 04:00:00", url="c", **people[1])
    put(con, "subscription_changed", at="2026-03-01 04:00:00", change="unsubscribe", **people[3])
    put(con, "other_event", at="2026-03-01 05:00:00", **people[4])
    con.execute("update other_event set kind = 'complaint'")
    put(con, "bounce", at="2026-03-01 00:00:00", sync_type="sync", **people[9])
    for hour in (20, 15):
        put(con, "bounce", at=f"2026-03-01 {hour}:00:00", sync_type="async", **people[10])
    put(con, "delivered", id="n", at="2026-03-01 01:00:00")
    put(con, "open", id="n", at="2026-03-01 00:00:00")
    refresh(con)
    return con


def test_hours_until_each_reaction(reacted: duckdb.DuckDBPyConnection) -> None:
    """The hours from delivery to a message's first reaction of a kind, negative ones too."""
    found = reacted.sql("from reaction_report order by campaign_id nulls last, kind").fetchall()

    assert found == [
        ("A", "Spring", "bounce", 1, *[20.0] * 6),
        ("A", "Spring", "click", 2, *map(pytest.approx, (0.2, 0.5, 1.0, 1.5, 1.8, 1.9))),
        ("A", "Spring", "complaint", 1, *[5.0] * 6),
        ("A", "Spring", "open", 11, *map(pytest.approx, (1.0, 2.5, 5.0, 7.5, 9.0, 9.5))),
        ("A", "Spring", "unsubscribe", 1, *[4.0] * 6),
        (None, None, "open", 1, *[-1.0] * 6),
    ]


def test_hours_until_a_person_reacts(reacted: duckdb.DuckDBPyConnection) -> None:
    """Machines, what was sent back and mail of no campaign leave no hours among people's."""
    text = "select * replace (strftime(sent_date, '%d') as sent_date) from human_reaction"
    hours = map(pytest.approx, (1.9, 3.25, 5.5, 7.75, 9.1))

    assert reacted.sql(f"{text} order by kind").fetchall() == [
        ("A", "Spring", "click", 1, 1, *[2.0] * 5, True, "01"),
        ("A", "Spring", "open", 1, 10, *hours, True, "01"),
    ]


@pytest.mark.parametrize(("sent", "told"), [("2026-03-29 13:00:00", 0), ("2026-03-29 11:00:00", 1)])
def test_mail_of_today_is_no_silent_sender(
    con: duckdb.DuckDBPyConnection, sent: str, told: int
) -> None:
    """Later bounces are missed only once they would have come, 72 h after the delivery."""
    at(con, "2026-04-01 12:00:00")
    bulk(con, "delivered", "A", 1000, sent)
    refresh(con)

    assert one(con, "select count(*) from warnings where topic = 'no async bounce'") == told


def test_a_gap_is_told(con: duckdb.DuckDBPyConnection) -> None:
    """Silence far beyond the usual is a warning with its length and beginning."""
    for number in range(60):
        moment = f"2026-03-{1 if number < 30 else 2:02} {10 + number % 30 // 4}:{number % 4 * 15}"
        put(con, "delivered", id=f"m{number}", at=f"{moment}:00", campaign_id="A")
    refresh(con)
    sentence = one(con, "select sentence from warnings where topic = 'gap'")

    assert sentence.startswith("1 gap in the event stream; the longest, of 16.8 hours")
    assert "2026-03-01 17:15 UTC" in sentence


def arriving(
    con: duckdb.DuckDBPyConnection, until: str, when: str, *, since: str = "2026-03-02"
) -> None:
    """Load an event for each quarter of an hour from ``since`` on in which ``when`` is true."""
    con.execute(
        f"""
        insert into delivered by name
        select
            md5(cast(moment as varchar))::uuid as message_key,
            moment as occurred_at,
            'p@web.de' as recipient,
        from range(timestamp '{since}', timestamp '{until}', interval 15 minutes)
            as r (moment)
        where {when}
        """
    )
    refresh(con)


@pytest.mark.parametrize(("lost", "told"), [("0", []), ("17", ["of 36.3 hours"])])
def test_a_night_is_no_gap(con: duckdb.DuckDBPyConnection, lost: str, told: list[str]) -> None:
    """A silence that comes every night, or every other week, is the sender's; a lost day is not."""
    awake = "hour(moment) between 8 and 19 and isodow(moment) < 6"
    arriving(con, "2026-03-30", f"{awake} and day(moment) <> {lost}")
    query = "select regexp_extract(sentence, 'of [0-9.]+ hours') from warnings where topic = 'gap'"

    assert [length for (length,) in con.execute(query).fetchall()] == told


def test_twice_is_no_habit(con: duckdb.DuckDBPyConnection) -> None:
    """Two silences as long as each other, in the first weeks of a steady stream, are two gaps."""
    arriving(con, "2026-03-16", "not (day(moment) in (5, 10) and hour(moment) between 9 and 18)")
    sentence = one(con, "select sentence from warnings where topic = 'gap'")

    assert sentence.startswith("2 gaps in the event stream; the longest, of 10.3 hours")


@pytest.mark.parametrize("wrong", ["1970-01-01 00:00:00", "2099-01-01 00:00:00"])
def test_one_wrong_clock_makes_no_night_a_gap(con: duckdb.DuckDBPyConnection, wrong: str) -> None:
    """An event far back is one gap, one ahead of the clock is none; nights stay what they were."""
    put(con, "delivered", id="wrong", at=wrong)
    arriving(con, "2026-03-30", "hour(moment) between 8 and 19 and isodow(moment) < 6")
    gaps = con.sql("select cast(silent_from as varchar) from event_gap").fetchall()
    (sentence,) = one(con, "select list(sentence) from warnings where topic = 'gap'") or [""]

    assert gaps == [(wrong,)] * (wrong < "2026")
    assert ("of 492,344.0 hours" in sentence) is (wrong < "2026")


def test_warnings_of_one_kind_are_few(con: duckdb.DuckDBPyConnection) -> None:
    """Of words nobody knows the five commonest are named, and how many more there are is said."""
    for number in range(9):
        for again in range(1 + (number == 7)):
            fields = {"id": f"b{number}-{again}", "at": "2026-03-30 10:00:00", "campaign_id": "A"}
            put(con, "bounce", bounce_category=f"word-{number}", dsn_status="550 5.1.1", **fields)
    refresh(con)
    query = "select sentence from warnings where topic = 'unknown words'"
    *named, last = [sentence for (sentence,) in con.execute(query).fetchall()]

    assert (len(named), last) == (5, "unknown_words lists 4 more that are not known.")
    assert any("word-7 in bounce_category is not known here (2 events" in one for one in named)


def test_reports_run_on_nothing(empty: duckdb.DuckDBPyConnection) -> None:
    """Every view gives an answer on an empty warehouse, with the same columns."""
    names = empty.sql("select view_name from duckdb_views() where not internal").fetchall()

    assert len(names) > 20
    for (name,) in names:
        answer = empty.execute(f"from {name}")

        assert answer.description, name
        answer.fetchall()


CONTRACT = """campaign_id, campaign_name, first_delivered_at, last_delivered_at, attempted,
    delivered, accepted, bounced, hard, soft, block, undetermined, opened, clicked, opens, clicks,
    unsubscribed, delivery_rate, delivery_rate_lo, delivery_rate_hi, bounce_rate, bounce_rate_lo,
    bounce_rate_hi, open_rate, open_rate_lo, open_rate_hi, click_rate, click_rate_lo,
    click_rate_hi, click_to_open_rate, click_to_open_rate_lo, click_to_open_rate_hi,
    unsubscribe_rate, unsubscribe_rate_lo, unsubscribe_rate_hi, opened_human, clicked_human,
    maturity"""


def test_types_of_the_contract(empty: duckdb.DuckDBPyConnection) -> None:
    """Counts are BIGINT, rates DOUBLE, and no column of a mart is HUGEINT or DECIMAL."""
    types = {
        row["column_name"]: row["column_type"]
        for row in rows(empty, "select column_name, column_type from (describe campaign_report)")
    }
    wanted = [name.strip() for name in CONTRACT.split(",")]
    wide = empty.sql(
        "select table_name, column_name from duckdb_columns() where not internal and "
        "(data_type = 'HUGEINT' or data_type like 'DECIMAL%')"
    ).fetchall()

    assert list(types)[: len(wanted)] == wanted
    assert {types[name] for name in wanted if "rate" in name} == {"DOUBLE"}
    assert {types[name] for name in wanted[4:17]} == {"BIGINT"}
    assert wide == []


def test_no_view_divides_by_zero(con: duckdb.DuckDBPyConnection) -> None:
    """Every view answers where a division by zero is an error, as a session of DuckDB 2 may ask."""
    delivered(con, 2, campaign_id="A", at="2025-01-01")
    put(con, "delivered", id="later", campaign_id="B", at="2025-02-01")
    refresh(con)
    con.execute("set ieee_floating_point_ops = false")
    views = con.execute("select view_name from duckdb_views() where not internal").fetchall()
    for (view,) in views:
        con.execute(f"from {view}").fetchall()

    assert len(views) > 60


def test_every_mart_is_documented() -> None:
    """docs/marts.md names every view and macro of sql/marts."""
    document = DOCUMENT.read_text("utf-8")
    missing = [
        file.stem
        for file in sorted((asset("sql") / "marts").glob("*.sql"))
        if f"`{file.stem}`" not in document
    ]

    assert missing == []


def test_the_document_says_what_the_database_says() -> None:
    """docs/marts.md has of a view what its file begins with; of a macro or table a beginning."""
    document = DOCUMENT.read_text("utf-8")
    views = re.findall(r"^### `(\w+)`\n\n(.*)", document, re.MULTILINE)
    others = re.findall(r"^- `(\w+)`: (.*)", document, re.MULTILINE)
    heads = {
        file.stem: words(re.sub("^--", "", file.read_text("utf-8").split("create ")[0], flags=re.M))
        for file in asset("sql").rglob("*.sql")
    }

    assert len(views) > 40
    assert len(others) > 30
    assert [name for name, text in views if words(text) != heads[name]] == []
    assert [name for name, text in others if not heads[name].startswith(words(text))] == []


def words(text: str) -> str:
    """A text without what only divides it, and without the word that begins a grain."""
    return " ".join(re.findall(r"\w+|[^\w\s;.`]", text.lower().strip().removeprefix("grain:")))


def test_every_column_is_documented(empty: duckdb.DuckDBPyConnection) -> None:
    """docs/marts.md lists the columns of each view, all of them, in their order."""
    document = DOCUMENT.read_text("utf-8")
    sections = re.findall(r"^### `(\w+)`\n\n.*?\n\n(.*?)\n$", document, re.MULTILINE | re.DOTALL)
    for view, listed in sections:
        columns = [
            name + end
            for name, has_interval in re.findall(r"`(\w+)`(±)?", listed)
            for end in (("", "_lo", "_hi") if has_interval else ("",))
        ]

        assert columns == [row[0] for row in empty.execute(f"describe {view}").fetchall()], view
    assert len(sections) > 40


def test_every_table_is_documented(empty: duckdb.DuckDBPyConnection) -> None:
    """docs/marts.md gives every column of each table of events, the quarantine and the ledger."""
    document = DOCUMENT.read_text("utf-8")
    text = document.partition("## The tables")[2].partition("## From events")[0]
    shared = re.findall(r"`(\w+)`", text.partition(": what an event held")[0])
    own = dict(re.findall(r"^\| `(\w+)` \|.*\| (.*)\|$", text, re.MULTILINE))
    whole = dict(re.findall(r"`(\w+)` \(a (?:line|load) .*?: (`.*?)\)", text))
    listed = {name: {*shared, *re.findall(r"`(\w+)`", columns)} for name, columns in own.items()}
    listed |= {name: set(re.findall(r"`(\w+)`", columns)) for name, columns in whole.items()}

    assert set(listed) == {*TABLES, "quarantine", "ingest_ledger"}
    for table, columns in listed.items():
        found = empty.execute(f"describe {table}").fetchall()
        assert columns == {row[0] for row in found}, table


def test_rates_are_what_the_document_says(listed: duckdb.DuckDBPyConnection) -> None:
    """Each rate is, over whole lists of campaigns, the quotient that docs/marts.md gives."""
    text = DOCUMENT.read_text("utf-8").partition("## From events to rates")[2]
    formulas = re.findall(r"^\| `(\w+_rate)` \| `(\w+)`.*? / `(\w+)`", text, re.MULTILINE)
    campaigns = "campaign_report where attempted > 0"
    wrong = [
        rate
        for rate, part, whole in formulas
        if one(listed, f"select count(*) from {campaigns} and {rate} <> {part} / {whole}")
        or not one(listed, f"select count({rate}) from {campaigns}")
    ]

    assert {rate for rate, _, _ in formulas} == {
        column
        for (column, *_) in listed.execute("describe campaign_report").fetchall()
        if column.endswith("_rate")
    }
    assert wrong == []


def test_the_document_has_the_thresholds(empty: duckdb.DuckDBPyConnection) -> None:
    """The values that docs/marts.md gives of thresholds, the machines' and others, are in force."""
    document = DOCUMENT.read_text("utf-8")
    text = document.partition("## Machines")[2].partition("\n## ")[0]
    said = {(name, float(value)) for name, value in re.findall(r"`(\w+)` \(([\d.]+)\)", document)}
    known = dict(empty.execute("select name, value from metric_threshold").fetchall())
    flags = set(re.findall(r"^\| `(is_\w+)`", text, re.MULTILINE))
    columns = {row[0] for row in empty.execute("describe event_message").fetchall()}

    assert len(said) == 13
    assert said <= known.items()
    assert flags == {name for name in columns if name.startswith("is_")} - {"is_machine"}


def test_checks_survive_any_share(con: duckdb.DuckDBPyConnection) -> None:
    """More reactions than opens and clicks, more unknown words than bounces: shares stay shares."""
    for n in range(6):
        put(con, "subscription_changed", id=f"u{n}", at="2025-01-01", change="unsubscribe")
    put(con, "open", id="o", at="2025-01-01")
    words = {"bounce_category": "new-1", "bounce_type": "new-2", "sync_type": "new-3"}
    for n in range(3):
        put(con, "bounce", id=f"b{n}", at="2025-01-01", **words)
    refresh(con)
    found = {r["check_name"]: (r["found"], r["of_all"]) for r in rows(con, "from quality_total")}

    assert found["orphans"] == (7, 7)
    assert found["unknown words"] == (9, 9 + 6)


def test_of_texts_as_common_the_last_in_the_alphabet_is_shown(
    con: duckdb.DuckDBPyConnection,
) -> None:
    """Bounces as many, sync and async, give one status text, whichever of them came first."""
    texts = [("sync", "5.1.1 (b)"), ("async", "5.1.1 (zz)")]
    found = set()
    for number, order in enumerate((texts, texts[::-1])):
        con.execute("delete from bounce")
        for n, (sync_type, text) in enumerate(order):
            common = {"id": f"{number}-{n}", "at": f"2025-01-0{n + 1}", "campaign_id": "c"}
            put(con, "bounce", sync_type=sync_type, dsn_status=text, **common)
        con.execute("delete from refresh_state")
        refresh(con)
        for view in ("bounce_category", "bounce_total"):
            found |= {row["commonest_dsn_status"] for row in rows(con, f"from {view}")}

    assert found == {"5.1.1 (zz)"}
