"""Promises of the marts that judge: campaigns, providers, periods and days, held to scipy."""

from datetime import datetime, timedelta
from math import ceil, sqrt

import duckdb
import numpy as np
import polars as pl
import pytest
from scipy import special, stats

from tests.marts import at, bulk, database, one, put, refresh, rows

NOW = "2026-04-01 12:00:00"
Con = duckdb.DuckDBPyConnection


@pytest.fixture
def con() -> Con:
    """A warehouse of its own, its clock stopped."""
    made = database()
    at(made, NOW)
    return made


def campaign(
    con: Con, name: str, sent: str, size: int, bounced: int = 0, people: int = 0, machines: int = 0,
    first: int = 0, **fields: str,
) -> None:  # fmt: skip
    """A campaign of ``size`` messages: the first opened by machines, others by people, bounced."""
    bulk(con, "delivered", name, size - bounced, sent, first=first, **fields)
    bulk(con, "bounce", name, bounced, sent, first=first + size - bounced, **fields)
    bulk(con, "open", name, machines, f"{sent[:-2]}05", first=first, **fields)
    bulk(con, "open", name, people, f"{sent[:-5]}30:00", first=first + machines, **fields)


# ── differences of campaigns ─────────────────────────────────────────────────────────────────


OPENED = {"even": 305, "less": 260} | {
    f"{name} {n}": people for n in range(4) for name, people in (("fewer", 250), ("more", 360))
}
"""Campaign → of 1,000 messages how many were opened; those that share a number are tied."""


@pytest.fixture(scope="module")
def differing() -> Con:
    """A reference of which 300 of 1,000 opened, campaigns that differ, and one of 4 messages."""
    con = database()
    at(con, NOW)
    for day, (name, people) in enumerate({"reference": 300, **OPENED}.items(), start=1):
        campaign(con, name, f"2026-03-{day:02} 10:00:00", 1000, people=people)
    campaign(con, "tiny", "2026-03-20 10:00:00", 4, people=2)
    refresh(con)
    return con


def test_tied_differences_have_scipys_q(differing: Con) -> None:
    """Each has its corrected p, and those that differ as much Benjamini and Hochberg's q."""
    found = differing.sql(
        "select campaign_id, p_value, q_value, is_significant, is_small, size, reference_size "
        "from campaign_difference('reference', 24) where measure = 'open' order by all"
    ).fetchall()
    told = [row for row in found if row[0] != "tiny"]
    tables = [[[people, 1000 - people], [300, 700]] for _, people in sorted(OPENED.items())]
    q = stats.false_discovery_control([row[1] for row in told])

    assert [row[1] for row in told] == pytest.approx(
        [stats.chi2_contingency(table, correction=True).pvalue for table in tables]
    )
    assert [row[2] for row in told] == pytest.approx(list(q))
    assert {name: verdict for name, _, _, verdict, *_ in found} == {
        name: people in (250, 360) for name, people in (OPENED | {"tiny": 2}).items()
    }
    assert len({row[1] for row in told}) == 4
    assert found[-1] == ("tiny", None, None, False, True, 4, 1000)
    within = "bool_and(difference between difference_lo and difference_hi)"
    assert one(differing, f"select {within} from campaign_difference('reference', 24)")


def test_so_many_are_needed_to_see_a_difference(differing: Con) -> None:
    """Beside each difference stands how many messages a side would show it, by Fleiss's formula."""
    found = dict(
        differing.sql(
            "select campaign_id, needed from campaign_difference('reference', 24) "
            "where measure = 'open' and campaign_id <> 'tiny'"
        ).fetchall()
    )

    assert found == {name: needed(people / 1000, 0.3) for name, people in OPENED.items()}


def needed(first: float, second: float) -> int:
    """Messages a side for 5 % and 80 % power (Fleiss 1981)."""
    mean, z, power = (first + second) / 2, stats.norm.ppf(0.975), stats.norm.ppf(0.8)
    spread = sqrt(first * (1 - first) + second * (1 - second))
    return ceil(((z * sqrt(2 * mean * (1 - mean)) + power * spread) / (first - second)) ** 2)


