"""The loader killed, or its disk failing, at any system call: the short form of the torture."""

from tests.conftest import require
from tests.torture import loading


def test_no_life_of_the_loader_loses_or_doubles_an_event() -> None:
    """Killed or failed at any call of birth, load, checkpoint or publication, nothing is amiss."""
    require("cc")
    tally = loading.spawn(24, 7)

    assert (tally["unopenable"], tally["twice"], tally["lost"]) == (0, 0, 0)
    assert tally["killed"] > 2 and tally["failed"] > 2


def test_offsets_committed_apart_are_caught() -> None:
    """With offsets committed after the rows, the same lives do load lines twice."""
    require("cc")

    assert loading.spawn(24, 7, control=True)["twice"] > 0
