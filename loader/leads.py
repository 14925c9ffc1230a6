"""Frames of marts → the head of each page: its title, and the answer in one sentence."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import polars as pl

from loader import page, wording
from loader.page import Html

_NOTHING = "Nothing has been loaded yet: point a webhook at `loader serve`, then `loader ingest`."


def campaign(report: pl.DataFrame, measures: pl.DataFrame, providers: pl.DataFrame) -> Html:
    """Say how one campaign did (a row of ``campaign_report``; its measures and providers)."""
    if report.is_empty():
        return page.note(f"No campaign to show. {_NOTHING}")
    row = report.row(0, named=True)
    sentences = [
        f"Accepted {wording.percent(row['delivery_rate'])} of {wording.count(row['attempted'])}",
        _reactions(row),
        _bounced(row, providers),
    ]
    lead = "; ".join(sentences) + "." + _against_peers(measures)
    return page.head(
        row["campaign_name"] or row["campaign_id"], lead, meta=_meta(row), badge=row["maturity"]
    )


def _reactions(row: Mapping[str, Any]) -> str:
    if row["open_rate"] is None:
        return "opens and clicks are not tracked"
    opened, clicked = (wording.percent(row[f"{name}_human_rate"]) for name in ("open", "click"))
    return f"people opened {opened} of those and clicked {clicked}"


def _bounced(row: Mapping[str, Any], providers: pl.DataFrame) -> str:
    if (row["unattributed_nearby"] or 0) > row["bounced"]:
        return (
            f"{wording.percent(row['bounce_rate'])} are known to have bounced, up to "
            f"{wording.percent(row['bounce_rate_upper'])} if the "
            f"{wording.plural(row['unattributed_nearby'], 'unattributed bounce')} of its time are "
            "its own"
        )
    if not row["bounced"]:
        return "nothing bounced"
    odd = providers.filter(
        pl.col("bounce_stands_out"),
        ~pl.col("is_small"),
        pl.col("bounce_rate") > row["bounce_rate"],
    ).sort("bounce_rate", descending=True)
    if odd.is_empty():
        return "bounces are alike at every mailbox provider"
    named = [
        f"{wording.provider(one['provider'])} ({wording.percent(one['bounce_rate'])})"
        for one in odd.head(3).iter_rows(named=True)
    ]
    return f"bounces are ordinary, except at {_and(named)}"


def _and(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


_NOUN = {
    "delivery": "acceptance",
    "bounce": "bounces",
    "open": "opens",
    "click": "clicks",
    "unsubscribe": "unsubscribes",
}


def _against_peers(measures: pl.DataFrame) -> str:
    odd = measures.filter(pl.col("stands_out"))
    if odd.is_empty():
        known = measures.filter(pl.col("difference").is_not_null())
        return " Nothing stands out against the sender's earlier campaigns." if known.height else ""
    more, fewer = (
        [
            _NOUN[row["measure"]]
            for row in odd.iter_rows(named=True)
            if (row["difference"] > 0) == up
        ]
        for up in (True, False)
    )
    parts = [
        f"{_and(names)} {word}" for names, word in ((more, "above"), (fewer, "below")) if names
    ]
    return f" Against its sender's earlier campaigns: {', '.join(parts)} the median."


def _meta(row: Mapping[str, Any]) -> str:
    sent, last = row["first_delivered_at_local"], row["last_delivered_at_local"]
    when = "not delivered yet" if sent is None else f"sent {sent:%a %d %b %Y %H:%M}"
    if sent is not None and last is not None and (last - sent).total_seconds() > 3600:
        when += f" to {last:%H:%M}" if last.date() == sent.date() else f" to {last:%a %d %b %H:%M}"
    old = f"{wording.age(row['age_hours'])} old"
    return " · ".join((f"{when} {row['timezone']}", old, f"id {row['campaign_id']}"))


def campaign_limits(limits: pl.DataFrame) -> Html:
    """Say what to know before leaning on a campaign's numbers (``campaign_limit``)."""
    if limits.is_empty():
        return page.note("Nothing is known about this campaign's data yet.")
    row = limits.row(0, named=True)
    return page.limits([*_ripeness(row), *_machines(row), *_bounce_limits(row), *_matching(row)])


