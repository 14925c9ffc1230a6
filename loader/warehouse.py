"""Typed frames → DuckDB tables, in one transaction with the ledger; the only writer of DuckDB."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import duckdb
import polars as pl

from loader.batch import PLACES, Block, Parsed, as_text, schema, without
from loader.dedupe import Decision, decide, net, replaced
from loader.definitions import applied
from loader.entries import Loaded, corrected, entries, sums
from loader.errors import LacksMemory, WarehouseError
from loader.events import SPECIFIC, TABLES, own_lines
from loader.ledger import loaded_offsets
from loader.memory import default_memory
from loader.objects import apply_sql
from loader.refresh import LESS_EVENTS, PART_EVENTS, refresh, refresh_steps
from loader.spool import Segment
from loader.standing import bounds, look_up
from loader.target import Target

T = TypeVar("T")

KEPT = ("duplicate_tally", "refresh_state", "refresh_touched")
"""Tables that loads write beside the events, and by which a refresh knows what is to be done."""
_VIEWS = pl.CompatLevel.newest()
"""Texts go to DuckDB as they stand, not copied together first."""
_EVENT = ["message_key", "occurred_at"]
_MOST_TOUCHED = 0.1
"""Share of the events from which on saying which were touched is not worth its while."""


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes of a segment that were loaded together."""

    segment: str
    start: int
    stop: int


