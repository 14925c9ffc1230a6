"""Loading, publishing, following, retrying: what a user of ``loader ingest`` relies on."""

import errno
import fcntl
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
import zstandard

from loader import events, file_target, query, ties
from loader.assets import asset
from loader.batch import LINE_BYTES
from loader.definitions import OTHER_VERSION, definitions
from loader.errors import LoaderError, SettingsError, SpoolError, WarehouseBusy, WarehouseError
from loader.framing import frame
from loader.ingest import ingest
from loader.lock import sole_loader
from loader.metrics import Metrics
from loader.publication import beside, private_path, publish, wal
from loader.quarantine import retry, summary
from loader.quarantine import sentences as told_quarantine
from loader.receipts import expired
from loader.settings import LARGEST_BODY, Settings
from loader.spool import BEGINNING, LONGEST_LINE, Segment
from loader.status import published_offsets, sentences, status
from loader.target import target_of
from loader.verify import verify
from loader.warehouse import Warehouse
from loader.whole import written
from tests.marts import comments
from tests.provider import CLICK, DELIVERED, OPEN, bare, drop, home, large, line

loading = sys.modules["loader.ingest"]  # the name loader.ingest is also its function's
RECEIVED = "2026-01-01/070000.000000-abc.jsonl"
"""A segment of the receiver's, by its name; others are never put away."""
KEPT = ("open", "click", "duplicate_tally")
LEDGER = "select sum(read), sum(inserted), sum(duplicates), sum(quarantined) from ingest_ledger"


def moment(number: int) -> dict[str, Any]:
    """A delivered event like no other."""
    return DELIVERED | {"timestamp": f"2025-09-04T10:{number // 60:02}:{number % 60:02}Z"}


