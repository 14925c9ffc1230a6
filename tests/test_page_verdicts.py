"""What pages call unusual, better or worse: nothing that chance, age or habit explains."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from loader import charts, leads, page, query, tables, wording
from tests.pages import Events, event, finding, head, loaded_home, rows, sent

DAY = 24


def mail(campaign: str | None, day: int, people: int, bounced: int = 0, **more: Any) -> Events:
    """A campaign of one day, of which so many bounced."""
    return sent(campaign, people, day * DAY, bounced, **more)


def opens(campaign: str, day: int, people: range, **more: Any) -> Events:
    """One open of each of so many people, an hour after the campaign."""
    return [event("open", n, day * DAY + 1, campaign, **more) for n in people]


def before_now(hours: float) -> str:
    """A timestamp so many hours before now."""
    return f"{datetime.now(UTC) - timedelta(hours=hours):%Y-%m-%dT%H:%M:%SZ}"


# ── maturity ─────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> duckdb.DuckDBPyConnection:
    """Eleven campaigns alike, four days apart, of whom a fifth opens, and one of this hour."""
    events: Events = []
    for number in range(11):
        name, at = f"old {number}", 96.0 * (11 - number)
        sent = {"timestamp": before_now(at)}
        events += mail(name, 0, 400, **sent)
        events += opens(name, 0, range(80 + number % 3), timestamp=before_now(at - 2))
    events += mail("new", 0, 3000, timestamp=before_now(1.0))
    events += opens("new", 0, range(30), timestamp=before_now(0.4))
    return query.connect(loaded_home(tmp_path_factory.mktemp("fresh"), events))


def test_a_campaign_of_today_is_no_decline(fresh: duckdb.DuckDBPyConnection) -> None:
    """Mail that is not final is told apart, and neither compared with older mail nor plotted."""
    period = rows(fresh, "period_measure").sort("measure_number")
    opened = period.row(2, named=True)
    markup = page.tiles(period).markup

    assert (opened["fresh"], opened["stands_out"]) == (3000, False)
    assert opened["rate"] < 0.12
    assert opened["final_rate"] > 0.19
    assert abs(opened["difference"]) < 0.01
    assert "3,000 of these not comparable yet" in markup
    assert f"{wording.percent(opened['final_rate'])} without those" in markup
    assert rows(fresh, "funnel_plot", "new")["measure"].sort().to_list() == ["bounce", "delivery"]


def test_no_curve_is_not_no_open(fresh: duckdb.DuckDBPyConnection) -> None:
    """Where no curve can be drawn yet, the sentence in its place denies no open that came."""
    curve = rows(fresh, "campaign_curve", "old 1")
    machines = curve.with_columns(opened_human=pl.lit(0), clicked_human=pl.lit(0))

    assert "curve begins" in finding(charts.curve(curve.clear(), "old 1"))
    assert "Only machines" in finding(charts.curve(machines, "old 1"))


def test_a_clock_that_is_wrong_is_named(tmp_path: Path) -> None:
    """Events of the future are a warning, and no page writes an age below nothing."""
    con = query.connect(loaded_home(tmp_path, mail("ahead", 0, 3, timestamp=before_now(-50))))
    frames = ("campaign_list", "campaign_measure", "provider_report")
    top = leads.campaign(*(rows(con, view, "ahead") for view in frames)).markup
    known = repr(leads.campaign_limits(rows(con, "campaign_limit")))

    assert any("3 events lie in the future" in said for said in rows(con, "warnings")["sentence"])
    assert "last delivered 50 h ahead of this machine" in top
    assert "lies 50 h ahead of this machine's clock: one of the clocks is wrong" in known
    assert wording.ago(-3) == "3 h ahead of this machine's clock"
    assert wording.ago(24 * 2_912_113) == "2,912,113 days ago"


def test_an_old_file_tells_no_more_than_it_holds(tmp_path: Path) -> None:
    """Of a campaign after which nothing came any more, a page says at which age it knows it."""
    came = {"received_at": "2025-11-01T05:00:00Z", "webhook": "w", "signature": "x"}
    events = [*mail("c", 0, 300), *opens("c", 0, range(60))]
    con = query.connect(loaded_home(tmp_path, [{**came, "event": one} for one in events]))
    known = repr(leads.campaign_limits(rows(con, "campaign_limit")))

    assert "No event of any mail has come since 5 h after its last delivery: if the" in known
    assert "clicked after 5 h" in finding(charts.curve(rows(con, "campaign_curve"), "c"))


@pytest.mark.parametrize(("sent", "told"), [(0, False), (60, True), (110, False)])
def test_a_gap_is_told_of_what_it_may_have_cost(tmp_path: Path, sent: int, told: bool) -> None:
    """A campaign's page tells of a gap that began before it was a day old, and of no other."""
    heard = [*range(0, 72), *range(103, 200)]
    steady = [event("delivered", hour, hour, "steady") for hour in heard]
    con = query.connect(loaded_home(tmp_path, [*steady, event("delivered", 1, sent, "c")]))
    known = repr(leads.campaign_limits(rows(con, "campaign_limit", "c")))

    assert ("delivery began 32 h in which no event of any mail came" in known) is told


