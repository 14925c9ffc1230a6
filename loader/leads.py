"""Frames of marts → the first and the last words of each page: its answer, and its limits."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import polars as pl

from loader import charts, page, wording
from loader.page import Html

_NOTHING = "Nothing has been loaded yet: point a webhook at loader serve, then run loader ingest."
_NO_CAMPAIGN = "no message that was delivered or bounced names one."
_NAMELESS = "no message names a campaign, so none is told apart"
_NO_DELIVERY = (
    "No delivered event has ever come: see that the webhook sends them. Without them nothing "
    "counts as accepted, and opens and clicks reach no message."
)


def campaign(report: pl.DataFrame, measures: pl.DataFrame, providers: pl.DataFrame) -> Html:
    """Say how one campaign did (a row of ``campaign_report``; its measures and providers)."""
    if report.is_empty():
        return page.note(f"No campaign to show: {_NO_CAMPAIGN}")
    row = report.row(0, named=True)
    if not row["accepted"]:
        sentences = [_none_accepted(row)]
    else:
        sentences = [
            f"Accepted {wording.percent(row['delivery_rate'])} of "
            f"{wording.count(row['attempted'])}",
            _reactions(row) + _machine_storm(measures),
            _complained(row["complaint_rate"]),
            _bounced(row, providers, measures.filter("stands_out", measure="bounce")),
        ]
    few = " Too few to tell its rates apart from others." if row["is_small"] else ""
    lead = "; ".join(filter(None, sentences)) + "." + few + _against_peers(measures)
    return page.head(_campaign(row), lead, meta=_meta(row), badge=row["maturity"])


def _none_accepted(row: Mapping[str, Any]) -> str:
    return (
        f"None of {wording.plural(row['attempted'], 'message')} was accepted: "
        f"{wording.count(row['bounced'])} bounced"
    )


def _reactions(row: Mapping[str, Any]) -> str:
    if row["open_rate"] is None:
        return "opens and clicks are not tracked"
    opened, clicked = (wording.percent(row[f"{name}_human_rate"]) for name in ("open", "click"))
    return f"people opened {opened} of those and clicked {clicked}"


def _machine_storm(measures: pl.DataFrame) -> str:
    """Which reactions machines had more of than usual, if any."""
    said = [
        f"machines alone {word} {wording.percent(one['machine_rate'])}, usually "
        f"{wording.percent(one['usual_machine_rate'])}"
        for one in measures.filter("machines_stand_out").iter_rows(named=True)
        if (word := {"open": "opened", "click": "clicked"}.get(one["measure"]))
    ]
    return f" ({'; '.join(said)})" if said else ""


def _bounced(row: Mapping[str, Any], providers: pl.DataFrame, unlike: pl.DataFrame) -> str:
    """What bounced and where; ``unlike`` is the row of its bounces, if they stand out."""
    odd = providers.filter("bounce_is_unusual").sort("bounce_rate", descending=True)
    rate = wording.percent(row["bounce_rate"])
    if (row["unattributed_nearby"] or 0) > row["bounced"]:
        known = f"{rate} are" if row["bounced"] else "none is"
        theirs = "is" if row["unattributed_nearby"] == 1 else "are"
        return (
            f"{known} known to have bounced, up to "
            f"{wording.percent(row['bounce_rate_upper'])} if the "
            f"{wording.plural(row['unattributed_nearby'], 'unattributed bounce')} of its time "
            f"{theirs} its own{f'; more than ordinary at {_places(odd)}' if odd.height else ''}"
        )
    if not row["bounced"]:
        return "nothing bounced"
    if odd.height and unlike.height:
        return f"{rate} bounced, most unlike the usual at {_places(odd)}"
    if odd.height:
        return f"bounces are ordinary, except at {_places(odd)}"
    if providers["is_small"].all():
        return f"{rate} bounced, too few to tell mailbox providers apart"
    if unlike.filter(pl.col("difference") > 0).height:
        where = "not at one mailbox provider alone"
    else:
        where = "no more than usual at any mailbox provider"
    return f"{rate} bounced, {where}"


def _places(odd: pl.DataFrame) -> str:
    named = [
        f"{wording.provider(one['provider'])} ({wording.percent(one['bounce_rate'])} of "
        f"{wording.count(one['attempted'])})"
        for one in odd.head(3).iter_rows(named=True)
    ]
    return _and(named)


def _and(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


_NOUN = {
    "delivery": "acceptance",
    "bounce": "bounces",
    "open": "opens",
    "click": "clicks",
    "unsubscribe": "unsubscribes",
    "complaint": "complaints",
}


def _against_peers(measures: pl.DataFrame) -> str:
    odd = measures.filter(pl.col("stands_out"))
    if odd.is_empty():
        is_judged = measures["is_judged"].any()
        return " Nothing stands out against the sender's earlier campaigns." if is_judged else ""
    is_more = pl.col("difference") > 0
    sides = (("above", odd.filter(is_more)), ("below", odd.filter(~is_more)))
    parts = [
        f"{_and([_NOUN[measure] for measure in side['measure']])} {word}"
        for word, side in sides
        if side.height
    ]
    return f" Against its sender's earlier campaigns: {', '.join(parts)} the median."


def _meta(row: Mapping[str, Any]) -> str:
    sent, last = row["first_delivered_at_local"], row["last_delivered_at_local"]
    if sent is None:
        return f"nothing delivered · id {row['campaign_id']}"
    when = f"sent {sent:%a %d %b %Y %H:%M}"
    # Not by local times: where clocks are put back, an hour of sending takes none of them.
    if row["last_delivered_at"] - row["first_delivered_at"] > timedelta(hours=1):
        when += f" to {last:%H:%M}" if last.date() == sent.date() else f" to {last:%a %d %b %H:%M}"
    old = f"last delivered {wording.ago(row['age_hours'])}"
    return " · ".join((f"{when} {row['timezone']}", old, f"id {row['campaign_id']}"))


def campaign_limits(limits: pl.DataFrame) -> Html:
    """Say what to know before leaning on a campaign's numbers (``campaign_limit``)."""
    if limits.is_empty():
        return page.note("Nothing is known about this campaign's data yet.")
    row = limits.row(0, named=True)
    return page.limits([*_maturity(row), *_machines(row), *_bounce_limits(row), *_matching(row)])


