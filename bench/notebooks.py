"""How long a reader waits: every notebook, and `loader report`, start-up included, on 1 M events.

Each page is executed by a fresh kernel, as opening it would, and reports run as commands.

    python bench/notebooks.py [--messages 635000] [--campaigns 24] [--home DIR]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat

from loader import query, report
from loader.assets import asset
from loader.ingest import ingest
from loader.settings import Settings, load_settings
from loader.simulate import Plan, to_spool

NOTEBOOK_SECONDS, REPORT_SECONDS = 15, 20
LARGEST = 3_000_000


def prepared(home: Path, campaigns: int, messages: int) -> Settings:
    """Return the settings of a home with that many messages, simulated and loaded if it is new."""
    environ = {"LOADER_HOME": str(home), "LOADER_SECRETS": "simulated-secret"}
    settings = load_settings(environ, home)
    if not settings.spool.exists():
        to_spool(Plan(campaigns=campaigns, messages=messages), settings)
    ingest(settings)
    return settings


def notebook_seconds(settings: Settings, path: Path) -> float:
    """Return the seconds that one notebook takes, its kernel's start included."""
    started = time.perf_counter()
    with report.kernel(settings) as client:
        report.execute(client, nbformat.read(path, as_version=4), {})
    return time.perf_counter() - started


def report_seconds(settings: Settings, *arguments: str, ending: str = "html") -> tuple[float, int]:
    """Return the seconds and the bytes of one `loader report`, the command's start included."""
    environ = {**os.environ, "LOADER_HOME": str(settings.home)}
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch, f"page.{ending}")
        command = [sys.executable, "-m", "loader", "report", *arguments, "--output", str(output)]
        started = time.perf_counter()
        subprocess.run(command, env=environ, check=True, capture_output=True)
        return time.perf_counter() - started, output.stat().st_size


def measure(settings: Settings) -> dict[str, float]:
    """Measure every page, print a line for each, return the seconds."""
    with query.connect(settings) as con:
        row = con.sql("select events, campaigns from freshness").fetchone()
        largest = con.sql(
            "select campaign_id from campaign_list order by attempted desc"
        ).fetchone()
    print(f"{row[0]:,} events of {row[1]} campaigns")
    seconds = {path.stem: notebook_seconds(settings, path) for path in sorted(
        asset("notebooks").glob("*.ipynb"))}  # fmt: skip
    for name, arguments, ending in (
        ("report, overview", (), "html"),
        ("report, largest campaign", (largest[0],), "html"),
        ("report, largest campaign, PDF", (largest[0],), "pdf"),
    ):
        seconds[name], size = report_seconds(settings, *arguments, ending=ending)
        assert size < LARGEST, (name, size)
    for name, took in seconds.items():
        limit = REPORT_SECONDS if name.startswith("report") else NOTEBOOK_SECONDS
        print(f"{name:32} {took:6.1f} s  of {limit} s")
    return seconds


def main() -> None:
    """Measure, and print the seconds as JSON last."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=635_000)
    parser.add_argument("--campaigns", type=int, default=24)
    parser.add_argument("--home", type=Path, help="kept and reused; default: a scratch directory")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="loader-bench-") as scratch:
        home = chosen.home or Path(scratch)
        home.mkdir(parents=True, exist_ok=True)
        print(json.dumps(measure(prepared(home, chosen.campaigns, chosen.messages))))


if __name__ == "__main__":
    main()
