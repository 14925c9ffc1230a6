"""What the benchmarks of loading share: homes with spools, and the rows of a table.

Nothing large is imported or held here: what a child weighs at its largest, the system counts from
its parent's size on.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

SMALL, LARGE = 790_000, 7_900_000
"""Messages that make about 1 M and 10 M events."""
SECRET = "a-secret-for-benchmarks"


def environment_of(home: Path) -> dict[str, str]:
    """Return the settings of a loader with a file in ``home``."""
    return {"LOADER_HOME": str(home), "LOADER_SECRETS": SECRET}


def simulated(home: Path, messages: int, campaigns: int) -> Path:
    """Simulate a spool into ``home``, in a process of its own; return ``home``."""
    arguments = ["--campaigns", str(campaigns), "--messages", str(messages), "--spool"]
    subprocess.run(
        [sys.executable, "-m", "loader", "simulate", *arguments],
        env={**os.environ, **environment_of(home)},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return home


def beside(scratch: Path, name: str, home: Path) -> Path:
    """Make a home whose spool is that of ``home``, and which holds nothing else yet."""
    made = scratch / name
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    (made / "spool").symlink_to(home / "spool")
    return made


def lines_of(home: Path) -> Iterator[bytes]:
    """Yield the lines of a spool."""
    for file in sorted((home / "spool").rglob("*.jsonl")):
        with file.open("rb") as source:
            yield from source


def row(measure: str, found: str, wanted: str) -> None:
    """Print one row."""
    print(f"| {measure} | {found} | {wanted} |", flush=True)