def _maturity(row: Mapping[str, Any]) -> list[str]:
    said = []
    if row["maturity"] and row["age_hours"] < 0:
        said.append(
            f"Its last delivery lies {wording.ago(row['age_hours'])}: one of the clocks is wrong, "
            "and how mature its rates are is unknown."
        )
    elif row["maturity"] in ("preliminary", "maturing"):
        said.append(
            f"{wording.age(row['age_hours'])} after its last delivery the rates still rise, and "
            f"later bounces may come; from {row['comparable_hours']:.0f} h on they are comparable."
        )
    known = row["known_hours"]
    if known is not None and known < row["comparable_hours"]:
        said.append(
            f"No event of any mail has come since {wording.age(max(known, 0))} after its last "
            "delivery: if the receiver was down, its rates are those of that age."
        )
    if row["gap_hours"] is not None:
        said.append(
            f"Within a day of its delivery began {wording.age(row['gap_hours'])} in which no event "
            "of any mail came: if the receiver was down, what it missed is in no rate."
        )
    if row["is_small"]:
        said.append(
            f"Fewer than {row['small_attempted']:.0f} messages were attempted: too few to tell "
            "rates apart."
        )
    return said


_LONE_LINK = "a scanner that follows the only link of a mail looks like a person"


def _machines(row: Mapping[str, Any]) -> list[str]:
    if not row["accepted"]:
        return ["Nothing was accepted, so nobody could open, click or unsubscribe."]
    if not row["is_tracked"]:
        return [
            "No open, click or unsubscribe has ever come: tracking is off, or nobody reacted. "
            "The rates are unknown, not 0%."
        ]
    shares = (("opened", row["machine_open_rate"]), ("clicked", row["machine_click_rate"]))
    known = [
        f"{wording.percent(share)} of the {word}" for word, share in shares if share is not None
    ]
    said = [
        f"By timing, only machines reacted to {_and(known)} messages; prefetching such as Apple's "
        "cannot be told from a person."
    ] if known else []  # fmt: skip
    if row["urls"] == 1:
        said.append(f"Only one link of it was clicked: {_LONE_LINK}.")
    return said


