"""Retention and verification: only what is loaded is put away, and nothing is put away unseen."""

import os
import random
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import zstandard

from loader import retention, spool, status
from loader.errors import SpoolError
from loader.framing import frame
from loader.ingest import ingest
from loader.receipts import RECEIPTS, expired, lacking
from loader.retention import retain
from loader.settings import Settings, load_settings
from loader.signature import sign
from loader.spool import Segment, list_segments, read_block, segment_end
from loader.strict_json import form
from loader.verify import PLACES, sentences, verify
from loader.writer import Writer
from tests.conftest import small_disk

SECRET = "a-secret-for-tests"
FORGED = "its signature does not verify under any secret, active or retired"
NOW = datetime.now(UTC) + timedelta(days=2)


def line(number: int) -> bytes:
    """Return a spool line that is rightly signed."""
    body = b'{"kind": "open", "number": %d}' % number
    return frame(NOW, "inboxroad", sign(body, SECRET), form(body).key, body)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a home with three segments of fifty lines each."""
    made = load_settings({"LOADER_HOME": str(tmp_path), "LOADER_SECRETS": SECRET}, tmp_path)
    for segment in range(3):
        with Writer(made.spool) as writer:
            writer.append(b"".join(line(50 * segment + number) for number in range(50)))
    return made


def ends(spool: Path) -> dict[str, int]:
    """Return the ledger of somebody who has loaded everything."""
    return {segment.name: segment_end(segment) for segment in list_segments(spool)}


def text(segment: Segment) -> bytes:
    """Return all of a segment, in blocks of about two lines."""
    found = b""
    while block := read_block(segment, len(found), 500):
        found += block
    return found


def forms(spool: Path) -> list[str]:
    """Return of every segment, in their order, how its file's name ends."""
    return [segment.path.suffix for segment in list_segments(spool)]


def test_loaded_segments_are_compressed(settings: Settings) -> None:
    """A loaded segment becomes smaller, keeps its name and offsets, and reads the same."""
    before = {segment.name: text(segment) for segment in list_segments(settings.spool)}
    retain(settings.spool, ends(settings.spool), now=NOW, keep_days=None)
    after = list_segments(settings.spool)
    assert forms(settings.spool) == [".zst"] * 3
    sizes = {segment.name: segment.path.stat().st_size for segment in after}
    assert all(size < len(before[name]) for name, size in sizes.items())
    assert {segment.path.stat().st_mode & 0o777 for segment in after} == {0o600}
    assert {segment.name: text(segment) for segment in after} == before
    inodes = [segment.path.stat().st_ino for segment in after]
    retain(settings.spool, ends(settings.spool), now=NOW, keep_days=None)
    assert [segment.path.stat().st_ino for segment in list_segments(settings.spool)] == inodes


def test_fresh_segments_stay_plain(settings: Settings) -> None:
    """What was received within a day can still be looked into with the simplest tools."""
    loaded = ends(settings.spool)
    retain(settings.spool, loaded, now=datetime.now(UTC), keep_days=None)
    assert forms(settings.spool) == [".jsonl"] * 3


def test_only_what_is_loaded_to_its_end(settings: Settings) -> None:
    """A segment that is not, or not wholly, loaded stays as it is, however old."""
    first, second, third = list_segments(settings.spool)
    loaded = {first.name: segment_end(first), second.name: segment_end(second) - 10}
    later = datetime.now(UTC) + timedelta(days=999)
    retain(settings.spool, loaded, now=later, keep_days=1)
    assert [one.path for one in list_segments(settings.spool)] == [second.path, third.path]


def test_a_round_ends_after_a_segment(settings: Settings) -> None:
    """However much there is to put away, whoever has to load or to stop waits for one segment."""
    loaded = ends(settings.spool)
    for left in (2, 1, 0):
        retain(settings.spool, loaded, now=NOW, keep_days=None, enough=lambda: True)
        assert forms(settings.spool).count(".jsonl") == left