@pytest.mark.parametrize(
    "rates", [(0.5, 0.75), (0.2, 0.1), (0.0, 0.01), (1.0, 0.9), (0.1, 0.1 + 1e-6)]
)
def test_as_many_are_needed_as_fleiss_says(con: Con, rates: tuple[float, float]) -> None:
    """Whichever rate is the higher, and however close they are."""
    found = one(con, "select sample_size($1, $2)", *rates)

    assert found == pytest.approx(needed(*rates), rel=1e-6)


def test_hardly_different_rates_stop_no_page(con: Con) -> None:
    """Where more messages are needed than can be counted the number is unknown, not an error."""
    assert one(con, "select sample_size(0.1, 0.1 + 1e-12), sample_size(0.1, 0.1)") == (None, None)


# ── what campaigns differ by anyway ──────────────────────────────────────────────────────────

ANYWAY = 0.3
"""The standard deviation of the log-odds of the campaigns of ``ordinary``."""


def ordinary(con: Con, number: int, largest: int, anyway: float) -> None:
    """So many campaigns of 50 to ``largest`` messages, of which 2 % bounce, less or more."""
    draw = np.random.default_rng(number)
    sizes = np.exp(draw.uniform(np.log(50), np.log(largest), number)).astype(int)
    rates = special.expit(special.logit(0.02) + anyway * draw.normal(size=number))
    counted(con, sizes, draw.binomial(sizes, rates))


def counted(con: Con, sizes: np.ndarray, bounced: np.ndarray, days_apart: float = 1) -> None:
    """Put campaigns of such counts, a day apart, in the place of those that events make."""
    ends = [datetime.fromisoformat(NOW) - timedelta(days=4 + days_apart * n)
            for n in range(len(sizes))]  # fmt: skip
    made = pl.DataFrame(
        {
            "campaign_id": [f"c{n:03}" for n in range(len(sizes))],
            "attempted": sizes, "bounced": bounced, "accepted": sizes - bounced,
            "delivered": sizes - bounced, "unattributed_nearby": 0, "is_tracked": False,
            "has_complaints": False, "first_delivered_at": ends, "last_delivered_at": ends,
        }
    )  # fmt: skip
    by_day = (
        "attempted, bounced, accepted, delivered, is_tracked, has_complaints, last_delivered_at"
    )
    for view, columns in (
        ("campaign_nearby_counts", "*"),
        ("daily_counts", f"cast(last_delivered_at as date) as day, {by_day}"),
    ):
        con.execute(f"create table made_{view} as from {view} limit 0")
        con.register("made", made.to_arrow())
        con.execute(f"insert into made_{view} by name select {columns} from made")
        con.execute(f"create or replace view {view} as from made_{view}")


def beyond(con: Con, measure: str = "bounce") -> list[str]:
    """The campaigns that a funnel plot calls unlike the rest."""
    query = "select campaign_id from funnel_plot where outside = '998' and measure = ? order by 1"
    return [name for (name,) in con.execute(query, [measure]).fetchall()]


@pytest.mark.parametrize("anyway", [0, ANYWAY])
def test_ordinary_campaigns_of_any_size_are_like_the_rest(con: Con, anyway: float) -> None:
    """Of 300 campaigns, 50 to 50,000 messages large, one at most lies beyond the 99.8 % lines."""
    ordinary(con, 300, 50_000, anyway)
    spread = one(con, "select spread from campaign_spread where measure = 'bounce'")
    most = one(con, "select count(*) from funnel_plot where outside <> 'no'")

    assert spread == pytest.approx(anyway, abs=0.05)
    assert len(beyond(con)) <= 1
    assert most <= 0.05 * 600


