"""Frames of marts → Altair charts that draw with no network, each titled with its finding.

Every function takes a polars frame as a mart returns it (columns are named in its docstring) and
returns a chart, or an ``Html`` note when there is nothing to draw. No function computes a metric:
it chooses, orders and words what the mart holds.
"""

from copy import deepcopy
from typing import Any, TypeAlias

import altair as alt
import polars as pl

from loader import wording
from loader.page import Html, note

Drawn: TypeAlias = alt.TopLevelMixin | Html
"""A chart, or the sentence that stands where it would be."""

WIDTH = 660
"""Pixels of a chart's frame: with its axis it fits an A4 page and a laptop's column."""

MIME = "application/vnd.vegalite.v5+json"
"""The newest Vega-Lite type that JupyterLab 4 draws by itself, with no network."""

FONT = "Inter, 'Segoe UI', 'Helvetica Neue', Arial, 'Noto Sans CJK JP', sans-serif"
INK, MUTED, FAINT, GRID = "#1d2733", "#5b6875", "#c3ccd5", "#e8ecf0"

COLOUR = {
    "attempted": "#d3dae1",
    "accepted": "#8aa0b6",
    "opened": "#4a90d0",
    "clicked": "#174a7e",
    "unsubscribed": "#7d4f9e",
    "soft": "#f0bd4f",
    "block": "#dd7a2b",
    "hard": "#b3261e",
    "undetermined": "#8b8f94",
    "unattributed": "#c9cdd1",
    "machine": "#c5d3e2",
}
"""One colour a meaning, on every page; ordered in lightness too, so that grey print keeps it."""

CLASSES = ("soft", "block", "hard", "undetermined")
_REACTION = {"open": COLOUR["opened"], "click": COLOUR["clicked"]}
_WORD = {"open": "opened", "click": "clicked", "bounce": "bounced", "unsubscribe": "unsubscribed"}


def _theme() -> alt.theme.ThemeConfig:
    axis = {
        "labelFont": FONT,
        "titleFont": FONT,
        "labelColor": MUTED,
        "titleColor": MUTED,
        "titleFontWeight": "normal",
        "labelFontSize": 12,
        "titleFontSize": 12,
        "gridColor": GRID,
        "domainColor": FAINT,
        "tickColor": FAINT,
        "labelLimit": 230,
        "labelPadding": 6,
    }
    title = {
        "anchor": "start",
        "frame": "bounds",
        "font": FONT,
        "fontSize": 16,
        "fontWeight": 650,
        "color": INK,
        "subtitleFont": FONT,
        "subtitleFontSize": 13,
        "subtitleColor": MUTED,
        "subtitlePadding": 5,
        "offset": 14,
    }
    text = {"font": FONT, "fontSize": 12, "color": INK}
    legend = {"labelFont": FONT, "titleFont": FONT, "labelColor": INK, "titleColor": MUTED}
    legend |= {"labelFontSize": 12, "offset": 8}
    view = {"stroke": None, "continuousWidth": WIDTH}
    config: Any = {"axis": axis, "title": title, "text": text, "legend": legend, "view": view}
    config["font"] = FONT
    return alt.theme.ThemeConfig(background="white", padding=4, config=config)


