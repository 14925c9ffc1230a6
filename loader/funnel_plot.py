"""Campaigns against their size → a funnel plot: limits, and names of those that lie outside."""

import math
from typing import Any

import altair as alt
import polars as pl

from loader import look, wording
from loader.look import WIDTH, Drawn
from loader.page import note
from loader.palette import COLOUR, FAINT, MUTED

_OUTSIDE = {
    "no": COLOUR["accepted"],
    "95": COLOUR["beyond_95"],
    "998": COLOUR["beyond_998"],
    "unsure": "white",
}

_BAND = {
    "no": "inside",
    "95": "outside 95%",
    "998": "outside 99.8%",
    "unsure": "may lack bounces",
}

_FEW = "too few to tell"

_MOST_DOTS = 2000
"""As many as a page draws quickly, and more than an eye tells apart."""


def funnel_plot(campaigns: pl.DataFrame, limits: pl.DataFrame, measure: str) -> Drawn:
    """Draw a measure (bounce, open, click …) of every campaign against its size, with limits.

    Columns (``funnel_plot``): campaign_name, measure, size, rate, rate_lo, rate_hi, pooled_rate,
    extreme_rate, spread, is_small, urls, outside (no, 95, 998, unsure); of ``limits``
    (``funnel_limit``): size and limit_lo_95 to limit_hi_998.
    Only campaigns outside 99.8 % are labelled, at most five, where there is room.
    """
    known = campaigns.filter(pl.col("measure") == measure, pl.col("rate").is_not_null())
    if known.is_empty():
        return note(f"No campaign has a final share that {look.WORD[measure]} yet.")
    if not known["rate"].max():
        return note(f"No message of any campaign was {look.WORD[measure]}.")
    first = known.row(0, named=True)
    word = look.WORD[measure]
    odd, drawn = known.filter(pl.col("outside") == "998"), _most_telling(known)
    limits = limits.filter(pl.col("measure") == measure)
    top = _top_of(known, limits)
    title = look.title(
        _unlike(known, odd, measure),
        f"{word} against size{_comparable(measure)}; "
        f"middle line: the ordinary {wording.percent(first['pooled_rate'])}",
        f"dashed: 95% of similar campaigns lie within, solid: 99.8%{_as_wide(first['spread'])}"
        + f"; {_telling(drawn)}" * (drawn.height < known.height)
        + "; on the upper edge: higher" * (drawn["rate"].max() > top),  # type: ignore[operator]
    )
    small = pl.col("is_small") & (pl.col("outside") == "no")
    band = pl.when(small).then(pl.lit(_FEW)).otherwise(pl.col("outside").replace_strict(_BAND))
    named = drawn.with_columns(band=band, height=pl.min_horizontal("rate", pl.lit(top)))
    x = _size(limits, "attempted" if measure == "bounce" else "accepted")
    lines = _limit_lines(limits, first["pooled_rate"], x, top)
    layers = [*lines, _dots(named, x, word, top), *_names(known, odd, x)]
    return look.whole(alt.layer(*layers, title=title).properties(width=WIDTH - 90, height=270))


def _comparable(measure: str) -> str:
    """Which campaigns a plot holds: those whose rate no longer rises."""
    return "" if measure in ("delivery", "bounce") else ", comparable campaigns"


def _most_telling(known: pl.DataFrame) -> pl.DataFrame:
    """Return the campaigns to draw: those beyond the limits come first, then the largest."""
    band = pl.col("outside").replace_strict({"998": 0, "95": 1, "no": 2, "unsure": 2})
    return known.sort(band, -pl.col("size"), maintain_order=True).head(_MOST_DOTS)


def _as_wide(spread: float) -> str:
    """Say where limits are wider than chance makes them."""
    return f"; wider, as the odds of campaigns differ by {spread:.0%} anyway" * (spread >= 0.005)


def _telling(drawn: pl.DataFrame) -> str:
    return f"drawn: the {wording.count(drawn.height)} farthest out or largest"


