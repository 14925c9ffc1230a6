"""What spilling promises: sessions at one warehouse never read each other's rows."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb

from loader import query
from loader.spill import spill_directory
from tests.pages import sample_home

WEEK = 7 * 86_400
ROWS = 600_000


def counted(spill: str) -> tuple[int, int]:
    """Return rows and distinct texts of a query for which 40 MB do not suffice."""
    settings = {"temp_directory": spill, "memory_limit": "40MB", "threads": "1"}
    with duckdb.connect(config=settings) as con:
        found = con.execute(
            "select count(*), count(distinct text) from (select range || repeat('-', 40) as text, "
            f"row_number() over (order by hash(range)) from range({ROWS}))"
        ).fetchall()[0]
    return found


def test_sessions_that_spill_at_once_answer_rightly(tmp_path: Path) -> None:
    """Four sessions that all need more than their memory each find what is there, once."""
    spills = [spill_directory(tmp_path, "warehouse") for _ in range(4)]
    with ThreadPoolExecutor(4) as sessions:
        assert list(sessions.map(counted, spills)) == [(ROWS, ROWS)] * 4
    assert list(tmp_path.iterdir()) == []


def test_readers_of_one_warehouse_have_a_directory_each(tmp_path: Path) -> None:
    """Two connections to the published file never spill into the same directory."""
    home = sample_home(tmp_path)
    with query.connect(home) as one, query.connect(home) as other:
        asked = "select current_setting('temp_directory')"
        assert one.execute(asked).fetchall() != other.execute(asked).fetchall()


def test_what_killed_sessions_left_goes_after_a_week(tmp_path: Path) -> None:
    """A directory in which nothing has changed for a week is removed; others stay."""
    old, young, foreign = (
        tmp_path / name for name in ("w.0123abcd.tmp", "w.4567cdef.tmp", "w.tmp")
    )
    for directory in (old, young, foreign):
        directory.mkdir()
        (directory / "duckdb_temp_storage_S64K-0.tmp").write_bytes(b"rows")
    for path in (*old.iterdir(), old, young, *foreign.iterdir(), foreign):
        os.utime(path, (time.time() - WEEK - 60,) * 2)
    spill_directory(tmp_path, "w")
    assert {path.name for path in tmp_path.iterdir()} == {young.name, foreign.name}
