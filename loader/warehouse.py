"""Typed frames → DuckDB tables, in one transaction with the ledger; the only writer of DuckDB."""

import hashlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import duckdb
import polars as pl

from loader.assets import asset
from loader.batch import PLACES, TIME, Lines, Parsed, schema
from loader.dedupe import Decision, decide, replaced
from loader.errors import WarehouseError
from loader.events import SPECIFIC, TABLES
from loader.publication import publish, sync_directory, sync_file, wal

LAYERS = ("tables", "staging", "marts")
CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "memory_limit": "384MB",
    "threads": "1",  # the other core parses the next batch
    "checkpoint_threshold": "128MB",  # each checkpoint writes every table's last rows again
}
LEDGER: dict[str, Any] = {
    "segment": pl.String,
    **dict.fromkeys(("from_offset", "to_offset"), pl.Int64),
    **dict.fromkeys(("read", "inserted", "duplicates", "quarantined"), pl.Int64),
    "without_received_at": pl.Int64,
    **dict.fromkeys(("first_received_at", "last_received_at"), TIME),
    **dict.fromkeys(("started_at", "finished_at"), TIME),
}
_MOST_TOUCHED = 0.1
"""Share of the events from which on saying which were touched is not worth its while."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What loads did: counts of events; read = inserted + duplicates + quarantined."""

    read: int = 0
    inserted: int = 0
    duplicates: int = 0
    quarantined: int = 0

    def __add__(self, other: "Loaded") -> "Loaded":
        """Return the sums."""
        return Loaded(
            self.read + other.read,
            self.inserted + other.inserted,
            self.duplicates + other.duplicates,
            self.quarantined + other.quarantined,
        )


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes of a segment that were loaded together."""

    segment: str
    start: int
    stop: int


class Warehouse:
    """The loader's own database, open for writing. Make it with ``open_warehouse``.

    After a ``WarehouseError`` of any method the outcome of the last transaction is unknown: the
    file has to be opened anew, and its ledger says what happened.
    """

    def __init__(self, con: duckdb.DuckDBPyConnection, path: Path) -> None:
        """``con`` has the file ``path`` open; both are closed by ``close``."""
        self._con = con
        self._path = path
        # Kept open as long as DuckDB has the file: closing any descriptor of a file gives up
        # every POSIX lock that this process holds on it, DuckDB's among them.
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._latest = {
            table: self._value(f"select max(occurred_at) from {table}") for table in TABLES
        }
        self._events = sum(self._value(f"select count(*) from {table}") for table in TABLES)
        self._touched = self._value("select count(*) from refresh_touched")
        self._tells = bool(self._value("select count(*) from refresh_state"))

    def offsets(self) -> dict[str, int]:
        """Return segment → offset up to which it has been loaded."""
        query = "select segment, max(to_offset) from ingest_ledger group by segment"
        return dict(self._con.execute(query).fetchall())

    def state(self) -> tuple[object, ...]:
        """Return what differs whenever the database would have to be published again."""
        return _state(self._con)

    def load(self, parsed: Parsed) -> Loaded:
        """Load a batch: rows, quarantine and ledger in one transaction."""
        return self._load(parsed, again=False)

    def load_again(self, parsed: Parsed) -> Loaded:
        """Load lines that are in the quarantine, a line a block, in one transaction.

        The ledger gets a row for each segment, in which ``quarantined`` is what has left the
        quarantine, as a negative number: so the sums of the ledger stay what the tables hold.
        """
        return self._load(parsed, again=True)

    def set_aside(self) -> int:
        """Return how many lines are in the quarantine."""
        return int(self._value("select count(*) from quarantine"))

    def places_set_aside(self) -> list[tuple[str, int]]:
        """Return segment and offset of each line in the quarantine, in their order."""
        query = "select distinct segment, line_offset from quarantine order by all"
        return self._con.execute(query).fetchall()

    def lines_set_aside(self, segment: str, offset: int) -> list[str]:
        """Return the lines that the quarantine keeps of one line of the spool."""
        query = "select line from quarantine where segment = ? and line_offset = ? order by all"
        return [row[0] for row in self._con.execute(query, [segment, offset]).fetchall()]

    def ties(self, most: int) -> pl.DataFrame:
        """Return kind, message_key and occurred_at of up to ``most`` tied events."""
        query = """
            select distinct kind, message_key::varchar as message_key, occurred_at
            from tie
            order by all
            limit $most
        """
        return self._frame(query, {"most": most})

    def spans(self, ties: pl.DataFrame) -> list[Span]:
        """Return what has been loaded in which a line of a tied event can stand."""
        moments = pl.concat(  # noqa: F841 - DuckDB sees it
            self._standing(table, part).select("received_at")
            for (table,), part in ties.group_by("kind")
        ).unique()
        query = """
            select distinct segment, from_offset, to_offset
            from ingest_ledger
            join moments on
                received_at between first_received_at and last_received_at
                or (received_at is null and without_received_at > 0)
            order by all
        """
        return [Span(*row) for row in self._con.execute(query).fetchall()]

    def settle(self, ties: pl.DataFrame, found: Mapping[str, pl.DataFrame]) -> None:
        """Put rows of ``found``, the smallest lines of tied events, in place of standing ones."""
        with self._transaction():
            changes = {
                table: replaced(table, rows, self._standing(table, rows))
                for table, rows in found.items()
            }
            self._touch([part for change in changes.values() for part in change])
            for table, (insert, delete) in changes.items():
                self._delete(table, delete)
                self._insert(table, insert.drop(*PLACES, "bytes"))
            self._con.execute(
                "delete from tie using ties where tie.kind = ties.kind "
                "and tie.message_key = ties.message_key::uuid "
                "and tie.occurred_at = ties.occurred_at"
            )

    def publish(self, published: Path) -> float:
        """Refresh what marts keep, checkpoint, publish; return the seconds of the copying."""
        self._con.execute("set threads = 2")
        with self._transaction():
            self._refresh()
        self._con.execute("set threads = 1")
        self.checkpoint()
        started = time.monotonic()
        publish(self._file, published)
        return time.monotonic() - started

    def checkpoint(self) -> None:
        """Write everything that is committed into the file itself."""
        try:
            self._con.execute("checkpoint")
        except duckdb.Error as error:
            raise WarehouseError(_told(self._path, error)) from error

    def close(self) -> None:
        """Let go of the file."""
        self._con.close()
        os.close(self._file)

    def __enter__(self) -> "Warehouse":  # noqa: D105
        return self

    def __exit__(  # noqa: D105
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._con.begin()
            yield
            self._con.commit()
        except (duckdb.Error, OSError) as error:
            with suppress(duckdb.Error):
                self._con.rollback()
            raise WarehouseError(_told(self._path, error)) from error

    def _load(self, parsed: Parsed, again: bool) -> Loaded:
        started = _now()
        with self._transaction():
            decisions = {
                table: self._decide(table, frame, parsed.lines)
                for table, frame in parsed.events.items()
            }
            ledger = _ledger(parsed, decisions, started)
            if again:
                ledger = _corrected(ledger, self._take_back(parsed))
            self._apply(decisions)
            self._insert("quarantine", parsed.refused.drop("block"))
            self._insert("ingest_ledger", ledger)
        self._remember(decisions)
        return Loaded(*ledger.select("read", "inserted", "duplicates", "quarantined").sum().row(0))

    def _take_back(self, parsed: Parsed) -> pl.DataFrame:
        """Take lines out of the quarantine; return segment → how many (``was``)."""
        places = pl.DataFrame(  # noqa: F841 - DuckDB sees it
            [(block.segment, block.offset) for block in parsed.blocks],
            schema={"segment": pl.String, "line_offset": pl.Int64},
            orient="row",
        )
        query = """
            select segment, count(*) as was
            from quarantine
            semi join places using (segment, line_offset)
            group by segment
        """
        was = self._con.sql(query).pl()
        self._con.execute(
            "delete from quarantine using places where quarantine.segment = places.segment "
            "and quarantine.line_offset = places.line_offset"
        )
        return was

    def _decide(self, table: str, frame: pl.DataFrame, lines: Lines) -> Decision:
        # What occurred after everything that stands has no duplicate among it.
        latest = self._latest[table]
        late = frame.filter(pl.col("occurred_at") <= latest) if latest else frame.clear()
        return decide(table, frame, self._standing(table, late), lines)

    def _standing(self, table: str, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the rows of ``table`` whose message_key and occurred_at are in ``frame``."""
        wanted = {name: kind for name, kind in schema(table).items() if name not in PLACES}
        if not frame.height:
            return pl.DataFrame(schema=wanted)
        keys = frame.select("message_key", "occurred_at")  # noqa: F841 - DuckDB sees it
        query = f"""
            select * replace (message_key::varchar as message_key)
            from {table}
            semi join (select message_key::uuid as message_key, occurred_at from keys) as keys
                using (message_key, occurred_at)
            where occurred_at between $earliest and $latest
        """
        bounds = {"earliest": frame["occurred_at"].min(), "latest": frame["occurred_at"].max()}
        found = self._con.sql(query, params=bounds).pl()
        return found.select(pl.col(name).cast(kind) for name, kind in wanted.items())

    def _apply(self, decisions: Mapping[str, Decision]) -> None:
        self._touch(
            [part for one in decisions.values() for part in (one.insert, one.delete)],
        )
        for table, decision in decisions.items():
            self._delete(table, decision.delete)
            self._insert(table, decision.insert.drop(*PLACES))
            ties = decision.ties.select(pl.lit(table).alias("kind"), "message_key", "occurred_at")
            self._insert("tie", ties)

    def _remember(self, decisions: Mapping[str, Decision]) -> None:
        for table, decision in decisions.items():
            self._events += decision.insert.height - decision.delete.height
            moments = [decision.insert["occurred_at"].max(), self._latest[table]]
            self._latest[table] = max((at for at in moments if at is not None), default=None)

    def _touch(self, changed: Sequence[pl.DataFrame]) -> None:
        """Say for the refresh whose rows change; or, of many, that nobody said."""
        if not self._tells:
            return
        self._touched += sum(frame.height for frame in changed)
        if self._touched > _MOST_TOUCHED * self._events:
            self._con.execute("delete from refresh_state")
            self._con.execute("delete from refresh_touched")
            self._tells = False
            return
        for frame in changed:
            self._insert("refresh_touched", frame.select("message_key", "recipient"))

    def _delete(self, table: str, rows: pl.DataFrame) -> None:
        if not rows.height:
            return
        names = ["recipient", "occurred_at", *SPECIFIC[table]]
        same = " and ".join(f"{table}.{name} is not distinct from rows.{name}" for name in names)
        self._con.execute(
            f"delete from {table} using rows "
            f"where {table}.message_key = rows.message_key::uuid and {same}"
        )

    def _insert(self, table: str, rows: pl.DataFrame) -> None:
        if rows.height:
            self._con.execute(f"insert into {table} by name select * from rows")

    def _refresh(self) -> None:
        for file in sorted((asset("sql") / "refresh").glob("*.sql")):
            self._con.execute(file.read_text("utf-8"))
        self._touched, self._tells = 0, True

    def _value(self, query: str) -> Any:
        row = self._con.execute(query).fetchone()
        return row[0] if row else None

    def _frame(self, query: str, parameters: Mapping[str, object]) -> pl.DataFrame:
        return self._con.sql(query, params=dict(parameters)).pl()