def _bounce_limits(row: Mapping[str, Any]) -> list[str]:
    said = []
    if row["unattributed_nearby"] is None and row["unattributed"]:
        said.append(
            f"{wording.plural(row['unattributed'], 'bounce')} of all mail came without a campaign; "
            "nothing of this one was delivered, so nobody can say how many may be its own."
        )
    if row["unattributed_nearby"]:
        these = "it was" if row["unattributed_nearby"] == 1 else "all of them were"
        said.append(
            f"{wording.plural(row['unattributed_nearby'], 'bounce')} without a campaign came in "
            f"its time; if {these} its own, its bounce rate would be "
            f"{wording.percent(row['bounce_rate_upper'])} instead of "
            f"{wording.percent(row['bounce_rate'])}."
        )
    if row["is_silent_sender"]:
        said.append(
            "This sender's domain has never had a later (async) bounce: its bounce domain's MX "
            "may be missing, and accepted messages may have come back unseen."
        )
    return said


def _matching(row: Mapping[str, Any]) -> list[str]:
    said = ["Accepted means the receiving server took it, not that it reached the inbox."]
    if row["match_rate"] is None:
        return said
    others = "; the others count where it was sent to their recipient" * (row["match_rate"] < 1)
    orphans = wording.plural(row["orphans"], "event")
    lost = f"; {orphans} reached no known message" if row["orphans"] else ""
    return [
        f"{wording.percent(row['match_rate'])} of its opens and clicks name a message that was "
        f"delivered or bounced{others}{lost}.",
        *said,
    ]


def start(freshness: pl.DataFrame) -> Html:
    """Say what is loaded and how fresh it is (``freshness``)."""
    row = freshness.row(0, named=True)
    if not row["events"]:
        return page.note(_NOTHING)
    lead = (
        f"{wording.plural(row['campaigns'], 'campaign')} and "
        f"{wording.plural(row['messages'], 'message')}{_days(row)}; {_loaded(row)}."
        f"{_no_delivery(row)}"
    )
    meta = f"{wording.plural(row['events'], 'event')} · times in {row['timezone']} · {_as_of(row)}"
    return page.head("What is loaded", lead, meta=meta)


def _no_delivery(row: Mapping[str, Any]) -> str:
    return f" {_NO_DELIVERY}" if row["first_delivered_date"] is None else ""


def _on(day: date) -> str:
    return f"{day:%a %d %b %Y}"


def _days(row: Mapping[str, Any]) -> str:
    first, last = row["first_delivered_date"], row["last_delivered_date"]
    if first is None:
        return ", none delivered"
    return f" on {_on(first)}" if first == last else f" from {_on(first)} to {_on(last)}"


def _loaded(row: Mapping[str, Any]) -> str:
    """How long ago events were loaded, and came where that is known (a bare line does not say)."""
    loaded = f"loaded {wording.ago(row['load_age_hours'])}"
    if row["event_age_hours"] is None:
        return loaded
    return f"{loaded}, the last event came {wording.ago(row['event_age_hours'])}"


def _as_of(row: Mapping[str, Any]) -> str:
    return f"as of {row['as_of_local']:%a %d %b %Y %H:%M}"


