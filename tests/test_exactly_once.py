"""The warehouse is a function of the set of lines in the spool."""

import os
import random
import shutil
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import duckdb
import hypothesis.strategies as st
import pytest
import zstandard
from hypothesis import HealthCheck, settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

from loader import dedupe as deduping
from loader import ingest as ingesting
from loader.batch import Block, parse
from loader.events import SPECIFIC, TABLES, Event, Refused, read_line
from loader.ingest import ingest
from loader.quarantine import retry
from loader.query import connect
from loader.settings import Settings
from loader.shape import Shapes
from loader.target import target_of
from loader.ties import settle_ties
from loader.warehouse import Warehouse
from tests.provider import BOUNCE, CLICK, DELIVERED, OPEN, SHORT_BOUNCE, bare, drop, home, line

EXAMPLES = int(os.environ.get("LOADER_TEST_EXAMPLES", "6"))
STEPS = int(os.environ.get("LOADER_TEST_STEPS", "12"))
SEEDS = int(os.environ.get("LOADER_TEST_SEEDS", "3"))


def expected(lines: Iterable[bytes]) -> dict[str, list[dict[str, Any]]]:
    """The rows of each table, by the definition: of duplicates the smallest line stands."""
    ranked: dict[tuple[Any, ...], tuple[Any, Event]] = {}
    for text in lines:
        for element, item in enumerate(read_line(text.rstrip(b"\n"))):
            if isinstance(item, Event):
                at = item.row["received_at"]
                rank = (at is None, at, text, element)
                own = tuple(item.row[name] for name in SPECIFIC[item.table])
                who = (item.row["message_key"], item.row["recipient"].lower())
                key = (item.table, *who, item.row["occurred_at"], *own)
                ranked[key] = min(ranked.get(key, (rank, item)), (rank, item), key=lambda r: r[0])
    rows: dict[str, list[dict[str, Any]]] = {table: [] for table in TABLES}
    for _, item in ranked.values():
        rows[item.table].append(dict(item.row))
    return {table: sorted(found, key=str) for table, found in rows.items()}


def stored(con: duckdb.DuckDBPyConnection) -> dict[str, list[dict[str, Any]]]:
    """The rows of each table."""
    found = {}
    for table, columns in COLUMNS.items():
        rows = con.execute(f"select {', '.join(columns)} from {table}").fetchall()
        found[table] = sorted((dict(zip(columns, row, strict=True)) for row in rows), key=str)
    return found


def columns_of(table: str) -> list[str]:
    """The columns of a table, in the order in which ``read_line`` gives them."""
    text = {"delivered": DELIVERED, "open": OPEN, "click": CLICK, "bounce": BOUNCE}
    more = {"kind": table if table != "other_event" else "complaint"}
    event = next(iter(read_line(bare(text.get(table, OPEN) | more))))

    assert isinstance(event, Event)
    return list(event.row)


COLUMNS = {table: columns_of(table) for table in TABLES}


TALLY = """
    select kind || ' ' || coalesce(sender_domain, '-'), cast(sum(duplicates) as bigint)
    from duplicate_tally
    group by 1
    having sum(duplicates) <> 0
"""

SPLIT = """
    select kind, sender_domain, occurred_at
    from duplicate_tally
    group by all
    having count(*) > 1 or sum(duplicates) = 0
"""


def lost(items: list[Event | Refused], standing: dict[str, list[dict[str, Any]]]) -> dict[str, int]:
    """Table and sender's domain → how many events are not among those that stand."""

    def of(table: str, row: Any) -> str:
        return f"{table} {row['sender'].partition('@')[2] or '-'}"

    events = Counter(of(item.table, item.row) for item in items if isinstance(item, Event))
    events.subtract(of(table, row) for table, rows in standing.items() for row in rows)
    return {name: number for name, number in events.items() if number}


def check(where: Settings, lines: list[bytes]) -> None:
    """Every table is what the lines say, and the ledger adds up."""
    with connect(where) as con:
        assert stored(con) == expected(lines)
        rows = sum(len(found) for found in stored(con).values())
        sums = "sum(read), sum(inserted), sum(duplicates), sum(quarantined)"
        ledger = con.execute(f"select {sums} from ingest_ledger").fetchone() or ()
        aside = con.execute("select count(*) from quarantine").fetchone() or ()
        tally = dict(con.execute(TALLY).fetchall())
        split = con.execute(SPLIT).fetchall()
    read, inserted, duplicates, quarantined = (int(number or 0) for number in ledger)
    items = [item for text in lines for item in read_line(text.rstrip(b"\n"))]

    assert read == inserted + duplicates + quarantined == len(items)
    assert inserted == rows
    assert tally == lost(items, expected(lines))
    assert not split
    assert quarantined == aside[0] == sum(isinstance(item, Refused) for item in items)


