"""What a warehouse promises when it is a lake that many loaders and readers share."""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import duckdb
import psycopg
import pytest
import zstandard

from loader import lake, query
from loader.assets import asset
from loader.errors import LoaderError, SettingsError, WarehouseError
from loader.events import TABLES
from loader.ingest import IngestResult, _Run, ingest
from loader.lake_target import _AT_WORK, LakeTarget
from loader.maintain import maintain
from loader.migrate import migrate
from loader.quarantine import retry
from loader.settings import Settings, load_settings
from loader.status import published_offsets, status
from loader.target import target_of
from loader.verify import verify
from loader.warehouse import Warehouse
from tests.conftest import require
from tests.lake import (
    PASSWORD,
    Postgres,
    answer,
    environment,
    running_postgres,
    running_s3,
    settings_of,
    start_loader,
)
from tests.marts import comments
from tests.ports import free_port
from tests.provider import DELIVERED, large, line

pytestmark = pytest.mark.lake


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """Yield a PostgreSQL for this module's lakes."""
    with running_postgres() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def lines() -> list[bytes]:
    """Return the lines of the sample: every kind, duplicates, and one for the quarantine."""
    packed = (asset("sample") / "sample.jsonl.zst").read_bytes()
    return zstandard.ZstdDecompressor().stream_reader(packed).read().splitlines(keepends=True)


