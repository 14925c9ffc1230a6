"""Promises of the simulator: the same bytes again, believable rates, real signatures."""

import statistics
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from threading import Thread
from typing import Any

import orjson
import pytest
import zstandard

from loader import signature, spool
from loader.assets import asset
from loader.errors import LoaderError, SettingsError
from loader.framing import unframe
from loader.posting import to_url
from loader.scenario import FIRST_SEND, Plan, campaigns, usual_start
from loader.settings import Settings, load_settings
from loader.simulate import bodies, to_spool
from loader.strict_json import check

SECRET = "simulated-secret"
SMALL = Plan(campaigns=5, messages=600, seed=3)


def settings_of(home: Path, secret: str = SECRET) -> Settings:
    """Settings of a home with one webhook."""
    return load_settings({"LOADER_HOME": str(home), "LOADER_SECRETS": secret}, home)


def written(home: Path) -> dict[str, bytes]:
    """The spool of a home: segment names and bytes."""
    found = spool.list_segments(home / "spool")
    return {one.name: spool.read_block(one, 0, 2**31) for one in found}


class World:
    """One plan played out, with its events ordered by kind and by message."""

    def __init__(self, plan: Plan) -> None:
        """Play the plan."""
        self.stream = list(bodies(plan))
        self.lines = [body for _, body in self.stream]
        self.events = [orjson.loads(body) for body in dict.fromkeys(self.lines)][1:]
        self.kind: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for event in self.events:
            event["at"] = datetime.fromisoformat(event["timestamp"])
            event["key"] = event["message_id"].strip("<>").partition("@")[0]
            event["domain"] = event["recipient"].partition("@")[2].lower()
            self.kind[event["kind"]].append(event)
        self.delivered = {event["key"]: event for event in self.kind["delivered"]}

    def share(self, kind: str, **where: str) -> float:
        """Share of delivered messages that an event of the kind reached."""
        mine = {key for key, e in self.delivered.items() if e.items() >= where.items()}
        return len(mine & {event["key"] for event in self.kind[kind]}) / len(mine)


@pytest.fixture(scope="module")
def world() -> World:
    """Twelve campaigns, sixty thousand messages."""
    return World(Plan(campaigns=12, messages=60_000, seed=1))


def test_the_same_plan_gives_the_same_events_at_the_same_times() -> None:
    """A plan is all there is to know: every arrival and every byte follow from it."""
    once = list(bodies(SMALL))

    assert once == list(bodies(SMALL))
    assert [body for _, body in once] != [body for _, body in bodies(replace(SMALL, seed=4))]


def test_the_same_plan_writes_the_same_spool(tmp_path: Path) -> None:
    """Two empty homes receive the same segments, names and signatures included."""
    for name in ("one", "two"):
        to_spool(SMALL, settings_of(tmp_path / name))

    assert written(tmp_path / "one")
    assert written(tmp_path / "one") == written(tmp_path / "two")


def test_done_twice_the_traffic_comes_twice(tmp_path: Path) -> None:
    """A second run adds the same lines again, as a provider that resends everything would."""
    settings = settings_of(tmp_path)
    counts = [to_spool(SMALL, settings), to_spool(SMALL, settings)]

    first, second = written(tmp_path).values()
    assert first == second
    assert counts == [first.count(b"\n")] * 2


def test_the_sample_is_what_its_command_writes(tmp_path: Path) -> None:
    """The committed sample can be made again, byte for byte, as its README says."""
    to_spool(Plan(campaigns=12, messages=8_000, seed=1), settings_of(tmp_path))
    packed = (asset("sample") / "sample.jsonl.zst").read_bytes()

    assert len(packed) < 1_500_000
    sample = zstandard.ZstdDecompressor().stream_reader(packed).read()
    assert sample == b"".join(written(tmp_path).values())


