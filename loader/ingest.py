"""Spool → events → warehouse: every segment from the ledger's offsets, in batches."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from loader.batch import Block, Parsed, parse
from loader.lock import sole_loader
from loader.publication import beside
from loader.settings import Settings
from loader.shape import Shapes
from loader.spool import list_segments, read_block
from loader.warehouse import Loaded, Warehouse, open_warehouse

BATCH_BYTES = 32 * 1024 * 1024
WAIT_SECONDS = 10.0

Progress = Callable[[int, int, int], None]
"""Called with events read, bytes done and bytes in all."""


@dataclass(frozen=True, slots=True)
class IngestResult:
    """What an ingest did: counts of events, and how long it took."""

    read: int
    inserted: int
    duplicates: int
    quarantined: int
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Return it for ``--json``."""
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

    Safe to run twice, to kill at any moment, and to run beside itself: the second waits a few
    seconds, then raises ``WarehouseBusy``. Raises other ``LoaderError`` where the spool or the
    warehouse cannot be read or written.
    """
    started = time.monotonic()
    published = Path(settings.warehouse)
    with sole_loader(beside(published, "lock"), "loader ingest", WAIT_SECONDS):
        warehouse = open_warehouse(published, settings.timezone)
        try:
            loaded = _pass(settings, warehouse)
            warehouse.publish(published)
        finally:
            warehouse.close()
    return IngestResult(**asdict(loaded), seconds=round(time.monotonic() - started, 3))


def _pass(settings: Settings, warehouse: Warehouse) -> Loaded:
    loaded = Loaded()
    for parsed in _ahead(_parsed(settings.spool, warehouse.offsets())):
        loaded += warehouse.load(parsed)
    return loaded


def _parsed(spool: Path, offsets: dict[str, int]) -> Iterator[Parsed]:
    shapes = Shapes()
    for blocks in _batches(spool, offsets):
        yield parse(blocks, shapes)


def _ahead(batches: Iterator[Parsed]) -> Iterator[Parsed]:
    """Yield ``batches``, and make the next one meanwhile: DuckDB and polars leave the GIL."""
    with ThreadPoolExecutor(1, "parse") as thread:
        coming = thread.submit(next, batches, None)
        while (parsed := coming.result()) is not None:
            coming = thread.submit(next, batches, None)
            yield parsed


def _batches(spool: Path, offsets: dict[str, int]) -> Iterator[list[Block]]:
    blocks: list[Block] = []
    size = 0
    for segment in list_segments(spool):
        offset = offsets.get(segment.name, 0)
        while data := read_block(segment, offset, BATCH_BYTES - size):
            blocks.append(Block(segment.name, offset, data))
            offset, size = offset + len(data), size + len(data)
            if size >= BATCH_BYTES // 2:
                yield blocks
                blocks, size = [], 0
    if blocks:
        yield blocks