def test_an_incident_among_few_campaigns_is_found(con: Con) -> None:
    """Five campaigns tell by how much campaigns differ, though one of them is an incident."""
    counted(con, np.full(5, 4000), np.array([60, 100, 900, 80, 120]))

    assert beyond(con) == beyond(con, "delivery") == ["c002"]


def test_few_ordinary_campaigns_are_like_the_rest(con: Con) -> None:
    """Of nine large campaigns that differ by a third, as lists do, none is called unlike them."""
    counted(con, np.full(9, 20_000), np.array([300, 340, 360, 380, 400, 430, 460, 520, 600]))

    assert beyond(con) == []


def test_ordinary_days_of_any_size_are_ordinary(con: Con) -> None:
    """Of 300 days, 50 to 50,000 messages large, one at most lies beyond the 99.8 % limits."""
    ordinary(con, 300, 50_000, ANYWAY)
    odd, days = one(
        con,
        "select count(*) filter (is_out_of_control), count(*) filter (not is_small) "
        "from daily_bounce_limit",
    )

    assert days > 200
    assert odd <= 1


def test_a_bad_day_is_found_where_two_brands_take_turns(con: Con) -> None:
    """Days of a brand that bounces more are ordinary, and one on which far more did is not."""
    bounced = np.tile([50, 250], 20)
    bounced[11] = 3000
    counted(con, np.full(40, 5000), bounced)

    odd = "select bounced from daily_bounce_limit where is_out_of_control"
    assert con.execute(odd).fetchall() == [(3000,)]


@pytest.mark.parametrize(
    ("largest", "everywhere", "told"),
    [(300_000, 1, set()), (10_000, 1, set()), (10_000, 2, {"delivery", "bounce"})],
)
def test_one_large_campaign_is_no_trend(
    con: Con, largest: int, everywhere: int, told: set[str]
) -> None:
    """A period differs beyond what its campaigns differ by, and the largest is one of them."""
    sizes = np.array([largest, *[10_000] * 11] * 2)
    rates = np.array([0.017, 0.016, 0.02, 0.022, 0.025, 0.02] * 4)
    rates[0] = 0.023
    rates[:12] *= everywhere
    counted(con, sizes, (sizes * rates).astype(int), 2.5)
    query = "select measure from period_measure where stands_out and before_denominator > 0"

    assert {measure for (measure,) in con.sql(query).fetchall()} == told


# ── providers ────────────────────────────────────────────────────────────────────────────────


def by_provider(con: Con, name: str, day: int, bounced: dict[str, int]) -> None:
    """A campaign of 300 messages at each domain, of which so many bounced."""
    sent = f"2026-03-{day:02} 10:00:00"
    for number, (domain, count) in enumerate(bounced.items()):
        campaign(con, name, sent, 300, count, first=10_000 * number)
        for table in ("delivered", "bounce"):
            con.execute(
                f"update {table} set recipient = replace(recipient, '@web.de', '@' || $domain) "
                f"where campaign_id = $name and cast(recipient[2:-8] as integer) >= $first "
                "and recipient like '%@web.de'",
                {"domain": domain, "name": name, "first": 10_000 * number},
            )


def unusual(con: Con, name: str) -> set[str]:
    """The providers of a campaign that are said to have bounced more than usual."""
    query = "select provider from provider_report where bounce_is_unusual and campaign_id = ?"
    return {provider for (provider,) in con.execute(query, [name]).fetchall()}


@pytest.mark.parametrize(("bounced", "told"), [(14, set()), (19, {"yahoo"})])
def test_the_worst_of_four_providers_is_worst_by_chance(
    con: Con, bounced: int, told: set[str]
) -> None:
    """With four providers one is named where its p is a quarter of what it may be with one."""
    by_provider(con, "A", 1, {"gmail.com": 6, "yahoo.com": bounced, "web.de": 6, "libero.it": 6})
    refresh(con)
    others = stats.chi2_contingency([[bounced, 300 - bounced], [18, 882]]).pvalue

    assert others < 0.05
    assert (others < 0.05 / 4) == bool(told)
    assert unusual(con, "A") == told


