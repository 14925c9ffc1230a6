"""Frames of marts → the words at the top and the bottom of a page: head, tiles, notes, limits.

Every piece is an ``Html``: shown by Jupyter, exported as it stands, printable. All text in it that
came from outside (campaign names, addresses, DSN texts) is escaped here.
"""

import hashlib
import html
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from loader import wording
from loader.palette import BETTER, COLOUR, MARKS, WORSE

_STYLE = (
    """<style>
.ld{font:15px/1.5 Inter,"Segoe UI","Helvetica Neue",Arial,"Noto Sans CJK JP",sans-serif;
color:#1d2733;background:#fff;max-width:760px;padding:2px 0}
.ld *{box-sizing:border-box}
.ld h1{font-size:27px;line-height:1.2;margin:0 0 4px;font-weight:680;overflow-wrap:anywhere;
letter-spacing:-.01em;color:#1d2733;border:0;padding:0}
.ld .meta{color:#5b6875;font-size:13px;margin:0 0 12px;overflow-wrap:anywhere}
.ld .lead{font-size:18px;line-height:1.45;margin:0;max-width:700px}
.ld .badge{display:inline-block;font-size:12px;font-weight:600;border-radius:99px;
padding:2px 10px;margin-right:8px;border:1px solid currentColor}
.ld .comparable{color:#1b4f8a;background:#edf3fa}
.ld .maturing{color:#7a5200;background:#fdf4e0}
.ld .preliminary{color:#8c3b12;background:#fdeee6}
.ld.tiles{display:grid;grid-template-columns:repeat(6,minmax(0,1fr));gap:8px}
@media(max-width:790px){.ld.tiles{grid-template-columns:repeat(3,minmax(0,1fr))}}
@media print{.ld.tiles{grid-template-columns:repeat(6,minmax(0,1fr));gap:5px}}
.ld .tile{border:1px solid #dde3e9;border-top:4px solid var(--c);border-radius:6px;
padding:10px 9px 11px;min-width:0;break-inside:avoid;display:flex;flex-direction:column}
.ld .tile .name{font-size:13px;line-height:1.3;min-height:34px;font-weight:600;color:#3c4855}
.ld .tile .rate{font-size:27px;line-height:1.2;font-weight:680;letter-spacing:-.02em}
.ld .tile .small{font-size:12px;line-height:1.4;color:#5b6875}
.ld .tile .small{margin-bottom:6px}
.ld .tile .than{font-size:12px;line-height:1.35;margin-top:auto;padding-top:6px;min-height:61px;
border-top:1px solid #eef1f4;color:#5b6875}
.ld .tile b{color:#1d2733;font-weight:600;white-space:nowrap}
.ld .tile .than :is(.better,.worse){font-weight:700}
.ld .tile .than :is(.better,.worse)::after{font-size:9px}
.ld .few .rate{color:#5b6875;font-style:italic}
.ld.note{border-left:4px solid #c3ccd5;background:#f5f7f9;padding:10px 14px;color:#3c4855}
.ld.limits ul{margin:0;padding-left:18px}.ld.limits li{margin:3px 0}
"""
    f".ld .tile .than .better{{color:{BETTER}}}.ld .tile .than .worse{{color:{WORSE}}}"
    f"{MARKS}</style>"
)

_COLOUR = {
    "delivery": COLOUR["accepted"],
    "open": COLOUR["opened"],
    "click": COLOUR["clicked"],
    "bounce": COLOUR["bounced"],
    "unsubscribe": COLOUR["unsubscribed"],
    "complaint": COLOUR["unsubscribed"],
}
_NAME = {
    "delivery": "Accepted",
    "open": "Opened by people",
    "click": "Clicked by people",
    "bounce": "Bounced",
    "unsubscribe": "Unsubscribed",
    "complaint": "Complained",
}
_DENOMINATOR = {"delivery": "attempted", "bounce": "attempted"}
_WELCOME = {"delivery", "open", "click"}
"""More of these is good news."""


@dataclass(frozen=True, repr=False)
class Html:
    """A piece of a page: ``markup`` for the screen, ``plain`` for a terminal."""

    markup: str
    plain: str

    def _repr_html_(self) -> str:
        # Else JupyterLab sets what stands between two dollar signs of a name as a formula.
        return f'<div class="mathjax_ignore">{self.markup}</div>'

    def __repr__(self) -> str:
        """Return the plain text, which is what a terminal shows."""
        return self.plain


TITLE_MIME = "application/vnd.loader.title"
"""Beside a head's HTML stands its title as plain text, for the window of an exported page."""


@dataclass(frozen=True, repr=False)
class Head(Html):
    """The top of a page; it also says the page's title to whatever exports it."""

    title: str

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {"text/html": self._repr_html_(), "text/plain": self.plain, TITLE_MIME: self.title}


def file_name(campaign_id: str) -> str:
    """Return the file name of a campaign's page: safe everywhere, and different for every id."""
    plain = re.sub(r"[^A-Za-z0-9-]+", "-", campaign_id).strip("-")[:64]
    if plain == campaign_id:
        return f"campaign-{plain}.html"
    return f"campaign-{plain}-{hashlib.sha256(campaign_id.encode()).hexdigest()[:8]}.html"


def note(sentence: str) -> Html:
    """Show one sentence where a chart or table would stand, for instance when nothing is there."""
    return Html(f'{_STYLE}<div class="ld note">{html.escape(sentence)}</div>', sentence)