def test_a_loader_that_follows_puts_away_in_parts(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While following, a round of retention ends when its time is over, and the next goes on."""
    monkeypatch.setattr("loader.ingest.RETAIN_SECONDS", 0.0)
    monkeypatch.setattr("loader.ingest.PUTTING_AWAY_SECONDS", 0.0)
    for segment in list_segments(settings.spool):
        os.utime(segment.path, (0, 0))
    seen: list[int] = []

    def stop() -> bool:
        seen.append(forms(settings.spool).count(".jsonl"))
        return len(seen) > 40 or not seen[-1]

    ingest(settings, follow=True, stop=stop)

    assert sorted(set(seen), reverse=True) == [3, 2, 1, 0]


def test_active_segment_stays(settings: Settings) -> None:
    """A segment that is still being written is never put away."""
    with Writer(settings.spool) as writer:
        writer.append(line(1))
        retain(settings.spool, ends(settings.spool), now=NOW, keep_days=None)
        writer.append(line(2))
        assert forms(settings.spool) == [*[".zst"] * 3, ".jsonl"]
        assert text(list_segments(settings.spool)[-1]) == line(1) + line(2)


def test_files_from_elsewhere_stay(settings: Settings) -> None:
    """A file that was dropped in by hand is never compressed or removed."""
    dropped = settings.spool / "from-elsewhere.jsonl"
    dropped.write_bytes(b'{"kind": "open"}\n')
    later = datetime.now(UTC) + timedelta(days=999)
    retain(settings.spool, ends(settings.spool), now=later, keep_days=1)
    assert [segment.path for segment in list_segments(settings.spool)] == [dropped]


def test_torn_segment_is_not_compressed(settings: Settings) -> None:
    """A segment with a torn tail keeps its bytes as they are."""
    segment = list_segments(settings.spool)[0]
    with segment.path.open("ab") as file:
        file.write(b"torn")
    retain(settings.spool, ends(settings.spool), now=NOW, keep_days=None)
    assert forms(settings.spool) == [".jsonl", ".zst", ".zst"]
    assert segment.path.read_bytes().endswith(b"torn")


@pytest.mark.parametrize("compressed", [True, False])
def test_expiry_counts_from_the_last_write(settings: Settings, compressed: bool) -> None:
    """A segment goes when its days have passed since it was written, compressed or not."""
    now, loaded = datetime.now(UTC), ends(settings.spool)
    written = (now - timedelta(days=6)).timestamp()
    for segment in list_segments(settings.spool):
        os.utime(segment.path, (written, written))
    if compressed:
        retain(settings.spool, loaded, now=now, keep_days=7)
        assert forms(settings.spool) == [".zst"] * 3
    retain(settings.spool, loaded, now=now + timedelta(days=2), keep_days=7)
    assert list_segments(settings.spool) == []
    assert expired(settings.spool) == loaded


def test_shorter_than_loaded_stops_everything(settings: Settings) -> None:
    """A segment that is shorter than what was loaded from it is an alarm; nothing is removed."""
    loaded = {name: end + 1 for name, end in ends(settings.spool).items()}
    with pytest.raises(SpoolError, match="restore it"):
        retain(settings.spool, loaded, now=NOW, keep_days=0)
    assert len(list_segments(settings.spool)) == 3


@pytest.mark.parametrize("call", ["fsync", "utime"])
def test_failing_compression_leaves_the_segment(settings: Settings, call: str) -> None:
    """When compressing fails the segment stays, and no half-made file does."""
    loaded = ends(settings.spool)
    broken = mock.patch.object(retention.os, call, side_effect=OSError(28, "No space left"))
    with broken, pytest.raises(SpoolError, match="kept as it was"):
        retain(settings.spool, loaded, now=NOW, keep_days=None)
    assert ends(settings.spool) == loaded
    assert [path for path in settings.spool.rglob("*") if path.name.endswith(".part")] == []


@pytest.mark.parametrize("held", [zstandard.compress(line(0)), b"nothing of the kind"])
def test_what_does_not_read_back_is_thrown_away(settings: Settings, held: bytes) -> None:
    """A compressed form that holds anything else than the segment never takes its place."""
    before = {segment.name: text(segment) for segment in list_segments(settings.spool)}

    def fail(fd: int) -> None:
        os.ftruncate(fd, 0)
        os.pwrite(fd, held, 0)

    broken = mock.patch.object(retention.os, "fsync", fail)
    with broken, pytest.raises(SpoolError, match="does not read back"):
        retain(settings.spool, ends(settings.spool), now=NOW, keep_days=None)
    assert {segment.name: text(segment) for segment in list_segments(settings.spool)} == before
    assert [path for path in settings.spool.rglob("*") if ".zst" in path.name] == []


def test_one_that_fails_stops_no_other(settings: Settings) -> None:
    """A segment that cannot be put away is told, after all the others have been."""
    first = list_segments(settings.spool)[0]
    first.path.with_name(f".{first.path.name}.zst.part").mkdir()
    with pytest.raises(SpoolError, match=f"{first.name} .*kept as it was"):
        retain(settings.spool, ends(settings.spool), now=NOW, keep_days=None)
    suffixes = [segment.path.suffix for segment in list_segments(settings.spool)]
    assert suffixes == [".jsonl", ".zst", ".zst"]


def test_what_a_kill_left_half_made_goes(settings: Settings) -> None:
    """The next round removes it, even of a segment that has gone."""
    day = list_segments(settings.spool)[0].path.parent
    left = day / ".100000.000000-ab.jsonl.zst.part"
    left.write_bytes(b"half")
    retain(settings.spool, {}, now=NOW, keep_days=None)

    assert not left.exists()


@pytest.mark.parametrize("call", ["_done", "_compress", "_reads_back"])
def test_one_puts_away_at_a_time(settings: Settings, call: str) -> None:
    """While the loader of one warehouse does, that of another leaves the spool alone."""
    loaded, later, work = ends(settings.spool), NOW + timedelta(days=9), getattr(retention, call)
    others = iter([later])

    def meanwhile(*arguments: object) -> object:
        found = work(*arguments) if call == "_done" else None
        for moment in others:
            retain(settings.spool, loaded, now=moment, keep_days=5)
        return found if call == "_done" else work(*arguments)

    with mock.patch.object(retention, call, meanwhile):
        retain(settings.spool, loaded, now=NOW, keep_days=None)

    assert forms(settings.spool) == [".zst"] * 3
    assert expired(settings.spool) == {}
    retain(settings.spool, loaded, now=later, keep_days=5)
    assert expired(settings.spool) == loaded


def test_a_full_disk_frees_itself(tmp_path: Path) -> None:
    """On a disk without a free byte expired segments go, and then there is space to compress."""
    with small_disk(tmp_path / "disk", "4m") as spool:
        now = datetime.now(UTC)
        for name, days in (("2026-01-02/000000.0", 3), ("2026-01-03/000000.0", 9)):
            path = spool / f"{name}00000-ab.jsonl"
            path.parent.mkdir()
            path.write_bytes(random.Random(days).randbytes(500_000).hex().encode() + b"\n")
            os.utime(path, times=((now - timedelta(days=days)).timestamp(),) * 2)
        loaded = ends(spool)
        retain(spool, {}, now=now, keep_days=5)  # of an earlier day, which left a reserve
        with suppress(OSError), (spool / "ballast").open("wb", buffering=0) as ballast:
            while ballast.write(b"x" * 4096):
                pass
        retain(spool, loaded, now=now, keep_days=5)
        younger, older = sorted(loaded)
        assert expired(spool) == {older: loaded[older]}
        assert [one.path.name for one in list_segments(spool)] == [Path(younger).name + ".zst"]


@pytest.mark.parametrize(("keep_days", "left"), [(None, 1), (0, 0)])
def test_crash_between_the_two_names(settings: Settings, keep_days: int | None, left: int) -> None:
    """Dying after the compressed file has its name, before the plain one goes, doubles nothing.

    The next round makes one of them, or none where the segment expires.
    """
    segment = list_segments(settings.spool)[0]
    whole = text(segment)
    with (
        mock.patch.object(Path, "unlink", side_effect=KeyboardInterrupt),
        pytest.raises(KeyboardInterrupt),
    ):
        retain(settings.spool, ends(settings.spool), now=NOW, keep_days=None)
    assert segment.path.exists() and segment.path.with_name(segment.path.name + ".zst").exists()
    assert text(list_segments(settings.spool)[0]) == whole
    assert len(list_segments(settings.spool)) == 3
    retain(settings.spool, ends(settings.spool), now=NOW, keep_days=keep_days)
    assert len([*segment.path.parent.glob(f"{segment.path.name}*")]) == left
    assert not segment.path.exists()


@pytest.mark.parametrize("damaged", [False, True])
def test_a_beginning_beside_the_whole_hides_nothing(settings: Settings, damaged: bool) -> None:
    """Of a segment whose beginning a backup put back beside it, the whole is read and kept.

    So it is where the compressed one is the one that was copied by half.
    """
    plain = list_segments(settings.spool)[0].path
    whole = plain.read_bytes()
    packed = zstandard.ZstdCompressor(write_checksum=True).compress(whole)
    plain.with_name(f"{plain.name}.zst").write_bytes(packed[:-9] if damaged else packed)
    plain.write_bytes(whole if damaged else line(0))
    assert text(list_segments(settings.spool)[0]) == whole
    retain(settings.spool, ends(settings.spool), now=NOW, keep_days=None)

    assert text(list_segments(settings.spool)[0]) == whole
    retain(settings.spool, ends(settings.spool), now=NOW, keep_days=0)
    assert list_segments(settings.spool) == []


def test_two_forms_that_disagree_are_an_alarm(settings: Settings) -> None:
    """Lines appended in a plain file beside the compressed one are told, and both forms stay."""
    retain(settings.spool, ends(settings.spool), now=NOW, keep_days=None)
    first, *others = list_segments(settings.spool)
    plain = first.path.with_suffix("")
    plain.write_bytes(line(1))
    for keep_days in (None, 0):
        with pytest.raises(SpoolError, match="plain and compressed"):
            retain(settings.spool, {}, now=NOW, keep_days=keep_days)
    unread: list[SpoolError] = []
    assert list_segments(settings.spool, unread) == others
    assert first.name in str(unread[0]) and plain.exists() and first.path.exists()

    plain.rename(plain.with_name("more.jsonl"))
    assert len(list_segments(settings.spool)) == 4


@pytest.mark.parametrize("keep_days", [None, 0])
def test_what_takes_its_place_is_on_disk_before_a_segment_goes(
    settings: Settings, keep_days: int | None
) -> None:
    """The compressed file or the receipt, and its name, are synced while the segment stands."""
    first, real = list_segments(settings.spool)[0].path, os.fsync
    synced: set[int] = set()

    def noted(fd: int) -> None:
        if first.exists():
            synced.add(os.fstat(fd).st_ino)
        real(fd)

    with mock.patch.object(os, "fsync", noted):
        retain(settings.spool, ends(settings.spool), now=NOW, keep_days=keep_days)
    instead = settings.spool / RECEIPTS if keep_days == 0 else Path(f"{first}.zst")
    assert not first.exists()
    assert {instead.stat().st_ino, instead.parent.stat().st_ino} <= synced


# ── verify ───────────────────────────────────────────────────────────────────────────────────


def test_whole_spool_holds(settings: Settings) -> None:
    """A spool of the receiver, loaded in part and compressed in part, has no finding."""
    loaded = ends(settings.spool)
    name = list(loaded)[-1]
    loaded[name] = len(line(100)) * 3
    retain(settings.spool, loaded, now=NOW, keep_days=None)
    seen: list[tuple[int, float]] = []
    assert verify(settings, loaded, lambda done, share: seen.append((done, share))).places == []
    assert seen[-1] == (sum(ends(settings.spool).values()), 1.0)


def test_changed_byte_is_found(settings: Settings) -> None:
    """One changed byte of a body is found, with its segment and the offset of its line."""
    segment = list_segments(settings.spool)[1]
    lines = text(segment).splitlines(keepends=True)
    lines[7] = lines[7].replace(b'"open"', b'"oqen"')
    segment.path.write_bytes(b"".join(lines))
    found = verify(settings, ends(settings.spool)).places
    assert [(one.segment, one.offset, one.problem) for one in found] == [
        (segment.name, len(b"".join(lines[:7])), FORGED)
    ]


def test_every_form_is_verified(tmp_path: Path) -> None:
    """Events, arrays, texts and bytes that are not text are all held against their signatures."""
    settings = load_settings({"LOADER_HOME": str(tmp_path), "LOADER_SECRETS": SECRET}, tmp_path)
    bodies = [b"{}", b"[{}]", b"[]", b"", b"no", b"\xff\0", b'{\n"a": 1}', "ä\u2028".encode()]
    bodies += [b'{\r"a": 1}']
    with Writer(settings.spool) as writer:
        for body in bodies:
            writer.append(frame(NOW, "inboxroad", sign(body, SECRET), form(body).key, body))
    assert verify(settings, {}).places == []


def test_retired_secret_still_verifies_older_lines(settings: Settings, tmp_path: Path) -> None:
    """A secret that was replaced and retired verifies what it signed, and admits nothing."""
    environ = {"LOADER_HOME": str(tmp_path), "LOADER_SECRETS": "another-secret"}
    assert len(verify(load_settings(environ, tmp_path), {}).places) == 150
    after = load_settings({**environ, "LOADER_RETIRED_SECRETS": SECRET}, tmp_path)
    assert verify(after, {}).places == []
    assert after.webhooks["inboxroad"].secrets == ("another-secret",)


def test_line_of_an_unknown_webhook_is_found(settings: Settings, tmp_path: Path) -> None:
    """A line of a webhook that the settings do not have is found, and is not called forged."""
    (tmp_path / "loader.toml").write_text(f"[webhooks.other]\nsecrets = '{SECRET}'\n")
    other = load_settings({"LOADER_HOME": str(tmp_path)}, tmp_path)
    found = verify(other, ends(settings.spool)).places
    problem = "it names a webhook that the settings do not have"
    assert [one.problem for one in found] == [problem] * 150


def test_a_secret_that_fits_nothing_is_told_once(settings: Settings, tmp_path: Path) -> None:
    """Where no line of a webhook verifies one sentence names the settings, secret or none."""
    for secret in ("", "another-secret"):
        environ = {"LOADER_HOME": str(tmp_path), "LOADER_SECRETS": secret}
        assert sentences(verify(load_settings(environ, tmp_path), {})) == [
            "none of 150 lines of webhook inboxroad verifies: set LOADER_SECRETS, or "
            "LOADER_RETIRED_SECRETS, to the secret they were signed with"
        ]


def test_what_does_not_hold_is_told_by_segment(settings: Settings) -> None:
    """However many lines fail there is a line for each segment and reason, and bounded places."""
    first, second, _third = list_segments(settings.spool)
    lines = text(first).replace(b'"open"', b'"oqen"')
    first.path.write_bytes(lines * (PLACES // 50 + 1))
    with second.path.open("ab") as file:
        file.write(b"{}\n")
    found = verify(settings, {})
    last = first.path.stat().st_size - len(lines.splitlines(keepends=True)[-1])
    assert sentences(found) == [
        f"{first.name}: {FORGED} (10,050 lines, the first at 0, the last at {last})",
        f"{second.name} at {segment_end(second) - 3}: it carries no signature, yet stands in a "
        "segment of the receiver",
    ]
    assert found.count == PLACES + 51
    assert len(found.places) == PLACES


def test_unsigned_line_is_found_only_among_signed_ones(settings: Settings) -> None:
    """A bare event is welcome in a file from elsewhere, and a finding in the receiver's own."""
    bare = b'{"kind": "open"}\n'
    (settings.spool / "from-elsewhere.jsonl").write_bytes(bare)
    assert verify(settings, {}).places == []
    segment = list_segments(settings.spool)[0]
    with segment.path.open("ab") as file:
        file.write(bare)
    assert ["no signature" in str(one) for one in verify(settings, {}).places] == [True]


def test_ledger_is_held_against_the_segments(settings: Settings) -> None:
    """Offsets beyond the end, inside a line, and of segments that are gone are found."""
    first, second, third = list_segments(settings.spool)
    loaded = ends(settings.spool)
    loaded[second.name] -= 5
    loaded[third.name] += 1
    first.path.unlink()
    problems = [str(one) for one in verify(settings, loaded).places]
    assert ["gone" in problems[0], "middle of a line" in problems[1]] == [True, True]
    assert "but it holds" in problems[2]


def test_expired_segments_are_not_missed(settings: Settings) -> None:
    """A segment that retention removed is no finding; receipts that a crash tore are skipped."""
    loaded = ends(settings.spool)
    later = datetime.now(UTC) + timedelta(days=9)
    for _ in range(2):
        with (settings.spool / RECEIPTS).open("ab") as file:
            file.write(b'{"torn')
        retain(settings.spool, loaded, now=later, keep_days=1)
    assert expired(settings.spool) == loaded
    assert verify(settings, loaded).places == []


def test_a_segment_that_came_back_is_held_against_the_ledger(settings: Settings) -> None:
    """One that expired and was restored in part is a finding, whatever its receipt says."""
    loaded, first = ends(settings.spool), list_segments(settings.spool)[0]
    kept = first.path.read_bytes()
    retain(settings.spool, loaded, now=NOW, keep_days=0)
    first.path.write_bytes(line(0))
    (found,) = verify(settings, loaded).places
    assert str(found).startswith(f"{first.name}: the ledger has loaded {len(kept)} bytes of it")


def test_what_expired_before_a_warehouse_had_it_all_is_told(settings: Settings) -> None:
    """A warehouse that has a segment in part only, as an older backup does, lacks the rest."""
    loaded = ends(settings.spool)
    retain(settings.spool, loaded, now=NOW, keep_days=0)
    first, *_ = loaded
    part = loaded | {first: loaded[first] - 1}
    assert list(lacking(settings.spool, expired(settings.spool), loaded)) == []
    (told,) = lacking(settings.spool, expired(settings.spool), part)
    assert told.startswith("1 segment expired from the spool that this warehouse does not hold")


def test_what_came_back_in_part_is_lacking(settings: Settings) -> None:
    """A new warehouse lacks the rest of a segment that came back cut; also once that has gone."""
    loaded, first = ends(settings.spool), list_segments(settings.spool)[0]
    retain(settings.spool, loaded, now=NOW, keep_days=0)
    first.path.write_bytes(line(0))
    anew = loaded | {first.name: len(line(0))}
    assert len(list(lacking(settings.spool, expired(settings.spool), anew))) == 1
    retain(settings.spool, anew, now=NOW, keep_days=0)

    assert list_segments(settings.spool) == []
    assert len(list(lacking(settings.spool, expired(settings.spool), anew))) == 1


@pytest.mark.parametrize("damage", [b"\xff", b'{"a": 1}{"b": 2}', b'{"a": 1}', b'{"segment": []}'])
def test_damaged_receipts_are_told(settings: Settings, damage: bytes) -> None:
    """A line among the receipts that is none is one sentence; a torn one is passed over."""
    (settings.spool / RECEIPTS).write_bytes(b'{"segment": "a.jsonl"\n')
    assert expired(settings.spool) == {}
    with (settings.spool / RECEIPTS).open("ab") as file:
        file.write(damage + b"\n")
    with pytest.raises(SpoolError, match="no receipt"):
        expired(settings.spool)


def test_what_should_have_expired_is_told(settings: Settings) -> None:
    """``loader status`` says where retention is days behind, and only there."""
    ingest(settings)
    keeping = replace(settings, retain_days=7)
    told = []
    for days in (6, 8, 10):
        written = (datetime.now(UTC) - timedelta(days=days)).timestamp()
        os.utime(list_segments(settings.spool)[0].path, (written, written))
        warnings = status.status(keeping)["warnings"]
        told.append([sentence for sentence in warnings if "LOADER_RETAIN_DAYS" in sentence])
    assert [len(sentences) for sentences in told] == [0, 0, 1]
    assert told[2][0].startswith("1 segment stayed in the spool longer")
    assert not [one for one in status.status(settings)["warnings"] if "RETAIN" in one]


def test_what_expires_meanwhile_is_not_missed(settings: Settings) -> None:
    """A segment that goes between the listing and its turn is no finding and no alarm."""
    loaded, later = ends(settings.spool), datetime.now(UTC) + timedelta(days=9)

    def expire(done: int, total: int) -> None:
        retain(settings.spool, loaded, now=later, keep_days=1)

    def late(segment: Segment) -> int:
        expire(0, 0)
        return segment_end(segment)

    ingest(settings)
    with mock.patch.object(status, "segment_end", late):
        told = status.status(settings)["warnings"]
    assert list_segments(settings.spool) == []
    assert [sentence for sentence in told if "segment" in sentence] == []
    for number in range(2):
        with Writer(settings.spool) as writer:
            writer.append(line(number))
    loaded.update(ends(settings.spool))
    assert verify(settings, loaded, expire).places == []
    assert list_segments(settings.spool) == []


def test_what_expires_while_it_is_read_is_not_missed(settings: Settings) -> None:
    """A compressed segment that goes between two looks into it is no alarm either."""
    ingest(settings)
    loaded, later = ends(settings.spool), datetime.now(UTC) + timedelta(days=9)
    retain(settings.spool, loaded, now=NOW, keep_days=None)
    looked_into = spool._compressed_end

    def late(*arguments: Any) -> int:
        retain(settings.spool, loaded, now=later, keep_days=1)
        spool._uncompressed_size.cache_clear()
        return looked_into(*arguments)

    with mock.patch.object(spool, "_compressed_end", late):
        told = status.status(settings)["warnings"]

    assert list_segments(settings.spool) == []
    assert [sentence for sentence in told if "segment" in sentence] == []


def test_damaged_compression_is_found(settings: Settings) -> None:
    """A compressed segment that was cut is found."""
    loaded = ends(settings.spool)
    retain(settings.spool, loaded, now=NOW, keep_days=None)
    path = list_segments(settings.spool)[0].path
    os.truncate(path, path.stat().st_size - 20)
    assert "not whole" in str(verify(settings, loaded).places[0])
