"""What the marts cost, in ratios to one exact count(distinct message_key) by campaign.

Ten million simulated events go through ``loader ingest`` (those of a home's spool, where one is
named; what its warehouse holds already is not loaded again), and fifty million are synthesised in
a database. Ratios are of processor time, the quickest of the rounds; beside them stand the seconds
that a person waits. Growth is that of the processor time itself: the two databases are asked in
turns, as a machine's pace changes within minutes. Run it on an idle machine.

    python bench/marts.py [--home HOME] [--messages 6300000] [--synthetic 50000000] [--rounds 3]
"""

import argparse
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import duckdb

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)  # else this file would be taken for a module of the same name

from bench.spools import environment_of  # noqa: E402
from loader import warehouse  # noqa: E402
from loader.file_target import REFRESHING  # noqa: E402
from loader.ingest import ingest  # noqa: E402
from loader.objects import apply_sql  # noqa: E402
from loader.refresh import refresh as run_refresh  # noqa: E402
from loader.refresh import refresh_steps  # noqa: E402
from loader.scenario import Plan  # noqa: E402
from loader.settings import Settings, load_settings  # noqa: E402
from loader.simulate import to_spool  # noqa: E402

YARDSTICK = "select campaign_id, count(distinct message_key) from delivered group by campaign_id"
CONTRACT = (
    "campaign_report", "campaign_age", "bounce_report", "dsn_report", "provider_report",
    "daily_report", "link_report", "reaction_report", "data_quality",
)  # fmt: skip
PAGES = (
    "warnings", "freshness", "campaign_list", "campaign_curve", "campaign_funnel",
    "campaign_limit", "campaign_measure", "campaign_peer", "measured_rate", "funnel_plot",
    "funnel_limit", "campaign_spread", "period_measure", "daily_outcome_report",
    "daily_bounce_limit",
    "bounce_category", "bounce_total", "dsn_total", "provider_total", "human_reaction",
    "weekday_hour_report", "recency_report", "list_health", "soft_bounce_run",
    "suppression_list", "suppression_reason", "quality_total", "unknown_words",
)  # fmt: skip
"""What notebooks and ``loader status`` read beside them."""
WHOLE = ("messages", "event_message", "recipient_health")
"""Views of a row per message, event, recipient: every column is read, no row is fetched."""
OF_ONE = {
    "one campaign": "from campaign_report where campaign_id = '{}'",
    "its links": "from link_report where campaign_id = '{}'",
    "its difference": "from campaign_difference('{}', 24)",
}
GOALS = {"campaign_report": 3.0, "one campaign": 0.3}
OTHER_GOAL = GROWTH_GOAL = 6.0