def overview(freshness: pl.DataFrame, period: pl.DataFrame, odd: pl.DataFrame) -> Html:
    """Say how the mail of the newest days did.

    From ``freshness``, ``period_measure`` and ``funnel_plot`` outside 99.8 %.
    """
    row = freshness.row(0, named=True)
    if not row["events"]:
        return page.note(_NOTHING)
    if period.is_empty() and row["messages"]:
        return page.note(
            f"All mail lies in the future by this machine's clock{_days(row)}; {_loaded(row)}."
        )
    if period.is_empty():
        said = f"No message is known to have been delivered or bounced; {_loaded(row)}."
        return page.note(said + _no_delivery(row))
    rates = {one["measure"]: one for one in period.iter_rows(named=True)}
    first = rates["bounce"]["first_day"]
    sentences = [
        f"{_within(row, rates['delivery'])}, {_accepted(rates['delivery'])}",
        _period_reactions(rates),
        _complained(rates["complaint"]["rate"]),
        _odd_campaigns(odd.filter(pl.col("sent_date") >= first)) if row["campaigns"] > 1 else "",
        _unattributed(rates["bounce"]["unattributed"]) if row["campaigns"] else _NAMELESS,
    ]
    campaigns = wording.plural(row["campaigns"], "campaign")
    meta = f"{campaigns}{_days(row)} · {row['timezone']} · {_as_of(row)}"
    lead = f"{'; '.join(filter(None, sentences))}.{_no_delivery(row)}"
    return page.head("All campaigns", lead, meta=meta)


def _within(freshness: Mapping[str, Any], period: Mapping[str, Any]) -> str:
    """The days that the sentence is about; where there are fewer than asked for, since when.

    Where nothing has gone out for long, until when.
    """
    first, last = freshness["first_delivered_date"], freshness["last_delivered_date"]
    if first is None:
        return f"In the last {period['days']} days of sending"
    is_over = (freshness["as_of_local"].date() - last).days > _SILENT_DAYS
    if first > period["first_day"]:
        days = _days(freshness).strip()
        return f"{days[0].upper()}{days[1:]}" if is_over else f"Since {_on(first)}"
    if is_over:
        return f"In the {period['days']} days to {_on(last)}, the last with a delivery"
    return f"In the last {period['days']} days of sending"


_SILENT_DAYS = 30
"""Days without a delivery after which a page no longer speaks as if mail were going out."""


def _complained(rate: float | None) -> str:
    return f"{wording.percent(rate)} complained" if rate else ""


def _accepted(delivery: Mapping[str, Any]) -> str:
    if not delivery["numerator"]:
        return f"{wording.count(delivery['denominator'])} were attempted, none accepted"
    return (
        f"{wording.percent(delivery['rate'])} of {wording.count(delivery['denominator'])} "
        "were accepted"
    )


def _period_reactions(rates: Mapping[str, Mapping[str, Any]]) -> str:
    opened = rates["open"]
    if not rates["delivery"]["numerator"]:
        return ""
    if opened["rate"] is None:
        return "opens and clicks are not tracked"
    those = (
        f"the {wording.count(opened['denominator'])} tracked" if opened["untracked"] else "those"
    )
    so_far = ", so far" * (opened["fresh"] > 0)
    return (
        f"people opened {wording.percent(opened['rate'])} of {those} and clicked "
        f"{wording.percent(rates['click']['rate'])}{so_far}"
    )


def _unattributed(bounced: int) -> str:
    return f"{wording.plural(bounced, 'bounce')} could not be attributed" if bounced else ""


def _odd_campaigns(odd: pl.DataFrame) -> str:
    bad = odd.filter(pl.col("rate") > pl.col("pooled_rate")).sort("rate", descending=True)
    if bad.is_empty():
        return "no campaign of these days bounced unlike the rest"
    worst = bad.row(0, named=True)
    more = f" and {wording.plural(bad.height - 1, 'other')}" if bad.height > 1 else ""
    name = wording.short(worst["campaign_name"], 40)
    return f"{name} ({wording.percent(worst['rate'])}){more} bounced unlike the rest"


