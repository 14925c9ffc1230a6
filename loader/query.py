"""The published warehouse → a read-only connection, and answers in the usual forms."""

import datetime as dt
import io
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import orjson
import polars as pl
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from loader import lake, wording
from loader.errors import LoaderError, WarehouseError
from loader.settings import Settings
from loader.spill import spill_directory
from loader.whole import written

_EXPLAIN = re.compile(r"\s*explain\s+(analyze\s+)?(?P<query>.*)", re.IGNORECASE | re.DOTALL)
_PIVOT = re.compile(r"\s*(un)?pivot\b", re.IGNORECASE)
_ADDRESS = re.compile(r"[^\s'\"<>()]+@[^\s'\"<>()]+")
_STRANGE = re.compile(r"\b(INTERVAL|UNION|BIGNUM|BIT|UHUGEINT|TIME WITH TIME ZONE)\b")
_BLINK = 0.1
"""Seconds after which Ctrl-C is seen, at the latest."""
_FORMULA = r"(^|[;\t\r\n])([^\S\t\r\n]*[=+\-@])|^([\t\r\n])"
"""What a spreadsheet may take for the beginning of a formula, and what stands before it."""


def connect(settings: Settings) -> duckdb.DuckDBPyConnection:
    """Return a connection that can read the published warehouse and nothing else.

    No other file, no network, no setting is within its reach (of a lake: what
    ``lake.connect_reader`` says); but DuckDB would let ``COPY … TO`` write under the warehouse's
    own name, which ``ask`` does not. Times are UTC. It sees the warehouse as it was published
    last, and that does not change while it is open. Raises ``WarehouseError`` when there is no
    warehouse yet.
    """
    if lake.is_lake(settings):
        return lake.connect_reader(settings)
    path = Path(settings.warehouse)
    if not path.exists():
        raise WarehouseError(f"there is no warehouse at {path} yet: run loader ingest first.")
    if not os.access(path, os.R_OK):
        raise WarehouseError(
            f"this user may not read {path}: run as the user of the service, or let it."
        )
    # Attached, not connected to: a process that still has an older connection to the same path
    # would be given the older file again.
    spill = spill_directory(path.parent, path.stem)
    con = duckdb.connect(":memory:", config={"temp_directory": spill})
    try:
        con.execute(f"attach '{_quoted(path)}' as warehouse (read_only)")
    except duckdb.Error as error:
        con.close()
        raise WarehouseError(
            f"{path} cannot be opened as a warehouse ({type(error).__name__}): run loader ingest "
            "to publish it anew, or name the right path in LOADER_WAREHOUSE."
        ) from None
    con.execute("use warehouse")
    con.execute("set TimeZone = 'UTC'")
    con.execute("set enable_external_access = false")
    con.execute("set lock_configuration = true")
    return con


