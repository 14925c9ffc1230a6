"""The metrics again, slowly and in plain Python, from their definitions alone.

Nothing here is shared with the SQL: not a query, not a threshold, not a class of a bounce. What is
given are spool lines; what comes back are the rows of four reports. It reads as the definitions
read, one function a sentence, and is quadratic wherever that is plainer.
"""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import md5
from math import sqrt
from typing import Any
from uuid import UUID

Row = dict[str, Any]
Report = dict[tuple[object, ...], Row]
Z95 = 1.959963984540054

# ── events ───────────────────────────────────────────────────────────────────────────────────

OF_KIND = {
    "delivered": (),
    "open": (),
    "click": ("url",),
    "bounce": ("sync_type", "dsn_status", "bounce_category", "bounce_type"),
    "subscription_changed": ("change", "contact_list"),
    "complaint": None,
}
"""What tells two events of a kind at one time apart; of a kind that is kept whole, all of it."""


@dataclass(frozen=True)
class Event:
    """One event as it was received."""

    kind: str
    key: str
    recipient: str
    at: datetime
    campaign: str | None
    campaign_name: str | None
    payload: Row
    standing: tuple[bool, str, bytes] = field(compare=False)
    """Of duplicates the smallest of these stands: earliest received, then the line's bytes."""

    @property
    def identity(self) -> str:
        """What two events share when one is a duplicate of the other."""
        names = OF_KIND[self.kind]
        own = self.payload if names is None else [self.payload.get(name) for name in names]
        return json.dumps([self.kind, self.key, self.recipient, self.at.isoformat(), own])


def read(line: bytes) -> Event | None:
    """Read a spool line; None for a kind that the four reports do not count."""
    framed = json.loads(line)
    payload = framed.get("event", framed)
    if payload["kind"] not in OF_KIND:
        return None
    campaign = payload.get("campaign") or {}
    received = framed.get("received_at") if "event" in framed else None
    return Event(
        kind=payload["kind"],
        key=message_key(payload["message_id"]),
        recipient=payload["recipient"].strip().lower(),
        at=datetime.fromisoformat(payload["timestamp"]),
        campaign=campaign["id"] if (campaign.get("id") or "").strip() else None,
        campaign_name=campaign.get("name"),
        payload=payload,
        standing=(received is None, received or "", line),
    )


def message_key(message_id: str) -> str:
    """Strip spaces and <>; the UUID before the last @, else the MD5 of the whole as one."""
    stripped = message_id.strip().strip("<>").strip()
    local = stripped.rpartition("@")[0] if "@" in stripped else stripped
    if re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", local):
        return str(UUID(local))
    return str(UUID(md5(stripped.encode(), usedforsecurity=False).hexdigest()))


def distinct(lines: Iterable[bytes]) -> list[Event]:
    """Of each set of duplicates the one that stands."""
    standing: dict[str, Event] = {}
    for event in filter(None, map(read, lines)):
        known = standing.get(event.identity)
        if known is None or event.standing < known.standing:
            standing[event.identity] = event
    return sorted(standing.values(), key=lambda event: (event.at, event.standing))


# ── messages ─────────────────────────────────────────────────────────────────────────────────


