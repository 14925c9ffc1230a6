"""Numbers and names → words, one way to write each: on a page, and where it steers no terminal.

Nothing is computed here that a reader could mistake for a metric: values come from the marts and
are only written down. A missing value is an en dash everywhere.
"""

import re
from bisect import bisect_right
from itertools import accumulate
from unicodedata import bidirectional, east_asian_width

MISSING = "–"  # noqa: RUF001 (an en dash is meant)


def count(value: float | None) -> str:
    """Write a whole number with separators: ``48,120``."""
    return MISSING if value is None else f"{value:,.0f}"


def percent(rate: float | None) -> str:
    """Write a rate (0 to 1) with one decimal, or two close to none or all: ``96.8%``, ``0.05%``."""
    if rate is None:
        return MISSING
    if 0 < rate < 0.00005:
        return "<0.01%"
    if 0.99995 < rate < 1:
        return ">99.99%"
    return f"{rate:.2%}" if 0 < rate < 0.00095 or 0.9995 <= rate < 1 else f"{rate:.1%}"


def points(difference: float | None) -> str:
    """Write a difference of two rates in percentage points with its sign: ``+1.2 pts``.

    One of less than a tenth of a point has two decimals: ``+0.02 pts``.
    """
    if difference is None:
        return MISSING
    digits = 2 if abs(difference) < 0.00095 else 1
    written = f"{abs(difference) * 100:.{digits}f}"
    sign = "±" if float(written) == 0 else "+" if difference > 0 else "−"  # noqa: RUF001
    return f"{sign}{written} pts"


def interval(low: float | None, high: float | None) -> str:
    """Write a 95 % interval as ``96.6–97.0%``.

    It has two decimals when the upper end is below 0.25 %: a rate of 0.09 % lies within 0.05 to
    0.17 %, not within 0.1 to 0.2 %.
    """  # noqa: RUF002 (an en dash is meant)
    if low is None or high is None:
        return MISSING
    digits = 2 if high < 0.0025 else 1
    return f"{low * 100:.{digits}f}{MISSING}{high * 100:.{digits}f}%"


def age(hours: float | None) -> str:
    """Write an age or a delay in the unit a reader would use: ``40 min``, ``1.6 h``, ``3 days``."""
    if hours is None:
        return MISSING
    if hours < 1:
        return f"{hours * 60:.0f} min"
    if hours < 72:  # the first days of a campaign, in which its rates rise, are told in hours
        return f"{hours:.1f} h".replace(".0 h", " h") if hours < 10 else f"{hours:.0f} h"
    return f"{hours / 24:,.0f} days"


def hour(number: int) -> str:
    """Write an hour of the day from its beginning to its end: ``23 to 24 h`` with a dash."""
    return f"{number:02d}{MISSING}{number + 1:02d} h"


def ago(hours: float) -> str:
    """Write how long ago something was, or how far ahead of the clock it is said to be."""
    if hours < 0:
        return f"{age(-hours)} ahead of this machine's clock"
    return f"{age(hours)} ago"


def short(text: str | None, length: int = 48) -> str:
    """Cut a name from outside to the width of ``length`` letters with an ellipsis; None is a dash.

    A wide letter, as in Japanese, takes the room of two. What is written from right to left is
    isolated, so that it leaves the words and numbers around it in their order.
    """
    line = " ".join(CONTROL.sub(" ", text or "").split())
    if not line:
        return MISSING
    widths = list(accumulate(2 if east_asian_width(letter) in "WF" else 1 for letter in line))
    if widths[-1] > length:
        line = line[: bisect_right(widths, length - 1)].rstrip() + "…"
    return f"\u2068{line}\u2069" if any(map(_is_leftward, line)) else line


def both_ends(link: str, length: int) -> str:
    """Cut a link to ``length`` letters in its middle, for those of one site begin alike."""
    half = length // 2
    return link if len(link) <= length else f"{link[:half]}…{link[half + 1 - length :]}"


CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]+")
"""Control characters, and those that turn the direction of whatever follows them."""


def steers_nothing(text: str) -> str:
    """Write what steers a terminal, or turns text around, as JSON does: ``\\u001b``.

    Line breaks stay, and so does what ``short`` isolates with.
    """
    return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


_STEERING = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066\u2067]")


def _is_leftward(letter: str) -> bool:
    return bidirectional(letter) in {"R", "AL"}


def plural(number: float, noun: str) -> str:
    """Write a count with its noun: ``1 campaign``, ``3 campaigns``."""
    return f"{count(number)} {noun}{'' if number == 1 else 's'}"


_PROVIDERS = {
    "bt": "BT",
    "gmx": "GMX",
    "icloud": "iCloud",
    "laposte": "La Poste",
    "netease": "NetEase",
    "other": "other domains",
    "qq": "QQ",
    "sfr": "SFR",
    "t-online": "T-Online",
    "wp": "WP",
}


def provider(name: str | None) -> str:
    """Write a mailbox provider's name as it writes itself: ``gmail`` is Gmail."""
    return MISSING if not name else _PROVIDERS.get(name, name.capitalize())
