"""Spool and published warehouse → how far loading is, and what to know before believing a rate."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import duckdb

from loader.definitions import of_this_version, other_version
from loader.errors import SpoolError
from loader.events import TABLES
from loader.lake import described, segment_prefix
from loader.ledger import loaded_offsets
from loader.query import published_at, reading
from loader.receipts import RECEIPTS, expired, gone, lacking, was_put_away
from loader.retention import overdue
from loader.settings import Settings
from loader.spool import LongLine, list_segments, read_block, segment_end, shorter, vanished
from loader.wording import percent, plural


def status(settings: Settings) -> dict[str, Any]:
    """Return how things stand, as plain values.

    ``home``: its whole path; ``spool``: bytes and segments in it, bytes not loaded yet;
    ``tables``: table → rows; ``last_load``: when, and its counts; ``events``: the sums of the
    ledger; ``quarantine``: reason → lines; ``match_rate``: share of opens and clicks whose message
    is known, or None;
    ``warnings`` and ``notes``: sentences. Works without a warehouse too.
    """
    receipts, published = expired(settings.spool), published_at(settings)
    found: dict[str, Any] = {
        "home": str(settings.home.absolute()),
        "warehouse": described(settings),
        **dict.fromkeys(("spool", "published_at", "last_load", "match_rate")),
        **{name: {} for name in ("tables", "events", "quarantine")},
        "notes": [],
    }
    if published is None:
        spool, alarms = _spool(settings, {})
        nothing = "nothing has been loaded yet: run loader ingest."
        lost = lacking(settings.spool, receipts, {})
        return found | {"spool": spool, "warnings": [nothing, *alarms, *lost]}
    with reading(settings) as con, of_this_version():
        return found | {"published_at": published} | _loaded(settings, con, receipts)


def _loaded(
    settings: Settings, con: duckdb.DuckDBPyConnection, receipts: Mapping[str, int]
) -> dict[str, Any]:
    """Return what the published warehouse tells, and the spool beside it."""
    offsets = loaded_offsets(con, segment_prefix(settings))
    spool, alarms = _spool(settings, offsets)
    return {
        "spool": spool,
        "last_load": _row(con, _LAST_LOAD),
        "match_rate": _match_rate(con),
        "tables": {table: _value(con, f"select count(*) from {table}") for table in TABLES},
        "events": _row(con, f"select {_COUNTS} from ingest_ledger"),
        "quarantine": _reasons(con),
        "warnings": [
            *other_version(con),
            *alarms,
            *lacking(settings.spool, receipts, offsets),
            *_overdue(settings, offsets),
            *_zone(settings, con),
            *_said(con, "severity <> 'note'"),
        ],
        "notes": _said(con, "severity = 'note'"),
    }


def published_offsets(settings: Settings) -> dict[str, int]:
    """Return segment → offset up to which the published warehouse holds it."""
    if published_at(settings) is None:
        return {}
    with reading(settings) as con:
        return loaded_offsets(con, segment_prefix(settings))


def sentences(found: dict[str, Any]) -> list[str]:
    """Return the lines that tell a person what ``status`` found."""
    spool, last = found["spool"], found["last_load"]
    lines = [
        f"home       {found['home']}",
        f"spool      {plural(spool['bytes'], 'byte')} in {plural(spool['segments'], 'segment')}, "
        f"{spool['lag_bytes']:,} not loaded yet",
    ]
    if last:
        lines.append(
            f"last load  {last['finished_at']:%Y-%m-%d %H:%M:%S} UTC: {last['read']:,} read, "
            f"{last['inserted']:,} inserted, {plural(last['duplicates'], 'duplicate')}, "
            f"{last['quarantined']:,} quarantined"
        )
    lines += [f"table      {name}: {plural(rows, 'row')}" for name, rows in found["tables"].items()]
    lines += [f"set aside  {reason}: {rows:,}" for reason, rows in found["quarantine"].items()]
    if found["match_rate"] is not None:
        share = percent(found["match_rate"])
        lines.append(f"matched    {share} of opens and clicks by message id")
    lines += [f"warning    {sentence}" for sentence in found["warnings"]]
    return lines + [f"note       {sentence}" for sentence in found["notes"]]


def _value(con: duckdb.DuckDBPyConnection, query: str) -> Any:
    rows = con.execute(query).fetchall()
    return rows[0][0] if rows else None


def _row(con: duckdb.DuckDBPyConnection, query: str) -> dict[str, Any] | None:
    cursor = con.execute(query)
    names = [column[0] for column in cursor.description or []]
    rows = cursor.fetchall()
    return dict(zip(names, rows[0], strict=True)) if rows else None


def _spool(settings: Settings, offsets: dict[str, int]) -> tuple[dict[str, int], list[str]]:
    """Return how much the spool holds, and a sentence about each thing that is wrong with it."""
    unread: list[SpoolError] = []
    segments, ends = list_segments(settings.spool, unread), {}
    alarms = list(map(str, [*vanished(settings.spool, offsets), *unread]))
    if not alarms:  # else what is not listed may be there all the same
        alarms += _missing(settings, {segment.name for segment in segments}, offsets)
    for segment in segments:
        wrong: SpoolError | None = None
        try:
            ends[segment.name] = end = segment_end(segment)
            if end < (offset := offsets.get(segment.name, 0)):
                wrong = shorter(segment, end, offset)
            elif end > offset:
                with suppress(LongLine):
                    read_block(segment, offset, 1)  # fails where it is not what was loaded
        except SpoolError as error:
            wrong = error
        if wrong and not was_put_away(settings.spool, segment):
            alarms.append(str(wrong))
    behind = sum(max(end - offsets.get(name, 0), 0) for name, end in ends.items())
    return {"segments": len(ends), "bytes": sum(ends.values()), "lag_bytes": behind}, alarms


def _missing(settings: Settings, present: set[str], offsets: dict[str, int]) -> Iterator[str]:
    if missing := len(gone(settings.spool, present, offsets)):
        yield (
            f"this spool lacks {plural(missing, 'segment')} of what was loaded: mount or restore "
            f"what is missing (of what had expired, {RECEIPTS}), or name the right LOADER_HOME; "
            "loader verify names it."
        )


def _overdue(settings: Settings, offsets: dict[str, int]) -> list[str]:
    now, keep_days = datetime.now(UTC), settings.retain_days
    return list(overdue(settings.spool, offsets, now=now, keep_days=keep_days))


def _zone(settings: Settings, con: duckdb.DuckDBPyConnection) -> list[str]:
    zone = _value(con, "select report_timezone()")
    if zone == settings.timezone:
        return []
    return [
        f"reports cut days in {zone}, but LOADER_TIMEZONE is {settings.timezone}: loader ingest "
        "brings them there."
    ]


_COUNTS = ", ".join(
    f"cast(coalesce(sum({name}), 0) as bigint) as {name}"
    for name in ("read", "inserted", "duplicates", "quarantined")
)
_LAST_LOAD = f"""
    select max(finished_at) as finished_at, {_COUNTS}
    from ingest_ledger
    group by started_at
    order by max(rowid) desc
    limit 1
"""
"""The load that was written last, whatever the clock has been set to since."""


def _reasons(con: duckdb.DuckDBPyConnection) -> dict[str, int]:
    query = "select reason, lines from quarantine_reason order by lines desc, reason"
    return dict(con.execute(query).fetchall())


def _match_rate(con: duckdb.DuckDBPyConnection) -> float | None:
    query = "select share from quality_total where check_name = 'matched by message id'"
    rate: float | None = _value(con, query)
    return rate


def _said(con: duckdb.DuckDBPyConnection, wanted: str) -> list[str]:
    query = f"select sentence from warnings where {wanted} order by number"
    return [sentence for (sentence,) in con.execute(query).fetchall()]
