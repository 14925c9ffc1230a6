"""Spool → events → warehouse: every segment from the ledger's offsets, in batches."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from loader.batch import Block, Parsed, parse
from loader.entries import Loaded
from loader.errors import LacksMemory, SpoolError, WarehouseError
from loader.lake import described
from loader.progress import Report
from loader.receipts import expired, lacking
from loader.retention import retain
from loader.settings import Settings
from loader.shape import Shapes
from loader.spool import (
    LongLine,
    Segment,
    holds_more,
    list_segments,
    read_block,
    segment_end,
    vanished,
)
from loader.target import target_of, told
from loader.ties import settle_ties
from loader.warehouse import Warehouse
from loader.wording import plural

BATCH_BYTES = 16 * 1024 * 1024
"""A batch has so many, times ``batch_scale`` of where the warehouse stands."""
TOGETHER_BYTES = 1024 * 1024 * 1024
"""What is loaded in one transaction, where nobody else loads."""
POLL_SECONDS = 0.25
LOOKS_APART = 10
"""While following, at least so many times the seconds of a look at the spool lie between two."""
APART_SECONDS = 1.0
PARSERS = 2
"""Threads that parse what is loaded next."""
COPIES_APART, REFRESHES_APART = 20, 9
"""While following, at least so many times the seconds of the last copying, and of the last
refresh of what marts keep, lie between two publications."""
ON_THE_WAY_SECONDS = 60.0
"""So long apart, at least, is published while there is much to load: a loader that is killed goes
on from what is published."""
LAST_SECONDS = 5.0
"""Told to stop following, it loads what has come meanwhile for so long at most."""
RETAIN_SECONDS, PUTTING_AWAY_SECONDS = 60.0, 5.0
"""While following, between two rounds of retention, and of one, save for its last segment."""
RETAINING = "retain"
"""What one loader of a spool does at a time: to put segments away, or to read them all again."""

Warn = Callable[[str], None]
"""Takes a sentence about what is to be mended, though loading goes on."""


@dataclass(frozen=True, slots=True)
class IngestResult:
    """What an ingest did: counts of events (read = inserted + duplicates + quarantined)."""

    read: int
    inserted: int
    duplicates: int
    quarantined: int
    bytes: int
    seconds: float
    published: bool
    """Whether a new warehouse was published; not when nothing was new."""


def ingest(
    settings: Settings,
    *,
    follow: bool = False,
    rebuild: bool = False,
    progress: Report = lambda _events, _share: None,
    stop: Callable[[], bool] = lambda: False,
    warn: Warn = lambda _sentence: None,
) -> IngestResult:
    """Load what is new in the spool and publish the warehouse.

    ``follow`` goes on until ``stop()`` is true, then loads what it can in five seconds and
    publishes once more. ``rebuild`` builds the warehouse anew from the whole spool, aside, before
    it takes the old one's place; stopped in that it raises ``KeyboardInterrupt``.
    What ends no loading, such as a segment that cannot be put away, ``warn`` is told once; while
    following, what cannot be read too: the end, which raises it, may be months away.

    Safe to run twice, to kill at any moment, and to run beside itself: the second waits a few
    seconds, then raises ``WarehouseBusy``. A segment that is shorter than what was loaded from it
    raises ``SpoolError``, after everything else has been loaded and published. Raises other
    ``LoaderError`` where the spool or the warehouse cannot be read or written.
    """
    target = target_of(settings)
    warehouse = Warehouse(target, settings.timezone)
    purpose = "loader ingest" + " --rebuild" * rebuild + " --follow" * follow
    with told(described(settings)), target.turn(purpose), closing(warehouse):
        run = _Run(settings, warehouse, progress, warn, stop)
        if rebuild:
            run.rebuild()
        warehouse.open()
        run.warn_of_what_is_lacking()
        run.once()
        if follow and not stop():
            run.on_and_on()
        if warehouse.is_last():
            run.publish(anyway=rebuild)
        run.retain(stop)
    return run.result()


class _Run:
    """One run of ``ingest``: what it has done so far."""

    def __init__(
        self,
        settings: Settings,
        warehouse: Warehouse,
        progress: Report,
        warn: Warn,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self._settings, self._warehouse = settings, warehouse
        self._progress, self._warn, self._stop = progress, warn, stop
        self._batch_bytes = BATCH_BYTES * warehouse.batch_scale
        self._started = time.monotonic()
        self._loaded = Loaded()
        self._bytes = 0
        self._shapes = Shapes()
        self._copies = 0
        self._pause = 0.0
        self._published_at = self._started
        self._retained_at = -float("inf")
        self._is_tidy = True
        self._gone: list[SpoolError] = []
        self._unread: list[SpoolError] = []
        self._told: set[str] = set()

    def result(self) -> IngestResult:
        """Return what was done. Raises what could not be read."""
        if alarms := [*self._gone, *self._unread]:
            raise alarms[0]
        seconds = round(time.monotonic() - self._started, 3)
        return IngestResult(
            **asdict(self._loaded), bytes=self._bytes, seconds=seconds, published=self._copies > 0
        )

    def once(self) -> None:
        """Load everything that is new, unless told to stop; publish on the way where it is long."""
        while self._load(self._look(), self._is_time) and self._is_long() and not self._stop():
            self.publish()

    def _is_time(self) -> bool:
        return self._is_long() or self._stop()

    def _is_long(self) -> bool:
        """Say whether nothing was published for long; where many load, each load is to be seen."""
        apart = max(ON_THE_WAY_SECONDS, self._pause)
        return not self._warehouse.takes_turns and time.monotonic() - self._published_at >= apart

    def _look(self) -> dict[Segment, int]:
        """Return the segments that have to be read, and how many bytes of each were not loaded."""
        offsets = self._warehouse.offsets()
        self._gone = list(vanished(self._settings.spool, offsets))
        found = {}
        for segment in list_segments(self._settings.spool, self._gone):
            offset = offsets.get(segment.name, 0)
            if holds_more(segment, offset) and (more := _more(segment, offset)):
                found[segment] = max(more, 0)
        return found

    def _load(self, found: Mapping[Segment, int], enough: Callable[[], bool]) -> bool:
        """Load what is new in some segments, or until ``enough()``; say whether there was any."""
        before = self._bytes
        self._warehouse.with_memory(
            lambda: self._load_found(found, enough),
            again=lambda: self._load_found(self._look(), enough),
        )
        return self._bytes > before

    def _load_found(self, found: Mapping[Segment, int], enough: Callable[[], bool]) -> None:
        self._unread = []
        total = self._bytes + sum(found.values())
        batches = self._batches(found)
        try:
            with _Ahead(batches, lambda some: parse(some, self._shapes)) as coming:
                while self._load_some(coming, total, enough) and not enough():
                    pass
        finally:
            self._warehouse.release()

    def _load_some(self, coming: "_Ahead", total: int, enough: Callable[[], bool]) -> bool:
        """Load as much of ``coming`` as one transaction holds; say whether more may be left."""
        before = self._bytes - coming.taken
        full = self._bytes + TOGETHER_BYTES
        ready = coming.ready if self._warehouse.takes_turns else tuple  # which takes memory
        done = self._loaded, self._bytes
        try:
            with self._warehouse.together():
                for parsed in coming:
                    self._loaded += self._warehouse.load(parsed, ready)
                    self._bytes = before + coming.taken
                    self._progress(self._loaded.read, self._bytes / max(total, self._bytes, 1))
                    if self._bytes >= full or enough():
                        return True
        except LacksMemory:
            if not self._warehouse.takes_turns:  # else each load was a transaction of its own
                self._loaded, self._bytes = done
            raise
        return False

    def on_and_on(self) -> None:
        """Load and publish what comes until told to stop.

        What would not be published yet is not loaded yet, unless it is much: each load has its
        row in the ledger.
        """
        self.publish()
        waiting = False
        while not self._stop():
            started = time.monotonic()
            due = started - self._published_at >= self._pause
            found = self._look()
            looked = time.monotonic() - started
            if found and (due or sum(found.values()) >= self._batch_bytes):
                waiting = self._load(found, self._is_time) or waiting
            if waiting and due:
                self.publish()
                waiting = False
            self._warn_of_what_is_unread()
            if not waiting:
                self._retain_some()
            _rest(max(POLL_SECONDS, LOOKS_APART * looked), self._stop)
        until = time.monotonic() + LAST_SECONDS
        self._load(self._look(), lambda: time.monotonic() >= until)

    def publish(self, anyway: bool = False) -> None:
        """Publish the warehouse, unless the same is published already."""
        if not anyway and self._warehouse.is_published():
            return
        started = time.monotonic()
        settle_ties(self._warehouse, self._settings.spool)
        copying = self._warehouse.publish()
        self._published_at = time.monotonic()
        refreshing = self._published_at - started - copying
        self._pause = max(APART_SECONDS, COPIES_APART * copying, REFRESHES_APART * refreshing)
        self._copies += 1

    def _retain_some(self) -> None:
        until = time.monotonic() + PUTTING_AWAY_SECONDS
        self.retain(lambda: self._stop() or time.monotonic() >= until)

    def retain(self, enough: Callable[[], bool]) -> None:
        """Compress and expire what has been loaded to its end and published, now and then.

        Whatever ``enough()`` says, one segment is.
        """
        if time.monotonic() - self._retained_at < RETAIN_SECONDS or self._gone or self._unread:
            return
        self._retained_at = time.monotonic()
        with self._warehouse.sole(RETAINING) as alone:
            # Asked only now: before, another loader may have begun to build it anew.
            loaded = self._warehouse.offsets()
            # Unless it is published its ties are not settled, which is done from these very lines.
            if alone and self._warehouse.is_published():
                self._put_away(loaded, enough)

    def _put_away(self, loaded: Mapping[str, int], enough: Callable[[], bool]) -> None:
        """Do a round of retention; where something cannot be put away, that is told once."""
        spool, keep_days = self._settings.spool, self._settings.retain_days
        was_tidy, self._is_tidy = self._is_tidy, False
        try:
            retain(spool, loaded, now=datetime.now(UTC), keep_days=keep_days, enough=enough)
            self._is_tidy = True
        except SpoolError as error:
            if was_tidy:
                self._warn(str(error))

    def rebuild(self) -> None:
        """Build the database anew, out of readers' sight, unless that would lose events."""
        spool, unread = self._settings.spool, list[SpoolError]()
        had = self._warehouse.known(expired(spool))
        with self._warehouse.sole(RETAINING) as alone:
            if not alone:
                raise WarehouseError(
                    "another loader is rebuilding from this spool, or putting segments of it away, "
                    "which a rebuild reads: wait until it is done, then rebuild."
                )
            held = {segment.name: _end(segment, unread) for segment in list_segments(spool)}
            self._refuse_to_forget(had, held, unread)
            self._warehouse.rebuild(lambda: self._load_all(had))
        self._published_at = time.monotonic()  # as good as: it is published in any case

    def _load_all(self, had: Mapping[str, int]) -> None:
        self._loaded, self._bytes = Loaded(), 0
        self._load(self._look(), self._stop)
        if self._stop():
            raise KeyboardInterrupt
        if not self._warehouse.takes_turns:  # else another loader may be at a segment still
            self._refuse_to_forget(had, self._warehouse.offsets(), self._unread)
        settle_ties(self._warehouse, self._settings.spool)

    def _warn_of_what_is_unread(self) -> None:
        """Tell what cannot be read, each once for as long as it stands."""
        alarms = {str(error) for error in (*self._gone, *self._unread)}
        for sentence in sorted(alarms - self._told):
            self._warn(sentence)
        self._told = alarms

    def warn_of_what_is_lacking(self) -> None:
        """Tell where events stand neither in the spool nor in the warehouse any more."""
        spool = self._settings.spool
        for sentence in lacking(spool, expired(spool), self._warehouse.offsets()):
            self._warn(sentence)

    def _refuse_to_forget(
        self, had: Mapping[str, int], held: Mapping[str, int], unread: Sequence[SpoolError]
    ) -> None:
        """Raise where more was ``had`` of a segment than is ``held`` of it, both in bytes.

        ``unread`` is why, where something could not be read.
        """
        if lost := self._warehouse.elsewhere(had, held):
            why = f" ({str(unread[0]).removesuffix('.')})" if unread else ""
            raise WarehouseError(
                f"this spool lacks {plural(lost, 'segment')} of what was loaded, or a part of it"
                f"{why}, and what is rebuilt would lack the events: restore what is missing; or, "
                "to go on, begin a new warehouse without --rebuild (of a file: delete it and the "
                "private one beside it)."
            )

    def _batches(self, segments: Iterable[Segment]) -> Iterator[list[Block]]:
        blocks: list[Block] = []
        size = 0
        for segment, loaded in self._warehouse.new(segments):
            offset = loaded
            while block := self._block(segment, offset, self._batch_bytes - size):
                blocks.append(block)
                size += block.weight
                offset += block.size
                if size + BATCH_BYTES // 2 >= self._batch_bytes:
                    yield blocks
                    blocks, size = [], 0
        if blocks:
            yield blocks

    def _block(self, segment: Segment, offset: int, limit: int) -> Block | None:
        try:
            block = Block(segment.name, offset, read_block(segment, offset, limit))
            while block.weight > limit and block.lines > 1:
                fewer = limit * len(block.data) // block.weight
                block = Block(segment.name, offset, read_block(segment, offset, fewer))
        except LongLine as line:
            return Block.of_long(segment.name, offset, line)
        except SpoolError as error:
            if expired(self._settings.spool).get(segment.name, -1) < offset:  # else put away
                self._unread.append(error)  # the other segments can be loaded all the same
            return None
        return block if block.data else None


