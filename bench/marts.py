"""What the marts cost, in ratios to one exact count(distinct message_key) by campaign.

Ten million simulated events go through ``loader ingest`` (or a home that holds them is named),
and fifty million are synthesised in a database. Every ratio is of processor time, medians of
rounds that alternate with the yardstick, so that other work on the machine falls on both.

    python bench/marts.py [--home HOME] [--messages 7900000] [--synthetic 50000000]
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import duckdb

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)  # else this file would be taken for a module of the same name

from loader import warehouse  # noqa: E402
from loader.assets import asset  # noqa: E402
from loader.ingest import ingest  # noqa: E402
from loader.settings import Settings, load_settings  # noqa: E402
from loader.simulate import Plan, to_spool  # noqa: E402

YARDSTICK = "select campaign_id, count(distinct message_key) from delivered group by campaign_id"
VIEWS = (
    "campaign_report", "campaign_age", "bounce_report", "dsn_report", "provider_report",
    "daily_report", "link_report", "reaction_report", "data_quality", "warnings",
    "campaign_curve", "weekday_hour_report", "daily_outcome_report", "reaction_histogram",
    "recency_report",
)  # fmt: skip
WHOLE = ("messages", "event_message", "recipient_health")
"""Views of a row per message, event, recipient: every column is read, no row is fetched."""
ROUNDS = 5
SECRET = "a-secret-for-benchmarks"


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path)
    parser.add_argument("--messages", type=int, default=7_900_000)
    parser.add_argument("--synthetic", type=int, default=50_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        home = options.home or Path(scratch) / "home"
        settings = load_settings(
            {"LOADER_HOME": str(home), "LOADER_SECRETS": SECRET}, Path(scratch)
        )
        loading, refreshing = load(settings, options.messages)
        small = measure(Path(settings.warehouse))
        large: dict[str, tuple[float, float]] = {}
        if options.synthetic:
            path = Path(scratch) / "large.duckdb"
            synthesise(path, options.synthetic)
            large = measure(path)
    show(small, large)
    if loading:
        print(f"refresh {refreshing:.1f} s of processor in {loading:.1f} s of ingest: "
              f"{refreshing / (loading - refreshing):.0%} added (to reach: 25 %)")  # fmt: skip


def load(settings: Settings, messages: int) -> tuple[float, float]:
    """Ingest; return the processor seconds of it all, and of its refreshes."""
    if not settings.spool.exists():
        plan = Plan(campaigns=200, messages=messages, seed=1)
        to_spool(plan, settings, lambda *_: None)
    spent: list[float] = []
    plain = warehouse.Warehouse._refresh

    def timed(self: warehouse.Warehouse) -> None:
        spent.append(processor(lambda: plain(self)))

    warehouse.Warehouse._refresh = timed  # type: ignore[method-assign]
    total = processor(lambda: ingest(settings))
    return total, sum(spent)


def processor(work: Callable[[], object]) -> float:
    """Return the processor seconds, of all threads, that a piece of work takes."""
    started = time.process_time()
    work()
    return time.process_time() - started


def measure(path: Path) -> dict[str, tuple[float, float]]:
    """Return query → (ratio to the yardstick, processor seconds)."""
    with duckdb.connect(str(path), read_only=True, config={"threads": "2"}) as con:
        con.execute("set TimeZone = 'UTC'")
        queries = {name: f"from {name}" for name in VIEWS}
        queries |= {name: f"select count(columns(*)) from {name}" for name in WHOLE}
        largest = con.execute(
            "select campaign_id from delivered where campaign_id is not null "
            "group by campaign_id order by count(*) desc limit 1"
        ).fetchone()
        assert largest is not None
        queries["one campaign"] = f"from campaign_report where campaign_id = '{largest[0]}'"
        con.execute(YARDSTICK).fetchall()
        return {name: ratio(con, query) for name, query in queries.items()}


def ratio(con: duckdb.DuckDBPyConnection, query: str) -> tuple[float, float]:
    """Return (ratio to the yardstick, processor seconds), medians of alternating rounds."""
    con.execute(query).fetchall()
    pairs = [
        (
            processor(lambda: con.execute(query).fetchall()),
            processor(lambda: con.execute(YARDSTICK).fetchall()),
        )
        for _ in range(ROUNDS)
    ]
    return median(a / b for a, b in pairs), median(a for a, _ in pairs)


def synthesise(path: Path, events: int) -> None:
    """Make a warehouse of about ``events`` events without a spool, and refresh it."""
    with duckdb.connect(str(path), config={"threads": "2", "memory_limit": "8GB"}) as con:
        con.execute("set TimeZone = 'UTC'")
        warehouse.apply_sql(con, "UTC")
        con.execute(f"set variable messages = {round(events * 0.68)}")
        con.execute((ROOT / "bench" / "marts.sql").read_text("utf-8"))
        con.execute("checkpoint")
        seconds = processor(lambda: refresh(con))
        con.execute("checkpoint")
    print(f"{events:,} synthesised events: rebuilt in {seconds:.1f} s of processor", flush=True)


def refresh(con: duckdb.DuckDBPyConnection) -> None:
    """Run ``sql/refresh`` as the loader does, in the memory that the loader has."""
    con.execute("set memory_limit = '384MB'")
    con.begin()
    for file in sorted((asset("sql") / "refresh").glob("*.sql")):
        con.execute(file.read_text("utf-8"))
    con.commit()


def show(small: dict[str, tuple[float, float]], large: dict[str, tuple[float, float]]) -> None:
    """Print the table: ratio, ratio when large, growth, and what is to be reached."""
    print(
        f"{'query':22} {'ratio':>7} {'large':>7} {'growth':>7}  to reach ({os.cpu_count()} cores)"
    )
    for name, (share, seconds) in small.items():
        goal = {"campaign_report": "3", "one campaign": "0.3"}.get(name, "6")
        big = f"{large[name][0]:7.2f} {large[name][1] / seconds:7.1f}" if large else " " * 15
        print(f"{name:22} {share:7.2f} {big}  {goal} x")


if __name__ == "__main__":
    main()