@dataclass
class Message:
    """One email to one recipient, and the events that reached it."""

    key: str
    recipient: str
    delivered: list[Event] = field(default_factory=list)
    bounces: list[Event] = field(default_factory=list)
    opens: list[Event] = field(default_factory=list)
    clicks: list[Event] = field(default_factory=list)
    changes: list[Event] = field(default_factory=list)
    complaints: list[Event] = field(default_factory=list)
    machine: set[int] = field(default_factory=set)
    """``id`` of its opens, clicks and changes that look like a machine's."""

    @property
    def delivered_at(self) -> datetime | None:
        """When it was first delivered."""
        return min((event.at for event in self.delivered), default=None)

    @property
    def campaign(self) -> str | None:
        """The campaign of its earliest delivered event that has one, else of such a bounce."""
        for events in (self.delivered, self.bounces):
            named = [event for event in events if event.campaign is not None]
            if named:
                return min(named, key=lambda event: (event.at, event.campaign)).campaign
        return None

    @property
    def domain(self) -> str | None:
        """The domain of its sender: as it was first delivered, else as it first bounced."""
        for events in (self.delivered, self.bounces):
            said = [(e.at, e.payload["sender"]) for e in events if e.payload.get("sender")]
            if said:
                sender = min(said)[1]
                return sender.rpartition("@")[2].rstrip(" >").lower() if "@" in sender else None
        return None

    @property
    def bounce(self) -> Event | None:
        """Its latest bounce; of several at that time the first by category, then by the rest."""
        latest = max((event.at for event in self.bounces), default=None)
        return min((e for e in self.bounces if e.at == latest), key=_by_words, default=None)

    @property
    def accepted(self) -> bool:
        """Delivered, and no async bounce came later."""
        first = self.delivered_at
        return first is not None and not any(
            self.is_async(bounce) and bounce.at > first for bounce in self.bounces
        )

    def is_async(self, bounce: Event) -> bool:
        """As sync_type says; where it says nothing, whether the message has been delivered."""
        said = bounce.payload.get("sync_type")
        return bool(self.delivered) if said is None else said == "async"

    @property
    def opened(self) -> bool:
        """Whether any open reached it."""
        return bool(self.opens)

    @property
    def clicked(self) -> bool:
        """Whether any click reached it."""
        return bool(self.clicks)

    @property
    def confirmed_opened(self) -> bool:
        """Whether an open or a click reached it."""
        return self.opened or self.clicked

    @property
    def complained(self) -> bool:
        """Whether a complaint reached it."""
        return bool(self.complaints)

    @property
    def unsubscribes(self) -> list[Event]:
        """The unsubscribes that reached it."""
        return [event for event in self.changes if event.payload.get("change") == "unsubscribe"]

    @property
    def unsubscribed(self) -> bool:
        """Whether an unsubscribe reached it, whatever came after."""
        return bool(self.unsubscribes)

    def human(self, events: list[Event]) -> list[Event]:
        """Those of its events that do not look like a machine's."""
        return [event for event in events if id(event) not in self.machine]

    @property
    def opened_human(self) -> bool:
        """Whether a person's open reached it."""
        return bool(self.human(self.opens))

    @property
    def clicked_human(self) -> bool:
        """Whether a person's click reached it."""
        return bool(self.human(self.clicks))

    @property
    def confirmed_opened_human(self) -> bool:
        """Whether a person's open or click reached it."""
        return self.opened_human or self.clicked_human

    @property
    def unsubscribed_human(self) -> bool:
        """Whether a person's unsubscribe reached it."""
        return bool(self.human(self.unsubscribes))


def _by_words(bounce: Event) -> list[tuple[bool, str]]:
    said = bounce.payload
    texts = [said.get("bounce_category"), dsn_code(said.get("dsn_status"))]
    texts += [said.get(name) for name in ("sync_type", "bounce_type", "dsn_status")]
    return [(text is None, text or "") for text in texts]


def messages_of(events: list[Event]) -> list[Message]:
    """Build the messages and join to them what reached them; ``events`` are distinct."""
    messages: dict[tuple[str, str], Message] = {}
    for event in events:
        if event.kind in {"delivered", "bounce"}:
            at = (event.key, event.recipient)
            message = messages.setdefault(at, Message(*at))
            (message.delivered if event.kind == "delivered" else message.bounces).append(event)
    lists: dict[str, Callable[[Message], list[Event]]] = {
        "open": lambda message: message.opens,
        "click": lambda message: message.clicks,
        "subscription_changed": lambda message: message.changes,
        "complaint": lambda message: message.complaints,
    }
    for event in events:
        if event.kind in lists:
            reached = _reached(event, messages)
            if reached:
                lists[event.kind](reached).append(event)
    found = list(messages.values())
    _flag_machines(found)
    return found