def _more(segment: Segment, offset: int) -> int:
    """Return how many bytes were not loaded; less than none where the segment became shorter."""
    try:
        return segment_end(segment) - offset
    except SpoolError:
        return 1  # why, is told when it is read


def _end(segment: Segment, unread: list[SpoolError]) -> int:
    """Return how many bytes a segment has, as far as looking tells; ``unread`` takes why not."""
    try:
        return segment_end(segment)
    except SpoolError as error:
        unread.append(error)
        return 0


def _rest(seconds: float, stop: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds
    while not stop() and (left := until - time.monotonic()) > 0:
        time.sleep(min(left, POLL_SECONDS))


class _Ahead:
    """What ``parsing`` makes of ``batches``, in their order; the next ones meanwhile.

    polars and DuckDB leave the GIL.
    """

    def __init__(
        self, batches: Iterator[list[Block]], parsing: Callable[[list[Block]], Parsed]
    ) -> None:
        self.taken = 0
        """Bytes of what was given."""
        self._batches, self._parsing = batches, parsing
        self._reader = ThreadPoolExecutor(1, "read")
        self._parsers = ThreadPoolExecutor(PARSERS, "parse")
        self._coming = deque(self._next_one() for _ in range(PARSERS))

    def __enter__(self) -> "_Ahead":
        return self

    def __exit__(self, *_error: object) -> None:
        self._reader.shutdown()
        self._parsers.shutdown()

    def __iter__(self) -> Iterator[Parsed]:
        while parsed := self._take():
            yield parsed

    def ready(self) -> Iterator[Parsed]:
        """Yield what need not be waited for; what failed is told when it is."""
        while self._is_ready() and (parsed := self._take()):
            yield parsed

    def _is_ready(self) -> bool:
        return self._coming[0].done() and not self._coming[0].exception()

    def _take(self) -> Parsed | None:
        parsed = self._coming.popleft().result()
        self._coming.append(self._next_one())
        self.taken += sum(block.size for block in parsed.blocks) if parsed else 0
        return parsed

    def _next_one(self) -> Future[Parsed | None]:
        read = self._reader.submit(next, self._batches, None)
        return self._parsers.submit(
            lambda: self._parsing(found) if (found := read.result()) else None
        )
