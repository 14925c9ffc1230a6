"""The spool: what was appended is there, once, and readers are given only what stays."""

import errno
import fcntl
import os
import stat
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from loader import spool
from loader import writer as writing
from loader.durable import sync_directory
from loader.errors import SpoolError
from loader.framing import frame, unframe
from loader.spool import (
    holds_more,
    list_segments,
    read_block,
    segment_end,
)
from loader.strict_json import form
from loader.writer import Writer, prepare
from tests.provider import lines_of

NOW = datetime(2026, 11, 23, 7, 0, 0, 123456, UTC)


def everything(home: Path) -> bytes:
    """Return all lines of a spool."""
    return b"".join(lines_of(home))


@contextmanager
def failing(call: str, error: int, times: int = 1) -> Iterator[None]:
    """Let the next ``times`` calls of ``os.<call>`` fail."""
    real, left = getattr(os, call), [times]

    def fail(*arguments: object, **named: object) -> object:
        if left[0]:
            left[0] -= 1
            raise OSError(error, os.strerror(error))
        return real(*arguments, **named)

    with mock.patch.object(spool.os, call, fail):
        yield


# ── lines ────────────────────────────────────────────────────────────────────────────────────


def test_line_is_as_promised() -> None:
    """The line has the keys, the order and the spacing of the contract."""
    line = frame(NOW, "inboxroad", "c2ln", "event", b'{"kind":  "open"}')
    assert line == (
        b'{"received_at": "2026-11-23T07:00:00.123456Z", "webhook": "inboxroad", '
        b'"signature": "c2ln", "event": {"kind":  "open"}}\n'
    )


def test_line_is_in_utc() -> None:
    """The time of arrival is written in UTC, whatever zone it is given in."""
    local = NOW.replace(microsecond=0).astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert b'"2026-11-23T07:00:00.000000Z"' in frame(local, "inboxroad", "", "event", b"{}")


@given(st.binary(max_size=200))
def test_every_body_comes_back(body: bytes) -> None:
    """Whatever was signed stands in one line and comes back byte for byte."""
    line = frame(NOW, "inboxroad", "c2ln", form(body).key, body)
    framed = unframe(line)
    assert line.endswith(b"\n") and line.count(b"\n") == 1
    assert framed is not None and framed.body == body


def test_bare_event_was_not_framed() -> None:
    """A bare event is told apart from a framed line."""
    assert unframe(b'{"kind": "open"}\n') is None


# ── writing ──────────────────────────────────────────────────────────────────────────────────


def test_append_is_readable_at_once(tmp_path: Path) -> None:
    """What ``append`` returned for can be read while the segment is still being written."""
    with Writer(tmp_path / "spool") as writer:
        writer.append(b"one\n")
        writer.append(b"two\nthree\n")
        assert everything(tmp_path / "spool") == b"one\ntwo\nthree\n"


def test_only_the_owner_may_look(tmp_path: Path) -> None:
    """Directories are 0700 and files 0600, whatever the umask is."""
    before = os.umask(0)
    try:
        with Writer(tmp_path / "home" / "spool") as writer:
            writer.append(b"one\n")
            made = [tmp_path / "home", *(tmp_path / "home").rglob("*")]
            modes = {path.is_dir(): stat.S_IMODE(path.stat().st_mode) for path in made}
    finally:
        os.umask(before)
    assert modes == {True: 0o700, False: 0o600}


@pytest.mark.parametrize("made", [False, True])
def test_every_new_directory_is_on_disk(tmp_path: Path, made: bool) -> None:
    """However deep a new home is, the entries that lead to a segment are synced, each after it.

    Those of a home that is there too: whoever made it may have died before it was synced.
    """
    sync, synced = sync_directory, dict[Path, set[str]]()

    def noted(directory: Path) -> None:
        synced[directory] = {path.name for path in directory.iterdir()}
        sync(directory)

    above = tmp_path if made else tmp_path / "a" / "b" / "c"
    home = above / "home" / "spool"
    if made:
        (home / "1970-01-01").mkdir(parents=True)
    noting = mock.patch.object(writing, "sync_directory", noted)
    with noting, Writer(home, clock=lambda: 0.0) as writer:
        writer.append(b"x\n")
        path = list_segments(home)[0].path
    places = [path, *path.parents][: len(path.relative_to(tmp_path).parts)]
    assert [place for place in places if place.name not in synced.get(place.parent, set())] == []