# Few values of everything, so that duplicates, ties and replacements come by themselves.
KINDS = (DELIVERED, OPEN, BOUNCE, SHORT_BOUNCE, DELIVERED | {"kind": "complaint"})
MOMENTS = ("2026-11-23T07:00:00.000001Z", "2026-11-23T07:00:00.000002Z", "2026-11-22T07:00:00Z")
RECIPIENTS = ("user@example.com", " User@Example.com ", "İ@example.com", "i̇@example.com")
SENDERS = ("a@example.com", "b@other.example", "c")
MORE = ({}, {}, {}, {"extra": 1}, {"recipient": 7}, {"timestamp": "now"})
ODD = (b"nope\n", b"\xff\n", b"\n", b'{"body": ""}\n')


def some_lines(seed: int) -> list[bytes]:
    """A few lines, the same for the same seed."""
    chance = random.Random(seed)

    def event() -> dict[str, Any]:
        second, recipient = chance.randrange(2), chance.choice(RECIPIENTS)
        base = {"timestamp": f"2025-09-04T10:00:0{second}Z", "recipient": recipient}
        who = {"sender": chance.choice(SENDERS)}
        return chance.choice(KINDS) | base | who | chance.choice(MORE)

    def text() -> bytes:
        form, at = chance.randrange(10), chance.choice(MOMENTS)
        if form < 6:
            return line(event(), at)
        if form < 8:
            return bare(event())
        return line([event(), event()], at, "events") if form < 9 else chance.choice(ODD)

    return [text() for _ in range(chance.randrange(1, 30))]


