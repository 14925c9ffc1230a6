"""Spool, settings and ledger → the places where something does not hold.

Every body stands in the spool byte for byte beside the signature that admitted it, so the whole
spool can be held against the secrets again at any time.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from loader import signature
from loader.errors import SpoolError
from loader.retention import expired, is_ours, was_put_away
from loader.settings import Settings
from loader.spool import LongLine, Segment, list_segments, read_block, segment_end, unframe

_BLOCK = 8 * 1024 * 1024


@dataclass(frozen=True)
class Finding:
    """One place where something does not hold."""

    segment: str
    offset: int | None
    """Where the line starts, in uncompressed bytes; None when it is about the whole segment."""
    problem: str
    """One clause; it quotes nothing of the line."""
    whole: bool = False
    """Whether it is that the segment is not there, or shorter, or cannot be read."""

    def __str__(self) -> str:  # noqa: D105
        place = self.segment if self.offset is None else f"{self.segment} at {self.offset}"
        return f"{place}: {self.problem}"


def verify(
    settings: Settings,
    loaded: Mapping[str, int],
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> list[Finding]:
    """Check every line's signature again, and every segment against the ledger.

    ``loaded`` maps segment names to the offsets that the ledger holds. Secrets that are retired
    verify older lines still. ``progress`` is called with the bytes done and the bytes in all. An
    unsigned line is a finding only in a segment of the receiver: files dropped in by hand hold
    bare events. Returns an empty list when everything holds; raises ``SpoolError`` only when there
    is no spool, or it cannot be listed.
    """
    secrets = {
        name: webhook.secrets + webhook.retired for name, webhook in settings.webhooks.items()
    }
    if not settings.spool.exists():
        raise SpoolError(f"there is no spool at {settings.spool}: name its home in LOADER_HOME.")
    unread: list[SpoolError] = []
    segments = list_segments(settings.spool, unread)
    findings = [Finding("the spool", None, str(error)) for error in unread]
    if not unread:  # else what is not listed may be there all the same
        findings += _missing(settings, {segment.name for segment in segments}, loaded)
    ends = {segment.name: _end(segment) for segment in segments}
    done, total = 0, sum(ends.values())
    for segment in segments:
        found = list(_check_segment(segment, secrets, loaded.get(segment.name, 0)))
        if any(one.whole for one in found) and was_put_away(settings.spool, segment):
            found = [one for one in found if not one.whole]
        findings += found
        done += ends[segment.name]
        progress(done, total)
    return findings


def _missing(settings: Settings, present: set[str], loaded: Mapping[str, int]) -> Iterator[Finding]:
    removed = expired(settings.spool)
    for name, offset in sorted(loaded.items()):
        if name not in present and offset and name not in removed:
            yield Finding(name, None, "the ledger has loaded it, but it is gone from the spool")


def _end(segment: Segment) -> int:
    try:
        return segment_end(segment)
    except SpoolError:
        return 0  # found again, and reported, when it is read


def _check_segment(
    segment: Segment, secrets: Mapping[str, tuple[str, ...]], loaded: int
) -> Iterator[Finding]:
    offset = 0
    on_border = loaded == 0
    try:
        segment_end(segment)  # of a compressed one that was cut, reading alone does not tell
        for line, size in _lines(segment):
            problem = _problem(line, secrets, is_ours(segment.name))
            if problem is not None:
                yield Finding(segment.name, offset, problem)
            offset += size
            on_border = on_border or offset == loaded
    except SpoolError as error:
        yield Finding(segment.name, offset, str(error), whole=True)
        return
    if loaded > offset:
        problem = f"the ledger has loaded {loaded} bytes of it, but it holds {offset}"
        yield Finding(segment.name, None, problem, whole=True)
    elif not on_border:
        yield Finding(segment.name, loaded, "the ledger's offset is in the middle of a line")


def _lines(segment: Segment) -> Iterator[tuple[bytes, int]]:
    """Yield each line and its size; of one that is too long, how it begins."""
    offset = 0
    while True:
        try:
            block = read_block(segment, offset, _BLOCK)
        except LongLine as line:
            yield line.beginning, line.size
            offset += line.size
            continue
        if not block:
            return
        # Not splitlines: a JSON line ends at a newline only, never at a carriage return.
        for text in block.split(b"\n")[:-1]:
            yield text + b"\n", len(text) + 1
        offset += len(block)


def _problem(line: bytes, secrets: Mapping[str, tuple[str, ...]], signed: bool) -> str | None:
    """Say what does not hold about one line; None when it holds."""
    framed = unframe(line)
    if framed is None:
        return (
            "it carries no signature, yet stands in a segment of the receiver" if signed else None
        )
    if framed.webhook not in secrets:
        return "it names a webhook that the settings do not have"
    if signature.verify(framed.body, [framed.signature], secrets[framed.webhook]) is None:
        return "its signature does not verify"
    return None
