"""Typed frames → DuckDB tables, in one transaction with the ledger; the only writer of DuckDB."""

import hashlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from loader.assets import asset
from loader.batch import PLACES, Lines, Parsed, schema
from loader.dedupe import Decision, decide
from loader.errors import WarehouseError
from loader.events import SPECIFIC, TABLES
from loader.publication import private_path, publish, sync_directory, sync_file, wal

LAYERS = ("tables", "staging", "marts")
CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "memory_limit": "384MB",
    "threads": "1",  # the other core parses the next batch
    "checkpoint_threshold": "128MB",  # each checkpoint writes every table's last rows again
}


@dataclass(frozen=True, slots=True)
class Loaded:
    """What one load did: counts of events; read = inserted + duplicates + quarantined."""

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


class Warehouse:
    """The loader's own database, open for writing. Make it with ``open_warehouse``."""

    def __init__(self, con: duckdb.DuckDBPyConnection, path: Path) -> None:
        """``con`` has the file ``path`` open; both are closed by ``close``."""
        self._con = con
        self._path = path
        # Kept open as long as DuckDB has the file: closing any descriptor of a file gives up
        # every POSIX lock that this process holds on it, DuckDB's among them.
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def offsets(self) -> dict[str, int]:
        """Return segment → offset up to which it has been loaded."""
        query = "select segment, max(to_offset) from ingest_ledger group by segment"
        return dict(self._con.execute(query).fetchall())

    def load(self, parsed: Parsed) -> Loaded:
        """Load a batch: rows, quarantine and ledger in one transaction.

        Raises ``WarehouseError``; after it the outcome is unknown until the file is opened anew.
        """
        started = _now()
        with self._transaction():
            decisions = {
                table: self._decide(table, frame, parsed.lines)
                for table, frame in parsed.events.items()
            }
            for table, decision in decisions.items():
                self._apply(table, decision)
            self._insert("quarantine", parsed.refused.drop("block"))
            ledger = _ledger(parsed, decisions, started)
            self._insert("ingest_ledger", ledger)
        sums = ledger.select("read", "inserted", "duplicates", "quarantined").sum().row(0)
        return Loaded(*sums)

    def publish(self, published: Path) -> float:
        """Checkpoint and publish; return how many seconds the copying took."""
        self._refresh()
        self._con.execute("checkpoint")
        started = time.monotonic()
        publish(self._file, published)
        return time.monotonic() - started

    def close(self) -> None:
        """Let go of the file."""
        self._con.close()
        os.close(self._file)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._con.begin()
            yield
            self._con.commit()
        except (duckdb.Error, OSError) as error:
            with suppress(duckdb.Error):
                self._con.rollback()
            raise WarehouseError(_told(self._path, error)) from None

    def _decide(self, table: str, frame: pl.DataFrame, lines: Lines) -> Decision:
        return decide(table, frame, self._standing(table, frame), lines)

    def _standing(self, table: str, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the rows of ``table`` whose message_key and occurred_at are in ``frame``."""
        keys = frame.select("message_key", "occurred_at")  # noqa: F841 - DuckDB sees it
        earliest, latest = frame["occurred_at"].min(), frame["occurred_at"].max()
        query = f"""
            select * replace (message_key::varchar as message_key)
            from {table}
            semi join (select message_key::uuid as message_key, occurred_at from keys) as keys
                using (message_key, occurred_at)
            where occurred_at between $earliest and $latest
        """
        found = self._con.sql(query, params={"earliest": earliest, "latest": latest}).pl()
        wanted = {name: kind for name, kind in schema(table).items() if name not in PLACES}
        return found.select(pl.col(name).cast(kind) for name, kind in wanted.items())

    def _apply(self, table: str, decision: Decision) -> None:
        if decision.delete.height:
            self._delete(table, decision.delete)
        self._insert(table, decision.insert.drop(*PLACES))
        if decision.ties.height:
            ties = decision.ties.select(pl.lit(table).alias("kind"), "message_key", "occurred_at")
            self._insert("tie", ties)

    def _delete(self, table: str, rows: pl.DataFrame) -> None:
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
        files = sorted((asset("sql") / "refresh").glob("*.sql"))
        with self._transaction():
            for file in files:
                self._con.execute(file.read_text("utf-8"))


def open_warehouse(published: Path, timezone: str) -> Warehouse:
    """Open the private file of ``published`` for writing, made first where there is none.

    Every object of ``sql/`` is applied. Raises ``WarehouseError`` when it cannot be opened.
    Whoever calls holds the lock.
    """
    path = private_path(published)
    if not path.exists():
        _give_birth(path, timezone)
    return _open(path, timezone)


def _open(path: Path, timezone: str) -> Warehouse:
    con = _connect(path)
    try:
        _apply_sql(con, timezone)
    except duckdb.Error as error:
        con.close()
        raise WarehouseError(_told(path, error)) from None
    return Warehouse(con, path)


def _give_birth(path: Path, timezone: str) -> None:
    # A crash while DuckDB creates a file can leave one that does not open.
    aside = path.with_name(path.name + ".born")
    for stale in (aside, wal(aside), wal(path)):
        with suppress(FileNotFoundError):
            stale.unlink()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    _open(aside, timezone).close()
    sync_file(aside)
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


def _apply_sql(con: duckdb.DuckDBPyConnection, timezone: str) -> None:
    """Apply every file of ``sql/``, unless this very state was applied before."""
    files = {
        file: file.read_text("utf-8")
        for layer in LAYERS
        for file in sorted((asset("sql") / layer).glob("*.sql"))
    }
    fingerprint = _fingerprint([duckdb.__version__, timezone, *files.values()])
    if _state(con) == fingerprint:
        return
    _apply_in_any_order(con, files)
    with _committed(con):
        _put(con, "report_settings", timezone)
        _put(con, "schema_state", fingerprint)


def _fingerprint(texts: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def _state(con: duckdb.DuckDBPyConnection) -> str | None:
    try:
        row = con.execute("select fingerprint from schema_state").fetchone()
    except duckdb.CatalogException:
        return None
    return row[0] if row else None


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


@contextmanager
def _committed(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    con.begin()
    yield
    con.commit()


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


LEDGER: dict[str, Any] = {
    "segment": pl.String,
    **dict.fromkeys(("from_offset", "to_offset"), pl.Int64),
    **dict.fromkeys(("read", "inserted", "duplicates", "quarantined"), pl.Int64),
    "without_received_at": pl.Int64,
    **dict.fromkeys(("first_received_at", "last_received_at"), pl.Datetime("us")),
    **dict.fromkeys(("started_at", "finished_at"), pl.Datetime("us")),
}


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


__all__ = ["TABLES", "Loaded", "Warehouse", "open_warehouse"]