def open_warehouse(path: Path, timezone: str) -> Warehouse:
    """Open the loader's own file ``path`` for writing, made first where there is none.

    Every object of ``sql/`` is applied. Raises ``WarehouseError`` when it cannot be opened.
    Whoever calls holds the lock.
    """
    if not path.exists():
        _give_birth(path, timezone)
    return _open(path, timezone)


def published_state(published: Path) -> tuple[object, ...] | None:
    """Return the ``state`` of the warehouse that ``published`` is a copy of, None without one."""
    if not published.exists():
        return None
    try:
        with duckdb.connect(":memory:") as con:
            name = str(published).replace("'", "''")
            con.execute(f"attach '{name}' as published (read_only)")
            con.execute("use published")
            return _state(con)
    except duckdb.Error:
        return None  # then it is published again


def apply_sql(con: duckdb.DuckDBPyConnection, timezone: str) -> None:
    """Apply every file of ``sql/``, in any order, unless this very state was applied before."""
    files = {
        file: file.read_text("utf-8")
        for layer in LAYERS
        for file in sorted((asset("sql") / layer).glob("*.sql"))
    }
    fingerprint = _fingerprint([duckdb.__version__, timezone, *files.values()])
    if _applied(con) == fingerprint:
        return
    _apply_in_any_order(con, files)
    con.begin()
    _put(con, "report_settings", timezone)
    _put(con, "schema_state", fingerprint)
    con.commit()