def _reached(event: Event, messages: dict[tuple[str, str], Message]) -> Message | None:
    """By message id; else the campaign's message to that person, delivered last before it."""
    same = messages.get((event.key, event.recipient))
    if same:
        return same
    mine = [
        message
        for message in messages.values()
        if event.campaign is not None
        and message.campaign == event.campaign
        and message.recipient == event.recipient
        and message.delivered
    ]
    before = [message for message in mine if message.delivered_at <= event.at]
    # Of two delivered in the same second the one with the smaller key, so that order is nothing.
    mine.sort(key=lambda message: message.key)
    if before:
        latest = max(message.delivered_at for message in before)
        return next(message for message in mine if message.delivered_at == latest)
    return min(mine, key=lambda message: message.delivered_at, default=None)


# ── machines ─────────────────────────────────────────────────────────────────────────────────


def seconds(count: float) -> timedelta:
    """So many seconds."""
    return timedelta(seconds=count)


def _flag_machines(messages: list[Message]) -> None:
    of_campaign: dict[str | None, set[str]] = {}
    for message in messages:
        of_campaign.setdefault(message.campaign, set()).update(urls(message.clicks))
    for message in messages:
        burst = _in_burst(message.clicks)
        flagged = burst + _instant(message) + _covering(message, of_campaign[message.campaign])
        flagged += _echo(message, burst) + _suspect(message, burst)
        message.machine = {id(event) for event in flagged}


def _in_burst(clicks: list[Event]) -> list[Event]:
    """Three different URLs within ±2 s: every click in the window, the first included."""
    found: list[Event] = []
    for centre in clicks:
        window = [click for click in clicks if abs(click.at - centre.at) <= seconds(2)]
        if len(urls(window)) >= 3:
            found += window
    return found


def _instant(message: Message) -> list[Event]:
    """Clicks within 5 s of the delivery, or before it."""
    first = message.delivered_at
    return [e for e in message.clicks if first is not None and e.at <= first + seconds(5)]


def _covering(message: Message, known: set[str]) -> list[Event]:
    """80 % of the campaign's URLs, when it has four, within 60 s; without a campaign none."""
    if message.campaign is None:
        return []
    found: list[Event] = []
    for start in message.clicks:
        window = [e for e in message.clicks if start.at <= e.at <= start.at + seconds(60)]
        if len(known) >= 4 and len(urls(window)) * 10 >= len(known) * 8:
            found += window
    return found


def _echo(message: Message, burst: list[Event]) -> list[Event]:
    """Opens within 20 s of the delivery, or within 120 s before a burst of the same message."""
    first = message.delivered_at
    return [
        event
        for event in message.opens
        if (first is not None and event.at <= first + seconds(20))
        or any(seconds(0) <= click.at - event.at <= seconds(120) for click in burst)
    ]


def _suspect(message: Message, burst: list[Event]) -> list[Event]:
    """Unsubscribes within 120 s after a burst of the same message."""
    return [
        event
        for event in message.unsubscribes
        if any(seconds(0) <= event.at - click.at <= seconds(120) for click in burst)
    ]


# ── bounces ──────────────────────────────────────────────────────────────────────────────────

CLASS_OF_CATEGORY = {
    "bad-mailbox": "hard",
    "inactive-mailbox": "hard",
    "bad-domain": "hard",
    "quota-issues": "soft",
    "message-expired": "soft",
    "no-answer-from-host": "soft",
    "bad-connection": "soft",
    "routing-errors": "soft",
    "bad-configuration": "soft",
    "protocol-errors": "soft",
    "relaying-issues": "block",
    "policy-related": "block",
    "spam-related": "block",
    "content-related": "block",
    "virus-related": "block",
    "invalid-sender": "block",
}
CLASS_OF_DETAIL = {
    **dict.fromkeys(("1.1", "1.3", "1.6", "2.0", "2.1", "7.13", "1.2", "1.10"), "hard"),
    **dict.fromkeys(("2.2", "3.1", "3.4", "4.7", "4.1", "4.2", "4.3", "4.4", "4.6"), "soft"),
    **dict.fromkeys(("3.5", "5.0", "5.1", "5.2", "5.3", "5.4", "5.5"), "soft"),
    **dict.fromkeys(("7.1", "7.0", "7.2", "7.26", "6.0", "6.1", "6.3", "7.7"), "block"),
    **dict.fromkeys(("1.7", "1.8", "7.27"), "block"),
}


