"""Frames of marts → Altair charts that draw with no network, each titled with its finding.

Every function takes a polars frame as a mart returns it (columns are named in its docstring) and
returns a chart, or an ``Html`` note when there is nothing to draw. No function computes a metric:
it chooses, orders and words what the mart holds.
"""

from collections import Counter
from typing import Any
from urllib.parse import unquote

import altair as alt
import polars as pl

from loader import look, wording
from loader.funnel_plot import funnel_plot, outside  # noqa: F401 - every chart is found here
from loader.look import WIDTH, Drawn
from loader.page import note
from loader.palette import COLOUR, FAINT, INK, MUTED

CLASSES = ("soft", "block", "hard", "undetermined")
_REACTION = {"open": COLOUR["opened"], "click": COLOUR["clicked"]}


def _best(frame: pl.DataFrame, column: str) -> dict[str, Any]:
    return frame.sort(column, descending=True, nulls_last=True, maintain_order=True).row(
        0, named=True
    )


_STAGE_COLOUR = {
    "attempted": COLOUR["attempted"],
    "accepted": COLOUR["accepted"],
    "opened or clicked": COLOUR["opened"],
    "clicked by people": COLOUR["clicked"],
    "unsubscribed": COLOUR["unsubscribed"],
}


def funnel(stages: pl.DataFrame, report: pl.DataFrame) -> Drawn:
    """Draw what became of the messages (``campaign_funnel``).

    Columns: stage_number, stage, messages, share_of_attempted, share_of_previous; of ``report``,
    the campaign's row of ``campaign_list``: unattributed_nearby.
    """
    if stages.is_empty():
        return note("There is no message here to follow.")
    said = {row["stage"]: row for row in stages.iter_rows(named=True)}
    labelled = stages.with_columns(
        label=pl.Series([_stage_label(row) for row in stages.iter_rows(named=True)]),
        end=pl.col("messages").fill_null(0),
    )
    accepted, reacted = said["accepted"], said["opened or clicked"]
    tracked = reacted["messages"] is not None
    title = look.title(
        _became(accepted, reacted),
        f"messages, of {wording.count(said['attempted']['messages'])} attempted{_perhaps(report)}",
        "machine opens and clicks stay in the third bar and are out of the fourth"
        if tracked
        else "nothing is known of opens, clicks and unsubscribes",
    )
    base = alt.Chart(labelled).encode(
        y=alt.Y("stage:N", sort=list(_STAGE_COLOUR), title=None, axis=alt.Axis(ticks=False)),
        x=alt.X("end:Q", title=None, axis=None, scale=look.room(stages["messages"])),
        tooltip=look.tips(stages, "stage", "messages", "share_of_attempted", "share_of_previous"),
    )
    bars = base.mark_bar(height={"band": 0.72}).encode(color=look.by("stage", _STAGE_COLOUR))
    text = base.mark_text(align="left", dx=6).encode(text="label:N")
    return look.whole(
        alt.layer(bars, text, title=title).properties(width=WIDTH - 110, height=38 * stages.height)
    )


def _perhaps(report: pl.DataFrame) -> str:
    """How many more may have bounced."""
    nearby = int(report["unattributed_nearby"].sum())
    return f" and up to {wording.plural(nearby, 'unattributed bounce')} more" if nearby else ""


def _became(accepted: dict[str, Any], reacted: dict[str, Any]) -> str:
    if not accepted["messages"]:
        return "None was accepted"
    share = f"{wording.percent(accepted['share_of_attempted'])} were accepted"
    if reacted["messages"] is None:
        return f"{share}; opens and clicks are not tracked"
    reached = wording.percent(reacted["share_of_previous"])
    return f"{share}; {reached} of those opened or clicked, by people or machines"


def _stage_label(row: dict[str, Any]) -> str:
    if row["messages"] is None:
        return "unknown"
    label = wording.count(row["messages"])
    if row["stage"] == "attempted":
        return label
    label += f" · {wording.percent(row['share_of_attempted'])} of attempted"
    if row["stage"] == "accepted":
        return label
    above = "accepted" if row["stage"] == "unsubscribed" else "the bar above"
    return f"{label}, {wording.percent(row['share_of_previous'])} of {above}"


def curve(points: pl.DataFrame, campaign: str | None) -> Drawn:
    """Draw how opens and clicks by people grew in ``campaign`` (an id), over its peers in grey.

    Columns (``campaign_curve`` of the campaign and its peers): campaign_id, campaign_name,
    age_hours, accepted, opened, clicked, opened_human, clicked_human, open_human_rate and
    click_human_rate with _lo and _hi, is_small. Small peers stretch the axis of a small one only.
    """
    is_own = pl.col("campaign_id") == campaign
    points = points.filter(is_own | pl.col("open_human_rate").is_not_null())  # tracked
    own = points.filter(is_own).sort("age_hours")
    if own.is_empty():
        return note("The curve begins eight minutes after a campaign's last delivery.")
    if not max(own["opened_human"].max(), own["clicked_human"].max()):  # type: ignore[type-var]
        return note(_no_curve(own))
    last = own.row(-1, named=True)
    others = points["campaign_id"].n_unique() - 1
    title = look.title(
        f"{wording.percent(last['open_human_rate'])} had opened and "
        f"{wording.percent(last['click_human_rate'])} clicked after "
        f"{wording.age(last['age_hours'])}",
        "unique, by people, of accepted messages, since each message's own delivery",
        f"n = {wording.count(last['accepted'])}",
        f"grey: {wording.plural(others, 'earlier campaign')} of this sender" if others else "",
    )
    sides = [_curve(own, points.filter(~is_own), measure) for measure in ("open", "click")]
    return look.whole(alt.hconcat(*sides, spacing=34).properties(title=title))