def _ripeness(row: Mapping[str, Any]) -> list[str]:
    said = []
    if row["maturity"] in ("preliminary", "maturing"):
        said.append(
            f"{wording.age(row['age_hours'])} after its last delivery the rates still rise; they "
            "are comparable from 72 h."
        )
    if row["is_small"]:
        said.append("Fewer than 200 messages were attempted: too few to tell rates apart.")
    return said


def _machines(row: Mapping[str, Any]) -> list[str]:
    if not row["is_tracked"]:
        return ["No open, click or unsubscribe has ever come: tracking is off, rates are unknown."]
    shares = [
        f"{wording.percent(row[key])} of {noun}"
        for key, noun in (("machine_open_rate", "opens"), ("machine_click_rate", "clicks"))
        if row[key] is not None
    ]
    said = [
        f"By timing, {_and(shares)} are machines'; a prefetch such as Apple's cannot be told "
        "from a person by timing."
    ]
    if row["urls"] == 1:
        said.append("It has one link: a scanner that follows it looks like a person.")
    return said


def _bounce_limits(row: Mapping[str, Any]) -> list[str]:
    said = []
    if row["unattributed_nearby"]:
        said.append(
            f"{wording.plural(row['unattributed_nearby'], 'bounce')} without a campaign came in "
            "its time; were all of them its own, its bounce rate would be "
            f"{wording.percent(row['bounce_rate_upper'])} instead of "
            f"{wording.percent(row['bounce_rate'])}."
        )
    if not row["async_bounce_seen"]:
        said.append(
            "This sender's domain has never had a later (async) bounce: its bounce domain's MX "
            "may be missing, and accepted messages may have come back unseen."
        )
    return said


def _matching(row: Mapping[str, Any]) -> list[str]:
    if row["match_rate"] is None:
        return []
    lost = f"; {wording.plural(row['orphans'], 'event')} reached none" if row["orphans"] else ""
    return [
        f"{wording.percent(row['match_rate'])} of its opens and clicks name a message that was "
        f"delivered or bounced{lost}.",
        "Accepted means the receiving server took it, not that it reached the inbox.",
    ]


def start(freshness: pl.DataFrame) -> Html:
    """Say what is loaded and how fresh it is (``freshness``)."""
    row = freshness.row(0, named=True)
    if not row["events"]:
        return page.note(_NOTHING)
    lead = (
        f"{wording.plural(row['campaigns'], 'campaign')} and "
        f"{wording.plural(row['messages'], 'message')} from {_on(row['first_delivered_date'])} to "
        f"{_on(row['last_delivered_date'])}; the last event came "
        f"{wording.age(row['event_age_hours'])} ago and was loaded "
        f"{wording.age(row['load_age_hours'])} ago."
    )
    meta = f"{wording.count(row['events'])} events · times in {row['timezone']} · {_as_of(row)}"
    return page.head("What is loaded", lead, meta=meta)


def _on(day: date | None) -> str:
    return wording.MISSING if day is None else f"{day:%a %d %b %Y}"


def _as_of(row: Mapping[str, Any]) -> str:
    return f"as of {row['as_of_local']:%a %d %b %Y %H:%M}"


def overview(freshness: pl.DataFrame, period: pl.DataFrame, odd: pl.DataFrame) -> Html:
    """Say how all mail did (``freshness``, ``period_measure``, ``funnel_plot`` outside 99.8 %)."""
    row = freshness.row(0, named=True)
    if not row["messages"]:
        return page.note(_NOTHING)
    rates = {one["measure"]: one for one in period.iter_rows(named=True)}
    sentences = [
        f"In the last {rates['delivery']['days']} days of sending, "
        f"{wording.percent(rates['delivery']['rate'])} of "
        f"{wording.count(rates['delivery']['denominator'])} were accepted",
        _period_reactions(rates),
        _odd_campaigns(odd),
    ]
    meta = (
        f"{wording.plural(row['campaigns'], 'campaign')} from {_on(row['first_delivered_date'])} "
        f"to {_on(row['last_delivered_date'])} · {row['timezone']} · {_as_of(row)}"
    )
    return page.head("All campaigns", "; ".join(sentences) + ".", meta=meta)