@contextmanager
def reading(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield what ``connect`` returns, for loader's own queries: what fails is one sentence."""
    with connect(settings) as con:
        try:
            yield con
        except duckdb.Error as error:
            raise WarehouseError(
                f"{lake.described(settings)} cannot be read ({type(error).__name__}): see that all "
                "of its files are there, and that this user may read them."
            ) from None


def published_at(settings: Settings) -> dt.datetime | None:
    """Return when the warehouse was published last, None when it never was."""
    if lake.is_lake(settings):
        return lake.published_at(settings)
    path = Path(settings.warehouse)
    return dt.datetime.fromtimestamp(path.stat().st_mtime, dt.UTC) if path.exists() else None


def ask(settings: Settings, query: str) -> pl.DataFrame:
    """Return the rows of one query; intervals and the like as text.

    Raises ``LoaderError`` for anything but one query, and with what DuckDB says about it, without
    the addresses in it.
    """
    with connect(settings) as con, ThreadPoolExecutor(1) as running:
        answer = running.submit(_answer, con, query)
        try:
            while not wait([answer], _BLINK).done:
                pass  # another thread may get the signal, and only this one can tell of it
        except KeyboardInterrupt:
            con.interrupt()  # DuckDB itself may not look for it before the query's end
            raise
        return answer.result()


def _answer(con: duckdb.DuckDBPyConnection, query: str) -> pl.DataFrame:
    try:
        query.encode()
        if not _only_asks(con, query):
            raise LoaderError(
                "the query does not run: it is not one statement that only reads, such as a "
                "SELECT; give one."
            )
        return _readable(con.sql(query)).pl()
    except UnicodeEncodeError:
        raise LoaderError("the query does not run: it is not UTF-8.") from None
    except (duckdb.Error, pl.exceptions.PolarsError) as error:
        said = _ADDRESS.sub("…", " ".join(str(error).split()))
        raise LoaderError(f"the query does not run: {said}") from None


def to_table(frame: pl.DataFrame) -> str:
    """Return the rows as a table to look at; numbers to the right."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name, kind in frame.schema.items():
        heading = Text(_printable(name))  # else rich would read [brackets] in it as markup
        table.add_column(heading, justify="right" if kind.is_numeric() else "left")
    for row in _rows(frame):
        table.add_row(*(Text(_printable(_shown(value))) for value in row))
    out = io.StringIO()
    # As wide as it needs to be: a terminal wraps, a pager scrolls, nothing is cut off.
    console = Console(file=out, width=100_000, no_color=True)
    console.print(table)
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    return "\n".join([*filter(None, lines), f"({wording.plural(frame.height, 'row')})"])


def to_csv(frame: pl.DataFrame) -> str:
    """Return the rows as CSV that a spreadsheet does not take for formulas.

    A text that begins with one of ``= + - @``, a tab or a line break gets an apostrophe before
    it; so does what follows a semicolon, a tab or a line break in it, where many a spreadsheet
    begins another cell. Numbers stay numbers.
    """
    texts = pl.selectors.string() | pl.selectors.categorical() | pl.selectors.enum()
    guarded = texts.cast(pl.String).str.replace_all(_FORMULA, "${1}'${2}${3}")
    safe = _flat(frame).with_columns(guarded)
    return safe.rename(lambda name: re.sub(_FORMULA, r"\1'\2\3", name)).write_csv()


def to_json(frame: pl.DataFrame) -> str:
    """Return one JSON object: ``columns``, and ``rows`` as objects. NaN and infinity are null."""
    rows = [dict(zip(frame.columns, row, strict=True)) for row in _rows(frame)]
    answer = {"columns": frame.columns, "rows": rows}
    return wording.steers_nothing(orjson.dumps(_plain(answer), default=str).decode())


def _rows(frame: pl.DataFrame) -> list[tuple[Any, ...]]:
    _refuse_beyond(frame)
    try:
        return frame.rows()
    except (ValueError, OverflowError, pl.exceptions.PanicException):
        raise _beyond() from None


def _refuse_beyond(frame: pl.DataFrame) -> None:
    """Raise where a time stands that Python has not: polars stops with a trace at some of them."""
    for name, kind in frame.schema.items():
        micros = _MICROS.get(kind.time_unit if isinstance(kind, pl.Datetime) else str(kind))
        if micros:
            whole = frame[name].to_physical().cast(pl.Int64)
            if not whole.is_between(_FIRST // micros, _LAST // micros).all():
                raise _beyond()


_MICROS = {"us": 1, "ms": 1000, "Date": 86_400_000_000}
"""Microseconds of what times are counted in; those in nanoseconds end in 2262."""
_FIRST, _LAST = (
    (end - dt.datetime(1970, 1, 1)) // dt.timedelta(microseconds=1)
    for end in (dt.datetime.min, dt.datetime.max)
)


def _beyond() -> LoaderError:
    return LoaderError(
        "the answer has a time outside of the years 1 to 9999: cast that column to varchar."
    )


def write_parquet(frame: pl.DataFrame, path: Path) -> None:
    """Write the rows as a Parquet file for its owner only, whole or not at all."""
    try:
        with written(path) as target:
            frame.write_parquet(target)
    except (OSError, pl.exceptions.ComputeError) as error:  # polars has its own for a full disk
        said = getattr(error, "strerror", None) or str(error).rpartition(": ")[2]
        raise LoaderError(f"{path} cannot be written ({said}): name another.") from None


def _only_asks(con: duckdb.DuckDBPyConnection, query: str) -> bool:
    """Say whether it is one statement, and one that writes nothing, not even a file.

    It is taken apart by ``con``, which reaches nothing: of IMPORT DATABASE DuckDB reads the files
    meanwhile, or fetches them.
    """
    explained = _EXPLAIN.fullmatch(query)
    kinds = [statement.type for statement in con.extract_statements(query)]
    if explained and kinds == [duckdb.StatementType.EXPLAIN]:
        return _only_asks(con, explained["query"])
    if _PIVOT.match(query):  # DuckDB makes a type of each column before it; DuckDB 2 all in one
        while kinds[:1] == [duckdb.StatementType.CREATE]:
            kinds = kinds[1:]
        return kinds in ([duckdb.StatementType.SELECT], [duckdb.StatementType.MULTI])
    return kinds == [duckdb.StatementType.SELECT]


def _readable(relation: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
    """Return the relation with those types as text that polars does not have."""
    if not any(_STRANGE.search(str(kind)) for kind in relation.types):
        return relation
    relation = relation.query("answer", "from answer")  # which tells columns of one name apart
    names = ['"' + name.replace('"', '""') + '"' for name in relation.columns]
    return relation.project(
        ", ".join(
            f"{name}::varchar as {name}" if _STRANGE.search(str(kind)) else name
            for name, kind in zip(names, relation.types, strict=True)
        )
    )


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


def _flat(frame: pl.DataFrame) -> pl.DataFrame:
    _refuse_beyond(frame)
    frame = frame.with_columns(pl.selectors.binary().bin.encode("hex"))
    nested = [name for name, kind in frame.schema.items() if kind.is_nested()]
    texts = {
        name: [_nested_text(value) for (value,) in _rows(frame.select(name))] for name in nested
    }
    return frame.with_columns(pl.Series(name, text, pl.String) for name, text in texts.items())


def _nested_text(value: object) -> str | None:
    return None if value is None else orjson.dumps(_plain(value), default=str).decode()


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, Decimal):
        value = int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return str(value)  # orjson writes 64 bits
    return value if not isinstance(value, bytes) else value.hex()


def _shown(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, dt.datetime):
        return value.isoformat(" ")
    return str(value)


def _printable(text: str) -> str:
    """Return ``text`` without characters that would steer a terminal."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )
