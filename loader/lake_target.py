"""A lake that many loaders share → one commit at a time, each a whole load or nothing.

Two loaders that look for duplicates at the same moment would both insert what neither found. So
looking and committing are one turn, under an advisory lock of the catalog's PostgreSQL; reading
and parsing, the larger part, are not. The lock only saves work: what makes the tables exact is
that a load is never merged into a snapshot that it has not seen (no retry inside DuckLake), and
that it holds the ledger's offsets against its own first. A loader whose lock or connection was
lost, or whose commit nobody confirmed, decides again on what stands.
"""

import hashlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import duckdb

from loader.errors import LacksMemory, WarehouseError
from loader.lake import (
    NAME,
    PUBLISHED,
    CatalogAway,
    attach,
    lake_of,
    newest_snapshot,
    open_catalog,
    published_snapshot,
    segment_prefix,
    settle,
    spill_into,
    unreachable,
)
from loader.memory import lacked_memory
from loader.settings import Settings
from loader.spool import Segment, holds_more

if TYPE_CHECKING:
    import psycopg

FIRST_SECONDS, PATIENCE_SECONDS, PAUSE_SECONDS = 10.0, 60.0, 0.5
"""How long a catalog may be away, as in a restart, before a command gives up: at first, later."""
MOST_CONFLICTS = 100
MOST_FAILURES = 5
_COMMIT = 0x6C6F61646572  # "loader": the key of the lock under which loads commit

_AT_WORK = _COMMIT + 1
"""Shared by every loader that is in the middle of a pass."""

_FORMAT = {"parquet_compression": "zstd", "parquet_compression_level": 1, "parquet_version": 2}

_EXTENTS = """
    select
        table_name,
        coalesce(record_count, 0),
        greatest(
            last.max_value::timestamp,
            (
                select max(stats.max_value::timestamp)
                from ducklake_file_column_stats as stats
                join ducklake_data_file as file using (data_file_id)
                where file.table_id = t.table_id
                    and file.end_snapshot is null
                    and stats.column_id = c.column_id
            )
        )
    from ducklake_table as t
    join ducklake_column as c using (table_id)
    left join ducklake_table_stats using (table_id)
    left join ducklake_table_column_stats as last using (table_id, column_id)
    where column_name = 'occurred_at' and t.end_snapshot is null and c.end_snapshot is null
"""
"""Rows inlined in the catalog are in the statistics of the table, those of files in both."""

T = TypeVar("T")