def _open(path: Path, timezone: str) -> Warehouse:
    con = _connect(path)
    try:
        apply_sql(con, timezone)
        return Warehouse(con, path)
    except (duckdb.Error, OSError) as error:
        con.close()
        raise WarehouseError(_told(path, error)) from None


def _give_birth(path: Path, timezone: str) -> None:
    # A crash while DuckDB creates a file can leave one that does not open.
    aside = path.with_name(f"{path.name}.born")
    for stale in (aside, wal(aside), wal(path)):
        with suppress(FileNotFoundError):
            stale.unlink()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _open(aside, timezone) as warehouse:
        warehouse.checkpoint()
    install(aside, path)


def install(aside: Path, path: Path) -> None:
    """Give the closed database ``aside`` the name ``path``, durably; what was there is gone."""
    sync_file(aside)
    # DuckDB would replay the log of the older file into the new one, without a word.
    with suppress(FileNotFoundError):
        wal(path).unlink()
    aside.rename(path)
    sync_directory(path.parent)


def _connect(path: Path) -> duckdb.DuckDBPyConnection:
    before = os.umask(0o077)
    try:
        con = duckdb.connect(str(path), config=CONFIG)
    except (duckdb.Error, OSError) as error:
        raise WarehouseError(_told(path, error)) from None
    finally:
        os.umask(before)
    con.execute("set TimeZone = 'UTC'")
    return con


