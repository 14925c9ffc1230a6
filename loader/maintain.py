"""A lake after many small loads → the same tables in few files, without what nobody reads.

Safe while loaders run and readers read: each step is a commit of its own, short enough for loads
to wait for; no snapshot that readers are shown, or could have open, is taken away.
"""

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta

import duckdb

from loader.errors import SettingsError, WarehouseError
from loader.lake import NAME, PUBLISHED, asking, is_lake, lake_of
from loader.lake_target import LakeTarget
from loader.progress import Report
from loader.settings import Settings

KEEP = timedelta(days=7)
"""How long a reader can go on with what it opened."""
GRACE = timedelta(days=1)
"""Age from which a file that no snapshot knows is left over: a load has long ended."""
FILES_AT_ONCE = 64
DELETED_SHARE = 0.1
_VERSIONS_AT_ONCE = 1000
_LOCK_TIMEOUT = "2s"
"""So long it may wait in its turn for a reader; loaders wait with it."""
_HELD = (
    "old snapshots stay, because an open connection is in the middle of reading one: close "
    "notebooks and the like that are older than what is kept (pg_stat_activity shows them idle in "
    "transaction), then maintain again."
)


def maintain(
    settings: Settings,
    progress: Report = lambda _files, _share: None,
    *,
    keep: timedelta = KEEP,
    grace: timedelta = GRACE,
) -> dict[str, int]:
    """Merge small files, drop deleted rows, expire snapshots, remove what is left over.

    Snapshots that readers were last shown longer ago than ``keep`` go, so whoever opened one
    within ``keep`` goes on seeing it.
    Files of theirs, and files that no load has committed, go when they are older than ``grace``.
    ``progress`` is told in files. Returns ``files_before``, ``files_after``,
    ``snapshots_expired``, ``files_removed``. Raises ``LoaderError``.
    """
    if not is_lake(settings):
        raise SettingsError(
            "only a lake is maintained: a warehouse file needs nothing, and LOADER_WAREHOUSE "
            "names one."
        )
    target = LakeTarget(settings, _LOCK_TIMEOUT)
    with closing(target):
        target.open(lambda: None)
        before, tables = _files(target), _tables(target)
        for done, table in enumerate(tables):
            progress(before, done / len(tables))
            _merge(target, table)
        try:
            expired = _expire(settings, target, keep)
        finally:  # what had expired before goes all the same
            removed = _remove(settings, target, grace)
        progress(before, 1.0)
        return {
            "files_before": before,
            "files_after": _files(target),
            "snapshots_expired": expired,
            "files_removed": removed,
        }


def _tables(target: LakeTarget) -> list[str]:
    query = f"select table_name from duckdb_tables() where database_name = '{NAME}' order by all"
    return [name for (name,) in target.ask(lambda con: con.execute(query).fetchall())]


def _files(target: LakeTarget) -> int:
    query = f"select sum(file_count + delete_file_count) from ducklake_table_info('{NAME}')"
    row = target.ask(lambda con: con.execute(query).fetchone())
    return int(row[0] or 0) if row else 0


def _merge(target: LakeTarget, table: str) -> None:
    def rewrite() -> None:
        target.con.execute(
            f"call ducklake_rewrite_data_files('{NAME}', '{table}', "
            f"delete_threshold => {DELETED_SHARE})"
        )

    def merge() -> int:
        found = target.con.execute(
            f"call ducklake_merge_adjacent_files('{NAME}', '{table}', "
            f"max_compacted_files => {FILES_AT_ONCE})"
        )
        return len(found.fetchall())

    target.commit(rewrite)
    while target.commit(merge):
        pass


def _expire(settings: Settings, target: LakeTarget, keep: timedelta) -> int:
    versions = list(_old_snapshots(settings, keep))
    for start in range(0, len(versions), _VERSIONS_AT_ONCE):
        some = versions[start : start + _VERSIONS_AT_ONCE]
        _call(target, "expire_snapshots", f"versions => {some}")
    return len(versions)


def _old_snapshots(settings: Settings, keep: timedelta) -> Iterator[int]:
    """Yield what is older than the snapshot that readers were shown when ``keep`` began."""
    query = """
        select snapshot_id
        from ducklake_snapshot
        where snapshot_id < (
            select max(snapshot_id)
            from ducklake_snapshot join ducklake_snapshot_changes using (snapshot_id)
            where commit_message = %s and snapshot_time < now() - %s
        )
        order by snapshot_id
    """
    with asking(lake_of(settings)) as catalog:
        yield from (row[0] for row in catalog.execute(query, [PUBLISHED, keep]))


def _remove(settings: Settings, target: LakeTarget, grace: timedelta) -> int:
    with asking(lake_of(settings)) as catalog:
        row = catalog.execute("select now() - %s", [grace]).fetchone()
    if row is None:
        return 0
    moment: datetime = row[0]
    older = f"older_than => timestamptz '{moment.isoformat()}'"
    steps = ("cleanup_old_files", "delete_orphaned_files")
    return sum(_call(target, step, older) for step in steps)


def _call(target: LakeTarget, step: str, options: str) -> int:
    query = f"call ducklake_{step}('{NAME}', {options})"

    def work() -> int:
        try:
            # As a frame: a snapshot has a zone, for which Python objects want one more package.
            return target.con.execute(query).pl().height
        except duckdb.Error as error:
            if "lock timeout" not in str(error):
                raise
            raise WarehouseError(_HELD) from None

    return target.commit(work)
