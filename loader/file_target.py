"""A warehouse file that one loader loads → the copy of it that readers are shown."""

import glob
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import duckdb

from loader.durable import sync_directory, sync_file
from loader.errors import LacksMemory, WarehouseError
from loader.ledger import loaded_offsets
from loader.lock import sole_loader
from loader.memory import lacked_memory
from loader.publication import beside, copy, private_path, publish, wal
from loader.spool import Segment

WAIT_SECONDS = 10.0
LOADING = "set threads = 1; set memory_limit = '160MB'; set disabled_compression_methods = ''"
"""The other core, and most of the memory, are for parsing what is loaded next."""
REFRESHING = (
    "set threads = 2; set memory_limit = '384MB'; set disabled_compression_methods = 'fsst'"
)
"""Both cores; no FSST for the texts of the marts' tables: a tenth less work, a larger file."""
CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "checkpoint_threshold": "128MB",  # each checkpoint writes every table's last rows again
}

T = TypeVar("T")
Query = Callable[[duckdb.DuckDBPyConnection], T]


class FileTarget:
    """A published file, and beside it the private one that is loaded."""

    alone = True
    batch_scale = 3
    prefix = ""

    def __init__(self, published: Path) -> None:
        """Nothing is opened yet."""
        self._published = published
        self._path = self._opened = private_path(published)
        self._left = beside(published, "left")
        self._con: duckdb.DuckDBPyConnection | None = None
        self._file = -1
        self._together = False
        self.memory = ""

    @property
    def con(self) -> duckdb.DuckDBPyConnection:
        """The open private file."""
        if self._con is None:
            raise WarehouseError(f"{self._path} is not open.")
        return self._con

    def turn(self, purpose: str) -> AbstractContextManager[None]:
        """Hold the lock beside the file. Raises ``WarehouseError`` where another file stands."""
        if not self._path.exists():
            _refuse_other(self._published)
        return sole_loader(beside(self._published, "lock"), purpose, WAIT_SECONDS)

    def open(self, prepare: Callable[[], None]) -> None:
        """Open the private file, or make it anew of the published one."""
        _remove_all(_rebuilt(self._path))  # of a rebuild that was killed
        if not self._path.exists() or not self._is_trusted():
            self._give_birth(prepare)
        self._connect(self._path, prepare)

    def commit(self, work: Callable[[], T]) -> T:
        """Run ``work`` in one transaction; after an error its outcome is unknown.

        Then the file has to be opened anew, and its ledger says what happened.
        """
        if self._together:
            return work()
        with self.together():
            return work()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Begin and commit once: each commit writes what is not yet whole again."""
        try:
            self.con.begin()
            self._together = True
            yield
            self.con.commit()
        except (duckdb.Error, OSError) as error:
            with suppress(duckdb.Error):
                self.con.rollback()
            raise cannot_load(self._path, error) from error
        finally:
            self._together = False

    def ask(self, query: Query[T]) -> T:
        """Return what ``query`` finds in the private file."""
        return query(self.con)

    def ask_shown(self, query: Query[T]) -> T | None:
        """Return what ``query`` finds in the published file, if that can be read."""
        return _asked(self._published, query)

    def has_moved(self) -> bool:
        """Return that it has not: nobody else loads."""
        return False

    def extents(self, tables: Iterable[str]) -> Mapping[str, tuple[int, datetime | None]]:
        """Count, and look for the last moment."""
        query = " union all ".join(
            f"select '{table}', count(*), max(occurred_at) from {table}" for table in tables
        )
        return {name: (events, latest) for name, events, latest in self.con.sql(query).fetchall()}

    def publish(self, refresh: Callable[[], None]) -> float:
        """Refresh, checkpoint, and copy the private file over the published one."""
        self._set(REFRESHING)
        self.commit(refresh)
        self._checkpoint()
        self._set(LOADING)
        started = time.monotonic()
        publish(self._file, self._published)
        return time.monotonic() - started

    def is_published(self, state: Query[object]) -> bool:
        """Compare the two files; False also where the published one cannot be read."""
        if not self._published.exists():
            return False
        try:
            with _reading(self._published) as con:
                return state(con) == state(self.con)
        except duckdb.Error:
            return False  # then it is published again

    def claimed(
        self, segments: Iterable[Segment], offsets: Query[Mapping[str, int]]
    ) -> Iterator[tuple[Segment, int]]:
        """Yield every segment: there is one loader."""
        # In the thread that reads ahead: DuckDB gives it a connection of its own.
        with self.con.cursor() as con:
            known = offsets(con)
        yield from ((segment, known.get(segment.name, 0)) for segment in segments)

    def release(self, names: Iterable[str] | None = None) -> None:
        """Do nothing: nothing is claimed."""

    def is_last(self) -> bool:
        """Return that it is: there is one loader."""
        return True

    def sole(self, purpose: str) -> AbstractContextManager[bool]:
        """Return that it is."""
        return nullcontext(True)

    def rebuild(
        self,
        reopen: Callable[[], object],
        empty: Callable[[], None],
        load: Callable[[], None],
    ) -> None:
        """Load into a file aside; then it takes the place of the private one."""
        self.close()
        private, self._path = self._path, _rebuilt(self._path)
        try:
            _remove_all(self._path)
            reopen()
            load()
            self._checkpoint()
            self.close()
            _install(self._path, private)
            self._leave(private)
        finally:
            self.close()
            self._path = private

    def close(self) -> None:
        """Close the private file."""
        if self._con is not None:
            self._con.close()
            self._con = None
            self._leave(self._opened)
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _set(self, settings: str) -> None:
        self.con.execute(settings)
        if self.memory:
            self.con.execute(f"set memory_limit = '{self.memory}'")

    def _connect(self, path: Path, prepare: Callable[[], None]) -> None:
        before = os.umask(0o077)
        try:
            self._con, self._opened = duckdb.connect(str(path), config=CONFIG), path
            self._set(LOADING)
            # Kept open as long as DuckDB has the file: closing any descriptor of a file gives up
            # every POSIX lock that this process holds on it, DuckDB's among them.
            self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            self._con.execute("set TimeZone = 'UTC'")
            prepare()
        except (duckdb.Error, OSError) as error:
            self.close()
            raise cannot_load(path, error) from None
        finally:
            os.umask(before)

    def _leave(self, path: Path) -> None:
        """Note as what files ``path`` and the published one were left, to know them again."""
        with suppress(OSError):  # without a note it is made anew
            fd = os.open(self._left, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(self._note(path))  # over the last one: a full disk has room for that
                file.truncate()

    def _note(self, path: Path) -> bytes:
        return _identity(path) + b"\n" + _identity(self._published)

    def _is_trusted(self) -> bool:
        """Say whether to go on with the private file: it is as a loader left it, or all there is.

        A copy of it may have been made while it was written to, and DuckDB opens that without a
        word. What it held beyond the published one the spool still has. Raises ``WarehouseError``
        where somebody put another published one there, and each holds what the other lacks.
        """
        left = b""
        with suppress(OSError):
            left = self._left.read_bytes()
        if left == self._note(self._path):
            return True
        shown = _loaded(self._published)
        if shown is None or not left.startswith(_identity(self._path) + b"\n"):
            return shown is None
        mine = _loaded(self._path) or {}
        if _exceeds(shown, mine) and _exceeds(mine, shown):
            raise WarehouseError(
                f"{self._published} is not the one that was published last, and holds segments "
                f"that {self._path.name} does not, which holds others: delete {self._path.name} "
                f"to go on with {self._published.name}, or move that away to go on without it."
            )
        return not _exceeds(shown, mine)

    def _give_birth(self, prepare: Callable[[], None]) -> None:
        # A crash while DuckDB creates a file can leave one that does not open.
        aside = self._path.with_name(f"{self._path.name}.born")
        _remove_all(aside)
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self._path == private_path(self._published) and self._published.exists():
            # What has expired from the spool may stand nowhere else.
            copy(self._published, aside)
        self._connect(aside, prepare)
        self._checkpoint()
        self.close()
        _install(aside, self._path)

    def _checkpoint(self) -> None:
        try:
            self.con.execute("checkpoint")
        except duckdb.Error as error:
            raise cannot_load(self._path, error) from None


@contextmanager
def _reading(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a connection that reads a published file. Raises ``duckdb.Error`` where it cannot."""
    with duckdb.connect(":memory:") as con:
        name = str(path).replace("'", "''")
        con.execute(f"attach '{name}' as published (read_only)")
        con.execute("use published")
        yield con


