"""Senders unlike the simulated ones: what pages say of them is true, and of use to them."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
import vl_convert

from loader import charts, leads, look, notebook, page, query, tables, wording
from loader.kernel import kernel_environment
from tests.pages import event, finding, loaded_home, rows, sent


@pytest.fixture(scope="module")
def nameless(tmp_path_factory: pytest.TempPathFactory) -> duckdb.DuckDBPyConnection:
    """Mail of an application: no message names a campaign, and but one of its opens does."""
    events = [event("open", 1, 3, "stray", message_id="1@app.example")]
    for person in range(300):
        where = {"message_id": f"{person}@app.example"}
        kind = "delivered" if person % 50 else "bounce"
        events.append(event(kind, person, person % 24, None, **where))
        if person % 3 == 1:
            events.append(event("open", person, person % 24 + 1, None, **where))
            events.append(event("click", person, person % 24 + 1, None, url="/", **where))
    return query.connect(loaded_home(tmp_path_factory.mktemp("nameless"), events))


def overview(con: duckdb.DuckDBPyConnection) -> str:
    """What stands at the top of the page of all campaigns."""
    period = rows(con, "period_measure").sort("measure_number")
    return repr(leads.overview(rows(con, "freshness"), period, rows(con, "funnel_plot")))


def test_mail_without_campaigns_is_not_denied(nameless: duckdb.DuckDBPyConnection) -> None:
    """Where no message names a campaign, no page says that nothing was sent, bounced or clicked."""
    cells, none = rows(nameless, "weekday_hour_report"), rows(nameless, "human_reaction")
    links, limits = rows(nameless, "link_report"), rows(nameless, "campaign_limit")
    said = [
        leads.campaign(*(rows(nameless, view) for view in ("campaign_list",) * 3)),
        leads.timing(cells, none),
        charts.delays(none, "open"),
        leads.clicked(links.clear(), limits),
        charts.links(links.clear()),
        tables.links(links.clear()),
        page.tiles(rows(nameless, "campaign_measure")),
        tables.providers(rows(nameless, "provider_report").clear()),
        tables.advice(rows(nameless, "bounce_category").clear()),
    ]
    told = " ".join(map(finding, said))

    assert "no message names a campaign, so none is told apart" in overview(nameless)
    assert "could not be attributed" not in overview(nameless)
    assert not [word for word in ("Nothing", "has been recorded", "yet") if word in told]
    assert "Too few opens" in told


def test_bounces_of_mail_without_campaigns_are_no_fault(
    nameless: duckdb.DuckDBPyConnection,
) -> None:
    """Where no delivery names a campaign, its lack asks for no look and blames no campaign."""
    checks = rows(nameless, "quality_total").filter(check_number=4)
    (warning,) = rows(nameless, "warnings").filter(topic="unattributed bounces").to_dicts()
    total, days = rows(nameless, "bounce_total"), rows(nameless, "daily_bounce_limit")
    said = repr(leads.bounced(total, rows(nameless, "provider_total"), days))

    assert checks.select("found", "of_all", "needs_attention").row(0) == (6, 6, False)
    assert warning["severity"] == "note"
    assert warning["sentence"].endswith("no delivery that does: they count in all mail only.")
    assert "6 bounces of 300 messages, without a campaign." in said


def test_no_campaign_has_no_tick(nameless: duckdb.DuckDBPyConnection) -> None:
    """The volume speaks of ticks below it where there are some."""
    days, listed = rows(nameless, "daily_outcome_report"), rows(nameless, "campaign_list")

    assert "tick" not in " ".join(charts.volume(days, listed).to_dict()["title"]["subtitle"])


# ── what the webhook does not send ───────────────────────────────────────────────────────────

NO_DELIVERY = "No delivered event has ever come"


def test_reactions_alone_are_told_as_such(tmp_path: Path) -> None:
    """Where only opens and clicks come, pages name what is missing and deny none of what came."""
    events = [event("open", person, 1, "a") for person in range(30)]
    events += [event("click", person, 2, "a", url="/") for person in range(9)]
    con = query.connect(loaded_home(tmp_path, events))
    freshness, checks = rows(con, "freshness"), rows(con, "quality_total")
    told = [
        overview(con),
        repr(leads.start(freshness)),
        repr(leads.quality(checks, freshness)),
        repr(leads.data_limits(freshness)),
        *rows(con, "warnings")["sentence"],
    ]
    cells, listed = rows(con, "weekday_hour_report"), rows(con, "campaign_list")
    empty = [
        leads.timing(cells, rows(con, "human_reaction")),
        charts.hours(cells, "open", "UTC"),
        charts.volume(rows(con, "daily_outcome_report"), listed),
        tables.campaigns(listed),
        leads.campaign(listed, listed, listed),
    ]

    assert sum(NO_DELIVERY in said for said in told) == 5
    assert not [
        word
        for word in ("has been recorded", "has been seen", "been sent", "loaded names")
        if word in " ".join(map(repr, empty))
    ]


def test_bounces_alone_are_told_as_such(tmp_path: Path) -> None:
    """Where only bounces come, the overview asks for the deliveries, and the newest stand first."""
    events = [event("bounce", person, day, f"day {day}") for day in range(9) for person in range(3)]
    con = query.connect(loaded_home(tmp_path, events))
    listed = rows(con, "campaign_list").sort("recency")

    assert "27 were attempted, none accepted; no campaign" in overview(con)
    assert NO_DELIVERY in overview(con)
    assert "of 0" not in page.tiles(rows(con, "period_measure")).markup
    assert listed["campaign_id"].to_list() == [f"day {day}" for day in reversed(range(9))]


# ── few, small and refused ───────────────────────────────────────────────────────────────────


def drawn(chart: Any) -> dict[str, Any]:
    """The specification of a chart."""
    spec: dict[str, Any] = chart.to_dict()
    return spec


def test_one_event_is_no_events(tmp_path: Path) -> None:
    """What there is one of is told in the singular."""
    refused = event("bounce", 1, 0, "a", bounce_category="bad-mailbox")
    con = query.connect(loaded_home(tmp_path, [refused]))
    total, providers = rows(con, "bounce_total"), rows(con, "provider_total")

    assert "1 event on 1 day" in finding(charts.arrivals(rows(con, "data_quality")))
    assert leads.start(rows(con, "freshness")).markup.count("1 event ·") == 1
    assert "1 bounce of 1 message." in repr(
        leads.bounced(total, providers, rows(con, "daily_bounce_limit"))
    )


def test_a_refused_campaign_is_not_too_young(tmp_path: Path) -> None:
    """A campaign of which nothing was delivered is told as one, and its plot ends at all."""
    con = query.connect(loaded_home(tmp_path, sent("lost", 40, 0, bounced=40)))
    listed = rows(con, "campaign_list")
    said = repr(leads.compared(con.sql("from campaign_difference('lost', 24)").pl(), listed, 24))
    plot = charts.funnel_plot(rows(con, "funnel_plot"), rows(con, "funnel_limit"), "bounce")
    tops = [layer["encoding"]["y"].get("scale") for layer in drawn(plot)["layer"]]

    assert "Nothing of this campaign was delivered, so nothing is compared with it." in said
    assert [top["domain"] for top in tops if top] == [[0, 1.05]]


def test_one_delay_has_an_axis() -> None:
    """Where all delays are alike the log axis of the delays is as wide as it must be to be read."""
    row = {"campaign_name": "a", "sent_date": None, "kind": "open", "reacted": 1, "is_small": True}
    alike = {f"p{share}_hours": 0.25 for share in (10, 25, 50, 75, 90)}
    spec = drawn(charts.delays(pl.DataFrame([row | alike | {"maturity": "comparable"}]), "open"))
    scales = [layer["encoding"]["x"].get("scale", {}) for layer in spec["layer"]]

    assert [scale["domain"] for scale in scales if scale] == [[0.125, 0.5]]


def test_delays_are_written_apart_and_none_for_nothing_left_out() -> None:
    """Of the ticks of a log axis those are not written that touch another, and only those."""
    look.enable()
    row = {"campaign_name": "a", "sent_date": None, "kind": "open", "reacted": 99}
    quantiles = dict(zip((10, 25, 50, 75, 90), (0.05, 0.3, 1.0, 9.0, 200.0), strict=True))
    spread = {f"p{share}_hours": hours for share, hours in quantiles.items()}
    told = pl.DataFrame([row | spread | {"is_small": False, "maturity": "comparable"}])
    svg = vl_convert.vegalite_to_svg(charts.delays(told, "open").to_dict(), vl_version="5.8")
    ticks = re.findall(r"<text([^>]*)>(\d+ (?:min|h|d))</text>", svg)

    assert [tick for style, tick in ticks if 'opacity="0"' not in style] == [
        *("5 min", "15 min", "1 h", "2 h", "4 h", "8 h", "1 d", "3 d", "7 d"),
    ]


def test_small_campaigns_are_compared_all_the_same(tmp_path: Path) -> None:
    """Where all campaigns of an age are small, the newest of them is compared, none too young."""
    events = [*sent("old", 30, 0), *sent("older", 30, -24), event("open", 1, 1, "old")]
    young = f"{datetime.now(UTC) - timedelta(hours=2):%Y-%m-%dT%H:%M:%SZ}"
    home = loaded_home(tmp_path, [*events, *sent("new", 30, 0, timestamp=young)])
    opened = notebook.open_warehouse(kernel_environment(home, {}))

    assert notebook.pick(opened, "").campaign_id == "new"
    assert notebook.pick(opened, "", 24).campaign_id == "old"


def test_one_link_clicked_is_not_one_link_sent(tmp_path: Path) -> None:
    """Which links a mail had nobody knows: where one was clicked, pages say that and no more."""
    events = [*sent("a", 30, 0), event("click", 1, 2, "a", url="https://x.example/1")]
    con = query.connect(loaded_home(tmp_path, events))
    limits, listed = rows(con, "campaign_limit"), rows(con, "campaign_list")
    differences = con.sql("from campaign_difference('a', 24)").pl()
    links = rows(con, "link_report").with_columns(urls=pl.lit(1))
    said = [
        leads.campaign_limits(limits).plain,
        leads.clicked(links, limits).plain,
        leads.data_limits(rows(con, "freshness")).plain,
        tables.links(links, named=True).markup,
    ]

    assert all("one link" in text.lower() and "clicked" in text for text in said)
    assert not [text for text in said if "has one link" in text or "with one link" in text]
    assert "one link" not in repr(leads.compared(differences, listed, 24))


def test_a_category_of_several_classes_has_one_label() -> None:
    """Bars of one category stand end to end, with their sum behind them and in the title."""
    named = {"bounce_category": "other", "attempted": 900, "unattributed": 0}
    rates = dict.fromkeys(("bounce_rate", "bounce_rate_lo", "bounce_rate_hi"), 0.01)
    categories = pl.DataFrame(
        [
            {**named, **rates, "bounce_class": "hard", "bounced": 9},
            {**named, **rates, "bounce_class": "soft", "bounced": 8},
            {**named, **rates, "bounce_category": "spam-related", "bounce_class": "block",
             "bounced": 10},
        ]
    )  # fmt: skip
    chart = charts.bounces(categories)
    labels = [
        row["label"] for rows in drawn(chart)["datasets"].values() for row in rows if "label" in row
    ]

    assert labels == ["17 in 2 classes", "10 · 1.0%"]
    assert finding(chart).startswith("other is the commonest reason: 17 of 27 bounces ")


def test_a_blank_category_is_none(tmp_path: Path) -> None:
    """A category of nothing, or of spaces, is told with those that name no category."""
    events = [event("bounce", n, 0, "a", bounce_category=" " * n) for n in range(3)]
    con = query.connect(loaded_home(tmp_path, [*events, event("bounce", 3, 0, "a")]))

    for view in ("bounce_total", "bounce_category"):
        assert rows(con, view)["bounce_category"].to_list() == ["no category"]
        assert rows(con, view)["bounced"].to_list() == [4]


def test_a_long_category_leaves_room_for_what_to_do() -> None:
    """A category of the provider's own words, however long, does not push the advice away."""
    row = {"bounce_category": "x" * 400, "bounce_class": "hard", "bounced": 1, "advice": "Stop."}
    markup = tables.advice(pl.DataFrame([row | {"commonest_dsn_status": None}])).markup

    assert "x" * 39 + "…" in markup
    assert "x" * 40 not in markup
    assert '<span class="text">Stop.</span>' in markup  # on a phone, no word a line


