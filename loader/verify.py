"""Spool, settings and ledger → the places where something does not hold.

Every body stands in the spool byte for byte beside the signature that admitted it, so the whole
spool can be held against the secrets again at any time.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from loader import signature, wording
from loader.errors import SpoolError
from loader.framing import unframe
from loader.progress import Report
from loader.receipts import gone, was_put_away
from loader.settings import FIRST_WEBHOOK, WEBHOOK_NAME, Settings
from loader.spool import LongLine, Segment, is_ours, list_segments, read_block, segment_end

PLACES = 10_000
"""So many places are kept one by one; beyond them they are counted only."""
_BLOCK = 8 * 1024 * 1024
_WEBHOOKS = 100
"""Webhooks that lines name and that are counted apart."""
_UNSIGNED = "it carries no signature, yet stands in a segment of the receiver"
_UNKNOWN = "it names a webhook that the settings do not have"
_FORGED = "its signature does not verify under any secret, active or retired"


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
    webhook: str | None = None
    """The webhook whose secrets did not verify the line."""

    def __str__(self) -> str:  # noqa: D105
        place = self.segment if self.offset is None else f"{self.segment} at {self.offset}"
        return f"{place}: {self.problem}"


@dataclass(slots=True)
class Group:
    """The findings of one problem in one segment: how many, and the offsets of first and last."""

    count: int
    first: int | None
    last: int | None


@dataclass(slots=True)
class Verified:
    """What does not hold: kept in so little that a spool of millions of lines does not fill it."""

    places: list[Finding] = field(default_factory=list)
    """The first ``PLACES`` findings, in the order of the spool."""
    groups: dict[tuple[str, str, str | None], Group] = field(default_factory=dict)
    """Segment, problem and webhook → all findings of them."""
    webhooks: dict[str, list[int]] = field(default_factory=dict)
    """Webhook → its lines that verify, and those that do not."""

    @property
    def count(self) -> int:
        """Findings in all."""
        return sum(group.count for group in self.groups.values())

    def add(self, finding: Finding) -> None:
        """Take one finding more."""
        if len(self.places) < PLACES:
            self.places.append(finding)
        key = (finding.segment, finding.problem, finding.webhook)
        group = self.groups.setdefault(key, Group(0, finding.offset, finding.offset))
        group.count, group.last = group.count + 1, finding.offset

    def counted(self, webhook: str, verifies: bool) -> str | None:
        """Count a line of ``webhook``; return the name, None where it is not counted apart."""
        if webhook not in self.webhooks:
            if len(self.webhooks) >= _WEBHOOKS or not WEBHOOK_NAME.fullmatch(webhook):
                return None
            self.webhooks[webhook] = [0, 0]
        self.webhooks[webhook][0 if verifies else 1] += 1
        return webhook


def sentences(found: Verified) -> list[str]:
    """Return the lines that tell a person what does not hold.

    Where no line at all of a webhook verifies, that is said once; of the rest there is a line for
    each segment and problem.
    """
    lost = {name: failed for name, (good, failed) in found.webhooks.items() if not good}
    groups = [
        _grouped(segment, problem, group)
        for (segment, problem, webhook), group in found.groups.items()
        if webhook not in lost
    ]
    return [*(_none_verifies(name, failed) for name, failed in lost.items()), *groups]


def _none_verifies(webhook: str, lines: int) -> str:
    keys = "LOADER_SECRETS, or LOADER_RETIRED_SECRETS,"
    if webhook != FIRST_WEBHOOK:
        keys = f"secrets, or retired_secrets, of [webhooks.{webhook}] in loader.toml"
    if lines == 1:
        return (
            f"the only line of webhook {webhook} does not verify: set {keys} to the secret it was "
            "signed with"
        )
    return (
        f"none of {wording.plural(lines, 'line')} of webhook {webhook} verifies: set {keys} to "
        "the secret they were signed with"
    )


def _grouped(segment: str, problem: str, group: Group) -> str:
    if group.count == 1:
        return str(Finding(segment, group.first, problem))
    lines = wording.plural(group.count, "line")
    return f"{segment}: {problem} ({lines}, the first at {group.first}, the last at {group.last})"


def verify(
    settings: Settings,
    loaded: Mapping[str, int],
    progress: Report = lambda _bytes, _share: None,
) -> Verified:
    """Check every line's signature again, and every segment against the ledger.

    ``loaded`` maps segment names to the offsets that the ledger holds. Secrets that are retired
    verify older lines still. ``progress`` is told in bytes. An unsigned line is a finding only in
    a segment of the receiver: files dropped in by hand hold bare events. What it returns has no
    places when everything holds; raises ``SpoolError`` only when there is no spool, or it cannot
    be listed.
    """
    if not settings.spool.exists():
        raise SpoolError(f"there is no spool at {settings.spool}: name its home in LOADER_HOME.")
    secrets = {
        name: webhook.secrets + webhook.retired for name, webhook in settings.webhooks.items()
    }
    found = Verified()
    unread: list[SpoolError] = []
    segments = list_segments(settings.spool, unread)
    for error in unread:
        found.add(Finding("the spool", None, str(error)))
    if not unread:  # else what is not listed may be there all the same
        for finding in _missing(settings, {segment.name for segment in segments}, loaded):
            found.add(finding)
    ends = {segment.name: _end(segment) for segment in segments}
    done, total = 0, sum(ends.values())
    for segment in segments:
        for finding in _check_segment(segment, secrets, loaded.get(segment.name, 0), found):
            if not (finding.whole and was_put_away(settings.spool, segment)):
                found.add(finding)
        done += ends[segment.name]
        progress(done, done / max(total, 1))
    return found


def _missing(settings: Settings, present: set[str], loaded: Mapping[str, int]) -> Iterator[Finding]:
    for name in gone(settings.spool, present, loaded):
        yield Finding(name, None, "the ledger has loaded it, but it is gone from the spool")


def _end(segment: Segment) -> int:
    try:
        return segment_end(segment)
    except SpoolError:
        return 0  # found again, and reported, when it is read


def _check_segment(
    segment: Segment, secrets: Mapping[str, tuple[str, ...]], loaded: int, found: Verified
) -> Iterator[Finding]:
    """Yield what does not hold in one segment; ``found`` counts its webhooks' lines."""
    offset = 0
    on_border = loaded == 0
    try:
        segment_end(segment)  # of a compressed one that was cut, reading alone does not tell
        for line, size in _lines(segment):
            problem, webhook = _problem(line, secrets, is_ours(segment.name))
            counted = webhook and found.counted(webhook, problem is None)
            if problem is not None:
                yield Finding(segment.name, offset, problem, webhook=counted)
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


def _problem(
    line: bytes, secrets: Mapping[str, tuple[str, ...]], signed: bool
) -> tuple[str | None, str | None]:
    """Say what does not hold about one line, None when it holds; and of which webhook it is."""
    framed = unframe(line)
    if framed is None:
        return (_UNSIGNED if signed else None), None
    if framed.webhook not in secrets:
        return _UNKNOWN, framed.webhook
    verifies = signature.verify(framed.body, [framed.signature], secrets[framed.webhook])
    return (_FORGED if verifies is None else None), framed.webhook