def _refuse_other(path: Path) -> None:
    """Raise where ``path``, which a publication would replace, is something else."""
    if path.exists() and _loaded(path) is None:
        raise WarehouseError(
            f"{path} is not a warehouse of this loader, and loading would replace it: name "
            "another path in LOADER_WAREHOUSE, or move it away."
        )


def _loaded(path: Path) -> dict[str, int] | None:
    """Return segment → offset as ``path`` has it, None where it is no warehouse of this loader."""
    return _asked(path, lambda con: loaded_offsets(con, ""))


def _asked(path: Path, query: Query[T]) -> T | None:
    """Return what ``query`` finds in a closed or published file, None where it cannot be read."""
    try:
        with _reading(path) as con:
            return query(con)
    except duckdb.Error:
        return None


def _exceeds(some: Mapping[str, int], others: Mapping[str, int]) -> bool:
    """Say whether more of any segment is loaded in ``some`` than in ``others``."""
    return any(size > others.get(name, 0) for name, size in some.items())


def _identity(database: Path) -> bytes:
    """Return what nothing has that was copied, put back or written to since, of file and log."""
    states = [path.stat() for path in (database, wal(database)) if path.exists()]
    return b"".join(b"%d:%d:%d\n" % (at.st_dev, at.st_ino, at.st_ctime_ns) for at in states)