# ── when ─────────────────────────────────────────────────────────────────────────────────────


def test_a_sender_that_stopped_is_told_in_the_past(tmp_path: Path) -> None:
    """Where nothing was delivered for long, the top says until when, not that it is the last."""
    short = query.connect(loaded_home(tmp_path / "short", sent("a", 30, 0)))
    long = query.connect(loaded_home(tmp_path / "long", [*sent("a", 30, 0), *sent("b", 3, -960)]))

    assert "On Sat 01 Nov 2025, " in overview(short)
    assert "In the 30 days to Sat 01 Nov 2025, the last with a delivery, " in overview(long)


def test_ids_that_match_leave_no_others(tmp_path: Path) -> None:
    """What counts otherwise is told where there is something, and that it counts."""
    bare = {"message_id": "0-0"}
    events = [*sent("a", 30, 0), event("open", 1, 1, "a"), event("open", 2, 1, "a", **bare)]
    matched = query.connect(loaded_home(tmp_path / "matched", events[:-1]))
    unmatched = query.connect(loaded_home(tmp_path / "unmatched", [*events[:-2], events[-1]]))

    def told(con: duckdb.DuckDBPyConnection) -> str:
        limits = leads.campaign_limits(rows(con, "campaign_limit")).plain
        return limits + leads.data_limits(rows(con, "freshness")).plain

    assert "the others" not in told(matched)
    assert "the others count where it was sent to their recipient" in told(unmatched)
    assert "the others count only where campaign and recipient fit" in told(unmatched)


