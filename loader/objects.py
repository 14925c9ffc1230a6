"""Files of ``sql/`` → the tables, views and macros of a database, each with its comment."""

import re
from collections.abc import Collection, Mapping
from itertools import takewhile
from pathlib import Path

import duckdb

from loader.definitions import applied, definitions, fingerprint
from loader.errors import SettingsError, WarehouseError


def apply_sql(con: duckdb.DuckDBPyConnection, timezone: str, *, shared: bool = False) -> None:
    """Apply every file of ``sql/``, in any order, unless this very state was applied before.

    What earlier versions made goes, except where the database is ``shared`` with what others made.
    """
    files = definitions()
    wanted = fingerprint(files, timezone)
    if applied(con) == wanted:
        return
    _refuse_unknown(con, timezone)
    _apply_in_any_order(con, files)
    texts = {file.stem: text for file, text in files.items()}
    if not shared:
        _drop_retired(con, texts)
    _describe(con, texts, shared=shared)
    _put(con, "report_settings", timezone)
    _put(con, "schema_state", wanted)


def _drop_retired(con: duckdb.DuckDBPyConnection, names: Collection[str]) -> None:
    """Drop the views and macros of earlier versions: they would go on answering, wrongly."""
    for kind, name in _objects(con):
        if kind != "table" and name not in names:
            con.execute(f"drop {kind} {_identifier(name)}")


def _describe(con: duckdb.DuckDBPyConnection, texts: Mapping[str, str], *, shared: bool) -> None:
    """Give each object that a file of ``texts`` made the comment at the head of that file.

    In a lake, which is ``shared``, macros have none.
    """
    described = [
        comment_on(kind, name, _head(texts[name]))
        for kind, name in _objects(con)
        if name in texts and not (shared and "macro" in kind)
    ]
    statements = "; ".join(described)
    # Each would be synced to disk by itself; what is shared is in a transaction by now.
    con.execute(statements if shared else f"begin; {statements}; commit")


def _objects(con: duckdb.DuckDBPyConnection) -> list[tuple[str, str]]:
    """Return kind and name of every table, view and macro, as statements about them say it."""
    query = """
        select 'table' as kind, table_name as name
        from duckdb_tables()
        where not internal and database_name = current_database()
        union
        select 'view', view_name
        from duckdb_views()
        where not internal and database_name = current_database()
        union
        select replace(function_type, 'table_macro', 'macro table'), function_name
        from duckdb_functions()
        where not internal and database_name = current_database()
            and function_type in ('macro', 'table_macro')
        order by all
    """
    return con.execute(query).fetchall()


def comment_on(kind: str, name: str, comment: str) -> str:
    """Return the statement that gives an object its comment."""
    quoted = comment.replace("'", "''")
    return f"comment on {kind} {_identifier(name)} is '{quoted}'"


def _head(text: str) -> str:
    """Return the comment that an SQL file begins with, a line each, without its dashes."""
    lines = takewhile(lambda line: line.startswith("--"), text.splitlines())
    return "\n".join(line.removeprefix("--").strip() for line in lines)


def _identifier(name: str) -> str:
    quoted = name.replace('"', '""')
    return f'"{quoted}"'


def _apply_in_any_order(con: duckdb.DuckDBPyConnection, files: Mapping[Path, str]) -> None:
    waiting = _after_what_they_name(files)
    while waiting:
        failed: dict[Path, Exception] = {}
        for file, text in waiting.items():
            try:
                con.execute(text)
            except duckdb.Error as error:
                failed[file] = error
        if len(failed) == len(waiting):
            file, problem = next(iter(failed.items()))
            raise WarehouseError(
                f"{file} cannot be applied to this warehouse ({str(problem).splitlines()[0]}): "
                "loader ingest --rebuild makes it anew from the spool."
            )
        waiting = {file: waiting[file] for file in failed}


def _after_what_they_name(files: Mapping[Path, str]) -> dict[Path, str]:
    """Return the files, those that others name first: a failed attempt costs a binding too."""
    named = {file.stem: file for file in files}
    words = {file: re.findall(r"\w+", re.sub(r"--.*", "", text)) for file, text in files.items()}
    seen: set[Path] = set()
    ordered: dict[Path, str] = {}

    def visit(file: Path) -> None:
        if file in seen:
            return
        seen.add(file)
        for word in sorted(named.keys() & words[file]):
            visit(named[word])
        ordered[file] = files[file]

    for file in files:
        visit(file)
    return ordered


def _refuse_unknown(con: duckdb.DuckDBPyConnection, timezone: str) -> None:
    query = "select count(*) from pg_timezone_names() where name = ?"
    if con.execute(query, [timezone]).fetchall()[0][0] == 0:
        raise SettingsError(
            f"LOADER_TIMEZONE is {timezone!r}, which DuckDB does not know; an IANA zone such as "
            "Europe/Berlin is wanted."
        )


def _put(con: duckdb.DuckDBPyConnection, table: str, value: str) -> None:
    con.execute(f"delete from {table}")
    con.execute(f"insert into {table} values (?)", [value])
