"""Settings → what a notebook needs: the published warehouse as frames, and the campaign picker.

A notebook never locks and never writes to the warehouse: it reads what was published, through
``loader.query``.
"""

import html
import os
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import duckdb
import polars as pl

from loader import look, query, wording
from loader.objects import apply_sql
from loader.page import Html, note
from loader.settings import Settings, load_settings
from loader.whole import written

OFFERED = 1000
"""Campaigns that a list to choose from has."""
SUGGESTED = 3
"""Campaigns that are named where none is meant."""
ROWS = 100
"""Rows that a frame shows in JupyterLab; polars' own ten hide the most of an answer."""
_open: dict[str, duckdb.DuckDBPyConnection] = {}


@dataclass(frozen=True)
class Warehouse:
    """The published warehouse at one moment: every query of a run sees the same load."""

    connection: duckdb.DuckDBPyConnection

    def frame(self, sql: str, **parameters: object) -> pl.DataFrame:
        """Run one query, with ``$name`` bound from ``parameters``, and return its rows.

        Decimals come as Float64, so that a chart can write them; a campaign's name is one that
        can be seen, else its id.
        """
        relation = self.connection.sql(sql, params=parameters or None)
        return _seen_names(relation.pl().cast({pl.selectors.decimal(): pl.Float64}))


def _seen_names(frame: pl.DataFrame) -> pl.DataFrame:
    """Put blanks for what controls or turns text in names, the id where a name shows nothing."""
    if not {"campaign_id", "campaign_name"} <= set(frame.columns):
        return frame
    name = pl.col("campaign_name").str.replace_all(wording.CONTROL.pattern, " ").str.strip_chars()
    seen = pl.when(name.str.contains(_VISIBLE)).then(name).otherwise("campaign_id")
    return frame.with_columns(campaign_name=seen)


_VISIBLE = r"[^\p{Z}\p{C}\u115f\u1160\u2800\u3164\uffa0]"
"""A letter that leaves ink: no separator, control or format character, and no filler."""


def open_warehouse(environ: Mapping[str, str] | None = None) -> Warehouse:
    """Open the newest published warehouse and switch charts to the one look.

    ``environ`` is where the settings are (the process's own by default). Without a warehouse, an
    empty one with every view is opened in memory, so that pages say what is missing instead of
    failing. Called again, it closes what it opened before: DuckDB would otherwise hand out the
    file of the first call, however often a newer one was published.
    """
    look.enable()
    if "POLARS_FMT_MAX_ROWS" not in os.environ:  # in which polars keeps a choice
        pl.Config.set_tbl_rows(ROWS)
    settings = load_settings(os.environ if environ is None else environ, Path.cwd())
    if "last" in _open:
        _open.pop("last").close()
    _open["last"] = _connect(settings)
    return Warehouse(_open["last"])


def _connect(settings: Settings) -> duckdb.DuckDBPyConnection:
    if query.published_at(settings) is not None:
        return query.connect(settings)
    connection = duckdb.connect()
    connection.execute("set TimeZone = 'UTC'")
    apply_sql(connection, settings.timezone)
    return connection


@dataclass(frozen=True)
class Meant:
    """The campaign that a text means: its id, or None; and a sentence where one is to be told."""

    campaign_id: str | None
    said: str = ""


def resolve(warehouse: Warehouse, campaign: str | None) -> Meant:
    """Return the campaign meant by an id, a name or the beginning of an id.

    An empty text means the newest campaign. A name may differ in case where no other does; of
    several campaigns with it the newest is taken, which is said. Where nothing is meant it is
    said why, with the names that come closest.
    """
    return _meant(_listed(warehouse), campaign)


def _meant(listed: pl.DataFrame, campaign: str | None) -> Meant:
    if not campaign:
        return Meant(None if listed.is_empty() else str(listed["campaign_id"][0]))
    exact = [campaign, campaign.strip()]
    by_id = listed.filter(pl.col("campaign_id").is_in(exact))
    if not by_id.is_empty():
        return Meant(str(by_id["campaign_id"][0]))
    by_name = listed.filter(pl.col("campaign_name").is_in(exact))
    if by_name.is_empty():
        by_name = _but_for_case(listed, campaign)
    if not by_name.is_empty():
        return _newest(by_name, campaign)
    begun = listed.filter(pl.col("campaign_id").str.starts_with(campaign.strip()))
    if begun.height == 1:
        return Meant(str(begun["campaign_id"][0]))
    return Meant(None, _none_meant(listed, begun, campaign))


def _but_for_case(listed: pl.DataFrame, campaign: str) -> pl.DataFrame:
    wanted = campaign.strip().casefold()
    return listed.filter([name.casefold() == wanted for name in listed["campaign_name"]])


def _newest(named: pl.DataFrame, campaign: str) -> Meant:
    """Choose among campaigns that have a name, the newest of them first."""
    names = named["campaign_name"].unique(maintain_order=True).to_list()
    if len(names) > 1:
        return Meant(None, f"{_quoted(campaign)} is no campaign's name as it is: {_asked(names)}")
    newest = str(named["campaign_id"][0])
    if named.height == 1:
        return Meant(newest)
    return Meant(
        newest,
        f"{wording.plural(named.height, 'campaign')} have the name {_quoted(names[0])}: the newest "
        f"is taken, {wording.short(newest)}; for another give its id.",
    )