@pytest.mark.parametrize(("bounced", "told"), [(60, set()), (250, {"yahoo"})])
def test_a_provider_that_bounces_less_than_ever_is_not_named(
    con: Con, bounced: int, told: set[str]
) -> None:
    """More than the campaign's others is not enough where it is less than in campaigns before."""
    for day in range(1, 5):
        by_provider(con, f"c{day}", day, {"gmail.com": 3, "yahoo.com": 150})
    by_provider(con, "A", 9, {"gmail.com": 3, "yahoo.com": bounced})
    refresh(con)
    query = "select usual_bounce_rate from provider_report where campaign_id = 'A' and provider = "

    assert one(con, query + "'yahoo'") == 0.5
    assert unusual(con, "A") == told


@pytest.mark.parametrize(("bounced", "told"), [(50, set()), (120, {"yahoo"})])
def test_a_provider_that_bounces_as_it_does_anyway_is_not_named(
    con: Con, bounced: int, told: set[str]
) -> None:
    """More than on average is not enough where campaigns differ by as much at this provider."""
    for day, usual in enumerate((30, 20, 45, 25, 38, 16), start=1):
        by_provider(con, f"c{day}", day, {"gmail.com": usual // 10, "yahoo.com": usual})
    by_provider(con, "A", 9, {"gmail.com": 5, "yahoo.com": bounced})
    refresh(con)
    before = stats.chi2_contingency([[bounced, 300 - bounced], [174, 1626]])

    assert before.pvalue < 0.05 / 2
    assert unusual(con, "A") == told


@pytest.mark.parametrize("before", [1, 2, 3])
def test_a_provider_is_named_however_few_campaigns_went_before(con: Con, before: int) -> None:
    """What bounces ten times as much as ever is named after one, two and three campaigns alike."""
    for day in range(1, before + 1):
        by_provider(con, f"c{day}", day, {"gmail.com": 6, "yahoo.com": 4 + day})
    by_provider(con, "A", 9, {"gmail.com": 6, "yahoo.com": 60})
    refresh(con)

    assert unusual(con, "A") == {"yahoo"}


# ── days, stages, freshness ──────────────────────────────────────────────────────────────────


def test_what_became_of_the_mail_of_a_day(con: Con) -> None:
    """Each outcome has its share of the messages of its day, and of no other."""
    bulk(con, "delivered", "A", 5, "2026-03-01 10:00:00")
    bulk(con, "bounce", "A", 2, "2026-03-01 11:00:00", first=5, bounce_category="bad-mailbox")
    bulk(con, "bounce", "A", 1, "2026-03-01 12:00:00", first=7, bounce_category="quota-issues")
    put(con, "bounce", id="x", at="2026-03-02 10:00:00", bounce_category="bad-mailbox")
    bulk(con, "delivered", "B", 3, "2026-03-02 12:00:00")
    refresh(con)
    query = "select day::varchar, outcome, messages, outcome_share from daily_outcome_report"

    assert con.sql(f"{query} order by all").fetchall() == [
        ("2026-03-01", "accepted", 5, 0.625),
        ("2026-03-01", "hard", 2, 0.25),
        ("2026-03-01", "soft", 1, 0.125),
        ("2026-03-02", "accepted", 3, 0.75),
        ("2026-03-02", "unattributed", 1, 0.25),
    ]


@pytest.fixture
def staged(con: Con) -> Con:
    """A campaign with some messages at every stage, and one that nobody tracks."""
    bulk(con, "delivered", "A", 16, "2026-03-01 10:00:00")
    bulk(con, "bounce", "A", 4, "2026-03-01 10:00:00", first=16)
    bulk(con, "open", "A", 8, "2026-03-01 11:00:00")
    bulk(con, "click", "A", 3, "2026-03-01 12:00:00", url="a")
    bulk(con, "click", "A", 1, "2026-03-01 10:00:03", first=3, url="a")
    bulk(con, "subscription_changed", "A", 2, "2026-03-01 13:00:00", change="unsubscribe")
    bulk(con, "delivered", "B", 3, "2026-03-01 10:00:00")
    refresh(con)
    return con


def test_each_stage_is_a_share_of_the_one_before(staged: Con) -> None:
    """A stage's share is of what went before it; of mail that nobody tracks the rest is unknown."""
    assert staged.sql("from campaign_funnel order by all").fetchall() == [
        ("A", "accepted", 2, 16, 0.8, 0.8),
        ("A", "attempted", 1, 20, 1.0, None),
        ("A", "clicked by people", 4, 3, 0.15, 0.375),
        ("A", "opened or clicked", 3, 8, 0.4, 0.5),
        ("A", "unsubscribed", 5, 2, 0.1, 0.125),
        ("B", "accepted", 2, 3, 1.0, 1.0),
        ("B", "attempted", 1, 3, 1.0, None),
        ("B", "clicked by people", 4, None, None, None),
        ("B", "opened or clicked", 3, None, None, None),
        ("B", "unsubscribed", 5, None, None, None),
    ]


def test_each_measure_is_known_where_it_is_told(staged: Con) -> None:
    """Reactions are unknown of mail that nobody tracks, complaints while none has come."""
    query = """
        select campaign_id, measure, numerator, denominator, gross_numerator
        from measured_rate where age_hours is null
    """
    found = staged.sql(f"{query} order by campaign_id, measure_number").fetchall()

    assert found == [
        ("A", "delivery", 16, 20, None), ("A", "bounce", 4, 20, None),
        ("A", "open", 8, 16, 8), ("A", "click", 3, 16, 4),
        ("A", "unsubscribe", 2, 16, None), ("A", "complaint", None, 16, None),
        ("B", "delivery", 3, 3, None), ("B", "bounce", 0, 3, None),
        ("B", "open", None, 3, None), ("B", "click", None, 3, None),
        ("B", "unsubscribe", None, 3, None), ("B", "complaint", None, 3, None),
    ]  # fmt: skip


def test_how_old_what_is_loaded_is() -> None:
    """The age of the last load is not that of the last event, and days are those of the zone."""
    con = database("Asia/Tokyo")
    at(con, NOW)
    bulk(con, "delivered", "A", 2, "2026-03-01 20:00:00")
    bulk(con, "delivered", "B", 2, "2026-03-30 10:00:00")
    bulk(con, "click", "A", 1, "2026-03-02 10:00:00", url="a")
    put(con, "open", id="lost", at="2026-03-02 10:00:00")
    con.execute("insert into quarantine by name select 'not_json' as reason")
    for finished, received, duplicates in (
        ("2026-04-01 06:00:00", "2026-04-01 02:00:00", 3),
        ("2026-04-01 09:00:00", "2026-03-31 12:00:00", 2),
    ):
        con.execute(
            "insert into ingest_ledger by name select $1::timestamp as finished_at, "
            "$2::timestamp as last_received_at, $3 as duplicates",
            [finished, received, duplicates],
        )
    refresh(con)
    dates = ("first_delivered_date", "last_delivered_date", "as_of_local", "last_load_at_local",
             "last_received_at_local")  # fmt: skip
    text = ", ".join(f"{name}::varchar as {name}" for name in dates)
    interval = stats.binomtest(1, 2).proportion_ci(method="wilson")

    assert rows(con, f"select * replace ({text}) from freshness") == [
        {
            "timezone": "Asia/Tokyo", "events": 6, "duplicates": 5, "quarantined": 1,
            "single_link_campaigns": 1, "campaigns": 2, "young_campaigns": 1, "messages": 4,
            "orphans": 1, "comparable_hours": 72.0, "match_rate": 0.5,
            "match_rate_lo": pytest.approx(interval.low),
            "match_rate_hi": pytest.approx(interval.high),
            "load_age_hours": 3.0, "event_age_hours": 10.0,
            "first_delivered_date": "2026-03-02", "last_delivered_date": "2026-03-30",
            "as_of_local": "2026-04-01 21:00:00", "last_load_at_local": "2026-04-01 18:00:00",
            "last_received_at_local": "2026-04-01 11:00:00",
        }
    ]  # fmt: skip


# ── machines ─────────────────────────────────────────────────────────────────────────────────


PEERS = (100, 140, 60, 120)
"""Of how many of 1,000 messages of each earlier campaign a machine opened."""


@pytest.mark.parametrize(
    ("peers", "size", "machines", "told"),
    [
        (PEERS, 1000, 235, True),
        (PEERS, 1000, 220, False),  # unlike the median, but not unlike the peers
        ((100, 104, 96, 100), 1000, 0, False),  # fewer than usual
        (PEERS, 190, 76, False),  # small
        ((100, 100), 1000, 400, False),  # two are no habit
        ((0, 0, 0), 1000, 4, False),  # too few to tell
        ((0, 0, 0), 1000, 5, True),
    ],
)
def test_machines_stand_out_where_there_are_more_than_ever(
    con: Con, peers: tuple[int, ...], size: int, machines: int, told: bool
) -> None:
    """A campaign's machines are news only beyond what they were, by the rules of any rate."""
    for day, number in enumerate(peers, start=1):
        campaign(con, f"c{day}", f"2026-03-{day:02} 10:00:00", 1000, people=200, machines=number)
    campaign(con, "A", "2026-03-09 10:00:00", size, people=40, machines=machines)
    refresh(con)
    query = """
        select machine_rate, usual_machine_rate, machines_stand_out, gross_rate
        from campaign_measure where campaign_id = 'A' and measure = 'open'
    """
    usual = sorted(peers)[len(peers) // 2 - 1 : len(peers) // 2 + 1] if len(peers) % 2 == 0 else [0]

    assert one(con, query) == (
        pytest.approx(machines / size),
        pytest.approx(sum(usual) / len(usual) / 1000),
        told,
        pytest.approx((machines + 40) / size),
    )
    assert one(con, "select count(*) from campaign_measure where machines_stand_out") == told


# ── what can be judged ───────────────────────────────────────────────────────────────────────


def test_rates_that_still_rise_are_not_judged(con: Con) -> None:
    """Bounces are judged at once, reactions once final; unattributed ones bound the former only."""
    bulk(con, "delivered", "old", 90, "2026-03-29 12:00:00")
    bulk(con, "bounce", "old", 10, "2026-03-29 12:00:00", first=90)
    bulk(con, "open", "old", 30, "2026-03-29 13:00:00")
    bulk(con, "delivered", "new", 300, "2026-03-29 12:00:01")
    bulk(con, "open", "new", 30, "2026-03-29 13:00:00")
    bulk(con, "other_event", "new", 1, "2026-03-29 13:00:00", kind="complaint")
    for n in range(5):
        put(con, "bounce", id=f"x{n}", to=f"x{n}@web.de", at="2026-03-30 12:00:00")
    refresh(con)
    query = """
        select campaign_id, measure, numerator, denominator, extreme_rate, is_final, is_small
        from judged_rate
    """

    assert sorted(con.sql(query).fetchall()) == [
        ("new", "bounce", 0, 300, pytest.approx(5 / 305), False, False),
        ("new", "delivery", 300, 300, pytest.approx(300 / 305), False, False),
        ("old", "bounce", 10, 100, pytest.approx(15 / 105), True, True),
        ("old", "click", 0, 90, None, True, True),
        ("old", "complaint", 0, 90, None, True, True),
        ("old", "delivery", 90, 100, pytest.approx(90 / 105), True, True),
        ("old", "open", 30, 90, None, True, True),
        ("old", "unsubscribe", 0, 90, None, True, True),
    ]


def test_bounces_after_an_age_are_told_apart(con: Con) -> None:
    """A bounce is late for each age that its message had passed, accepted until then or not."""
    bulk(con, "delivered", "A", 5, "2026-03-01 10:00:00")
    for number, (hour, kind) in enumerate(
        [("01 16:00:00", "async"), ("01 16:00:01", "async"), ("02 11:00:00", "sync"),
         ("20 10:00:00", "async"), ("01 10:00:00", "async")]
    ):  # fmt: skip
        bulk(con, "bounce", "A", 1, f"2026-03-{hour}", first=number, sync_type=kind)
    bulk(con, "bounce", "A", 3, "2026-03-09 10:00:00", first=5, sync_type="sync")
    refresh(con)

    assert con.sql("from late_bounce order by age_hours").fetchall() == [
        ("A", 1, 4, 3), ("A", 6, 3, 2), ("A", 24, 2, 1), ("A", 72, 1, 1), ("A", 168, 1, 1),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("sent", "bounced", "nameless", "outside"),
    [
        ("2026-03-20 10:00:00", 30, 0, "no"),
        ("2026-03-20 10:00:00", 43, 0, "95"),
        ("2026-03-20 10:00:00", 70, 0, "998"),
        ("2026-03-20 10:00:00", 5, 0, "998"),
        ("2026-03-20 10:00:00", 5, 20, "unsure"),  # they may be its own
        ("2026-03-20 10:00:00", 5, 12, "95"),
        ("2026-03-20 10:00:00", 70, 20, "998"),  # nor would they make it better
        ("2026-04-01 10:00:00", 5, 0, "unsure"),  # more may come
        ("2026-04-01 10:00:00", 70, 0, "998"),
    ],
)
def test_what_may_still_turn_round_is_unsure(
    con: Con, sent: str, bounced: int, nameless: int, outside: str
) -> None:
    """Beyond a line, but not with what may be its own or may still come, is unsure."""
    for number in range(9):
        day = f"2026-02-{2 * number + 1:02} 10:00:00"
        campaign(con, f"c{number}", day, 1000, bounced=29 + number % 3)
    campaign(con, "A", sent, 1000, bounced=bounced)
    for n in range(nameless):
        put(con, "bounce", id=f"x{n}", to=f"x{n}@web.de", at="2026-03-20 12:00:00")
    refresh(con)
    query = "select outside from funnel_plot where campaign_id = 'A' and measure = "

    assert one(con, query + "'bounce'") == outside
    assert one(con, query + "'delivery'") == outside


# ── the newest thirty days ───────────────────────────────────────────────────────────────────


@pytest.fixture
def period(con: Con) -> Con:
    """Two campaigns of the newest thirty days, one not tracked, one before; nameless bounces."""
    bulk(con, "delivered", "before", 400, "2026-02-25 10:00:00")
    bulk(con, "open", "before", 100, "2026-02-25 11:00:00")
    bulk(con, "delivered", "now", 290, "2026-03-10 10:00:00")
    bulk(con, "bounce", "now", 10, "2026-03-10 10:00:00", first=290)
    bulk(con, "open", "now", 60, "2026-03-10 11:00:00")
    bulk(con, "open", "now", 5, "2026-03-10 10:00:05", first=60)
    bulk(con, "click", "now", 6, "2026-03-10 12:00:00", url="a")
    bulk(con, "subscription_changed", "now", 3, "2026-03-10 13:00:00", change="unsubscribe")
    bulk(con, "delivered", "silent", 50, "2026-03-31 10:00:00")
    for day in ("03-01", "03-02", "03-02", "03-31", "04-01"):
        n = one(con, "select count(*) from bounce")
        put(con, "bounce", id=f"x{n}", to=f"x{n}@web.de", at=f"2026-{day} 12:00:00")
    return con


PERIOD = """
    select measure, days, first_day::varchar as first_day, unattributed, numerator, denominator,
        untracked, fresh, before_denominator, rate, gross_rate, final_rate, compared_rate
    from period_measure order by measure_number
"""


def test_every_measure_of_the_newest_days(period: Con) -> None:
    """Each measure is of its own messages, of thirty days; complaints of none while none came."""
    refresh(period)
    common = (30, "2026-03-02", 4)

    assert [(*row[:9], *map(rounded, row[9:])) for row in period.sql(PERIOD).fetchall()] == [
        ("delivery", *common, 340, 354, None, 51, 401, 0.9605, None, 0.9571, 0.9975),
        ("bounce", *common, 14, 354, None, 51, 401, 0.0395, None, 0.0429, 0.0025),
        ("open", *common, 60, 290, 50, 0, 400, 0.2069, 0.2241, 0.2069, 0.25),
        ("click", *common, 6, 290, 50, 0, 400, 0.0207, 0.0207, 0.0207, 0.0),
        ("unsubscribe", *common, 3, 290, 50, 0, 400, 0.0103, None, 0.0103, 0.0),
        ("complaint", *common, None, 0, 340, 0, 0, None, None, None, None),
    ]


def test_complaints_of_the_newest_days_are_of_all_that_was_accepted(period: Con) -> None:
    """Once complaints come they are told of all accepted mail, tracked or not."""
    bulk(period, "other_event", "now", 2, "2026-03-11 12:00:00", kind="complaint")
    bulk(period, "other_event", "before", 1, "2026-03-11 12:00:00", kind="complaint")
    refresh(period)
    (row,) = [row for row in period.sql(PERIOD).fetchall() if row[0] == "complaint"]

    assert (*row[:9], *map(rounded, row[9:])) == (
        "complaint", 30, "2026-03-02", 4, 2, 340, 0, 50, 400, 0.0059, None, 0.0069, 0.0025,
    )  # fmt: skip


def rounded(rate: float | None) -> float | None:
    """A rate to four decimals."""
    return None if rate is None else round(rate, 4)


# ── a campaign beside its peers ──────────────────────────────────────────────────────────────


def test_a_few_peers_messages_tell_no_storm(con: Con) -> None:
    """Machines stand out only where their count differs from that of all peers together."""
    for number, people in enumerate((20, 20, 20)):
        campaign(con, f"p{number}", f"2026-03-0{number + 1} 10:00:00", people)
        bulk(con, "open", f"p{number}", 5, f"2026-03-0{number + 1} 12:00:00")
    campaign(con, "A", "2026-03-10 10:00:00", 200)
    bulk(con, "open", "A", 5, "2026-03-10 10:00:05")
    refresh(con)
    query = """
        select peers, machine_rate, machines_stand_out
        from campaign_measure
        where campaign_id = 'A' and measure = 'open'
    """

    assert one(con, query) == (3, 0.025, False)


def test_what_came_later_does_not_hide_an_equal_age(con: Con) -> None:
    """Whether bounces stand out is asked at the age of the comparison, not of those since."""
    for number in range(5):
        sent = f"2026-03-{number + 10} 10:00:00"
        bulk(con, "delivered", f"p{number}", 1000, sent)
        bulk(con, "bounce", f"p{number}", 19 + number % 3, f"2026-03-{number + 10} 20:00:00",
             sync_type="async")  # fmt: skip
    bulk(con, "delivered", "A", 1000, "2026-03-29 13:00:00")
    bulk(con, "bounce", "A", 5, "2026-03-30 09:00:00", sync_type="async")
    bulk(con, "bounce", "A", 15, "2026-04-01 01:00:00", first=5, sync_type="async")
    refresh(con)
    query = """
        select compared_at_hours, rate, same_age_rate, stands_out
        from campaign_measure
        where campaign_id = 'A' and measure = 'bounce'
    """

    assert one(con, query) == (24, 0.02, 0.005, True)