def _no_curve(own: pl.DataFrame) -> str:
    if max(own["opened"].max(), own["clicked"].max()):  # type: ignore[type-var]
        return "Only machines have opened or clicked yet: there is no curve of people to draw."
    return "No open or click has been tracked yet, so there is no curve to draw."


def _curve(own: pl.DataFrame, peers: pl.DataFrame, measure: str) -> Any:
    rate = f"{measure}_human_rate"
    like = peers.filter(~pl.col("is_small") | own["is_small"][0])
    top = _reach(own, like, rate, _LEAST[measure])
    peers = peers.select("campaign_id", "age_hours", "open_human_rate", "click_human_rate")
    x = alt.X(
        "age_hours:Q",
        title="since delivery",
        scale=alt.Scale(type="log", nice=False),
        axis=alt.Axis(values=[0.25, 1, 6, 24, 72, 168, 672], grid=False, labelExpr=_HOURS),
    )
    y = alt.Y(
        f"{rate}:Q",
        title=f"{look.WORD[measure]} of accepted",
        scale=alt.Scale(domain=[0, top]),
        axis=alt.Axis(format="~%", tickCount=5),
    )
    thin = alt.Chart(peers).mark_line(color=FAINT, strokeWidth=1, clip=True)
    grey = thin.encode(x, y, detail="campaign_id")
    colour, counted = _REACTION[measure], f"{look.WORD[measure]}_human"
    tips = look.tips(own, "age_hours", counted, "accepted", *look.bounds(rate))
    here = alt.Chart(own).encode(x, y, tooltip=tips)
    band = here.mark_area(color=colour, opacity=0.2).encode(y=f"{rate}_lo:Q", y2=f"{rate}_hi:Q")
    line = here.mark_line(color=colour, strokeWidth=3)
    end = alt.Chart(own.sort("age_hours").tail(1)).encode(x, y, tooltip=tips)
    dot = end.mark_point(color=colour, filled=True, size=70, opacity=1)
    label = end.mark_text(dy=-13, align="right", fontWeight=600).encode(
        text=alt.Text(f"{rate}:Q", format=".1%")
    )
    layers = alt.layer(grey, band, line, dot, label)
    return look.whole(layers.properties(width=(WIDTH - 90) // 2, height=230))


_LEAST = {"open": 0.1, "click": 0.02}
"""The least top of a curve's axis, so that next to nothing looks like next to nothing."""


def _reach(own: pl.DataFrame, peers: pl.DataFrame, rate: str, least: float) -> float:
    """The top of a curve's axis: what was reached, with room where only the interval did."""
    highest = [own[f"{rate}_hi"].max(), peers[rate].max()]
    top = max((float(value) for value in highest if value is not None), default=0.0)  # type: ignore[arg-type]
    return min(1.0, max(least, top * (1.05 if own[rate].max() else 2)))


_HOURS = (
    "datum.value < 1 ? datum.value * 60 + ' min' : "
    "datum.value < 24 ? datum.value + ' h' : datum.value / 24 + ' d'"
)


def bounces(categories: pl.DataFrame, report: pl.DataFrame | None = None) -> Drawn:
    """Draw why messages bounced (``bounce_category`` or ``bounce_total``).

    Columns: bounce_category, bounce_class, bounced, attempted, bounce_rate with _lo and _hi. With
    the campaign's row of ``campaign_list`` as ``report``, the unattributed bounces of its time
    stand as a line of their own.
    """
    if categories.is_empty():
        return note("Nothing bounced that is known to belong here.")
    reasons = _by_category(categories)
    most, whole = int(reasons["bounced"].max()), int(reasons["bounced"].sum())  # type: ignore[arg-type]
    title = look.title(
        f"{_reason(reasons)}: {wording.count(most)} of {wording.plural(whole, 'bounce')}",
        "bounced messages by category and class, and their share of attempted messages",
        _without_campaign(categories),
    )
    nearby = 0 if report is None else int(report["unattributed_nearby"].sum())
    shown = _with_nearby(categories, nearby)
    order = [*_order(categories, "bounce_category", "bounced"), _NEARBY]
    ends = _by_category(shown)
    labels = pl.Series("label", [_bounce_label(row) for row in ends.iter_rows(named=True)])
    axis = alt.Axis(ticks=False, labelLimit=150)
    y = alt.Y("bounce_category:N", sort=order, title=None, axis=axis)
    x = alt.X("bounced:Q", axis=None, scale=look.room(ends["bounced"], 1.3))
    base = alt.Chart(shown).encode(
        y=y,
        x=x,
        tooltip=look.tips(
            shown,
            *("bounce_category", "bounce_class", "bounced", "unattributed", "attempted"),
            *look.bounds("bounce_rate"),
        ),
    )
    named = set(shown["bounce_class"])
    colours = {name: COLOUR[name] for name in (*CLASSES, "unattributed") if name in named}
    bars = base.mark_bar(height={"band": 0.72}).encode(
        color=look.by("bounce_class", colours, legend=look.top_legend())
    )
    text = alt.Chart(ends.with_columns(labels)).encode(y=y, x=x, text="label:N")
    layers = alt.layer(bars, text.mark_text(align="left", dx=6), title=title)
    return look.whole(layers.properties(width=WIDTH - 60, height=26 * ends.height))


def _by_category(rows: pl.DataFrame) -> pl.DataFrame:
    """A row for each category: its bounces, and the rate of its class where it has but one."""
    return rows.group_by("bounce_category", maintain_order=True).agg(
        pl.col("bounced").sum(),
        classes=pl.len(),
        bounce_rate=pl.col("bounce_rate").first(),
        attempted=pl.col("attempted").first(),
    )


def _reason(reasons: pl.DataFrame) -> str:
    most = reasons.filter(pl.col("bounced") == reasons["bounced"].max())
    first, *others = most["bounce_category"].unique().sort()
    if others:
        more = wording.plural(len(others), "other reason")
        return f"{wording.short(first, 40)} and {more} are the commonest, each"
    if first == "no category":
        return "Commonest are those that name no category"
    return f"{wording.short(first, 40)} is the commonest reason"


def _without_campaign(categories: pl.DataFrame) -> str:
    lost = int(categories["unattributed"].sum()) if "unattributed" in categories.columns else 0
    return f"{wording.plural(lost, 'bounce')} without a campaign" if lost else ""


_NEARBY = "unattributed, in its time"


def _with_nearby(categories: pl.DataFrame, nearby: int) -> pl.DataFrame:
    if not nearby:
        return categories
    row = {"bounce_category": _NEARBY, "bounce_class": "unattributed", "bounced": nearby}
    return pl.concat([categories, pl.DataFrame([row])], how="diagonal")


def _bounce_label(row: dict[str, Any]) -> str:
    if row["classes"] > 1:
        return f"{wording.count(row['bounced'])} in {row['classes']} classes"
    share = wording.percent(row["bounce_rate"]) if row["attempted"] else "perhaps its own"
    return f"{wording.count(row['bounced'])} · {share}"


def _order(frame: pl.DataFrame, name: str, by: str) -> list[str]:
    """Names by their sum, the largest first: layered charts keep no order but a list."""
    summed = frame.group_by(name).agg(pl.col(by).sum())
    return summed.sort(by, name, descending=[True, False])[name].to_list()


def links(clicked: pl.DataFrame) -> Drawn:
    """Draw the most clicked links, people within all (``link_report``).

    Columns: url, clicked, clicked_human, accepted, click_human_rate with _lo and _hi,
    first_click_human_share.
    """
    if clicked.is_empty():
        return note("No click is known to belong here, so no link can be ranked.")
    top = _best(clicked, "clicked_human")
    title = look.title(
        f"{wording.short(wording.both_ends(_bare(top['url']), 48), 48)} drew the most people: "
        f"{wording.count(top['clicked_human'])}"
        if top["clicked_human"]
        else "No link was followed by a person, as far as timing shows machines",
        "messages that clicked each link; dark: by people, pale: with machines",
        "at its end: share of people's first clicks",
        f"n = {wording.count(top['accepted'])} accepted",
    )
    bare = [_bare(url) for url in clicked["url"]]
    named = clicked.with_columns(
        link=pl.Series(_distinct(bare)),
        label=pl.Series(_distinct([wording.both_ends(link, 48) for link in bare])),
        first=pl.Series([wording.percent(share) for share in clicked["first_click_human_share"]]),
    )
    counted = ("link", "clicked_human", "clicked", "accepted", *look.bounds("click_human_rate"))
    base = alt.Chart(named).encode(
        y=alt.Y("label:N", sort=None, title=None, axis=alt.Axis(ticks=False, labelLimit=320)),
        tooltip=look.tips(named, *counted, "first_click_human_share"),
    )
    axis = look.counted(clicked["clicked"].max())
    x = alt.X("clicked:Q", title="messages", axis=axis, scale=look.room(clicked["clicked"], 1.15))
    everyone = base.mark_bar(height={"band": 0.72}, color=COLOUR["machine"]).encode(x)
    people = base.mark_bar(height={"band": 0.72}, color=COLOUR["clicked"])
    human = people.encode(alt.X("clicked_human:Q", axis=axis))
    share = base.mark_text(align="left", dx=6).encode(x, text="first:N")
    layers = alt.layer(everyone, human, share, title=title)
    return look.whole(layers.properties(width=WIDTH - 260, height=26 * clicked.height))


def _distinct(labels: list[str]) -> list[str]:
    """Labels with a number where two would be the same row of a chart."""
    often, so_far = Counter(labels), Counter[str]()
    result = []
    for label in labels:
        so_far[label] += 1
        result.append(f"{label} ({so_far[label]})" if often[label] > 1 else label)
    return result


def _bare(url: str) -> str:
    """A URL without its scheme and tracking parameters, in letters, for a label."""
    plain = unquote(url.split("://", 1)[-1].split("?", 1)[0].rstrip("/"))
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in plain)


_OUTCOMES = ("accepted", *CLASSES, "unattributed")


def volume(days: pl.DataFrame, campaigns: pl.DataFrame) -> Drawn:
    """Draw messages by day and outcome (``daily_outcome_report``), campaigns marked below.

    Columns: day, outcome, messages, outcome_share; of ``campaigns``: sent_date, campaign_name,
    attempted.
    """
    if days.is_empty():
        return note("No message has been delivered or bounced, so there is no volume to draw.")
    totals = days.group_by("day", maintain_order=True).agg(pl.col("messages").sum())
    busiest = _best(totals, "messages")
    title = look.title(
        f"{wording.plural(int(days['messages'].sum()), 'message')} on "
        f"{wording.plural(totals.height, 'day')}; most on {busiest['day']:%a %d %b %Y}: "
        f"{wording.count(busiest['messages'])}",
        f"messages attempted, by day and outcome, {_from_to(days)}"
        + "; each tick below is a campaign" * (campaigns.height > 0),
    )
    panels = [_days(days)]
    if campaigns.height:
        panels.append(_campaign_ticks(campaigns))
    stacked = alt.vconcat(*panels, spacing=2, title=title)
    return look.whole(stacked.resolve_scale(x="shared", color="independent"))


def _from_to(days: pl.DataFrame) -> str:
    """The days that a chart shows, which may be the newest of more."""
    first, last = days.select(pl.col("day").min(), last=pl.col("day").max()).row(0)
    return f"{first:%d %b %Y} to {last:%d %b %Y}"


def _days(days: pl.DataFrame) -> alt.Chart:
    order = {name: number for number, name in enumerate(_OUTCOMES)}
    rank = pl.col("outcome").replace_strict(order, default=len(order))
    ranked = days.with_columns(rank=rank).sort("day", "rank")
    span = (days["day"].max() - days["day"].min()).days + 1  # type: ignore[operator, union-attr]
    wide = max(1.5, min(26.0, 0.72 * WIDTH / span))
    colours = {name: COLOUR[name] for name in _OUTCOMES if name in set(days["outcome"])}
    most = days.group_by("day").agg(pl.col("messages").sum())["messages"].max()
    drawn: alt.Chart = (
        alt.Chart(ranked)
        .mark_bar(size=wide)
        .encode(
            alt.X(
                "day:T",
                title=None,
                axis=look.day_axis(days["day"]),
                scale=alt.Scale(padding=wide / 2),
            ),
            alt.Y("messages:Q", title="messages", axis=look.counted(most)),
            look.by("outcome", colours, legend=look.top_legend()),
            order="rank:Q",
            tooltip=look.tips(days, "day", "outcome", "messages", "outcome_share"),
        )
        .properties(width=WIDTH - 60, height=220)
    )
    return drawn


def _each_day(days: pl.Series) -> alt.X:
    """Days as they are marked by dots: the first stands beside the axis, not on it."""
    return alt.X("day:T", title=None, axis=look.day_axis(days), scale=alt.Scale(padding=8))


def _campaign_ticks(campaigns: pl.DataFrame) -> alt.Chart:
    told = ["campaign_name", "sent_date", "attempted"]
    drawn: alt.Chart = (
        alt.Chart(campaigns.select(told))
        .mark_tick(color=INK, thickness=1.5, size=9)
        .encode(
            alt.X("sent_date:T", axis=None),
            tooltip=look.tips(campaigns, *told),
        )
        .properties(width=WIDTH - 60, height=12)
    )
    return drawn


def since(campaigns: pl.DataFrame, days: pl.DataFrame) -> pl.DataFrame:
    """Return the campaigns sent on the days drawn, or between them."""
    return campaigns.filter(pl.col("sent_date").is_between(days["day"].min(), days["day"].max()))


def forest(rates: pl.DataFrame, measure: str, reference: str | None, age: str) -> Drawn:
    """Draw a rate with its interval for the 40 newest campaigns at one age (``measured_rate``).

    Columns: campaign_id, campaign_name, sent_date, measure, denominator, rate, rate_lo, rate_hi,
    is_small, urls, newest first. ``reference`` is the id that the others are read against;
    ``age`` is in words.
    """
    whole = rates.filter(pl.col("measure") == measure, pl.col("rate").is_not_null())
    own = pl.col("campaign_id") == reference
    known = pl.concat([whole.head(40), whole.slice(40).filter(own)])
    if known.is_empty():
        return note(f"No campaign has reached {age} yet, or nothing is tracked.")
    told = known.filter(~pl.col("is_small"))
    high = (told if told.height else known)["rate_hi"].max()
    title = look.title(
        _most(told, measure) if told.height else "Too few messages in any campaign to tell",
        f"{look.WORD[measure]} by people, of accepted messages, {age} after delivery",
        f"{wording.plural(known.height, 'campaign')}, 95% intervals",
        "dark and dashed: the reference" if known.filter(own).height else "",
        "grey: too few to tell" if told.height < known.height else "",
        "on the right edge: higher" if known["rate"].max() > high else "",  # type: ignore[operator]
    )
    named = known.with_columns(
        label=pl.Series(_distinct([_dated(row) for row in known.iter_rows(named=True)])),
        is_reference=own.fill_null(False),
    )
    y = alt.Y("label:N", sort=None, title=None, axis=alt.Axis(ticks=False, labelLimit=300))
    tips = ("campaign_name", "sent_date", "numerator", "denominator", *look.bounds("rate"))
    base = alt.Chart(named).encode(y=y, tooltip=look.tips(named, *tips))
    line = alt.Chart(named.filter(pl.col("is_reference"))).mark_rule(color=MUTED, strokeDash=[3, 3])
    layers = alt.layer(line.encode(x="rate:Q"), *_intervals(base, measure, high), title=title)
    return look.whole(layers.properties(width=WIDTH - 260, height=20 * known.height))


def _intervals(base: alt.Chart, measure: str, high: Any) -> list[alt.Chart]:
    """Rates and their intervals on an axis up to ``high``; the reference dark, small ones grey."""
    strong: Any = {
        "condition": [
            {"test": "datum.is_reference", "value": INK},
            {"test": "datum.is_small", "value": FAINT},
        ],
        "value": _REACTION[measure],
    }
    x = alt.X(
        "rate_lo:Q",
        title=f"{look.WORD[measure]} of accepted",
        scale=alt.Scale(zero=True, nice=False, domainMax=high, clamp=True),
        axis=alt.Axis(format="~%", tickCount=6),
    )
    spans = base.mark_rule(strokeWidth=2).encode(x, x2="rate_hi:Q", color=strong)
    return [spans, base.mark_circle(size=60, opacity=1).encode(x="rate:Q", color=strong)]


def _most(told: pl.DataFrame, measure: str) -> str:
    top = _best(told, "rate")
    name = f"{wording.short(top['campaign_name'], 40)}{look.one_link(top, measure)}"
    return _highest(told, "rate", f"{name} was {look.WORD[measure]} most", look.WORD[measure])


def _highest(frame: pl.DataFrame, rate: str, finding: str, word: str) -> str:
    """The finding, if the highest rate's interval stands clear of all others; else the range."""
    top, *others = frame.sort(rate, descending=True).iter_rows(named=True)
    if not others:
        return f"{wording.percent(top[rate])} {word}"
    if top[f"{rate}_lo"] > max(other[f"{rate}_hi"] for other in others):
        return f"{finding}: {wording.percent(top[rate])}"
    return (
        f"{wording.percent(others[-1][rate])} to {wording.percent(top[rate])} {word}; the highest "
        "does not stand clear of the others"
    )


def _dated(row: dict[str, Any]) -> str:
    sent = f"{row['sent_date']:%d %b %y}" if row["sent_date"] else "not delivered"
    return f"{wording.short(row['campaign_name'], 32)} · {sent}"


def control(days: pl.DataFrame) -> Drawn:
    """Draw the daily bounce rate with its control limits (``daily_bounce_limit``).

    Columns: day, attempted, delivered, bounced, bounce_rate, pooled_rate, limit_lo_998,
    limit_hi_998, is_small, is_out_of_control. Small days are left out: their limits span
    everything; so are those without a delivery, of which all bounced.
    """
    alone = days.filter(pl.col("delivered") == 0)
    days = days.filter(~pl.col("is_small"), pl.col("delivered") > 0)
    if days.is_empty():
        return note("No day has enough mail to judge its bounces.")
    title = look.title(
        _odd_days(days),
        f"bounced of attempted, by day; ordinary rate {wording.percent(days['pooled_rate'][0])}",
        "bars: 99.8% limits for a day of its size, as much as days differ",
        _left_out(alone),
    )
    tips = ("day", "bounce_rate", "bounced", "attempted", "limit_lo_998", "limit_hi_998")
    base = alt.Chart(days).encode(_each_day(days["day"]), tooltip=look.tips(days, *tips))
    scale = alt.Scale(domain=[0, _highest_day(days)], clamp=True)
    axis = alt.Axis(format="~%", tickCount=5)
    y = alt.Y("bounce_rate:Q", title="bounced", scale=scale, axis=axis)
    limits = base.mark_rule(color=COLOUR["accepted"], opacity=0.3, strokeWidth=6).encode(
        y="limit_lo_998:Q", y2="limit_hi_998:Q"
    )
    colour = alt.condition(
        "datum.is_out_of_control", alt.value(COLOUR["beyond_998"]), alt.value(COLOUR["accepted"])
    )
    dots = base.mark_circle(size=46, opacity=1).encode(y=y, color=colour)
    middle = base.mark_line(color=MUTED, strokeWidth=1).encode(y="pooled_rate:Q")
    layers = alt.layer(limits, middle, dots, title=title)
    return look.whole(layers.properties(width=WIDTH - 60, height=220))


def _highest_day(days: pl.DataFrame) -> float:
    """The top of the axis: where limits are far above every day they are cut, not the days."""
    day, limit = days.select(pl.col("bounce_rate").max(), pl.col("limit_hi_998").max()).row(0)
    return float(max(1.1 * day, min(1.05, limit, 3 * day) or limit))


def _left_out(alone: pl.DataFrame) -> str:
    if alone.is_empty():
        return ""
    bounced = wording.plural(int(alone["bounced"].sum()), "bounce")
    return f"left out: {bounced} on {wording.plural(alone.height, 'day')} without a delivery"


def _odd_days(days: pl.DataFrame) -> str:
    odd = days.filter(pl.col("is_out_of_control"))
    if odd.is_empty():
        return f"None of {wording.plural(days.height, 'day')} was unusual"
    worst = _best(odd, "bounce_rate")
    return (
        f"{odd.height} of {wording.plural(days.height, 'day')} unusual; highest on "
        f"{worst['day']:%a %d %b}: {wording.percent(worst['bounce_rate'])}"
    )


def delays(quantiles: pl.DataFrame, kind: str) -> Drawn:
    """Draw how long after delivery first reactions came, by campaign (``human_reaction``).

    Columns: campaign_id, campaign_name, sent_date, kind, reacted, p10_hours to p90_hours,
    is_small and maturity. Grey is what rests on too few to tell.
    """
    known = quantiles.filter(pl.col("kind") == kind)
    if known.is_empty():
        return note(f"No {kind} by a person is known of any campaign, so its timing is unknown.")
    title = look.title(
        _soon(telling(known), kind),
        f"from delivery to the first {kind} by a person; dot: half, thick: middle half, thin: 80%",
        "grey: too few to tell" if known["is_small"].any() else "",
    )
    named = known.with_columns(
        label=pl.Series(_distinct([_dated(row) for row in known.iter_rows(named=True)])),
        resting=pl.Series([_resting(row) for row in known.iter_rows(named=True)]),
    )
    quoted = [f"p{share}_hours" for share in (10, 25, 50, 75, 90)]
    base = alt.Chart(named).encode(
        alt.Y("label:N", sort=None, title=None, axis=alt.Axis(ticks=False, labelLimit=300)),
        color=alt.condition("datum.is_small", alt.value(FAINT), alt.value(_REACTION[kind])),
        tooltip=look.tips(named, "campaign_name", "reacted", "maturity", *quoted),
    )
    x = alt.X(
        "p10_hours:Q",
        title="after delivery (log scale)",
        scale=alt.Scale(type="log", nice=False, domain=_span(known)),
        axis=alt.Axis(values=_DELAYS, labelExpr=_HOURS, labelOverlap="greedy"),
    )
    thin = base.mark_rule(strokeWidth=1).encode(x, x2="p90_hours:Q")
    thick = base.mark_rule(strokeWidth=5, opacity=0.5).encode(x="p25_hours:Q", x2="p75_hours:Q")
    dots = base.mark_circle(size=70, opacity=1).encode(x="p50_hours:Q")
    style: Any = {"align": "left", "dx": 8, "fontSize": 11}
    written = base.mark_text(**style).encode(
        x=alt.value(WIDTH - 330), text="resting:N", color=alt.value(MUTED)
    )
    layers = alt.layer(thin, thick, dots, written, title=title)
    return look.whole(layers.properties(width=WIDTH - 330, height=20 * known.height))


_DELAYS = [1 / 60, 1 / 12, 0.25, 0.5, 1, 2, 4, 8, 24, 72, 168, 336]


def _span(known: pl.DataFrame) -> list[float]:
    """The delays drawn, and at least from half to twice of one: a log axis of no width has none."""
    low, high = known.select(pl.col("p10_hours").min(), pl.col("p90_hours").max()).row(0)
    return [low, high] if high > 2 * low else [low / 2, high * 2]


def telling(known: pl.DataFrame) -> dict[str, Any] | None:
    """Return of ``human_reaction``, newest first, the row that tells how soon people react.

    It is of the newest campaign that has enough reactions, of a comparable one if there is.
    """
    told = known.filter(~pl.col("is_small"))
    if told.is_empty():
        return None
    return told.sort(pl.col("maturity") != "comparable", maintain_order=True).row(0, named=True)


def _soon(row: dict[str, Any] | None, kind: str) -> str:
    if row is None:
        return f"Too few first {kind}s in any campaign to tell how soon they come"
    return (
        f"Half of the first {kind}s{' so far' * (row['maturity'] != 'comparable')} came within "
        f"{wording.age(row['p50_hours'])}, 90% within {wording.age(row['p90_hours'])}: "
        f"{wording.short(row['campaign_name'], 30)}"
    )


def _resting(row: dict[str, Any]) -> str:
    """What the timing of a campaign rests on: how many, and whether more are to come."""
    young = "" if row["maturity"] == "comparable" else f", {row['maturity']}"
    return f"n = {wording.count(row['reacted'])}{young}"


DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def hours(cells: pl.DataFrame, kind: str, zone: str) -> Drawn:
    """Draw weekdays and hours of opens or clicks by people (``weekday_hour_report``).

    Columns: weekday (1 = Monday), hour, opens_human, clicks_human, delivered, the shares, and
    open_is_small or click_is_small.
    ``kind`` is open or click; ``zone`` is the name of the report zone.
    """
    counted, share = f"{kind}s_human", f"{kind}_human_share"
    whole = int(cells[counted].sum())
    if not whole:
        return note(f"No {kind} by a person has reached a message that is known.")
    days = dict(enumerate(DAYS, start=1))
    named = cells.with_columns(
        day=pl.col("weekday").replace_strict(days, return_dtype=pl.String),
    )
    few = bool(cells[f"{kind}_is_small"][0])
    title = look.title(
        f"Only {wording.plural(whole, kind)} by people: too few to tell a good hour"
        if few
        else _busiest(busiest(named, kind), kind),
        f"{kind}s by people, n = {wording.count(whole)}, hours in {zone}",
        "below: when mail was delivered, which decides most of it",
    )
    full = COLOUR["unattributed"] if few else _REACTION[kind]
    upper = _week(named, share, full, alt.Legend(title="share", format=".1%"), 24)
    lower = _week(named, "delivered", COLOUR["accepted"], alt.Legend(title="delivered"), 13)
    panels = (upper.encode(_hour(None)), lower.encode(_hour(f"hour of the day ({zone})")))
    stacked = alt.vconcat(*panels, spacing=10, title=title)
    return look.whole(stacked.resolve_scale(color="independent"))


def busiest(cells: pl.DataFrame, kind: str) -> dict[str, Any] | None:
    """Return the hour of ``weekday_hour_report`` with more by people than all others, if any."""
    top = cells.filter(pl.col(f"{kind}s_human") == pl.col(f"{kind}s_human").max())
    return top.row(0, named=True) if top.height == 1 else None


def _busiest(row: dict[str, Any] | None, kind: str) -> str:
    if row is None:
        return f"No hour has more {kind}s by people than every other"
    share = wording.percent(row[f"{kind}_human_share"])
    return (
        f"The busiest hour for {kind}s by people: {row['day']} {wording.hour(row['hour'])}, {share}"
    )


def _week(named: pl.DataFrame, shown: str, full: str, legend: alt.Legend, height: int) -> alt.Chart:
    """Every hour of the week as a cell, from pale (nothing) to ``full`` (the most)."""
    legend.gradientLength = 4 * height
    counted = [name for name in named.columns if name.endswith(("_human", "_share"))]
    drawn: alt.Chart = (
        alt.Chart(named)
        .mark_rect(stroke="white", strokeWidth=1)
        .encode(
            y=alt.Y("day:N", sort=list(DAYS), scale=alt.Scale(domain=list(DAYS)), title=None),
            color=alt.Color(
                f"{shown}:Q",
                scale=alt.Scale(range=["#f1f4f8", full], domain=[0, max(named[shown]) or 1]),
                legend=legend,
            ),
            tooltip=look.tips(named, "day", "hour", *counted, "delivered"),
        )
        .properties(width=WIDTH - 130, height=7 * height)
    )
    return drawn


def _hour(title: str | None) -> alt.X:
    """The hours of a day: all of them, whether anything happened in them or not."""
    axis = alt.Axis(labelAngle=0, labels=title is not None, ticks=title is not None)
    return alt.X("hour:O", title=title, axis=axis, scale=alt.Scale(domain=list(range(24))))


def unsubscribes(days: pl.DataFrame) -> Drawn:
    """Draw the share that unsubscribed by day of delivery, with intervals (``daily_report``).

    Columns: day, accepted, tracked_accepted, unsubscribed, unsubscribe_rate with _lo and _hi,
    is_small. Days without tracked mail are left out.
    """
    known = days.filter(~pl.col("is_small"), pl.col("unsubscribe_rate").is_not_null())
    if known.is_empty():
        return note("No day has enough tracked mail to judge unsubscribes.")
    top = _best(known, "unsubscribe_rate")
    said = f"Most unsubscribed from the mail of {top['day']:%a %d %b}"
    title = look.title(
        _highest(known, "unsubscribe_rate", said, "unsubscribed, by day"),
        f"of accepted messages, by day of delivery, {wording.plural(known.height, 'day')}",
        "95% intervals, days with enough mail to judge",
        _not_tracked(known),
    )
    told = ("day", "unsubscribed", "accepted", *look.bounds("unsubscribe_rate"))
    tips = look.tips(known, *told)
    base = alt.Chart(known.select(told)).encode(_each_day(known["day"]), tooltip=tips)
    spans = base.mark_rule(color=COLOUR["unsubscribed"], opacity=0.45, strokeWidth=2).encode(
        alt.Y(
            "unsubscribe_rate_lo:Q", title="unsubscribed", axis=alt.Axis(format="~%", tickCount=4)
        ),
        y2="unsubscribe_rate_hi:Q",
    )
    dots = base.mark_circle(color=COLOUR["unsubscribed"], size=50, opacity=1)
    layers = alt.layer(spans, dots.encode(y="unsubscribe_rate:Q"), title=title)
    return look.whole(layers.properties(width=WIDTH - 60, height=170))


def _not_tracked(days: pl.DataFrame) -> str:
    lost = int(days["accepted"].sum()) - int(days["tracked_accepted"].sum())
    return f"{wording.count(lost)} of the accepted not tracked" if lost else ""


def cohorts(groups: pl.DataFrame) -> Drawn:
    """Draw recipients by the time since they last reacted (``recency_report``).

    Columns: recency_number, recency, recipients, accepted, recipient_share, reached_share.
    """
    if groups.is_empty():
        return note("No recipient is known yet.")
    quiet = groups.filter(pl.col("recency") == "never")
    never = quiet["reached_share"][0] if quiet.height else 0.0
    return _bars(
        groups.sort("recency_number"),
        ("recency", "recipients", "recipient_share"),
        f"{wording.percent(never)} of those reached have never reacted as a person"
        if groups["accepted"].sum()
        else "No mail is known to have been accepted",
        "recipients by their last reaction as a person, as far as timing tells",
        COLOUR["opened"],
    )


def reasons(groups: pl.DataFrame) -> Drawn:
    """Draw why recipients are to be suppressed (``suppression_reason``)."""
    if groups.is_empty():
        return note("No recipient has to be suppressed.")
    top = _best(groups, "recipients")
    return _bars(
        groups.sort("recipients", descending=True),
        ("suppress_reason", "recipients", "recipient_share"),
        f"{wording.count(top['recipients'])} of "
        f"{wording.count(int(groups['recipients'].sum()))} to suppress: {top['suppress_reason']}",
        "recipients to stop writing to, by reason",
        alt.when("substring(datum.suppress_reason, 0, 4) == 'hard'")
        .then(alt.value(COLOUR["hard"]))
        .when("substring(datum.suppress_reason, 0, 8) == 'repeated'")
        .then(alt.value(COLOUR["soft"]))
        .otherwise(alt.value(COLOUR["unsubscribed"])),
    )


def soft_runs(groups: pl.DataFrame) -> Drawn:
    """Draw how many soft bounces in a row recipients have behind them (``soft_bounce_run``).

    Columns: soft_bounces_in_a_row, recipients, is_or_more.
    """
    if groups.is_empty():
        return note("No recipient's latest mail bounced softly.")
    more = pl.when("is_or_more").then(pl.lit(" or more")).otherwise(pl.lit(""))
    named = groups.sort("soft_bounces_in_a_row").with_columns(
        in_a_row=pl.format("{}{}", "soft_bounces_in_a_row", more)
    )
    last = named.row(-1, named=True)
    return _bars(
        named,
        ("in_a_row", "recipients", None),
        f"{wording.plural(last['recipients'], 'recipient')} bounced "
        f"{_times(last['in_a_row'])}, the longest run",
        "recipients by soft bounces since their last accepted mail or reaction",
        COLOUR["soft"],
    )


def _times(run: str) -> str:
    return "once" if run == "1" else f"{run} times in a row"


def set_aside(groups: pl.DataFrame) -> Drawn:
    """Draw why lines stand in the quarantine (``quarantine_reason``)."""
    if groups.is_empty():
        return note("The quarantine is empty: every signed line could be read.")
    top = _best(groups, "lines")
    return _bars(
        groups.sort("lines", descending=True),
        ("reason", "lines", "line_share"),
        f"{wording.plural(top['lines'], 'line')} set aside for {top['reason']}",
        "signed lines that could not become events, by reason; loader quarantine shows them",
        COLOUR["undetermined"],
    )


def _bars(
    groups: pl.DataFrame,
    columns: tuple[str, str, str | None],
    finding: str,
    measure: str,
    colour: Any,
) -> Drawn:
    """Horizontal bars in the frame's order: ``columns`` are name, count and share."""
    name, counted, share = columns
    written = [
        wording.count(row[counted]) + (f" · {wording.percent(row[share])}" if share else "")
        for row in groups.iter_rows(named=True)
    ]
    whole = f"n = {wording.count(int(groups[counted].sum()))}"
    base = alt.Chart(groups.with_columns(label=pl.Series(written))).encode(
        alt.Y(f"{name}:N", sort=None, title=None, axis=alt.Axis(ticks=False)),
        alt.X(f"{counted}:Q", axis=None, scale=look.room(groups[counted], 1.35)),
        tooltip=look.tips(groups, name, counted, *([share] if share else [])),
    )
    told = alt.value(colour) if isinstance(colour, str) else colour
    bars = base.mark_bar(height={"band": 0.72}).encode(color=told)
    text = base.mark_text(align="left", dx=6).encode(text="label:N")
    layers = alt.layer(bars, text, title=look.title(finding, measure, whole))
    return look.whole(layers.properties(width=WIDTH - 190, height=28 * groups.height))


def arrivals(days: pl.DataFrame) -> Drawn:
    """Draw events by day and sender domain (``data_quality``), so that a gap shows as white.

    Columns: day, sender_domain, events. At most six domains, the busiest first.
    """
    if days.is_empty():
        return note("No event has been loaded yet.")
    named = days.with_columns(pl.col("sender_domain").fill_null("no sender given"))
    order = _order(named, "sender_domain", "events")[:6]
    whole = int(days["events"].sum())
    title = look.title(
        f"{wording.plural(whole, 'event')} on {wording.plural(days['day'].n_unique(), 'day')} "
        f"from {wording.plural(named['sender_domain'].n_unique(), 'sender domain')}",
        f"events by day of the event, {_from_to(days)}; white is a day without any",
    )
    rows = [_arrived(named, domain, domain == order[-1]) for domain in order]
    return look.whole(alt.vconcat(*rows, spacing=8, title=title).resolve_scale(x="shared"))


def _arrived(named: pl.DataFrame, domain: str, is_last: bool) -> alt.Chart:
    """One domain's events by day on a scale of its own, which its heading and axis both say."""
    own = named.filter(pl.col("sender_domain") == domain).select("day", "sender_domain", "events")
    most = max(1, *own["events"])
    scale = alt.Scale(domain=[0, most], nice=False)
    seen = own.with_columns(shown=pl.max_horizontal("events", pl.lit(most * _LEAST_SEEN)))
    heading = f"{wording.short(domain, 60)}: up to {wording.plural(most, 'event')} a day"
    axis = look.day_axis(named["day"]) if is_last else None
    drawn: alt.Chart = (
        alt.Chart(seen, title=_heading(heading))
        .mark_bar(color=COLOUR["accepted"])
        .encode(
            alt.X("day:T", timeUnit="yearmonthdate", title=None, axis=axis),
            alt.Y("shown:Q", title=None, scale=scale, axis=_ends(most)),
            tooltip=look.tips(own, "day", "sender_domain", "events"),
        )
        .properties(width=WIDTH - 60, height=56)
    )
    return drawn


_LEAST_SEEN = 0.04
"""The least height of a bar, of the highest: a day of few events is not a day without any."""


def _heading(text: str) -> alt.TitleParams:
    return alt.TitleParams(text, fontSize=12, fontWeight="normal", offset=4, frame="group")


def _ends(most: int) -> alt.Axis:
    """An axis that writes nothing and the most."""
    return alt.Axis(values=[0, most], format=",d")