def test_threads_share_syncs(tmp_path: Path) -> None:
    """Many threads appending at once need fewer syncs than lines, and every line is there once."""
    syncs: list[int] = []
    gate = threading.Event()
    real = writing._sync

    def slow(fd: int) -> None:
        gate.wait(0.01)
        real(fd)

    def work(number: int) -> None:
        for turn in range(20):
            writer.append(b"%d.%d\n" % (number, turn))

    with (
        mock.patch.object(writing, "_sync", slow),
        Writer(tmp_path, synced=lambda _seconds, size: syncs.append(size)) as writer,
    ):
        threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    lines = everything(tmp_path).splitlines()
    assert sorted(lines) == sorted(b"%d.%d" % (n, turn) for n in range(16) for turn in range(20))
    assert sum(syncs) == sum(len(line) + 1 for line in lines)
    assert len(syncs) < 80


def test_who_joins_a_batch_is_stored_with_it(tmp_path: Path) -> None:
    """A batch is closed before it is stored, also when a line is just joining it."""
    joining = threading.Event()

    class Slow(bytes):
        def __len__(self) -> int:
            joining.set()
            time.sleep(0.05)
            return super().__len__()

    with Writer(tmp_path) as writer, ThreadPoolExecutor(2) as pool:
        with writer._disk:  # so that the second line finds a batch to join
            appended = [pool.submit(writer.append, b"one\n")]
            while writer._forming is None:
                time.sleep(0.01)
            appended.append(pool.submit(writer.append, Slow(b"two\n")))
            joining.wait()
        for one in appended:
            one.result()
    assert everything(tmp_path) == b"one\ntwo\n"