def test_every_line_is_the_receivers_and_its_signature_verifies(tmp_path: Path) -> None:
    """A simulated line unframes to the body that was signed, and the body is strict JSON."""
    to_spool(SMALL, settings_of(tmp_path, f"{SECRET} an-older-secret"))
    lines = b"".join(written(tmp_path).values()).splitlines(keepends=True)
    framed = [unframe(line) for line in lines]

    assert [one.body for one in framed if one] == [body for _, body in bodies(SMALL)]
    for one in framed:
        assert one is not None
        assert signature.verify(one.body, [one.signature], [SECRET]) == one.signature
        check(one.body)


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (3, 10), (12, 12), (40, 2000)])
def test_each_message_is_delivered_or_bounces(size: tuple[int, int]) -> None:
    """The messages asked for are all attempted, whatever their number and the campaigns'."""
    events = [orjson.loads(body) for _, body in bodies(Plan(*size, seed=9))]
    met = {e["message_id"] for e in events if e["kind"] in {"delivered", "bounce"}}

    assert len(met) == size[1]


def test_events_come_in_the_order_of_their_arrival(world: World) -> None:
    """The stream is ordered by when it is received, while what happened is out of order."""
    arrivals = [moment for moment, _ in world.stream]
    happened = [orjson.loads(body)["timestamp"] for body in world.lines]

    assert arrivals == sorted(arrivals)
    assert 0.05 < sum(a > b for a, b in pairwise(happened)) / len(happened) < 0.5


def test_nothing_arrives_before_it_happened_and_some_comes_hours_late(world: World) -> None:
    """Most events are received within seconds, about one in fifty by hours later."""
    waits = [
        (moment - datetime.fromisoformat(orjson.loads(body)["timestamp"])).total_seconds()
        for moment, body in world.stream
    ]

    assert min(waits) >= 0
    assert statistics.median(waits) < 5
    assert 0.01 < sum(wait > 600 for wait in waits) / len(waits) < 0.04


def test_the_provider_sends_some_events_twice(world: World) -> None:
    """About one event in a hundred comes again, byte for byte."""
    again = len(world.lines) - len(set(world.lines))

    assert 0.005 < again / len(world.lines) < 0.03


def test_the_kinds_have_the_fields_of_the_guide(world: World) -> None:
    """Every payload has exactly the keys that the provider's guide shows for its kind."""
    common = {"kind", "recipient", "message_id", "timestamp"}
    ours = {"at", "key", "domain"}
    shapes = {kind: {frozenset(e.keys() - ours) for e in world.kind[kind]} for kind in world.kind}
    tracked = common | {"sender", "campaign"}
    bounce = common | {"sender", "sync_type", "dsn_status", "bounce_category", "bounce_type"}

    assert shapes == {
        "delivered": {frozenset(tracked)},
        "open": {frozenset(tracked)},
        "click": {frozenset(tracked | {"url"})},
        "bounce": {frozenset(common), frozenset(bounce), frozenset(bounce | {"campaign"})},
        "subscription_changed": {frozenset(tracked | {"change", "contact_list"})},
        "complaint": {frozenset(tracked | {"feedback_type"})},
    }


def test_the_first_event_is_the_test_button(world: World) -> None:
    """Whoever sets up a webhook presses its test button, whose payload is no event."""
    assert orjson.loads(world.lines[0])["kind"] == "test"


def test_rates_are_those_of_ordinary_campaigns(world: World) -> None:
    """Deliveries, opens, clicks and unsubscribes lie where senders report them."""
    tracked = {k: e for k, e in world.delivered.items() if "Receipts" not in e["campaign"]["name"]}
    bounced = {event["key"] for event in world.kind["bounce"]}

    def share(kind: str) -> float:
        return len({e["key"] for e in world.kind[kind]} & tracked.keys()) / len(tracked)

    assert 0.95 < len(world.delivered.keys() - bounced) / 60_000 < 0.99
    assert 0.25 < share("open") < 0.40
    assert 0.02 < share("click") < 0.06
    assert 0.001 < share("subscription_changed") < 0.004
    assert 0 < share("complaint") < 0.001


def test_mailbox_providers_differ(world: World) -> None:
    """Apple's programs fetch images for most of their people; Libero's people read least."""
    rate = {
        domain: sum(1 for k, e in world.delivered.items() if e["domain"] == domain and k in opened)
        / sum(1 for e in world.delivered.values() if e["domain"] == domain)
        for opened in [{event["key"] for event in world.kind["open"]}]
        for domain in ("icloud.com", "gmail.com", "libero.it")
    }

    assert rate["icloud.com"] > 0.55
    assert 0.4 > rate["gmail.com"] > rate["libero.it"] + 0.05


