"""Frames of marts → great_tables, in the formats that the charts and tiles use.

Every text that came from outside is escaped here; only http and https addresses become links.
"""

import html
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import polars as pl
from great_tables import GT, loc, style

from loader import page, wording
from loader.page import Html, note
from loader.palette import COLOUR, FONT, LINK, MARKS, MUTED, SCROLLS, WORSE

Cell: TypeAlias = Callable[[Mapping[str, Any]], str]
"""A row of the mart → the markup of one cell."""

SORTING = """
if (!window.ldSort) {
  window.ldSort = true;
  const names = new Intl.Collator(undefined, {numeric: true});
  const value = (row, column) => {
    const text = row.cells[column].textContent.trim().replace(/^<\\s*/, "");
    if (text === "\u2013" || row.querySelector("[data-last]")) return null;
    const first = text.split(/\\s/)[0].replace(/[,%±]/g, "").replace("\\u2212", "-");
    return first === "" || isNaN(first) ? text : Number(first);
  };
  const sort = event => {
    const head = event.target.closest(".ld-sortable thead th");
    if (!head || event.key && event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    const body = head.closest("table").tBodies[0], column = head.cellIndex;
    const down = head.getAttribute("aria-sort") !== "descending";
    for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const rows = [...body.rows].sort((a, b) => {
      const x = value(a, column), y = value(b, column);
      if (x === null || y === null) return (x === null) - (y === null);
      const order = typeof x === typeof y
        ? (typeof x === "number" ? x - y : names.compare(x, y))
        : typeof x === "number" ? -1 : 1;
      return down ? -order : order;
    });
    body.append(...rows);
  };
  document.addEventListener("click", sort);
  document.addEventListener("keydown", sort);
}
for (const head of document.querySelectorAll(".ld-sortable thead th")) {
  if (head.querySelector("[role]")) continue;
  const button = document.createElement("span");  // a button is missing where paper repeats it
  button.setAttribute("role", "button");
  button.tabIndex = 0;
  button.append(...head.childNodes);
  head.append(button);
}
"""
"""Sorts a table by the heading that is clicked, each a button for whoever has no mouse; again
turns it.

Names are ordered as the reader's language orders them, numbers in them by size; words are above
numbers. What is missing, and a row marked ``data-last``, stays last.
"""

SORT = f"<script>{SORTING}</script>"

_OPTIONS: dict[str, Any] = {
    "table_font_names": FONT,
    "table_font_size": "13px",
    "table_width": "100%",
    "table_margin_left": "0",
    "data_row_padding": "5px",
    "column_labels_padding": "5px",
    "table_border_top_style": "none",
    "table_border_bottom_style": "none",
    "table_body_hlines_color": "#eef1f4",
    "stub_border_style": "none",
}


def _table(
    frame: pl.DataFrame,
    columns: Mapping[str, tuple[str, Cell]],
    *,
    left: Sequence[str],
    sortable: bool = False,
    name: str,
) -> Html:
    """Build a table of ``columns`` (key → heading and cell) with one row for each of the frame.

    The first column names its row.
    """
    rows = list(frame.iter_rows(named=True))
    sorts = sortable and len(rows) > 1
    cells = pl.DataFrame(
        {key: [cell(row) for row in rows] for key, (_, cell) in columns.items()},
        schema=dict.fromkeys(columns, pl.String),
    )
    first, *others = columns
    built = (
        GT(cells, id=name, rowname_col=first)
        .fmt(str, columns=list(columns))  # already escaped: GT must not do it twice
        .tab_stubhead(columns[first][0])
        .cols_label(cases={key: columns[key][0] for key in others})
        .cols_align("right")
        .cols_align("left", columns=list(left))
        .tab_style(style.text(size="12px", color=MUTED), [loc.column_labels(), loc.stubhead()])
        .tab_options(**_OPTIONS)
        .as_raw_html()
    )
    kind, hint = ("ld-table ld-sortable", _HINT + SORT) if sorts else ("ld-table", "")
    markup = f'<div class="{kind}">{_STYLE}{_read_out(built, name, sorts)}</div>{hint}'
    return Html(markup, f"<table of {wording.plural(len(rows), 'row')}>")