def _render(spec: dict[str, Any], **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    drawn = deepcopy(spec)
    drawn["$schema"] = "https://vega.github.io/schema/vega-lite/v5.json"
    actions = {"export": True, "source": False, "compiled": False, "editor": False}
    drawn["usermeta"] = {"embedOptions": {"actions": actions, "renderer": "svg"}}
    return {MIME: drawn, "text/plain": "<chart>"}, {}


def enable() -> None:
    """Make every Altair chart of this process use the one look and draw with no network."""
    alt.theme.register("loader", enable=True)(_theme)
    alt.renderers.register("loader", _render)
    alt.renderers.enable("loader")


def _title(finding: str, *measure: str) -> alt.TitleParams:
    return alt.TitleParams(_lines(finding, 74), subtitle=_lines(", ".join(measure), 104))


def _lines(text: str, width: int) -> list[str]:
    """Break a title at spaces; a word without spaces (Japanese) is broken where it must be."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return [part for line in lines for part in _chunks(line, width)]


def _chunks(line: str, width: int) -> list[str]:
    return [line[start : start + width] for start in range(0, len(line), width)] or [""]


def _rates(name: str, title: str, **scale: Any) -> alt.X:
    return alt.X(
        name,
        title=title,
        scale=alt.Scale(zero=True, nice=True, **scale),
        axis=alt.Axis(format="~%", tickCount=6),
    )


def _tips(frame: pl.DataFrame, *names: str) -> list[alt.Tooltip]:
    """Tooltips for the columns that the frame has, in the given order, in the one format."""
    return [_tip(frame, name) for name in names if name in frame.columns]


def _tip(frame: pl.DataFrame, name: str) -> alt.Tooltip:
    title = name.replace("_", " ")
    kind = frame.schema[name]
    if kind in (pl.Float64, pl.Float32):
        form = ".2f" if name.endswith(("hours", "value")) else ".2%"
        return alt.Tooltip(name, type="quantitative", title=title, format=form)
    if kind.is_integer():
        return alt.Tooltip(name, type="quantitative", title=title, format=",")
    if kind == pl.Date:
        return alt.Tooltip(name, type="temporal", title=title, format="%a %d %b %Y")
    return alt.Tooltip(name, type="nominal", title=title)


def _best(frame: pl.DataFrame, column: str) -> dict[str, Any]:
    return frame.sort(column, descending=True, nulls_last=True).row(0, named=True)


_STAGE_COLOUR = {
    "attempted": COLOUR["attempted"],
    "accepted": COLOUR["accepted"],
    "opened or clicked": COLOUR["opened"],
    "clicked by people": COLOUR["clicked"],
    "unsubscribed": COLOUR["unsubscribed"],
}


def funnel(stages: pl.DataFrame) -> Drawn:
    """Draw what became of the messages (``campaign_funnel``).

    Columns: stage_number, stage, messages, share_of_attempted, share_of_previous.
    """
    if stages.is_empty():
        return note("No message of this campaign has arrived yet.")
    said = {row["stage"]: row for row in stages.iter_rows(named=True)}
    labelled = stages.with_columns(
        label=pl.Series([_stage_label(row) for row in stages.iter_rows(named=True)], dtype=pl.Utf8)
    )
    accepted, reacted = said["accepted"], said["opened or clicked"]
    title = _title(
        f"{wording.percent(accepted['share_of_attempted'])} were accepted; "
        f"{wording.percent(reacted['share_of_previous'])} of those opened or clicked",
        f"messages, of {wording.count(said['attempted']['messages'])} attempted",
        "machine opens and clicks stay in the third bar and are out of the fourth",
    )
    base = alt.Chart(labelled, title=title).encode(
        y=alt.Y("stage:N", sort=list(_STAGE_COLOUR), title=None, axis=alt.Axis(ticks=False)),
        x=alt.X("messages:Q", title=None, axis=None, scale=_room(stages["messages"])),
        tooltip=_tips(stages, "stage", "messages", "share_of_attempted", "share_of_previous"),
    )
    bars = base.mark_bar(height={"band": 0.72}).encode(color=_by("stage", _STAGE_COLOUR))
    text = base.mark_text(align="left", dx=6).encode(text="label:N")
    return _whole((bars + text).properties(width=WIDTH - 110, height=38 * stages.height))


def _stage_label(row: dict[str, Any]) -> str:
    label = wording.count(row["messages"])
    if row["stage"] in ("attempted",):
        return label
    label += f" · {wording.percent(row['share_of_attempted'])} of attempted"
    if row["stage"] == "accepted":
        return label
    return f"{label}, {wording.percent(row['share_of_previous'])} of the bar above"


def _room(values: pl.Series, share: float = 1.75) -> alt.Scale:
    """A scale from zero that leaves room for the labels at the ends of bars."""
    return alt.Scale(domain=[0, float(values.max() or 1) * share], nice=False)  # type: ignore[arg-type]


def _by(name: str, colours: dict[str, str], **more: Any) -> alt.Color:
    scale = alt.Scale(domain=list(colours), range=list(colours.values()))
    return alt.Color(f"{name}:N", scale=scale, **({"legend": None} | more))


def curve(points: pl.DataFrame, campaign: str) -> Drawn:
    """Draw how opens and clicks of ``campaign`` (an id) grew, over its peers in grey.

    Columns (``campaign_curve`` of the campaign and its peers): campaign_id, campaign_name,
    measure (open, click), hours, accepted, reacted, rate, rate_lo, rate_hi.
    """
    own = points.filter(pl.col("campaign_id") == campaign, pl.col("rate").is_not_null())
    if own.is_empty():
        return note("No open or click has been tracked yet, so there is no curve to draw.")
    last = own.sort("hours").group_by("measure", maintain_order=True).last()
    reached = {row["measure"]: row for row in last.iter_rows(named=True)}
    peers = points.filter(pl.col("campaign_id") != campaign)
    others = peers["campaign_id"].n_unique()
    found = " and ".join(
        f"{wording.percent(reached[name]['rate'])} had {_WORD[name]}"
        for name in ("open", "click")
        if name in reached
    )
    title = _title(
        f"{found} after {wording.age(own['hours'].max())}",  # type: ignore[arg-type]
        "unique, of accepted messages, by time since each message's own delivery",
        f"n = {wording.count(own['accepted'].max())}",  # type: ignore[arg-type]
        f"grey: {wording.plural(others, 'earlier campaign')} of this sender" if others else "",
    )
    sides = [_curve(points, campaign, name) for name in ("open", "click") if name in reached]
    return _whole(alt.hconcat(*sides, spacing=34).properties(title=title))


def _curve(points: pl.DataFrame, campaign: str, measure: str) -> Any:
    frame = points.filter(pl.col("measure") == measure, pl.col("rate").is_not_null())
    own = frame.filter(pl.col("campaign_id") == campaign)
    peers = frame.filter(pl.col("campaign_id") != campaign)
    ticks = [1, 6, 24, 72, 168, 720]
    x = alt.X(
        "hours:Q",
        title="since delivery",
        scale=alt.Scale(type="log", nice=False),
        axis=alt.Axis(values=ticks, grid=False, labelExpr=_HOURS),
    )
    y = alt.Y("rate:Q", title=_WORD[measure], axis=alt.Axis(format="~%", tickCount=5))
    tips = ("campaign_name", "hours", "reacted", "accepted", "rate", "rate_lo", "rate_hi")
    grey = alt.Chart(peers).mark_line(color=FAINT, strokeWidth=1).encode(x, y, detail="campaign_id")
    colour = _REACTION[measure]
    here = alt.Chart(own).encode(x, y, tooltip=_tips(own, *tips))
    band = here.mark_area(color=colour, opacity=0.18).encode(y="rate_lo:Q", y2="rate_hi:Q")
    line = here.mark_line(color=colour, strokeWidth=3)
    end = alt.Chart(own.sort("hours").tail(1)).encode(x, y, tooltip=_tips(own, *tips))
    dot = end.mark_point(color=colour, filled=True, size=70, opacity=1)
    label = end.mark_text(dy=-12, align="right", fontWeight=600, color=colour).encode(
        text=alt.Text("rate:Q", format=".1%")
    )
    layers = alt.layer(grey, band, line, dot, label)
    return _whole(layers.properties(width=(WIDTH - 90) // 2, height=230))


_HOURS = "datum.value < 24 ? datum.value + ' h' : datum.value / 24 + ' d'"


def bounces(categories: pl.DataFrame) -> Drawn:
    """Draw why messages bounced (``bounce_report`` or ``bounce_total``, one row a category).

    Columns: bounce_category, bounce_class, bounced, share_of_attempted and its _lo and _hi.
    """
    if categories.is_empty():
        return note("Nothing bounced.")
    top = _best(categories, "bounced")
    whole = int(categories["bounced"].sum())
    title = _title(
        f"{top['bounce_category']} is the commonest reason: "
        f"{wording.count(top['bounced'])} of {wording.plural(whole, 'bounce')}",
        "bounced messages by category and class, share of attempted behind the count",
    )
    labelled = categories.with_columns(
        label=pl.Series(
            [
                f"{wording.count(row['bounced'])} · {wording.percent(row['share_of_attempted'])}"
                for row in categories.iter_rows(named=True)
            ]
        )
    )
    order = _order(categories, "bounce_category", "bounced")
    base = alt.Chart(labelled, title=title).encode(
        y=alt.Y("bounce_category:N", sort=order, title=None, axis=alt.Axis(ticks=False)),
        x=alt.X("bounced:Q", axis=None, scale=_room(categories["bounced"], 1.3)),
        tooltip=_tips(
            categories,
            *("bounce_category", "bounce_class", "bounced"),
            *("share_of_attempted", "share_of_attempted_lo", "share_of_attempted_hi"),
        ),
    )
    colours = {name: COLOUR[name] for name in CLASSES}
    key = alt.Legend(title=None, orient="top", symbolType="square")
    bars = base.mark_bar(height={"band": 0.72}).encode(
        color=_by("bounce_class", colours, legend=key)
    )
    text = base.mark_text(align="left", dx=6).encode(text="label:N")
    rows = categories["bounce_category"].n_unique()
    return _whole((bars + text).properties(width=WIDTH - 60, height=26 * rows))


def _order(frame: pl.DataFrame, name: str, by: str) -> list[str]:
    """Names by their sum, the largest first: layered charts keep no order but a list."""
    return (
        frame.group_by(name).agg(pl.col(by).sum()).sort(by, name, descending=True)[name].to_list()
    )


def links(clicked: pl.DataFrame) -> Drawn:
    """Draw the most clicked links, people and machines side by side (``link_report``).

    Columns: link_number, url, messages_human, messages_machine (clicked by machines only),
    share_of_first_clicks.
    """
    if clicked.is_empty():
        return note("No click has been recorded, so no link can be ranked.")
    top = _best(clicked, "messages_human")
    title = _title(
        f"{wording.short(_bare(top['url']), 52)} drew the most people: "
        f"{wording.count(top['messages_human'])}",
        "messages that clicked each link: people in dark, machines only in pale",
    )
    parts = clicked.with_columns(
        link=pl.Series([_bare(url) for url in clicked["url"]], dtype=pl.Utf8)
    ).unpivot(
        ["messages_human", "messages_machine"],
        index=["link_number", "link", "share_of_first_clicks"],
        variable_name="who",
        value_name="messages",
    )
    named = parts.with_columns(
        pl.col("who").replace({"messages_human": "people", "messages_machine": "machines only"})
    )
    colours = {"people": COLOUR["clicked"], "machines only": COLOUR["machine"]}
    return _whole(
        alt.Chart(named, title=title)
        .mark_bar(height={"band": 0.72})
        .encode(
            y=alt.Y(
                "link:N",
                sort=alt.EncodingSortField("link_number", op="min"),
                title=None,
                axis=alt.Axis(ticks=False, labelLimit=330),
            ),
            x=alt.X("messages:Q", title="messages", axis=alt.Axis(format=",d", tickCount=5)),
            color=_by("who", colours, legend=alt.Legend(title=None, orient="top")),
            order=alt.Order("who:N", sort="descending"),
            tooltip=_tips(named, "link", "who", "messages", "share_of_first_clicks"),
        )
        .properties(width=WIDTH - 270, height=26 * clicked.height)
    )


def _bare(url: str) -> str:
    """A URL without its scheme and its tracking parameters, for a label."""
    return url.split("://", 1)[-1].split("?", 1)[0].rstrip("/")


_OUTCOMES = ("accepted", *CLASSES)


def volume(days: pl.DataFrame, campaigns: pl.DataFrame) -> Drawn:
    """Draw messages by day and outcome (``daily_outcome``), campaigns marked below.

    Columns: sent_date, outcome, messages; of ``campaigns``: sent_date, campaign_name, attempted.
    """
    if days.is_empty():
        return note("Nothing has been sent yet, so there is no volume to draw.")
    totals = days.group_by("sent_date").agg(pl.col("messages").sum())
    busiest = _best(totals, "messages")
    title = _title(
        f"{wording.count(int(days['messages'].sum()))} messages on "
        f"{wording.plural(totals.height, 'day')}; most on {busiest['sent_date']:%a %d %b %Y}: "
        f"{wording.count(busiest['messages'])}",
        "messages attempted, by day and outcome",
        "a tick below is a campaign",
    )
    order = [name for name in _OUTCOMES if name in set(days["outcome"])]
    ranked = days.with_columns(
        rank=pl.col("outcome").replace_strict({name: i for i, name in enumerate(_OUTCOMES)})
    )
    x = alt.X("sent_date:T", title=None, axis=alt.Axis(format="%d %b", labelOverlap=True))
    span = (days["sent_date"].max() - days["sent_date"].min()).days + 1  # type: ignore[operator, union-attr]
    bars = (
        alt.Chart(ranked)
        .mark_bar(size=max(1.5, min(26.0, 0.72 * WIDTH / span)))
        .encode(
            x,
            alt.Y("messages:Q", title="messages", axis=alt.Axis(format="~s", tickCount=5)),
            _by("outcome", {name: COLOUR[name] for name in order}, legend=_top_legend()),
            order="rank:Q",
            tooltip=_tips(days, "sent_date", "outcome", "messages"),
        )
        .properties(width=WIDTH - 60, height=220)
    )
    marks = (
        alt.Chart(campaigns)
        .mark_tick(color=INK, thickness=1.5, size=9)
        .encode(
            alt.X("sent_date:T", axis=None),
            tooltip=_tips(campaigns, "campaign_name", "sent_date", "attempted"),
        )
        .properties(width=WIDTH - 60, height=12)
    )
    return _whole(alt.vconcat(bars, marks, spacing=2, title=title).resolve_scale(x="shared"))


def _top_legend() -> alt.Legend:
    return alt.Legend(title=None, orient="top", symbolType="square")


def _whole(chart: Any) -> Drawn:
    """Say to the type checker what Altair's own annotations leave open."""
    drawn: alt.TopLevelMixin = chart
    return drawn


_OUTSIDE = {"no": COLOUR["accepted"], "95": COLOUR["block"], "998": COLOUR["hard"]}
_BAND = {"no": "inside", "95": "outside 95 %", "998": "outside 99.8 %"}


def funnel_plot(campaigns: pl.DataFrame, limits: pl.DataFrame) -> Drawn:
    """Draw one measure of every campaign against its size, with limits around the pooled rate.

    Columns (``funnel_plot``): campaign_name, measure, size, rate, rate_lo, rate_hi, pooled_rate,
    outside (no, 95, 998); of ``limits`` (``funnel_limit``): size and limit_lo_95 to limit_hi_998.
    Only campaigns outside 99.8 % are labelled, at most six, the farthest first.
    """
    known = campaigns.filter(pl.col("rate").is_not_null())
    if known.is_empty():
        return note("No campaign has a rate of this kind yet.")
    first = known.row(0, named=True)
    word = _WORD[first["measure"]]
    odd = known.filter(pl.col("outside") == "998")
    found = (
        f"{odd.height} of {wording.plural(known.height, 'campaign')} {word} "
        "unlike the rest, beyond chance"
        if odd.height
        else f"No campaign's share {word} differs from the rest beyond chance"
    )
    title = _title(
        found,
        f"{word} against size; pooled rate {wording.percent(first['pooled_rate'])}",
        "lines: limits at 95 and 99.8 %",
    )
    named = known.with_columns(band=pl.col("outside").replace_strict(_BAND))
    layers = [*_limit_lines(limits, first["pooled_rate"]), _dots(named), *_names(odd)]
    return _whole(alt.layer(*layers, title=title).properties(width=WIDTH - 60, height=270))


def _size(title: str = "messages in the rate") -> alt.X:
    axis = alt.Axis(format="~s", tickCount=5, grid=False)
    return alt.X("size:Q", title=title, scale=alt.Scale(type="log", nice=False), axis=axis)


def _limit_lines(limits: pl.DataFrame, pooled: float) -> list[alt.Chart]:
    base = alt.Chart(limits).encode(_size())
    lines = [
        base.mark_line(color=FAINT, strokeWidth=1, strokeDash=dash).encode(y=f"{name}:Q")
        for name, dash in (
            *(("limit_lo_95", [3, 3]), ("limit_hi_95", [3, 3])),
            *(("limit_lo_998", [1, 0]), ("limit_hi_998", [1, 0])),
        )
    ]
    rule = alt.Chart(pl.DataFrame({"rate": [pooled]})).mark_rule(color=MUTED).encode(y="rate:Q")
    return [*lines, rule]


def _dots(named: pl.DataFrame) -> alt.Chart:
    colours = {_BAND[name]: colour for name, colour in _OUTSIDE.items()}
    dots: alt.Chart = (
        alt.Chart(named)
        .mark_circle(size=64, opacity=0.85, stroke="white", strokeWidth=0.6)
        .encode(
            _size(),
            alt.Y("rate:Q", title="share", axis=alt.Axis(format="~%", tickCount=6)),
            _by("band", colours, legend=_top_legend()),
            tooltip=_tips(named, "campaign_name", "rate", "rate_lo", "rate_hi", "size", "band"),
        )
    )
    return dots


def _names(odd: pl.DataFrame) -> list[alt.Chart]:
    """Labels of the outliers that are farthest from the pooled rate and do not stand too close."""
    far = odd.with_columns(far=(pl.col("rate") - pl.col("pooled_rate")).abs())
    chosen: list[dict[str, Any]] = []
    for row in far.sort("far", descending=True).iter_rows(named=True):
        if len(chosen) < 6 and all(_apart(row, other, far) for other in chosen):
            chosen.append(row)
    labels = [{**row, "label": wording.short(row["campaign_name"], 26)} for row in chosen]
    if not labels:
        return []
    middle = float(far["size"].median() or 0)  # type: ignore[arg-type]
    return [
        alt.Chart(pl.DataFrame(side))
        .mark_text(align=align, dx=move, fontSize=11)  # type: ignore[arg-type]
        .encode(_size(), y="rate:Q", text="label:N")
        for side, align, move in (
            ([row for row in labels if row["size"] <= middle], "left", 8),
            ([row for row in labels if row["size"] > middle], "right", -8),
        )
        if side
    ]


def _apart(row: dict[str, Any], other: dict[str, Any], among: pl.DataFrame) -> bool:
    spread = float(among["rate"].max() or 0) or 1.0  # type: ignore[arg-type]
    return bool(abs(row["rate"] - other["rate"]) > 0.06 * spread)


def forest(campaigns: pl.DataFrame, reference: str, age: str) -> Drawn:
    """Draw a rate with its interval for each campaign at one age (``campaign_age``).

    Columns: campaign_id, campaign_name, sent_date, measure, size, rate, rate_lo, rate_hi, newest
    first. ``reference`` is the id that the others are read against; ``age`` is in words.
    """
    known = campaigns.filter(pl.col("rate").is_not_null())
    if known.is_empty():
        return note(f"No campaign has reached the age of {age} yet.")
    measure = known["measure"][0]
    top = _best(known, "rate")
    title = _title(
        f"{wording.short(top['campaign_name'], 40)} was {_WORD[measure]} most: "
        f"{wording.percent(top['rate'])}",
        f"{_WORD[measure]} by people, of accepted messages, {age} after delivery",
        f"{wording.plural(known.height, 'campaign')}, 95 % intervals",
    )
    named = known.with_columns(
        label=pl.Series([_dated(row) for row in known.iter_rows(named=True)]),
        is_reference=pl.col("campaign_id") == reference,
    )
    y = alt.Y("label:N", sort=None, title=None, axis=alt.Axis(ticks=False, labelLimit=300))
    tips = ("campaign_name", "sent_date", "size", "rate", "rate_lo", "rate_hi")
    base = alt.Chart(named).encode(y=y, tooltip=_tips(named, *tips))
    strong = alt.condition("datum.is_reference", alt.value(INK), alt.value(_REACTION[measure]))
    spans = base.mark_rule(strokeWidth=2).encode(
        _rates("rate_lo:Q", "share"), x2="rate_hi:Q", color=strong
    )
    dots = base.mark_circle(size=60, opacity=1).encode(x="rate:Q", color=strong)
    line = alt.Chart(named.filter(pl.col("is_reference"))).mark_rule(color=MUTED, strokeDash=[3, 3])
    layers = alt.layer(line.encode(x="rate:Q"), spans, dots, title=title)
    return _whole(layers.properties(width=WIDTH - 260, height=20 * known.height))


def _dated(row: dict[str, Any]) -> str:
    """Name and day, with enough of the id that two campaigns of one name stay two rows."""
    return f"{wording.short(row['campaign_name'], 32)} · {row['sent_date']:%d %b %y} {_tag(row)}"


def _tag(row: dict[str, Any]) -> str:
    return str(row["campaign_id"])[:4]


def control(days: pl.DataFrame) -> Drawn:
    """Draw the daily bounce rate with its control limits (``daily_bounce_limits``).

    Columns: sent_date, attempted, bounced, bounce_rate, pooled_rate, limit_lo_998, limit_hi_998,
    is_out_of_control.
    """
    if days.is_empty():
        return note("No day has bounces to judge yet.")
    odd = days.filter(pl.col("is_out_of_control"))
    worst = _best(odd, "bounce_rate") if odd.height else None
    found = (
        f"{wording.plural(odd.height, 'day')} of {days.height} out of the ordinary; "
        f"the worst was {worst['sent_date']:%a %d %b}: {wording.percent(worst['bounce_rate'])}"
        if worst
        else f"No day of {days.height} is out of the ordinary"
    )
    title = _title(
        found,
        f"bounced of attempted, by day; pooled rate {wording.percent(days['pooled_rate'][0])}",
        "band: 99.8 % limits for the day's size",
    )
    tips = ("sent_date", "bounce_rate", "bounced", "attempted", "limit_lo_998", "limit_hi_998")
    base = alt.Chart(days).encode(
        alt.X("sent_date:T", title=None, axis=alt.Axis(format="%d %b", grid=False)),
        tooltip=_tips(days, *tips),
    )
    band = base.mark_errorband(interpolate="step", color=COLOUR["accepted"], opacity=0.22).encode(
        alt.Y("limit_lo_998:Q", title="bounced", axis=alt.Axis(format="~%", tickCount=5)),
        y2="limit_hi_998:Q",
    )
    colour = alt.condition(
        "datum.is_out_of_control", alt.value(COLOUR["hard"]), alt.value(COLOUR["accepted"])
    )
    dots = base.mark_circle(opacity=1, size=46).encode(y="bounce_rate:Q", color=colour)
    middle = base.mark_line(color=MUTED, strokeWidth=1).encode(y="pooled_rate:Q")
    layers = alt.layer(band, middle, dots, title=title)
    return _whole(layers.properties(width=WIDTH - 60, height=220))


def delays(bins: pl.DataFrame, quantiles: pl.DataFrame) -> Drawn:
    """Draw how long after delivery the first reaction came (``reaction_histogram``).

    Columns: kind, bin_number, from_minutes, to_minutes, messages_human, messages_machine; of
    ``quantiles`` (``reaction_report``): kind, median_hours.
    """
    if bins.is_empty():
        return note("No reaction has been recorded yet.")
    middle = {row["kind"]: row["median_hours"] for row in quantiles.iter_rows(named=True)}
    said = ", half of the ".join(
        f"{kind}s within {wording.age(middle[kind])}"
        for kind in ("open", "click")
        if middle.get(kind)
    )
    title = _title(
        f"Half of the {said}" if said else "Too few reactions to say how fast they come",
        "first reaction by people and by machines, by time since the message's delivery",
    )
    named = bins.with_columns(
        until=pl.Series([_until(row["to_minutes"]) for row in bins.iter_rows(named=True)])
    )
    sides = [
        _delay(named.filter(pl.col("kind") == kind), kind)
        for kind in ("open", "click")
        if kind in set(bins["kind"])
    ]
    return _whole(alt.vconcat(*sides, title=title, spacing=16))


def _until(minutes: float | None) -> str:
    if minutes is None:
        return "later"
    return "≤ " + wording.age(minutes / 60)


def _delay(bins: pl.DataFrame, kind: str) -> alt.Chart:
    long = bins.unpivot(
        ["messages_human", "messages_machine"],
        index=["bin_number", "until"],
        variable_name="who",
        value_name="messages",
    ).with_columns(
        pl.col("who").replace({"messages_human": "people", "messages_machine": "machines"})
    )
    colours = {"people": _REACTION[kind], "machines": COLOUR["machine"]}
    drawn: alt.Chart = (
        alt.Chart(long)
        .mark_bar(width={"band": 0.86})
        .encode(
            alt.X(
                "until:N",
                title="after delivery",
                sort=alt.EncodingSortField("bin_number", op="min"),
                axis=alt.Axis(labelAngle=0, labelOverlap=True),
            ),
            alt.Y("messages:Q", title=f"first {kind}s", axis=alt.Axis(format="~s", tickCount=4)),
            _by("who", colours, legend=_top_legend()),
            order=alt.Order("who:N", sort="descending"),
            tooltip=_tips(long, "until", "who", "messages"),
        )
        .properties(width=WIDTH - 60, height=130)
    )
    return drawn


DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def hours(cells: pl.DataFrame, zone: str) -> Drawn:
    """Draw weekdays and hours of first reactions by people (``reaction_hour``).

    Columns: kind, weekday (1 = Monday), hour, messages, share. ``zone`` is the zone's name.
    """
    if cells.is_empty():
        return note("No reaction by a person has been recorded yet.")
    named = cells.with_columns(
        day=pl.col("weekday").replace_strict(dict(enumerate(DAYS, start=1)), return_dtype=pl.Utf8)
    )
    kind = named["kind"][0]
    top = _best(named, "messages")
    title = _title(
        f"Most first {kind}s came on {top['day']} between {top['hour']:02d} and "
        f"{top['hour'] + 1:02d} h: {wording.percent(top['share'])}",
        f"first {kind}s by people, n = {wording.count(int(cells['messages'].sum()))}",
        f"hours in {zone}",
    )
    return _whole(
        alt.Chart(named, title=title)
        .mark_rect(stroke="white", strokeWidth=1)
        .encode(
            alt.X("hour:O", title=f"hour of the day ({zone})", axis=alt.Axis(labelAngle=0)),
            alt.Y("day:N", sort=DAYS, title=None),
            alt.Color(
                "share:Q",
                scale=alt.Scale(range=["#f3f6f9", _REACTION.get(kind, COLOUR["accepted"])]),
                legend=alt.Legend(title="share", format="~%", gradientLength=120),
            ),
            tooltip=_tips(named, "day", "hour", "messages", "share"),
        )
        .properties(width=WIDTH - 110, height=190)
    )


def cohorts(groups: pl.DataFrame) -> Drawn:
    """Draw recipients by the time since they last reacted (``recency_cohort``).

    Columns: cohort_number, cohort, recipients, share.
    """
    if groups.is_empty():
        return note("No recipient is known yet.")
    quiet = groups.sort("cohort_number").tail(1).row(0, named=True)
    title = _title(
        f"{wording.percent(quiet['share'])} of recipients: {quiet['cohort']} reacted",
        "recipients by their last open or click",
        f"n = {wording.count(int(groups['recipients'].sum()))}",
    )
    labelled = groups.with_columns(
        label=pl.Series(
            [
                f"{wording.count(row['recipients'])} · {wording.percent(row['share'])}"
                for row in groups.iter_rows(named=True)
            ]
        )
    )
    base = alt.Chart(labelled, title=title).encode(
        alt.Y("cohort:N", sort=alt.EncodingSortField("cohort_number", op="min"), title=None),
        alt.X("recipients:Q", axis=None, scale=_room(groups["recipients"], 1.35)),
        tooltip=_tips(groups, "cohort", "recipients", "share"),
    )
    bars = base.mark_bar(height={"band": 0.72}, color=COLOUR["opened"])
    text = base.mark_text(align="left", dx=6).encode(text="label:N")
    return _whole((bars + text).properties(width=WIDTH - 130, height=28 * groups.height))


def arrivals(days: pl.DataFrame) -> Drawn:
    """Draw events by day and kind (``event_daily``), so that a gap shows as white.

    Columns: event_date, kind, events.
    """
    if days.is_empty():
        return note("No event has been loaded yet.")
    whole = int(days["events"].sum())
    title = _title(
        f"{wording.count(whole)} events on {wording.plural(days['event_date'].n_unique(), 'day')}",
        "events by kind and day; a white stripe is a day without any",
    )
    return _whole(
        alt.Chart(days, title=title)
        .mark_bar(color=COLOUR["accepted"])
        .encode(
            alt.X("event_date:T", timeUnit="yearmonthdate", title=None),
            alt.Y("events:Q", title=None, axis=alt.Axis(format="~s", tickCount=2)),
            alt.Row("kind:N", title=None, header=_row_header()),
            tooltip=_tips(days, "event_date", "kind", "events"),
        )
        .properties(width=WIDTH - 190, height=48)
        .resolve_scale(y="independent")
    )


def _row_header() -> alt.Header:
    return alt.Header(labelAngle=0, labelAlign="left", labelFont=FONT, labelColor=INK)