def _told(path: Path, error: Exception) -> str:
    # DuckDB's own words may quote a value, and values are addresses.
    return (
        f"{path} cannot be loaded ({type(error).__name__}): free space or mend the disk, then "
        "ingest again; if it stays, loader ingest --rebuild makes it anew from the spool."
    )


def _fingerprint(texts: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def _applied(con: duckdb.DuckDBPyConnection) -> str | None:
    try:
        row = con.execute("select fingerprint from schema_state").fetchone()
    except duckdb.CatalogException:
        return None
    return row[0] if row else None


def _state(con: duckdb.DuckDBPyConnection) -> tuple[object, ...]:
    row = con.execute("select count(*), max(finished_at) from ingest_ledger").fetchone()
    return (_applied(con), *(row or ()))


def _apply_in_any_order(con: duckdb.DuckDBPyConnection, files: Mapping[Path, str]) -> None:
    waiting = dict(files)
    while waiting:
        failed: dict[Path, Exception] = {}
        for file, text in waiting.items():
            try:
                con.execute(text)
            except duckdb.Error as error:
                failed[file] = error
        if len(failed) == len(waiting):
            file, problem = next(iter(failed.items()))
            raise WarehouseError(f"{file} cannot be applied: {str(problem).splitlines()[0]}")
        waiting = {file: waiting[file] for file in failed}


def _put(con: duckdb.DuckDBPyConnection, table: str, value: str) -> None:
    con.execute(f"delete from {table}")
    con.execute(f"insert into {table} values (?)", [value])


def _ledger(parsed: Parsed, decisions: Mapping[str, Decision], started: datetime) -> pl.DataFrame:
    duplicates = [0] * len(parsed.blocks)
    for decision in decisions.values():
        _count(decision.duplicates, duplicates)
    quarantined = _count(parsed.refused, [0] * len(parsed.blocks))
    moments = _moments(parsed)
    rows = [
        {
            "segment": block.segment,
            "from_offset": block.offset,
            "to_offset": block.offset + len(block.data),
            "read": parsed.read[number],
            "inserted": parsed.read[number] - duplicates[number] - quarantined[number],
            "duplicates": duplicates[number],
            "quarantined": quarantined[number],
            **moments.get(number, {"without_received_at": 0}),
            "started_at": started,
            "finished_at": _now(),
        }
        for number, block in enumerate(parsed.blocks)
    ]
    return pl.DataFrame(rows, schema=LEDGER)


def _corrected(ledger: pl.DataFrame, was: pl.DataFrame) -> pl.DataFrame:
    """Return a ledger row per segment of what changes when lines are read again.

    Elements of an array that were not set aside come again too, as duplicates of themselves:
    they change nothing and are not counted.
    """
    inserted, aside = pl.col("inserted"), pl.col("quarantined") - pl.col("was")
    sums = [pl.col(name).sum() for name in ("inserted", "quarantined", "without_received_at")]
    lows = [pl.col(name).min() for name in ("from_offset", "first_received_at", "started_at")]
    highs = [pl.col(name).max() for name in ("to_offset", "last_received_at", "finished_at")]
    rows = ledger.group_by("segment").agg(*sums, *lows, *highs).join(was, on="segment")
    rows = rows.with_columns(
        duplicates=pl.max_horizontal(-aside - inserted, pl.lit(0)), quarantined=aside
    )
    rows = rows.filter(pl.any_horizontal(pl.col("inserted", "duplicates", "quarantined") != 0))
    rows = rows.with_columns(read=inserted + pl.col("duplicates") + pl.col("quarantined"))
    return rows.select(pl.col(name).cast(kind) for name, kind in LEDGER.items())


def _count(frame: pl.DataFrame, into: list[int]) -> list[int]:
    for number, found in frame.group_by("block").len().rows():
        into[number] += found
    return into


def _moments(parsed: Parsed) -> dict[int, dict[str, object]]:
    """Return block → when its events were received: what bounds the search for a tied line."""
    if not parsed.events:
        return {}
    seen = pl.concat([frame.select("block", "received_at") for frame in parsed.events.values()])
    received = pl.col("received_at")
    found = seen.group_by("block").agg(
        received.null_count().cast(pl.Int64).alias("without_received_at"),
        received.min().alias("first_received_at"),
        received.max().alias("last_received_at"),
    )
    return {row.pop("block"): row for row in found.to_dicts()}


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
