"""What pages say in words: nothing that the numbers beside them do not bear out."""

from datetime import date
from pathlib import Path

import duckdb
import polars as pl
import pytest

from loader import charts, leads, notebook, page, query, tables, wording
from loader.demo import CAMPAIGN_TABLE
from loader.kernel import kernel_environment
from loader.settings import Settings
from tests.marts import at, database, put, refresh
from tests.pages import Events, event, finding, head, loaded_home, rows, sent


def world() -> Events:
    """Campaigns of every kind that once were told wrongly, a day apart."""
    clicks = [
        event("click", person, 24, "machines", url=f"https://x.example/{letter}")
        for person in range(9)
        for letter in "abcd"
    ]
    return [
        *sent("lost", 40, 0, bounced=40, bounce_category="spam-related"),
        *sent("machines", 300, 24),
        *clicks,
        *sent("quiet", 300, 48),
        *sent("mixed", 300, 48),
        *(event("open", person, 49, "mixed") for person in range(60)),
        *(event("delivered", 1000 + n, 72, "odd") for n in range(300)),
        *(event("delivered", 2000 + n, 72, "odd", domain="yahoo") for n in range(20)),
        *(event("bounce", 3000 + n, 72, "odd", domain="yahoo") for n in range(30)),
        *(event("bounce", n, 72, None, bounce_category="quota-issues") for n in range(5)),
        event("delivered", 1, 480, "tiny"),
        event("bounce", 2, 480, "tiny"),
        event("open", 1, 481, "tiny"),
    ]


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home with that world."""
    return loaded_home(tmp_path_factory.mktemp("odd"), world())


@pytest.fixture
def con(odd: Settings) -> duckdb.DuckDBPyConnection:
    """A connection to it."""
    return query.connect(odd)


@pytest.fixture(scope="module")
def sample(home: Settings) -> duckdb.DuckDBPyConnection:
    """A connection to the published sample."""
    return query.connect(home)


def limits(con: duckdb.DuckDBPyConnection, campaign: str) -> str:
    """What stands at the end of it."""
    return repr(leads.campaign_limits(rows(con, "campaign_limit", campaign)))


def test_a_wholly_bounced_campaign_is_told_as_one(con: duckdb.DuckDBPyConnection) -> None:
    """Where nothing was accepted the page says that first, and nothing of opens or tracking."""
    said, known = head(con, "lost"), limits(con, "lost")
    drawn = charts.funnel(rows(con, "campaign_funnel", "lost"), rows(con, "campaign_list", "lost"))

    assert "None of 40 messages was accepted: 40 bounced" in said
    assert finding(drawn).startswith("None was accepted ")
    assert "nobody could open" in known
    assert "5 bounces of all mail came without a campaign" in known
    assert "–" not in said + known  # noqa: RUF001


@pytest.mark.parametrize(
    ("moments", "said"),
    [
        (("2026-10-25 00:30", "2026-10-25 01:40"), "sent Sun 25 Oct 2026 02:30 to 02:40 Eur"),
        (("2026-10-25 00:50", "2026-10-25 01:10"), "sent Sun 25 Oct 2026 02:50 Eur"),
        (("2026-03-29 00:50", "2026-03-29 01:10"), "sent Sun 29 Mar 2026 01:50 Eur"),
    ],
)
def test_a_change_of_clocks_makes_no_sending_longer(moments: tuple[str, str], said: str) -> None:
    """That sending took over an hour is told by the hours that passed, not by the clock's."""
    con = database("Europe/Amsterdam")
    for number, moment in enumerate(moments):
        put(con, "delivered", id=f"m{number}", to=f"p{number}@web.de", at=moment, campaign_id="A")
    refresh(con)
    frames = ("campaign_list", "campaign_measure", "provider_report")

    assert said in leads.campaign(*(rows(con, view, "A") for view in frames)).markup