# ── campaigns ────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def varied(tmp_path_factory: pytest.TempPathFactory) -> duckdb.DuckDBPyConnection:
    """Campaigns that differ as campaigns do, Yahoo always worse, then one that is like them."""
    events: Events = []
    for number, share in enumerate((180, 260, 200, 300, 240, 160, 280, 220, 290, 170, 250)):
        name = f"c{number}"
        events += mail(name, number, 1000)
        events += mail(name, number, 300, bounced=30, domain="yahoo")
        events += opens(name, number, range(share))
    events += mail("like them", 12, 1000) + opens("like them", 12, range(295))
    events += mail("like them", 12, 300, bounced=31, domain="yahoo")
    events += mail("broken", 13, 1000) + opens("broken", 13, range(20))
    events += mail("broken", 13, 300, bounced=200, domain="yahoo")
    events += mail("test", 14, 3) + opens("test", 14, range(1))
    return query.connect(loaded_home(tmp_path_factory.mktemp("varied"), events))


def stands_out(con: duckdb.DuckDBPyConnection, campaign: str) -> set[str]:
    """The measures in which a campaign is said to be unlike those before it."""
    found = rows(con, "campaign_measure", campaign).filter("stands_out")
    return set(found["measure"])


def test_what_campaigns_always_differ_by_is_no_news(varied: duckdb.DuckDBPyConnection) -> None:
    """A campaign stands out only beyond what those before it differ by, chance or not."""
    measure = rows(varied, "campaign_measure", "like them").filter(measure="open")
    row = measure.row(0, named=True)

    assert not row["rate_lo"] <= row["compared_rate"] <= row["rate_hi"]
    assert stands_out(varied, "like them") == set()
    assert stands_out(varied, "broken") == {"delivery", "bounce", "open"}


@pytest.mark.parametrize(("alike", "told"), [(2, set()), (3, {"delivery", "bounce"})])
def test_two_campaigns_are_no_habit(tmp_path: Path, alike: int, told: set[str]) -> None:
    """With fewer than three campaigns before it none stands out, however alike those are."""
    events = [line for n in range(alike) for line in mail(f"c{n}", n, 400, bounced=4)]
    events += mail("broken", alike, 400, bounced=200)
    con = query.connect(loaded_home(tmp_path, events))

    assert stands_out(con, "broken") == told