def _period_reactions(rates: Mapping[str, Mapping[str, Any]]) -> str:
    if rates["open"]["rate"] is None:
        return "opens and clicks are not tracked"
    return (
        f"people opened {wording.percent(rates['open']['rate'])} of those and clicked "
        f"{wording.percent(rates['click']['rate'])}"
    )


def _odd_campaigns(odd: pl.DataFrame) -> str:
    bad = odd.filter(pl.col("rate") > pl.col("pooled_rate")).sort("rate", descending=True)
    if bad.is_empty():
        return "no campaign bounces more than chance explains"
    worst = bad.row(0, named=True)
    more = f" and {wording.plural(bad.height - 1, 'other')}" if bad.height > 1 else ""
    name = wording.short(worst["campaign_name"], 40)
    return f"{name} ({wording.percent(worst['rate'])}){more} bounced beyond chance"


def compared(differences: pl.DataFrame, reference: pl.DataFrame, age: str) -> Html:
    """Say which campaigns differ from the reference (``campaign_difference``, both measures)."""
    if reference.is_empty():
        return page.note(f"No campaign to compare with. {_NOTHING}")
    row = reference.row(0, named=True)
    lead = " ".join(_differing(differences, measure) for measure in ("open", "click"))
    if differences.is_empty():
        lead = f"Nothing else has reached {age}, or this campaign itself has not."
    meta = f"opens and clicks by people {age} after delivery · id {row['campaign_id']}"
    name = row["campaign_name"] or row["campaign_id"]
    return page.head(f"Compared with: {name}", lead, meta=meta)


def _differing(differences: pl.DataFrame, measure: str) -> str:
    known = differences.filter(pl.col("measure") == measure, pl.col("q_value").is_not_null())
    odd = known.filter(pl.col("q_value") < 0.05)
    if known.is_empty():
        return f"No {measure}s to compare."
    if odd.is_empty():
        return f"None of {wording.plural(known.height, 'campaign')} differs in {measure}s."
    more = odd.filter(pl.col("difference") > 0).height
    return (
        f"{odd.height} of {wording.plural(known.height, 'campaign')} "
        f"{'differs' if odd.height == 1 else 'differ'} in {measure}s: "
        f"{more} had more, {odd.height - more} fewer."
    )


def bounced(total: pl.DataFrame, providers: pl.DataFrame, days: pl.DataFrame) -> Html:
    """Say why mail bounces (``bounce_total``, ``provider_total``, ``daily_bounce_limit``)."""
    if total.is_empty():
        return page.note("Nothing has bounced yet.")
    top = total.sort("bounced", descending=True).row(0, named=True)
    named = providers.filter(pl.col("bounce_stands_out")).sort("bounce_rate", descending=True)
    sentences = [
        f"{wording.plural(int(total['bounced'].sum()), 'bounce')} of "
        f"{wording.count(top['attempted'])} messages; most are {top['bounce_category']} "
        f"({wording.count(top['bounced'])}; what to do: {top['advice']})",
        _worst_provider(named),
        f"{wording.plural(days.filter(pl.col('is_out_of_control')).height, 'day')} "
        "out of the ordinary",
    ]
    return page.head("Bounces", "; ".join(sentences) + ".", meta="all mail, latest bounce each")


def _worst_provider(named: pl.DataFrame) -> str:
    if named.is_empty():
        return "no mailbox provider stands out"
    worst = named.row(0, named=True)
    return (
        f"{wording.provider(worst['provider'])} refuses most: "
        f"{wording.percent(worst['bounce_rate'])}"
    )


