"""A seed → the world the simulator plays: campaigns, people, mailbox providers, bounces; data only.

The shares are of the order that senders publish (delivery 95 to 99 %, human opens around 20 %,
clicks of 2 to 3 %, unsubscribes of 0.2 %); they make believable traffic, not a measurement.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random
from uuid import UUID

from loader.errors import WrongUsage

FIRST_SEND = datetime(2026, 9, 1, 7, 0, tzinfo=UTC)
LAST_YEAR = 9000


@dataclass(frozen=True)
class Plan:
    """What to simulate; the same plan always gives the same bytes.

    ``messages`` is the total of the run, split unevenly over the campaigns. ``start`` is when the
    first campaign is sent, ``pace`` the time from one campaign to the next; what would arrive
    after ``until`` has not happened yet. Raises ``WrongUsage`` for a plan that cannot be played.
    """

    campaigns: int = 12
    messages: int = 20_000
    seed: int = 1
    start: datetime = FIRST_SEND
    until: datetime | None = None
    pace: timedelta = timedelta(days=2)

    def __post_init__(self) -> None:
        """Refuse numbers and times that mean nothing."""
        if self.campaigns < 1 or self.messages < self.campaigns:
            raise WrongUsage(
                f"{self.campaigns} campaigns with {self.messages} messages were asked for; "
                "at least one campaign and one message for each are wanted."
            )
        if self.start.tzinfo is None or (self.until and self.until.tzinfo is None):
            raise WrongUsage("The simulation's start or end has no time zone: add one, such as Z.")
        if self.start.year >= LAST_YEAR:
            raise WrongUsage(
                f"The simulation starts in the year {self.start.year}: start before {LAST_YEAR}."
            )
        if self.until is not None and self.until < self.start:
            raise WrongUsage("The simulation ends before it starts: give an end after its start.")


def usual_start(campaigns: int) -> datetime:
    """Return when the first of so many campaigns is sent, unless another time is asked for.

    Beyond twelve it is so much earlier that the last is sent when the last of twelve is: traffic
    that goes on after today is told as that of a wrong clock.
    """
    return FIRST_SEND - Plan.pace * min(max(campaigns - Plan.campaigns, 0), MOST_EARLIER)


MOST_EARLIER = 9_000
"""Campaigns before September 2026, which is since 1977."""


@dataclass(frozen=True)
class Provider:
    """A mailbox provider: its share of the list, and how it treats and reads mail."""

    name: str
    domains: tuple[str, ...]
    share: float
    soft: float
    block: float
    late_bounce: float
    """Share of accepted messages that come back hours later (async)."""
    reads: float
    """Factor on the chance that a person opens."""
    apple: float
    """Share of people whose mail program fetches every image by itself."""
    scanned: float
    """Share of people behind a scanner that clicks every link."""


PROVIDERS = (
    Provider("gmail", ("gmail.com",), 0.44, 0.004, 0.002, 0.0002, 1.10, 0.16, 0.0),
    Provider(
        "outlook", ("outlook.com", "hotmail.com", "live.com"), 0.16, 0.006, 0.006, 0.001, 0.85,
        0.08, 0.03,
    ),
    Provider("yahoo", ("yahoo.com", "aol.com"), 0.12, 0.012, 0.004, 0.0005, 0.90, 0.14, 0.0),
    Provider("icloud", ("icloud.com", "me.com"), 0.07, 0.004, 0.003, 0.001, 1.00, 0.75, 0.0),
    Provider("gmx", ("gmx.de", "web.de"), 0.06, 0.008, 0.003, 0.002, 0.80, 0.10, 0.0),
    Provider("orange", ("orange.fr", "wanadoo.fr"), 0.03, 0.020, 0.010, 0.002, 0.75, 0.10, 0.0),
    Provider("libero", ("libero.it",), 0.02, 0.025, 0.006, 0.002, 0.70, 0.06, 0.0),
    Provider(
        "other", ("mail.example.com", "example.org", "staff.example.net"), 0.10, 0.015, 0.008,
        0.010, 0.95, 0.12, 0.16,
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Bounce:
    """One way to bounce: its weight within the fate, and the hours until it is reported."""

    fate: str
    category: str
    dsn_status: str
    bounce_type: str
    weight: float
    hours: float


# The seventeen categories of PowerMTA, with the texts that it writes beside the codes.
BOUNCES = (
    Bounce("hard", "bad-mailbox", "5.1.1 (bad destination mailbox address)", "hard", 74, 0),
    Bounce("hard", "bad-mailbox", "5.1.6 (mailbox has moved)", "hard", 2, 0),
    Bounce("hard", "inactive-mailbox", "5.2.1 (mailbox disabled)", "hard", 14, 0),
    Bounce("hard", "bad-domain", "5.1.2 (bad destination system address)", "hard", 8, 0),
    Bounce("hard", "other", "5.0.0 (undefined status)", "other", 2, 0),
    Bounce("soft", "quota-issues", "4.2.2 (mailbox full)", "soft", 30, 12),
    Bounce("soft", "quota-issues", "5.2.2 (mailbox full)", "hard", 14, 0),
    Bounce("soft", "message-expired", "4.4.7 (delivery time expired)", "expired", 24, 48),
    Bounce("soft", "no-answer-from-host", "4.4.1 (no answer from host)", "expired", 12, 48),
    Bounce("soft", "bad-connection", "4.4.2 (bad connection)", "soft", 6, 24),
    Bounce("soft", "routing-errors", "4.4.4 (unable to route)", "soft", 4, 24),
    Bounce("soft", "bad-configuration", "4.3.5 (system incorrectly configured)", "soft", 2, 6),
    Bounce("soft", "protocol-errors", "5.5.0 (other or undefined protocol status)", "other", 3, 0),
    Bounce("soft", "greylist-timeout", "4.7.0 (greylisted, retries exhausted)", "soft", 1, 24),
    Bounce("block", "spam-related", "5.7.1 (delivery not authorized)", "hard", 40, 0),
    Bounce("block", "policy-related", "5.7.26 (authentication checks failed)", "hard", 14, 0),
    Bounce("block", "policy-related", "4.7.0 (other or undefined security status)", "soft", 16, 6),
    Bounce("block", "relaying-issues", "5.7.1 (relaying denied)", "hard", 10, 0),
    Bounce("block", "content-related", "5.6.0 (other or undefined media error)", "other", 8, 0),
    Bounce("block", "virus-related", "5.7.0 (message contains a virus)", "hard", 1, 0),
    Bounce("block", "invalid-sender", "5.1.8 (bad sender's system address)", "hard", 4, 0),
    Bounce("refused", "spam-related", "4.7.0 ([TSS04] user complaints)", "soft", 60, 8),
    Bounce("refused", "spam-related", "5.7.9 ([BL21] policy reasons)", "hard", 40, 0),
    Bounce("late", "bad-mailbox", "5.1.1 (bad destination mailbox address)", "hard", 46, 0),
    Bounce("late", "quota-issues", "5.2.2 (mailbox full)", "hard", 18, 0),
    Bounce("late", "message-expired", "4.4.7 (delivery time expired)", "expired", 20, 0),
    Bounce("late", "spam-related", "5.7.1 (delivery not authorized)", "hard", 10, 0),
    Bounce("late", "other", "5.0.0 (undefined status)", "other", 6, 0),
)  # fmt: skip


@dataclass(frozen=True)
class Campaign:
    """One campaign of the plan, with what is peculiar about it."""

    index: int
    id: str
    name: str
    later_name: str
    """The name its events carry once it has been renamed; the same as ``name`` for most."""
    sender: str
    messages: int
    sent_at: datetime
    send_hours: float
    links: tuple[str, ...]
    reads: float
    """Chance that an average person opens."""
    clicks: float
    """Chance that who opened clicks."""
    tracked: bool
    """False: sent outside the provider's own campaigns, so no open or click is ever reported."""
    refused_by: str | None
    """The provider that blocks most of it."""
    bounces_named: bool
    """Whether a sync bounce carries the campaign; the guide's two samples carry none."""
    late_bounces: bool
    """False: the bounce domain has no MX, so no async bounce ever arrives."""

    def json(self, name: str) -> str:
        """The ``campaign`` object of a payload."""
        return json.dumps({"id": self.id, "name": name}, ensure_ascii=False, separators=(",", ":"))


