"""A ``ducklake:`` address → connections to the lake: its catalog, and DuckDB attached to it."""

import importlib.util
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import duckdb

from loader.durable import sync_directory
from loader.errors import SettingsError, WarehouseError
from loader.settings import Settings, names_lake
from loader.spill import spill_directory

if TYPE_CHECKING:
    import psycopg

ADDRESS = "ducklake:postgres:"
NAME = "lake"
PUBLISHED = "loader: published"
"""Commit message of the snapshots that readers are shown."""
LOADING: dict[str, str | bool | int | float | list[str]] = {"memory_limit": "512MB", "threads": "2"}
"""What a loader lets DuckDB have; a reader has what DuckDB takes by itself, as with a file."""

_EXTRA = "pip install 'inboxroad-loader[lake]' (from a checkout: '.[lake]')"
_KEEPALIVE = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "connect_timeout": 10,
}
_DISABLED = ("statistics_propagation", "compressed_materialization", "join_filter_pushdown")
_SECRET = ("host", "port", "user", "password")
_SPOOL_NAME = ".spool"
_NAME = re.compile("[0-9a-f]{8}")


class CatalogAway(WarehouseError):
    """The catalog does not answer now; it may in a moment."""


@dataclass(frozen=True)
class Lake:
    """Where a lake is: its catalog in PostgreSQL, and the directory or bucket of its files."""

    dsn: str = field(repr=False)
    """As libpq takes it: ``key=value …`` or ``postgresql://…``. It may hold a password."""
    data: str
    """A directory with a final slash, or ``s3://bucket/prefix/``."""


def is_lake(settings: Settings) -> bool:
    """Say whether the warehouse is a lake."""
    return names_lake(settings.warehouse)


def lake_of(settings: Settings) -> Lake:
    """Return the lake that ``settings`` name. Raises ``SettingsError``; it quotes no DSN."""
    if not settings.warehouse.startswith(ADDRESS):
        raise SettingsError(
            "LOADER_WAREHOUSE begins with ducklake: but not with ducklake:postgres:; write "
            "ducklake:postgres:host=… dbname=… user=…, or a path for a warehouse file."
        )
    data = settings.lake_data
    if not data:
        raise SettingsError(
            "LOADER_LAKE_DATA is not set: name the directory or s3:// address of the lake's files."
        )
    local = data if "://" in data else str(Path(data).resolve())
    return Lake(settings.warehouse.removeprefix(ADDRESS), local.rstrip("/") + "/")


def described(settings: Settings) -> str:
    """Return the warehouse's address as it may be shown: without password."""
    if not is_lake(settings):
        return settings.warehouse
    parts = _parts(lake_of(settings))
    shown = " ".join(f"{key}={parts[key]}" for key in ("host", "port", "dbname") if key in parts)
    return f"{ADDRESS}{shown}"


def segment_prefix(settings: Settings) -> str:
    """Return what stands before the names of this spool's segments in the warehouse's tables."""
    return f"{spool_name(settings.spool)}/" if is_lake(settings) else ""


def spool_name(spool: Path) -> str:
    """Return the name of a spool, given to it once: loaders of several spools share one ledger.

    Loaders that share a spool directory see the same name. Raises ``WarehouseError``.
    """
    path = spool / _SPOOL_NAME
    try:
        if not path.exists():
            _name(path)
        name = path.read_bytes().decode("ascii", "replace").strip()
    except OSError as error:
        raise WarehouseError(
            f"{path} cannot be read or made ({error.strerror}): make the spool writable."
        ) from None
    if not _NAME.fullmatch(name):  # two of no name would share what was loaded of each
        raise WarehouseError(
            f"{path} does not hold the name of this spool: restore it from a backup; "
            "or delete it, and all of the spool is read again, as duplicates."
        )
    return name


