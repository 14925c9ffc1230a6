"""What happens again and again → one line of each kind in a while, which counts the others."""

import threading
from collections.abc import Callable, Hashable

NOTICE_SECONDS = 10.0
"""How often, at most, one kind is told."""


class Notices:
    """Tells what happens without letting whoever causes it fill the disk. Safe between threads."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """``clock`` gives seconds."""
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[Hashable, tuple[float, int]] = {}  # kind → last told, happened since

    def due(self, kind: Hashable) -> int:
        """Count one more of ``kind``; return how many to tell of now, 0 where it is too soon."""
        with self._lock:
            told, count = self._seen.get(kind, (-float("inf"), 0))
            now, count = self._clock(), count + 1
            is_due = not told <= now < told + NOTICE_SECONDS
            self._seen[kind] = (now, 0) if is_due else (told, count)
        return count if is_due else 0