def test_more_than_may_wait_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for a slow disk is bounded; what is refused for that is not stored."""
    monkeypatch.setattr(writing, "WAITING_BYTES", 9)
    with Writer(tmp_path) as writer, ThreadPoolExecutor(2) as pool:
        with writer._disk:
            waiting = pool.submit(writer.append, b"one\n")
            while writer._forming is None:
                time.sleep(0.01)
            with pytest.raises(SpoolError, match="more is waiting"):
                pool.submit(writer.append, b"refused\n").result(5)
        waiting.result()
    assert everything(tmp_path) == b"one\n"


def test_writers_that_begin_a_day_together_all_store(tmp_path: Path) -> None:
    """Where several make the directories at the same moment, no event is refused for it."""
    together = threading.Barrier(4)

    def begin(home: Path) -> None:
        with Writer(home) as writer:
            together.wait()
            writer.append(b"x\n")

    with ThreadPoolExecutor(4) as pool:
        for number in range(15):
            home = tmp_path / str(number)
            list(pool.map(begin, [home] * 4))
            assert everything(home) == b"x\n" * 4


def test_each_life_has_its_own_segment(tmp_path: Path) -> None:
    """A second writer never appends to a segment of an earlier one."""
    for line in (b"one\n", b"two\n"):
        with Writer(tmp_path) as writer:
            writer.append(line)
    assert [read_block(segment, 0, 99) for segment in list_segments(tmp_path)] == [
        b"one\n",
        b"two\n",
    ]


def test_a_segment_of_an_earlier_life_is_never_taken(tmp_path: Path) -> None:
    """Where a new segment would have the name of an earlier one, that stands, and it is refused."""
    for line in (b"one\n", b"two\n"):
        with Writer(tmp_path, clock=lambda: 0.0, token=lambda: "same") as writer:
            refused = line == b"two\n"
            with pytest.raises(SpoolError, match="exists") if refused else nullcontext():
                writer.append(line)
    assert everything(tmp_path) == b"one\n"


def test_segments_rotate_by_size_and_age(tmp_path: Path) -> None:
    """A segment that is large or old enough is sealed, and the next line starts another."""
    now = [0.0]
    with Writer(tmp_path, rotate_bytes=8, rotate_seconds=60, monotonic=lambda: now[0]) as writer:
        for line, at in ((b"aaaa\n", 0.0), (b"bbbb\n", 1.0), (b"c\n", 2.0), (b"d\n", 70.0)):
            now[0] = at
            writer.append(line)
        blocks = [read_block(segment, 0, 99) for segment in list_segments(tmp_path)]
    assert blocks == [b"aaaa\nbbbb\n", b"c\n", b"d\n"]


@pytest.mark.parametrize("call", ["write", "fdatasync"])
def test_failure_is_refused_and_leaves_nothing(tmp_path: Path, call: str) -> None:
    """A write or sync that fails raises, leaves no bytes behind, and what came before stays."""
    now = [0.0]
    with Writer(tmp_path, monotonic=lambda: now[0]) as writer:
        writer.append(b"before\n")
        patched = mock.patch.object(writing, "_sync", mock.Mock(side_effect=OSError(errno.EIO, "")))
        with failing(call, errno.EIO) if call == "write" else patched, pytest.raises(SpoolError):
            writer.append(b"lost\n")
        now[0] = 10
        writer.append(b"after\n")
        assert everything(tmp_path) == b"before\nafter\n"
        assert len(list_segments(tmp_path)) == 2


def test_short_write_is_cut(tmp_path: Path) -> None:
    """The part that a filling disk still took is cut off, so that it swallows no later line."""
    now = [0.0]
    real = os.write

    def fill(fd: int, data: bytes) -> int:
        if len(data) < 6:
            raise OSError(errno.ENOSPC, "full")
        return real(fd, data[:6])

    with Writer(tmp_path, monotonic=lambda: now[0]) as writer:
        with mock.patch.object(spool.os, "write", fill), pytest.raises(SpoolError):
            writer.append(b"too long\n")
        now[0] = 10
        writer.append(b"fits\n")
        assert everything(tmp_path) == b"fits\n"


@pytest.mark.parametrize("call", ["write", "open", "pwrite"])
def test_failing_disk_is_left_alone_for_a_while(tmp_path: Path, call: str) -> None:
    """After a failure appends are refused without touching the disk until the back-off is over."""
    now = [0.0]
    with Writer(tmp_path, monotonic=lambda: now[0], back_off=1.0) as writer:
        full = mock.patch.object(spool.os, call, side_effect=OSError(errno.ENOSPC, "full"))
        with full as called:
            for _ in range(300):
                with pytest.raises(SpoolError):
                    writer.append(b"x\n")
        assert called.call_count == 1
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert files == []
        now[0] = 1.5
        writer.append(b"again\n")
        assert everything(tmp_path) == b"again\n"


def test_cut_that_fails_is_never_written_behind(tmp_path: Path) -> None:
    """While even the cut fails, readers keep to the last good byte and nothing more is stored."""
    now = [0.0]
    with Writer(tmp_path, monotonic=lambda: now[0]) as writer:
        writer.append(b"good\n")
        broken = mock.patch.object(writing, "_sync", mock.Mock(side_effect=OSError(errno.EIO, "")))
        with broken, failing("ftruncate", errno.EIO, times=2):
            for _ in range(2):
                with pytest.raises(SpoolError):
                    writer.append(b"bad\n")
                now[0] += 5
        assert everything(tmp_path) == b"good\n"
        writer.append(b"later\n")
        assert everything(tmp_path) == b"good\nlater\n"
    left = [path.read_bytes() for path in sorted(tmp_path.glob("*/*"))]
    assert left == [b"good\n", b"later\n"]  # the cut was made up for, and both are sealed


def test_full_disk_is_refused_before_it_is_full(tmp_path: Path) -> None:
    """When few bytes or inodes are free nothing more is stored."""
    real = os.statvfs(tmp_path)
    few_bytes = mock.Mock(
        f_blocks=real.f_blocks, f_frsize=real.f_frsize, f_bavail=10, f_files=0, f_favail=0
    )
    few_files = mock.Mock(
        f_blocks=real.f_blocks, f_frsize=real.f_frsize, f_bavail=real.f_blocks, f_files=10**6,
        f_favail=5,
    )  # fmt: skip
    with Writer(tmp_path) as writer:
        writer.append(b"fits\n")
        for found, word in ((few_bytes, "nearly full"), (few_files, "inodes")):
            with (
                mock.patch.object(spool.os, "statvfs", return_value=found),
                pytest.raises(SpoolError, match=word),
            ):
                writer.append(b"x\n")
        writer.append(b"again\n")
        assert everything(tmp_path) == b"fits\nagain\n"


@pytest.mark.parametrize("deed", ["unlink", "replace", "truncate", "grow"])
def test_meddling_is_noticed(tmp_path: Path, deed: str) -> None:
    """A segment that somebody deletes, replaces, cuts or writes to is left alone from then on."""
    with Writer(tmp_path) as writer:
        writer.append(b"before\n")
        path = list_segments(tmp_path)[0].path
        if deed in {"unlink", "replace"}:
            path.unlink()
        if deed in {"replace", "grow"}:
            with path.open("ab") as file:
                file.write(b"foreign\n")
        if deed == "truncate":
            os.truncate(path, 0)
        writer.append(b"after\n")
        assert b"after\n" in everything(tmp_path)
        assert list_segments(tmp_path)[-1].path != path


def test_what_somebody_else_wrote_stays(tmp_path: Path) -> None:
    """A segment without a line of its writer's is not removed when it holds somebody else's."""
    with Writer(tmp_path) as writer:
        writer.ready()
        list_segments(tmp_path)[0].path.write_bytes(b"foreign\n")
    assert everything(tmp_path) == b"foreign\n"


@pytest.mark.parametrize("open_before", [False, True])
def test_a_day_that_is_a_link_is_refused(tmp_path: Path, open_before: bool) -> None:
    """Nothing is acknowledged that stands behind a link: readers do not look there."""
    now = [0.0]
    with Writer(tmp_path / "spool", clock=lambda: 0.0, monotonic=lambda: now[0]) as writer:
        day, moved = tmp_path / "spool" / "1970-01-01", tmp_path / "moved"
        if open_before:
            writer.append(b"before\n")
            day.rename(moved)
        else:
            prepare(day.parent)
            moved.mkdir()
        day.symlink_to(moved)
        with pytest.raises(SpoolError, match="1970-01-01 in the spool is a link"):
            writer.append(b"lost\n")
        day.unlink()
        now[0] = 10
        writer.append(b"after\n")
        assert everything(tmp_path / "spool") == b"after\n"


def test_nothing_stays_open(tmp_path: Path) -> None:
    """However a segment ends, and whether or not one could be made, no descriptor of it is left."""
    now, before = [0.0], open_descriptors()
    with Writer(tmp_path, rotate_bytes=1, monotonic=lambda: now[0]) as writer:
        for _ in range(3):
            writer.append(b"line\n")
        with failing("pwrite", errno.ENOSPC), pytest.raises(SpoolError):
            writer.append(b"refused\n")
        now[0] = 10
        writer.append(b"line\n")
        assert everything(tmp_path) == b"line\n" * 4
    assert open_descriptors() <= before


def open_descriptors() -> set[int]:
    """Return the descriptors that this process has open."""
    found = set()
    for descriptor in range(1000):
        with suppress(OSError):
            os.fstat(descriptor)
            found.add(descriptor)
    return found


def test_surprise_is_cut_off_too(tmp_path: Path) -> None:
    """An error that no disk causes leaves nothing behind either, and the next line is stored."""
    now = [0.0]
    with Writer(tmp_path, monotonic=lambda: now[0]) as writer:
        broken = mock.patch.object(writing, "_sync", mock.Mock(side_effect=MemoryError))
        with broken, pytest.raises(MemoryError):
            writer.append(b"lost\n")
        now[0] = 10
        writer.append(b"after\n")
        assert everything(tmp_path) == b"after\n"


def test_surprise_is_nobodys_success(tmp_path: Path) -> None:
    """When the thread that stores for others dies of a surprise, all of them are refused."""
    told: list[type] = []

    def work() -> None:
        try:
            writer.append(b"x\n")
        except (MemoryError, SpoolError) as error:
            told.append(type(error))

    broken = mock.patch.object(writing, "_sync", mock.Mock(side_effect=MemoryError))
    with Writer(tmp_path) as writer, broken:
        threads = [threading.Thread(target=work) for _ in range(3)]
        with writer._disk:  # so that the two later ones find a batch to join
            for thread in threads:
                thread.start()
            while writer._forming is None or len(writer._forming.lines) < 3:
                time.sleep(0.01)
        for thread in threads:
            thread.join()
    assert (told.count(MemoryError), told.count(SpoolError)) == (1, 2)
    assert everything(tmp_path) == b""


def test_counting_never_costs_an_event(tmp_path: Path) -> None:
    """When what counts the syncs fails, the event is stored and acknowledged all the same."""
    with Writer(tmp_path, synced=mock.Mock(side_effect=RuntimeError)) as writer:
        writer.append(b"one\n")
        assert everything(tmp_path) == b"one\n"


def test_only_whole_lines(tmp_path: Path) -> None:
    """What does not end in a newline would swallow the line after it, and is not taken."""
    with Writer(tmp_path) as writer:
        for lines in (b"", b"torn", b"one\ntorn"):
            with pytest.raises(ValueError, match="whole lines"):
                writer.append(lines)


def test_closed_writer_refuses(tmp_path: Path) -> None:
    """After ``close`` nothing is stored, and no empty segment is left behind."""
    writer = Writer(tmp_path)
    writer.ready()
    writer.close()
    with pytest.raises(SpoolError, match="shutting down"):
        writer.append(b"late\n")
    assert list(tmp_path.rglob("*.jsonl*")) == []


# ── reading ──────────────────────────────────────────────────────────────────────────────────


def _drop(path: Path, data: bytes) -> spool.Segment:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return spool.Segment(path.name.removesuffix(".zst"), path)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("limit", [1, 2, 3, 5, 7, 1000])
def test_blocks_are_whole_lines(tmp_path: Path, compressed: bool, limit: int) -> None:
    """Blocks hold whole lines, at most ``limit`` bytes unless one line is longer, and miss none."""
    text = b"a\nbb\n\nccccccccc\nd\r\ne\n"
    data = zstandard.compress(text) if compressed else text
    segment = _drop(tmp_path / ("x.jsonl.zst" if compressed else "x.jsonl"), data)
    blocks, offset = [], 0
    while block := read_block(segment, offset, limit):
        blocks.append(block)
        offset += len(block)
    assert b"".join(blocks) == text
    for block in blocks:
        assert block.endswith(b"\n")
        assert len(block) <= limit or block.count(b"\n") == 1


@pytest.mark.parametrize("compressed", [False, True])
def test_torn_tail_is_left_for_later(tmp_path: Path, compressed: bool) -> None:
    """A last line without its newline is not given out, and is no error."""
    text = b"whole\ntorn"
    data = zstandard.compress(text) if compressed else text
    segment = _drop(tmp_path / ("x.jsonl.zst" if compressed else "x.jsonl"), data)
    assert read_block(segment, 0, 100) == b"whole\n"
    assert read_block(segment, 6, 100) == b""
    assert compressed or segment_end(segment) == 6


@pytest.mark.parametrize("compressed", [False, True])
def test_a_long_line_is_told_and_not_read(tmp_path: Path, compressed: bool) -> None:
    """Of a line beyond what is read there are size and beginning; what follows it is read."""
    for name, size in (("longest", spool.LONGEST_LINE), ("longer", spool.LONGEST_LINE + 1)):
        text = b"one\n" + b"\xff" * size + b"\ntwo\n" + b"x" * (size + 9)
        data = zstandard.compress(text) if compressed else text
        segment = _drop(tmp_path / f"{name}.jsonl{'.zst' * compressed}", data)
        after = 4 + size + 1

        assert read_block(segment, 0, 100) == b"one\n"
        if name == "longest":
            assert len(read_block(segment, 4, 100)) == size + 1
        else:
            with pytest.raises(spool.LongLine, match="16777217 bytes at 4") as told:
                read_block(segment, 4, 100)
            assert told.value.size == size + 1
            assert told.value.beginning == b"\xff" * spool.BEGINNING
        assert read_block(segment, after, 100) == b"two\n"
        assert read_block(segment, after + 4, 100) == b""  # torn, however long


@pytest.mark.parametrize("compressed", [False, True])
def test_shorter_than_what_was_read_is_an_alarm(tmp_path: Path, compressed: bool) -> None:
    """A segment that holds less than was read from it raises, and says so."""
    data = zstandard.compress(b"one\n") if compressed else b"one\n"
    segment = _drop(tmp_path / ("x.jsonl.zst" if compressed else "x.jsonl"), data)
    with pytest.raises(SpoolError, match="holds 4 bytes, but 9 have been read"):
        read_block(segment, 9, 100)


@pytest.mark.parametrize("compressed", [False, True])
def test_another_than_what_was_read_is_an_alarm(tmp_path: Path, compressed: bool) -> None:
    """A segment in which no line begins where reading has ended is another one, and raises."""
    data = zstandard.compress(b"one\nthree\n") if compressed else b"one\nthree\n"
    segment = _drop(tmp_path / ("x.jsonl.zst" if compressed else "x.jsonl"), data)
    assert read_block(segment, 4, 100) == b"three\n"
    for offset in (3, 6):
        with pytest.raises(SpoolError, match=f"not the one of which {offset} bytes"):
            read_block(segment, offset, 100)


def test_gone_segment_is_an_alarm_once_it_was_read(tmp_path: Path) -> None:
    """A segment that vanished raises when lines were read from it, else there is nothing in it."""
    segment = spool.Segment("x.jsonl", tmp_path / "x.jsonl")
    assert (read_block(segment, 0, 100), segment_end(segment)) == (b"", 0)
    with pytest.raises(SpoolError, match="gone"):
        read_block(segment, 5, 100)


def test_reader_stops_at_the_watermark(tmp_path: Path) -> None:
    """Bytes that are written but not yet synced are not given out while their writer lives."""
    seen: list[bytes] = []
    real = writing._sync

    def look_first(fd: int) -> None:
        seen.append(everything(tmp_path))
        real(fd)

    with mock.patch.object(writing, "_sync", look_first), Writer(tmp_path) as writer:
        writer.append(b"one\n")
        writer.append(b"two\n")
    assert seen == [b"", b"one\n"]


def test_a_watermark_that_is_being_written_is_read_again(tmp_path: Path) -> None:
    """A reader that comes in the middle of the writing of the watermark waits for its end."""
    segment = _drop(tmp_path / "x.jsonl", b"one\ntwo\n")
    with Path(f"{segment.path}.active").open("wb", buffering=0) as companion:
        fcntl.flock(companion, fcntl.LOCK_EX)
        os.pwrite(companion.fileno(), b"%020d %020d\n" % (8, 4), 0)
        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(read_block, segment, 0, 100)
            with pytest.raises(TimeoutError):
                reading.result(0.05)
            os.pwrite(companion.fileno(), b"%020d %020d\n" % (4, 4), 0)
            assert reading.result(10) == b"one\n"


@pytest.mark.parametrize("left", [b"left behind\n", b""])
def test_orphan_is_adopted(tmp_path: Path, left: bytes) -> None:
    """What a dead writer left is synced by the first reader, given out, and sealed.

    Also where it was read to its end before; of a segment without a line nothing is left.
    """
    child = os.fork()
    if child == 0:
        writer = Writer(tmp_path)
        writer.append(left) if left else writer.ready()
        os._exit(0)
    os.waitpid(child, 0)
    segment = list_segments(tmp_path)[0]
    assert holds_more(segment, len(left))
    synced: list[int] = []
    with mock.patch.object(spool.os, "fsync", side_effect=synced.append):
        assert read_block(segment, 0, 100) == left
    assert len(synced) == 2  # the segment and its directory
    assert list(segment.path.parent.iterdir()) == ([segment.path] if left else [])


def test_listing(tmp_path: Path) -> None:
    """Plain files that end in .jsonl or .jsonl.zst count, once each; links and others do not."""
    outside = tmp_path / "outside.jsonl"
    outside.write_bytes(b"secret\n")
    home = tmp_path / "spool"
    for name in ("b.jsonl", "a/x.jsonl", "a/x.jsonl.zst", "c.jsonl.zst", "notes.txt", "d.jsonl.gz"):
        _drop(home / name, b"")
    (home / "link.jsonl").symlink_to(outside)
    (home / "far").symlink_to(tmp_path)
    os.mkfifo(home / "pipe.jsonl")
    found = list_segments(home)
    assert [segment.name for segment in found] == ["a/x.jsonl", "b.jsonl", "c.jsonl"]
    assert found[0].path.name == "x.jsonl"
    assert list_segments(tmp_path / "nowhere") == []


def test_listing_while_names_come_and_go(tmp_path: Path) -> None:
    """A directory that goes between reading the one above and looking into it is not there."""
    segment = _drop(tmp_path / "2026-01-01" / "x.jsonl", b"one\n")
    real = os.scandir

    def late(path: Path) -> Any:
        if path != tmp_path:
            segment.path.unlink()
            segment.path.parent.rmdir()
        return real(path)

    with mock.patch.object(spool.os, "scandir", late):
        assert list_segments(tmp_path) == []


def test_listing_while_names_change(tmp_path: Path) -> None:
    """A segment that is compressed while its directory, a large one, is listed is not passed over.

    ext4 gives neither of its names where the old one goes before its turn, and the new one comes
    after its own.
    """
    for number in range(150):
        _drop(tmp_path / f"{number:03}.jsonl", b"one\n")
    real, changing = os.scandir, tmp_path / "007.jsonl"

    def listed(path: Path) -> Any:
        if not changing.exists():
            return real(path)
        with real(path) as entries:
            found = [entry for entry in entries if entry.name != changing.name]
        changing.rename(tmp_path / "007.jsonl.zst")
        return nullcontext(found)

    with mock.patch.object(spool.os, "scandir", listed):
        names = [segment.name for segment in list_segments(tmp_path)]

    assert names == [f"{number:03}.jsonl" for number in range(150)]


@pytest.mark.parametrize("compressed", [False, True])
def test_what_is_left_to_read(tmp_path: Path, compressed: bool) -> None:
    """A segment holds more until it was read to its end; then when it changes or goes."""
    lines = b"one\ntwo\n"
    segment = _drop(tmp_path / ("x.jsonl.zst" if compressed else "x.jsonl"), b"")
    kept = zstandard.compress if compressed else bytes
    segment.path.write_bytes(kept(lines))
    assert [holds_more(segment, offset) for offset in (0, 4, 8, 9)] == [True, True, False, True]
    segment.path.write_bytes(kept(lines + b"three\n"))
    assert holds_more(segment, 8)
    segment.path.unlink()
    assert holds_more(segment, 8)


def test_compressed_meanwhile(tmp_path: Path) -> None:
    """A segment that is compressed between listing and reading is read all the same."""
    segment = _drop(tmp_path / "x.jsonl", b"one\ntwo\n")
    _drop(tmp_path / "x.jsonl.zst", zstandard.compress(b"one\ntwo\n"))
    segment.path.unlink()
    assert read_block(segment, 4, 100) == b"two\n"


def test_compressed_read_is_not_quadratic(tmp_path: Path) -> None:
    """Reading a compressed segment in many blocks decompresses it once."""
    text = b"".join(b"%d %s\n" % (number, b"x" * 90) for number in range(20_000))
    segment = _drop(tmp_path / "x.jsonl.zst", zstandard.compress(text))
    opened: list[object] = []
    real = zstandard.ZstdDecompressor

    def counting() -> zstandard.ZstdDecompressor:
        opened.append(1)
        return real()

    with mock.patch.object(spool.zstandard, "ZstdDecompressor", counting):
        found, offset = b"", 0
        while block := read_block(segment, offset, 10_000):
            found += block
            offset += len(block)
    assert found == text
    assert len(opened) == 1


@pytest.mark.parametrize("deed", ["another file", "replaced", "written anew"])
def test_compressed_read_goes_on_in_its_own_file_only(tmp_path: Path, deed: str) -> None:
    """A block that begins where the last one ended, but in other data, holds that data."""
    segment = _drop(tmp_path / "a.jsonl.zst", zstandard.compress(b"aaa\n" * 2))
    other = _drop(tmp_path / "b.jsonl.zst", zstandard.compress(b"bbb\n" * 2))
    for path in (segment.path, other.path):
        os.utime(path, (1, 1))
    assert read_block(segment, 0, 4) == b"aaa\n"
    if deed == "replaced":
        other.path.rename(segment.path)
    if deed == "written anew":
        segment.path.write_bytes(other.path.read_bytes())
    assert read_block(other if deed == "another file" else segment, 4, 4) == b"bbb\n"


@pytest.mark.parametrize("sized", [True, False])
def test_end_of_many_frames(tmp_path: Path, sized: bool) -> None:
    """The end of a compressed file is that of all its frames, also where headers do not say it."""
    packer = zstandard.ZstdCompressor(write_content_size=sized, write_checksum=True)
    pieces = [b"a\n" * 300_000, b"", b"b\n", os.urandom(300_000) + b"\n"]
    data = b"".join(packer.compress(piece) for piece in pieces)
    segment = _drop(tmp_path / "x.jsonl.zst", data)
    assert segment_end(segment) == sum(map(len, pieces))


def test_damaged_compressed_segment_is_an_alarm(tmp_path: Path) -> None:
    """Compressed data that is cut or damaged raises, and names the segment."""
    data = zstandard.ZstdCompressor(write_checksum=True).compress(os.urandom(50_000) + b"\n")
    for name, damaged in (("flipped", data[:999] + b"~~~" + data[1002:]), ("junk", b"junk" * 10)):
        segment = _drop(tmp_path / f"{name}.jsonl.zst", damaged)
        with pytest.raises(SpoolError, match=name):
            read_block(segment, 0, 1 << 20)
    for name, damaged in (("cut", data[:-500]), ("junk", b"junk" * 10)):
        segment = _drop(tmp_path / f"{name}.jsonl.zst", damaged)
        with pytest.raises(SpoolError, match=name):
            segment_end(segment)


def test_a_link_that_leads_nowhere_is_told(tmp_path: Path) -> None:
    """A spool on a disk that is not mounted is told as that, before anything is received."""
    (tmp_path / "spool").symlink_to(tmp_path / "not-mounted")

    with pytest.raises(SpoolError, match="leads nowhere"):
        prepare(tmp_path / "spool")
