"""What the receiver counts → Prometheus text, summed over its worker processes.

When ``PROMETHEUS_MULTIPROC_DIR`` names a directory the counts of all processes that share it are
summed; otherwise they are those of this process. prometheus-client reads that variable when it
is imported, so whoever wants several processes sets it before importing this module.
"""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from loader.errors import SpoolError
from loader.spool import list_segments

_SYNC_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)


class Metrics:
    """The receiver's counters. One per process."""

    def __init__(self) -> None:  # noqa: D107
        self._registry = CollectorRegistry()
        self._answers = Counter(
            "loader_requests", "Webhook requests, by answer", ["answer"], registry=self._registry
        )
        self._events = Counter(
            "loader_appended_events", "Events appended and synced", registry=self._registry
        )
        self._bytes = Counter(
            "loader_appended_bytes", "Bytes appended and synced", registry=self._registry
        )
        self._sync = Histogram(
            "loader_sync_seconds",
            "Time that one sync to disk took",
            buckets=_SYNC_BUCKETS,
            registry=self._registry,
        )

    def answered(self, status: int) -> None:
        """Count one answer to a webhook request."""
        self._answers.labels(str(status)).inc()

    def accepted(self, events: int) -> None:
        """Count events that are on disk and about to be acknowledged."""
        self._events.inc(events)

    def synced(self, seconds: float, size: int) -> None:
        """Count one sync of ``size`` bytes; fits ``writer.Writer(synced=…)``."""
        self._bytes.inc(size)
        self._sync.observe(seconds)

    def render(self, spool: Path) -> bytes:
        """Return the Prometheus text, with the size of ``spool`` where that can be read."""
        sizes = CollectorRegistry()
        sizes.register(_SpoolSize(spool))
        return self._counts() + generate_latest(sizes)

    def _counts(self) -> bytes:
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            with suppress(ValueError, OSError):  # where the directory is gone: this process's own
                registry = CollectorRegistry()
                MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
                return generate_latest(registry)
        return generate_latest(self._registry)


class _SpoolSize(Collector):
    def __init__(self, spool: Path) -> None:
        self._spool = spool

    def collect(self) -> Iterable[GaugeMetricFamily]:
        try:
            sizes = [_size(segment.path) for segment in list_segments(self._spool, [])]
        except SpoolError:
            return  # events are counted all the same
        yield GaugeMetricFamily("loader_spool_segments", "Segments in the spool", len(sizes))
        yield GaugeMetricFamily("loader_spool_bytes", "Bytes of them on disk", sum(sizes))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # compressed or expired meanwhile
        return 0
