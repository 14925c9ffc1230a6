"""How far a long command is: a bar on a terminal, a quiet line now and then in a log."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

_LOG_SECONDS = 10.0

Report = Callable[[int, float], None]
"""Takes how much is done so far, of whatever is counted, and the share of all of it, 0 to 1."""


@contextmanager
def shown(title: str, unit: str = "events") -> Iterator[Report]:
    """Show the progress of ``title`` on stderr while the block runs; yield what to tell it.

    ``unit`` is the plural of what is counted.
    """
    if sys.stderr.isatty():
        with _bar(title, unit) as report:
            yield report
    else:
        yield _log(title, unit)


@contextmanager
def _bar(title: str, unit: str) -> Iterator[Report]:
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
        TextColumn("{task.fields[done]:,} {task.fields[unit]}"),
        TextColumn("{task.fields[pace]:,} a second"),
        TimeRemainingColumn(),
    )
    started = time.monotonic()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=1.0, done=0, unit=unit, pace=0)

        def report(done: int, share: float) -> None:
            pace = round(done / max(time.monotonic() - started, 0.001))
            bar.update(task, completed=share, done=done, pace=pace)

        yield report


def _log(title: str, unit: str) -> Report:
    last = time.monotonic()

    def report(done: int, share: float) -> None:
        nonlocal last
        if time.monotonic() - last >= _LOG_SECONDS:
            last = time.monotonic()
            with suppress(OSError):  # of a log that is full or whose reader went: work goes on
                print(f"{title}: {done:,} {unit}, {share:.0%}", file=sys.stderr, flush=True)

    return report
