"""How far a long command is: a bar on a terminal, a quiet line now and then in a log."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_LOG_SECONDS = 10.0

Report = Callable[[int, float], None]
"""Takes the events done so far and the share of the work done, 0 to 1."""


@contextmanager
def shown(title: str) -> Iterator[Report]:
    """Show the progress of ``title`` on stderr while the block runs; yield what to tell it."""
    if sys.stderr.isatty():
        with _bar(title) as report:
            yield report
    else:
        yield _log(title)


@contextmanager
def _bar(title: str) -> Iterator[Report]:
    from rich.console import Console  # noqa: PLC0415 - a tenth of a second that no log needs
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[events]:,} events"),
        TextColumn("{task.fields[pace]:,} a second"),
        TimeRemainingColumn(),
    )
    started = time.monotonic()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=1.0, events=0, pace=0)

        def report(events: int, share: float) -> None:
            pace = round(events / max(time.monotonic() - started, 0.001))
            bar.update(task, completed=share, events=events, pace=pace)

        yield report


def _log(title: str) -> Report:
    last = time.monotonic()

    def report(events: int, share: float) -> None:
        nonlocal last
        if time.monotonic() - last >= _LOG_SECONDS:
            last = time.monotonic()
            print(f"{title}: {events:,} events, {share:.0%}", file=sys.stderr, flush=True)

    return report
