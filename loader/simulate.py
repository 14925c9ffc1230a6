"""Plan → signed bodies: believable traffic, the same bytes for the same plan.

Nothing here sends mail, and no address is meant to be anyone's: the local parts begin with an
underscore, with which the mailbox providers open no account; the rest are reserved domains.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import orjson
import polars as pl

from loader import signature
from loader.errors import SettingsError
from loader.framing import frame
from loader.progress import Report
from loader.scenario import BOUNCES, LISTS, PROVIDERS, RENAMED, Campaign, Plan, campaigns
from loader.settings import FIRST_WEBHOOK, Settings
from loader.spool import list_segments
from loader.traffic import (
    BOUNCE,
    CHANGE,
    CLICK,
    COMPLAINT,
    DELIVERED,
    OPEN,
    Mailing,
    arriving,
    micros,
)
from loader.writer import Writer

APPEND_BYTES = 4 * 1024 * 1024
TEST_BUTTON = '{"kind":"test","message":"This is a test of your webhook","timestamp":"%s"}'
_FOUR_DIGITS = pl.Series([f"{number:04x}" for number in range(0x10000)])
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def bodies(plan: Plan) -> Iterator[tuple[datetime, bytes]]:
    """Yield (when it arrives, aware UTC; JSON body) in the order of arrival."""
    for arrived, texts, _ in batches(plan):
        for micro, text in zip(arrived, texts, strict=True):
            yield _EPOCH + timedelta(microseconds=micro), text.encode()


# ── events as text ───────────────────────────────────────────────────────────────────────────


def batches(plan: Plan) -> Iterator[tuple[pl.Series, pl.Series, int]]:
    """Yield (arrival in microseconds, bodies, events expected) in the order of arrival."""
    planned = campaigns(plan)
    mailing = Mailing(plan, max(one.messages for one in planned))
    until = micros(plan.until) if plan.until else 2**62
    yield pl.Series([micros(plan.start)]), pl.Series([_test_button(plan)]), plan.messages
    for batch in arriving(plan, mailing, planned):
        events = batch.events.filter(pl.col("arrived") <= until)
        if events.height:
            yield events["arrived"], _texts(events, planned, mailing.people), batch.expected + 1
        if events.height < batch.events.height:
            return


def _test_button(plan: Plan) -> str:
    return TEST_BUTTON % f"{plan.start.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _texts(events: pl.DataFrame, planned: Sequence[Campaign], people: pl.DataFrame) -> pl.Series:
    """Return the JSON bodies of events, in their order."""
    events = events.with_row_index("order").with_columns(
        recipient=_recipients(events, people),
        uuid=_uuids(events),
        domain=_gather("campaign", [one.sender.partition("@")[2] for one in planned]),
        sender=_gather("campaign", [one.sender for one in planned]),
        campaign_json=_campaign_json(planned),
        timestamp=pl.from_epoch("occurred", "us").dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
    parts = [
        events.filter(pl.col("kind") == kind).select("order", body=body(planned))
        for kind, body in _BODIES.items()
    ]
    return pl.concat(parts).sort("order")["body"]


def _gather(index: str, values: Sequence[str]) -> pl.Expr:
    return pl.lit(pl.Series(values, dtype=pl.String)).gather(pl.col(index))


def _recipients(events: pl.DataFrame, people: pl.DataFrame) -> pl.Series:
    """Return addresses; a person below 0 is a stranger, to whom a message was forwarded."""
    domains = pl.Series([name for one in PROVIDERS for name in one.domains])
    person = events["person"]
    known = people[pl.select(pl.when(person < 0).then(-1 - person).otherwise(person)).to_series()]
    frame = known.select("typed", domain=domains.gather(known["domain"])).with_columns(person)
    number = pl.col("person").abs().cast(pl.String).str.zfill(6)
    start = (
        pl.when(pl.col("person") < 0)
        .then(pl.lit("_fwd"))
        .otherwise(
            # A few people typed their address with a capital, and the list kept it so.
            pl.when("typed").then(pl.lit("_Sim")).otherwise(pl.lit("_sim"))
        )
    )
    return frame.select(pl.concat_str(start, number, pl.lit("@"), "domain")).to_series()


def _uuids(events: pl.DataFrame) -> pl.Series:
    """Return the messages' random words as version 4 UUIDs."""
    high, low = ([_hex(word, at) for at in range(4)] for word in ("id_high", "id_low"))
    version, variant = _hex("id_high", 2, 0x1000, 0x4000), _hex("id_low", 0, 0x4000, 0x8000)
    groups = pl.format("{}{}-{}-{}-{}-{}{}{}", *high[:2], high[3], version, variant, *low[1:])
    return events.select(groups).to_series()