class Warehouse:
    """The loader's own database, open for writing.

    After a ``WarehouseError`` of any method the outcome of the last transaction is unknown: it
    has to be opened anew, and its ledger says what happened.
    """

    def __init__(self, target: Target, timezone: str) -> None:
        """Nothing is opened yet; ``timezone`` is the zone in which reports cut days."""
        self._target = target
        self._timezone = timezone
        self._refreshing = refresh_steps()  # now: meanwhile another version may be installed
        self._started = _now()
        self.batch_scale, self.takes_turns = target.batch_scale, not target.alone

    def open(self) -> "Warehouse":
        """Open it for writing, made first where there is none; every object of ``sql/`` is applied.

        Whoever calls has the turn to load. Raises ``WarehouseError`` when it cannot be opened.
        """
        self._target.open(self._prepare)
        self._refuse_other_columns()
        self._recall()
        return self

    def offsets(self) -> dict[str, int]:
        """Return segment → offset up to which it has been loaded."""
        return dict(self._offsets) if self._target.alone else self._ask_offsets()

    def _ask_offsets(self) -> dict[str, int]:
        return self._target.ask(lambda con: loaded_offsets(con, self._target.prefix))

    def known(self, expired: Mapping[str, int]) -> dict[str, int]:
        """Return how many bytes have been loaded of each segment, by its name in the ledger.

        What has ``expired`` was loaded, whatever is known of it. The rest the warehouse tells: it
        is opened for that; where it does not open, what readers see tells.
        """

        def loaded(con: duckdb.DuckDBPyConnection) -> dict[str, int]:
            return loaded_offsets(con, "")

        try:
            self.open()
            found = self._target.ask(loaded)
        except WarehouseError:
            found = self._target.ask_shown(loaded) or {}  # it may be older than receipts
        return found | {self._named(name): size for name, size in expired.items()}

    def elsewhere(self, known: Mapping[str, int], held: Mapping[str, int]) -> int:
        """Return of how many segments more is ``known`` than is ``held`` of them in this spool."""
        here = {self._named(name): size for name, size in held.items()}
        return sum(size > here.get(name, 0) for name, size in known.items())

    def new(self, segments: Iterable[Segment]) -> Iterator[tuple[Segment, int]]:
        """Yield the segments that are this loader's to load, and from which offset on.

        What is loaded of them has one ``started_at`` in the ledger: it is one load to a reader.
        """
        self._started = _now()
        return self._target.claimed(segments, lambda con: loaded_offsets(con, self._target.prefix))

    def release(self) -> None:
        """Let other loaders have what ``new`` yielded."""
        self._target.release()

    def is_last(self) -> bool:
        """Say whether no other loader is at work that will publish what stands then."""
        return self._target.is_last()

    def sole(self, purpose: str) -> AbstractContextManager[bool]:
        """Say whether this loader is the one of its spool to do ``purpose`` now."""
        return self._target.sole(purpose)

    def is_published(self) -> bool:
        """Say whether readers see what stands now, and nothing of it waits to be settled."""
        return not self.ties(1).height and self._target.is_published(_state)

    def together(self) -> AbstractContextManager[None]:
        """Make one transaction of what is loaded meanwhile, where nobody else loads."""
        return self._target.together()

    def load(self, parsed: Parsed, ready: Callable[[], Iterable[Parsed]] = tuple) -> Loaded:
        """Load a batch, and those that are ``ready`` by the time it is this loader's turn.

        Rows, quarantine and ledger of them all are one transaction.
        """
        batches = [parsed]

        def work() -> Loaded:
            batches.extend(ready())
            return self._load_once(batches, self._started)

        done = self._commit(work)
        *before, last = [block.segment for parsed in batches for block in parsed.blocks]
        self._target.release(set(before) - {last})  # more of the last may be on its way
        return done

    def load_again(self, blocks: Sequence[Block], parsed: Parsed) -> Loaded:
        """Load lines that are in the quarantine, a line of the spool a block, in one transaction.

        ``parsed`` is what ``blocks`` hold. Of an array only what was set aside counts: the rest
        of it is read again too, and changes nothing.
        The ledger gets a row for each segment, in which ``quarantined`` is what has left the
        quarantine, as a negative number: so the sums of the ledger stay what the tables hold.
        """
        started = _now()
        return self._commit(lambda: self._load_lines(blocks, parsed, started))

    def set_aside(self) -> int:
        """Return how many lines are in the quarantine."""
        return int(self._value("select count(*) from quarantine"))

    def places_set_aside(self) -> list[tuple[str, int]]:
        """Return segment and offset of each line in the quarantine, in their order."""
        query = "select distinct segment, line_offset from quarantine order by all"
        return [(self._here(segment), offset) for segment, offset in self._rows(query)]

    def lines_set_aside(self, segment: str, offset: int) -> list[str]:
        """Return the lines that the quarantine keeps, as they were, of one line of the spool."""
        query = """
            select line
            from quarantine
            where segment = ? and line_offset = ? and reason not in ('too_long', 'not_utf8')
            order by all
        """
        return [line for (line,) in self._rows(query, self._named(segment), offset)]

    def ties(self, most: int) -> pl.DataFrame:
        """Return kind, message_key and occurred_at of up to ``most`` tied events, and ``lines``."""
        query = """
            select kind, message_key::varchar as message_key, occurred_at, count(*) as lines
            from tie
            group by all
            order by all
            limit $most
        """
        return self._target.ask(lambda con: con.sql(query, params={"most": most}).pl())

    def spans(self, ties: pl.DataFrame) -> list[Span]:
        """Return what has been loaded in which a line of a tied event can stand."""
        return self._target.ask(lambda _con: self._spans(ties))

    def settle(self, ties: pl.DataFrame, found: Mapping[str, pl.DataFrame]) -> None:
        """Put rows of ``found``, the smallest lines of tied events, in place of standing ones.

        Those of ``ties`` are left that got another line meanwhile, from another loader.
        """
        self._commit(lambda: self._settle(ties, found))

    def publish(self) -> float:
        """Refresh what marts keep, and show it to readers; return the seconds of the copying."""
        try:
            return self._target.publish(lambda: self._refresh(PART_EVENTS))
        except LacksMemory:
            self._target.close()
            self.open()
        return self.with_memory(lambda: self._target.publish(lambda: self._refresh(LESS_EVENTS)))

    def with_memory(self, work: Callable[[], T], again: Callable[[], T] | None = None) -> T:
        """Run ``work``; where memory was what it lacked, once more, or ``again``, with more.

        More is what DuckDB takes by default; the warehouse is opened anew for it, and keeps it.
        """
        had = self._target.memory
        try:
            return work()
        except LacksMemory:
            if had:
                raise
        if not self._target.memory:
            self._target.memory = default_memory()
            self._target.close()
            self.open()
        return (again or work)()

    def rebuild(self, load: Callable[[], None]) -> None:
        """Build it anew, out of readers' sight: it is opened, and ``load`` finds it empty."""
        self.with_memory(lambda: self._target.rebuild(self.open, self._empty, load))

    def close(self) -> None:
        """Let go of it."""
        self._target.close()

    @property
    def _con(self) -> duckdb.DuckDBPyConnection:
        return self._target.con

    def _named(self, segment: str) -> str:
        return self._target.prefix + segment

    def _here(self, segment: str) -> str:
        """Return the name that a segment has in this spool; that of another spool as it is."""
        return segment.removeprefix(self._target.prefix)

    def _prepare(self) -> None:
        # Where nobody else looks no transaction is needed; in DuckDB 2 it would end at the first
        # object that has to wait for another one.
        if self._target.alone:
            apply_sql(self._con, self._timezone)
        else:
            self._target.commit(lambda: apply_sql(self._con, self._timezone, shared=True))

    def _refuse_other_columns(self) -> None:
        """Raise where another version made the tables of events, of which it knew other fields."""
        for table in TABLES:
            (described,) = self._rows(f"select list(column_name) from (describe {table})")[0]
            if set(described) != set(schema(table)) - set(PLACES):
                raise WarehouseError(
                    f"the table {table} was made by a version that knew other fields of events: "
                    "loader ingest --rebuild makes a file anew from the spool; of a lake, begin a "
                    "new one."
                )

    def _load_once(self, batches: Sequence[Parsed], started: datetime) -> Loaded:
        left = self._left(batches)
        is_whole = all(one is other for one, other in zip(left, batches, strict=True))
        done = Loaded() if is_whole else self._done(batches, started)
        decisions = self._decide(left)
        ledger = pl.concat(
            entries(parsed, one, started, _now())
            for parsed, one in zip(left, decisions, strict=True)
        )
        lost = [(table, part) for table, one in _each(decisions) for part in one.lost]
        self._write(left, decisions, lost, ledger)
        return done + sums(ledger)

    def _load_lines(self, blocks: Sequence[Block], parsed: Parsed, started: datetime) -> Loaded:
        aside = self._take_back(blocks)
        parsed = _still_aside(parsed, aside)
        decisions = self._decide([parsed])
        was = aside.group_by("segment").agg(pl.len().cast(pl.Int64).alias("was"))
        ledger = corrected(entries(parsed, decisions[0], started, _now()), was)
        again = _not_aside(blocks, aside)
        lost = [
            (table, _except(part, again)) for table, one in _each(decisions) for part in one.lost
        ]
        self._write([parsed], decisions, lost, ledger)
        return sums(ledger)

    def _done(self, batches: Sequence[Parsed], started: datetime) -> Loaded:
        """Return what an earlier attempt at this load did, whose commit nobody confirmed."""
        places = [
            f"{self._named(block.segment)}:{block.offset}"
            for parsed in batches
            for block in parsed.blocks
        ]
        query = """
            select sum(read), sum(inserted), sum(duplicates), sum(quarantined)
            from ingest_ledger
            where started_at = ? and list_contains(?, segment || ':' || from_offset)
        """
        found = self._con.execute(query, [started, places]).fetchall()[0]
        return Loaded(*(int(value or 0) for value in found))

    def _left(self, batches: Iterable[Parsed]) -> list[Parsed]:
        """Return ``batches`` without the blocks that another loader has loaded meanwhile."""
        offsets = dict(self._offsets)
        return [_following(parsed, offsets) for parsed in batches]

    def _decide(self, batches: Sequence[Parsed]) -> list[dict[str, Decision]]:
        events = [parsed.events for parsed in batches]
        standing = {table: self._met(table, frames) for table, frames in _by_table(events).items()}
        return decide(events, standing)

    def _spans(self, ties: pl.DataFrame) -> list[Span]:
        moments = pl.concat(  # noqa: F841 - DuckDB sees it
            look_up(self._con, table, part).select("received_at")
            for (table,), part in ties.group_by("kind")
        ).unique()
        query = """
            select distinct segment, from_offset, to_offset
            from ingest_ledger
            join moments on
                received_at between first_received_at and last_received_at
                or (received_at is null and without_received_at > 0)
            order by all
        """
        found = self._con.execute(query).fetchall()
        return [Span(self._here(segment), start, stop) for segment, start, stop in found]

    def _settle(self, ties: pl.DataFrame, found: Mapping[str, pl.DataFrame]) -> None:
        ties = self._as_told(ties)
        changes = {
            table: replaced(rows, look_up(self._con, table, rows))
            for table, some in found.items()
            if (rows := some.join(ties.filter(kind=table), on=_EVENT, how="semi")).height
        }
        self._touch([part for change in changes.values() for part in change])
        # What stands now was counted when it came; now what stood is.
        self._tally([(table, change[0], -1) for table, change in changes.items()])
        self._tally([(table, change[1], +1) for table, change in changes.items()])
        for table, (insert, delete) in changes.items():
            self._delete(table, delete)
            self._insert(table, insert.drop(*PLACES, "rank"))
        self._con.execute(
            "delete from tie using ties where tie.kind = ties.kind "
            "and tie.message_key = ties.message_key::uuid "
            "and tie.occurred_at = ties.occurred_at"
        )

    def _as_told(self, ties: pl.DataFrame) -> pl.DataFrame:
        """Return those of ``ties`` of which there are as many lines now."""
        query = """
            select ties.*
            from ties
            join tie on
                tie.kind = ties.kind
                and tie.message_key = ties.message_key::uuid
                and tie.occurred_at = ties.occurred_at
            group by all
            having count(*) = ties.lines
        """
        return self._con.sql(query).pl()

    def _empty(self) -> None:
        for table in (*TABLES, "quarantine", "ingest_ledger", "tie", *KEPT):
            self._con.execute(f"delete from {table}")
        self._recall()

    def _recall(self) -> None:
        """Learn of what stands as much as loads go by."""
        extents = self._target.extents(TABLES)
        self._events = sum(events for events, _latest in extents.values())
        self._latest = {table: latest for table, (_events, latest) in extents.items()}
        self._tells = self._value("select count(*) from refresh_state") > 0
        told = "select count(*) from refresh_touched"
        self._touched = self._value(told) if self._tells else 0
        self._offsets = self._ask_offsets()

    def _commit(self, work: Callable[[], T]) -> T:
        def knowing() -> T:
            if self._target.has_moved():
                self._recall()
            return work()

        return self.with_memory(lambda: self._target.commit(knowing))

    def _take_back(self, blocks: Sequence[Block]) -> pl.DataFrame:
        """Take lines out of the quarantine; return them: segment, line_offset, line."""
        places = pl.DataFrame(  # noqa: F841 - DuckDB sees it
            [(self._named(block.segment), block.offset) for block in blocks],
            schema={"segment": pl.String, "line_offset": pl.Int64},
            orient="row",
        )
        query = """
            select substr(segment, length($prefix) + 1) as segment, line_offset, line
            from quarantine
            semi join places using (segment, line_offset)
        """
        aside = self._con.sql(query, params={"prefix": self._target.prefix}).pl()
        self._con.execute(
            "delete from quarantine using places where quarantine.segment = places.segment "
            "and quarantine.line_offset = places.line_offset"
        )
        return aside

    def _met(self, table: str, frames: Iterable[pl.DataFrame]) -> pl.DataFrame:
        # What occurred after everything that stands has no duplicate among it.
        latest = self._latest[table]
        pairs = pl.concat(frame.select("message_key", "occurred_at") for frame in frames)
        late = pairs.filter(pl.col("occurred_at") <= latest) if latest else pairs.clear()
        return look_up(self._con, table, late)

    def _write(
        self,
        batches: Iterable[Parsed],
        decisions: Sequence[Mapping[str, Decision]],
        lost: Sequence[tuple[str, pl.DataFrame]],
        ledger: pl.DataFrame,
    ) -> None:
        changes = {table: net(some) for table, some in _by_table(decisions).items()}
        self._touch([part for change in changes.values() for part in change])
        self._tally([(table, rows, +1) for table, rows in lost])
        for table, (insert, delete) in changes.items():
            self._delete(table, delete)
            self._insert(table, insert.drop(*PLACES))
        for table, decision in _each(decisions):
            ties = decision.ties.select(pl.lit(table).alias("kind"), "message_key", "occurred_at")
            self._insert("tie", ties)
        self._insert_named("quarantine", pl.concat(p.refused.drop("block") for p in batches))
        self._insert_named("ingest_ledger", ledger)
        self._remember(changes, ledger)

    def _remember(
        self, changes: Mapping[str, tuple[pl.DataFrame, pl.DataFrame]], ledger: pl.DataFrame
    ) -> None:
        for segment, stop in ledger.select("segment", "to_offset").rows():
            self._offsets[segment] = max(stop, self._offsets.get(segment, 0))
        for table, (insert, delete) in changes.items():
            self._events += insert.height - delete.height
            newest: Any = insert["occurred_at"].max()
            moments = [at for at in (newest, self._latest[table]) if at is not None]
            self._latest[table] = max(moments, default=None)

    def _touch(self, changed: Sequence[pl.DataFrame]) -> None:
        """Say for the refresh whose rows change; or, of many, that nobody said."""
        if not self._tells:
            return
        self._touched += sum(frame.height for frame in changed)
        if self._touched > _MOST_TOUCHED * self._events:
            self._con.execute("delete from refresh_state")
            self._con.execute("delete from refresh_touched")
            self._tells = False
            return
        for frame in changed:
            rows = frame.select("message_key", "recipient", "campaign_id")
            if rows.height:
                self._con.execute(
                    "insert into refresh_touched by name "
                    "select distinct message_key::uuid as message_key, "
                    "recipient_key(recipient) as recipient, campaign_id from rows"
                )

    def _tally(self, changes: Sequence[tuple[str, pl.DataFrame, int]]) -> None:
        """Count duplicates by when they occurred and by whose they are; for data quality."""
        counted = [
            rows.select(
                "sender", "occurred_at", pl.lit(table).alias("kind"), pl.lit(n).alias("times")
            )
            for table, rows, n in changes
            if rows.height
        ]
        if not counted:
            return
        rows = pl.concat(counted)  # noqa: F841 - DuckDB sees it
        self._con.execute(
            """
            insert into duplicate_tally by name
            select
                kind,
                address_domain(sender) as sender_domain,
                time_bucket(interval 15 minutes, occurred_at) as occurred_at,
                sum(times) as duplicates,
            from rows
            group by all
            """
        )

    def _delete(self, table: str, rows: pl.DataFrame) -> None:
        if not rows.height:
            return
        names = ["recipient", "occurred_at", *SPECIFIC[table]]
        same = " and ".join(f"{table}.{name} is not distinct from rows.{name}" for name in names)
        self._con.execute(
            f"delete from {table} using rows "
            f"where {table}.message_key = rows.message_key::uuid and {same} "
            f"and {table}.occurred_at between $earliest and $latest",
            bounds(rows),
        )

    def _insert(self, table: str, rows: pl.DataFrame) -> None:
        if rows.height:
            views = rows.to_arrow(compat_level=_VIEWS)  # noqa: F841 - DuckDB sees it
            self._con.execute(f"insert into {table} by name select * from views")

    def _insert_named(self, table: str, rows: pl.DataFrame) -> None:
        named = pl.concat_str(pl.lit(self._target.prefix), "segment").alias("segment")
        self._insert(table, rows.with_columns(named))

    def _refresh(self, part_events: int) -> None:
        refresh(self._con, self._refreshing, part_events)
        self._touched, self._tells = 0, True

    def _value(self, query: str) -> Any:
        rows = self._rows(query)
        return rows[0][0] if rows else None

    def _rows(self, query: str, *values: object) -> list[Any]:
        return self._target.ask(lambda con: con.execute(query, values).fetchall())