def _read_out(built: str, name: str, sorts: bool) -> str:
    """Return a table's markup with its name for a screen reader, and in reach of the keyboard."""
    named = name.replace("-", ", ")
    built = built.replace("<table ", f'<table aria-label="{named}" ', 1)
    if sorts:  # its headings lead the keyboard into what scrolls
        return built
    return built.replace("<div ", f'<div tabindex="0" role="group" aria-label="{named}" ', 1)


_HINT = '<p class="ld-hint">A click on a heading, or Enter, sorts.</p>'

_STYLE = f"""<style>
.ld-table table.gt_table{{table-layout:auto!important;width:100%!important}}
.ld-table table.gt_table *{{font-family:{FONT}}}
.ld-table table.gt_table :is(td,tbody th){{font-size:13px;padding:5px 6px}}
.ld-table table.gt_table,.ld-table table.gt_table :is(thead,tbody,tr,th,td)
{{background-color:transparent!important}}
.ld-table table.gt_table a{{color:{LINK}}}
.ld-table{{max-width:780px}}
.ld-table>div{{{SCROLLS}}}
.ld-table td{{vertical-align:top;font-variant-numeric:tabular-nums}}
.ld-table td.gt_right{{white-space:nowrap}}
.ld-table .few{{color:{MUTED};font-style:italic}}.ld-table .dim{{color:{MUTED};font-size:12px}}
.ld-table .between{{display:block;margin-top:2px;color:{MUTED};font-size:11px;line-height:1.2}}
.ld-table .odd{{font-weight:650}}
.ld-table .odd::after{{content:" \\25C6";font-size:9px}}
{MARKS}
.ld-table .bar{{display:block;height:5px;margin-top:3px;background:#eef1f4;border-radius:2px}}
.ld-table .bar i{{display:block;height:5px;border-radius:2px}}
.ld-table .dot{{display:inline-block;width:10px;height:10px;border-radius:2px;margin-right:6px}}
.ld-table .name{{display:-webkit-box;-webkit-line-clamp:2;-webkit-box-orient:vertical;
overflow:hidden;min-width:110px;overflow-wrap:anywhere;unicode-bidi:plaintext;text-align:left}}
.ld-table .text{{display:block;min-width:150px;overflow-wrap:anywhere}}
.ld-table .link{{display:block;min-width:230px;overflow-wrap:anywhere}}
.ld-table .nowrap{{white-space:nowrap}}
.ld-sortable th{{cursor:pointer}}
.ld-sortable th[aria-sort=ascending]::after{{content:" \25B2";font-size:8px}}
.ld-sortable th[aria-sort=descending]::after{{content:" \25BC";font-size:8px}}
.ld-hint{{font:12px/1.4 {FONT};opacity:.75;margin:6px 0 0}}
@media(forced-colors:active){{.ld-table :is(.bar,.dot){{forced-color-adjust:none}}}}
@media print{{.ld-table table.gt_table :is(td,tbody th){{padding:2px 6px!important}}
.ld-hint{{display:none}}
.ld-table>div{{background:none}}}}
</style>"""


def _said(key: str) -> Cell:
    return lambda row: html.escape(str(row[key])) if row[key] is not None else wording.MISSING


def _text(key: str) -> Cell:
    """Words from outside, which may be one long word: broken anywhere, but never into splinters."""
    said = _said(key)
    return lambda row: f'<span class="text">{said(row)}</span>'


def _count(key: str) -> Cell:
    return lambda row: wording.count(row[key])


def _day(key: str) -> Cell:
    return lambda row: (
        f'<span class="nowrap">{row[key]:%Y-%m-%d}</span>' if row[key] else wording.MISSING
    )


