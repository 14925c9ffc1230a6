"""Times read many at once, held against the definition of what a time means."""

from datetime import datetime

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from loader.events import SetAside, read_time
from loader.moments import moments

DIGITS = st.text("0123456789", min_size=1, max_size=9)
USUAL = st.builds(
    lambda moment, decimals, zone: f"{moment:%Y-%m-%dT%H:%M:%S}{decimals}{zone}",
    st.datetimes(datetime(1000, 1, 2), datetime(9999, 12, 30)),
    st.just("") | DIGITS.map(".{}".format),
    st.just("Z") | st.from_regex(r"[+-]([01][0-9]|2[0-3]):[0-5][0-9]", fullmatch=True),
)
# Close to a time: each part may be out of its range, or be no number.
ODD = st.from_regex(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2})?([.,][0-9]{0,11})?"
    r"([Zz]|[+-][0-9]{2}(:?[0-9]{2})?)?",
    fullmatch=True,
) | st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]), max_size=36)


def defined(text: str) -> datetime | None:
    """What the definition makes of a text."""
    try:
        return read_time(text, "timestamp")
    except SetAside:
        return None


def read(texts: list[str]) -> list[datetime | None]:
    """What is read when the texts stand under one another."""
    return moments(pl.Series(texts)).to_list()


@given(st.lists(USUAL, min_size=1, max_size=20))
def test_usual_times_are_read(texts: list[str]) -> None:
    """Every usual form, in any mixture, is read as the definition says."""
    assert read(texts) == [defined(text) for text in texts]


@given(st.lists(ODD | USUAL, min_size=1, max_size=20))
def test_odd_times_are_read_right_or_left(texts: list[str]) -> None:
    """What is not a usual time is null, or the moment that the definition gives it."""
    pairs = zip(read(texts), map(defined, texts), strict=True)

    assert all(found in {None, wanted} for found, wanted in pairs)