NAMES = (
    "September campaign",
    "Back to school",
    "Weekly digest 36",
    "Member days: early access",
    "秋のセール 第二弾 🍁",
    'Ben & Jerry\'s "2 for 1" <weekend>',
    "Receipts and account notices",
    "Win-back: we saved your basket, your points and a little something extra for you",
    "Weekly digest 37",
    "Neue Öffnungszeiten: Filiale Köln",
    "Black Friday, first wave",
    "Black Friday, last call",
)
RENAMED = 1
REFUSED = 3
UNTRACKED = 6
NEWSLETTER, SHOP = "news@news.example.com", "hello@shop.example.org"
LISTS = (("59d619ca-d402-4865-a333-d5a5c5cdb30c", "Main List"),
         ("0b7c2a54-6c1f-4c0e-9d43-2f5b8a1e7d90", "Customers & friends"))  # fmt: skip
PAGES = (
    "https://shop.example.org/",
    "https://shop.example.org/new?utm_source=mail&utm_medium=email",
    "https://shop.example.org/sale?utm_source=mail&utm_content=hero",
    "https://shop.example.org/p/1042?colour=navy&size=m",
    "https://news.example.com/stories/how-it-is-made",
    "https://news.example.com/stories/%E7%A7%8B",
    "https://shop.example.org/stores#near-you",
    "https://shop.example.org/p/77",
)
UNSUBSCRIBE = "https://news.example.com/unsubscribe"