def _rate(key: str, colour: str, top: float, odd: str | None = None) -> Cell:
    """A rate above its bar on the column's own scale and its interval; a mark where notable."""

    def cell(row: Mapping[str, Any]) -> str:
        value = row[key]
        if value is None:
            return wording.MISSING
        few = _few(row)
        mark = f"odd {_verdict(row, key)}" if odd and row.get(odd) else ""
        gross = row.get(key.replace("_human", "")) if "_human" in key else None
        machines = "" if gross is None else f"{html.escape(wording.percent(gross))} with machines"
        width = 0.0 if not top else min(100.0, 100 * value / top)
        written = html.escape(wording.percent(value))
        return (
            f'<span class="{few} {mark}" title="{machines}">{written}</span> '
            f'<span class="bar"><i style="width:{width:.0f}%;background:{colour}"></i></span>'
            f'<span class="{few} between">{_between(row, key)}</span>'
        )

    return cell


def _verdict(row: Mapping[str, Any], key: str) -> str:
    """Whether a marked rate is on the good side of the one that it is held against."""
    judged = "bounce_rate" if key == "delivery_rate" else key
    against = next(row[name] for name in (f"campaign_{judged}", f"all_{judged}") if name in row)
    return "better" if (row[judged] > against) == (judged != "bounce_rate") else "worse"


def _between(row: Mapping[str, Any], key: str) -> str:
    """The 95 % interval of a rate, as narrow as a column of a table is."""
    return wording.interval(row.get(f"{key}_lo"), row.get(f"{key}_hi")).removesuffix("%")


def _top(frame: pl.DataFrame, *keys: str) -> float:
    """The largest value of the columns: the length of a full bar."""
    values = [frame[key].max() for key in keys if key in frame.columns]
    return max((float(value) for value in values if value is not None), default=0.0)  # type: ignore[arg-type]


def campaigns(
    listed: pl.DataFrame, unattributed: pl.DataFrame | None = None, *, linked: bool = False
) -> Html:
    """Show a row for each campaign, the newest first, with small bars and its maturity.

    ``unattributed``, the row of ``campaign_report`` without a campaign, stands last.
    Columns: campaign_id, campaign_name, sent_date, attempted, bounced, delivery_rate,
    bounce_rate, open_human_rate, click_human_rate, unsubscribe_rate (each with _lo and _hi),
    bounce_rate_upper, is_small, maturity. With ``linked``, names lead to the pages that
    ``loader report --all`` writes.
    """
    whole = listed if unattributed is None else pl.concat([listed, unattributed], how="diagonal")
    if whole.is_empty():
        return note("No message that was delivered or bounced names a campaign.")
    rates = {
        "delivery_rate": ("Accepted", COLOUR["accepted"]),
        "bounce_rate": ("Bounced", COLOUR["bounced"]),
        "open_human_rate": ("Opened by people", COLOUR["opened"]),
        "click_human_rate": ("Clicked by people", COLOUR["clicked"]),
        "unsubscribe_rate": ("Unsub.", COLOUR["unsubscribed"]),
    }
    columns: dict[str, tuple[str, Cell]] = {
        "campaign_name": ("Campaign", _linked if linked else _named),
        "sent_date": ("Sent", _day("sent_date")),
        "attempted": ("Attempted", _count("attempted")),
    }
    for key, (heading, colour) in rates.items():
        columns[key] = (heading, _of_campaign(key, _rate(key, colour, _top(listed, key))))
    columns["maturity"] = ("Maturity", _said("maturity"))
    return _table(
        whole, columns, left=["campaign_name", "sent_date"], sortable=True, name="campaigns"
    )


def _of_campaign(key: str, rate: Cell) -> Cell:
    """The rate of a campaign; what no campaign is known of has none, only its bounces."""

    def cell(row: Mapping[str, Any]) -> str:
        if row["campaign_id"] is None:
            return wording.count(row["bounced"]) if key == "bounce_rate" else wording.MISSING
        most = row["bounce_rate_upper"] if key == "bounce_rate" else None
        if most is None or most <= row["bounce_rate_hi"]:
            return rate(row)
        few, more = _few(row), html.escape(wording.percent(most))
        return f'{rate(row)}<span class="{few} between">or up to {more}</span>'

    return cell


