"""Vega-Lite spec → the numbers of its chart as a table, for whoever has no eyes, mouse or scripts.

What a chart's tooltips say of one mark after another stands in the table all at once.
"""

import html
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from loader import wording

MOST = 1000
"""Rows of a table: more than anybody reads, and few enough for a page."""
_PLAIN = {"field", "format", "title", "type"}
"""What a tooltip may ask for when it shows a value as the data has it."""


def table(spec: Mapping[str, Any], finding: str) -> str:
    """Return a chart's numbers as markup that unfolds; nothing where no tooltip says any."""
    marks: dict[tuple[str, ...], dict[tuple[str, ...], None]] = {}
    for tips, rows in _told(spec):
        heads = tuple(tip.get("title", tip["field"]) for tip in tips)
        said = marks.setdefault(heads, {})
        said.update(dict.fromkeys(tuple(_cell(row, tip) for tip in tips) for row in rows))
    tables = "".join(_table(heads, list(said), finding) for heads, said in marks.items() if said)
    if not tables:
        return ""
    return f'<details class="ld-numbers"><summary>Numbers of this chart</summary>{tables}</details>'


def _told(
    spec: Mapping[str, Any], own: Any = None, whole: Mapping[str, Any] | None = None
) -> Iterator[tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]]]:
    """Yield the tooltips of each mark and the rows of data that it draws."""
    whole = whole or spec.get("datasets", {})
    own = spec.get("data", {}).get("name", own)
    tips = spec.get("encoding", {}).get("tooltip")
    if isinstance(tips, list) and all("field" in tip and set(tip) <= _PLAIN for tip in tips):
        yield tips, whole.get(own, ())
    for part in ("layer", "hconcat", "vconcat", "concat"):
        for inner in spec.get(part, ()):
            yield from _told(inner, own, whole)


def _cell(row: Mapping[str, Any], tip: Mapping[str, Any]) -> str:
    """A value in the words of a page."""
    value, form = row.get(tip["field"]), tip.get("format", "")
    if value is None or isinstance(value, str):
        day = tip.get("type") == "temporal"
        return (
            wording.MISSING if value is None else value[:10] if day else wording.short(value, 120)
        )
    if form.endswith("%"):
        return wording.percent(value)
    return wording.count(value) if form == "," else f"{value:{form}}" if form else str(value)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], finding: str) -> str:
    head = "".join(f'<th scope="col">{html.escape(one)}</th>' for one in heads)
    body = "".join(map(_row, rows[:MOST]))
    cut = f" (the first {wording.count(MOST)} of {wording.count(len(rows))})"
    caption = html.escape(finding) + cut * (len(rows) > MOST)
    return (
        f'<div tabindex="0" role="group" aria-label="{html.escape(finding)}"><table>'
        f"<caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
        "</table></div>"
    )


def _row(cells: Sequence[str]) -> str:
    first, *others = map(html.escape, cells)
    return f'<tr><th scope="row">{first}</th>{"".join(f"<td>{one}</td>" for one in others)}</tr>'