def _hex(word: str, at: int, below: int = 0x10000, plus: int = 0) -> pl.Expr:
    """Return the ``at``-th sixteen bits of a word, modulo ``below``, as four digits."""
    digits = (pl.col(word) // 2 ** (16 * at)) % below + plus
    return pl.lit(_FOUR_DIGITS).gather(digits)


def _campaign_json(planned: Sequence[Campaign]) -> pl.Expr:
    """Return the ``campaign`` object; of the renamed one, the name it had when it happened."""
    first = _gather("campaign", [one.json(one.name) for one in planned])
    if len(planned) <= RENAMED:
        return first
    renamed = planned[RENAMED]
    at = micros(renamed.sent_at + timedelta(hours=renamed.send_hours / 2))
    later = pl.lit(renamed.json(renamed.later_name))
    is_later = (pl.col("campaign") == RENAMED) & (pl.col("occurred") >= at)
    return pl.when(is_later).then(later).otherwise(first)


# The order of the keys and the two forms of message_id are those of the provider's guide.


def _delivered(_planned: Sequence[Campaign]) -> pl.Expr:
    return _json("delivered", _SENDER, _RECIPIENT, _BRACKETED, _TIMESTAMP, _CAMPAIGN)


def _open(_planned: Sequence[Campaign]) -> pl.Expr:
    return _json("open", _SENDER, _RECIPIENT, _BARE, _TIMESTAMP, _CAMPAIGN)


def _click(planned: Sequence[Campaign]) -> pl.Expr:
    links = pl.Series([_text(url) for one in planned for url in one.links])
    start = {one.index: sum(len(o.links) for o in planned[: one.index]) for one in planned}
    row = pl.col("campaign").replace_strict(start, return_dtype=pl.Int64) + pl.col("detail")
    url = ("url", pl.lit(links).gather(row))
    return _json("click", _SENDER, _RECIPIENT, url, _BARE, _TIMESTAMP, _CAMPAIGN)


def _bounce(_planned: Sequence[Campaign]) -> pl.Expr:
    """Return the guide's two forms: one bounce in twelve says no more than who and when."""
    sync = [_text("async" if way.fate == "late" else "sync") for way in BOUNCES]
    full = _json(
        "bounce",
        ("sync_type", _gather("detail", sync)),
        _SENDER,
        _RECIPIENT,
        ("dsn_status", _gather("detail", [_text(way.dsn_status) for way in BOUNCES])),
        ("bounce_category", _gather("detail", [_text(way.category) for way in BOUNCES])),
        ("bounce_type", _gather("detail", [_text(way.bounce_type) for way in BOUNCES])),
        _BRACKETED,
        _TIMESTAMP,
    )
    named = pl.concat_str(full.str.head(-1), pl.lit(',"campaign":'), "campaign_json", pl.lit("}"))
    short = _json("bounce", _RECIPIENT, _TIMESTAMP, _BRACKETED)
    is_short = ~pl.col("named") & (pl.col("id_low") % 12 == 0)
    return pl.when("named").then(named).when(is_short).then(short).otherwise(full)


def _changed(_planned: Sequence[Campaign]) -> pl.Expr:
    lists = [orjson.dumps({"id": id_, "name": name}).decode() for id_, name in LISTS]
    return _json(
        "subscription_changed",
        ("change", _gather("detail", ['"unsubscribe"', '"resubscribe"'])),
        _SENDER,
        _RECIPIENT,
        _BARE,
        _TIMESTAMP,
        _CAMPAIGN,
        ("contact_list", pl.lit(pl.Series(lists)).gather(pl.col("campaign") % len(lists))),
    )


def _complaint(_planned: Sequence[Campaign]) -> pl.Expr:
    feedback = ("feedback_type", pl.lit('"abuse"'))
    return _json("complaint", _SENDER, _RECIPIENT, _BRACKETED, _TIMESTAMP, _CAMPAIGN, feedback)


def _json(kind: str, *fields: tuple[str, pl.Expr]) -> pl.Expr:
    """Return a JSON object of the kind and of fields whose values are JSON texts already."""
    parts = [pl.lit(f'{{"kind":"{kind}"')]
    for name, value in fields:
        parts += [pl.lit(f',"{name}":'), value]
    return pl.concat_str(*parts, pl.lit("}"))


def _text(value: str) -> str:
    return orjson.dumps(value).decode()


def _quoted(*parts: pl.Expr) -> pl.Expr:
    return pl.concat_str(pl.lit('"'), *parts, pl.lit('"'))


_SENDER = ("sender", _quoted(pl.col("sender")))
_RECIPIENT = ("recipient", _quoted(pl.col("recipient")))
_TIMESTAMP = ("timestamp", _quoted(pl.col("timestamp")))
_CAMPAIGN = ("campaign", pl.col("campaign_json"))
_BARE = ("message_id", _quoted(pl.col("uuid")))
_BRACKETED = (
    "message_id",
    _quoted(pl.lit("<"), pl.col("uuid"), pl.lit("@"), pl.col("domain"), pl.lit(">")),
)
_BODIES = {
    DELIVERED: _delivered,
    OPEN: _open,
    CLICK: _click,
    BOUNCE: _bounce,
    CHANGE: _changed,
    COMPLAINT: _complaint,
}


# ── into a spool ─────────────────────────────────────────────────────────────────────────────


def to_spool(plan: Plan, settings: Settings, progress: Report = lambda _done, _share: None) -> int:
    """Write the events into the spool as the receiver would have, and return how many.

    The bytes, and in a spool without them the segments' names too, follow from the plan and the
    secret. Done twice it is the same traffic received twice: exact duplicates. The share that
    ``progress`` is told is estimated until the end. Raises ``LoaderError`` without a secret,
    ``SpoolError`` when the spool cannot be written.
    """
    secret = _secret(settings)
    clock = _Clock(plan.start.timestamp())
    done = 0
    with Writer(
        settings.spool,
        clock=clock.now,
        monotonic=clock.now,
        token=lambda: _token(plan, settings),
        rotate_seconds=float("inf"),
    ) as writer:
        for arrived, texts, expected in batches(plan):
            for micro, lines in _chunks(_lines(arrived, texts, secret), APPEND_BYTES):
                clock.seconds = max(clock.seconds, micro / 1_000_000)
                writer.append(b"".join(lines))
                done += len(lines)
                progress(done, done / max(done, expected))
    return done


@dataclass
class _Clock:
    """The simulation's time, which names the segments."""

    seconds: float

    def now(self) -> float:
        return self.seconds


def _secret(settings: Settings) -> str:
    webhook = settings.webhooks.get(FIRST_WEBHOOK)
    if webhook is None or not webhook.secrets:
        raise SettingsError(f"no secret is set for webhook {FIRST_WEBHOOK}: set LOADER_SECRETS.")
    return webhook.secrets[0]


def _token(plan: Plan, settings: Settings) -> str:
    """Return a segment's last name: from the plan, and counted up when it has been there."""
    plain = sha256(repr(plan).encode()).hexdigest()[:8]
    taken = sum(1 for one in list_segments(settings.spool) if plain in one.name)
    return f"{plain}-{taken:03}"


def _lines(arrived: pl.Series, texts: pl.Series, secret: str) -> Iterator[tuple[int, bytes]]:
    """Yield when each body arrives, in microseconds since 1970, and its line."""
    for micro, text in zip(arrived, texts, strict=True):
        body = text.encode()
        moment = _EPOCH + timedelta(microseconds=micro)
        yield micro, frame(moment, FIRST_WEBHOOK, signature.sign(body, secret), "event", body)


def _chunks(lines: Iterator[tuple[int, bytes]], size: int) -> Iterator[tuple[int, list[bytes]]]:
    """Yield lines, of ``size`` bytes together but for the last, and when the first arrives."""
    chunk: list[bytes] = []
    first = held = 0
    for micro, line in lines:
        first = first if chunk else micro
        chunk.append(line)
        held += len(line)
        if held >= size:
            yield first, chunk
            chunk, held = [], 0
    if chunk:
        yield first, chunk
