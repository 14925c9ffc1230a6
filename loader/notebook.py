"""Settings → what a notebook needs: the published warehouse as frames, and the campaign picker.

A notebook never writes and never locks: it reads the published file through ``loader.query``.
"""

import html
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import polars as pl

from loader import charts, query, wording
from loader.page import Html, note
from loader.settings import Settings, load_settings
from loader.warehouse import apply_sql
from loader.whole import written

OFFERED = 1000
"""Campaigns that a list to choose from has."""
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
        return _seen_names(_plain_numbers(relation.pl()))


def _plain_numbers(frame: pl.DataFrame) -> pl.DataFrame:
    # A DECIMAL has no JSON form that Altair knows.
    exact = [name for name, kind in frame.schema.items() if isinstance(kind, pl.Decimal)]
    return frame.with_columns(pl.col(exact).cast(pl.Float64))


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
    charts.enable()
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


def resolve(warehouse: Warehouse, campaign: str | None) -> str | None:
    """Return the id of the campaign meant by an id, a name or the beginning of an id.

    An empty text means the newest campaign. None when nothing fits; of several campaigns with
    the name the newest is taken, and an ambiguous beginning fits nothing.
    """
    return _meant(_listed(warehouse), campaign)


def _meant(listed: pl.DataFrame, campaign: str | None) -> str | None:
    if not campaign:
        return None if listed.is_empty() else str(listed["campaign_id"][0])
    for column in ("campaign_id", "campaign_name"):
        exact = listed.filter(pl.col(column).is_in([campaign, campaign.strip()]))
        if not exact.is_empty():
            return str(exact["campaign_id"][0])
    begun = listed.filter(pl.col("campaign_id").str.starts_with(campaign))
    return str(begun["campaign_id"][0]) if begun.height == 1 else None


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
    delivery is ``age_hours`` old and that is not small (for the newest of all where none is).
    """
    listed = _listed(warehouse)
    ripe = listed.filter(pl.col("age_hours") >= age_hours, ~pl.col("is_small"))
    chosen = _meant(listed if campaign or not age_hours else ripe, campaign) or _meant(listed, "")
    offered = listed.filter((pl.col("campaign_id") == chosen) | (pl.int_range(pl.len()) < OFFERED))
    options = "".join(_option(row, chosen) for row in offered.iter_rows(named=True))
    fallback = " Here, write the campaign's id into the parameters cell and run all cells."
    markup = (
        '<label style="font:14px system-ui,sans-serif">Campaign: '
        f'<select class="ld-pick" style="font:inherit;max-width:560px;padding:3px" '
        f'onchange="{html.escape(_CHANGE)}">{options}</select>'
        f"<span hidden>{fallback}</span>{_others(listed.height)}</label>"
    )
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
