"""Zoned ISO-8601 times → naive UTC datetimes, cut off to µs, many at once; pure.

What a time means, ``loader.events.read_time`` defines; here only the usual forms are read.
"""

from datetime import datetime

import polars as pl

_FORM = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
    r"(?:\.[0-9]{1,9})?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])$"
)
"""YYYY-MM-DDThh:mm:ss, none or up to nine decimals, and Z or ±hh:mm."""

_SECONDS, _DECIMALS, _ZONE = 19, 6, 6
_MICROSECOND = pl.duration(microseconds=1)


def moments(texts: pl.Series) -> pl.Series:
    """Return the moments of ``texts``: naive UTC, cut off to µs.

    Null where a text is none of the usual forms, or no moment of the years 1 to 9999.
    """
    usual = texts.str.contains(_FORM)
    if not usual.all():
        texts = texts.set(~usual, None)
    seconds = texts.str.head(_SECONDS).str.to_datetime(
        "%Y-%m-%dT%H:%M:%S", time_unit="us", strict=False
    )
    rest = texts.str.slice(_SECONDS)
    parts = pl.DataFrame({"moment": seconds, "rest": rest, "zulu": rest.str.ends_with("Z")})
    found = pl.col("moment")
    if (rest != "Z").any():
        found += _fraction(pl.col("rest")) * _MICROSECOND
    if not parts["zulu"].all():
        found -= pl.when("zulu").then(pl.duration()).otherwise(_ahead(pl.col("rest")))
    parts = parts.select(found)
    possible = pl.col("moment").is_between(pl.lit(datetime.min), pl.lit(datetime.max))
    return parts.select(pl.when(possible).then("moment").alias("moment")).to_series()


def _fraction(rest: pl.Expr) -> pl.Expr:
    """Return the microseconds in what follows the seconds."""
    digits = pl.when("zulu").then(rest.str.head(-1)).otherwise(rest.str.head(-_ZONE))
    return digits.str.slice(1, _DECIMALS).str.pad_end(_DECIMALS, "0").cast(pl.Int64)


def _ahead(rest: pl.Expr) -> pl.Expr:
    """Return how far the zone ``±hh:mm`` at the end is ahead of UTC; null for another."""
    zone = rest.str.tail(_ZONE)
    hours, minutes = (zone.str.slice(at, 2).cast(pl.Int64, strict=False) for at in (1, 4))
    ahead = pl.duration(hours=hours, minutes=minutes)
    return pl.when(zone.str.starts_with("-")).then(-ahead).otherwise(ahead)