def compared(differences: pl.DataFrame, reference: pl.DataFrame, age_hours: int) -> Html:
    """Say which campaigns differ from the reference (``campaign_difference``, both measures).

    ``reference``: its row of ``campaign_list``, with urls, the number of its links.
    """
    age = wording.age(age_hours)
    if reference.is_empty():
        return page.note(f"No campaign to compare with: {_NO_CAMPAIGN}")
    row = reference.row(0, named=True)
    lead = " ".join(_differing(differences, measure) for measure in ("open", "click"))
    if row["urls"] == 1:
        lead += f" Only one link of the reference was clicked: {_LONE_LINK}."
    if differences.is_empty():
        lead = _nothing_to_compare(row, age_hours)
    meta = f"opens and clicks by people {age} after delivery · id {row['campaign_id']}"
    return page.head(f"Compared with: {_campaign(row)}", lead, meta=meta)


def _nothing_to_compare(row: Mapping[str, Any], age_hours: int) -> str:
    age = wording.age(age_hours)
    if row["age_hours"] is None:
        return "Nothing of this campaign was delivered, so nothing is compared with it."
    if row["age_hours"] < age_hours:
        return (
            f"This campaign itself has not reached {age} yet, so nothing is compared with it: "
            "choose an older campaign or a lower age."
        )
    if not row["is_tracked"]:
        return "Opens and clicks of this campaign are not tracked, so nothing is compared with it."
    return f"No other campaign that is tracked has reached {age}."


def _differing(differences: pl.DataFrame, measure: str) -> str:
    both = differences.filter(pl.col("measure") == measure)
    known = both.filter(pl.col("q_value").is_not_null())
    odd = known.filter("is_significant")
    if both.is_empty():
        return f"No {measure}s to compare."
    if known.is_empty():
        return f"Too few {measure}s to tell a difference."
    if odd.is_empty():
        return f"None of {wording.plural(known.height, 'campaign')} differs in {measure}s."
    more = odd.filter(pl.col("difference") > 0).height
    fewer = odd.height - more
    said = [f"{number} had {word}" for number, word in ((more, "more"), (fewer, "fewer")) if number]
    return (
        f"{odd.height} of {wording.plural(known.height, 'campaign')} "
        f"{'differs' if odd.height == 1 else 'differ'} in {measure}s: {', '.join(said)}."
    )


def bounced(total: pl.DataFrame, providers: pl.DataFrame, days: pl.DataFrame) -> Html:
    """Say why mail bounces (``bounce_total``, ``provider_total``, ``daily_bounce_limit``)."""
    if total.is_empty():
        return page.note("Nothing has bounced yet.")
    top = total.sort("bounced", descending=True).row(0, named=True)
    since = _on(total["first_seen_date"].min())  # type: ignore[arg-type]
    named = providers.filter(
        pl.col("bounce_stands_out"), pl.col("bounce_rate") > pl.col("all_bounce_rate")
    ).sort("bounce_rate", descending=True)
    whole = int(total["bounced"].sum())
    sentences = [
        f"{wording.plural(whole, 'bounce')} of {wording.plural(top['attempted'], 'message')}"
        f"{_nameless(int(total['unattributed'].sum()), whole)}.",
        f"{_commonest(top)}. {top['advice']}",
        f"{_worst_provider(named)}; {_odd_days(days)}.",
    ]
    return page.head(
        "Bounces", " ".join(sentences), meta=f"all mail since {since}, latest bounce each"
    )


def _nameless(bounces: int, whole: int) -> str:
    if not bounces:
        return ""
    some = "" if bounces == whole else f"{wording.count(bounces)} of them "
    return f", {some}without a campaign"


def _commonest(top: Mapping[str, Any]) -> str:
    most = "all" if top["top_bounced"] == top["bounced"] else wording.count(top["top_bounced"])
    some = "" if top["bounced"] == 1 else f"{most} of them "
    where = (
        f"{wording.plural(top['bounced'], 'bounce')}, {some}at "
        f"{wording.provider(top['top_provider'])}, the last on {_on(top['last_seen_date'])}"
    )
    if top["bounce_category"] == "no category":
        return f"The commonest give no category ({where})"
    return f"The commonest reason is {wording.short(top['bounce_category'], 40)} ({where})"


