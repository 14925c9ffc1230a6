"""Tables of events → what the marts keep of them, brought up to date by the steps of ``sql/``."""

from collections.abc import Sequence

import duckdb

from loader.assets import asset
from loader.definitions import digest
from loader.objects import comment_on

RefreshStep = tuple[str | None, list[str]]
"""The column of the plan that says how often a step is done, else once, and its statements."""
PART_EVENTS, LESS_EVENTS = 16_000_000, 4_000_000
"""As many usually fit into the memory that a refresh has; and nearly always."""
_HOW_OFTEN = {"by_part": "parts", "if_full": "fulls"}


def refresh_steps() -> list[RefreshStep]:
    """Return the steps of ``sql/refresh``, a directory each, in their order."""
    return [
        (
            next((column for end, column in _HOW_OFTEN.items() if step.name.endswith(end)), None),
            [file.read_text("utf-8") for file in sorted(step.glob("*.sql"))],
        )
        for step in sorted((asset("sql") / "refresh").glob("*_*"))
    ]


def refresh(
    con: duckdb.DuckDBPyConnection, steps: Sequence[RefreshStep], part_events: int = PART_EVENTS
) -> None:
    """Bring up to date what the marts keep; whoever calls makes one transaction of it.

    Where everything is made anew, that is done in parts of about ``part_events`` events.
    """
    rules = digest(text for _how_often, texts in steps for text in texts)
    con.execute(f"set variable refresh_rules = '{rules}'")
    con.execute(f"set variable refresh_part_events = {part_events}")
    said = _comments(con)
    for how_often, texts in steps:
        query = f"select {how_often} from refresh_plan"
        times = con.execute(query).fetchall()[0][0] if how_often else 1
        for part in range(times):
            con.execute(f"set variable refresh_part = {part if times > 1 else 'null'}")
            for text in texts:
                con.execute(text)
    for table, comment in said.items() - _comments(con).items():  # it was replaced
        con.execute(comment_on("table", table, comment))


def _comments(con: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Return table → its comment, of those that have one."""
    query = """
        select table_name, comment
        from duckdb_tables()
        where not internal and database_name = current_database() and comment is not null
    """
    return dict(con.execute(query).fetchall())