def _unlike(known: pl.DataFrame, odd: pl.DataFrame, measure: str) -> str:
    rate = f"{measure} rate"
    if known.height == 1:
        return "There is no other campaign yet to compare this one with"
    if odd.is_empty():
        return f"No campaign's {rate} is unlike the rest"
    farthest = _farthest(odd).row(0, named=True)
    verb = f"has a {rate}" if odd.height == 1 else f"have {rate}s"
    return (
        f"{wording.count(odd.height)} of {wording.plural(known.height, 'campaign')} {verb} "
        f"unlike the rest; farthest: {wording.short(farthest['campaign_name'], 40)}"
        f"{look.one_link(farthest, measure)}, {wording.percent(farthest['rate'])}"
    )


def _farthest(odd: pl.DataFrame) -> pl.DataFrame:
    return odd.sort((pl.col("rate") - pl.col("pooled_rate")).abs(), descending=True)


def outside(campaigns: pl.DataFrame, measure: str) -> pl.DataFrame:
    """Return the campaigns of a ``funnel_plot`` that chance does not explain (99.8 %)."""
    return campaigns.filter(pl.col("measure") == measure, pl.col("outside") == "998")


def _size(limits: pl.DataFrame, unit: str) -> alt.X:
    """The size of a campaign on a log scale, from where limits begin to where they end."""
    low, high = limits.select(pl.col("size").min(), high=pl.col("size").max()).row(0)
    short = "datum.value < 1000 ? datum.value : format(datum.value, '~s')"
    return alt.X(
        "size:Q",
        title=f"{unit} messages of the campaign (log scale)",
        scale=alt.Scale(type="log", nice=False, domain=[low, high]),
        axis=alt.Axis(labelExpr=short, values=_steps(low, high), grid=False, labelOverlap=True),
    )


_STEPS = ((1,), (1, 2, 5), (1, 1.5, 2, 3, 5, 7))


def _steps(low: float, high: float) -> list[float]:
    """Round numbers from ``low`` to ``high`` for a log axis, about four to a dozen."""
    found: list[float] = []
    for steps in _STEPS:
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        round_ones = [round(step * 10.0**decade, 6) for decade in decades for step in steps]
        found = [number for number in round_ones if low <= number <= high]
        if len(found) >= 4:
            return found
    step = next(s for s in _SPACES if high / s - low / s <= 6)
    return [step * number for number in range(math.ceil(low / step), int(high / step) + 1)]


_SPACES = [part * 10**power for power in range(9) for part in (1, 2, 5)]
"""Distances of the ticks of a short axis."""

_DASH = {"95": [4, 3], "998": [1, 0]}
_SHARE = {"95": "95%", "998": "99.8%"}


def _limit_lines(limits: pl.DataFrame, pooled: float, x: alt.X, top: float) -> list[alt.Chart]:
    """The pooled rate and the four limits; the upper two say at their end what they are.

    Above ``top``, where the axis ends, nothing is drawn of them.
    """
    base = alt.Chart(limits).encode(x)
    lines = [
        base.mark_line(color=_LIMIT, strokeWidth=1.2, strokeDash=dash, clip=True).encode(
            y=f"limit_{end}_{name}:Q"
        )
        for name, dash in _DASH.items()
        for end in ("lo", "hi")
    ]
    last = limits.sort("size").tail(1)
    style: Any = {"align": "left", "dx": 5, "fontSize": 11, "color": MUTED}
    ends = [
        alt.Chart(last)
        .encode(x)
        .mark_text(**style, dy=dy)
        .encode(y=f"limit_hi_{name}:Q", text=alt.value(_SHARE[name]))
        for name, dy in (("998", -6), ("95", 7))
        if last[f"limit_hi_{name}"][0] <= top
    ]
    rule = alt.Chart(pl.DataFrame({"rate": [pooled]})).mark_rule(color=MUTED).encode(y="rate:Q")
    return [*lines, *ends, rule]


_LIMIT = "#97a3af"
"""The grey of limits: fainter than what they judge, and still seen in print."""


def _top_of(known: pl.DataFrame, limits: pl.DataFrame) -> float:
    """The top of the axis: above every campaign that can be judged, and a limit to judge it by.

    Campaigns too small to judge do not stretch it, and lie on its edge.
    """
    judged = known.filter(~pl.col("is_small") | (pl.col("outside") != "no"))
    highest = (judged if judged["rate"].max() else known)["rate"].max()
    return min(1.05, max(1.3 * float(highest), 1.05 * float(limits["limit_hi_95"].min())))  # type: ignore[arg-type]