def _name(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    aside = path.with_name(f"{_SPOOL_NAME}.{secrets.token_hex(4)}")
    with aside.open("x", encoding="ascii") as file:
        file.write(f"{secrets.token_hex(4)}\n")
        file.flush()
        os.fsync(file.fileno())  # it must not be lost after something was loaded under it
    with suppress(FileExistsError):  # another loader was quicker, and its name stands
        os.link(aside, path)
    aside.unlink()
    sync_directory(path.parent)


# ── reading ──────────────────────────────────────────────────────────────────────────────────


def published_at(settings: Settings) -> datetime | None:
    """Return when the lake was published last, in UTC, None when it never was."""
    lake = lake_of(settings)
    with asking(lake) as catalog:
        found = published_snapshot(catalog)
    return None if found is None else found[1].astimezone(UTC)


def connect_reader(settings: Settings) -> duckdb.DuckDBPyConnection:
    """Return a connection that reads the snapshot which was published last, whatever follows.

    It changes nothing in the lake's tables, reaches no file outside of the lake's directory, and
    no setting. Two things DuckDB cannot forbid it: to write files into that directory, over the
    lake's own too (``COPY … TO``); and to ask PostgreSQL (``postgres_query`` the catalog's, in a
    read-only transaction, with the rights of the DSN's role; ``postgres_scan`` any whose address
    and password the query itself says). A role and a mount that only read forbid both. Raises
    ``WarehouseError`` when nothing has been published yet.
    """
    lake = lake_of(settings)
    with asking(lake) as catalog:
        found = published_snapshot(catalog)
    if found is None:
        raise WarehouseError("nothing has been loaded into the lake yet: run loader ingest first.")
    con = attach(lake, found[0])
    spill = spill_into(con, settings.home)
    con.execute(f"set allowed_directories = [{_text(lake.data)}, {_text(spill + '/')}]")
    con.execute("set enable_external_access = false")
    con.execute("set lock_configuration = true")
    return con


# ── the catalog ──────────────────────────────────────────────────────────────────────────────


def open_catalog(lake: Lake) -> "psycopg.Connection[Any]":
    """Return a connection to the catalog's PostgreSQL; the server drops it when we are gone.

    Raises ``WarehouseError``: it names host and database, never the password.
    """
    client = _client()
    try:
        con: psycopg.Connection[Any] = client.connect(lake.dsn, autocommit=True, **_KEEPALIVE)
        con.execute("set tcp_keepalives_idle = 10")
        con.execute("set tcp_keepalives_interval = 5")
        con.execute("set tcp_keepalives_count = 3")
        _refuse_other_data(con, lake)
    except client.Error as error:
        raise unreachable(lake, error) from None
    return con


@contextmanager
def asking(lake: Lake) -> Iterator["psycopg.Connection[Any]"]:
    """Yield a connection to the catalog; what fails meanwhile is told as ``open_catalog`` does."""
    try:
        with open_catalog(lake) as catalog:
            yield catalog
    except _client().Error as error:
        raise unreachable(lake, error) from None


def unreachable(lake: Lake, error: Exception) -> CatalogAway:
    """Return the sentence about a catalog that does not answer, or does not let us in."""
    parts = _parts(lake)
    where = f"{parts.get('host', 'the local socket')}, database {parts.get('dbname', 'by default')}"
    return CatalogAway(
        f"the lake's catalog at {where} does not answer ({type(error).__name__}): start "
        "PostgreSQL there, or mend the DSN in LOADER_WAREHOUSE or the rights of its role."
    )


def _is_made(catalog: "psycopg.Connection[Any]") -> bool:
    """Say whether there is a lake in the catalog's database."""
    known = catalog.execute("select to_regclass('ducklake_metadata')").fetchone()
    return known is not None and known[0] is not None


def published_snapshot(catalog: "psycopg.Connection[Any]") -> tuple[int, datetime] | None:
    """Return number and moment of the snapshot that was published last, None without one."""
    if not _is_made(catalog):
        return None
    query = """
        select snapshot_id, snapshot_time
        from ducklake_snapshot join ducklake_snapshot_changes using (snapshot_id)
        where commit_message = %s
        order by snapshot_id desc
        limit 1
    """
    row: tuple[int, datetime] | None = catalog.execute(query, [PUBLISHED]).fetchone()
    return row


def newest_snapshot(catalog: "psycopg.Connection[Any]") -> int:
    """Return the number of the newest snapshot."""
    row = catalog.execute("select max(snapshot_id) from ducklake_snapshot").fetchone()
    return -1 if row is None or row[0] is None else int(row[0])


def _refuse_other_data(catalog: "psycopg.Connection[Any]", lake: Lake) -> None:
    if not _is_made(catalog):
        return
    query = "select value from ducklake_metadata where key = 'data_path'"
    row = catalog.execute(query).fetchone()
    if row is not None and row[0].rstrip("/") != lake.data.rstrip("/"):
        raise SettingsError(
            f"LOADER_LAKE_DATA is {lake.data}, but the files of this lake are in {row[0]}: "
            "name that, the same for every loader and reader."
        )


def _client() -> ModuleType:
    try:
        import psycopg  # noqa: PLC0415 - a warehouse file does not need it
    except ImportError:
        raise WarehouseError(
            f"the package psycopg is missing, which a lake's catalog needs: {_EXTRA}."
        ) from None
    return psycopg


def _parts(lake: Lake) -> dict[str, str]:
    client = _client()
    try:
        found: dict[str, str] = client.conninfo.conninfo_to_dict(lake.dsn)
    except client.Error:
        # The library's own message quotes the DSN, and the DSN may hold a password.
        raise SettingsError(
            "the DSN in LOADER_WAREHOUSE is not one that PostgreSQL takes; write "
            "ducklake:postgres:host=… dbname=… user=… password=…."
        ) from None
    return found


# ── DuckDB ───────────────────────────────────────────────────────────────────────────────────


def attach(
    lake: Lake,
    snapshot: int | None = None,
    turn: AbstractContextManager[None] | None = None,
    lock_timeout: str = "",
) -> duckdb.DuckDBPyConnection:
    """Return a DuckDB connection whose tables are the lake's.

    For writing; or for reading what ``snapshot`` holds, whatever is committed meanwhile.
    Files in S3 are reached as the environment's ``AWS_…`` variables say. Attaching a new lake
    makes its catalog, for a directory without files: that is done in ``turn``. What waits for a
    lock in the catalog longer than ``lock_timeout``, as PostgreSQL takes it, fails. Raises
    ``WarehouseError``.
    """
    con = duckdb.connect(":memory:", config=LOADING if snapshot is None else {})
    try:
        _load_extensions(con, lake)
        if "://" in lake.data:
            _secret(con, "s3", "s3", _s3(os.environ))
        with turn or nullcontext():
            if turn:
                _refuse_used_data(con, lake)
            _attach(con, lake, snapshot, lock_timeout)
    except duckdb.Error as error:
        con.close()  # DuckDB's own words quote the DSN with its password
        raise unreachable(lake, error) from None
    except WarehouseError:
        con.close()
        raise
    return con


def _attach(
    con: duckdb.DuckDBPyConnection, lake: Lake, snapshot: int | None, lock_timeout: str
) -> None:
    parts = _parts(lake)
    if lock_timeout:
        parts["options"] = f"{parts.get('options', '')} -c lock_timeout={lock_timeout}".strip()
    known = {key: parts.pop(key) for key in _SECRET if key in parts}
    options = [f"data_path {_text(lake.data)}"]
    if known:  # a secret, so that no query can read the password from the catalog's address
        _secret(con, "catalog", "postgres", known)
        options.append("meta_secret 'catalog'")
    if snapshot is not None:
        options += ["read_only", f"snapshot_version {snapshot}"]
    rest = " ".join(f"{key}={_quoted(value)}" for key, value in parts.items())
    con.execute(f"attach {_text(f'ducklake:postgres:{rest}')} as {NAME} ({', '.join(options)})")
    con.execute(f"use {NAME}")
    settle(con)


def _refuse_used_data(con: duckdb.DuckDBPyConnection, lake: Lake) -> None:
    """Raise where a lake that is to be made would find files: maintaining it removes them."""
    with asking(lake) as catalog:
        if _is_made(catalog):
            return
    if _holds_files(con, lake.data):
        raise WarehouseError(
            f"{lake.data} holds Parquet files, of which the new lake's catalog knows nothing and "
            "which loader maintain would remove: name an empty directory in LOADER_LAKE_DATA; or, "
            "if it is a lake's, the database of its catalog in LOADER_WAREHOUSE."
        )


def _holds_files(con: duckdb.DuckDBPyConnection, data: str) -> bool:
    if "://" not in data:
        return any(Path(data).rglob("*.parquet"))
    pattern = f"{data.rstrip('/')}/**/*.parquet"
    try:
        return con.execute("select 1 from glob(?) limit 1", [pattern]).fetchone() is not None
    except duckdb.Error as error:
        raise WarehouseError(
            f"{data} cannot be listed ({type(error).__name__}): see that it is there, and that "
            "the AWS_… variables let this loader in."
        ) from None


def settle(con: duckdb.DuckDBPyConnection) -> None:
    """Set what every session on a lake needs, for right answers."""
    con.execute("set TimeZone = 'UTC'")
    # DuckLake keeps the least and greatest value of a column for the newest snapshot only, and
    # merges them wrongly when a transaction writes a file without any value first (1.5.5):
    # rows would be missing from answers. Those of each file, which prune, are right.
    # And where a join tells a scan which texts to look for, it cuts its own query at a NUL.
    con.execute(f"set disabled_optimizers = {_text(','.join(_DISABLED))}")


def spill_into(con: duckdb.DuckDBPyConnection, home: Path) -> str:
    """Let queries that need more than the memory they have go on in a directory of ``home``."""
    spill = spill_directory(home, NAME)
    con.execute(f"set temp_directory = {_text(spill)}")
    return spill


def _secret(
    con: duckdb.DuckDBPyConnection, name: str, kind: str, values: Mapping[str, str]
) -> None:
    fields = ", ".join(f"{key} {_text(value)}" for key, value in values.items())
    con.execute(f"create secret {name} (type {kind}, {fields})")


def _s3(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the fields of DuckDB's S3 secret from the variables that AWS's own tools read."""
    endpoint = environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL", "")
    given = {
        "key_id": environ.get("AWS_ACCESS_KEY_ID", ""),
        "secret": environ.get("AWS_SECRET_ACCESS_KEY", ""),
        "session_token": environ.get("AWS_SESSION_TOKEN", ""),
        "region": environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION", "us-east-1"),
    }
    if endpoint:
        scheme, _, host = endpoint.rpartition("://")
        given |= {
            "endpoint": host.rstrip("/"),
            "url_style": "path",
            "use_ssl": str(scheme != "http").lower(),
        }
    return {key: value for key, value in given.items() if value}


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


# ── extensions ───────────────────────────────────────────────────────────────────────────────


def _load_extensions(con: duckdb.DuckDBPyConnection, lake: Lake) -> None:
    names = ["ducklake", "postgres_scanner", *(["httpfs"] if "://" in lake.data else [])]
    for name in names:
        carried = _carried(name)
        if carried is not None and carried.exists():
            con.execute(f"load {_text(str(carried))}")
        else:
            _install(con, name, carried)


def _carried(name: str) -> Path | None:
    """Return where the wheel of an extension has it for this DuckDB, None without the wheel."""
    spec = importlib.util.find_spec(f"duckdb_extension_{name}")
    if spec is None or spec.origin is None:
        return None
    version = f"v{duckdb.__version__}"
    return Path(spec.origin).parent / "extensions" / version / f"{name}.duckdb_extension"


def _install(con: duckdb.DuckDBPyConnection, name: str, carried: Path | None) -> None:
    try:
        con.execute(f"install {name}")
        con.execute(f"load {name}")
    except duckdb.Error:
        what = (
            "its wheel is not installed"
            if carried is None
            else f"its wheel is of another version than DuckDB {duckdb.__version__}"
        )
        raise WarehouseError(
            f"DuckDB's extension {name} is missing, which a lake needs: {what}, and it could not "
            f"be downloaded; {_EXTRA} brings DuckDB 1.5.5 and its extensions."
        ) from None