def test_one_campaign_is_refused_by_yahoo(world: World) -> None:
    """Of one campaign more than half of Yahoo's messages are blocked, elsewhere hardly any."""
    blocked = Counter(
        event["campaign"]["name"]
        for event in world.kind["bounce"]
        if event["domain"] in {"yahoo.com", "aol.com"}
        and event.get("bounce_category") == "spam-related"
        and "campaign" in event
    )
    (name, most), (_, next_most) = blocked.most_common(2)
    accepted = sum(
        event["campaign"]["name"] == name and event["domain"] in {"yahoo.com", "aol.com"}
        for event in world.delivered.values()
    )

    assert most > accepted
    assert next_most < most / 10


def test_opens_decay_over_days_and_follow_the_sun(world: World) -> None:
    """Half of all opens come within hours, nearly all within three days, few of them by night."""
    ages = sorted(
        (event["at"] - world.delivered[event["key"]]["at"]) / timedelta(hours=1)
        for event in world.kind["open"]
        if event["key"] in world.delivered
    )
    by_hour = Counter(event["at"].hour for event in world.kind["open"])

    assert 1 < ages[len(ages) // 2] < 12
    assert 0.85 < sum(age < 72 for age in ages) / len(ages) < 0.98
    assert (
        sum(by_hour[hour] for hour in (1, 2, 3)) < sum(by_hour[hour] for hour in (12, 13, 14)) / 5
    )


def bursts(world: World) -> Iterator[tuple[float, list[dict[str, Any]]]]:
    """Yield (seconds since delivery, clicks) where a message's clicks begin with three urls."""
    clicks = defaultdict(list)
    for event in world.kind["click"]:
        clicks[event["key"]].append(event)
    for key, mine in clicks.items():
        mine.sort(key=lambda event: event["at"])
        burst = [e for e in mine if e["at"] - mine[0]["at"] <= timedelta(seconds=2)]
        if len({event["url"] for event in burst}) >= 3:
            yield (mine[0]["at"] - world.delivered[key]["at"]).total_seconds(), burst


def test_scanners_click_every_link_within_two_seconds(world: World) -> None:
    """A burst takes in all links, and begins 20 to 60 seconds after delivery, as measured."""
    found = list(bursts(world))
    begun = [seconds for seconds, _ in found]

    assert len(found) > 300
    assert 0.55 < sum(19 <= seconds <= 61 for seconds in begun) / len(begun) < 0.75
    assert sum(seconds < 10 for seconds in begun) / len(begun) < 0.03
    assert statistics.median(len({e["url"] for e in burst}) for _, burst in found) >= 4


def test_people_click_after_their_open(world: World) -> None:
    """Outside bursts most clicked messages were opened before their first click."""
    machines = {burst[0]["key"] for _, burst in bursts(world)}
    first_open: dict[str, datetime] = {}
    for event in sorted(world.kind["open"], key=lambda event: event["at"], reverse=True):
        first_open[event["key"]] = event["at"]
    first_click: dict[str, datetime] = {}
    for event in sorted(world.kind["click"], key=lambda event: event["at"], reverse=True):
        first_click[event["key"]] = event["at"]
    people = first_click.keys() - machines
    after = [key for key in people if key in first_open and first_open[key] <= first_click[key]]

    assert 0.7 < len(after) / len(people) < 0.98


def test_async_bounces_follow_their_delivery_by_hours_and_name_no_campaign(world: World) -> None:
    """An async bounce belongs to a delivered message and carries no campaign, as in the guide."""
    late = [event for event in world.kind["bounce"] if event.get("sync_type") == "async"]
    ages = [(event["at"] - world.delivered[event["key"]]["at"]).total_seconds() for event in late]

    assert len(late) > 30
    assert min(ages) >= 0
    assert 3600 < statistics.median(ages) < 12 * 3600
    assert not any("campaign" in event for event in late)


def test_a_renamed_campaign_keeps_its_id(world: World) -> None:
    """Exactly one campaign has two names; every other id has one."""
    names = defaultdict(set)
    for event in world.events:
        if "campaign" in event:
            names[event["campaign"]["id"]].add(event["campaign"]["name"])

    assert sorted(len(found) for found in names.values()) == [1] * 11 + [2]


def test_names_hold_what_breaks_pages() -> None:
    """Names come in Japanese, with quotes, ampersands and brackets, and 80 characters long."""
    names = {orjson.loads(b).get("campaign", {}).get("name", "") for _, b in bodies(Plan(12, 600))}

    assert any("セール" in name for name in names)
    assert any('"' in name and "&" in name and "<" in name for name in names)
    assert max(len(name) for name in names) == 80


def test_one_campaign_is_not_tracked(world: World) -> None:
    """One campaign has deliveries and nothing else, so that its open rate is unknown."""
    sent = {event["campaign"]["id"] for event in world.kind["delivered"]}
    tracked = {event["campaign"]["id"] for kind in ("open", "click") for event in world.kind[kind]}

    assert len(sent - tracked) == 1


def test_some_opens_match_no_message(world: World) -> None:
    """A few opens carry an id nobody sent, of people who were mailed and of strangers."""
    strays = [event for event in world.kind["open"] if event["key"] not in world.delivered]
    mailed = {event["recipient"] for event in world.delivered.values()}
    known = sum(event["recipient"] in mailed for event in strays)

    assert 0 < known < len(strays) < len(world.kind["open"]) / 100


def test_people_are_mailed_again_and_leave(world: World) -> None:
    """Most people get several campaigns; who unsubscribed is mailed no more, save who came back."""
    mails = Counter(event["recipient"] for event in world.delivered.values())
    left = {e["recipient"]: e["at"] for e in world.kind["subscription_changed"]
            if e["change"] == "unsubscribe"}  # fmt: skip
    mailed_after = sum(
        event["at"] > left[event["recipient"]] + timedelta(days=10)
        for event in world.delivered.values()
        if event["recipient"] in left
    )
    changes = Counter(event["change"] for event in world.kind["subscription_changed"])

    assert 3 < statistics.mean(mails.values()) < 9
    assert mailed_after == 0
    assert changes["unsubscribe"] > changes["resubscribe"] > 0


def test_no_address_can_be_anyones(world: World) -> None:
    """Every recipient's local part begins with an underscore and says what it is."""
    starts = {event["recipient"][:4].lower() for event in world.events}

    assert starts == {"_sim", "_fwd"}


def test_what_has_not_happened_yet_is_left_out() -> None:
    """With an end the stream is the beginning of the stream without one."""
    until = SMALL.start + timedelta(days=4)
    part = list(bodies(replace(SMALL, until=until)))
    whole = list(bodies(SMALL))

    assert 0 < len(part) < len(whole)
    assert part == [one for one in whole if one[0] <= until]


def test_another_start_moves_everything() -> None:
    """The start is an argument: a day later, the same people do the same things."""
    later = replace(SMALL, start=SMALL.start + timedelta(days=7))
    first, second = bodies(SMALL), bodies(later)

    next(first), next(second)
    assert next(second)[0] - next(first)[0] == timedelta(days=7)


@pytest.mark.parametrize("many", [1, 12, 40, 365])
def test_by_default_all_is_over(many: int) -> None:
    """However many campaigns are sent, the last of them is in September 2026, or before."""
    last = campaigns(Plan(many, 1000, start=usual_start(many)))[-1]

    assert usual_start(many) <= FIRST_SEND
    assert FIRST_SEND <= last.sent_at < datetime(2026, 10, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "wrong",
    [
        {"campaigns": 0},
        {"messages": 2},
        {"start": datetime(2026, 1, 1)},
        {"until": datetime(2026, 1, 1, tzinfo=UTC)},
    ],
)
def test_a_plan_that_cannot_be_played_is_refused(wrong: dict[str, Any]) -> None:
    """No campaign, fewer messages than campaigns or an impossible time is one clear sentence."""
    with pytest.raises(LoaderError):
        replace(SMALL, **wrong)


def test_a_spool_needs_a_secret(tmp_path: Path) -> None:
    """Without a secret nothing can be signed, and nothing is written."""
    with pytest.raises(SettingsError, match="LOADER_SECRETS"):
        to_spool(SMALL, load_settings({"LOADER_HOME": str(tmp_path)}, tmp_path))

    assert not (tmp_path / "spool").exists()


# ── posting ──────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[str]:
    """The real receiver in a process of its own; yields its address."""
    environ = {"LOADER_HOME": str(tmp_path), "LOADER_SECRETS": SECRET, "LOADER_API_KEY": "X-Key: k"}
    code = (
        "import sys; from pathlib import Path; from loader.settings import load_settings; "
        "from loader.server import serve; "
        f"serve(load_settings({environ!r}, Path({str(tmp_path)!r})), '127.0.0.1', 0)"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    yield child.stdout.readline().split()[-1]
    child.terminate()
    child.wait(60)


def test_what_is_posted_is_in_the_receivers_spool(receiver: str, tmp_path: Path) -> None:
    """Every event is answered 2xx by the real receiver and stands in its spool, byte for byte."""
    seen: list[tuple[int, float]] = []
    posted = to_url(
        SMALL,
        f"{receiver}/webhooks/inboxroad",
        SECRET,
        ("X-Key", "k"),
        lambda done, share: seen.append((done, share)),
    )
    lines = b"".join(written(tmp_path).values()).splitlines(keepends=True)
    kept = [framed.body for line in lines if (framed := unframe(line))]

    assert posted == len(kept)
    assert Counter(kept) == Counter(body for _, body in bodies(SMALL))
    assert seen[-1] == (posted, 1.0)
    assert len(seen) > 10


@pytest.mark.parametrize(
    ("secret", "key", "status"),
    [("another-secret", ("X-Key", "k"), "401"), (SECRET, ("X-Key", "wrong"), "403")],
)
def test_a_refusal_is_one_sentence(
    receiver: str, secret: str, key: tuple[str, str], status: str
) -> None:
    """A wrong secret or API key stops the run and says what to set, without telling either."""
    with pytest.raises(LoaderError, match=status) as met:
        to_url(SMALL, f"{receiver}/webhooks/inboxroad", secret, key)

    assert secret not in str(met.value)
    assert "wrong" not in str(met.value)


class Stubborn(BaseHTTPRequestHandler):
    """Answers the first requests 503 or hangs up, as a receiver with a full disk would."""

    protocol_version = "HTTP/1.1"
    kept: list[bytes]
    asked: int

    def do_POST(self) -> None:
        """Keep every third body, refuse one, drop one."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server: Any = self.server
        server.asked += 1
        if server.asked % 3 == 0:
            self.close_connection = True
            return
        if server.asked % 3 == 2:
            server.kept.append(body)
        self.send_response(503 if server.asked % 3 == 1 else 200)
        self.send_header("Retry-After", "0")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def test_what_was_not_stored_is_posted_again() -> None:
    """After a 503 or a lost connection the event is sent until it is answered 2xx."""
    plan = Plan(campaigns=1, messages=5, seed=3)
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Stubborn)
    server.kept, server.asked = [], 0
    Thread(target=server.serve_forever, daemon=True).start()

    posted = to_url(plan, f"http://127.0.0.1:{server.server_port}/", SECRET, connections=1)
    server.shutdown()
    server.server_close()
    assert Counter(server.kept) == Counter(body for _, body in bodies(plan))
    assert server.asked > 2 * posted


@pytest.mark.parametrize("url", ["", "ftp://x/", "http://", "http://h:x/", "http://a..b/", "h:80"])
def test_what_is_no_address_is_refused(url: str) -> None:
    """An address that cannot be posted to is one clear sentence, before anything is sent."""
    with pytest.raises(LoaderError, match="no address"):
        to_url(SMALL, url, SECRET)


def test_a_receiver_that_is_not_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listening ends the run with what to do, after a few attempts."""
    monkeypatch.setattr("loader.posting.START_SECONDS", 0.5)
    with pytest.raises(LoaderError, match="cannot be reached"):
        to_url(SMALL, "http://127.0.0.1:9/", SECRET)