def _named(row: Mapping[str, Any]) -> str:
    if row["campaign_id"] is None:
        return '<span class="name" data-last>unattributed: no campaign known</span>'
    name = row["campaign_name"] or row["campaign_id"]
    return f'<span class="name" title="{html.escape(name)}">{html.escape(name)}</span>'


def _counting_links(row: Mapping[str, Any]) -> str:
    said = '<span class="dim">one link clicked: people or scanners</span>'
    one = said if row["urls"] == 1 else ""
    return _named(row) + one


def _linked(row: Mapping[str, Any]) -> str:
    if row["campaign_id"] is None:
        return _named(row)
    return f'<a href="{page.file_name(row["campaign_id"])}">{_named(row)}</a>'


def providers(listed: pl.DataFrame) -> Html:
    """Show where the mail went (``provider_report`` of one campaign, or ``provider_total``).

    Columns: provider, attempted, delivery_rate, hard_rate, soft_rate, block_rate,
    open_human_rate, click_human_rate with _lo and _hi, is_small and the …_stands_out marks.
    """
    if listed.is_empty():
        return note("There is no mail here, so no mailbox provider can be told.")
    bad = _top(listed, "hard_rate", "soft_rate", "block_rate")
    columns: dict[str, tuple[str, Cell]] = {
        "provider": ("Provider", _provider),
        "attempted": ("Attempted", _count("attempted")),
        "delivery_rate": (
            "Accepted",
            _rate("delivery_rate", COLOUR["accepted"], 1.0, "bounce_stands_out"),
        ),
        "hard_rate": ("Hard", _rate("hard_rate", COLOUR["hard"], bad)),
        "soft_rate": ("Soft", _rate("soft_rate", COLOUR["soft"], bad)),
        "block_rate": ("Block", _rate("block_rate", COLOUR["block"], bad)),
    }
    for key, heading, colour, odd in (
        ("open_human_rate", "Opened by people", COLOUR["opened"], "open_stands_out"),
        ("click_human_rate", "Clicked by people", COLOUR["clicked"], "click_stands_out"),
    ):
        columns[key] = (heading, _rate(key, colour, _top(listed, key), odd))
    return _table(listed, columns, left=["provider"], name="providers")


def _provider(row: Mapping[str, Any]) -> str:
    return f'<span class="nowrap">{html.escape(wording.provider(row["provider"]))}</span>'


def advice(categories: pl.DataFrame) -> Html:
    """Show what to do about each kind of bounce (``bounce_category`` or ``bounce_total``).

    Columns: bounce_category, bounce_class, bounced, commonest_dsn_status, advice; where known,
    top_provider and top_bounced.
    """
    if categories.is_empty():
        return note("No bounce is known to belong here, so there is nothing to do.")
    columns: dict[str, tuple[str, Cell]] = {
        "bounce_category": ("Category", _category),
        "bounced": ("Bounced", _count("bounced")),
        **({"top_provider": ("Most at", _most_at)} if "top_provider" in categories.columns else {}),
        "advice": ("What to do", _text("advice")),
        "commonest_dsn_status": ("What the servers said most", _commonest),
    }
    return _table(
        categories,
        columns,
        left=[name for name in columns if name != "bounced"],
        name="advice",
    )


def _most_at(row: Mapping[str, Any]) -> str:
    provider = html.escape(wording.provider(row["top_provider"]))
    return f'{provider} <span class="dim">{wording.count(row["top_bounced"])}</span>'


def _category(row: Mapping[str, Any]) -> str:
    colour = COLOUR.get(row["bounce_class"], COLOUR["undetermined"])
    word = html.escape(wording.short(row["bounce_category"], 40))
    return (
        f'<span class="nowrap"><span class="dot" style="background:{colour}"></span>{word}'
        f'</span> <span class="dim">{html.escape(str(row["bounce_class"]))}</span>'
    )