@pytest.mark.parametrize(("unattributed", "told"), [(0, {"delivery", "bounce"}), (200, set())])
def test_what_unattributed_bounces_could_turn_round_is_not_told(
    tmp_path: Path, unattributed: int, told: set[str]
) -> None:
    """A campaign that is better does not stand out where bounces of its time make it worse."""
    events = [line for n in range(4) for line in mail(f"c{n}", n, 1000, bounced=99 + n % 2)]
    events += mail("better", 4, 1000, bounced=20)
    events += mail(None, 4, unattributed, bounced=unattributed, domain="yahoo")
    con = query.connect(loaded_home(tmp_path, events))
    bounce = rows(con, "campaign_measure", "better").filter(measure="bounce").row(0, named=True)

    assert bounce["rate"] < bounce["rate_hi"] < bounce["compared_rate"]
    assert bounce["extreme_rate"] == (20 + unattributed) / (1000 + unattributed)
    assert stands_out(con, "better") == told


def test_a_provider_is_named_where_it_is_unlike_itself(
    varied: duckdb.DuckDBPyConnection,
) -> None:
    """The head names no provider that bounces as ever, and calls nothing ordinary that is not."""
    marked = rows(varied, "provider_report", "like them")["bounce_stands_out"]

    assert marked.any()
    assert "no more than usual at any mailbox provider" in head(varied, "like them")
    assert "15.4% bounced, most unlike the usual at Yahoo (66.7% of 300)" in head(varied, "broken")


def test_what_bounces_everywhere_is_not_called_usual(tmp_path: Path) -> None:
    """A campaign that bounces more than those before it, at all providers alike, is told so."""
    places = [(n, name) for n in range(4) for name in ("gmail", "yahoo")]
    events = [one for n, name in places for one in mail(f"c{n}", n, 400, bounced=8, domain=name)]
    for name in ("gmail", "yahoo"):
        events += mail("broken", 4, 400, bounced=160, domain=name)
    con = query.connect(loaded_home(tmp_path, events))

    assert "2.0% bounced, no more than usual at any mailbox provider" in head(con, "c3")
    assert "40.0% bounced, not at one mailbox provider alone." in head(con, "broken")


def test_marks_tell_good_from_bad(varied: duckdb.DuckDBPyConnection) -> None:
    """A provider that is better than its campaign has the colour of better, the other of worse."""
    listed = rows(varied, "provider_report", "broken")
    marks = {
        name: tables.providers(listed.filter(provider=name)).markup.split("Accepted</th>")[1]
        for name in ("gmail", "yahoo")
    }

    assert '"odd' not in marks["gmail"].replace(' odd better"', "")
    assert 'odd better"' in marks["gmail"]
    assert 'odd worse"' in marks["yahoo"]


def test_three_messages_tell_no_difference(varied: duckdb.DuckDBPyConnection) -> None:
    """Against a few messages nothing is significant: differences are grey, not their rates."""
    found = varied.sql("from campaign_difference('test', 24)").pl()
    rates = varied.sql(
        "select m.*, l.campaign_name, l.sent_date, 2 as urls from measured_rate as m "
        "join campaign_list as l using (campaign_id) where m.age_hours = 24 order by l.recency"
    ).pl()
    drawn = charts.forest(rates, "open", "test", "24 h")

    assert found["is_small"].all()
    assert found["q_value"].null_count() == found.height > 10
    assert "nowrap few" in tables.differences(found, "open").markup
    assert '"few"' not in tables.differences(found, "open").markup
    assert "Test was opened most" not in finding(drawn)
    assert "grey: too few to tell" in finding(drawn)


def test_one_test_mail_squeezes_no_plot(varied: duckdb.DuckDBPyConnection) -> None:
    """The axis ends with the campaigns that can be judged, and the lines reach past all of them."""
    plotted, limits = rows(varied, "funnel_plot"), rows(varied, "funnel_limit")
    drawn = charts.funnel_plot(plotted, limits, "open").to_dict()
    scales = [axis["scale"] for axis in _axes(drawn["layer"]) if "scale" in axis]
    sizes = limits.filter(measure="open")["size"]
    nearest = limits.filter(measure="open")["limit_hi_95"].min()

    assert [scale["domain"] for scale in scales] == [[0, pytest.approx(1.05 * nearest)]]
    assert sizes.min() < 3  # type: ignore[operator]
    assert sizes.max() > 1270  # type: ignore[operator]