@pytest.fixture(scope="module")
def born(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a warehouse that nothing has been loaded into."""
    path = tmp_path_factory.mktemp("born")
    ingest(home(path))
    return path


@pytest.mark.parametrize("seed", range(SEEDS))
def test_order_and_batches_leave_no_trace(seed: int, born: Path, tmp_path: Path) -> None:
    """The same lines, shuffled and cut another way, give the same tables at every load."""
    chance = random.Random(seed)
    lines = [text for part in range(12) for text in some_lines(100 * seed + part)]
    chance.shuffle(lines)
    shutil.copytree(born, tmp_path, dirs_exist_ok=True)
    where, loaded, count = home(tmp_path), 0, 0
    while loaded < len(lines):
        part = lines[loaded : loaded + chance.choice([1, 20, 60])]
        drop(where, f"{chance.randrange(5)}-{count}.jsonl", *part)
        loaded, count = loaded + len(part), count + 1
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ingesting, "BATCH_BYTES", chance.choice([1, 5000, 2**25]))
            patch.setattr(deduping, "_AT_ONCE", chance.choice([1, 20, 2**14]))
            patch.setattr("loader.ties.TIES_AT_ONCE", chance.choice([1, 200_000]))
            ingest(where)

        check(where, lines[:loaded])


@pytest.mark.parametrize("seed", range(SEEDS))
def test_batches_of_one_turn_are_as_if_loaded_one_after_another(
    seed: int, born: Path, tmp_path: Path
) -> None:
    """Batches that are loaded in one transaction give the tables that the lines say."""
    chance = random.Random(seed)
    lines = [text for part in range(12) for text in some_lines(100 * seed + part)]
    chance.shuffle(lines)
    shutil.copytree(born, tmp_path, dirs_exist_ok=True)
    where = home(tmp_path)
    drop(where, "1.jsonl", *lines)
    batches, offset = [], 0
    while lines[len(batches) * 9 :]:
        data = b"".join(lines[len(batches) * 9 : len(batches) * 9 + 9])
        batches.append(parse([Block("1.jsonl", offset, data)], Shapes()))
        offset += len(data)
    with closing(Warehouse(target_of(where), where.timezone).open()) as warehouse:
        while batches:
            some = [batches.pop(0) for _ in range(min(chance.randrange(1, 6), len(batches)))]
            warehouse.load(some[0], lambda some=some: some[1:])  # type: ignore[misc]
        settle_ties(warehouse, where.spool)
        warehouse.publish()

    check(where, lines)


def test_a_load_that_is_repeated_is_done_once(born: Path, tmp_path: Path) -> None:
    """Loaded again, as after a commit that nobody confirmed, a batch changes and counts nothing."""
    shutil.copytree(born, tmp_path, dirs_exist_ok=True)
    where, lines = home(tmp_path), some_lines(1)
    data = drop(where, "1.jsonl", *lines).read_bytes()
    batch = parse([Block("1.jsonl", 0, data)], Shapes())
    with closing(Warehouse(target_of(where), where.timezone).open()) as warehouse:
        first, again = warehouse.load(batch), warehouse.load(batch)
        settle_ties(warehouse, where.spool)
        warehouse.publish()

    assert first == again
    check(where, lines)


@pytest.mark.parametrize("form", [line, bare])
def test_the_smallest_line_stands_whenever_it_comes(form: Any, born: Path, tmp_path: Path) -> None:
    """Of lines of one moment the smallest stands, also where no moment is known, load by load."""
    shutil.copytree(born, tmp_path, dirs_exist_ok=True)
    where = home(tmp_path)
    lines = [form(OPEN | {"extra": number}) for number in (2, 1, 3)]
    for number, text in enumerate(lines):
        drop(where, f"{number}.jsonl", text)
        ingest(where)

        check(where, lines[: number + 1])


class Loading(RuleBasedStateMachine):
    """Whatever happens on the way, what is published is what the lines say."""

    born: Path
    written = Bundle("written")

    @initialize()
    def begin(self) -> None:
        """Start from an empty warehouse."""
        self.path = Path(mkdtemp(prefix="loader-"))
        shutil.copytree(self.born, self.path, dirs_exist_ok=True)
        self.where = home(self.path)
        self.lines: list[bytes] = []
        self.loaded: list[bytes] | None = []
        self.files = 0

    def teardown(self) -> None:
        """Leave nothing behind."""
        shutil.rmtree(self.path)

    @rule(target=written, lines=st.integers(0, 2**32).map(some_lines), fresh=st.booleans())
    def write(self, lines: list[bytes], fresh: bool) -> Any:
        """Lines arrive, in a new segment or at the end of the last one."""
        self.files += fresh or not self.files
        drop(self.where, f"{self.files:03}.jsonl", *lines)
        self.lines += lines
        return multiple(*lines)

    @rule(lines=st.lists(written, min_size=1, max_size=8).flatmap(st.permutations))
    def write_again(self, lines: list[bytes]) -> None:
        """The same lines arrive again, in another order, in a compressed file from elsewhere."""
        self.files += 1
        packed = zstandard.compress(b"".join(lines))
        (self.where.spool / f"{self.files:03}.jsonl.zst").write_bytes(packed)
        self.files += 1
        self.lines += lines

    @rule(
        batch=st.sampled_from([1, 300, 2000, ingesting.BATCH_BYTES]),
        at_once=st.sampled_from([3, 2**14]),
    )
    def load(self, batch: int, at_once: int) -> None:
        """The spool is loaded, in batches of any size, compared in any number of parts."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ingesting, "BATCH_BYTES", batch)
            patch.setattr(deduping, "_AT_ONCE", at_once)
            ingest(self.where)
        self.loaded = list(self.lines)
        check(self.where, self.loaded)

    @rule(after=st.integers(0, 3), together=st.sampled_from([400, ingesting.TOGETHER_BYTES]))
    def crash(self, after: int, together: int) -> None:
        """The loader dies between two loads, before it has published, or some of it."""
        self.loaded = None  # who knows how much
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ingesting, "BATCH_BYTES", 400)
            patch.setattr(ingesting, "TOGETHER_BYTES", together)
            patch.setattr(ingesting, "ON_THE_WAY_SECONDS", 0.0)
            patch.setattr(Warehouse, "load", dying(Warehouse.load, after))
            with pytest.raises(KeyboardInterrupt):
                ingest(self.where)
                raise KeyboardInterrupt

    @rule()
    def rebuild(self) -> None:
        """The warehouse is built anew."""
        ingest(self.where, rebuild=True)
        self.loaded = list(self.lines)
        check(self.where, self.loaded)

    @rule()
    def read_again(self) -> None:
        """What was set aside is read again, and is set aside again."""
        retry(self.where)
        if self.loaded is not None:
            check(self.where, self.loaded)

    @rule()
    def throw_away(self) -> None:
        """The warehouse is deleted; the spool is the truth."""
        for file in self.path.glob("warehouse.*"):
            file.unlink()
        for file in self.born.glob("warehouse.*"):
            shutil.copy(file, self.path / file.name)
        self.loaded = []

    @invariant()
    def readers_see_a_whole_warehouse(self) -> None:
        """At every moment the published file can be read."""
        with connect(self.where) as con:
            con.execute("select count(*) from campaign_report")


def dying(method: Any, after: int) -> Any:
    """A method that can be called ``after`` times; then the process dies, as far as it can."""
    calls = 0

    def called(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > after:
            raise KeyboardInterrupt
        return method(*arguments)

    return called


def test_any_way_leads_to_the_same_tables(born: Path) -> None:
    """Batches, order, duplicates, crashes, retries and rebuilds leave no trace in any table."""
    Loading.born = born
    Loading.TestCase.settings = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    Loading.TestCase("runTest").runTest()
