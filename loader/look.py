"""The one look of all charts: theme and renderer, titles and tooltips, axes and legends."""

import re
from collections.abc import Mapping
from textwrap import wrap
from typing import Any, TypeAlias

import altair as alt
import polars as pl

from loader.page import Html
from loader.palette import FAINT, FONT, GRID, INK, MUTED

Drawn: TypeAlias = alt.TopLevelMixin | Html
"""A chart, or the sentence that stands where it would be."""

WIDTH = 660
"""Pixels of a chart's frame: with its axis it fits an A4 page and a laptop's column."""

MIME = "application/vnd.vegalite.v5+json"
"""The newest Vega-Lite type that JupyterLab 4 draws by itself, with no network."""

WORD = {
    "open": "opened",
    "click": "clicked",
    "bounce": "bounced",
    "unsubscribe": "unsubscribed",
    "complaint": "complained",
}
"""Measure or kind of event → what a message was or its recipient did."""


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
        "labelSeparation": 6,
    }
    title = {
        "anchor": "start",
        "frame": "bounds",
        "font": FONT,
        "fontSize": 16,
        "fontWeight": 650,
        "lineHeight": 20,
        "subtitleLineHeight": 17,
        "color": INK,
        "subtitleFont": FONT,
        "subtitleFontSize": 13,
        "subtitleColor": MUTED,
        "subtitlePadding": 5,
        "offset": 14,
    }
    text = {"font": FONT, "fontSize": 12, "color": INK}
    legend = {
        **{"labelFont": FONT, "titleFont": FONT, "labelColor": INK, "titleColor": MUTED},
        **{"labelFontSize": 12, "offset": 8},
    }
    view = {"stroke": None, "continuousWidth": WIDTH}
    config: Any = {"axis": axis, "title": title, "text": text, "legend": legend, "view": view}
    config["font"] = FONT
    return alt.theme.ThemeConfig(background="white", padding=4, config=config)


def _render(spec: dict[str, Any], **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    actions = {"export": True, "source": False, "compiled": False, "editor": False}
    drawn = spec | {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "description": ". ".join(filter(None, said(spec.get("title")))),
        "usermeta": {"embedOptions": {"actions": actions, "renderer": "svg"}},
    }
    return {MIME: drawn, "text/plain": "<chart>"}, {}


def said(title: Any) -> tuple[str, str]:
    """Return what a Vega-Lite title says, in one line each: the finding, and what was measured."""
    told = title if isinstance(title, dict) else {"text": title or ""}
    finding, measure = (told.get(part, "") for part in ("text", "subtitle"))
    return _line(finding), _line(measure)


def _line(text: str | list[str]) -> str:
    return text if isinstance(text, str) else " ".join(text)


def enable() -> None:
    """Make every Altair chart of this process use the one look and draw with no network."""
    alt.theme.register("loader", enable=True)(_theme)
    alt.renderers.register("loader", _render)
    alt.renderers.enable("loader")


def title(finding: str, *measure: str) -> alt.TitleParams:
    """A title: the finding, and below it what was measured, in parts of which some are empty."""
    said = ", ".join(filter(None, measure))
    return alt.TitleParams(_lines(finding, 74), subtitle=_lines(said, 104))


_WITHIN = re.compile(r"(?<=\d) (?=(?:h|min|days|pts)\b)|(?<=\bn) (?==)|(?<=\bn =) (?=\d)")
"""The spaces within a number and its unit, and within ``n = 48``."""


def _lines(text: str, width: int) -> list[str]:
    """Break a title into as few lines as it needs, of like length, so that no word is left alone.

    A word without spaces (Japanese) is broken where it must be; a number keeps its unit.
    """
    text = _WITHIN.sub("\N{NO-BREAK SPACE}", text)
    needed = -(-len(text) // width) or 1
    for narrow in range(-(-len(text) // needed), width + 1):
        lines = wrap(text, max(narrow, 1), break_on_hyphens=False)
        if len(lines) <= needed:
            break
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in lines] or [""]


def tips(frame: pl.DataFrame, *names: str) -> list[alt.Tooltip]:
    """Tooltips for the columns that the frame has, in the given order, in the one format."""
    return [_tip(frame, name) for name in names if name in frame.columns]


def _tip(frame: pl.DataFrame, name: str) -> alt.Tooltip:
    title, kind = _words(name), frame.schema[name]
    if kind.is_float():
        form = ".2f" if name.endswith(("hours", "value")) else ".2%"
        return alt.Tooltip(name, type="quantitative", title=title, format=form)
    if kind.is_integer():
        return alt.Tooltip(name, type="quantitative", title=title, format=",")
    if kind == pl.Date:
        return alt.Tooltip(name, type="temporal", title=title, format="%a %d %b %Y")
    return alt.Tooltip(name, type="nominal", title=title)


_NAMED = {
    "limit_lo_998": "99.8% limit, from",
    "limit_hi_998": "99.8% limit, to",
    "extreme_rate": "rate with unattributed bounces",
}


def _words(name: str) -> str:
    """A column's name as a reader says it: ``open_human_rate_lo`` is open rate by people, from."""
    if name in _NAMED:
        return _NAMED[name]
    base, end = name, ""
    if name.endswith(("_lo", "_hi")):
        base, end = name[:-3], ", from" if name.endswith("_lo") else ", to"
    base = re.sub(r"^p(\d\d)_hours$", r"hours until \1%", base)
    return re.sub(r"_human(.*)", r"\1 by people", base).replace("_", " ") + end


def room(values: pl.Series, share: float = 1.75) -> alt.Scale:
    """A scale from zero that leaves room for the labels at the ends of bars."""
    return alt.Scale(domain=[0, float(values.max() or 1) * share], nice=False)  # type: ignore[arg-type]


def by(name: str, colours: dict[str, str], **more: Any) -> alt.Color:
    """A colour for each name, without a legend unless one is given."""
    scale = alt.Scale(domain=list(colours), range=list(colours.values()))
    return alt.Color(f"{name}:N", scale=scale, **({"legend": None} | more))


def bounds(rate: str) -> tuple[str, str, str]:
    """The columns of a rate and its interval."""
    return rate, f"{rate}_lo", f"{rate}_hi"


def counted(most: Any) -> alt.Axis:
    """An axis of counts up to ``most``: whole numbers, thousands as k and millions as M."""
    short = "datum.value < 1000 ? format(datum.value, ',d') : format(datum.value, '~s')"
    return alt.Axis(labelExpr=short, tickCount=min(5, int(most)))


def day_axis(days: pl.Series) -> alt.Axis:
    """An axis of days; with few of them a tick a day, so that none is written twice."""
    span = (days.max() - days.min()).days  # type: ignore[operator, union-attr]
    ticks: Any = "day" if span < 8 else 8
    return alt.Axis(format="%d %b", grid=False, labelOverlap=True, tickCount=ticks)


def top_legend() -> alt.Legend:
    """A legend above the chart, which needs no title."""
    return alt.Legend(title=None, orient="top", symbolType="square")


def whole(chart: Any) -> Drawn:
    """Return ``chart`` as the ``TopLevelMixin`` it is: Altair's own annotations leave it open."""
    drawn: alt.TopLevelMixin = chart
    return drawn


def one_link(campaign: Mapping[str, Any], measure: str) -> str:
    """A word of caution: a scanner that follows the only link looks like a person."""
    return " (on one link)" if measure == "click" and campaign["urls"] == 1 else ""