def dsn_code(status: str | None) -> str | None:
    """The first d.d.d of the text."""
    found = re.search(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.])", status or "")
    return found[1] if found else None


def bounce_class(bounce: Event) -> str:
    """By category, else by the DSN's detail, else by its class, else undetermined."""
    named = CLASS_OF_CATEGORY.get(bounce.payload.get("bounce_category") or "")
    code = dsn_code(bounce.payload.get("dsn_status"))
    if named or code is None:
        return named or "undetermined"
    first, _, detail = code.partition(".")
    by_class = {"4": "soft", "5": "hard"}
    return CLASS_OF_DETAIL.get(detail) or by_class.get(first, "undetermined")


# ── reports ──────────────────────────────────────────────────────────────────────────────────

PROVIDERS = {
    "gmail.com": "gmail",
    "googlemail.com": "gmail",
    "outlook.com": "outlook",
    "hotmail.com": "outlook",
    "live.com": "outlook",
    "yahoo.com": "yahoo",
    "aol.com": "yahoo",
    "icloud.com": "icloud",
    "gmx.de": "gmx",
    "web.de": "gmx",
}


def provider(message: Message) -> str:
    """The mailbox provider by the recipient's domain."""
    return PROVIDERS.get(message.recipient.rpartition("@")[2], "other")


