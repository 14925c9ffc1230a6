"""Plan → frames of events in arrival order: who gets, opens, clicks, bounces and leaves, and when.

Messages are made in slices of one campaign in the order they are sent; a slice's events wait in a
pool until no later slice can send something that arrives before them. So memory follows the few
campaigns that still draw events, and campaigns overlap as they do in an inbox.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import pi
from random import Random

import polars as pl

from loader.scenario import BOUNCES, PROVIDERS, Campaign, Plan

SLICE = 40_000
SECOND = 1_000_000
HOUR = 3600 * SECOND
OUTAGE = (timedelta(days=8, hours=10), timedelta(days=8, hours=10, minutes=45))
"""When after the start the receiver is down; the provider delivers what it missed afterwards."""
KINDS = ("delivered", "open", "click", "bounce", "subscription_changed", "complaint")
DELIVERED, OPEN, CLICK, BOUNCE, CHANGE, COMPLAINT = range(len(KINDS))
_EVENT = {
    "kind": pl.UInt8,
    "campaign": pl.Int32,
    "person": pl.Int32,
    "id_high": pl.UInt64,
    "id_low": pl.UInt64,
    "detail": pl.Int16,
    "named": pl.Boolean,
    "occurred": pl.Int64,
}


class _Draws:
    """Uniform draws in whole columns: the Mersenne Twister's bytes, the same everywhere."""

    def __init__(self, *key: object) -> None:
        self._random = Random("/".join(map(str, key)))  # noqa: S311 - a world, not a secret

    def words(self, count: int) -> pl.Series:
        """Return ``count`` 64-bit words."""
        return _column(self._random.randbytes(8 * count), pl.UInt64(), 8)

    def uniform(self, count: int) -> pl.Series:
        """Return ``count`` floats in (0, 1)."""
        return ((self.words(count) // 2048).cast(pl.Float64) + 0.5) * 2.0**-53

    def onto(self, frame: pl.DataFrame, *names: str) -> pl.DataFrame:
        """Return the frame with one column of uniform draws for each name."""
        return frame.with_columns(self.uniform(frame.height).alias(name) for name in names)


def _column(raw: bytes, dtype: pl.DataType, width: int) -> pl.Series:
    """Read little-endian integers of ``width`` bytes."""
    if not raw:
        return pl.Series([], dtype=dtype)
    array = pl.Array(dtype, len(raw) // width)
    return pl.Series([raw]).bin.reinterpret(dtype=array, endianness="little").explode()


def _pick(draws: pl.Series, weights: list[float]) -> pl.Series:
    """Turn uniform draws into indices that fall by weight."""
    edges = pl.Series(weights, dtype=pl.Float64).cum_sum()
    total: float = edges[-1]
    return edges.search_sorted(draws * total, side="right").cast(pl.Int16)


def _around(draw: str, median: float, spread: float) -> pl.Expr:
    """Microseconds by a log-logistic law: ``median`` in seconds, heavy to the right.

    In whole milliseconds, so that another machine's last bit of a power does not show.
    """
    odds = pl.col(draw) / (1 - pl.col(draw))
    return (median * 1000 * odds.pow(spread)).clip(0, 30 * 24 * 3.6e6).cast(pl.Int64) * 1000


def _evenly(draw: str, low: float, high: float) -> pl.Expr:
    """Microseconds, evenly between ``low`` and ``high`` seconds."""
    return ((low + pl.col(draw) * (high - low)) * SECOND).cast(pl.Int64)


def micros(moment: datetime) -> int:
    """Return an aware time as microseconds since 1970."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _people(plan: Plan, count: int) -> pl.DataFrame:
    """Return one row per person of the list: provider, domain and habits."""
    draws = _Draws(plan.seed, "people")
    domains = [(at, name) for at, one in enumerate(PROVIDERS) for name in one.domains]
    weights = [PROVIDERS[at].share / len(PROVIDERS[at].domains) for at, _ in domains]
    domain = _pick(draws.uniform(count), weights)
    provider = pl.Series([at for at, _ in domains], dtype=pl.UInt8).gather(domain)
    frame = pl.DataFrame({"provider": provider, "domain": domain.cast(pl.UInt8)})
    frame = draws.onto(frame, "zeal", "u_apple", "u_scanned", "u_full", "u_typed")
    return frame.select(
        "provider",
        "domain",
        zeal=(4 * pl.col("zeal").pow(3)).cast(pl.Float32),
        apple=pl.col("u_apple") < _by_provider("apple"),
        scanned=pl.col("u_scanned") < _by_provider("scanned"),
        full=pl.col("u_full") < 0.003,
        typed=pl.col("u_typed") < 0.02,
    )


def _by_provider(trait: str) -> pl.Expr:
    values = {at: float(getattr(one, trait)) for at, one in enumerate(PROVIDERS)}
    return pl.col("provider").replace_strict(values, return_dtype=pl.Float64)


class Mailing:
    """The people who are mailed: each campaign moves the window, who left is not drawn again."""

    def __init__(self, plan: Plan, largest: int) -> None:
        """Take the plan and the messages of its largest campaign."""
        self._plan = plan
        self._window = largest + largest // 4 + 1
        self._churn = largest // 40 + 1
        count = self._window + self._churn * plan.campaigns
        self.people = _people(plan, count)
        self._gone = bytearray(count)
        self._dead = bytearray(count)

    def audience(self, campaign: Campaign) -> pl.DataFrame:
        """Return the campaign's people in the order of sending: ``person``, ``dead``."""
        low = self._churn * campaign.index
        draws = _Draws(self._plan.seed, campaign.index, "audience")
        frame = pl.DataFrame(
            {
                "person": pl.int_range(low, low + self._window, dtype=pl.Int32, eager=True),
                "gone": self._flags(self._gone, low),
                "dead": self._flags(self._dead, low) == 1,
            }
        )
        frame = draws.onto(frame, "order", "u_dead").sort("gone", "order").head(campaign.messages)
        died = pl.col("dead") | (pl.col("u_dead") < (0.014 if campaign.index == 0 else 0.003))
        frame = frame.sort("order").select("person", dead=died)
        self._bury(frame.filter("dead")["person"], draws)
        return frame

    def _flags(self, flags: bytearray, low: int) -> pl.Series:
        return _column(bytes(flags[low : low + self._window]), pl.UInt8(), 1)

    def _bury(self, persons: pl.Series, draws: _Draws) -> None:
        """Remember the dead; most senders stop mailing them, some lists keep a few."""
        for person, draw in zip(persons, draws.uniform(len(persons)), strict=True):
            self._dead[person] = 1
            self._gone[person] = draw < 0.85

    def leave(self, persons: pl.Series) -> None:
        """Take people who unsubscribed off the list."""
        for person in persons:
            self._gone[person] = 1


def _messages(campaign: Campaign, part: pl.DataFrame, low: int, draws: _Draws) -> pl.DataFrame:
    """Return one row per message of a slice: who, ids, when it was sent, and its fate."""
    step = campaign.send_hours * HOUR / campaign.messages
    frame = part.with_columns(
        campaign=pl.lit(campaign.index, pl.Int32),
        id_high=draws.words(part.height),
        id_low=draws.words(part.height),
        sent=micros(campaign.sent_at) + (pl.int_range(part.height) + low) * step,
        progress=(pl.int_range(part.height) + low) / campaign.messages,
    )
    frame = draws.onto(frame, "u_fate", "u_delay", "u_grey").with_columns(fate=_fate(campaign))
    delay = _around("u_delay", 3, 0.5) + pl.when(pl.col("u_grey") < 0.05).then(
        (pl.col("u_grey") * 20 * HOUR + 300 * SECOND).cast(pl.Int64)
    ).otherwise(0)
    return frame.with_columns(accepted=(pl.col("sent").cast(pl.Int64) + delay))


def _fate(campaign: Campaign) -> pl.Expr:
    soft, block = _by_provider("soft"), _by_provider("soft") + _by_provider("block")
    late = block + (_by_provider("late_bounce") if campaign.late_bounces else 0)
    refused = pl.lit(False)
    for at, one in enumerate(PROVIDERS):
        if one.name == campaign.refused_by:
            # A block begins after the provider has seen a part of the campaign.
            refused = (pl.col("provider") == at) & (pl.col("progress") > 0.2)
    draw = pl.col("u_fate")
    return (
        pl.when("dead")
        .then(pl.lit("hard"))
        .when(pl.col("full") & (draw < 0.7))
        .then(pl.lit("full"))
        .when(refused & (draw < 0.8))
        .then(pl.lit("refused"))
        .when(draw < soft)
        .then(pl.lit("soft"))
        .when(draw < block)
        .then(pl.lit("block"))
        .when(draw < late)
        .then(pl.lit("late"))
        .otherwise(pl.lit("accepted"))
    )


def _events(frame: pl.DataFrame, kind: int, at: pl.Expr, detail: pl.Expr | int = 0) -> pl.DataFrame:
    """Return events of one kind, at ``at`` (microseconds since 1970)."""
    events = frame.with_columns(kind=kind, detail=detail, occurred=at, named=True)
    return events.select(pl.col(name).cast(dtype) for name, dtype in _EVENT.items())


def _bounces(campaign: Campaign, messages: pl.DataFrame, draws: _Draws) -> Iterator[pl.DataFrame]:
    """Yield the bounces of each fate; an async one follows the delivered event by hours."""
    for fate in ("hard", "soft", "block", "refused", "late", "full"):
        met = draws.onto(messages.filter(pl.col("fate") == fate), "u", "u_when", "u_named")
        ways = [at for at, one in enumerate(BOUNCES) if _is_way(fate, at)]
        chosen = _pick(met["u"], [BOUNCES[at].weight for at in ways])
        met = met.with_columns(way=pl.Series(ways, dtype=pl.Int16).gather(chosen))
        hours = pl.col("way").replace_strict(
            {at: BOUNCES[at].hours for at in ways}, return_dtype=pl.Float64
        )
        wait = ((hours * (0.8 + 0.4 * pl.col("u_when"))) * HOUR).cast(pl.Int64)
        if fate == "late":
            wait = _around("u_when", 4 * 3600, 0.9)
        named = (pl.col("u_named") < 0.9) & campaign.bounces_named & (fate != "late")
        yield _events(met, BOUNCE, pl.col("accepted") + wait, pl.col("way")).with_columns(
            named=met.select(named=named)["named"]
        )


def _is_way(fate: str, at: int) -> bool:
    if fate == "full":
        return BOUNCES[at].category == "quota-issues" and BOUNCES[at].fate == "soft"
    return BOUNCES[at].fate == fate


def _waking(at: pl.Expr) -> pl.Expr:
    """Return how likely mail is read at that time, 0 to 1: little by night, most after lunch."""
    hour = (at // HOUR + 1) % 24  # Central European Time
    return 0.08 + 0.92 * ((1 + ((hour - 14) * (pi / 12)).cos()) / 2).pow(0.7)


def _read(messages: pl.DataFrame, campaign: Campaign, draws: _Draws) -> pl.DataFrame:
    """Return the messages that people open, with ``opened``: decaying over days, by day mostly."""
    chance = campaign.reads * pl.col("zeal") * _by_provider("reads")
    frame = draws.onto(messages, "u_reads").filter(pl.col("u_reads") < chance.clip(0, 0.9))
    frame = draws.onto(frame, "d1", "d2", "d3", "a1", "a2")
    first, second, third = (
        pl.col("accepted") + 15 * SECOND + _around(name, 3.2 * 3600, 0.95)
        for name in ("d1", "d2", "d3")
    )
    return frame.with_columns(
        opened=pl.when(pl.col("a1") < _waking(first))
        .then(first)
        .when(pl.col("a2") < _waking(second))
        .then(second)
        .otherwise(third)
    )


def _reactions(campaign: Campaign, messages: pl.DataFrame, draws: _Draws) -> Iterator[pl.DataFrame]:
    """Yield what people and machines do with the accepted messages of a tracked campaign."""
    read = _read(messages, campaign, draws)
    yield _events(read, OPEN, pl.col("opened"))
    again = read
    for chance in (0.34, 0.4, 0.4):
        again = draws.onto(again, "u", "u_when").filter(pl.col("u") < chance)
        again = again.with_columns(opened=pl.col("opened") + _around("u_when", 5 * 3600, 1.0))
        yield _events(again, OPEN, pl.col("opened"))
    apple = draws.onto(messages.filter("apple"), "u", "u_soon", "u_when")
    apple = apple.filter(pl.col("u") < 0.92)
    soon, later = _evenly("u_when", 2, 20), _around("u_when", 1800, 1.2)
    fetched = pl.when(pl.col("u_soon") < 0.25).then(soon).otherwise(later)
    yield _events(apple, OPEN, pl.col("accepted") + fetched)
    yield from _clicks(campaign, messages, read, draws)
    yield from _scans(campaign, messages.filter("scanned"), draws)
    upset = draws.onto(messages, "u", "u_when").filter(pl.col("u") < 0.0003)
    yield _events(upset, COMPLAINT, pl.col("accepted") + _around("u_when", 6 * 3600, 0.8))


def _clicks(
    campaign: Campaign, messages: pl.DataFrame, read: pl.DataFrame, draws: _Draws
) -> Iterator[pl.DataFrame]:
    """Yield people's clicks after their open, a few with images off, and who leaves by a click."""
    blind = draws.onto(messages, "u").filter(pl.col("u") < 0.004 * pl.col("zeal"))
    blind = draws.onto(blind, "u").with_columns(
        opened=pl.col("accepted") + _around("u", 14400, 0.9)
    )
    keen = draws.onto(read, "u").filter(pl.col("u") < campaign.clicks)
    shared = [*_EVENT.keys() & set(messages.columns), "opened"]
    clicking = pl.concat([keen.select(shared), blind.select(shared)])
    stories = campaign.links[: max(1, len(campaign.links) - 1)]
    for chance in (1.0, 0.3, 0.3):
        clicking = draws.onto(clicking, "u", "u_when", "u_link").filter(pl.col("u") < chance)
        link = _pick(clicking["u_link"], [1 / (1 + at) for at in range(len(stories))])
        clicking = clicking.with_columns(
            opened=pl.col("opened") + SECOND + _around("u_when", 25, 0.8), link=link
        )
        yield _events(clicking, CLICK, pl.col("opened"), pl.col("link"))
    if len(campaign.links) > 1:
        yield from _leaving(campaign, read, draws)


def _leaving(campaign: Campaign, read: pl.DataFrame, draws: _Draws) -> Iterator[pl.DataFrame]:
    """Yield the unsubscribe click, the change, and a few who come back."""
    bored = draws.onto(read, "u", "u_when").filter(pl.col("u") < 0.009)
    clicked = pl.col("opened") + _around("u_when", 40, 0.6)
    yield _events(bored, CLICK, clicked, len(campaign.links) - 1)
    bored = draws.onto(bored, "u_page").with_columns(left=clicked + _evenly("u_page", 4, 50))
    yield _events(bored, CHANGE, pl.col("left"))
    back = draws.onto(bored, "u", "u_back").filter(pl.col("u") < 0.07)
    yield _events(back, CHANGE, pl.col("left") + _around("u_back", 3600, 1.2), 1)


def _scans(campaign: Campaign, scanned: pl.DataFrame, draws: _Draws) -> Iterator[pl.DataFrame]:
    """Yield a mail scanner's visits: every link within two seconds, and what that triggers.

    When a burst begins follows the published measurement: two thirds 20 to 60 s after delivery.
    """
    seen = draws.onto(scanned, "u", "u_when", "u_open", "u_echo", "u_leave")
    start = (
        pl.when(pl.col("u") < 0.005)
        .then(_evenly("u_when", 2, 10))
        .when(pl.col("u") < 0.665)
        .then(_evenly("u_when", 20, 60))
        .otherwise(60 * SECOND + _around("u_when", 240, 0.9))
    )
    # Tracking works in whole seconds: a burst that begins on one spans at most two.
    seen = seen.with_columns(start=(pl.col("accepted") + start) // SECOND * SECOND)
    echo = seen.filter(pl.col("u_open") < 0.5)
    yield _events(echo, OPEN, pl.col("start") - _evenly("u_echo", 0, 6))
    links = pl.DataFrame({"link": range(len(campaign.links))})
    visits = draws.onto(seen.join(links, how="cross", maintain_order="left_right"), "u_link")
    yield _events(visits, CLICK, pl.col("start") + _evenly("u_link", 0, 2), pl.col("link"))
    fooled = seen.filter((pl.col("u_leave") < 0.02) & (len(campaign.links) > 1))
    yield _events(fooled, CHANGE, pl.col("start") + 3 * SECOND + _evenly("u_echo", 0, 60))


def _strays(messages: pl.DataFrame, draws: _Draws) -> Iterator[pl.DataFrame]:
    """Yield opens whose id matches nothing: half of a person who was mailed, half of a stranger."""
    some = draws.onto(messages, "u", "u_when", "u_who").filter(pl.col("u") < 0.0006)
    stranger = pl.when(pl.col("u_who") < 0.5).then(-1 - pl.col("person")).otherwise("person")
    some = some.with_columns(
        id_high=draws.words(some.height), id_low=draws.words(some.height), person=stranger
    )
    yield _events(some, OPEN, pl.col("accepted") + _around("u_when", 6 * 3600, 0.9))


def _happenings(campaign: Campaign, messages: pl.DataFrame, draws: _Draws) -> pl.DataFrame:
    accepted = messages.filter(pl.col("fate").is_in(["accepted", "late"]))
    parts = [_events(accepted, DELIVERED, pl.col("accepted"))]
    parts += _bounces(campaign, messages, draws)
    if campaign.tracked:
        parts += _reactions(campaign, accepted.filter(pl.col("fate") == "accepted"), draws)
        parts += _strays(accepted, draws)
    return pl.concat(parts)


def _arrivals(plan: Plan, events: pl.DataFrame, draws: _Draws) -> pl.DataFrame:
    """Add ``arrived``: seconds later, some by hours, some twice, neighbours out of order."""
    events = draws.onto(events, "u", "u_late", "u_again", "u_when")
    soon, late = _around("u", 1.4, 0.6), _around("u_late", 2400, 0.9)
    wait = pl.when(pl.col("u_late") < 0.02).then((pl.col("u") * 6 * HOUR).cast(pl.Int64) + late)
    events = events.with_columns(arrived=pl.col("occurred") + wait.otherwise(soon))
    again = events.filter(pl.col("u_again") < 0.012)
    again = again.with_columns(arrived=pl.col("arrived") + SECOND + _around("u_when", 60, 1.1))
    down, up = (micros(plan.start + after) for after in OUTAGE)
    held_back = pl.when(pl.col("arrived").is_between(down, up)).then(up + _evenly("u", 0, 900))
    both = pl.concat([events, again])
    return both.select(*_EVENT, arrived=held_back.otherwise(pl.col("arrived")))


@dataclass(frozen=True)
class Arrived:
    """Events in arrival order, and how many there will be."""

    events: pl.DataFrame
    """``kind`` (index in KINDS), ``campaign``, ``person`` (below 0: a stranger), ``id_high``,
    ``id_low``, ``detail`` (of a click the link, of a bounce the row of BOUNCES, of a change 1 when
    the person comes back), ``named`` (a bounce that carries its campaign), ``occurred`` and
    ``arrived`` in microseconds since 1970."""
    expected: int
    """Events of the whole plan, as they can be estimated by now; at the end their number."""


@dataclass(frozen=True)
class _Slice:
    starts: int
    campaign: Campaign
    low: int
    high: int


def _slices(planned: list[Campaign]) -> list[_Slice]:
    """Cut the campaigns into slices in the order they are sent."""
    cut = [
        _Slice(
            micros(one.sent_at) + int(one.send_hours * HOUR * low / one.messages),
            one,
            low,
            min(low + SLICE, one.messages),
        )
        for one in planned
        for low in range(0, one.messages, SLICE)
    ]
    return sorted(cut, key=lambda part: (part.starts, part.campaign.index, part.low))


def arriving(plan: Plan, mailing: Mailing, planned: list[Campaign]) -> Iterator[Arrived]:
    """Yield the events in arrival order; how they are cut into frames means nothing."""
    pool = pl.DataFrame(schema={**_EVENT, "arrived": pl.Int64})
    audiences: dict[int, pl.DataFrame] = {}
    sent = made = 0
    for part in _slices(planned):
        is_early = pl.col("arrived") < part.starts
        early, pool = pool.filter(is_early), pool.filter(~is_early)
        yield Arrived(_in_order(early), made * plan.messages // max(sent, 1))
        if part.low == 0:
            audiences[part.campaign.index] = mailing.audience(part.campaign)
        events = _play(plan, mailing, part, audiences[part.campaign.index])
        pool = pl.concat([pool, events])
        sent, made = sent + part.high - part.low, made + events.height
        if part.high == part.campaign.messages:
            del audiences[part.campaign.index]
    yield Arrived(_in_order(pool), made)


def _in_order(events: pl.DataFrame) -> pl.DataFrame:
    return events.sort("arrived", maintain_order=True)


def _play(plan: Plan, mailing: Mailing, part: _Slice, audience: pl.DataFrame) -> pl.DataFrame:
    """Return all that will ever happen to the messages of one slice."""
    people = audience.slice(part.low, part.high - part.low)
    people = pl.concat([people, mailing.people[people["person"]]], how="horizontal")
    draws = _Draws(plan.seed, part.campaign.index, part.low)
    messages = _messages(part.campaign, people, part.low, draws)
    events = _arrivals(plan, _happenings(part.campaign, messages, draws), draws)
    mailing.leave(events.filter(pl.col("kind") == CHANGE, pl.col("detail") == 0)["person"])
    return events
