"""Frames of marts → the head of each page: its title, and the answer in one sentence."""

from collections.abc import Mapping, Sequence
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
    if not row["bounced"]:
        return "nothing bounced"
    odd = providers.filter(
        pl.col("is_bounce_notable"), pl.col("bounce_rate") > row["bounce_rate"]
    ).sort("bounce_rate", descending=True)
    if odd.is_empty():
        return "bounces are alike at every mailbox provider"
    named = [
        f"{one['provider']} ({wording.percent(one['bounce_rate'])})"
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
    odd = measures.filter(pl.col("is_notable"))
    if odd.is_empty():
        known = measures.filter(pl.col("difference").is_not_null())
        return " Nothing stands out against the sender's earlier campaigns." if known.height else ""
    said = [
        f"{_NOUN[row['measure']]} {'above' if row['difference'] > 0 else 'below'}"
        for row in odd.iter_rows(named=True)
    ]
    return f" Against the sender's earlier campaigns: {_and(said)} their median."


def _meta(row: Mapping[str, Any]) -> str:
    sent, last = row["first_delivered_at_local"], row["last_delivered_at_local"]
    when = "not delivered yet" if sent is None else f"sent {sent:%a %d %b %Y %H:%M}"
    if sent is not None and last is not None and (last - sent).total_seconds() > 3600:
        when += f" to {last:%H:%M}" if last.date() == sent.date() else f" to {last:%a %d %b %H:%M}"
    old = f"{wording.age(row['age_hours'])} old"
    return " · ".join((f"{when} {row['timezone']}", old, f"id {row['campaign_id']}"))


def campaign_limits(limits: pl.DataFrame) -> Html:
    """Say what to know before leaning on a campaign's numbers; only lines that apply."""
    if limits.is_empty():
        return page.note("Nothing is known about this campaign's data yet.")
    return page.limits(str(sentence) for sentence in limits["sentence"])
