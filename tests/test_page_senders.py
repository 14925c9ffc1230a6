"""Senders unlike the simulated ones: what pages say of them is true, and of use to them."""

import duckdb
import pytest

from loader import charts, leads, page, query, tables
from tests.pages import event, loaded_home, rows
from tests.test_page_words import Events, finding


@pytest.fixture(scope="module")
def nameless(tmp_path_factory: pytest.TempPathFactory) -> duckdb.DuckDBPyConnection:
    """Mail of an application: no event names a campaign."""
    events: Events = []
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
    """Where no event names a campaign, no page says that nothing was sent, bounced or clicked."""
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

    assert "no event names a campaign, so none is told apart" in overview(nameless)
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
    assert "6 bounces of 300 messages, of no known campaign." in said


def test_no_campaign_has_no_tick(nameless: duckdb.DuckDBPyConnection) -> None:
    """The volume speaks of ticks below it where there are some."""
    days, listed = rows(nameless, "daily_outcome_report"), rows(nameless, "campaign_list")

    assert "tick" not in " ".join(charts.volume(days, listed).to_dict()["title"]["subtitle"])