def test_a_lake_holds_what_a_file_holds(
    postgres: Postgres, lines: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every table and every view gives the same rows on lake and file, also when maintained."""
    spread(tmp_path / "spool", lines[:3000], 3)
    monkeypatch.setattr("loader.ingest.BATCH_BYTES", 256 * 1024)
    in_lake = settings_of(tmp_path, postgres.database(), str(tmp_path / "files"))
    in_file = file_settings(tmp_path)

    found, wanted = ingest(in_lake), ingest(in_file)
    before = differences(in_lake, in_file, every_view=True)
    done = maintain(in_lake, keep=timedelta(0), grace=timedelta(0))
    after = differences(in_lake, in_file)

    assert (found.read, found.inserted, found.duplicates, found.quarantined) == (
        wanted.read,
        wanted.inserted,
        wanted.duplicates,
        wanted.quarantined,
    )
    assert before == after == []
    assert done["files_removed"] > 0
    assert done["files_after"] <= done["files_before"]


def test_when_a_lake_was_published_is_told_in_utc(
    postgres: Postgres, lines: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the zone of the catalog's database, as of a file."""
    monkeypatch.setenv("PGTZ", "America/New_York")
    settings = settings_of(tmp_path, postgres.database(), str(tmp_path / "files"))
    load(settings, "a", lines[:10])

    assert status(settings)["published_at"].utcoffset() == timedelta(0)


def test_a_lake_says_what_its_tables_and_views_are(
    postgres: Postgres, lines: list[bytes], tmp_path: Path
) -> None:
    """Tables and views of a lake have the comments that those of a file have, once it is loaded.

    A view that another version made there stays.
    """
    in_lake = settings_of(tmp_path, postgres.database(), str(tmp_path / "files"))
    in_file = file_settings(tmp_path)
    load(in_lake, "a", lines[:200])
    ingest(in_file)
    wanted = comments(in_file, ("table", "view"))
    first = comments(in_lake, ("table", "view"))
    outdated(in_lake)
    load(in_lake, "b", lines[200:400])

    assert len(wanted) > 90
    assert None not in wanted.values()
    assert first == wanted
    assert comments(in_lake, ("table", "view")) == {**wanted, "others": None}


def outdated(in_lake: Settings) -> None:
    """Leave a lake as if another version had given it its objects."""
    with lake.attach(lake.lake_of(in_lake)) as con:
        con.execute("comment on table delivered is 'older'; comment on view messages is 'older'")
        con.execute("create view others as select 1 as one")
        con.execute("update schema_state set fingerprint = 'older'")


def test_every_command_works_on_a_lake(
    postgres: Postgres, lines: list[bytes], tmp_path: Path
) -> None:
    """Status, verify, quarantine and rebuild do on a lake what they do on a file."""
    spread(tmp_path / "spool", lines[:600], 2)
    settings = settings_of(tmp_path, postgres.database(), str(tmp_path / "files"))
    assert published_offsets(settings) == {}
    first = ingest(settings)
    tally = "select cast(sum(duplicates) as bigint) from duplicate_tally"
    duplicates = query.ask(settings, tally).item()
    with query.connect(settings) as con:
        before = con.execute("select count(*) from delivered").fetchone()

        rebuilt, again = ingest(settings, rebuild=True), retry(settings)

        assert con.execute("select count(*) from delivered").fetchone() == before
    shown = status(settings)
    assert (rebuilt.read, rebuilt.inserted) == (first.read, first.inserted)
    assert query.ask(settings, tally).item() == duplicates > 0
    assert again["retried"]["read"] == again["retried"]["quarantined"] == first.quarantined
    assert ingest(settings).read == 0
    assert shown["spool"]["lag_bytes"] == 0
    assert PASSWORD not in json.dumps(shown, default=str)
    assert verify(settings, published_offsets(settings)).places == []


def test_nothing_is_shown_of_half_a_rebuild(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another loader publishes while one rebuilds is shown once everything is there again."""
    dsn, data = postgres.database(), str(tmp_path / "files")
    settings, other = (settings_of(tmp_path / name, dsn, data) for name in "ab")
    load(settings, "a", [tied("a"), line(DELIVERED | {"recipient": "one@example.com"})])
    load_all, seen = _Run._load_all, []

    def interrupted(self: _Run, *arguments: Any) -> None:
        load(other, "b", [line(DELIVERED | {"recipient": "other@example.com"})])
        seen.append(query.ask(settings, "select count(*) from delivered").item())
        load_all(self, *arguments)

    monkeypatch.setattr(_Run, "_load_all", interrupted)
    ingest(settings, rebuild=True)

    assert seen == [2]
    assert query.ask(settings, "select count(*) from delivered").item() == 3


def test_what_another_loader_will_publish_is_not_put_away(
    postgres: Postgres, tmp_path: Path
) -> None:
    """While another loader is at work, what has been loaded stays in the spool till it shows."""
    dsn = postgres.database()
    settings = settings_of(tmp_path, dsn, str(tmp_path / "files"), LOADER_RETAIN_DAYS="0")
    ingest(settings)
    segment = settings.spool / "2026-01-01" / "070000.000000-abc.jsonl"
    segment.parent.mkdir(parents=True)
    segment.write_bytes(line(DELIVERED))
    with psycopg.connect(dsn, autocommit=True) as other:
        other.execute("select pg_advisory_lock_shared(%s)", [_AT_WORK])
        assert (ingest(settings).inserted, segment.exists()) == (1, True)

    assert (ingest(settings).published, segment.exists()) == (True, False)


@pytest.mark.parametrize("when", ["sole", "_put_away"])
def test_what_a_rebuild_has_to_read_is_not_put_away(
    when: str, postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it begins before another loader's round of retention, and breaks off, or in it."""
    dsn = postgres.database()
    settings = settings_of(tmp_path, dsn, str(tmp_path / "files"), LOADER_RETAIN_DAYS="0")
    segment = settings.spool / "2026-01-01" / "070000.000000-abc.jsonl"
    segment.parent.mkdir(parents=True)
    segment.write_bytes(line(DELIVERED))
    whose, told = Warehouse if when == "sole" else _Run, []
    work: Any = getattr(whose, when)

    def rebuilt_meanwhile(*arguments: Any) -> Any:
        monkeypatch.setattr(whose, when, work)
        with monkeypatch.context() as patched, suppress(LoaderError):
            patched.setattr(_Run, "_load_all", broken_off)
            ingest(settings, rebuild=True)
        return work(*arguments)

    def broken_off(*_: Any) -> None:
        told.append("the lake is empty")
        raise WarehouseError("broken off")

    monkeypatch.setattr(whose, when, rebuilt_meanwhile)
    ingest(settings)
    ingest(settings)

    assert bool(told) == (when == "sole")
    assert query.ask(settings, "select count(*) from delivered").item() == 1
    with lake.attach(lake.lake_of(settings)) as con:
        assert con.execute("select count(*) from delivered").fetchall() == [(1,)]


def test_the_second_rebuild_is_told_of_the_first(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that begins while another loader rebuilds says so, and leaves the lake alone."""
    settings = settings_of(tmp_path, postgres.database(), str(tmp_path / "files"))
    load(settings, "a", [line(DELIVERED)])
    load_all = _Run._load_all

    def meanwhile(self: _Run, *arguments: Any) -> None:
        monkeypatch.setattr(_Run, "_load_all", load_all)
        with pytest.raises(WarehouseError, match="another loader is rebuilding"):
            ingest(settings, rebuild=True)
        load_all(self, *arguments)

    monkeypatch.setattr(_Run, "_load_all", meanwhile)

    assert ingest(settings, rebuild=True).inserted == 1


def test_what_a_rebuild_takes_from_the_quarantine_is_not_retried(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A retry that meets an emptied lake sets no line aside that the rebuild reads after it."""
    settings = settings_of(tmp_path, postgres.database(), str(tmp_path / "files"))
    load(settings, "a", [line(DELIVERED), line(DELIVERED | {"sender": 7}), b"nope\n"])
    before = query.ask(settings, "from quarantine order by all").rows()
    load_again, load_all = Warehouse.load_again, _Run._load_all

    def emptied_before(self: Warehouse, *lines: Any) -> Any:
        monkeypatch.setattr(Warehouse, "load_again", load_again)
        found = []

        def interrupted(run: _Run, *arguments: Any) -> None:
            found.append(load_again(self, *lines))
            load_all(run, *arguments)

        monkeypatch.setattr(_Run, "_load_all", interrupted)
        ingest(settings, rebuild=True)
        return found[0]

    monkeypatch.setattr(Warehouse, "load_again", emptied_before)
    retry(settings)

    assert len(before) == 2
    assert query.ask(settings, "from quarantine order by all").rows() == before


@pytest.mark.parametrize("events", [3, 30])
def test_a_lake_holds_every_character(events: int, postgres: Postgres, tmp_path: Path) -> None:
    """Texts that PostgreSQL has no place for come to no harm, in the catalog or in files."""
    odd = "\0 \x01 \u2028 \U0001f600 \uffff ' \" \\ \\x00 \\0"
    named = DELIVERED | {"campaign": {"id": odd, "name": odd}, "more": odd}
    several = [named | {"recipient": f"{odd}{n}@example.com"} for n in range(events)]
    spread(tmp_path / "spool", [line(event) for event in several], 1)
    in_lake = settings_of(tmp_path, postgres.database(), str(tmp_path / "files"))
    in_file = file_settings(tmp_path)
    found = ingest(in_lake), ingest(in_file)
    spread(tmp_path / "again", [line(event) for event in several], 1)
    (tmp_path / "again").rename(tmp_path / "spool" / "again")
    again = ingest(in_lake), ingest(in_file)

    assert [one.inserted for one in found] == [events, events]
    maintain(in_lake, keep=timedelta(0), grace=timedelta(0))
    seen = named | {"kind": "open", "recipient": f"{odd}0@example.com"}
    (tmp_path / "spool" / "seen.jsonl").write_bytes(line(seen))
    later = ingest(in_lake), ingest(in_file)

    assert [one.duplicates for one in again] == [events, events]
    assert [one.inserted for one in later] == [1, 1]
    assert differences(in_lake, in_file, every_view=True) == []


def test_a_load_has_the_memory_it_needs(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Texts too large for the memory of a load are loaded with that of the machine, and once."""
    settings = settings_of(tmp_path, postgres.database(), str(tmp_path / "files"))
    spread(tmp_path / "spool", [line(large(n)) for n in range(400)], 1)
    monkeypatch.setitem(lake.LOADING, "memory_limit", "30MB")
    found = ingest(settings)

    assert (found.read, found.inserted) == (400, 400)
    assert query.ask(settings, "select count(*) from other_event").item() == 400


def test_follow_shows_what_comes_and_stops_when_told(
    postgres: Postgres, lines: list[bytes], tmp_path: Path
) -> None:
    """Readers see new events while two loaders follow; told to stop, these publish the last."""
    dsn, data = postgres.database(), str(tmp_path / "files")
    homes = [tmp_path / name for name in "ab"]
    followers = [
        start_loader(environment(home, dsn, data), "ingest", "--follow", "--json") for home in homes
    ]
    settings = settings_of(homes[0], dsn, data)
    for number, home in enumerate(homes, 1):
        spread(home / "spool", lines[(number - 1) * 50 : number * 50], 1)
        until_read(settings, number * 50)
    for home in homes:  # a provider's retry of what has been seen, and news
        (home / "spool" / "more.jsonl").write_bytes(b"".join(lines[:150]))
    for follower in followers:
        follower.send_signal(signal.SIGTERM)
    said = [answer(follower) for follower in followers]

    assert sum(one["read"] for one in said) == 400
    assert read_by(settings) == 400


def test_readers_can_only_read(postgres: Postgres, lines: list[bytes], tmp_path: Path) -> None:
    """A reader writes nothing to the lake, reaches no other file, sees no password."""
    settings = settings_of(tmp_path, postgres.database(), str(tmp_path / "files"))
    load(settings, "a", lines[:300])

    with query.connect(settings) as con:
        for refused in (
            "insert into delivered (sender) values ('x')",
            "delete from __ducklake_metadata_lake.ducklake_snapshot",
            "call ducklake_expire_snapshots('lake', older_than => now())",
            "call ducklake_delete_orphaned_files('lake', cleanup_all => true)",
            "call lake.set_option('parquet_version', '1')",
            "call postgres_execute('__ducklake_metadata_lake', 'create table t (a integer)')",
            "from postgres_query('__ducklake_metadata_lake', 'delete from ducklake_snapshot')",
            f"attach 'ducklake:{settings.warehouse.removeprefix('ducklake:')}' as mine",
            "load httpfs",
            "select * from read_text('/etc/hostname')",
            f"copy delivered to '{tmp_path}/stolen.csv'",
            "set enable_external_access = true",
            "set disabled_optimizers = ''",
        ):
            with pytest.raises(duckdb.Error):
                con.execute(refused)
        seen = con.sql("select * from duckdb_databases()").fetchall()
        seen += con.sql("select * from duckdb_secrets()").fetchall()

    assert PASSWORD not in str(seen)


def test_an_analysts_role_reads_and_changes_nothing(postgres: Postgres, tmp_path: Path) -> None:
    """What reader.sql makes sees the lake and changes nothing; no argument shows its password."""
    dsn = postgres.database()
    settings = settings_of(tmp_path, dsn, str(tmp_path / "files"))
    ingest(settings)
    script = Path(__file__).parents[1] / "deploy" / "lake" / "reader.sql"
    word = "an analyst's, own"
    subprocess.run(
        [require("psql"), dsn, "-q", "-v", "ON_ERROR_STOP=1", "-f", str(script)],
        env={**os.environ, "LAKE_READER_PASSWORD": word},
        check=True,
    )
    as_reader = psycopg.conninfo.make_conninfo(dsn, user="lake_reader", password=word)
    seen = query.ask(settings_of(tmp_path, as_reader, str(tmp_path / "files")), "from delivered")

    assert seen.height == 0
    with (
        psycopg.connect(as_reader) as con,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        con.execute("delete from ducklake_snapshot")


def test_loaders_share_a_lake_exactly(
    postgres: Postgres, lines: list[bytes], tmp_path: Path
) -> None:
    """Four loaders over two spools that hold the same events twice, killed and maintained, and a
    catalog that crashes, leave the tables that one file has; no reader ever sees half a load."""
    homes = two_spools(tmp_path, lines[:6000])
    dsn, data = postgres.database(), str(tmp_path / "files")
    environs = [environment(home, dsn, data) for home in (*homes, *homes)]
    watch = Watch(load_settings(environs[0], tmp_path))

    with watch:
        loaders = [start_loader(environ, "ingest", "--json") for environ in environs]
        for number, victim in enumerate((0, 3, 1)):
            time.sleep(1.5)
            if number == 1:
                postgres.stop("immediate")
                postgres.start()
            os.kill(loaders[victim].pid, signal.SIGKILL)
            loaders[victim].communicate()
            loaders[victim] = start_loader(environs[victim], "ingest", "--json")
        loaders.append(start_loader(environs[0], "maintain", "--json"))
        for loader in loaders:
            answer(loader)

    ingest(load_settings(environs[0], tmp_path))
    together = file_settings(tmp_path)
    ingest(together)
    assert watch.problems == []
    assert watch.looks > 0
    assert differences(load_settings(environs[0], tmp_path), together) == []


def test_exactness_does_not_hang_on_the_lock(
    postgres: Postgres, lines: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loaders that lost the lock without noticing still store every event once."""
    homes = two_spools(tmp_path, lines[:600])
    dsn, data = postgres.database(), str(tmp_path / "files")
    settings = [settings_of(home, dsn, data) for home in homes]
    ingest(settings_of(tmp_path / "empty", dsn, data))
    monkeypatch.setattr(LakeTarget, "_lock", lambda _self: nullcontext())
    monkeypatch.setattr("loader.ingest.BATCH_BYTES", 64 * 1024)

    threads = [threading.Thread(target=ingest, args=(one,)) for one in settings]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    ingest(settings[0])
    together = file_settings(tmp_path)
    ingest(together)
    assert differences(settings[0], together) == []


def test_what_was_decided_at_the_same_moment_is_decided_again(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A load is never merged with one that it has not seen, with the lock or without."""
    dsn, data = postgres.database(), str(tmp_path / "files")
    first, second = (settings_of(tmp_path / name, dsn, data) for name in "ab")
    for settings in (first, second):
        spread(settings.spool, [line(DELIVERED)], 1)
    strangers = [line(DELIVERED | {"message_id": f"<{n}@shop.example>"}) for n in range(40)]
    load(settings_of(tmp_path / "c", dsn, data), "c", strangers)
    load_once, others = Warehouse._load_once, []

    def interrupted(self: Warehouse, *arguments: Any) -> Any:
        found = load_once(self, *arguments)
        if not others:
            others.append(second)
            ingest(second)
        return found

    monkeypatch.setattr(LakeTarget, "_lock", lambda _self: nullcontext())
    monkeypatch.setattr(Warehouse, "_load_once", interrupted)
    found = ingest(first)

    assert (found.inserted, found.duplicates) == (0, 1)
    assert query.ask(first, "select count(*) from delivered").item() == 41


def test_a_reader_keeps_what_it_opened(
    postgres: Postgres, lines: list[bytes], tmp_path: Path
) -> None:
    """An open connection goes on seeing its snapshot; a new one sees what was loaded since."""
    settings = settings_of(tmp_path, postgres.database(), str(tmp_path / "files"))
    load(settings, "a", lines[:600])
    count = "select count(*), count(campaign_id), count(extra) from delivered"

    with query.connect(settings) as con:
        before = con.execute(count).fetchone()
        load(settings, "b", lines[600:1200])

        assert con.execute(count).fetchone() == before
        with query.connect(settings) as newer:
            assert newer.execute(count).fetchone() != before


LATELY = (*TABLES, "ingest_ledger", "campaign_counts")


def test_a_reader_keeps_what_it_opened_lately(
    postgres: Postgres, lines: list[bytes], tmp_path: Path
) -> None:
    """What was shown within the days that are kept stays readable, however long ago it was made.

    So does a file that nobody has committed yet: a load may be about to.
    """
    dsn = postgres.database()
    settings = settings_of(tmp_path, dsn, str(tmp_path / "files"))
    load(settings, "a", lines[:300])
    with psycopg.connect(dsn) as catalog:
        catalog.execute("update ducklake_snapshot set snapshot_time = now() - interval '8 days'")

    with query.connect(settings) as con:
        load(settings, "b", lines[300:600])
        before = [con.execute(f"from {name} order by all").fetchall() for name in LATELY]
        young = Path(lake.lake_of(settings).data) / "main" / "delivered" / "young.parquet"
        young.write_bytes(b"not committed yet")
        maintain(settings)
        assert young.exists()

        assert [con.execute(f"from {name} order by all").fetchall() for name in LATELY] == before


def test_maintaining_waits_for_no_reader(
    postgres: Postgres, lines: list[bytes], tmp_path: Path
) -> None:
    """Where a reader is in the middle of what expired, that is told, and loaders go on."""
    settings = settings_of(tmp_path, postgres.database(), str(tmp_path / "files"))
    load(settings, "a", lines[:600])
    with query.connect(settings) as con:
        con.execute("from campaign_report").fetchone()  # its transaction goes on
        load(settings, "b", lines[600:1200])
        load(settings, "c", lines[1200:1800])

        with pytest.raises(WarehouseError, match="in the middle of reading"):
            maintain(settings, keep=timedelta(0))
        assert load(settings, "d", lines[1800:1900]).read == 100

    assert maintain(settings, keep=timedelta(0))["snapshots_expired"] > 0


def test_no_row_is_missing_because_of_kept_statistics(postgres: Postgres, tmp_path: Path) -> None:
    """Answers are right where the lake's own least and greatest values of a column are wrong."""
    settings = settings_of(tmp_path, postgres.database(), str(tmp_path / "files"))
    con = lake.attach(lake.lake_of(settings))
    con.execute("create table t (a integer)")
    con.begin()
    con.execute("insert into t select null from range(20)")
    con.execute("insert into t select 1 from range(20)")
    con.commit()
    con.execute("insert into t select 5 from range(20)")

    found = con.execute("select count(*) from t where a = 1").fetchone()
    groups = con.execute("select a, count(*) from t group by a order by a").fetchall()

    assert found == (20,)
    assert groups == [(1, 20), (5, 20), (None, 20)]


def test_a_file_moves_into_a_lake(postgres: Postgres, lines: list[bytes], tmp_path: Path) -> None:
    """A migrated warehouse is the same in every table and view; loading goes on where it ended."""
    spread(tmp_path / "spool", lines[:2000], 2)
    in_file = file_settings(tmp_path)
    ingest(in_file)
    in_lake = settings_of(tmp_path, postgres.database(), str(tmp_path / "files"))

    moved = migrate(in_lake, Path(in_file.warehouse))

    with query.connect(in_lake) as con:
        named = con.execute("select count(*) from campaign_list").fetchone()

    assert named == (moved["campaigns"],)
    assert differences(in_lake, in_file) == []
    assert ingest(in_lake).read == 0
    with pytest.raises(WarehouseError, match="not empty"):
        migrate(in_lake, Path(in_file.warehouse))


def test_files_in_s3(postgres: Postgres, lines: list[bytes], tmp_path: Path) -> None:
    """Load, read, maintain and migrate work with the files in an S3 store."""
    spread(tmp_path / "spool", lines[:400], 1)
    in_file = file_settings(tmp_path)
    ingest(in_file)
    with running_s3("events") as environ, pytest.MonkeyPatch.context() as patch:
        for name, value in environ.items():
            patch.setenv(name, value)
        in_lake = settings_of(tmp_path, postgres.database(), "s3://events/lake")

        loaded = ingest(in_lake)
        maintain(in_lake, keep=timedelta(0), grace=timedelta(0))

        assert loaded.read == 400
        assert differences(in_lake, in_file) == []
        moved = settings_of(tmp_path, postgres.database(), "s3://events/moved")
        assert migrate(moved, Path(in_file.warehouse))["campaigns"] > 0


def test_errors_say_what_is_wrong_and_no_password(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lake that cannot be reached, or is named wrongly, is one sentence without the password."""
    dsn = postgres.database()
    monkeypatch.setattr("loader.lake_target.FIRST_SECONDS", 0.0)
    nobody = dsn.replace(f"port={postgres.port}", f"port={free_port()}")
    wrong = [
        (settings_of(tmp_path, nobody, "x"), WarehouseError, "does not answer"),
        (settings_of(tmp_path, f"password={PASSWORD} nonsense", "x"), SettingsError, "DSN"),
        (settings_of(tmp_path, dsn, ""), SettingsError, "LOADER_LAKE_DATA"),
    ]
    for settings, kind, word in wrong:
        for command in (ingest, query.connect):
            with pytest.raises(kind, match=word) as caught:
                command(settings)
            assert PASSWORD not in str(caught.value)
    with pytest.raises(WarehouseError, match="run loader ingest first"):
        query.connect(settings_of(tmp_path, dsn, "x"))


def test_a_role_that_lacks_rights_is_told(postgres: Postgres, tmp_path: Path) -> None:
    """A role that may read only a part of the catalog gets one sentence, whatever it asks."""
    dsn = postgres.database()
    ingest(settings_of(tmp_path, dsn, str(tmp_path / "files")))
    role = f"partly_{os.getpid()}"
    with psycopg.connect(dsn, autocommit=True) as catalog:
        catalog.execute(f"create role {role} login password '{PASSWORD}'")
        catalog.execute(f"grant select on ducklake_metadata to {role}")
    as_role = psycopg.conninfo.make_conninfo(dsn, user=role)
    settings = settings_of(tmp_path, as_role, str(tmp_path / "files"))

    for command in (status, query.connect, published_offsets):
        with pytest.raises(WarehouseError, match="rights of its role") as caught:
            command(settings)
        assert PASSWORD not in str(caught.value)


def test_files_that_are_gone_are_told(
    postgres: Postgres, lines: list[bytes], tmp_path: Path
) -> None:
    """Where the lake's files are not to be reached, status says so in one sentence."""
    settings = settings_of(tmp_path, postgres.database(), str(tmp_path / "files"))
    load(settings, "a", lines[:300])
    (tmp_path / "files").rename(tmp_path / "away")

    with pytest.raises(WarehouseError, match="cannot be read"):
        status(settings)


def test_a_new_lake_takes_no_files_for_its_own(
    postgres: Postgres, lines: list[bytes], tmp_path: Path
) -> None:
    """A lake is made for no directory with files in it, which maintaining it would remove."""
    with running_s3("others") as environ, pytest.MonkeyPatch.context() as patch:
        for name, value in environ.items():
            patch.setenv(name, value)
        for data in (str(tmp_path / "files"), "s3://others/lake"):
            first, other = (settings_of(tmp_path, postgres.database(), data) for _ in range(2))
            load(first, "a", lines[:300])
            with pytest.raises(WarehouseError, match="holds Parquet files"):
                ingest(other)

            assert ingest(first).read == 0 and verify(first, published_offsets(first)).count == 0
        patch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
        nowhere = settings_of(tmp_path, postgres.database(), "s3://nowhere/lake")
        with pytest.raises(WarehouseError, match="cannot be listed"):
            ingest(nowhere)


def test_the_files_of_a_lake_are_in_one_place(postgres: Postgres, tmp_path: Path) -> None:
    """A loader that names another directory than the lake's is told so."""
    dsn = postgres.database()
    ingest(settings_of(tmp_path, dsn, str(tmp_path / "files")))

    with pytest.raises(SettingsError, match="LOADER_LAKE_DATA"):
        ingest(settings_of(tmp_path, dsn, str(tmp_path / "elsewhere")))


@pytest.mark.parametrize("carried", [False, True])
def test_a_missing_extension_says_which_and_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, carried: bool
) -> None:
    """Without its wheel, or with that of another DuckDB, one sentence says which is missing."""
    monkeypatch.setattr(lake, "_carried", lambda _name: tmp_path / "other" if carried else None)
    nowhere = {"custom_extension_repository": "/nowhere", "extension_directory": str(tmp_path)}
    monkeypatch.setattr(lake, "LOADING", nowhere)
    wanted = "another version" if carried else "not installed"

    with pytest.raises(LoaderError, match=rf"extension ducklake is missing.*{wanted}"):
        lake.attach(lake.Lake("dbname=none", str(tmp_path)))


# ── worlds ───────────────────────────────────────────────────────────────────────────────────


def load(settings: Settings, name: str, lines: list[bytes]) -> IngestResult:
    """Write ``lines`` into a segment of the spool, and load it."""
    settings.spool.mkdir(parents=True, exist_ok=True)
    (settings.spool / f"{name}.jsonl").write_bytes(b"".join(lines))
    return ingest(settings)


def spread(spool: Path, lines: list[bytes], segments: int) -> None:
    """Write ``lines`` into so many segments."""
    spool.mkdir(parents=True, exist_ok=True)
    size = -(-len(lines) // segments)
    for number in range(segments):
        part = lines[number * size : (number + 1) * size]
        (spool / f"{number:02}.jsonl").write_bytes(b"".join(part))


def test_a_spool_keeps_its_name(tmp_path: Path) -> None:
    """It is on disk before anything is loaded under it; one that was cut or emptied is told."""
    with mock.patch.object(os, "fsync") as synced:
        name = lake.spool_name(tmp_path)
    assert synced.call_count == 2  # the file, and its entry in the directory
    assert lake.spool_name(tmp_path) == name
    for left in (b"", b"1f", b"\xff" * 8):
        (tmp_path / ".spool").write_bytes(left)
        with pytest.raises(WarehouseError, match="the name of this spool"):
            lake.spool_name(tmp_path)


def two_spools(tmp_path: Path, lines: list[bytes]) -> list[Path]:
    """Write two spools that share a third of their events; ``tmp_path/spool`` holds both."""
    third = len(lines) // 3
    halves = {"a": lines[: 2 * third], "b": lines[third:]}
    for name, some in halves.items():
        spread(tmp_path / name / "spool", some, 6)
        spread(tmp_path / "spool" / name, some, 6)
    return [tmp_path / name for name in halves]


def read_by(settings: Settings) -> int:
    """Return how many events the loads had read that readers are shown."""
    try:
        with query.connect(settings) as con:
            row = con.execute("select coalesce(sum(read), 0) from ingest_ledger").fetchone()
    except WarehouseError:
        return 0  # nothing has been published yet
    assert row is not None
    return int(row[0])


def until_read(settings: Settings, wanted: int) -> None:
    """Wait until readers are shown what came of so many events."""
    deadline = time.monotonic() + 120
    while read_by(settings) < wanted:
        assert time.monotonic() < deadline
        time.sleep(0.2)


def file_settings(home: Path) -> Settings:
    """Return the settings of a loader with a warehouse file."""
    environ = {"LOADER_HOME": str(home), "LOADER_SECRETS": "simulated-secret"}
    return load_settings(environ, home)


def differences(in_lake: Settings, in_file: Settings, every_view: bool = False) -> list[str]:
    """Return the tables, and views, that do not hold the same rows in lake and file."""
    with lake.open_catalog(lake.lake_of(in_lake)) as catalog:
        snapshot = lake.published_snapshot(catalog)
    assert snapshot is not None
    views = "select view_name from duckdb_views() where database_name = 'file' order by all"
    with lake.attach(lake.lake_of(in_lake), snapshot[0]) as con:
        con.execute(f"attach '{in_file.warehouse}' as file (read_only)")
        con.begin()  # one moment, so that now() is the same for both
        known = [name for (name,) in con.execute(views).fetchall()]
        names = [*TABLES, "quarantine", *(known if every_view else ["campaign_report"])]
        return [name for name in names if _differ(con, name)]


# What tells how a warehouse was loaded, and not what it holds.
_APART = {
    "quarantine": "exclude (segment)",
    "freshness": "exclude (last_load_at_local, load_age_hours)",
}


def _differ(con: duckdb.DuckDBPyConnection, name: str) -> bool:
    columns = _APART.get(name, "")
    con.execute(f"create or replace temp table here as select * {columns} from {name}")
    con.execute(f"create or replace temp table there as select * {columns} from file.main.{name}")
    row = con.execute(
        "select count(*) from ((from here except all from there)"
        " union all (from there except all from here))"
    ).fetchone()
    assert row is not None
    return bool(row[0])


class Watch:
    """Two readers that look again and again whether what they see is whole."""

    def __init__(self, settings: Settings) -> None:  # noqa: D107
        self._settings = settings
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._look) for _ in range(2)]
        self.problems: list[str] = []
        self.looks = 0

    def __enter__(self) -> "Watch":  # noqa: D105
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: Any) -> None:  # noqa: D105
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _look(self) -> None:
        while not self._stop.wait(0.2):
            try:
                with query.connect(self._settings) as con:
                    self._compare(con)
            except (LoaderError, duckdb.Error) as error:
                if "answer" not in str(error) and "ingest first" not in str(error):
                    self._tell(error)

    def _tell(self, error: Exception) -> None:
        lost = ("onnect", "terminat", "SSL", "shutdown", "recovery", "starting up")
        if not any(word in str(error) for word in lost):  # the catalog was crashed on purpose
            self.problems.append(str(error))

    def _compare(self, con: duckdb.DuckDBPyConnection) -> None:
        tables = " + ".join(f"(select count(*) from {table})" for table in TABLES)
        rows, told, seen, kept = con.execute(
            f"""
            select
                {tables},
                (select coalesce(sum(inserted), 0) from ingest_ledger),
                (select coalesce(sum(read - inserted - duplicates - quarantined), 0)
                    from ingest_ledger),
                (select events = event_count() from refresh_state)
            """
        ).fetchone() or (0, 0, 0, True)
        self.looks += 1
        if rows != told or seen != 0 or not kept:
            self.problems.append(f"{rows} rows, {told} in the ledger, {seen}, {kept}")


TIED = "2026-03-02T00:00:00.000000Z"


def tied(sender: str) -> bytes:
    """A line of one and the same event, received at one moment, as each sender has it."""
    return line(DELIVERED | {"sender": f"{sender}@example.com"}, TIED)


def stands(settings: Settings) -> tuple[list[str], int]:
    """The senders of the delivered events, and how many ties wait."""
    senders = query.ask(settings, "select sender from delivered order by all")["sender"].to_list()
    return senders, query.ask(settings, "select count(*) from tie").item()


def another(settings: Settings, name: str, data: bytes) -> tuple[Warehouse, _Run]:
    """Another loader that has loaded ``data`` and goes on."""
    (settings.spool / name).write_bytes(data)
    warehouse = Warehouse(target_of(settings), settings.timezone).open()
    run = _Run(settings, warehouse, lambda *_: None, lambda *_: None)
    run.once()
    return warehouse, run


@pytest.mark.parametrize("when", ["settle", "publish"])
def test_a_tie_that_comes_in_between_is_settled(
    when: str, postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tied line that another loader loads while one settles or publishes takes its place too."""
    settings = settings_of(tmp_path, postgres.database(), str(tmp_path / "files"))
    spread(tmp_path / "spool", [tied("c")], 1)
    ingest(settings)
    (settings.spool / "b.jsonl").write_bytes(tied("b"))
    work, others = getattr(Warehouse, when), []

    def interrupted(self: Warehouse, *arguments: Any) -> Any:
        if not others:
            others.append(another(settings, "a.jsonl", tied("a")))
        return work(self, *arguments)

    monkeypatch.setattr(Warehouse, when, interrupted)
    ingest(settings)
    monkeypatch.undo()
    warehouse, run = others[0]
    run.publish()
    warehouse.close()
    found = stands(settings)
    ingest(settings, rebuild=True)

    assert found == stands(settings) == (["a@example.com"], 0)
