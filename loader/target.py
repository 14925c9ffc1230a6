"""Settings → where the warehouse stands, a file or a lake: how it is opened, committed, published.

``Warehouse`` says what a load is; a target says how it becomes true. In a file there is one
loader, and publishing copies. In a lake there are many, and the commit itself publishes.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Protocol, TypeVar

import duckdb

from loader.errors import SettingsError
from loader.file_target import FileTarget, Query, cannot_load
from loader.settings import Settings, names_lake
from loader.spool import Segment

T = TypeVar("T")


class Target(Protocol):
    """Where a warehouse stands."""

    alone: bool
    """Whether nobody else can load while this one is open."""

    batch_scale: int
    """How many times the usual batch a load had best be: a commit costs more in a lake."""

    memory: str
    """What DuckDB may take once it is opened again; empty for the little that loads need."""

    prefix: str
    """What stands before the names of this spool's segments in the tables."""

    @property
    def con(self) -> duckdb.DuckDBPyConnection:
        """The open database. After a lost connection it is another one."""

    def turn(self, purpose: str) -> AbstractContextManager[None]:
        """Wait for the turn to load, where only one may; raises ``WarehouseBusy``."""

    def open(self, prepare: Callable[[], None]) -> None:
        """Open the database, made first where there is none; ``prepare`` brings it up to date."""

    def commit(self, work: Callable[[], T]) -> T:
        """Run ``work`` in one transaction and return what it does.

        ``work`` may be run again after a conflict or a lost connection, until the commit is
        known to have happened. Raises ``WarehouseError``; ``LacksMemory`` where that was it.
        """

    def together(self) -> AbstractContextManager[None]:
        """Make one transaction of what is committed meanwhile, where there is one loader.

        Raises ``WarehouseError``.
        """

    def ask(self, query: Query[T]) -> T:
        """Return what ``query`` finds in the open database."""

    def ask_shown(self, query: Query[T]) -> T | None:
        """Return what ``query`` finds in what readers see; None where nothing can be seen."""

    def has_moved(self) -> bool:
        """Say, in a commit, whether anything may have been committed since this loader's last."""

    def extents(self, tables: Iterable[str]) -> Mapping[str, tuple[int, datetime | None]]:
        """Return how many events each of ``tables`` holds, and when the last of them occurred.

        Neither is less than what stands.
        """

    def publish(self, refresh: Callable[[], None]) -> float:
        """Run ``refresh``, show readers what stands now; return the seconds of copying."""

    def is_published(self, state: Query[object]) -> bool:
        """Say whether readers see what stands now, as ``state`` tells it apart."""

    def claimed(
        self, segments: Iterable[Segment], offsets: Query[Mapping[str, int]]
    ) -> Iterator[tuple[Segment, int]]:
        """Yield the segments that are this loader's to load, and from which offset on."""

    def release(self, names: Iterable[str] | None = None) -> None:
        """Let others have segments that were claimed; all of them when none is named."""

    def is_last(self) -> bool:
        """Say whether no other loader is at work that will publish what stands then."""

    def sole(self, purpose: str) -> AbstractContextManager[bool]:
        """Say whether this loader is the one of its spool to do ``purpose`` now."""

    def rebuild(
        self, reopen: Callable[[], object], empty: Callable[[], None], load: Callable[[], None]
    ) -> None:
        """Open it without anything loaded, ``load`` everything anew, close it.

        Readers go on seeing what was published before.
        """

    def close(self) -> None:
        """Let go of it."""


def target_of(settings: Settings) -> Target:
    """Return where ``settings`` say the warehouse stands. Raises ``SettingsError``."""
    if not names_lake(settings.warehouse):
        return FileTarget(_led_to(Path(settings.warehouse)))
    from loader.lake_target import LakeTarget  # noqa: PLC0415 - a file pays nothing for the lake

    return LakeTarget(settings)


def _led_to(path: Path) -> Path:
    """Return where the file is that a link in a warehouse's place leads to: it is replaced there.

    Raises ``SettingsError`` where there is no such directory, as without the disk it is on.
    """
    if not path.is_symlink():
        return path
    real = path.resolve()
    if not real.parent.is_dir():
        raise SettingsError(f"{path} is a link that leads nowhere: mount or make what it leads to.")
    return real


@contextmanager
def told(warehouse: str) -> Iterator[None]:
    """Turn what a disk or DuckDB raises meanwhile, and nobody has told yet, into one sentence."""
    try:
        yield
    except (duckdb.Error, OSError) as error:
        raise cannot_load(warehouse, error) from error