def test_the_interval_decides_which_provider_stands_out(con: duckdb.DuckDBPyConnection) -> None:
    """A provider far off is named and marked however small; without enough mail none is alike."""
    odd = rows(con, "provider_report", "odd")

    assert "8.6% bounced, most unlike the usual at Yahoo (60.0% of 50)" in head(con, "odd")
    assert "odd" in tables.providers(odd.filter(provider="yahoo")).markup.split("Accepted</th>")[1]
    assert "too few to tell mailbox providers apart" in head(con, "tiny")


def test_untracked_is_said_and_never_drawn_as_zero(con: duckdb.DuckDBPyConnection) -> None:
    """A campaign without any tracked event has no stage, rate or title about opens."""
    stages = rows(con, "campaign_funnel", "quiet").sort("stage_number")

    assert stages["messages"].to_list() == [300, 300, None, None, None]
    assert "not tracked" in finding(charts.funnel(stages, rows(con, "campaign_list", "quiet")))
    assert "not tracked" in repr(page.tiles(rows(con, "campaign_measure", "quiet")).markup)


def test_rates_of_all_mail_are_of_what_is_tracked(con: duckdb.DuckDBPyConnection) -> None:
    """Over all mail people's opens are of tracked accepted messages, and the rest is counted."""
    period = rows(con, "period_measure").sort("measure_number")
    opened = period.row(2, named=True)
    tracked = con.sql(
        "select sum(accepted) filter (is_tracked), sum(accepted) filter (not is_tracked) "
        "from campaign_report"
    ).fetchall()[0]
    by_provider = rows(con, "provider_total").select("tracked_accepted", "accepted").sum().row(0)

    assert (opened["denominator"], opened["untracked"]) == tracked == (601, 620)
    assert by_provider == (601, 1221)
    assert "61 of 601 tracked; 620 untracked" in page.tiles(period).markup


def test_a_day_of_untracked_mail_has_no_rate(tmp_path: Path) -> None:
    """A day on which nothing tracked was delivered has NULL, a mixed day its accepted."""
    events = [*sent("quiet", 4, 0), *sent("mixed", 4, 24), event("open", 1, 25, "mixed")]
    con = query.connect(loaded_home(tmp_path, [*events, *sent("mute", 4, 24)]))
    days = con.sql("select accepted, tracked_accepted, open_rate from daily_report order by day")

    assert days.fetchall() == [(4, 0, None), (8, 4, 0.125)]


def test_a_reference_too_young_is_named_as_the_cause(odd: Settings) -> None:
    """03 opens on the newest campaign of the age, and says when a chosen one is too young."""
    opened = notebook.open_warehouse(kernel_environment(odd, {}))
    chosen = opened.frame("select * replace (2.0 as age_hours) from campaign_list limit 1")
    none = opened.frame("from campaign_difference('tiny', 24) limit 0")
    said = repr(leads.compared(none, chosen, 24))
    ages = opened.frame("select age_hours from campaign_list where campaign_id = 'mixed'")

    assert "This campaign itself has not reached 24 h yet" in said
    assert notebook.pick(opened, "").campaign_id == "tiny"
    assert notebook.pick(opened, "", ages["age_hours"][0]).campaign_id in {"mixed", "quiet"}
    assert notebook.pick(opened, "tiny", ages["age_hours"][0]).campaign_id == "tiny"


def test_a_campaign_that_is_not_there_is_said_beside_the_list(odd: Settings) -> None:
    """A name that means no campaign is told in JupyterLab too, not answered with another's page."""
    opened = notebook.open_warehouse(kernel_environment(odd, {}))
    said = notebook.pick(opened, "tny<").markup

    assert "No campaign has the id or name &quot;tny&lt;&quot;: did you mean &quot;Tiny" in said
    assert "Below is the newest." in said
    assert 'class="ld note' not in notebook.pick(opened, "tiny").markup


