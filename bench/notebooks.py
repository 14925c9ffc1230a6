"""How long a reader waits: every notebook, and `loader report`, start-up included, on 1 M events.

Each page is executed by a fresh kernel, as opening it would, and reports run as commands. Beside
the seconds on the clock stand those of all processors, which a busy machine does not stretch.

    python bench/notebooks.py [--messages 635000] [--campaigns 24] [--home DIR] [--large DIR]

``--large`` names a second home that is already loaded, measured in the same run.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)  # bench/loader.py would stand before the package otherwise

from loader import query, report  # noqa: E402
from loader.assets import asset  # noqa: E402
from loader.ingest import ingest  # noqa: E402
from loader.scenario import Plan  # noqa: E402
from loader.settings import Settings, load_settings  # noqa: E402
from loader.simulate import to_spool  # noqa: E402

NOTEBOOK_SECONDS, REPORT_SECONDS = 15, 20
LARGEST = 3_000_000


def settings_of(home: Path) -> Settings:
    """Return the settings of a home whose traffic is simulated."""
    return load_settings({"LOADER_HOME": str(home), "LOADER_SECRETS": "simulated-secret"}, home)


def prepared(home: Path, campaigns: int, messages: int) -> Settings:
    """Return the settings of a home with that many messages, simulated and loaded if it is new."""
    settings = settings_of(home)
    if not settings.spool.exists():
        to_spool(Plan(campaigns=campaigns, messages=messages), settings)
    ingest(settings)
    return settings


def notebook_run(settings: Settings, path: Path) -> None:
    """Execute one notebook as opening it would, its kernel's start included."""
    with report.kernel(settings) as client:
        report.execute(client, nbformat.read(path, as_version=4), {})


def report_run(settings: Settings, *arguments: str, ending: str = "html") -> None:
    """Run one `loader report` as a command, and hold its size."""
    environ = {**os.environ, "LOADER_HOME": str(settings.home)}
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch, f"page.{ending}")
        command = [sys.executable, "-m", "loader", "report", *arguments, "--output", str(output)]
        subprocess.run(command, env=environ, check=True, capture_output=True)
        assert output.stat().st_size < LARGEST, arguments


def timed(name: str, limit: int, run: Callable[[], None]) -> dict[str, float]:
    """Run, print one line, return seconds on the clock and of the processors."""
    clock, own, children = time.perf_counter(), time.process_time(), _children()
    run()
    took = time.perf_counter() - clock
    processors = time.process_time() - own + _children() - children
    print(f"{name:32} {took:6.1f} s on the clock, {processors:6.1f} s of processors, of {limit} s")
    return {"clock": round(took, 2), "processors": round(processors, 2)}


def _children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def measure(settings: Settings) -> dict[str, dict[str, float]]:
    """Measure every page, print a line for each, return the seconds."""
    with query.connect(settings) as con:
        row = con.sql("select events, campaigns from freshness").fetchone()
        largest = con.sql(
            "select campaign_id from campaign_list order by attempted desc"
        ).fetchone()
    print(f"{row[0]:,} events of {row[1]} campaigns")
    found = {}
    for path in sorted(asset("notebooks").glob("*.ipynb")):
        run = partial(notebook_run, settings, path)
        found[path.stem] = timed(path.stem, NOTEBOOK_SECONDS, run)
    for name, arguments, ending in (
        ("report, overview", (), "html"),
        ("report, largest campaign", (largest[0],), "html"),
        ("report, largest campaign, PDF", (largest[0],), "pdf"),
    ):
        run = partial(report_run, settings, *arguments, ending=ending)
        found[name] = timed(name, REPORT_SECONDS, run)
    return found


def main() -> None:
    """Measure, and print the seconds as JSON last."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=635_000)
    parser.add_argument("--campaigns", type=int, default=24)
    parser.add_argument("--home", type=Path, help="kept and reused; default: a scratch directory")
    parser.add_argument("--large", type=Path, help="a loaded home, measured as well")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="loader-bench-") as scratch:
        home = chosen.home or Path(scratch)
        home.mkdir(parents=True, exist_ok=True)
        found = {"home": measure(prepared(home, chosen.campaigns, chosen.messages))}
        if chosen.large:
            found["large"] = measure(settings_of(chosen.large))
        print(json.dumps(found))


if __name__ == "__main__":
    main()