def test_no_line_lies_where_the_axis_ends(varied: duckdb.DuckDBPyConnection) -> None:
    """A limit above the axis is not drawn along its edge; a dot there is told to be higher."""
    plotted, limits = rows(varied, "funnel_plot"), rows(varied, "funnel_limit")
    high = plotted.with_columns(
        rate=pl.when(campaign_id=pl.lit("test")).then(1.0).otherwise("rate")
    )
    drawn = [charts.funnel_plot(one, limits, "open") for one in (plotted, high)]
    layers = drawn[1].to_dict()["layer"]
    top = next(y["scale"]["domain"][1] for y in _axes(layers) if "scale" in y)
    lines = [layer["mark"] for layer in layers if layer["mark"]["type"] == "line"]
    ends = [
        one["encoding"]["text"]["value"] for one in layers if one["mark"].get("align") == "left"
    ]
    dots = [
        row for data in drawn[1].to_dict()["datasets"].values() for row in data if "height" in row
    ]

    assert [y["scale"]["nice"] for y in _axes(layers) if "scale" in y] == [False]
    assert [line["clip"] for line in lines] == [True] * 4
    assert limits.filter(measure="open")["limit_hi_998"].min() > top
    assert ends == ["95%"]
    assert max(row["height"] for row in dots) == top
    assert ["on the upper edge" in finding(one) for one in drawn] == [False, True]


def test_no_two_words_of_a_legend_look_alike(varied: duckdb.DuckDBPyConnection) -> None:
    """What may lack bounces is hollow, what is too small grey: two greys nobody tells apart."""
    plotted, limits = rows(varied, "funnel_plot"), rows(varied, "funnel_limit")
    lacking = pl.when(campaign_id=pl.lit("c1")).then(pl.lit("unsure")).otherwise("outside")
    drawn = charts.funnel_plot(plotted.with_columns(outside=lacking), limits, "bounce").to_dict()
    dots = next(one["encoding"] for one in drawn["layer"] if "stroke" in one["encoding"])
    fill, edge = (dots[part]["scale"] for part in ("color", "stroke"))
    told = dict(zip(fill["domain"], zip(fill["range"], edge["range"], strict=True), strict=True))

    assert fill["domain"] == edge["domain"]
    assert told["may lack bounces"] == ("white", charts.MUTED)
    assert told["too few to tell"] == (charts.FAINT, "white")


