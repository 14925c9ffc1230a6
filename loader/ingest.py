"""Spool → events → warehouse: every segment from the ledger's offsets, in batches."""

import signal
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from loader.batch import Block, Parsed, parse
from loader.errors import SpoolError, WarehouseError
from loader.lock import sole_loader
from loader.publication import beside, private_path, wal
from loader.retention import retain
from loader.settings import Settings
from loader.shape import Shapes
from loader.spool import Segment, list_segments, read_block, segment_end
from loader.ties import settle_ties
from loader.warehouse import Loaded, Warehouse, install, open_warehouse, published_state

BATCH_BYTES = 32 * 1024 * 1024
WAIT_SECONDS = 10.0
POLL_SECONDS = 0.25
APART_SECONDS = 1.0
COPIES_APART, REFRESHES_APART = 20, 2
"""While following, at least so many times the seconds of the last copying, and of the last
refresh of what marts keep, lie between two publications."""
RETAIN_SECONDS = 60.0

Progress = Callable[[int, int, int], None]
"""Takes the events read, the bytes done and the bytes in all."""


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

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name."""
        return asdict(self)


def ingest(
    settings: Settings,
    *,
    follow: bool = False,
    rebuild: bool = False,
    progress: Progress | None = None,
    stop: Callable[[], bool] | None = None,
) -> IngestResult:
    """Load what is new in the spool and publish the warehouse.

    ``follow`` goes on until ``stop()`` is true, then loads and publishes once more. ``rebuild``
    builds the warehouse anew from the whole spool, aside, before it takes the old one's place.

    Safe to run twice, to kill at any moment, and to run beside itself: the second waits a few
    seconds, then raises ``WarehouseBusy``. A segment that is shorter than what was loaded from it
    raises ``SpoolError``, after everything else has been loaded and published. Raises other
    ``LoaderError`` where the spool or the warehouse cannot be read or written.
    """
    published = Path(settings.warehouse)
    purpose = "loader ingest" + " --rebuild" * rebuild + " --follow" * follow
    with sole_loader(beside(published, "lock"), purpose, WAIT_SECONDS):
        run = _Run(settings, progress or (lambda _events, _done, _total: None))
        if rebuild:
            run.rebuild()
        with open_warehouse(private_path(published), settings.timezone) as warehouse:
            run.once(warehouse)
            if follow:
                run.on_and_on(warehouse, stop or (lambda: False))
            run.publish(warehouse, anyway=rebuild)
            if settings.retain_days is not None:
                run.retain(warehouse)
    return run.result()


def until_told() -> Callable[[], bool]:
    """Return a function that says whether SIGTERM or SIGINT has come since; for ``stop``."""
    told: list[int] = []

    def tell(number: int, _frame: FrameType | None) -> None:
        told.append(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, tell)
    return lambda: bool(told)


class _Run:
    """One run of ``ingest``: what it has done so far."""

    def __init__(self, settings: Settings, progress: Progress) -> None:
        self._settings = settings
        self._published = Path(settings.warehouse)
        self._progress = progress
        self._started = time.monotonic()
        self._loaded = Loaded()
        self._bytes = 0
        self._shapes = Shapes()
        self._copies = 0
        self._pause = 0.0
        self._retained_at = -float("inf")
        self._alarms: list[SpoolError] = []

    def result(self) -> IngestResult:
        """Return what was done. Raises what could not be read."""
        if self._alarms:
            raise self._alarms[0]
        seconds = round(time.monotonic() - self._started, 3)
        return IngestResult(
            **asdict(self._loaded), bytes=self._bytes, seconds=seconds, published=self._copies > 0
        )

    def once(self, warehouse: Warehouse) -> bool:
        """Load everything that is new; say whether there was anything."""
        offsets, self._alarms = warehouse.offsets(), []
        segments = list_segments(self._settings.spool)
        before, total = self._bytes, self._bytes + sum(self._new(segments, offsets))
        for parsed in _ahead(self._parsed(segments, offsets)):
            self._loaded += warehouse.load(parsed)
            self._bytes += sum(len(block.data) for block in parsed.blocks)
            self._progress(self._loaded.read, self._bytes, max(total, self._bytes))
        return self._bytes > before

    def on_and_on(self, warehouse: Warehouse, stop: Callable[[], bool]) -> None:
        """Load and publish what comes until ``stop()``."""
        self.publish(warehouse)
        published_at, waiting = time.monotonic(), False
        while not stop():
            news = self.once(warehouse)
            waiting = waiting or news
            if waiting and time.monotonic() - published_at >= self._pause:
                self.publish(warehouse)
                published_at, waiting = time.monotonic(), False
            if not news:
                self.retain(warehouse)
                time.sleep(POLL_SECONDS)
        self.once(warehouse)

    def publish(self, warehouse: Warehouse, anyway: bool = False) -> None:
        """Publish the warehouse, unless the same is published already."""
        if not anyway and published_state(self._published) == warehouse.state():
            return
        started = time.monotonic()
        settle_ties(warehouse, self._settings.spool)
        copying = warehouse.publish(self._published)
        refreshing = time.monotonic() - started - copying
        self._pause = max(APART_SECONDS, COPIES_APART * copying, REFRESHES_APART * refreshing)
        self._copies += 1

    def retain(self, warehouse: Warehouse) -> None:
        """Compress and expire what has been loaded to its end, now and then."""
        if time.monotonic() - self._retained_at < RETAIN_SECONDS or self._alarms:
            return
        self._retained_at = time.monotonic()
        retain(
            self._settings.spool,
            warehouse.offsets(),
            now=datetime.now(UTC),
            keep_days=self._settings.retain_days,
        )

    def rebuild(self) -> None:
        """Build the database anew aside; then it takes the place of the old one."""
        path = private_path(self._published)
        self._refuse_to_forget(path)
        aside = path.with_name(f"{path.name}.rebuild")
        for stale in (aside, wal(aside)):
            stale.unlink(missing_ok=True)
        with open_warehouse(aside, self._settings.timezone) as warehouse:
            self.once(warehouse)
            settle_ties(warehouse, self._settings.spool)
            warehouse.checkpoint()
        install(aside, path)

    def _refuse_to_forget(self, path: Path) -> None:
        """Raise where the old warehouse holds events that are in the spool no more."""
        try:
            with open_warehouse(path, self._settings.timezone) as old:
                known = set(old.offsets())
        except WarehouseError:
            return  # it cannot be opened, and that is what a rebuild is for
        gone = known - {segment.name for segment in list_segments(self._settings.spool)}
        if gone:
            raise WarehouseError(
                f"{len(gone)} segments that were loaded are no longer in the spool, and a rebuild "
                f"would lose their events: restore them, or delete {path} to go on without them."
            )

    def _new(self, segments: list[Segment], offsets: Mapping[str, int]) -> Iterator[int]:
        for segment in segments:
            with suppress(SpoolError):  # told when it is read
                yield max(segment_end(segment) - offsets.get(segment.name, 0), 0)

    def _parsed(self, segments: list[Segment], offsets: Mapping[str, int]) -> Iterator[Parsed]:
        for blocks in self._batches(segments, offsets):
            yield parse(blocks, self._shapes)

    def _batches(
        self, segments: list[Segment], offsets: Mapping[str, int]
    ) -> Iterator[list[Block]]:
        blocks: list[Block] = []
        size = 0
        for segment in segments:
            for block in self._blocks(segment, offsets.get(segment.name, 0)):
                blocks.append(block)
                size += len(block.data)
                if size >= BATCH_BYTES // 2:
                    yield blocks
                    blocks, size = [], 0
        if blocks:
            yield blocks

    def _blocks(self, segment: Segment, offset: int) -> Iterator[Block]:
        try:
            while data := read_block(segment, offset, BATCH_BYTES):
                yield Block(segment.name, offset, data)
                offset += len(data)
        except SpoolError as error:
            self._alarms.append(error)  # the other segments can be loaded all the same


def _ahead(batches: Iterator[Parsed]) -> Iterator[Parsed]:
    """Yield ``batches``, and make the next one meanwhile: DuckDB and polars leave the GIL."""
    with ThreadPoolExecutor(1, "parse") as thread:
        coming = thread.submit(next, batches, None)
        while (parsed := coming.result()) is not None:
            coming = thread.submit(next, batches, None)
            yield parsed
