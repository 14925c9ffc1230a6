"""The short form of ``make torture``: each proof, small; and the controls, which must fail."""

from pathlib import Path

import pytest

from tests.conftest import require, small_disk
from tests.torture import crash, fuzz, probes, server, soak
from tests.torture.client import Receiver


@pytest.mark.parametrize("power", [False, True], ids=["crash", "power-loss"])
def test_no_acknowledged_event_is_lost(power: bool) -> None:
    """Whatever system call a writer dies or fails at, what it acknowledged is there, once."""
    require("cc")
    tally = crash.spawn(300, 7, power=power)
    assert (tally["lost"], tally["twice"], tally["taken_back"]) == (0, 0, 0)
    assert tally["killed"] > 40 and tally["refused"] > 100 and tally["acknowledged"] > 3000


@pytest.mark.parametrize(
    ("control", "lives"), list(zip(crash.CONTROLS, (40, 40, 150, 250), strict=True))
)
def test_a_broken_writer_is_caught(control: str, lives: int) -> None:
    """With one rule taken out of the writer, the same lives do lose acknowledged events."""
    require("cc")
    assert crash.spawn(lives, 7, power=True, control=control)["lost"] > 0


def test_kill_under_load_loses_nothing(tmp_path: Path) -> None:
    """Workers and the server killed with -9 under 32 clients: nothing acknowledged is lost."""
    out = server.kill(tmp_path / "home", 6, 3)
    assert (out.disturbances >= 6, out.lost) == (True, 0)
    assert out.acknowledged > 100


def test_drain_leaves_nothing_unanswered(tmp_path: Path) -> None:
    """Restarted with SIGTERM under load: what is stored was answered, and the other way round."""
    out = server.drain(tmp_path / "home", 3)
    assert (out.disturbances, out.lost, out.unanswered) == (3, 0, 0)
    assert out.answers.get(0, 0) < 10, "connections that were waiting were cut off"
    assert out.acknowledged > 50


def test_what_is_acknowledged_is_in_the_warehouse_once(tmp_path: Path) -> None:
    """Killed and out of disk, ``loader run`` loads what it acknowledged once, and stays small."""
    with small_disk(tmp_path / "disk", "1g") as disk:
        out = soak.soak(disk / "home", 1000, 3, 1.5)
    assert out.acknowledged >= 3000 and out.disturbances >= 3
    assert (out.lost, out.twice) == (0, 0)
    assert out.memory[1] < out.memory[0] * 1.3
    assert out.descriptors[1] - out.descriptors[0] < 20
    assert out.peak < 1024**2


def test_full_disk_recovers(tmp_path: Path) -> None:
    """On a full disk 503 with a time to come back; with space again it stores at once."""
    with small_disk(tmp_path / "disk", "3m") as disk:
        out = server.fill_disk(disk / "home", rounds=2)
    assert (out.lost, out.retry_after) == (0, True)
    assert out.recovery < 5
    assert out.refused > 500 and out.files < 20


def test_mutated_bodies_are_kept() -> None:
    """Rightly signed bodies of any bytes are answered 200 and stand in readable lines."""
    out = fuzz.bodies(4000, 11)
    assert (out.answers, out.vanished, out.unread, out.miscounted) == ({200: 4000}, 0, 0, 0)


def test_mutated_headers_cause_no_error() -> None:
    """Whatever stands in the headers, the answer is no 5xx, and only what verifies is stored."""
    out = fuzz.headers(4000, 11)
    assert max(out.answers) < 500 and {200, 400, 401, 413, 415} >= set(out.answers)
    assert (out.stored, out.vanished, out.unread) == (out.answers[200], 0, 0)
    assert out.miscounted == 0


def test_named_probes(tmp_path: Path) -> None:
    """Each hostile request is answered as it may be; none hides another; the log keeps quiet."""
    with Receiver(tmp_path / "home") as receiver:
        probed = probes.probe_named(probes.plain(receiver.port))
        kept = set(server.stored(receiver.home))
        mutated = probes.probe_mutated(probes.plain(receiver.port), 5, 1500)
        said = receiver.log.read_text()
    assert probed.asked >= 60
    assert (probed.unexpected, mutated.unexpected) == ([], [])
    assert kept == {probes.OUTSIDE}
    assert "Traceback" not in said and "@" not in said
