"""Zoned ISO-8601 times → microseconds since 1970, many at once; pure.

What a time means, ``loader.events.read_time`` defines; here only the usual forms are read:
YYYY-MM-DDThh:mm:ss, none or up to nine decimals, and Z or ±hh:mm.
"""

from datetime import datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from loader.scan import Places, Scan

Numbers = NDArray[np.int64]

_BARE = "0000-00-00T00:00:00"
_ZONES = {True: "Z", False: "+00:00"}
_ZERO, _PLUS, _MINUS = b"0+-"
_SECOND = 1_000_000
_UNKNOWN = np.iinfo(np.int64).min
_LEAST, _MOST = (np.datetime64(end, "us").astype(np.int64) for end in (datetime.min, datetime.max))


def moments(scan: Scan, starts: Places, ends: Places) -> pl.Series:
    """Return the moments that stand from ``starts`` up to ``ends``: naive UTC, cut off to µs.

    Null where the text is none of the usual forms, or no moment of the years 1 to 9999.
    """
    found = np.full(len(starts), _UNKNOWN, np.int64)
    lengths, zulu = ends - starts, scan.at(ends - 1, 1) == b"Z"
    for length in np.unique(lengths):
        for zone in (True, False):
            form = _form(int(length), _ZONES[zone])
            rows = np.flatnonzero((lengths == length) & (zulu == zone))
            if form and len(rows):
                found[rows] = _read(scan.at(starts[rows], int(length)), form)
    known = (found >= _LEAST) & (found <= _MOST)
    read = pl.Series(found).cast(pl.Datetime("us"))
    return read if known.all() else read.set(pl.Series(~known), None)


def _form(length: int, zone: str) -> str | None:
    """Return what times of that length look like: 0 stands for a digit, + for a sign."""
    point = length - len(_BARE) - len(zone)
    if point == 0:
        return _BARE + zone
    return f"{_BARE}.{'0' * (point - 1)}{zone}" if 2 <= point <= 10 else None


def _read(texts: NDArray[np.bytes_], form: str) -> Numbers:
    bytes_ = np.ascontiguousarray(texts.view(np.uint8).reshape(len(texts), -1).T)
    digits = bytes_ - np.uint8(_ZERO)
    decimals = max(form.find("Z"), form.find("+")) - len(_BARE)
    year, month, day, hour, minute, second = (
        _number(digits[start:stop])
        for start, stop in ((0, 4), (5, 7), (8, 10), (11, 13), (14, 16), (17, 19))
    )
    months = ((year - 1970) * 12 + month - 1).astype("M8[M]")
    first, following = (_days(months), _days(months + 1))
    fine = _looks(bytes_, digits, form)
    fine &= (year >= 1) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= following - first)
    fine &= (hour <= 23) & (minute <= 59) & (second <= 59)
    seconds = ((first + day - 1) * 24 + hour) * 3600 + minute * 60 + second
    part = digits[len(_BARE) + 1 : len(_BARE) + decimals][:6]
    micros = _number(part) * 10 ** (6 - len(part))
    if form[-1] != "Z":
        hours, minutes = _number(digits[-5:-3]), _number(digits[-2:])
        fine &= (hours <= 23) & (minutes <= 59)
        seconds -= np.where(bytes_[-6] == _MINUS, -1, 1) * (hours * 3600 + minutes * 60)
    return np.where(fine, seconds * _SECOND + micros, _UNKNOWN)


def _looks(bytes_: NDArray[np.uint8], digits: NDArray[np.uint8], form: str) -> NDArray[np.bool_]:
    fine = np.ones(bytes_.shape[1], np.bool_)
    for byte, digit, wanted in zip(bytes_, digits, form.encode(), strict=True):
        if wanted == _ZERO:
            fine &= digit <= 9
        elif wanted == _PLUS:
            fine &= (byte == _PLUS) | (byte == _MINUS)
        else:
            fine &= byte == wanted
    return fine


def _number(digits: NDArray[np.uint8]) -> Numbers:
    number = np.zeros(digits.shape[1], np.int64)
    for digit in digits:
        number = number * 10 + digit
    return number


def _days(months: NDArray[np.datetime64]) -> Numbers:
    return months.astype("M8[D]").astype(np.int64)