def _rebuilt(private: Path) -> Path:
    """Return where a private file is built anew, aside."""
    return private.with_name(f"{private.name}.rebuild")


def _remove_all(database: Path) -> None:
    """Remove a database that nobody has open, with its log and what it spilled, where they are."""
    for stale in database.parent.glob(f"{glob.escape(database.name)}*"):
        if stale.is_dir():  # DuckDB spills into a directory, and a kill leaves that
            shutil.rmtree(stale)
        else:
            stale.unlink()


def _install(aside: Path, path: Path) -> None:
    """Give the closed database ``aside`` the name ``path``, durably; what was there is gone."""
    sync_file(aside)
    # DuckDB would replay the log of the older file into the new one, without a word.
    wal(path).unlink(missing_ok=True)
    aside.rename(path)
    sync_directory(path.parent)


def cannot_load(path: Path | str, error: Exception) -> WarehouseError:
    """Return what is to be told where the warehouse at ``path`` cannot be loaded."""
    # DuckDB's own words may quote a value, and values are addresses.
    if lacked_memory(error):
        return LacksMemory(
            f"{path} cannot be loaded: DuckDB wants more memory than it takes on this machine; "
            "end other programs or move the warehouse to a larger machine, then ingest again."
        )
    if isinstance(error, PermissionError):
        return WarehouseError(
            f"{path} cannot be loaded: this user may not write {error.filename or 'there'}; let "
            "it, or choose another LOADER_WAREHOUSE."
        )
    reason = getattr(error, "strerror", None) or type(error).__name__
    return WarehouseError(
        f"{path} cannot be loaded ({reason}): free space or mend the disk, then "
        "ingest again; if it stays, loader ingest --rebuild makes it anew from the spool."
    )