@dataclass(frozen=True)
class Cost:
    """Of a query: the ratio to the yardstick, seconds of processor and on the clock."""

    ratio: float
    processor: float
    wall: float


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path)
    parser.add_argument("--messages", type=int, default=6_300_000)
    parser.add_argument("--synthetic", type=int, default=50_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        home = options.home or Path(scratch) / "home"
        settings = load_settings(environment_of(home), Path(scratch))
        shares = load(settings, options.messages)
        paths = [Path(settings.warehouse)]
        if options.synthetic:
            paths.append(Path(scratch) / "large.duckdb")
            refreshing = synthesise(paths[-1], options.synthetic)
            shares |= estimate(shares, refreshing, options.synthetic)
        small, *larger = measure(paths, options.rounds)
    show(small, larger[0] if larger else {})
    for name, (loading, refreshing, _) in shares.items():
        print(f"{name}: refresh {refreshing:.1f} s of processor beside {loading:.1f} s of loading: "
              f"{refreshing / loading:.0%} added (to reach: 25 %)")  # fmt: skip


def say(text: str) -> None:
    """Print a line at once, with the time."""
    print(time.strftime("%H:%M:%S"), text, flush=True)


Share = tuple[float, float, int]
"""Processor seconds of loading without its refreshes, those of the refreshes, and events."""


def estimate(shares: dict[str, Share], refreshing: float, events: int) -> dict[str, Share]:
    """Return the share for synthesised events, were they loaded as fast as the others were."""
    for loading, _, loaded in shares.values():
        name = f"{events:,} events, loading at the same rate (an estimate)"
        return {name: (loading * events / loaded, refreshing, events)}
    return {}


def load(settings: Settings, messages: int) -> dict[str, Share]:
    """Ingest; return the share of the refreshes in it, unless nothing was there to load."""
    if not settings.spool.exists():
        say(f"simulating {messages:,} messages")
        to_spool(Plan(campaigns=120, messages=messages, seed=1), settings)
    spent: list[float] = []
    plain = warehouse.Warehouse._refresh

    def timed(self: warehouse.Warehouse, part_events: int) -> None:
        spent.append(processor(lambda: plain(self, part_events)))

    warehouse.Warehouse._refresh = timed  # type: ignore[method-assign]
    say(f"loading {settings.spool}")
    started, begun = time.monotonic(), time.process_time()
    result = ingest(settings)
    total = time.process_time() - begun
    say(f"{result.read:,} events loaded in {time.monotonic() - started:.1f} s, {total:.1f} s of "
        f"processor, {sum(spent):.1f} s of it to refresh; peak {peak()} MB")  # fmt: skip
    if not result.inserted:
        return {}
    return {f"{result.read:,} events": (total - sum(spent), sum(spent), result.read)}


def peak() -> int:
    """Return the most memory that this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def processor(work: Callable[[], object]) -> float:
    """Return the processor seconds, of all threads, that a piece of work takes."""
    started = time.process_time()
    work()
    return time.process_time() - started


def measure(paths: Sequence[Path], rounds: int) -> list[dict[str, Cost]]:
    """Return what each query costs on each of the warehouses at ``paths``, asked in turns."""
    with ExitStack() as stack:
        cons = [stack.enter_context(asking(path)) for path in paths]
        asked = [queries(con) for con in cons]
        spent = {}
        for name in asked[0]:
            spent[name] = times(cons, [one[name] for one in asked], rounds)
            say(f"{name} " + " | ".join(
                f"{used:.2f} s of processor, {waited:.2f} s to wait"
                for used, waited in spent[name]
            ))  # fmt: skip
        again = times(cons, [YARDSTICK] * len(cons), rounds)
    return [
        costs({name: found[number] for name, found in spent.items()}, yardstick)
        for number, (yardstick, _) in enumerate(again)
    ]


def asking(path: Path) -> duckdb.DuckDBPyConnection:
    """Return a connection as an analyst has it."""
    con = duckdb.connect(str(path), read_only=True, config={"threads": "2"})
    con.execute("set TimeZone = 'UTC'")
    return con


def queries(con: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Return name → query, the yardstick first; of one campaign: the largest."""
    largest = con.execute(
        "select campaign_id from delivered where campaign_id is not null "
        "group by campaign_id order by count(*) desc limit 1"
    ).fetchall()[0][0]
    named = {"yardstick": YARDSTICK}
    named |= {name: query.format(largest) for name, query in OF_ONE.items()}
    named |= {name: f"from {name}" for name in (*CONTRACT, *PAGES)}
    return named | {name: f"select count(columns(*)) from {name}" for name in WHOLE}


def costs(spent: dict[str, tuple[float, float]], again: float) -> dict[str, Cost]:
    """Return the ratios to the yardstick, of which ``again`` is the time at the end."""
    yardstick = (spent.pop("yardstick")[0] + again) / 2
    return {name: Cost(used / yardstick, used, wall) for name, (used, wall) in spent.items()}


def times(
    cons: Sequence[duckdb.DuckDBPyConnection], asked: Sequence[str], rounds: int
) -> list[tuple[float, float]]:
    """Return of each connection the least seconds of processor and on the clock.

    What takes less than a second is asked thrice as often, as it is easily disturbed.
    """
    turns: list[list[tuple[float, float]]] = []
    while len(turns) < rounds * (3 if turns and turns[0][0][1] < 1 else 1):
        turns.append([once(con, query) for con, query in zip(cons, asked, strict=True)])
    return [
        (min(used for used, _ in one), min(waited for _, waited in one))
        for one in zip(*turns, strict=True)
    ]


def once(con: duckdb.DuckDBPyConnection, query: str) -> tuple[float, float]:
    """Return the seconds of processor and on the clock that a query takes."""
    started = time.monotonic()
    used = processor(lambda: con.execute(query).fetchall())
    return used, time.monotonic() - started


def synthesise(path: Path, events: int) -> float:
    """Make a warehouse of about ``events`` events without a spool; return what a refresh costs."""
    say(f"synthesising {events:,} events")
    with duckdb.connect(str(path), config={"threads": "2", "memory_limit": "8GB"}) as con:
        con.execute("set TimeZone = 'UTC'")
        apply_sql(con, "UTC")
        con.execute(f"set variable messages = {round(events / 1.58)}")
        con.execute((ROOT / "bench" / "marts.sql").read_text("utf-8"))
        con.execute("checkpoint")
        say("refreshing them")
        started = time.monotonic()
        seconds = processor(lambda: refresh(con))
        con.execute("checkpoint")
    say(f"refreshed in {time.monotonic() - started:.1f} s, {seconds:.1f} s of processor")
    return seconds


def refresh(con: duckdb.DuckDBPyConnection) -> None:
    """Refresh as the loader does, in the memory that the loader has."""
    con.execute(REFRESHING)
    con.begin()
    run_refresh(con, refresh_steps())
    con.commit()


def show(small: dict[str, Cost], large: dict[str, Cost]) -> None:
    """Print the table: ratios and waits, growth, and what is to be reached."""
    print(f"{'query':22} {'ratio':>6} {'wait':>7}   {'large':>6} {'wait':>7}   {'growth':>6}  "
          f"to reach ({os.cpu_count()} cores, DuckDB {duckdb.__version__})")  # fmt: skip
    for name, cost in small.items():
        goal = GOALS.get(name, OTHER_GOAL)
        line = f"{name:22} {cost.ratio:6.2f} {cost.wall:5.2f} s"
        missed = cost.ratio > goal
        if name in large:
            big = large[name]
            growth = big.processor / cost.processor
            line += f"   {big.ratio:6.2f} {big.wall:5.2f} s   {growth:6.1f}"
            missed = missed or big.ratio > goal or growth > GROWTH_GOAL
        print(f"{line}  {goal:g} x{', missed' if missed else ''}")


if __name__ == "__main__":
    main()