def _axes(layers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [layer["encoding"]["y"] for layer in layers if "y" in layer["encoding"]]


# ── bounces ──────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def bouncing(tmp_path_factory: pytest.TempPathFactory) -> duckdb.DuckDBPyConnection:
    """Thirty days of 1.5 %, two bad ones among them, and days of late bounces alone."""
    events: Events = []
    for day in range(30):
        bad = {9: 116, 20: 44}.get(day, 15 + day % 3)
        events += mail(f"d{day}", 2 * day, 1000, bounced=bad)
    for day in range(3):
        events += mail(None, 2 * day + 61, 250, bounced=250, domain=f"late{day}")
    return query.connect(loaded_home(tmp_path_factory.mktemp("bouncing"), events))


def test_one_bad_day_hides_no_other(bouncing: duckdb.DuckDBPyConnection) -> None:
    """Limits are as wide as ordinary days differ, however far off the worst day is."""
    days = rows(bouncing, "daily_bounce_limit").sort("day")
    odd = days.filter("is_out_of_control")

    assert odd["bounced"].to_list() == [116, 44]
    assert days["spread"][0] < 1.5
    assert "2 of 30 days unusual" in finding(charts.control(days))


@pytest.mark.parametrize(("limit", "top"), [(0.8, 0.21), (0.1, 0.1), (0.05, 0.077)])
def test_limits_far_above_every_day_do_not_press_the_days_down(limit: float, top: float) -> None:
    """The axis of the days ends at their limits, but nowhere above three times the highest day."""
    row = {"attempted": 1000, "delivered": 900, "bounced": 70, "bounce_rate": 0.07}
    judged = {"pooled_rate": 0.04, "limit_lo_998": 0.0, "limit_hi_998": limit}
    flags = {"is_small": False, "is_out_of_control": False}
    day = {"day": date(2026, 3, 1), **row, **judged, **flags}
    drawn = charts.control(pl.DataFrame([day, day | {"bounce_rate": 0.02}])).to_dict()
    scales = [layer["encoding"]["y"].get("scale") for layer in drawn["layer"]]

    assert [scale["domain"] for scale in scales if scale] == [[0, pytest.approx(top)]]


def test_the_first_day_is_not_hidden_by_the_axis(bouncing: duckdb.DuckDBPyConnection) -> None:
    """Where days are dots with intervals, the first stands beside the axis and not upon it."""
    ends = [pl.lit(0.1).alias(f"unsubscribe_rate{end}") for end in ("", "_lo", "_hi")]
    for drawn in (
        charts.control(rows(bouncing, "daily_bounce_limit")),
        charts.unsubscribes(rows(bouncing, "daily_report").with_columns(ends)),
    ):
        assert not isinstance(drawn, page.Html)
        axes = [layer["encoding"]["x"] for layer in drawn.to_dict()["layer"]]

        assert [axis["scale"]["padding"] > 5 for axis in axes] == [True] * len(axes)


def test_of_days_alike_the_first_is_the_busiest() -> None:
    """The same days make the same title each time."""
    days = [
        {"day": date(2026, 3, day), "outcome": "accepted", "messages": 9} for day in range(1, 31)
    ]
    drawn = charts.volume(pl.DataFrame(days).with_columns(outcome_share=1.0), pl.DataFrame())

    assert "most on Sun 01 Mar 2026: 9" in finding(drawn)


def test_a_day_of_bounces_alone_is_no_rate(bouncing: duckdb.DuckDBPyConnection) -> None:
    """Days without a delivery widen and judge nothing, and are counted where they are left out."""
    days = rows(bouncing, "daily_bounce_limit").sort("day")
    said = repr(
        leads.bounced(rows(bouncing, "bounce_total"), rows(bouncing, "provider_total"), days)
    )

    assert 0.015 <= days["pooled_rate"][0] <= 0.017
    assert "left out: 750 bounces on 3 days without a delivery" in finding(charts.control(days))
    assert "on 3 more days mail bounced and none was delivered (750)" in said


def test_what_bounces_nobody_can_place_stands_on_the_tile(tmp_path: Path) -> None:
    """A rate that unattributed bounces may change beyond its interval is not said without that."""
    events = mail("known", 0, 1000) + mail(None, 0, 60, bounced=60, domain="yahoo")
    con = query.connect(loaded_home(tmp_path, events))
    markup = page.tiles(rows(con, "campaign_measure", "known").sort("measure_number")).markup
    drawn = charts.funnel(
        rows(con, "campaign_funnel", "known"), rows(con, "campaign_list", "known")
    )

    assert "94.3% with all unattributed bounces of its time" in markup
    assert "5.7% with all unattributed bounces of its time" in markup
    assert "and up to 60 unattributed bounces more" in finding(drawn)


def test_reasons_that_are_as_common_are_told_together(tmp_path: Path) -> None:
    """No reason is called the commonest that shares its number with another."""
    events = [
        event("bounce", 10 * n + k, 1, "c", bounce_category=word)
        for n, word in enumerate(("quota-issues", "bad-mailbox"))
        for k in range(3)
    ]
    total = rows(query.connect(loaded_home(tmp_path, events)), "bounce_total")

    assert "bad-mailbox and 1 other reason are the commonest, each: 3 of 6" in finding(
        charts.bounces(total)
    )


def test_small_shares_do_not_jump() -> None:
    """Rates that hardly differ are written so, where one decimal becomes two."""
    written = [wording.percent(n / 100_000) for n in (1, 49, 50, 94, 96, 150)]

    assert written == ["<0.01%", "0.05%", "0.05%", "0.09%", "0.1%", "0.1%"]