class LakeTarget:
    """A lake, open for loading by this loader and any number of others."""

    alone = False
    batch_scale = 6

    def __init__(self, settings: Settings, lock_timeout: str = "") -> None:
        """Nothing is opened yet; for ``lock_timeout``, which is empty for ever, see ``attach``."""
        self._lake = lake_of(settings)
        self._home = settings.home
        self.prefix = segment_prefix(settings)
        """The name of this loader's spool: two spools may both have a segment of one name."""
        self._working = self._opened = False
        self._con: duckdb.DuckDBPyConnection | None = None
        self._lock_timeout = lock_timeout
        self.memory = ""
        self._mine = -1
        self._own: set[int] = set()
        self._turns: psycopg.Connection[Any] | None = None
        self._claims: psycopg.Connection[Any] | None = None
        self._claimed: set[str] = set()
        self._opening = threading.RLock()

    @property
    def con(self) -> duckdb.DuckDBPyConnection:
        """The connection to the lake."""
        if self._con is None:
            raise WarehouseError("the lake is not open.")
        return self._con

    def turn(self, purpose: str) -> nullcontext[None]:
        """Wait for nobody: loaders take turns a commit at a time."""
        return nullcontext()

    def open(self, prepare: Callable[[], None]) -> None:
        """Connect, and bring the tables and views up to date, in one commit."""
        self._open()
        prepare()

    def commit(self, work: Callable[[], T]) -> T:
        """Run ``work`` in one transaction, alone; run it again until it is known to be done."""

        def whole() -> T:
            with self._lock(), self._transaction():
                return work()

        return self._insist(whole)

    def together(self) -> nullcontext[None]:
        """Let each commit be one of its own: other loaders wait for it."""
        return nullcontext()

    def ask(self, query: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        """Return what ``query`` finds; ask again where the connection was lost."""
        if self._working:
            return query(self.con)
        return self._insist(lambda: query(self.con))

    def ask_shown(self, query: Callable[[duckdb.DuckDBPyConnection], T]) -> T | None:
        """Ask the lake again: there is no other copy of it, and an error is told."""
        return self.ask(query)

    def has_moved(self) -> bool:
        """Say whether this transaction begins at another snapshot than this loader's last."""
        return _snapshot(self.con, "current") != self._mine

    def extents(self, tables: Iterable[str]) -> Mapping[str, tuple[int, datetime | None]]:
        """Ask the catalog, which bounds both without opening a file."""
        found = self.ask(lambda _con: self._side().execute(_EXTENTS).fetchall())
        known = {name: (events, latest) for name, events, latest in found}
        return {table: known[table] for table in tables}

    def publish(self, refresh: Callable[[], None]) -> float:
        """Refresh; readers are shown the snapshot that this commits. Nothing is copied.

        Nothing is shown while a rebuild has not come as far yet as what readers see.
        """

        def work() -> None:
            refresh()
            if not self._is_behind():
                self.con.execute(f"call {NAME}.set_commit_message('loader', '{PUBLISHED}')")

        self.commit(work)
        return 0.0

    def is_published(self, state: Callable[[duckdb.DuckDBPyConnection], object]) -> bool:
        """Say whether the newest snapshot is the one that readers are shown."""

        def newest() -> bool:
            shown, last = published_snapshot(self._side()), newest_snapshot(self._side())
            return shown is not None and shown[0] == last

        return self._insist(newest)

    def claimed(
        self,
        segments: Iterable[Segment],
        offsets: Callable[[duckdb.DuckDBPyConnection], Mapping[str, int]],
    ) -> Iterator[tuple[Segment, int]]:
        """Yield each segment that holds more than was loaded, and that no other loader has."""
        self._insist(lambda: self._side().execute("select pg_advisory_lock_shared(%s)", [_AT_WORK]))
        seen, known = self._known(offsets)
        for segment in segments:
            if holds_more(segment, known.get(segment.name, 0)) and self._claim(segment.name):
                if self._is_shared_since(seen):  # whoever had it may have loaded it meanwhile
                    seen, known = self._known(offsets)
                yield segment, known.get(segment.name, 0)

    def release(self, names: Iterable[str] | None = None) -> None:
        """Let others have segments; every claimed one when none is named."""
        for name in list(self._claimed if names is None else names):
            if name in self._claimed:
                self._claimed.discard(name)
                self._unlock(self._key(name))
        if names is None:
            with suppress(Exception):  # a lost connection has let go of it
                self._side().execute("select pg_advisory_unlock_shared(%s)", [_AT_WORK])

    def is_last(self) -> bool:
        """Say whether no other loader is in the middle of a pass: it will publish at its end."""
        alone = self._insist(lambda: self._try(_AT_WORK))
        if alone:
            self._unlock(_AT_WORK)
        return alone

    @contextmanager
    def sole(self, purpose: str) -> Iterator[bool]:
        """Hold a lock of this spool's while the block runs, if nobody else has it."""
        key = self._key(f"/{purpose}")
        mine = self._insist(lambda: self._try(key))
        try:
            yield mine
        finally:
            if mine:
                self._unlock(key)

    def rebuild(
        self, reopen: Callable[[], object], empty: Callable[[], None], load: Callable[[], None]
    ) -> None:
        """Empty every table in one commit, and load; readers keep what was published before."""
        reopen()
        self.commit(empty)
        load()

    def close(self) -> None:
        """Let go of the lake, and of every lock."""
        with self._opening:
            for con in (self._con, self._turns, self._claims):
                if con is not None:
                    with suppress(Exception):
                        con.close()
            self._con = self._turns = self._claims = None
            self._claimed.clear()

    # ── connections ──────────────────────────────────────────────────────────────────────────

    def _insist(self, work: Callable[[], T]) -> T:
        """Run ``work``; after a conflict or a lost connection run it again, within reason."""
        conflicts = failures = 0
        while True:
            try:
                return work()
            except Exception as error:
                if not _is_of_the_lake(error):
                    raise
                if lacked_memory(error):
                    raise _told(error) from None
                is_conflict = isinstance(error, duckdb.TransactionException)
                conflicts, failures = conflicts + is_conflict, failures + (not is_conflict)
                if conflicts > MOST_CONFLICTS or failures > MOST_FAILURES:
                    raise _told(error) from None
            self._open()

    def _open(self) -> None:
        """Connect where a connection is missing or dead, with patience."""
        with self._opening:
            deadline = time.monotonic() + (PATIENCE_SECONDS if self._opened else FIRST_SECONDS)
            while not self._is_healthy():
                self.close()
                try:
                    self._connect()
                except CatalogAway:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(PAUSE_SECONDS)
            self._opened = True

    def _connect(self) -> None:
        self._turns, self._claims = open_catalog(self._lake), open_catalog(self._lake)
        try:
            is_new = published_snapshot(self._side()) is None
            # The first of all makes the catalog's tables.
            turn = self._lock() if is_new else None
            self._con = attach(self._lake, turn=turn, lock_timeout=self._lock_timeout)
            spill_into(self._con, self._home)
            if self.memory:
                self._con.execute(f"set memory_limit = '{self.memory}'")
            if is_new:
                with self._lock():
                    self._choose_format()
            # DuckLake's own retry would merge a load into a snapshot that it has not seen.
            self._con.execute("set ducklake_max_retry_count = 0")
        except Exception as error:
            if _is_of_the_lake(error):  # it went away again
                raise unreachable(self._lake, error) from None
            raise

    def _choose_format(self) -> None:
        """Let files be a third smaller than by DuckLake's own choice, and quicker to write."""
        for name, value in _FORMAT.items():
            self.con.execute(f"call {NAME}.set_option('{name}', '{value}')")

    def _is_healthy(self) -> bool:
        if self._con is None or self._turns is None or self._claims is None:
            return False
        try:
            self._turns.execute("select 1")
            self._claims.execute("select 1")
            with self._session() as con:
                con.execute(f"from {NAME}.current_snapshot()")
        except Exception as error:
            if not _is_of_the_lake(error):
                raise
            return False
        return True

    def _side(self) -> "psycopg.Connection[Any]":
        """Return the connection on which nothing ever waits."""
        if self._claims is None:
            raise WarehouseError("the lake is not open.")
        return self._claims

    @contextmanager
    def _session(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Yield a second session on the lake, for the thread that reads ahead."""
        with self.con.cursor() as con:
            con.execute(f"use {NAME}")
            settle(con)
            yield con

    # ── turns ────────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def _lock(self) -> Iterator[None]:
        turns = self._turns
        if turns is None:
            raise WarehouseError("the lake is not open.")
        turns.execute("select pg_advisory_lock(%s)", [_COMMIT])
        try:
            yield
        finally:
            with suppress(Exception):  # a lost connection has let go of it
                turns.execute("select pg_advisory_unlock(%s)", [_COMMIT])

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        con = self.con
        con.begin()
        self._working = True
        try:
            yield
            con.commit()
            self._mine = _snapshot(con, "last_committed")
            self._own.add(self._mine)
        except BaseException:
            self._mine = -1  # what was remembered of it may not have happened
            with suppress(duckdb.Error):
                con.rollback()
            raise
        finally:
            self._working = False

    def _is_behind(self) -> bool:
        """Say whether readers have been shown more of some segment than is loaded now."""
        shown = published_snapshot(self._side())
        if shown is None:
            return False
        query = f"""
            with before as (
                select segment, max(to_offset) as loaded
                from ingest_ledger at (version => {shown[0]})
                group by segment
            ),
            now as (
                select segment, max(to_offset) as loaded from ingest_ledger group by segment
            )
            select count(*)
            from before left join now using (segment)
            where now.loaded is null or now.loaded < before.loaded
        """
        row = self.con.execute(query).fetchone()
        return row is not None and row[0] > 0

    # ── claims ───────────────────────────────────────────────────────────────────────────────

    def _known(
        self, offsets: Callable[[duckdb.DuckDBPyConnection], Mapping[str, int]]
    ) -> tuple[int, Mapping[str, int]]:
        """Return the offsets of the ledger, and a snapshot that they are no older than."""

        def read() -> tuple[int, Mapping[str, int]]:
            newest = newest_snapshot(self._side())
            with self._session() as con:
                return newest, offsets(con)

        self._own.clear()
        return self._insist(read)

    def _is_shared_since(self, seen: int) -> bool:
        """Say whether another loader may have committed since the snapshot ``seen``."""
        newest = self._insist(lambda: newest_snapshot(self._side()))
        return not self._own.issuperset(range(seen + 1, newest + 1))

    def _claim(self, name: str) -> bool:
        mine = name in self._claimed or self._insist(lambda: self._try(self._key(name)))
        if mine:
            self._claimed.add(name)
        return mine

    def _try(self, key: int) -> bool:
        row = self._side().execute("select pg_try_advisory_lock(%s)", [key]).fetchone()
        return row is not None and bool(row[0])

    def _unlock(self, key: int) -> None:
        with suppress(Exception):  # a lost connection has let go of it
            self._side().execute("select pg_advisory_unlock(%s)", [key])

    def _key(self, name: str) -> int:
        digest = hashlib.blake2b((self.prefix + name).encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big", signed=True)


def _snapshot(con: duckdb.DuckDBPyConnection, which: str) -> int:
    row = con.execute(f"from {NAME}.{which}_snapshot()").fetchone()
    return -1 if row is None or row[0] is None else int(row[0])


def _is_of_the_lake(error: Exception) -> bool:
    if isinstance(error, (duckdb.Error, OSError)):
        return True
    import psycopg  # noqa: PLC0415 - loaded by now

    return isinstance(error, psycopg.Error)


def _told(error: Exception) -> WarehouseError:
    # DuckDB's own words may quote a value or the DSN: addresses, a password.
    if lacked_memory(error):
        return LacksMemory(
            "the lake cannot be loaded: DuckDB wants more memory than it takes on this machine; "
            "end other programs or load it on a larger machine, then ingest again."
        )
    return WarehouseError(
        f"the lake cannot be loaded ({type(error).__name__}): look at PostgreSQL's log and at the "
        "space for its files, then ingest again."
    )