# ── several senders ──────────────────────────────────────────────────────────────────────────


def test_bounces_of_another_sender_are_not_ones_own(tmp_path: Path) -> None:
    """What may be a campaign's own is what names no other sender's domain."""
    names = {"a": "news@a.example", "b": "news@b.example", "c": "bounces@mx.example"}
    events = [*sent("a", 30, 0, sender=names["a"]), *sent("b", 30, 0, sender=names["b"])]
    for number, name in enumerate("abbc"):
        events.append(event("bounce", 90 + number, 1, None, sender=names[name]))
    con = query.connect(loaded_home(tmp_path, events))
    nearby = con.sql("select campaign_id, unattributed_nearby from campaign_list order by all")

    assert nearby.fetchall() == [("a", 2), ("b", 3)]


def test_a_provider_keeps_its_name() -> None:
    """A provider that stands out is named as it writes itself, also at the head of a sentence."""
    row = {"bounce_stands_out": True, "bounce_rate": 0.2, "all_bounce_rate": 0.1, "attempted": 900}
    said = [
        leads._worst_provider(pl.DataFrame([row | {"provider": name}]))
        for name in ("icloud", "other")
    ]

    assert said == [
        "iCloud stands out: 20.0% of 900 bounced",
        "Other domains stand out: 20.0% of 900 bounced",
    ]
    written = [wording.provider(name) for name in ("laposte", "qq", "free", None)]
    assert written == ["La Poste", "QQ", "Free", wording.MISSING]