def _commonest(row: Mapping[str, Any]) -> str:
    """What servers said most, as long as a cell takes it."""
    said = row["commonest_dsn_status"]
    if not said:
        return wording.MISSING
    return f'<span class="dim text">{html.escape(wording.short(said, 110))}</span>'


def codes(listed: pl.DataFrame) -> Html:
    """Show status codes with their meaning (``dsn_total``).

    Columns: dsn_code, provider, bounced, bounce_rate with _lo and _hi, is_small, meaning,
    commonest_dsn_status.
    """
    if listed.is_empty():
        return note("No bounce has carried a status code yet.")
    columns: dict[str, tuple[str, Cell]] = {
        "dsn_code": ("Code", lambda row: html.escape(row["dsn_code"] or "none")),
        "meaning": ("Meaning", _text("meaning")),
        "commonest_dsn_status": ("What they said most", _commonest),
        "provider": ("Provider", _provider),
        "bounced": ("Bounced", _count("bounced")),
        "bounce_rate": (
            "Of its mail",
            _rate("bounce_rate", COLOUR["bounced"], _top(listed, "bounce_rate")),
        ),
    }
    return _table(
        listed,
        columns,
        left=["dsn_code", "meaning", "commonest_dsn_status", "provider"],
        sortable=True,
        name="codes",
    )


def links(listed: pl.DataFrame, *, named: bool = False) -> Html:
    """Show links with people and machines side by side (``link_report``).

    Columns: url, campaign_id, campaign_name, clicked, clicked_human, click_human_rate with _lo
    and _hi, first_click_human_share, is_small. With ``named``, each row says its campaign, and
    whether but one link of it was clicked (urls).
    """
    if listed.is_empty():
        return note("No click is known to belong here, so no link can be listed.")
    rate = _rate("click_human_rate", COLOUR["clicked"], _top(listed, "click_human_rate"))
    columns: dict[str, tuple[str, Cell]] = {
        "url": ("Link", _link),
        **({"campaign_name": ("Campaign", _counting_links)} if named else {}),
        "clicked_human": ("People", _count("clicked_human")),
        "clicked": ("All", _count("clicked")),
        "click_human_rate": ("People of accepted", rate),
        "first_click_human_share": (
            "Of first clicks",
            lambda row: html.escape(wording.percent(row["first_click_human_share"])),
        ),
    }
    left = [key for key in ("url", "campaign_name") if key in columns]
    return _table(listed, columns, left=left, sortable=True, name="links")


def _link(row: Mapping[str, Any]) -> str:
    url = str(row["url"])
    parts = re.split(r"(?<=[^/][/?&#=_-])(?=[^/])", wording.short(wording.both_ends(url, 90), 90))
    shown = "<wbr>".join(map(html.escape, parts))
    if not url.startswith(("https://", "http://")):
        return f'<span class="link">{shown}</span>'
    safe = html.escape(url)
    return f'<a class="link" href="{safe}" rel="noopener noreferrer nofollow">{shown}</a>'


def differences(compared: pl.DataFrame, measure: str) -> Html:
    """Show differences to a reference (``campaign_difference``) with q-values and sizes needed.

    Columns: campaign_name, sent_date, size, rate, rate_is_small, difference with _lo and _hi,
    is_small, q_value, is_significant, needed.
    """
    pairs = compared.filter(pl.col("measure") == measure)
    if pairs.is_empty():
        return note("No difference can be shown: the top of the page says why.")
    columns: dict[str, tuple[str, Cell]] = {
        "campaign_name": ("Campaign", _named),
        "sent_date": ("Sent", _day("sent_date")),
        "size": ("Accepted", _count("size")),
        "rate": ("Rate", _plain_rate),
        "difference": ("Difference", _difference),
        "q_value": ("q", _q_value),
        "needed": ("Messages needed", _needed),
    }
    return _table(
        pairs,
        columns,
        left=["campaign_name", "sent_date"],
        sortable=True,
        name=f"differences-{measure}",
    )