def head(title: str, lead: str, *, meta: str = "", badge: str | None = None) -> Head:
    """Show the top of a page.

    ``title`` is the campaign or the question, ``meta`` the small line below it, ``lead`` the
    answer in one sentence, ``badge`` a maturity word (comparable, maturing, preliminary).
    """
    word = html.escape(badge or "")
    mark = f'<span class="badge {word}">{word}</span>' if badge else ""
    markup = (
        f'{_STYLE}<div class="ld head"><h1 dir="auto">{html.escape(title)}</h1>'
        f'<p class="meta">{mark}{html.escape(meta)}</p>'
        f'<p class="lead">{html.escape(lead)}</p></div>'
    )
    return Head(markup, f"{title}: {lead}", title)


def tiles(measures: pl.DataFrame) -> Html:
    """Show a tile per row of ``campaign_measure`` or ``period_measure``.

    Columns: measure, numerator, denominator, rate, rate_lo, rate_hi, gross_rate, is_small,
    compared_rate, difference, stands_out; and peers, compared_at_hours, same_age_rate,
    extreme_rate or else days, untracked, fresh, final_rate, before_denominator. A tile never
    stands without its denominator.
    """
    if measures.is_empty():
        return note("There is no mail here, so there is nothing to measure.")
    rows = list(measures.iter_rows(named=True))
    plain = "; ".join(f"{_NAME[row['measure']]} {wording.percent(row['rate'])}" for row in rows)
    return Html(f'{_STYLE}<div class="ld tiles">{"".join(map(_tile, rows))}</div>', plain)


def _tile(row: Mapping[str, Any]) -> str:
    measure = row["measure"]
    few = " few" if row["is_small"] and row["rate"] is not None else ""
    gross = row["gross_rate"]
    machines = f"{wording.percent(gross)} with machines" if gross is not None else ""
    lines = [
        _interval(row),
        _extreme(row),
        _counted(row),
        machines,
        f"{wording.count(row['fresh'])} of these not comparable yet" if row.get("fresh") else "",
        "too few to tell" if few else "",
    ]
    return (
        f'<div class="tile{few}" style="--c:{_COLOUR[measure]}">'
        f'<div class="name">{_NAME[measure]}</div>'
        f'<div class="rate">{html.escape(wording.percent(row["rate"]))}</div>'
        f'<div class="small">{"<br>".join(map(html.escape, filter(None, lines)))}</div>'
        f"{_compared(row)}</div>"
    )


_UNBROKEN = f"\u2060{wording.MISSING}\u2060"
"""The dash of an interval, at which no line ends."""


def _interval(row: Mapping[str, Any]) -> str:
    if row["rate"] is not None:
        interval = wording.interval(row["rate_lo"], row["rate_hi"])
        return f"95%: {interval.replace(wording.MISSING, _UNBROKEN)}"
    if not (row["denominator"] or row.get("untracked")):
        return "nothing accepted"
    return "not reported" if row["measure"] == "complaint" else "not tracked"


def _extreme(row: Mapping[str, Any]) -> str:
    """What the rate might be, where that is beyond what chance leaves open."""
    rate = row.get("extreme_rate")
    if rate is None or row["rate_lo"] is None or row["rate_lo"] <= rate <= row["rate_hi"]:
        return ""
    return f"{wording.percent(rate)} with all unattributed bounces of its time"


def _counted(row: Mapping[str, Any]) -> str:
    """What the rate is of, if anything; where some accepted are not tracked, how many."""
    unit = _DENOMINATOR.get(row["measure"], "accepted")
    if row["numerator"] is None and row["denominator"]:
        return f"{wording.count(row['denominator'])} {unit}"
    untracked = row.get("untracked")
    if not row["denominator"]:
        return f"{wording.count(untracked)} accepted" if untracked else ""
    counted = f"{wording.count(row['numerator'])} of {wording.count(row['denominator'])}"
    if not untracked:
        return f"{counted} {unit}"
    return f"{counted} tracked; {wording.count(untracked)} untracked"


def _compared(row: Mapping[str, Any]) -> str:
    if row["difference"] is None:
        word = "not compared" if row["measure"] == "complaint" else "nothing to compare with yet"
        return f'<div class="than">{word}</div>'
    mark = f' class="{_verdict(row)}"' if row["stands_out"] else ""
    return (
        f'<div class="than">{_then(row)}<b{mark}>{wording.points(row["difference"])}</b> against '
        f"{html.escape(wording.percent(row['compared_rate']))}{_comparison(row)}</div>"
    )


def _verdict(row: Mapping[str, Any]) -> str:
    return "better" if (row["difference"] > 0) == (row["measure"] in _WELCOME) else "worse"


def _then(row: Mapping[str, Any]) -> str:
    """The rate at the age of the comparison, where that is not the one above."""
    if "peers" not in row:
        if not row.get("fresh"):
            return ""
        return f"{html.escape(wording.percent(row['final_rate']))} without those: "
    rate = html.escape(wording.percent(row["same_age_rate"]))
    if row["measure"] in _DENOMINATOR and row["same_age_rate"] == row["rate"]:
        return ""
    return f"{rate} at {wording.age(row['compared_at_hours'])}: "


def _comparison(row: Mapping[str, Any]) -> str:
    if "peers" not in row:
        return f" of {wording.count(row['before_denominator'])} in the {row['days']} days before"
    if row["peers"] == 1:
        return ", the campaign before"
    return f", median of the {row['peers']} before"


def limits(sentences: Iterable[str]) -> Html:
    """Show what a reader must know before trusting the page; only sentences that apply."""
    said = [sentence for sentence in sentences if sentence]
    items = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in said)
    return Html(f'{_STYLE}<div class="ld limits"><ul>{items}</ul></div>', "\n".join(said))