def _none_meant(listed: pl.DataFrame, begun: pl.DataFrame, campaign: str) -> str:
    if not begun.is_empty():
        some = " or ".join(
            f"{wording.short(row['campaign_id'])} ({_quoted(row['campaign_name'])})"
            for row in begun.head(SUGGESTED).iter_rows(named=True)
        )
        return (
            f"the ids of {wording.plural(begun.height, 'campaign')} begin with "
            f"{_quoted(campaign)}: give more of the one that is meant, such as {some}."
        )
    names = _closest(listed["campaign_name"].unique(maintain_order=True).to_list(), campaign)
    lists = "`loader sql 'select campaign_id, campaign_name from campaign_report'` lists them."
    return f"no campaign has the id or name {_quoted(campaign)}: {_asked(names) or lists}"


def _closest(names: list[str], campaign: str) -> list[str]:
    """Return the names that are nearly ``campaign``; where there are none, those that hold it."""
    wanted = wording.short(campaign).casefold()
    written = {wording.short(name).casefold(): name for name in names[:OFFERED]}
    close = get_close_matches(wanted, written, SUGGESTED)
    return [written[one] for one in close or [one for one in written if wanted in one][:SUGGESTED]]


def _asked(names: list[str]) -> str:
    some = " or ".join(map(_quoted, names[:SUGGESTED]))
    return f"did you mean {some}?" if some else ""


def _quoted(text: str) -> str:
    return f'"{wording.short(text)}"'


def campaign_ids(warehouse: Warehouse) -> list[str]:
    """Return the id of every campaign, the newest first."""
    return _listed(warehouse)["campaign_id"].to_list()


def _listed(warehouse: Warehouse) -> pl.DataFrame:
    return warehouse.frame(
        "select campaign_id, campaign_name, sent_date, attempted, age_hours, is_small "
        "from campaign_list order by recency"
    )


@dataclass(frozen=True, repr=False)
class Picker(Html):
    """The list to choose a campaign from, in JupyterLab; ``campaign_id`` is the chosen one."""

    campaign_id: str | None


_CHANGE = """
const app = window.jupyterapp;
if (!app) { this.nextElementSibling.hidden = false; return; }
this.closest("label").nextElementSibling?.remove();
const panel = app.shell.currentWidget;
const cells = panel.content.widgets;
panel.content.activeCellIndex = cells.findIndex(cell => cell.node.contains(this));
const code = "campaign = " + JSON.stringify(this.value);
panel.sessionContext.session.kernel.requestExecute({code: code, silent: true}).done.then(
  () => app.commands.execute("notebook:run-all-below"));
"""


def pick(warehouse: Warehouse, campaign: str | None, age_hours: float = 0) -> Picker:
    """Offer campaigns to choose from; choosing one runs the cells below again with it.

    ``campaign`` is what the parameters say: an id, a name, or empty for the newest whose last
    delivery is ``age_hours`` old and that is not small (where none is, for the newest of that age,
    or else of all).
    Where it means no campaign, or one of several, that is said beside the list.
    """
    listed = _listed(warehouse)
    aged = listed.filter(pl.col("age_hours") >= age_hours)
    told = aged.filter(~pl.col("is_small"))
    among = listed if campaign or not age_hours else told if told.height else aged
    meant = _meant(among, campaign)
    chosen = meant.campaign_id or _meant(listed, "").campaign_id
    offered = listed.filter((pl.col("campaign_id") == chosen) | (pl.int_range(pl.len()) < OFFERED))
    options = "".join(_option(row, chosen) for row in offered.iter_rows(named=True))
    fallback = " Here, write the campaign's id into the parameters cell and run all cells."
    markup = (
        '<label style="font:14px system-ui,sans-serif">Campaign: '
        f'<select class="ld-pick" style="font:inherit;max-width:560px;padding:3px" '
        f'onchange="{html.escape(_CHANGE)}">{options}</select>'
        f"<span hidden>{fallback}</span>{_others(listed.height)}</label>"
    )
    if meant.said:
        instead = "" if meant.campaign_id else " Below is the newest."
        said = note(f"{meant.said[:1].upper()}{meant.said[1:]}{instead}")
        markup += f"<div>{said.markup}</div>"
    return Picker(markup, f"{wording.plural(listed.height, 'campaign')} to choose from", chosen)


def _others(campaigns: int) -> str:
    if campaigns <= OFFERED:
        return ""
    return (
        f" The newest {wording.count(OFFERED)} of {wording.count(campaigns)}; of another, write "
        "the id or name into the parameters cell."
    )


def _option(row: Mapping[str, object], chosen: str | None) -> str:
    name = wording.short(str(row["campaign_name"] or row["campaign_id"]), 70)
    sent = row["sent_date"] or "not delivered"
    label = f"{sent}  {name} ({wording.count(row['attempted'])})"  # type: ignore[arg-type]
    selected = " selected" if row["campaign_id"] == chosen else ""
    value = html.escape(str(row["campaign_id"]))
    return f'<option value="{value}"{selected}>{html.escape(label)}</option>'


def write_csv(frame: pl.DataFrame, name: str) -> Html:
    """Write a frame into the reports' directory, for the owner only, and say where.

    A cell that a spreadsheet would run as a formula is written with a quote before it.
    """
    path = load_settings(os.environ, Path.cwd()).reports / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with written(path) as file:
            file.write(query.to_csv(frame).encode())
    except OSError as error:
        return note(f"{path} cannot be written ({error.strerror}); the list is not on disk.")
    return note(f"{wording.plural(frame.height, 'row')} written to {path}")