def let_any_sender(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mend the reader, so that it takes a sender that is no text as one."""
    text = events._text

    def lenient(holder: Any, field: str, path: str = "") -> str:
        return str(holder[field]) if field == "sender" else text(holder, field, path)

    monkeypatch.setattr(events, "_text", lenient)


def close_directories(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody read ``closed`` and ``lost+found``, not root either, as whom containers test."""
    real = os.scandir

    def scandir(path: Path) -> Any:
        if path.name in {"closed", "lost+found"}:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return real(path)

    monkeypatch.setattr("loader.spool.os.scandir", scandir)


def count(where: Settings, table: str = "delivered") -> int:
    """Rows of a table, as published."""
    with query.connect(where) as con:
        return int(con.execute(f"select count(*) from {table}").fetchall()[0][0])


def until(true: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.05)


def command(where: Settings, *arguments: str) -> subprocess.Popen[bytes]:
    """Start ``loader`` on a home."""
    environment = {**os.environ, "LOADER_HOME": str(where.home)}
    return subprocess.Popen(
        [sys.executable, "-m", "loader", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.fixture
def where(tmp_path: Path) -> Settings:
    """A home whose spool is empty and which has no warehouse yet."""
    return home(tmp_path)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home whose warehouse has been published and holds nothing: for what only asks."""
    where = home(tmp_path_factory.mktemp("empty"))
    ingest(where)
    return where


def test_loading_twice_changes_nothing(where: Settings) -> None:
    """What has been loaded is not read again, nor published again."""
    drop(where, "a.jsonl", line(DELIVERED), line(DELIVERED), b"nope\n", b'{"torn": ')
    first, second = ingest(where), ingest(where)

    assert (first.read, first.inserted, first.duplicates, first.quarantined) == (3, 1, 1, 1)
    assert (second.read, second.published) == (0, False)
    assert published_offsets(where) == {"a.jsonl": 2 * len(line(DELIVERED)) + 5}


def test_duplicates_that_occurred_years_apart_are_found_together(where: Settings) -> None:
    """Duplicates are found whatever lies between them, more gaps than are looked at singly too.

    Each is found once, also where it takes the place of what stands.
    """
    days = [f"20{year}-03-{day:02}T10:00:00Z" for year in (14, 19, 25) for day in range(1, 30, 3)]
    old = [line(DELIVERED | {"timestamp": day}) for day in days]
    drop(where, "old.jsonl", *old)
    ingest(where)

    new = [line(DELIVERED | {"timestamp": day.replace("10:", "11:")}) for day in days]
    earlier = [line(DELIVERED | {"timestamp": day}, "2026-11-22T07:00:00Z") for day in days[::2]]
    drop(where, "again.jsonl", *reversed(old), *earlier, *new)
    done = ingest(where)

    assert (done.inserted, done.duplicates) == (len(days), len(days) + len(earlier))
    assert count(where) == 2 * len(days)


def test_a_torn_line_is_loaded_once_it_is_whole(where: Settings) -> None:
    """The end of a file without its newline is left for later, and is never an error.

    However often a file has grown, only what is new is read.
    """
    text = line(DELIVERED)
    drop(where, "a.jsonl", text[:100])

    assert ingest(where).read == 0
    drop(where, "a.jsonl", text[100:])
    assert ingest(where).inserted == 1
    drop(where, "a.jsonl", line(OPEN))
    assert [ingest(where).read, ingest(where).read] == [1, 0]


def test_an_empty_spool_is_published(empty: Settings) -> None:
    """Reports find every view before the first event has come."""
    assert query.ask(empty, "select count(*) as n from campaign_report")["n"].to_list() == [0]


def test_files_are_for_their_owner(empty: Settings) -> None:
    """The private file is its owner's alone; the published one can only be read."""
    published = Path(empty.warehouse)

    assert stat.S_IMODE(private_path(published).stat().st_mode) == 0o600
    assert stat.S_IMODE(published.stat().st_mode) == 0o444


def test_a_file_is_on_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both files are synced, then named, then their directory is: no power failure leaves half."""
    where, sync = home(tmp_path), os.fsync
    files = Path(where.warehouse), private_path(Path(where.warehouse))
    synced: list[tuple[int, set[int]]] = []

    def inode(path: Path) -> int:
        return path.stat().st_ino

    def noted(fd: int) -> None:
        synced.append((os.fstat(fd).st_ino, {inode(file) for file in files if file.exists()}))
        sync(fd)

    monkeypatch.setattr(os, "fsync", noted)
    ingest(where)

    for file in files:
        assert [named for one, named in synced if one == inode(file) and inode(file) not in named]
        assert [named for one, named in synced if one == inode(tmp_path) and inode(file) in named]


def test_an_open_reader_keeps_what_it_sees(where: Settings) -> None:
    """A connection held through a publication keeps its rows; a new one sees the new ones.

    The file that it has open is never written to: another takes its name.
    """
    drop(where, "a.jsonl", line(moment(1)))
    ingest(where)
    with query.connect(where) as held, Path(where.warehouse).open("rb") as file:
        before = file.read()
        drop(where, "a.jsonl", line(moment(2)))
        ingest(where)
        file.seek(0)
        assert file.read() == before

        assert held.execute("select count(*) from delivered").fetchall() == [(1,)]
        assert count(where) == 2


def test_the_published_file_is_read_under_any_name(where: Settings) -> None:
    """Attached under another name each view gives the same rows, whatever the session has.

    That is its zone, and tables of its own with the same names. Macros are found on the search
    path.
    """
    drop(where, "a.jsonl", *map(line, (DELIVERED, OPEN, CLICK)))
    ingest(where)
    with duckdb.connect() as con:
        con.execute(f"attach '{where.warehouse}' as w (read_only)")
        con.execute("set search_path = 'memory,w'")
        threshold = con.execute("select threshold('burst_urls')").fetchall()
        con.begin()  # one moment, so that now() is the same
        names = [row[0] for row in con.execute("select view_name from duckdb_views()").fetchall()]
        views = [name for name in names if (asset("sql") / "marts" / f"{name}.sql").exists()]
        wanted = {view: rows_of(con, f"w.{view}") for view in views}
        con.execute("reset search_path; set TimeZone = 'Asia/Tokyo'")
        for file in definitions():
            con.execute(f"create table {file.stem} (i integer)")
        found = {view: rows_of(con, f"w.{view}") for view in views}

    assert threshold == [(3,)]
    assert len(views) > 40
    assert found == wanted


def rows_of(con: duckdb.DuckDBPyConnection, name: str) -> list[str]:
    """Return the rows of a view, in some order of their own."""
    return sorted(map(repr, con.execute(f"from {name}").fetchall()))


def test_an_attached_file_is_seen_anew_once_detached(where: Settings) -> None:
    """A session that detaches the published file and attaches it again sees what is newer."""
    drop(where, "a.jsonl", line(moment(1)))
    ingest(where)
    attached = f"attach '{where.warehouse}' as w (read_only)"
    with duckdb.connect() as con:
        con.execute(attached)
        drop(where, "a.jsonl", line(moment(2)))
        ingest(where)
        before = con.execute("select count(*) from w.delivered").fetchall()
        con.execute(f"detach w; {attached}")
        after = con.execute("select count(*) from w.delivered").fetchall()

    assert (before, after) == ([(1,)], [(2,)])


def test_a_copy_to_write_in_has_every_object(where: Settings, tmp_path: Path) -> None:
    """COPY FROM DATABASE of the published file makes one with its rows, views and comments."""
    drop(where, "a.jsonl", line(DELIVERED))
    ingest(where)
    with duckdb.connect() as con:
        con.execute(f"attach '{where.warehouse}' as w (read_only)")
        con.execute(f"attach '{tmp_path / 'own.duckdb'}' as own")
        con.execute("copy from database w to own")
        con.execute("insert into own.metric_threshold by name select 'mine' as name")
        told = con.execute("select attempted from own.campaign_report").fetchall()

    assert told == [(1,)]
    assert comments(replace(where, warehouse=str(tmp_path / "own.duckdb"))) == comments(where)


def test_the_log_of_an_older_file_is_not_replayed(where: Settings) -> None:
    """A write-ahead log left beside the published file does not reach the next one.

    Nor does what a killed publication left stop it.
    """
    drop(where, "a.jsonl", line(moment(1)))
    ingest(where)
    published = Path(where.warehouse)
    published.chmod(0o600)
    leave_log(published)
    beside(published, "publishing").write_bytes(b"half")
    drop(where, "a.jsonl", line(moment(2)))
    ingest(where)

    assert not wal(published).exists()
    assert query.ask(where, "select distinct recipient from delivered").rows() == [
        ("user@example.com",)
    ]


def test_a_publication_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the disk fails the old file stands, and nothing of the new one takes its space."""

    def fail(_fd: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    private, published = tmp_path / "w.private.duckdb", tmp_path / "w.duckdb"
    private.write_bytes(b"new")
    published.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", fail)
    with private.open("rb") as file, pytest.raises(WarehouseError, match="No space left"):
        publish(file.fileno(), published)

    assert published.read_bytes() == b"old"
    assert {path.name for path in tmp_path.iterdir()} == {private.name, published.name}


def leave_log(database: Path) -> None:
    """Leave a write-ahead log beside ``database``, as who is killed after a commit does."""
    with duckdb.connect(str(database)) as con:
        con.execute("set checkpoint_threshold = '1GB'")
        con.execute("insert into delivered by name select 'x' as recipient")
        left = wal(database).read_bytes()
    wal(database).write_bytes(left)


def test_readers_and_a_killed_loader_never_meet(where: Settings) -> None:
    """While readers come and go a loader loads, publishes and is killed; no read ever fails."""
    ingest(where)
    failures: list[BaseException] = []
    seen, stop = [0], threading.Event()

    def read() -> None:
        while not stop.is_set():
            try:
                rows = count(where)
                assert rows >= seen[0], "a row was there, and is gone"
                seen[0] = rows
            except BaseException as error:
                failures.append(error)
                return

    reader = threading.Thread(target=read)
    with query.connect(where) as held:
        reader.start()
        for life in range(4):
            following = command(where, "ingest", "--follow")
            drop(where, "a.jsonl", *(line(moment(60 * life + number)) for number in range(60)))
            wanted = 60 * life + 1
            until(lambda: count(where) >= wanted)  # noqa: B023 - called at once
            following.send_signal(signal.SIGKILL)
            following.communicate()
        stop.set()
        reader.join()
        ingest(where)

        assert held.execute("select count(*) from delivered").fetchall() == [(0,)]
    assert failures == []
    assert count(where) == 240


DIES_ON_THE_WAY = """
import os
import loader.ingest as ingesting
from loader import cli, warehouse

ingesting.ON_THE_WAY_SECONDS = ingesting.APART_SECONDS = 0
ingesting.COPIES_APART = ingesting.REFRESHES_APART = 0
ingesting.BATCH_BYTES = ingesting.TOGETHER_BYTES = 10_000
load, lives = warehouse.Warehouse.load, [1, 1, 1]
warehouse.Warehouse.load = lambda *some: load(*some) if lives and lives.pop() else os.abort()
cli.cli(["ingest"])
"""


def test_a_long_backlog_is_published_on_the_way(where: Settings) -> None:
    """A loader that dies in a backlog has published a part of it, and the next goes on there."""
    ingest(where)
    drop(where, "a.jsonl", *(line(moment(number)) for number in range(600)))
    died = subprocess.run(
        [sys.executable, "-c", DIES_ON_THE_WAY],
        env={**os.environ, "LOADER_HOME": str(where.home)},
        check=False,
    )
    assert died.returncode == -signal.SIGABRT
    before = count(where)
    assert 0 < before < 600

    assert ingest(where).read == 600 - before
    assert count(where) == 600


def test_following_ends_soon_in_a_backlog(where: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told to stop in a long backlog, it publishes what it has loaded; the next goes on there."""
    monkeypatch.setattr("loader.ingest.BATCH_BYTES", 10_000)
    monkeypatch.setattr("loader.ingest.LAST_SECONDS", 0.0)
    drop(where, "a.jsonl", *(line(moment(number)) for number in range(600)))
    asked = iter(range(2))

    result = ingest(where, follow=True, stop=lambda: next(asked, None) is None)

    assert 0 < result.read < 600
    assert count(where) == result.read
    assert ingest(where).read == 600 - result.read
    assert count(where) == 600


def test_a_rebuild_that_is_stopped_changes_nothing(
    where: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped while it builds a warehouse anew, also one that would follow, it leaves the old."""
    drop(where, "a.jsonl", *(line(moment(number)) for number in range(600)))
    ingest(where)
    before = Path(where.warehouse).read_bytes()
    monkeypatch.setattr("loader.ingest.BATCH_BYTES", 10_000)

    with pytest.raises(KeyboardInterrupt):
        ingest(where, follow=True, rebuild=True, stop=lambda: True)

    assert Path(where.warehouse).read_bytes() == before
    assert ingest(where).read == 0


def test_following_loads_when_it_publishes(
    where: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes between two publications is one load: the ledger does not grow by the glance."""
    monkeypatch.setattr("loader.ingest.APART_SECONDS", 2.0)
    monkeypatch.setattr("loader.ingest.POLL_SECONDS", 0.02)
    began = time.monotonic()

    def stop() -> bool:
        with (where.spool / "a.jsonl").open("ab") as segment:
            segment.write(line(moment(len(sent))))
        sent.append(1)
        return time.monotonic() > began + 5

    sent: list[int] = []
    result = ingest(where, follow=True, stop=stop)
    with query.connect(where) as con:
        loads, loaded = con.execute("select count(*), sum(read) from ingest_ledger").fetchall()[0]
    assert loaded == result.read == len(sent) > 20
    assert loads <= 4


def test_what_was_loaded_is_not_read_again(where: Settings) -> None:
    """A loader that finds nothing new decompresses nothing; verify is who reads everything."""
    lines = b"".join(line(moment(number)) for number in range(500))
    compressor = zstandard.ZstdCompressor(write_checksum=True)
    path = drop(where, "a.jsonl.zst", compressor.compress(lines))
    drop(where, "b.jsonl.zst", compressor.compress(line(OPEN)))
    assert ingest(where).inserted == 501
    state, data = path.stat(), bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert ingest(where).read == 0
    assert verify(where, published_offsets(where)).places


def test_what_is_not_published_is_not_put_away(
    where: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A segment that is loaded goes only once it is published, also while the loader follows."""
    where = replace(where, retain_days=0)
    ingest(where)
    for name, value in (("APART_SECONDS", 3.0), ("POLL_SECONDS", 0.02), ("RETAIN_SECONDS", 0.0)):
        monkeypatch.setattr(f"loader.ingest.{name}", value)
    monkeypatch.setattr("loader.ingest.BATCH_BYTES", 100)  # so it is loaded at once
    deadline, seen = time.monotonic() + 20, []

    def stop() -> bool:
        if not seen:
            (where.spool / "2026-01-01").mkdir()
            drop(where, RECEIVED, line(moment(1)))
        seen.append((count(where), len(expired(where.spool))))
        return seen[-1][1] > 0 or time.monotonic() > deadline

    ingest(where, follow=True, stop=stop)

    assert (seen[0], seen[-1]) == ((0, 0), (1, 1))
    assert (0, 1) not in seen


def test_what_cannot_be_put_away_ends_no_loading(
    where: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A segment that cannot be compressed is told once, as a warning; loading goes on."""
    monkeypatch.setattr("loader.ingest.RETAIN_SECONDS", 0.0)
    path = where.spool / RECEIVED
    path.parent.mkdir()
    drop(where, RECEIVED, line(moment(1)))
    os.utime(path, (0, 0))
    path.with_name(f".{path.name}.zst.part").mkdir()
    told: list[str] = []
    rounds = iter(range(8))
    ingest(where, follow=True, stop=lambda: next(rounds, 8) == 8, warn=told.append)

    assert (count(where), len(told)) == (1, 1)
    assert "could not be put away" in told[0]
    process = command(where, "ingest", "--json")
    out, said = process.communicate(timeout=60)
    assert (process.returncode, json.loads(out)["read"]) == (0, 0)
    assert said.decode() == f"loader: warning: {told[0]}\n"


def test_follow_shows_new_events_and_stops_when_told(where: Settings) -> None:
    """Events are visible seconds after they came; SIGTERM publishes the last ones, then ends."""
    following = command(where, "ingest", "--follow", "--json")
    until(lambda: Path(where.warehouse).exists() or following.poll() is not None)
    drop(where, "a.jsonl", line(moment(1)))
    until(lambda: count(where) == 1)
    drop(where, "a.jsonl", line(moment(2)))
    following.send_signal(signal.SIGTERM)
    out, _ = following.communicate(timeout=60)

    assert following.returncode == 0
    assert json.loads(out)["inserted"] == 2
    assert count(where) == 2


def test_loading_that_is_told_to_stop_is_gone_on_with(where: Settings) -> None:
    """SIGTERM in the middle of a load leaves the loader's own file as the next one takes it up."""
    drop(where, "a.jsonl", line(moment(1)))
    ingest(where)
    private = private_path(Path(where.warehouse))
    before = private.stat()
    events = (DELIVERED | {"recipient": f"{number}@example.com"} for number in range(60_000))
    drop(where, "b.jsonl", *map(line, events))
    loading = command(where, "ingest")
    until(lambda: wal(private).exists() or private.stat().st_mtime_ns != before.st_mtime_ns)
    loading.terminate()
    loading.communicate(timeout=60)
    ingest(where)

    assert private.stat().st_ino == before.st_ino
    assert count(where) == 60_001


def test_the_second_loader_names_the_first(
    where: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock that is held says by which process and for what."""
    monkeypatch.setattr(file_target, "WAIT_SECONDS", 0.1)
    lock = beside(Path(where.warehouse), "lock")
    with sole_loader(lock, "loader quarantine --retry"):
        pass  # whose name was longer
    with sole_loader(lock, "loader ingest"), pytest.raises(WarehouseBusy) as told:
        ingest(where)

    assert f"process {os.getpid()} (loader ingest, since " in str(told.value)


def test_one_that_follows_is_not_waited_for(where: Settings) -> None:
    """A loader that does not end is named at once, not after the usual patience."""
    began = time.monotonic()
    lock = beside(Path(where.warehouse), "lock")
    with sole_loader(lock, "loader ingest --follow"), pytest.raises(WarehouseBusy, match="follow"):
        ingest(where)

    assert time.monotonic() - began < file_target.WAIT_SECONDS


def test_a_lock_without_a_name_holds(where: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has only just taken the lock, or could not sign it on a full disk, has it.

    And nobody is told of the one before, which has ended.
    """
    monkeypatch.setattr(file_target, "WAIT_SECONDS", 0.1)
    lock = beside(Path(where.warehouse), "lock")
    with sole_loader(lock, "loader ingest --follow"):
        pass
    with lock.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(WarehouseBusy, match="process unknown"):
            ingest(where)


def test_nobody_else_opens_the_private_file(where: Settings) -> None:
    """While a loader has it, before and after a publication, DuckDB opens it for no one else."""
    other = [sys.executable, "-c", "import duckdb, sys; duckdb.connect(sys.argv[1])"]
    other.append(str(private_path(Path(where.warehouse))))
    with closing(Warehouse(target_of(where), where.timezone).open()) as warehouse:
        for _ in range(2):
            opened = subprocess.run(other, check=False, capture_output=True)
            assert b"Conflicting lock" in opened.stderr
            warehouse.publish()


def test_a_warehouse_below_a_file_is_told(where: Settings, tmp_path: Path) -> None:
    """Where no warehouse can be, the setting that names the place is told."""
    (tmp_path / "file").touch()
    where = replace(where, warehouse=str(tmp_path / "file/w.duckdb"))

    with pytest.raises(WarehouseError, match=r"file/w\.lock cannot .*LOADER_WAREHOUSE\.$"):
        ingest(where)


def test_two_loaders_load_everything_once(where: Settings) -> None:
    """Beside each other one waits for the other, and every event is there once."""
    drop(where, "a.jsonl", *(line(moment(number)) for number in range(500)))
    both = [command(where, "ingest", "--json") for _ in range(2)]
    said = [process.communicate(timeout=120) for process in both]

    assert [process.returncode for process in both] == [0, 0], said
    assert sum(json.loads(out)["inserted"] for out, _ in said) == count(where) == 500


def test_a_cut_segment_is_an_alarm(where: Settings) -> None:
    """A segment shorter than what was loaded from it is told; the others are loaded."""
    path = drop(where, "a.jsonl", line(moment(1)), line(moment(2)))
    ingest(where)
    os.truncate(path, 10)
    drop(where, "b.jsonl", line(moment(3)))

    with pytest.raises(SpoolError, match=r"a\.jsonl"):
        ingest(where)
    assert count(where) == 3
    assert any("a.jsonl" in sentence for sentence in status(where)["warnings"])
    assert status(where)["spool"]["lag_bytes"] == 0


def test_a_segment_that_was_replaced_is_an_alarm(where: Settings) -> None:
    """One that is longer than what was loaded, but another, is told, and nothing of it loaded.

    A rebuild takes it as it is.
    """
    drop(where, "a.jsonl", bare(moment(1)))
    ingest(where)
    longer = [bare({"a": "b"} | moment(number)) for number in (2, 3)]
    (where.spool / "a.jsonl").write_bytes(b"".join(longer))
    with pytest.raises(SpoolError, match=r"a\.jsonl is not the one"):
        ingest(where)

    assert (count(where), count(where, "quarantine")) == (1, 0)
    assert any("a.jsonl is not the one" in sentence for sentence in status(where)["warnings"])
    ingest(where, rebuild=True)
    assert (count(where), count(where, "quarantine")) == (2, 0)


def test_following_tells_at_once_what_cannot_be_read(
    where: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loader that follows tells of a cut segment when it meets it, once, and loads the others."""
    monkeypatch.setattr("loader.ingest.APART_SECONDS", 0.1)
    monkeypatch.setattr("loader.ingest.POLL_SECONDS", 0.02)
    path = drop(where, "a.jsonl", line(moment(1)), line(moment(2)))
    ingest(where)
    told: list[str] = []
    deadline = time.monotonic() + 30

    def stop() -> bool:
        if count(where) == 2:
            os.truncate(path, 10)
            drop(where, "b.jsonl", line(moment(3)))
        if told and count(where) == 3:
            drop(where, "b.jsonl", line(moment(4)))
        return count(where) == 4 or time.monotonic() > deadline

    with pytest.raises(SpoolError, match=r"a\.jsonl") as raised:
        ingest(where, follow=True, stop=stop, warn=told.append)
    assert told == [str(raised.value)]
    assert count(where) == 4


def test_a_directory_that_cannot_be_read_is_an_alarm(
    where: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory of the spool that may not be read is told, by name; the rest is loaded."""
    for name in ("closed", "lost+found"):
        (where.spool / name).mkdir()
        drop(where, f"{name}/a.jsonl", line(moment(1)))
    drop(where, "b.jsonl", line(moment(2)))

    close_directories(monkeypatch)
    with pytest.raises(SpoolError, match=r"closed cannot be read .*: let this user read it"):
        ingest(where)

    assert count(where) == 1
    told = [one for one in status(where)["warnings"] if "cannot be read" in one]
    found = [one.problem for one in verify(where, published_offsets(where)).places]
    assert told == found[:1] and "closed" in told[0] and len(found) == 2  # and a signature
    assert b"loader_spool_segments 1.0" in Metrics().render(where.spool)
    monkeypatch.undo()
    assert ingest(where).inserted == 1


def test_a_tie_waits_for_what_cannot_be_read(
    where: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which of two lines stands is not said while one of them may be where nobody can read.

    Nor is the segment there said to be lacking.
    """
    (where.spool / "closed").mkdir()
    drop(where, "closed/a.jsonl", line(OPEN | {"extra": 1}))
    ingest(where)
    drop(where, "b.jsonl", line(OPEN | {"extra": 2}))

    close_directories(monkeypatch)
    with pytest.raises(SpoolError, match="closed cannot be read"):
        ingest(where)
    assert not [one for one in status(where)["warnings"] if "lacks" in one]
    found = verify(where, published_offsets(where)).places
    assert not [one for one in found if "gone" in one.problem]
    monkeypatch.undo()
    ingest(where)
    assert query.ask(where, "select extra from open").rows() == [('{"extra":1}',)]


def test_a_tie_is_found_behind_a_line_that_is_too_long(
    where: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two lines the right one stands also where a retry loads it from behind such a line."""
    long = b" " * (3 * LONGEST_LINE) + b"\n"
    smaller = {"extra": 1} | OPEN | {"sender": 7}
    drop(where, "a.jsonl", line({"extra": 2} | OPEN))
    drop(where, "b.jsonl", line(CLICK | {"sender": 7}), long, line(smaller))
    ingest(where)
    let_any_sender(monkeypatch)

    assert retry(where)["retried"]["inserted"] == 1
    assert query.ask(where, "select extra from open").rows() == [('{"extra":1}',)]


def test_an_empty_spool_in_the_place_of_a_disk_is_told(where: Settings, tmp_path: Path) -> None:
    """Where the spool's disk is not mounted, status warns of the segments that are missing."""
    drop(where, "a.jsonl", line(moment(1)))
    drop(where, "empty.jsonl", b"")
    ingest(where)
    where.spool.rename(tmp_path / "elsewhere")
    where.spool.mkdir()
    drop(where, "b.jsonl", line(moment(2)))
    ingest(where)

    told = [sentence for sentence in status(where)["warnings"] if "lacks" in sentence]
    assert len(told) == 1 and told[0].startswith("this spool lacks 1 segment of what was loaded")
    where.spool.joinpath("a.jsonl").write_bytes(line(moment(1)))
    assert not [sentence for sentence in status(where)["warnings"] if "lacks" in sentence]


@pytest.mark.parametrize("broken", [False, True])
@pytest.mark.parametrize("lost", ["gone", "cut", "damaged", "cut and compressed"])
def test_rebuild_refuses_to_forget(lost: str, broken: bool, where: Settings) -> None:
    """A rebuild that would lose events of a segment that is not whole any more does not happen.

    Also where only the published file can still tell of it.
    """
    path = drop(where, "a.jsonl", line(moment(1)), line(moment(2)))
    ingest(where)
    packed = bytearray(zstandard.ZstdCompressor(write_checksum=True).compress(path.read_bytes()))
    path.unlink()
    if lost == "cut":
        drop(where, "a.jsonl", line(moment(1)))
    elif lost == "damaged":
        packed[-1] ^= 1
        drop(where, "a.jsonl.zst", bytes(packed))
    elif lost == "cut and compressed":
        drop(where, "a.jsonl.zst", bytes(packed[:-8]))
    if broken:
        private_path(Path(where.warehouse)).write_bytes(b"broken" * 1000)

    with pytest.raises(WarehouseError, match="lack the events") as told:
        ingest(where, rebuild=True)
    assert count(where) == 2
    is_read = lost in ("gone", "cut")
    assert ("(segment a.jsonl is not whole zstd data" in str(told.value)) is not is_read


@pytest.mark.parametrize("lost", ["missing", "broken", "of another home", "written to"])
def test_what_has_expired_outlives_the_private_file(
    lost: str, where: Settings, tmp_path: Path
) -> None:
    """Where the private file is lost, no event goes that only the published one still holds.

    Nor where another stands in its place, as whoever restores a copy of a home leaves one.
    """
    path = drop(where, "a.jsonl", line(moment(1)))
    ingest(where)
    path.unlink()
    (where.spool / "expired.log").write_text('{"segment": "a.jsonl", "bytes": 300}\n')
    drop(where, "b.jsonl", line(moment(2)))
    private = private_path(Path(where.warehouse))
    private.unlink() if lost == "missing" else None
    if lost == "broken":
        private.write_bytes(b"broken" * 1000)
    elif lost == "of another home":
        other = home(tmp_path / "other")
        ingest(other)
        shutil.copy(private_path(Path(other.warehouse)), private)
    elif lost == "written to":  # its log is of another moment than the file
        leave_log(private)

    assert ingest(where).inserted == 1
    assert count(where) == 2
    with pytest.raises(WarehouseError, match="lack the events"):
        ingest(where, rebuild=True)


def test_a_published_file_that_holds_more_is_never_replaced(where: Settings) -> None:
    """Where it was elsewhere meanwhile, and what it holds has expired, loading goes on with it.

    Where each of the two holds what the other lacks, whoever runs it decides.
    """
    ingest(where)
    private, published = private_path(Path(where.warehouse)), Path(where.warehouse)
    elsewhere = replace(where, warehouse=str(where.home / "elsewhere.duckdb"))
    published.rename(elsewhere.warehouse)
    expired = drop(where, "a.jsonl", line(moment(1)))
    ingest(elsewhere)
    expired.unlink()
    shutil.copy(elsewhere.warehouse, published)
    ingest(where)
    assert count(where) == 1

    expired = drop(where, "b.jsonl", line(moment(2)))
    ingest(elsewhere)
    expired.unlink()
    drop(where, "c.jsonl", line(moment(3)))
    ingest(where)
    published.unlink()
    shutil.copy(elsewhere.warehouse, published)
    with pytest.raises(WarehouseError, match=f"delete {private.name} to go on"):
        ingest(where)
    private.unlink()
    ingest(where)
    assert count(where) == 3


@pytest.mark.parametrize(
    ("published", "private"), [("older", "new"), ("older", "broken"), ("broken", "broken")]
)
def test_a_rebuild_asks_the_receipts_too(published: str, private: str, where: Settings) -> None:
    """What has expired is missed though no file tells of it; a new warehouse is a decision."""
    ingest(where)
    forms = {"older": Path(where.warehouse).read_bytes(), "broken": b"broken" * 1000}
    path = drop(where, "a.jsonl", line(moment(1)))
    ingest(where)
    path.unlink()
    (where.spool / "expired.log").write_text('{"segment": "a.jsonl", "bytes": 300}\n')
    drop(where, "b.jsonl", line(moment(2)))
    files = Path(where.warehouse), private_path(Path(where.warehouse))
    for file, form in zip(files, (published, private), strict=True):
        file.unlink()
        if form in forms:
            file.write_bytes(forms[form])
    with pytest.raises(WarehouseError, match="this spool lacks 1 segment of"):
        ingest(where, rebuild=True)
    for file in files:
        file.unlink(missing_ok=True)

    assert ingest(where).inserted == 1


def test_what_stands_nowhere_any_more_is_told(where: Settings) -> None:
    """Segments that expired and that a new warehouse does not hold are a warning of each command.

    The load itself is done, and once they, or a warehouse that does, are restored as the warning
    says, nothing is lacking.
    """
    where = replace(where, retain_days=0)
    (where.spool / RECEIVED).parent.mkdir()
    path = drop(where, RECEIVED, bare(moment(1)))
    kept = path.read_bytes()
    ingest(where)
    backup = Path(shutil.copy(where.warehouse, where.home / "backup"))
    drop(where, "b.jsonl", bare(moment(2)))
    ingest(where)
    assert not path.exists()
    assert not [one for one in status(where)["warnings"] if "expired" in one]
    for file in (private_path(Path(where.warehouse)), Path(where.warehouse)):
        file.unlink()
    said = {}
    for name, arguments in (("ingest", []), ("status", ["--json"]), ("verify", ["--json"])):
        process = command(where, name, *arguments)
        out, told = process.communicate(timeout=60)
        assert process.returncode == 0
        said[name] = json.loads(out)["warnings"] if arguments else told.decode()

    assert said["ingest"] == f"loader: warning: {said['verify'][0]}\n"
    assert said["verify"][0].startswith("1 segment expired") and said["verify"][0].endswith(".")
    assert said["verify"][0] in said["status"]
    backup.replace(where.warehouse)
    private_path(Path(where.warehouse)).unlink()
    assert ingest(where).inserted == 1
    assert count(where) == 2 and not [one for one in status(where)["warnings"] if "expired" in one]
    for file in (private_path(Path(where.warehouse)), Path(where.warehouse)):
        file.unlink()
    path.write_bytes(kept)
    told = []
    ingest(where, warn=told.append)
    assert told == []
    assert not [one for one in status(where)["warnings"] if "expired" in one]


def test_a_segment_that_another_loader_put_away_is_not_missed(
    where: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What expires between a loader's look and its reading is no segment to be restored."""
    path = drop(where, "a.jsonl", line(moment(1)))
    ingest(where)
    drop(where, "a.jsonl", line(moment(2)))
    read = loading.read_block

    def put_away(segment: Segment, offset: int, limit: int) -> bytes:
        path.unlink(missing_ok=True)
        receipt = {"segment": "a.jsonl", "bytes": offset}
        (where.spool / "expired.log").write_text(json.dumps(receipt) + "\n")
        return read(segment, offset, limit)

    monkeypatch.setattr(loading, "read_block", put_away)

    assert ingest(where).read == 0


def test_a_tie_does_without_what_another_loader_puts_away(
    where: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tied line that expires before it is read again takes no part, and ends no loading."""
    path = drop(where, "a.jsonl", line(moment(1)))
    ingest(where)
    drop(where, "a.jsonl", line(OPEN | {"extra": 1}))
    ingest(where)
    drop(where, "b.jsonl", line(OPEN | {"extra": 2}))
    read = ties.read_block

    def put_away(segment: Segment, offset: int, limit: int) -> bytes:
        if path.exists():
            receipt = {"segment": "a.jsonl", "bytes": path.stat().st_size}
            (where.spool / "expired.log").write_text(json.dumps(receipt) + "\n")
            path.unlink()
        return read(segment, offset, limit)

    monkeypatch.setattr(ties, "read_block", put_away)

    assert ingest(where).read == 1
    assert query.ask(where, "select extra from open").rows() == [('{"extra":2}',)]


def test_views_of_earlier_versions_go(where: Settings) -> None:
    """A view or macro that no file makes any more is in no warehouse that is loaded anew.

    A table, which may hold what stands nowhere else, stays.
    """
    ingest(where)
    with rewritten(where) as con:
        con.execute("create view older as select 1 as one")
        con.execute("create table older_events as select 1 as one")
        con.execute("create macro older_rate(a) as a")
        con.execute("create macro older_rows(a) as table select a")
        con.execute("delete from schema_state")
    drop(where, "a.jsonl", line(moment(1)))
    ingest(where)
    with query.connect(where) as con:
        views = con.execute("select count(*) from duckdb_views() where view_name = 'older'")
        assert views.fetchall() == [(0,)]
        names = con.execute("select function_name from duckdb_functions() where not internal")
        assert not {"older_rate", "older_rows"} & {name for (name,) in names.fetchall()}
        assert con.execute("from older_events").fetchall() == [(1,)]


def test_every_object_says_what_it_is(where: Settings) -> None:
    """Every table, view and macro has the comment that its file begins with, after an upgrade too.

    Also those that a full refresh makes anew.
    """
    drop(where, "a.jsonl", line(moment(1)))
    ingest(where)
    first = comments(where)
    with rewritten(where) as con:
        con.execute("comment on table delivered is 'older'; comment on view messages is 'older'")
        con.execute("update schema_state set fingerprint = 'older'")
    drop(where, "b.jsonl", line(moment(2)))
    ingest(where)

    texts = {file.stem: file.read_text("utf-8") for file in definitions()}
    heads = {name: re.findall(r"\A(?:--.*\n)+", text)[0] for name, text in texts.items()}
    assert first == {name: head.replace("-- ", "").rstrip() for name, head in heads.items()}
    assert comments(where) == first


def test_a_warehouse_of_another_version_is_told(where: Settings) -> None:
    """Until something is loaded after an upgrade, status says whose figures it shows."""
    drop(where, "a.jsonl", line(moment(1)))
    ingest(where)
    assert not said_other_version(status(replace(where, timezone="Asia/Tokyo")))
    with rewritten(where) as con:
        con.execute("update schema_state set fingerprint = 'older'")
    assert said_other_version(status(where))
    ingest(where)

    assert not said_other_version(status(where))


def test_views_of_another_version_stop_nobody_with_a_trace(where: Settings) -> None:
    """What status and quarantine do not find in an older warehouse is one sentence."""
    drop(where, "a.jsonl", line(moment(1)))
    ingest(where)
    with rewritten(where) as con:
        con.execute("create or replace view quarantine_reason as select 1 as one")

    for look in (status, summary):
        with pytest.raises(WarehouseError, match="another version of loader"):
            look(where)


def said_other_version(found: dict[str, Any]) -> bool:
    """Say whether a status has the warning about another version's warehouse."""
    return OTHER_VERSION in found["warnings"]


@contextmanager
def rewritten(where: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    """Change both files of a warehouse, as if another version had left them so."""
    private, published = private_path(Path(where.warehouse)), Path(where.warehouse)
    with duckdb.connect(str(private)) as con:
        yield con
    published.unlink()
    shutil.copy(private, published)


def test_an_error_of_a_load_shows_no_address(where: Settings) -> None:
    """What DuckDB quotes of an event that a table does not take is not told."""
    ingest(where)
    with rewritten(where) as con:
        con.execute("create table other as select * replace (1 as recipient) from delivered")
        con.execute("drop table delivered; alter table other rename to delivered")
    drop(where, "a.jsonl", line(DELIVERED))
    with pytest.raises(WarehouseError, match="cannot be loaded") as caught:
        ingest(where)

    assert "example.com" not in str(caught.value)


def test_a_broken_private_file_is_told_and_rebuilt(where: Settings) -> None:
    """Where neither file opens that is one sentence, which names the way out, and that works.

    What is left of its log does not reach the one that is made anew.
    """
    drop(where, "a.jsonl", line(moment(1)))
    ingest(where)
    private = private_path(Path(where.warehouse))
    leave_log(private)
    Path(where.warehouse).unlink()
    for file in (private, Path(where.warehouse)):
        file.write_bytes(b"broken" * 1000)

    with pytest.raises(WarehouseError, match="--rebuild"):
        ingest(where)
    ingest(where, rebuild=True)
    drop(where, "a.jsonl", line(moment(2)))
    ingest(where)
    assert count(where) == 2


def test_tables_of_another_version_are_told_and_rebuilt(where: Settings) -> None:
    """Where a table lacks a field of this version, or has one more, that is one sentence."""
    drop(where, "a.jsonl", line(CLICK), line(CLICK | {"url": "https://example.com/2"}))
    ingest(where)
    for change in ("drop column url", "add column user_agent varchar"):
        with rewritten(where) as con:
            con.execute(f"alter table click {change}")
        with pytest.raises(WarehouseError, match=r"click was made by .* --rebuild"):
            ingest(where)
        ingest(where, rebuild=True)

        assert count(where, "click where url is not null") == 2


def test_retry_after_a_fix(where: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was set aside is loaded once it can be read, and the ledger's sums stay true."""
    numbered = line(OPEN | {"sender": 7})
    array = line([CLICK, OPEN | {"sender": 8, "recipient": "other@example.com"}], key="events")
    drop(where, "a.jsonl", line(OPEN), numbered, array, b"nope\n")
    ingest(where)
    assert told_quarantine(summary(where))[0].split()[:2] == ["2", "wrong_type:sender"]
    retry(where)  # nothing was mended yet, and an array's other events are read again
    let_any_sender(monkeypatch)
    found = retry(where)

    assert found["retried"] == {"read": 3, "inserted": 1, "duplicates": 1, "quarantined": 1}
    assert [row["reason"] for row in found["reasons"]] == ["not_json"]
    assert query.ask(where, LEDGER).rows() == [(5, 3, 1, 1)]
    assert count(where, "open") == 2
    kept = [query.ask(where, f"from {table} order by all").rows() for table in KEPT]
    ingest(where, rebuild=True)
    assert [query.ask(where, f"from {table} order by all").rows() for table in KEPT] == kept


def test_a_line_that_holds_more_than_it_seemed_is_counted(
    where: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where one line of the quarantine is read as two events, the ledger counts both, no less."""
    drop(where, "a.jsonl", line([OPEN, CLICK], key="events"))
    monkeypatch.setattr(events, "_is_array", lambda _held: False)
    ingest(where)
    monkeypatch.undo()

    assert retry(where)["retried"] == {"read": 1, "inserted": 2, "duplicates": 0, "quarantined": 0}
    assert query.ask(where, LEDGER).rows() == [(2, 2, 0, 0)]


@pytest.mark.parametrize("cut", [False, True])
def test_retry_of_what_has_expired(
    cut: bool, where: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines whose segment is gone, or was cut, keep reason and place until they can be read."""
    wrong = [OPEN | {"sender": number, "recipient": f"{number}@example.com"} for number in range(3)]
    path = drop(where, "a.jsonl", line(OPEN), b'{"not": "utf8 \xff"}\n', b"nope\n")
    drop(where, "a.jsonl", line([CLICK, *wrong], key="events"), line(DELIVERED))
    ingest(where)
    os.truncate(path, 9) if cut else path.unlink()
    aside = "from quarantine order by all"
    before, offsets = query.ask(where, aside).rows(), published_offsets(where)
    assert len(before) == 5
    assert retry(where)["retried"]["quarantined"] == 5
    assert query.ask(where, aside).rows() == before
    let_any_sender(monkeypatch)
    found = retry(where)

    assert found["retried"] == {"read": 5, "inserted": 3, "duplicates": 0, "quarantined": 2}
    assert {row["reason"] for row in found["reasons"]} == {"not_json", "not_utf8"}
    assert query.ask(where, LEDGER).rows() == [(8, 6, 0, 2)]
    assert published_offsets(where) == offsets


def test_status_says_how_things_stand(where: Settings) -> None:
    """Lag, tables, the last load, the quarantine and the match rate, also before any load."""
    assert status(where)["warnings"] == ["nothing has been loaded yet: run loader ingest."]
    drop(where, "a.jsonl", line(DELIVERED), line(OPEN), b"nope\n")
    ingest(where)
    drop(where, "a.jsonl", line(CLICK))
    found = status(where)

    assert found["spool"]["lag_bytes"] == len(line(CLICK))
    assert found["events"] == {"read": 3, "inserted": 2, "duplicates": 0, "quarantined": 1}
    assert (found["tables"]["delivered"], found["quarantine"]) == (1, {"not_json": 1})
    assert found["match_rate"] == 0.0
    assert any(
        sentence.startswith("warning    1 line was set aside (not_json)")
        for sentence in sentences(found)
    )


@pytest.mark.parametrize(
    "statement",
    [
        "create table t as select 1",
        "delete from delivered",
        "copy delivered to 'out.csv'",
        "select * from read_text('/etc/passwd')",
        "select * from sniff_csv('/etc/passwd')",
        "attach '/etc/passwd' as other",
        "set enable_external_access = true",
        "load httpfs",
        "selec 1",
        "",
        "select 1; select 2",
        "copy (select 1) to '{warehouse}.wal'",
        "explain analyze copy (select 1) to '{warehouse}.wal'",
        "select 1; copy (select 1) to '{warehouse}.wal'",
        "pivot (select 1 as a) on a in (1) using count(*); select 1",
        "import database 'http://127.0.0.1:1'",
    ],
)
def test_queries_can_only_read(statement: str, empty: Settings) -> None:
    """Nothing but the warehouse can be read, nothing be written; the error is one sentence."""
    with pytest.raises(LoaderError, match="the query does not run"):
        query.ask(empty, statement.format(warehouse=empty.warehouse))
    assert not Path("out.csv").exists() and not Path(f"{empty.warehouse}.wal").exists()


def test_a_connection_is_the_same_everywhere(
    where: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the zone of the machine, times are UTC, and no statement changes a setting."""
    ingest(where)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    process = command(where, "sql", "select timestamptz '2026-01-01 20:00:00+00'::date as day")
    out, _ = process.communicate(timeout=60)
    with query.connect(where) as con:
        for refused in ("set TimeZone = 'Asia/Tokyo'", "reset temp_directory", "set threads = 1"):
            with pytest.raises(duckdb.Error, match="locked"):
                con.execute(refused)

    assert b"2026-01-01" in out


@pytest.mark.parametrize(
    ("statement", "rows"),
    [
        ('select interval 90 minutes as a, 1 as a, [interval 1 day] as "b""c"', 1),
        ("select {'a': interval 1 day} as a, 1::bignum as b, '10:00:00+02'::timetz as c", 1),
        ("explain analyze select 1", 1),
        ("pivot (select 'x' as k, 1 as n) on k using sum(n)", 1),
        ("pivot (select '[/b]' as k, 'y' as j, 1 as n) on k, j using sum(n)", 1),
        ("show tables", None),
        ("-- of nothing\nselect 1 where false;", 0),
    ],
)
def test_whatever_reads_is_answered(statement: str, rows: int | None, empty: Settings) -> None:
    """Every statement that only reads is run, and every type of DuckDB has a form to show."""
    found = query.ask(empty, statement)

    assert rows is None or found.height == rows
    assert query.to_table(found) and query.to_json(found) and query.to_csv(found)


def test_a_query_that_is_refused_has_read_nothing(empty: Settings, tmp_path: Path) -> None:
    """Of files that a statement would read, not even its error shows a word."""
    for name in ("schema.sql", "load.sql"):
        (tmp_path / name).write_text("hidden words")
    with pytest.raises(LoaderError, match="the query does not run") as caught:
        query.ask(empty, f"import database '{tmp_path}'")

    assert "hidden" not in str(caught.value)


def test_an_error_of_a_query_shows_no_address(empty: Settings) -> None:
    """What DuckDB quotes of a row that cannot be converted is shown without the address."""
    with pytest.raises(LoaderError, match="convert") as caught:
        query.ask(empty, "select 'someone@example.com'::int")

    assert "example.com" not in str(caught.value)


def test_a_time_beyond_what_can_be_shown_is_told(empty: Settings) -> None:
    """An answer with a year beyond 9999 gets a sentence in every form that cannot show it."""
    for value in ("[timestamp '12000-01-01']", "timestamp 'infinity'", "date '290000-01-01'"):
        found = query.ask(empty, f"select {value} as beyond")
        for form in (query.to_table, query.to_json, query.to_csv):
            with pytest.raises(LoaderError, match="years 1 to 9999"):
                form(found)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("map {1: 'a'}", '{"1":"a"}'),
        ("170141183460469231731687303715884105::hugeint", '"170141183460469231731687303715884105"'),
        ("340282366920938463463374607431768211455::uhugeint",
         '"340282366920938463463374607431768211455"'),
        ("'ab'::blob", '"6162"'),
        ("date '9999-12-31'", '"9999-12-31"'),
    ],
)  # fmt: skip
def test_every_value_has_a_form(value: str, written: str, empty: Settings) -> None:
    """What JSON or a spreadsheet has no number or form for is written as text, and is not lost."""
    found = query.ask(empty, f"select {value} as v")

    assert query.to_json(found) == f'{{"columns":["v"],"rows":[{{"v":{written}}}]}}'
    assert json.loads(written) in (*query.to_csv(found).splitlines(), {"1": "a"})


def test_a_parquet_file_takes_the_place_of_files_only(tmp_path: Path) -> None:
    """A link is followed; a pipe, a device or a directory is refused and stays what it is."""
    (tmp_path / "real.parquet").write_bytes(b"older")
    (tmp_path / "link.parquet").symlink_to(tmp_path / "real.parquet")
    os.mkfifo(tmp_path / "pipe")
    frame = pl.DataFrame({"a": [1]})
    query.write_parquet(frame, tmp_path / "link.parquet")
    for name in ("pipe", "."):
        with pytest.raises(LoaderError, match="it is no file"):
            query.write_parquet(frame, tmp_path / name)

    assert (tmp_path / "link.parquet").is_symlink()
    assert pl.read_parquet(tmp_path / "real.parquet").item() == 1
    assert (tmp_path / "pipe").is_fifo()
    assert {path.name for path in tmp_path.iterdir()} == {"real.parquet", "link.parquet", "pipe"}


def test_a_file_that_cannot_be_ended_stays_as_it_was(tmp_path: Path) -> None:
    """A disk that is full when the last bytes go to it costs nobody the file that was there."""
    path = tmp_path / "rows.parquet"
    path.write_bytes(b"older")
    with pytest.raises(OSError, match="No space left"), written(path) as file:
        file.write(b"newer")
        with Path("/dev/full").open("wb") as full:
            os.dup2(full.fileno(), file.fileno())

    assert [one.read_bytes() for one in tmp_path.iterdir()] == [b"older"]


def test_the_last_load_is_told_whole(where: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many segments, and batches, one load has, its status is the sum of them all."""
    monkeypatch.setattr("loader.ingest.BATCH_BYTES", 400)
    drop(where, "first.jsonl", line(moment(0)))
    ingest(where)
    for number in range(3):
        drop(where, f"{number}.jsonl", *(line(moment(1 + 9 * number + n)) for n in range(9)))
    ingest(where)
    loads = query.ask(where, "select count(distinct started_at) from ingest_ledger").item()

    assert loads == 2
    assert status(where)["last_load"]["read"] == 27


def test_a_clock_that_was_put_back_hides_no_load(
    where: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last load is the one that was written last, though one before has a later time."""
    drop(where, "a.jsonl", line(moment(0)))
    with monkeypatch.context() as wrong:
        wrong.setattr("loader.warehouse._now", lambda: datetime(2099, 1, 1))
        ingest(where)
    drop(where, "b.jsonl", line(moment(1)), line(moment(2)))
    ingest(where)

    assert status(where)["last_load"]["read"] == 2
    assert 0 <= query.ask(where, "select load_age_hours from freshness").item() < 1


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/Los_Angeles"])
def test_every_moment_has_a_day(zone: str, where: Settings) -> None:
    """Events at the ends of the calendar stop no page, east or west of Greenwich."""
    where = replace(where, timezone=zone)
    for moment in ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"):
        drop(where, "a.jsonl", *(line(e | {"timestamp": moment}) for e in (DELIVERED, OPEN, CLICK)))
    ingest(where)
    with query.connect(where) as con:
        views = con.execute("select view_name from duckdb_views() where not internal").fetchall()
        for (view,) in views:
            con.sql(f"from {view}").pl().rows()


def test_a_file_may_have_any_name(where: Settings) -> None:
    """A file whose name is no UTF-8 is loaded like any other, once."""
    drop(where, "a.jsonl", line(DELIVERED))
    (where.spool / "a.jsonl").rename(os.fsdecode(bytes(where.spool) + b"/\xe9.jsonl"))

    assert [ingest(where).inserted, ingest(where).read] == [1, 0]
    assert published_offsets(where) == {"\\xe9.jsonl": len(line(DELIVERED))}


def test_a_link_to_a_warehouse_stays_one(where: Settings, tmp_path: Path) -> None:
    """Where the warehouse is a link, what it leads to is published, and has the rest beside it.

    One that leads to a disk that is not there is told.
    """
    link, disk = Path(where.warehouse), tmp_path / "disk"
    link.symlink_to(disk / "w.duckdb")
    with pytest.raises(SettingsError, match="leads nowhere"):
        ingest(where)
    disk.mkdir()
    drop(where, "a.jsonl", bare(moment(1)))
    ingest(where)
    drop(where, "a.jsonl", bare(moment(2)))
    ingest(where)

    assert link.is_symlink()
    assert count(where) == count(replace(where, warehouse=str(disk / "w.duckdb"))) == 2
    assert private_path(disk / "w.duckdb").exists() and not private_path(link).exists()


def test_another_file_is_never_replaced(tmp_path: Path) -> None:
    """Where LOADER_WAREHOUSE names something that is no warehouse, that stands as it was."""
    other, folder = tmp_path / "notes.txt", tmp_path / "folder"
    other.write_text("precious")
    folder.mkdir()
    with duckdb.connect(str(tmp_path / "own.duckdb")) as con:
        con.execute("create table mine as select 1 as n")
    for path in (other, folder, tmp_path / "own.duckdb"):
        with pytest.raises(WarehouseError, match="is not a warehouse"):
            ingest(replace(home(tmp_path / "home"), warehouse=str(path)))

    assert other.read_text() == "precious"
    with duckdb.connect(str(tmp_path / "own.duckdb")) as con:
        assert con.sql("from mine").fetchall() == [(1,)]


def test_a_spool_that_went_away_is_told(where: Settings, tmp_path: Path) -> None:
    """A spool that is not there any more, or is none, is never taken for an empty one."""
    drop(where, "a.jsonl", bare(DELIVERED))
    ingest(where)
    where.spool.rename(tmp_path / "elsewhere")

    with pytest.raises(SpoolError, match="is not there"):
        ingest(where)
    assert any("is not there" in sentence for sentence in status(where)["warnings"])
    with pytest.raises(SpoolError, match="no spool"):
        verify(where, {})
    where.spool.write_text("a file")
    with pytest.raises(SpoolError, match="cannot be read"):
        ingest(where)


def test_the_zone_of_the_reports_is_told(where: Settings) -> None:
    """A zone that DuckDB does not know is refused; one that reports do not have yet is told."""
    ingest(where)
    other = replace(where, timezone="Asia/Kathmandu")

    assert any("Asia/Kathmandu" in sentence for sentence in status(other)["warnings"])
    ingest(other)
    assert not any("Kathmandu" in sentence for sentence in status(other)["warnings"])
    with pytest.raises(LoaderError, match="posix/Asia/Tokyo"):
        ingest(replace(where, timezone="posix/Asia/Tokyo"))


def test_a_refresh_has_the_memory_it_needs(
    where: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refresh that runs out of its memory is made in small parts, then with the machine's."""
    lines = [line({**DELIVERED, "message_id": f"<{n}@shop.example>"}) for n in range(20_000)]
    drop(where, "a.jsonl", *lines)
    monkeypatch.setattr(file_target, "REFRESHING", "set memory_limit = '3MB'")

    assert ingest(where).published
    assert query.ask(where, "select attempted from recipient_health").rows() == [(20_000,)]


@pytest.mark.parametrize("rebuild", [False, True])
def test_a_load_has_the_memory_it_needs(
    rebuild: bool, where: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Texts too large for the memory of a load are loaded with that of the machine, and counted."""
    drop(where, "a.jsonl", *(line(large(n)) for n in range(400)), b"\0" * 1_000_000 + b"\n")
    monkeypatch.setattr(file_target, "LOADING", "set memory_limit = '16MB'")
    found = ingest(where, rebuild=rebuild)

    assert (found.read, found.inserted, found.quarantined) == (401, 400, 1)
    assert query.ask(where, "select min(length(event)) from other_event").item() > 64_000
    assert query.ask(where, "select length(line) from quarantine").item() == 1_000_000
    assert ingest(where).read == 0


def test_a_line_that_is_too_long_is_set_aside(where: Settings) -> None:
    """However it is come upon, such a line is set aside by how it begins; the rest is loaded."""
    long = LONGEST_LINE + 1
    good, cut = line(DELIVERED), line(OPEN)[:-1].ljust(BEGINNING)
    drop(where, "a.jsonl", good, cut.ljust(long) + b"\n", cut.ljust(4 * long) + b"\n", line(CLICK))
    packed = zstandard.compress((where.spool / "a.jsonl").read_bytes())
    (where.spool / "b.jsonl.zst").write_bytes(packed)
    found = ingest(where)
    aside = query.ask(where, "select * exclude received_at from quarantine order by all").rows()

    assert (found.read, found.inserted, found.duplicates, found.quarantined) == (8, 2, 2, 4)
    assert found.bytes == 2 * (where.spool / "a.jsonl").stat().st_size
    assert aside == [
        ("too_long", cut.decode(), segment, offset)
        for segment in ("a.jsonl", "b.jsonl")
        for offset in (len(good), len(good) + long + 1)
    ]
    assert retry(where)["retried"]["quarantined"] == 4
    found = {finding.offset for finding in verify(where, published_offsets(where)).places}
    assert found == {0, len(good) + 5 * long + 2}  # the others, which no secret here verifies


def test_short_lines_are_few_at_a_time(where: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch has a bounded number of lines, however short these are: each has a row."""
    drop(where, "a.jsonl", b"7\n" * 5000, line(DELIVERED))
    monkeypatch.setattr("loader.ingest.BATCH_BYTES", 9600)
    found = ingest(where)
    most = query.ask(where, "select max(read), count(*) from ingest_ledger").row(0)

    assert (found.read, found.inserted, found.quarantined) == (5001, 1, 5000)
    assert most[0] <= 3 * 9600 // LINE_BYTES + 1
    assert most[1] > 10


def test_the_largest_body_is_not_too_long() -> None:
    """The line of the largest body that a receiver can be told to take is one that is read."""
    assert (
        len(frame(datetime.now(UTC), "w" * 100, "s", "body", b"\1" * LARGEST_BODY)) < LONGEST_LINE
    )


@pytest.mark.parametrize("rebuild", [False, True])
def test_what_a_killed_rebuild_left_is_removed(
    rebuild: bool, where: Settings, tmp_path: Path
) -> None:
    """The next ingest removes the files of one that was killed, and what DuckDB spilled then."""
    ingest(where)
    private = private_path(Path(where.warehouse))
    for name in ("rebuild", "rebuild.wal", "rebuild.born", "rebuild.born.wal"):
        private.with_name(f"{private.name}.{name}").touch()
    for name in ("rebuild", "rebuild.born", "born"):
        spilled = private.with_name(f"{private.name}.{name}.tmp")
        spilled.mkdir()
        (spilled / "duckdb_temp_storage_DEFAULT-0.tmp").write_bytes(b"rows")
    private.unlink()
    ingest(where, rebuild=rebuild)

    assert not [*tmp_path.glob("*.rebuild*"), *tmp_path.glob("*.born*")]


def test_answers_have_the_usual_forms(tmp_path: Path) -> None:
    """A table to look at, CSV that no spreadsheet computes, JSON and Parquet with types kept."""
    texts = ["=1+1", "plain", "\x1b[31mred", "-3", None]
    frame = pl.DataFrame(
        {"=name": texts, "n": [1, -2, 3, 4, 5], "x": [0.5, float("nan"), None, 1, 2]}
    )
    table, csv = query.to_table(frame), query.to_csv(frame)
    answer = json.loads(query.to_json(frame))
    query.write_parquet(frame, tmp_path / "x.parquet")

    assert "\x1b" not in table and "\\x1b[31mred" in table and "(5 rows)" in table
    assert csv.splitlines()[:3] == ["'=name,n,x", "'=1+1,1,0.5", "plain,-2,NaN"]
    assert "'-3,4" in csv
    assert answer["columns"] == ["=name", "n", "x"]
    assert answer["rows"][1] == {"=name": "plain", "n": -2, "x": None}
    assert pl.read_parquet(tmp_path / "x.parquet").equals(frame)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a;=1+1;b", "a;'=1+1;b"),
        ("a; @b", "a;' @b"),
        ("a\r=1", '"a\r\'=1"'),
        ("a\n-1", '"a\n\'-1"'),
        ("\t=1", "\t'=1"),
        ("\tb", "'\tb"),
        (" +1", "' +1"),
        ("https://x.example/?a=1&b=-2;c=3", "https://x.example/?a=1&b=-2;c=3"),
    ],
)
def test_csv_has_no_formula_where_a_spreadsheet_begins_a_cell(text: str, written: str) -> None:
    """No cell of CSV begins like a formula, behind a semicolon or as an enumerated word either."""
    for kind in (pl.String, pl.Categorical, pl.Enum([text])):
        frame = pl.DataFrame({"a": pl.Series([text], dtype=kind)})

        assert query.to_csv(frame) == f"a\n{written}\n"
    assert query.to_csv(pl.DataFrame({text: [1]})) == f"{written}\n1\n"


def test_progress_is_told_in_events_and_their_share(
    where: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever shows it learns as batches are loaded how much has been done, and what share."""
    monkeypatch.setattr("loader.ingest.BATCH_BYTES", 2000)
    lines = [bare(moment(number)) for number in range(300)]
    drop(where, "a.jsonl", *lines)
    told: list[tuple[int, float]] = []
    ingest(where, progress=lambda *numbers: told.append(numbers))

    assert len(told) > 2 and told == sorted(told)
    assert told[-1] == (300, 1.0)