def campaigns(plan: Plan) -> list[Campaign]:
    """Return the plan's campaigns in the order they are sent; their messages sum to the plan's."""
    draws = Random(f"{plan.seed}/campaigns")  # noqa: S311 - a world, not a secret
    sizes = _shares(plan.messages, [0.35 + 1.3 * draws.random() for _ in range(plan.campaigns)])
    return [_campaign(plan, index, size, draws) for index, size in enumerate(sizes)]


def _campaign(plan: Plan, index: int, size: int, draws: Random) -> Campaign:
    name = NAMES[index] if index < len(NAMES) else f"Weekly digest {26 + index}"
    pages = draws.sample(PAGES, 0 if index % 7 == 6 else draws.randint(3, len(PAGES)))
    return Campaign(
        index=index,
        id=str(UUID(int=draws.getrandbits(128), version=4)),
        name=name,
        later_name=f"{name} (corrected)" if index == RENAMED else name,
        sender=SHOP if index % 5 == 4 else NEWSLETTER,
        messages=size,
        sent_at=plan.start + plan.pace * index + timedelta(minutes=draws.randint(0, 360)),
        send_hours=0.5 + 3 * draws.random() ** 2,
        links=(*(pages or PAGES[:1]), UNSUBSCRIBE)[: None if pages else 1],
        reads=0.13 + 0.12 * draws.random(),
        clicks=0.07 + 0.08 * draws.random(),
        tracked=index != UNTRACKED,
        refused_by="yahoo" if index == min(REFUSED, plan.campaigns - 1) else None,
        bounces_named=index % 4 != 2,
        late_bounces=index % 5 != 4,
    )


def _shares(total: int, weights: list[float]) -> list[int]:
    """Split ``total`` by weight into whole numbers of at least 1 that sum to it."""
    free, scale = total - len(weights), sum(weights)
    edges = [round(free * sum(weights[:i]) / scale) for i in range(len(weights) + 1)]
    return [high - low + 1 for low, high in pairwise(edges)]
