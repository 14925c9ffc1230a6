"""What the tests of notebooks, reports and JupyterLab share: homes, and a browser offline."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from loader import leads, look
from loader.assets import asset
from loader.ingest import ingest
from loader.settings import Settings, load_settings
from tests.conftest import namespace, require

NOTEBOOKS = sorted(asset("notebooks").glob("*.ipynb"))
HOSTILE = "</script><img src=x onerror=window.pwned=1><script>window.pwned=1</script>"
BROWSER = Path(__file__).with_name("browser.py")
Events = list[dict[str, Any]]


def settings_of(home: Path) -> Settings:
    """Settings of a home, in a zone that is not the machine's."""
    return load_settings({"LOADER_HOME": str(home), "LOADER_TIMEZONE": "Asia/Tokyo"}, home)


def sample_home(home: Path) -> Settings:
    """Load the sample into a home."""
    (home / "spool").mkdir(parents=True)
    for file in asset("sample").glob("*.jsonl*"):
        shutil.copy(file, home / "spool" / file.name)
    ingest(settings_of(home))
    return settings_of(home)


def hostile_home(home: Path) -> Settings:
    """Load three campaigns whose texts try to become script or formulas, are long, or Japanese."""
    names = [HOSTILE, "秋のお知らせ" * 14, "$x$" + "x" * 77]
    lines = [line for number, name in enumerate(names) for line in _events(number, name)]
    (home / "spool").mkdir(parents=True)
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    (home / "spool" / "hostile.jsonl").write_text(text, "utf-8")
    ingest(settings_of(home))
    return settings_of(home)


def loaded_home(home: Path, events: list[dict[str, Any]]) -> Settings:
    """Load events into a home."""
    (home / "spool").mkdir(parents=True)
    text = "".join(json.dumps(event) + "\n" for event in events)
    (home / "spool" / "events.jsonl").write_text(text, "utf-8")
    ingest(settings_of(home))
    return settings_of(home)


def event(kind: str, person: int, hour: int, campaign: str | None, **more: Any) -> dict[str, Any]:
    """An event of ``person``'s message of a campaign (None: of none), ``hour`` h after 1 Nov."""
    named = {} if campaign is None else {"campaign": {"id": campaign, "name": campaign.title()}}
    return {
        "kind": kind,
        "recipient": f"p{person}@{more.pop('domain', 'gmail')}.com",
        "message_id": f"{campaign}-{person}@news.example",
        "sender": "news@news.example",
        "timestamp": f"{datetime(2025, 11, 1) + timedelta(hours=hour):%Y-%m-%dT%H:%M:%SZ}",
        **named,
        **more,
    }


def sent(campaign: str | None, people: int, hour: int, bounced: int = 0, **more: Any) -> Events:
    """A campaign to so many people, of whom the first ``bounced`` never got it."""
    kinds = ["bounce" if person < bounced else "delivered" for person in range(people)]
    return [event(kind, person, hour, campaign, **more) for person, kind in enumerate(kinds)]


def finding(drawn: Any) -> str:
    """Title and subtitle of a chart, or the sentence in its place."""
    if not hasattr(drawn, "to_dict"):
        return repr(drawn)
    return " ".join(look.said(drawn.to_dict()["title"]))


def rows(con: duckdb.DuckDBPyConnection, view: str, campaign: str | None = None) -> pl.DataFrame:
    """A view, or its rows of one campaign."""
    where = f" where campaign_id = '{campaign}'" if campaign else ""
    return con.sql(f"from {view}{where}").pl()


def head(con: duckdb.DuckDBPyConnection, campaign: str) -> str:
    """What stands at the top of a campaign's page."""
    frames = ("campaign_list", "campaign_measure", "provider_report")
    return repr(leads.campaign(*(rows(con, view, campaign) for view in frames)))


def _events(number: int, name: str) -> list[dict[str, Any]]:
    campaign = {"id": f"{name[:40]}-{number}", "name": name}
    found: list[dict[str, Any]] = []
    for person in range(260):
        common = {
            "recipient": f"person{person}@{'yahoo' if person % 3 else 'gmail'}.com",
            "message_id": f"{number:08d}-0000-4000-8000-{person:012d}",
            "sender": "news@evil.example",
        }

        def at(minutes: int) -> str:
            return f"2026-11-{1 + number:02d}T{7 + minutes // 60:02d}:{minutes % 60:02d}:00Z"

        if person % 9 == 0:
            bounce = {"bounce_category": HOSTILE, "dsn_status": f"5.1.1 ({HOSTILE})"}
            found.append({"kind": "bounce", "timestamp": at(70), **common, **bounce})
        found.append({"kind": "delivered", "timestamp": at(0), "campaign": campaign, **common})
        if person % 2:
            found.append({"kind": "open", "timestamp": at(9), "campaign": campaign, **common})
        if person % 4 == 1:
            url = ["javascript:window.pwned=1", f"https://x.example/{HOSTILE}"][person % 8 == 1]
            click = {"kind": "click", "timestamp": at(12), "campaign": campaign, "url": url}
            found.append({**common, **click})
    return found


def browse(environ: Mapping[str, str] | None = None, **wanted: Any) -> dict[str, Any]:
    """Run ``tests/browser.py`` in a network namespace that has no network."""
    executable = require("chromium")
    done = subprocess.run(
        [*namespace("-n"), sys.executable, str(BROWSER)],
        input=json.dumps({"executable": executable, **wanted}),
        capture_output=True,
        text=True,
        check=False,
        env=dict(os.environ if environ is None else environ),
        timeout=280,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found