def test_a_link_is_read_on_white_in_a_dark_jupyterlab_too() -> None:
    """A link in a table has our colour: JupyterLab's for a dark ground is 2 : 1 on the white."""
    links = {"url": "https://x.example", "clicked": 1, "clicked_human": 1}
    shares = {"click_human_rate": 0.1, "first_click_human_share": 0.1}
    markup = tables.links(pl.DataFrame({**links, **shares})).markup

    # Two classes and two elements: one more than JupyterLab's `.jp-RenderedHTMLCommon a:link`.
    assert ".ld-table table.gt_table a{color:#174a7e}" in markup


def test_a_name_from_right_to_left_is_set_so() -> None:
    """In a table a name's own letters decide its direction, so that its full stop ends it."""
    names = {"campaign_id": ["a"], "campaign_name": ["\u0639\u0631\u0636!"], "urls": [2]}
    links = {"url": "https://x.example", "clicked": 1, "clicked_human": 1}
    shares = {"click_human_rate": 0.1, "first_click_human_share": 0.1}
    markup = tables.links(pl.DataFrame({**names, **links, **shares}), named=True).markup
    rule = markup.split(".ld-table .name{")[1].split("}")[0]

    assert "unicode-bidi:plaintext" in rule
    assert 'class="name"' in markup