def wilson(successes: int, trials: int) -> tuple[float, float] | tuple[None, None]:
    """The 95 % Wilson interval of a share."""
    if not trials:
        return None, None
    share, shrink = successes / trials, 1 + Z95**2 / trials
    centre = (share + Z95**2 / (2 * trials)) / shrink
    half = Z95 / shrink * sqrt(share * (1 - share) / trials + Z95**2 / (4 * trials**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def rate(name: str, successes: int, trials: int, known: bool = True) -> Row:
    """A rate with its interval, all NULL where it is unknown or of nothing."""
    low, high = wilson(successes, trials if known else 0)
    value = successes / trials if trials and known else None
    return {name: value, f"{name}_lo": low, f"{name}_hi": high}


REACTIONS = (
    "opened", "clicked", "confirmed_opened", "unsubscribed", "complained",
    "opened_human", "clicked_human", "confirmed_opened_human", "unsubscribed_human",
)  # fmt: skip
CLASSES = ("hard", "soft", "block", "undetermined")


def counts(messages: list[Message]) -> Row:
    """The counts of a set of messages."""
    accepted = [message for message in messages if message.accepted]
    bounced = [message for message in messages if message.bounce]
    row: Row = {
        "attempted": len(messages),
        "delivered": sum(1 for message in messages if message.delivered),
        "accepted": len(accepted),
        "bounced": len(bounced),
        "opens": sum(len(message.opens) for message in messages),
        "clicks": sum(len(message.clicks) for message in messages),
        "complaints": sum(len(message.complaints) for message in messages),
    }
    for word in CLASSES:
        row[word] = sum(1 for message in bounced if bounce_class(message.bounce) == word)
    for name in REACTIONS:
        row[name] = sum(1 for message in accepted if getattr(message, name))
    return row


def rates(row: Row, tracked: bool, complaints: bool) -> Row:
    """The rates that follow from counts; not tracked, nobody knows who opened or left."""
    attempted, accepted = row["attempted"], row["accepted"]
    found = rate("delivery_rate", accepted, attempted)
    for name in ("bounce", *CLASSES):
        found |= rate(f"{name}_rate", row["bounced" if name == "bounce" else name], attempted)
    for name, count in (
        ("open", "opened"),
        ("click", "clicked"),
        ("confirmed_open", "confirmed_opened"),
        ("unsubscribe", "unsubscribed"),
        ("open_human", "opened_human"),
        ("click_human", "clicked_human"),
    ):
        found |= rate(f"{name}_rate", row[count], accepted, tracked)
    found |= rate("click_to_open_rate", row["clicked"], row["confirmed_opened"], tracked)
    return found | rate("complaint_rate", row["complained"], accepted, complaints)


def outcome(messages: list[Message], world: "World", campaign: object) -> Row:
    """The counts and rates of messages of one campaign."""
    row = counts(messages)
    return row | rates(row, is_tracked(campaign, world), world.has_complaints)


def is_tracked(campaign: object, world: "World") -> bool:
    """Whether there is any tracked event at all: one that names it, or reached a message of it."""
    tracked = [e for e in world.events if e.kind in {"open", "click", "subscription_changed"}]
    mine = [message for message in world.messages if message.campaign == campaign]
    return any(message.opens or message.clicks or message.changes for message in mine) or (
        campaign is not None and any(event.campaign == campaign for event in tracked)
    )


def grouped(
    messages: list[Message], *keys: Callable[[Message], object]
) -> dict[tuple[object, ...], list[Message]]:
    """The messages by the values of the keys."""
    groups: dict[tuple[object, ...], list[Message]] = {}
    for message in messages:
        groups.setdefault(tuple(key(message) for key in keys), []).append(message)
    return groups


def campaign_report(world: "World") -> Report:
    """Campaign → its counts and rates; the messages without a campaign under None."""
    rows: Report = {}
    for (campaign,), group in grouped(world.messages, _campaign).items():
        row = {"campaign_name": latest_name(world.events, campaign), **first_and_last(group)}
        row |= outcome(group, world, campaign)
        row |= upper_bound(row, campaign, world) | age(row["last_delivered_at"], world.now)
        rows[(campaign,)] = row
    return rows


def upper_bound(row: Row, campaign: object, world: "World") -> Row:
    """The bounce rate, were every unattributed bounce of its time the campaign's own.

    Its time is from 24 h before its first delivery to 168 h after its last. Not its own is what
    names a sender domain that delivers mail, but none of the campaign's.
    """
    if campaign is None or row["first_delivered_at"] is None:
        return {"unattributed_nearby": None, "bounce_rate_upper": None}
    first = row["first_delivered_at"] - timedelta(hours=24)
    last = row["last_delivered_at"] + timedelta(hours=168)
    delivered = [message for message in world.messages if message.delivered]
    own = {message.domain for message in delivered if message.campaign == campaign}
    others = {message.domain for message in delivered} - own if None not in own else set()
    moments = [
        message.bounce.at.replace(tzinfo=None)
        for message in world.messages
        if message.campaign is None
        and message.bounce
        and (message.domain is None or message.domain not in others)
    ]
    nearby = sum(first <= moment <= last for moment in moments)
    upper = (row["bounced"] + nearby) / (row["attempted"] + nearby)
    return {"unattributed_nearby": nearby, "bounce_rate_upper": upper}


def age(last_delivered_at: datetime | None, now: datetime) -> Row:
    """The hours since a campaign's last delivery, and the badge that they give."""
    if last_delivered_at is None:
        return {"age_hours": None, "maturity": None}
    hours = (now - last_delivered_at) / timedelta(hours=1)
    return {"age_hours": hours, "maturity": maturity(hours)}


def maturity(hours: float) -> str:
    """Under 24 h preliminary, under 72 h maturing, then comparable."""
    if hours < 24:
        return "preliminary"
    return "maturing" if hours < 72 else "comparable"


def latest_name(events: list[Event], campaign: object) -> str | None:
    """The name a campaign's events carry last; of two at that time the greater."""
    named = [e for e in events if e.campaign == campaign is not None and e.campaign_name]
    return max(((e.at, e.campaign_name) for e in named), default=(None, None))[1]


def first_and_last(messages: list[Message]) -> Row:
    """When the first and the last of its messages were delivered, naive UTC."""
    moments = [
        message.delivered_at.replace(tzinfo=None) for message in messages if message.delivered
    ]
    return {
        "first_delivered_at": min(moments, default=None),
        "last_delivered_at": max(moments, default=None),
    }


def provider_report(world: "World") -> Report:
    """Campaign and mailbox provider → counts and rates; tracked is what the campaign is."""
    return {
        key: outcome(group, world, key[0])
        for key, group in grouped(world.messages, _campaign, provider).items()
    }


def bounce_report(world: "World") -> Report:
    """Campaign, category, class and sync type of the bounce → how many messages."""
    groups = grouped(
        [message for message in world.messages if message.bounce],
        _campaign,
        lambda m: m.bounce.payload.get("bounce_category"),
        lambda m: bounce_class(m.bounce),
        lambda m: "async" if m.is_async(m.bounce) else "sync",
    )
    campaigns = grouped(world.messages, _campaign)
    rows: Report = {}
    for key, group in groups.items():
        attempted = len(campaigns[key[:1]])
        bounced = sum(1 for message in campaigns[key[:1]] if message.bounce)
        rows[key] = {"bounced": len(group), "attempted": attempted}
        rows[key] |= rate("bounce_rate", len(group), attempted)
        rows[key]["bounce_share"] = len(group) / bounced
    return rows


def link_report(world: "World") -> Report:
    """Campaign and URL → clicks, messages that clicked it, and whose first click it was."""
    rows: Report = {}
    for (campaign,), group in grouped(world.messages, _campaign).items():
        accepted = [message for message in group if message.accepted]
        for url in {event.payload["url"] for message in group for event in message.clicks}:
            row = link(url, group, accepted)
            row |= rate("click_rate", row["clicked"], len(accepted))
            row |= rate("click_human_rate", row["clicked_human"], len(accepted))
            rows[campaign, url] = row
    for row, mine in [(row, of_campaign(rows, campaign)) for (campaign, _), row in rows.items()]:
        for share, count in SHARES.items():
            whole = sum(other[count] for other in mine)
            row[share] = row[count] / whole if whole else None
    return rows


SHARES = {
    "click_share": "clicks",
    "click_human_share": "clicks_human",
    "first_click_share": "first_clicks",
    "first_click_human_share": "first_clicks_human",
}
"""A link's share of what all links of its campaign have, and what that is."""


def of_campaign(rows: Report, campaign: object) -> list[Row]:
    """The rows of one campaign's links."""
    return [row for key, row in rows.items() if key[0] == campaign]


def link(url: str, messages: list[Message], accepted: list[Message]) -> Row:
    """The counts of one link of a campaign."""
    clicks = [click for message in messages for click in message.clicks]
    human = [click for message in messages for click in message.human(message.clicks)]
    return {
        "accepted": len(accepted),
        "clicks": sum(click.payload["url"] == url for click in clicks),
        "clicks_human": sum(click.payload["url"] == url for click in human),
        "clicked": sum(url in urls(m.clicks) for m in accepted),
        "clicked_human": sum(url in urls(m.human(m.clicks)) for m in accepted),
        "first_clicks": sum(url == first_url(m.clicks) for m in accepted),
        "first_clicks_human": sum(url == first_url(m.human(m.clicks)) for m in accepted),
    }


def urls(clicks: list[Event]) -> set[str]:
    """The URLs clicked."""
    return {click.payload["url"] for click in clicks}


def first_url(clicks: list[Event]) -> str | None:
    """The URL of the earliest click; of two at that time the first by name."""
    return min(((c.at, c.payload["url"]) for c in clicks), default=(None, None))[1]


def _campaign(message: Message) -> str | None:
    return message.campaign


@dataclass
class World:
    """All that is known: the events that stand, and the messages they make."""

    events: list[Event]
    messages: list[Message]
    now: datetime
    """When it is looked at, naive UTC."""

    @property
    def has_complaints(self) -> bool:
        """Whether complaints are reported at all."""
        return any(event.kind == "complaint" for event in self.events)


def world_of(lines: Iterable[bytes], now: datetime) -> World:
    """Read a spool at a moment, naive UTC."""
    events = distinct(lines)
    return World(events, messages_of(events), now)