def _plain_rate(row: Mapping[str, Any]) -> str:
    few = "few" if row["rate_is_small"] else ""
    return f'<span class="{few}">{html.escape(wording.percent(row["rate"]))}</span>'


def _few(row: Mapping[str, Any]) -> str:
    return "few" if row.get("is_small") else ""


def _difference(row: Mapping[str, Any]) -> str:
    if row["difference"] is None:
        return wording.MISSING
    low, high = (wording.points(row[f"difference_{end}"]) for end in ("lo", "hi"))
    return (
        f'<span class="nowrap {_few(row)}">{wording.points(row["difference"])}</span> '
        f'<span class="dim nowrap">{low} to {high}</span>'
    )


def _q_value(row: Mapping[str, Any]) -> str:
    value = row["q_value"]
    if value is None:
        return wording.MISSING
    text = "&lt; 0.001" if value < 0.001 else f"{value:.3f}"
    return f'<span class="odd">{text}</span>' if row["is_significant"] else text


def _needed(row: Mapping[str, Any]) -> str:
    """How many messages each of the two would need to settle it, where these did not."""
    if row["needed"] is None or row["q_value"] is None or row["is_significant"]:
        return wording.MISSING
    if row["needed"] > _BEYOND_REACH:
        return "over a million"
    return wording.count(row["needed"])


_BEYOND_REACH = 1_000_000
"""A size that no two campaigns reach: the exact number would say nothing more."""


def suppression(listed: pl.DataFrame, shown: int) -> Html:
    """Show the first so many recipients to suppress: the one table that holds addresses.

    Columns (``suppression_list``): recipient, suppress_reason, since_date.
    """
    if listed.is_empty():
        return note("No recipient has to be suppressed.")
    columns: dict[str, tuple[str, Cell]] = {
        "recipient": ("Recipient", _text("recipient")),
        "suppress_reason": ("Why", _said("suppress_reason")),
        "since_date": ("Since", _day("since_date")),
    }
    first = listed.head(shown)
    table = _table(first, columns, left=["recipient", "suppress_reason"], name="suppression")
    said = f"{wording.count(first.height)} of {wording.plural(listed.height, 'recipient')}"
    return Html(f'{table.markup}<p class="ld-hint">{said}.</p>', f"{table.plain}, {said}")


def words(listed: pl.DataFrame) -> Html:
    """Show words of the provider's that nobody here knows (``unknown_words``)."""
    if listed.is_empty():
        return note("Every word of every event is known.")
    columns: dict[str, tuple[str, Cell]] = {
        "field": ("Field", _said("field")),
        "word": ("Word", _text("word")),
        "events": ("Events", _count("events")),
        "first_seen_date": ("First seen", _day("first_seen_date")),
    }
    return _table(listed, columns, left=["field", "word"], name="words")


def checks(listed: pl.DataFrame) -> Html:
    """Show what was checked and what it found (``quality_total``).

    Columns: check_name, found, of_all, share with _lo and _hi, needs_attention, meaning.
    """
    if not listed["of_all"].sum():
        return note("No event has been loaded, so there is nothing to check.")
    columns: dict[str, tuple[str, Cell]] = {
        "check_name": ("Check", _text("check_name")),
        "needs_attention": ("State", _mark),
        "found": ("Found", _count("found")),
        "of_all": ("Of", _count("of_all")),
        "share": ("Share", _rate("share", COLOUR["accepted"], 1.0)),
        "meaning": ("What it means", _explained),
    }
    return _table(listed, columns, left=["check_name", "needs_attention", "meaning"], name="checks")


def _explained(row: Mapping[str, Any]) -> str:
    return f'<span class="dim text">{html.escape(row["meaning"])}</span>'


def _mark(row: Mapping[str, Any]) -> str:
    colour, word = (WORSE, "look") if row["needs_attention"] else (MUTED, "fine")
    if not row["of_all"]:
        word = "nothing to check"
    return f'<span class="nowrap" style="color:{colour};font-weight:650">{word}</span>'