def _odd_days(days: pl.DataFrame) -> str:
    if days["is_small"].all():
        return "no day has enough mail to judge it"
    odd = days.filter(pl.col("is_out_of_control")).height
    alone = days.filter(pl.col("delivered") == 0, ~pl.col("is_small"))
    said = (
        f"{wording.plural(odd, 'day') if odd else 'no day'} {'were' if odd > 1 else 'was'} unusual"
    )
    if alone.is_empty():
        return said
    return (
        f"{said}; on {wording.plural(alone.height, 'more day')} mail bounced and none was "
        f"delivered ({wording.count(int(alone['bounced'].sum()))})"
    )


def _worst_provider(named: pl.DataFrame) -> str:
    if named.is_empty():
        return "No mailbox provider bounces more than chance explains"
    worst = named.row(0, named=True)
    name = wording.provider(worst["provider"])
    stand = "Other domains stand" if worst["provider"] == "other" else f"{name} stands"
    return (
        f"{stand} out: "
        f"{wording.percent(worst['bounce_rate'])} of {wording.count(worst['attempted'])} bounced"
    )


def timing(cells: pl.DataFrame, quantiles: pl.DataFrame) -> Html:
    """Say when people react (``weekday_hour_report`` and ``human_reaction``, newest first)."""
    counts = ("opens_human", "clicks_human")
    if quantiles.is_empty() and not any(cells[name].sum() for name in counts):
        return page.note("No reaction of a person to a message that is known has come yet.")
    soon = _how_soon(quantiles.filter(pl.col("kind") == "open"))
    lead = f"{soon[0].upper()}{soon[1:]}. {_when(cells)}."
    return page.head(
        "When people react", lead, meta="by people only, as far as their timing shows machines"
    )


def _when(cells: pl.DataFrame) -> str:
    if cells["open_is_small"][0]:
        return "Too few opens to tell a good hour"
    row = charts.busiest(cells, "open")
    if row is None:
        return "No hour has more opens than every other"
    days = {number: f"{date(2024, 1, number):%A}" for number in range(1, 8)}  # a Monday first
    return (
        f"The busiest hour for opens is {days[row['weekday']]} {wording.hour(row['hour'])}, with "
        f"{wording.percent(row['open_human_share'])} of them, mostly because of when mail was sent"
    )


def _how_soon(opens: pl.DataFrame) -> str:
    row = charts.telling(opens)
    if row is None:
        return "no campaign has enough opens to tell how soon they come"
    so_far = " so far" * (row["maturity"] != "comparable")
    return (
        f"half of the {wording.count(row['reacted'])} first opens of "
        f"{wording.short(row['campaign_name'])}{so_far} came within "
        f"{wording.age(row['p50_hours'])}"
    )


def clicked(links: pl.DataFrame, limits: pl.DataFrame) -> Html:
    """Say what people click (``link_report`` of a campaign, most by people first)."""
    if limits.is_empty():
        return page.note(f"No campaign to show: {_NO_CAMPAIGN}")
    if links.is_empty():
        return page.note("No click has been recorded for this campaign.")
    top = links.row(0, named=True)
    if limits["urls"][0] == 1:
        return page.head(_campaign(top), _one_followed(top), meta="links of one campaign")
    lead = _followed(links.filter(pl.col("clicked_human") > 0), links, limits)
    machine = limits["machine_click_rate"][0]
    if machine is not None:
        lead += (
            f" Of the messages with a click, {wording.percent(machine)} were clicked by machines "
            "alone."
        )
    return page.head(_campaign(top), lead, meta="links of one campaign")


def _campaign(row: Mapping[str, Any]) -> str:
    return str(row["campaign_name"] or row["campaign_id"])


def _one_followed(link: Mapping[str, Any]) -> str:
    return (
        f"One link was clicked, in {wording.plural(link['clicked'], 'message')}; {_LONE_LINK}, so "
        "how many were people cannot be told."
    )