def timing(cells: pl.DataFrame, quantiles: pl.DataFrame) -> Html:
    """Say when people react (``weekday_hour_report`` and ``human_reaction``, newest first)."""
    if quantiles.is_empty():
        return page.note("No reaction has been recorded yet.")
    days = {number: f"{date(2024, 1, number):%A}" for number in range(1, 8)}  # a Monday first
    top = cells.sort("opens_human", descending=True).row(0, named=True)
    newest = quantiles.filter(pl.col("kind") == "open").head(1)
    half = wording.age(newest["p50_hours"][0]) if newest.height else wording.MISSING
    lead = (
        f"People open most on {days[top['weekday']]}s from {top['hour']} to "
        f"{(top['hour'] + 1) % 24} h; half of the newest campaign's first opens came within {half}."
    )
    return page.head(
        "When people react", lead, meta="by people only, as far as timing betrays machines"
    )


def clicked(links: pl.DataFrame, limits: pl.DataFrame) -> Html:
    """Say what people click (``link_report`` of a campaign, most by people first)."""
    if links.is_empty():
        return page.note("No click has been recorded for this campaign.")
    top = links.row(0, named=True)
    machine = limits["machine_click_rate"][0] if limits.height else None
    lead = (
        f"People followed {wording.plural(links.height, 'link')}; the first takes "
        f"{wording.percent(top['click_human_share'])} of their clicks and "
        f"{wording.percent(top['first_click_human_share'])} of their first ones. Of the messages "
        f"with a click, {wording.percent(machine)} were clicked by machines alone."
    )
    return page.head(top["campaign_name"] or top["campaign_id"], lead, meta="links of one campaign")


def health(summary: pl.DataFrame) -> Html:
    """Say whom to stop writing to (``list_health``)."""
    row = summary.row(0, named=True)
    if not row["recipients"]:
        return page.note(_NOTHING)
    kinds = {
        "hard_bounced": "bounced hard",
        "repeatedly_bounced": "bounced again and again",
        "unsubscribed": "unsubscribed",
        "complained": "complained",
    }
    why = [f"{wording.count(row[key])} {said}" for key, said in kinds.items() if row[key]]
    lead = (
        f"Stop writing to {wording.plural(row['to_suppress'], 'recipient')} of "
        f"{wording.count(row['recipients'])} ({wording.percent(row['suppress_rate'])})"
        f"{': ' + ', '.join(why) if why else ''}. "
        f"{wording.percent(row['never_reacted_rate'])} have never reacted as a person."
    )
    return page.head("List health", lead, meta="This page names recipients: do not pass it on.")


def quality(checks: pl.DataFrame, freshness: pl.DataFrame) -> Html:
    """Say whether the numbers can be trusted (``quality_total`` and ``freshness``)."""
    row = freshness.row(0, named=True)
    if not row["events"]:
        return page.note(_NOTHING)
    odd = checks.filter(pl.col("needs_attention"))["check_name"].to_list()
    match = f"{wording.percent(row['match_rate'])} of opens and clicks name a known message; "
    found = f"look at {_and(odd)}." if odd else "nothing asks for a second look."
    return page.head("Data quality", match + found, meta=f"{row['timezone']} · {_as_of(row)}")


def data_limits(freshness: pl.DataFrame, *more: str) -> Html:
    """Say what holds for every page over all mail (``freshness``), then what is said in more."""
    row = freshness.row(0, named=True)
    said = [*more]
    if row["match_rate"] is not None:
        said.append(
            f"Loaded {wording.age(row['load_age_hours'])} ago; the last event came "
            f"{wording.age(row['event_age_hours'])} ago. {wording.percent(row['match_rate'])} of "
            "opens and clicks name a known message; the others count only where campaign and "
            "recipient fit."
        )
    said.append("By people means: not betrayed as a machine by timing. Prefetching is not seen.")
    return page.limits(said)