def test_an_answer_shows_its_rows(odd: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame of a hundred rows is shown whole in a notebook, unless its reader chose otherwise."""
    monkeypatch.delenv("POLARS_FMT_MAX_ROWS", raising=False)
    with pl.Config():
        frame = notebook.open_warehouse(kernel_environment(odd, {})).frame("from range(100)")
        whole = frame._repr_html_().count("<tr>")
        pl.Config.set_tbl_rows(4)
        notebook.open_warehouse(kernel_environment(odd, {}))
        chosen = frame._repr_html_().count("<tr>")

    assert (whole, chosen) == (102, 7)


def test_unattributed_bounces_stand_on_every_page(con: duckdb.DuckDBPyConnection) -> None:
    """What no campaign is known of has its row, its sentence and its part of the chart's title."""
    lost = con.sql("from campaign_report where campaign_id is null").pl()
    listed = rows(con, "campaign_list")
    total = rows(con, "bounce_total").sort("bounced", descending=True)
    said = leads.bounced(total, rows(con, "provider_total"), rows(con, "daily_bounce_limit"))
    subtitle = charts.bounces(total).to_dict()["title"]["subtitle"]

    assert "no campaign known" in tables.campaigns(listed, lost).markup
    assert listed["bounced"].sum() + lost["bounced"].sum() == total["bounced"].sum()
    assert "76 bounces of 1,297 messages, 5 of them without a campaign." in repr(said)
    assert "5 bounces without a campaign" in " ".join(subtitle)


def test_the_commonest_reason_is_not_most(con: duckdb.DuckDBPyConnection) -> None:
    """A reason is called the commonest, with its count, and what to do is a sentence."""
    total = rows(con, "bounce_total").sort("bounced", descending=True)
    said = repr(leads.bounced(total, rows(con, "provider_total"), rows(con, "daily_bounce_limit")))
    advice = con.sql("select advice from bounce_class").fetchall()
    table = tables.advice(total).markup

    assert "Most at" in table
    assert 'Gmail <span class="dim">40</span>' in table
    assert "Most at" not in tables.advice(rows(con, "bounce_category")).markup
    assert (
        "reason is spam-related (40 bounces, all of them at Gmail, the last on Sat 01 Nov 2025). "
        "Mend the" in said
    )
    assert all(text[0].isupper() and text.endswith(".") for (text,) in advice)


def test_links_that_only_machines_followed_are_nobodys(con: duckdb.DuckDBPyConnection) -> None:
    """Where no person clicked, no link is said to have drawn or been followed by people."""
    links = rows(con, "link_report", "machines")
    said = repr(leads.clicked(links, rows(con, "campaign_limit", "machines")))

    assert links["clicked"].sum() > 0 == links["clicked_human"].sum()
    assert "No link was followed by a person" in said
    assert "No link was followed by a person" in finding(charts.links(links))


def test_rates_of_few_messages_are_grey_in_every_table(con: duckdb.DuckDBPyConnection) -> None:
    """Links of a campaign, and codes at a provider, of fewer than 200 messages are greyed out."""
    links, codes = rows(con, "link_report"), rows(con, "dsn_total")
    large, small = codes.filter(~pl.col("is_small")), codes.filter("is_small")

    assert links["campaign_id"].unique().to_list() == ["machines"]
    assert 'class="few' not in tables.links(links).markup
    assert 'class="few' in tables.links(links.with_columns(is_small=pl.lit(True))).markup
    assert small["attempted"].max() < 200 <= large["attempted"].min()
    assert 'class="few' in tables.codes(small).markup
    assert 'class="few' not in tables.codes(large).markup


def test_links_say_whose_first_click_they_were(sample: duckdb.DuckDBPyConnection) -> None:
    """At the end of each link's bar stands its share of people's first clicks, on paper too."""
    listed = sample.sql("from link_report order by clicked desc").pl()
    listed = listed.filter(campaign_id=listed["campaign_id"][0])
    drawn = charts.links(listed).to_dict()
    shares = {row["first"] for data in drawn["datasets"].values() for row in data}
    texts = [layer["encoding"]["text"]["field"] for layer in drawn["layer"][2:]]

    assert texts == ["first"]
    assert shares == set(map(wording.percent, listed["first_click_human_share"]))


def test_links_of_one_site_are_told_apart() -> None:
    """Long links that begin alike are written with both ends, and told whole by the numbers."""
    urls = [f"https://shop.example/{'a-long-path/' * 6}{page}" for page in ("shoes", "hats")]
    counts = {"clicked": 9, "clicked_human": 8, "accepted": 90, "first_click_human_share": 0.5}
    rates = dict.fromkeys(("click_human_rate", "click_human_rate_lo", "click_human_rate_hi"), 0.1)
    drawn = charts.links(pl.DataFrame([{"url": url, **counts, **rates} for url in urls]))
    assert not isinstance(drawn, page.Html)
    (shown,) = drawn.to_dict()["datasets"].values()

    assert [row["label"][-9:] for row in shown] == ["ath/shoes", "path/hats"]
    assert max(len(row["label"]) for row in shown) == 48
    assert [row["link"] for row in shown] == [url.removeprefix("https://") for url in urls]
    assert "shoes drew the most people: 8" in finding(drawn)

    table = tables.links(pl.DataFrame([{"url": url, **counts, **rates} for url in urls]))
    assert all(f"{page}</a>" in table.markup for page in ("shoes", "hats"))


def test_a_tile_reconciles(sample: duckdb.DuckDBPyConnection) -> None:
    """A tile says by whom, with the gross rate, and the rate at the age it is compared at."""
    row = sample.sql(
        "from campaign_measure where measure = 'open' and difference is not null "
        "and abs(same_age_rate - rate) > 0.001 limit 1"
    ).pl()
    tile = page.tiles(row).markup
    then, gross = (f"{row[name][0]:.1%}" for name in ("same_age_rate", "gross_rate"))

    assert "Opened by people" in tile
    assert f"{gross} with machines" in tile
    assert f"{then} at " in tile
    assert row["difference"][0] == pytest.approx(row["same_age_rate"][0] - row["compared_rate"][0])


def test_gross_and_people_stand_side_by_side(sample: duckdb.DuckDBPyConnection) -> None:
    """The demo's table has opens and clicks of all and by people; page tables say by whom."""
    names = sample.sql(CAMPAIGN_TABLE).columns
    table = tables.campaigns(rows(sample, "campaign_list")).markup

    assert {"open %", "human open %", "click %", "human click %"} <= set(names)
    assert "Opened by people" in table
    assert "with machines" in table


def test_one_row_is_not_sorted(sample: duckdb.DuckDBPyConnection) -> None:
    """A table of one row has no heading to sort by, and the keyboard reaches it all the same."""
    listed = rows(sample, "campaign_list")
    several, one = tables.campaigns(listed).markup, tables.campaigns(listed.head(1)).markup

    assert 'class="ld-table ld-sortable"' in several
    assert 'class="ld-table"' in one
    assert ('tabindex="0"' in several, 'tabindex="0"' in one) == (False, True)


def test_few_events_do_not_stand_out(tmp_path: Path) -> None:
    """Two of 900 against none do not stand out, sixty do; nor bounces that others may join."""
    events = [line for n in range(4) for line in sent(f"c{n}", 900, n * 24, bounced=18)]
    events += [event("open", 20, n * 24 + 1, f"c{n}") for n in range(4)]
    events += [event("bounce", 5000 + n, 150, None) for n in range(15)]
    for name, hour, gone in (("two", 150, 2), ("sixty", 151, 60)):
        events += [*sent(name, 900, hour), event("open", 20, hour, name)]
        events += [
            event("subscription_changed", n, hour, name, change="unsubscribe") for n in range(gone)
        ]
    con = query.connect(loaded_home(tmp_path, events))
    found = con.sql("select campaign_id, measure from campaign_measure where stands_out").fetchall()

    assert ("sixty", "unsubscribe") in found
    assert {measure for campaign, measure in found if campaign == "two"} == set()
    assert not {measure for _, measure in found} & {"bounce", "delivery"}


def ranked(measure: str, anna: float, ben: float, urls: int = 2) -> pl.DataFrame:
    """Anna's and Ben's rate, each known to three points."""
    named = {"campaign_id": ["a", "b"], "campaign_name": ["Anna", "Ben"], "rate": [anna, ben]}
    return pl.DataFrame(named).with_columns(
        rate_lo=pl.col("rate") - 0.03,
        rate_hi=pl.col("rate") + 0.03,
        sent_date=date(2025, 11, 1),
        measure=pl.lit(measure),
        is_small=False,
        urls=urls,
    )


def winner(rates: pl.DataFrame) -> str:
    """What a chart of them finds."""
    return finding(charts.forest(rates, rates["measure"][0], "b", "24 h"))


def test_a_winner_is_named_only_where_intervals_say_so() -> None:
    """The highest of several rates is the finding only if its interval stands clear."""
    near, clear = ranked("open", 0.31, 0.30), ranked("open", 0.31, 0.20)

    assert "Anna" not in winner(near)
    assert "does not stand clear" in winner(near)
    assert "Anna was opened most: 31.0%" in winner(clear)
    assert winner(near.head(1)).startswith("31.0% opened ")


def test_a_dot_on_the_edge_is_told_to_be_higher() -> None:
    """Where campaigns too small to judge lie beyond the axis, which does not go on, it is said."""
    near = ranked("open", 0.31, 0.30)
    small = near.with_columns(
        is_small=pl.col("campaign_id") == "a", rate=pl.col("rate").replace(0.31, 0.9)
    )
    drawn = charts.forest(small, "open", "b", "24 h")
    assert not isinstance(drawn, page.Html)
    (scale,) = [one["encoding"]["x"]["scale"] for one in drawn.to_dict()["layer"][1:2]]

    assert "on the right edge: higher" in finding(drawn)
    assert (scale["domainMax"], scale["nice"]) == (pytest.approx(0.33), False)
    assert "on the right edge" not in winner(near)


def test_one_link_is_said_where_clicks_are_ranked() -> None:
    """A campaign that leads by clicks on its only link is told with that."""
    assert "Anna (on one link) was clicked most" in winner(ranked("click", 0.3, 0.1, urls=1))


def test_the_mart_says_which_run_stands_for_longer_ones() -> None:
    """A run of soft bounces is called that or more where the mart says so, and nowhere else."""
    runs = {"soft_bounces_in_a_row": [1, 7, 9], "recipients": [5, 3, 2]}
    frame = pl.DataFrame({**runs, "is_or_more": [False, False, True]})

    assert "2 recipients bounced 9 or more times in a row" in finding(charts.soft_runs(frame))
    assert "3 recipients bounced 7 times in a row" in finding(charts.soft_runs(frame.head(2)))
    assert "5 recipients bounced once" in finding(charts.soft_runs(frame.head(1)))


def test_what_is_loaded_is_not_denied(con: duckdb.DuckDBPyConnection) -> None:
    """Freshness says when was loaded though no line says when it came; nothing shows a dash."""
    freshness = rows(con, "freshness")
    said = [
        leads.start(freshness),
        leads.data_limits(freshness),
        leads.campaign(*[pl.DataFrame()] * 3),
    ]

    assert "loaded" in repr(said[0])
    assert "The data was loaded" in repr(said[1])
    assert "Nothing has been loaded" not in repr(said[2])
    assert not [text for text in map(repr, said) if "–" in text or "`" in text]  # noqa: RUF001


def test_limits_tell_of_orphans_and_of_rates_that_still_rise() -> None:
    """Every page over all mail says what counts in no rate, and whose rates are not ripe yet."""
    con = database()
    for day, clock in enumerate(("2026-03-01", "2026-03-30", "2026-03-31"), start=1):
        put(con, "delivered", id=f"m{day}", at=f"{clock} 10:00:00", campaign_id=f"c{day}")
    con.execute("insert into ingest_ledger by name select timestamp '2026-04-01' as finished_at")
    at(con, "2026-04-01 12:00:00")
    refresh(con)
    quiet = leads.data_limits(rows(con, "freshness")).plain
    put(con, "open", id="lost", at="2026-03-31 11:00:00")
    refresh(con)

    assert "The rates of 2 campaigns still rise: from 72 h" in quiet
    assert "no known message" not in quiet
    assert "1 event reached no known message and counts in no rate." in (
        leads.data_limits(rows(con, "freshness")).plain
    )
    at(con, "2026-04-09 12:00:00")
    assert "still rise" not in leads.data_limits(rows(con, "freshness")).plain


def test_nothing_to_check_is_not_fine(tmp_path: Path) -> None:
    """A check of 0 of 0 says so, and what needs a look stands with its numbers."""
    con = query.connect(loaded_home(tmp_path, [event("bounce", n, 0, None) for n in range(9)]))
    checks, freshness = rows(con, "quality_total"), rows(con, "freshness")
    said = repr(leads.quality(checks, freshness))

    assert "nothing to check" in tables.checks(checks).markup
    assert "No open or click has come" in said
    assert "bounces without a campaign (9 of 9)" in said


def test_few_opens_tell_no_hour_and_no_haste() -> None:
    """When people react is told only of opens enough, and how soon with how many it rests on."""
    quantiles = pl.DataFrame(
        {
            "campaign_name": ["newest", "older"],
            "kind": ["open", "open"],
            "reacted": [3, 4000],
            "p50_hours": [1.0, 2.0],
            "is_small": [True, False],
            "maturity": ["comparable", "comparable"],
        }
    )
    cells = pl.DataFrame(
        {
            "weekday": [1, 2],
            "hour": [9, 23],
            "opens_human": [100, 99],
            "open_human_share": [0.5, 0.49],
            "open_is_small": True,
        }
    )
    enough = cells.with_columns(open_is_small=False)
    few = str(leads.timing(cells, quantiles.head(1)).markup)
    told = str(leads.timing(enough, quantiles).markup)
    tied = str(leads.timing(enough.with_columns(opens_human=100), quantiles).markup)

    assert "No campaign has enough opens to tell how soon they come. Too few opens to tell a" in few
    assert "Half of the 4,000 first opens of older came within" in told
    assert f"The busiest hour for opens is Monday {wording.hour(9)}, with 50.0% of them" in told
    assert "No hour has more opens than every other" in tied


def test_many_campaigns_stop_no_page(tmp_path: Path) -> None:
    """Of thousands of campaigns those are drawn that stand out, and the newest are offered."""
    small = [e for n in range(5200) for e in sent(f"small {n}", 1, n // 100, bounced=n % 50 == 0)]
    home = loaded_home(tmp_path, [*small, *sent("broken", 40, 0, bounced=30)])
    opened = notebook.open_warehouse(kernel_environment(home, {}))
    plotted, limits = opened.frame("from funnel_plot"), opened.frame("from funnel_limit")
    drawn = charts.funnel_plot(plotted, limits, "bounce").to_dict()
    picker = notebook.pick(opened, "broken")
    assert charts.outside(plotted, "bounce")["campaign_id"].to_list() == ["broken"]
    dots = max(drawn["datasets"].values(), key=len)

    assert drawn["title"]["text"][0].startswith("1 of 5,201 campaigns has a bounce rate")
    assert (len(dots), dots[0]["campaign_name"]) == (2000, "Broken")
    assert picker.campaign_id == "broken"
    assert picker.markup.count("<option") == 1001
    assert "newest 1,000 of 5,201" in picker.markup