def _followed(by_people: pl.DataFrame, links: pl.DataFrame, limits: pl.DataFrame) -> str:
    if by_people.is_empty():
        return "No link was followed by a person, as far as timing shows machines."
    top = by_people.row(0, named=True)
    cut = by_people.height == links.height and limits["urls"][0] > links.height
    return (
        f"People followed {'at least ' if cut else ''}"
        f"{wording.plural(by_people.height, 'link')}; the first, clicked by "
        f"{wording.count(top['clicked_human'])}, gets "
        f"{wording.percent(top['click_human_share'])} of their clicks and "
        f"{wording.percent(top['first_click_human_share'])} of their first clicks."
    )


def health(summary: pl.DataFrame) -> Html:
    """Say whom to stop writing to (``list_health``)."""
    row = summary.row(0, named=True)
    if not row["recipients"]:
        return page.note("No recipient is known yet: nothing has been delivered or has bounced.")
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
        f"{_never(row)}"
    )
    return page.head("List health", lead, meta="This page names recipients: do not pass it on.")


def _never(row: Mapping[str, Any]) -> str:
    if not row["reached"]:
        return "No mail is known to have been accepted."
    return (
        f"Of the {wording.count(row['reached'])} to whom mail was accepted since "
        f"{_on(row['since_date'])}, {wording.percent(row['never_reacted_rate'])} have never "
        "reacted as a person."
    )


def quality(checks: pl.DataFrame, freshness: pl.DataFrame) -> Html:
    """Say whether the numbers can be trusted, what is worst first.

    From ``quality_total`` and ``freshness``.
    """
    row = freshness.row(0, named=True)
    if not row["events"]:
        return page.note(_NOTHING)
    worst = checks.filter("needs_attention").sort(
        "amiss_share", "check_number", descending=[True, False]
    )
    odd = [
        f"{one['check_name']} ({wording.count(one['found'])} of {wording.count(one['of_all'])})"
        for one in worst.iter_rows(named=True)
    ]
    match = (
        "No open or click has come that could be matched; "
        if row["match_rate"] is None
        else f"{wording.percent(row['match_rate'])} of opens and clicks name a known message; "
    )
    found = f"look at: {'; '.join(odd)}." if odd else "no check asks for a second look."
    said = match + found + _no_delivery(row)
    return page.head("Data quality", said, meta=f"{row['timezone']} · {_as_of(row)}")


def data_limits(freshness: pl.DataFrame, *more: str) -> Html:
    """Say what holds for every page over all mail (``freshness``), then what is said in more."""
    row = freshness.row(0, named=True)
    said = [*more]
    if row["events"]:
        said.append(
            f"The data was {_loaded(row)}; days are those of {row['timezone']}."
            f"{_matched(row)}{_no_delivery(row)}"
        )
    said += _kept_apart(row)
    if row["single_link_campaigns"]:
        said.append(
            f"{wording.plural(row['single_link_campaigns'], 'campaign')} of which only one link "
            f"was clicked: {_LONE_LINK}, so clicks there may be too many."
        )
    said.append(
        "By people means: the timing shows no machine. Prefetching, such as Apple's, is not seen."
    )
    return page.limits(said)


def _kept_apart(row: Mapping[str, Any]) -> list[str]:
    """Say what counts in no rate, and whose rates are not to be compared yet."""
    said = []
    if row["orphans"]:
        counts = "counts" if row["orphans"] == 1 else "count"
        said.append(
            f"{wording.plural(row['orphans'], 'event')} reached no known message and {counts} in "
            "no rate."
        )
    if row["young_campaigns"]:
        said.append(
            f"The rates of {wording.plural(row['young_campaigns'], 'campaign')} still rise: from "
            f"{row['comparable_hours']:.0f} h after the last delivery on they are comparable."
        )
    return said


def _matched(row: Mapping[str, Any]) -> str:
    if row["match_rate"] is None:
        return ""
    others = "; the others count only where campaign and recipient fit" * (row["match_rate"] < 1)
    return (
        f" {wording.percent(row['match_rate'])} of opens and clicks name a known message{others}."
    )
