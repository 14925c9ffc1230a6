"""Many lines of JSON at once: where they, and the strings in them, begin and end; pure."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa  # type: ignore[import-untyped]
from numpy.typing import NDArray

Places = NDArray[np.int64]
"""Offsets into the bytes of a ``Text``."""
Truths = NDArray[np.bool_]

REACH = 4096
"""Bytes that can be looked at from one place."""

_NEWLINE, _RETURN, _SPACE, _QUOTE, _BACKSLASH = b'\n\r "\\'
_WORD, _INLINE = 8, 12
_KEPT = np.array([[255] * n + [0] * (_INLINE - n) for n in range(_INLINE + 1)], np.uint8)

Span = tuple[Places, Places]
"""Where some texts start, and where they end."""

_STRIP = 4096
"""Lines whose bytes stay in the processor's cache while they are looked at again and again."""


def strips(rows: int) -> Iterator[slice]:
    """Yield the rows, few at a time; of none, none at once."""
    return (slice(start, start + _STRIP) for start in range(0, max(rows, 1), _STRIP))


class Text:
    """Lines, each ended by a newline.

    Line ``i`` is at ``starts[i]`` up to, without, ``ends[i]``. ``bytes`` are the bytes of all,
    with ``REACH`` zeros after them.
    """

    def __init__(self, data: bytes) -> None:
        """``data`` ends with a newline."""
        self.bytes = np.frombuffer(data + bytes(REACH), np.uint8)
        self._backslashes = b"\\" in data
        self._controls = np.flatnonzero(self.bytes[:-REACH] < _SPACE)
        self.ends: Places = self._controls[self.bytes[self._controls] == _NEWLINE]
        self.starts: Places = np.concatenate([[0], self.ends[:-1] + 1])

    def line(self, number: int) -> bytes:
        """Return one line, without its newline."""
        return self.bytes[self.starts[number] : self.ends[number]].tobytes()

    @cached_property
    def escaped(self) -> Truths:
        """Say of each line whether it has a backslash."""
        if not self._backslashes:
            return np.zeros(len(self.ends), np.bool_)
        return self._with(np.flatnonzero(self.bytes == _BACKSLASH))

    @cached_property
    def controlled(self) -> Truths:
        """Say of each line whether it has a control character, but for one return at its end."""
        if len(self._controls) == len(self.ends):
            return np.zeros(len(self.ends), np.bool_)
        byte, following = self.bytes[self._controls], self.bytes[self._controls + 1]
        usual = (byte == _NEWLINE) | ((byte == _RETURN) & (following == _NEWLINE))
        return self._with(self._controls[~usual])

    def _with(self, places: Places) -> Truths:
        found = np.zeros(len(self.ends), np.bool_)
        found[np.searchsorted(self.ends, places)] = True
        return found


class Scan:
    """The quotes in a text.

    Line ``i`` has ``counts[i]`` quotes, the first of which is at ``quotes[firsts[i]]``.
    """

    def __init__(self, text: Text) -> None:
        """``text`` has less than 2 GiB."""
        self.text = text
        self.quotes: Places = np.flatnonzero(text.bytes == _QUOTE)
        self.firsts = np.searchsorted(self.quotes, text.starts)
        self.counts = np.diff(self.firsts, append=len(self.quotes))

    def at(self, places: Places, width: int) -> NDArray[np.bytes_]:
        """Return the ``width`` bytes (at most ``REACH``) from each of ``places`` on."""
        return self._windows(f"S{width}", width)[places]

    def have(self, places: Places, text: bytes) -> Truths:
        """Say of each of ``places`` whether ``text`` (at most ``REACH`` bytes) stands there."""
        words = self._windows("<u8", _WORD)
        same = np.ones(len(places), np.bool_)
        for start in [*range(0, len(text) - _WORD, _WORD), max(len(text) - _WORD, 0)]:
            part = text[start : start + _WORD]
            found = words[places + start] if start else words[places]
            if len(part) < _WORD:
                found &= np.uint64(256 ** len(part) - 1)
            same &= found == int.from_bytes(part, "little")
        return same

    def texts(self, spans: Sequence[Span]) -> list[pl.Series]:
        """Return the texts from starts up to ends, of each of ``spans``, as views.

        All have the same length and go through the bytes in the same order. What is no UTF-8
        must not be asked for.
        """
        views = [np.empty((len(starts), 4), np.uint32) for starts, _ends in spans]
        for rows in strips(len(spans[0][0])):
            for (starts, ends), into in zip(spans, views, strict=True):
                self._view(starts[rows], ends[rows], into[rows])
        return [self._series(into) for into in views]

    def _view(self, starts: Places, ends: Places, into: NDArray[np.uint32]) -> None:
        """Write what Arrow's Utf8View is: the length, then a short text, or where a long one is."""
        lengths = ends - starts
        into[:, 0] = lengths
        into[:, 1] = self._windows("<u4", 4)[starts]
        into[:, 2] = 0
        into[:, 3] = starts
        short = np.flatnonzero(lengths <= _INLINE)
        if len(short):
            head = self._windows("V12", _INLINE)[starts[short]].view(np.uint8)
            into[short, 1:] = (head.reshape(-1, _INLINE) & _KEPT[lengths[short]]).view(np.uint32)

    def _series(self, views: NDArray[np.uint32]) -> pl.Series:
        buffers = [None, pa.py_buffer(views), pa.py_buffer(self.text.bytes)]
        return pl.Series(
            pl.from_arrow(pa.Array.from_buffers(pa.string_view(), len(views), buffers))
        )

    def _windows(self, kind: str, width: int) -> NDArray[Any]:
        """Return what stands at every place, as overlapping items of ``width`` bytes."""
        shape = (len(self.text.bytes) - width + 1,)
        return np.ndarray(shape, np.dtype(kind), self.text.bytes, strides=(1,))