def _by_table(batches: Iterable[Mapping[str, T]]) -> dict[str, list[T]]:
    """Return table → what the batches have of it, one for each that has some."""
    found: dict[str, list[T]] = {}
    for one in batches:
        for table, value in one.items():
            found.setdefault(table, []).append(value)
    return found


def _following(parsed: Parsed, offsets: dict[str, int]) -> Parsed:
    """Return ``parsed`` without the blocks that do not begin at ``offsets``; move those on."""
    lost = set()
    for number, block in enumerate(parsed.blocks):
        if block.offset == offsets.get(block.segment, 0):
            offsets[block.segment] = block.offset + block.size
        else:
            lost.add(number)
    return without(parsed, lost) if lost else parsed


def _each(decisions: Iterable[Mapping[str, Decision]]) -> Iterator[tuple[str, Decision]]:
    for one in decisions:
        yield from one.items()


def _still_aside(parsed: Parsed, aside: pl.DataFrame) -> Parsed:
    """Return ``parsed`` without what has left the quarantine since, as in a rebuild of a lake."""
    places = set(aside.select("segment", "line_offset").rows())
    return without(
        parsed,
        {
            number
            for number, block in enumerate(parsed.blocks)
            if (block.segment, block.offset) not in places
        },
    )


def _not_aside(blocks: Sequence[Block], aside: pl.DataFrame) -> pl.DataFrame:
    """Return line and element of the events of ``blocks`` that are not in ``aside``."""
    known: dict[tuple[str, int], set[str]] = {}
    for segment, offset, text in aside.rows():
        known.setdefault((segment, offset), set()).add(text)
    lines = (
        (line, known.get((block.segment, block.offset), set()))
        for block in blocks
        for line in block.data.split(b"\n")[:-1]
    )
    found = [
        (number, element)
        for number, (line, texts) in enumerate(lines)
        if as_text(line) not in texts
        for element, own in enumerate(own_lines(line))
        if as_text(own) not in texts
    ]
    return pl.DataFrame(found, {"line": pl.UInt32, "element": pl.UInt32}, orient="row")


def _except(rows: pl.DataFrame, again: pl.DataFrame) -> pl.DataFrame:
    if "element" not in rows.columns:
        return rows  # they stood in a table
    return rows.join(again, on=["line", "element"], how="anti", maintain_order="left")


def _state(con: duckdb.DuckDBPyConnection) -> tuple[object, ...]:
    rows = con.execute("select count(*), max(finished_at) from ingest_ledger").fetchall()
    return (applied(con), *rows[0])


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