def _dots(named: pl.DataFrame, x: alt.X, word: str, top: float) -> alt.Chart:
    shown = {*named["band"], *(_BAND[name] for name in ("no", "95", "998"))}
    colours = {_BAND[name]: colour for name, colour in _OUTSIDE.items()} | {_FEW: FAINT}
    colours = {band: colour for band, colour in colours.items() if band in shown}
    edges = [MUTED if band == _BAND["unsure"] else "white" for band in colours]
    extreme = [] if named["extreme_rate"].is_null().all() else ["extreme_rate"]
    told = ["campaign_name", "rate", "rate_lo", "rate_hi", *extreme, "size", "band"]
    dots: alt.Chart = (
        alt.Chart(named.select(*told, "height"))
        .mark_circle(size=64, opacity=0.85, strokeWidth=1.2)
        .encode(
            x,
            alt.Y(
                "height:Q",
                title=word,
                scale=alt.Scale(domain=[0, top], nice=False),
                axis=alt.Axis(format="~%", tickCount=6),
            ),
            look.by("band", colours, legend=look.top_legend()),
            # Of the same domain, so that both are one legend.
            alt.Stroke("band:N", scale=alt.Scale(domain=list(colours), range=edges)),
            tooltip=look.tips(named, *told),
        )
    )
    return dots


def _names(known: pl.DataFrame, odd: pl.DataFrame, x: alt.X) -> list[alt.Chart]:
    """Labels of at most five outliers, the farthest first, where a label hides next to nothing."""
    labels = _lifted(known, odd)
    if labels.is_empty():
        return []
    layers = []
    for (align, lift), side in labels.group_by("align", "lift", maintain_order=True):
        base = alt.Chart(side).encode(x, y="rate:Q", text="label:N")
        move = 8 if align == "left" else -8
        style: Any = {"align": align, "dx": move, "dy": lift, "fontSize": 11}
        layers += [
            base.mark_text(**style, stroke="white", strokeWidth=4, opacity=0.85),
            base.mark_text(**style),
        ]
    return layers


def _lifted(known: pl.DataFrame, odd: pl.DataFrame) -> pl.DataFrame:
    """Labels as they are placed; those of dots on the axis stand above its line."""
    low = float(known["rate"].max()) / 30  # type: ignore[arg-type]
    return pl.DataFrame(
        [{**row, "lift": -9 if row["rate"] < low else 0} for row in _placed(known, odd)]
    )


_LABEL = 26
"""Letters of an outlier's label; a quarter of the plot's width."""


def _placed(known: pl.DataFrame, odd: pl.DataFrame) -> list[dict[str, Any]]:
    """Choose outliers and the side of each label, by how many dots and labels would lie below."""
    across = known["size"].log()
    low, wide = float(across.min()), float(across.max() - across.min()) or 1.0  # type: ignore[arg-type, operator]
    high = float(known["rate"].max()) or 1.0  # type: ignore[arg-type]
    taken = [
        ((at - low) / wide, rate / high) for at, rate in zip(across, known["rate"], strict=True)
    ]
    chosen: list[dict[str, Any]] = []
    for row in _farthest(odd).head(30).iter_rows(named=True):
        at = ((math.log(row["size"]) - low) / wide, row["rate"] / high)
        side, hidden = min(
            (("left", _hidden(taken, at, 1)), ("right", _hidden(taken, at, -1))),
            key=lambda pair: pair[1],
        )
        if not hidden and len(chosen) < 5:
            label = wording.short(row["campaign_name"], _LABEL)
            chosen.append({**row, "label": label, "align": side})
            step = 0.25 / _LABEL * (1 if side == "left" else -1)
            taken += [(at[0] + step * letter, at[1]) for letter in range(1, _LABEL, 2)]
    return chosen


def _hidden(taken: list[tuple[float, float]], at: tuple[float, float], side: int) -> int:
    """Count the dots under a label that starts at ``at`` and runs right (1) or left (-1)."""
    if not 0 <= at[0] + side * 0.25 <= 1.1:
        return 99
    return sum(0.005 < (x - at[0]) * side < 0.27 and abs(y - at[1]) < 0.035 for x, y in taken)
