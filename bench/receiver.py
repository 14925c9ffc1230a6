"""What durability costs: the receiver beside itself without the disk, and beside django-anymail.

Every contender is a server of its own: gunicorn as ``loader serve`` configures it, same workers,
same threads, same machine. They are driven in turns, round after round, by one client in this
process, so that whatever else the machine does falls on all of them; the figures are medians of
the rounds, the ratios medians of the rounds' ratios.

    python bench/receiver.py [--seconds 3] [--rounds 5]
"""

import argparse
import base64
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from loader import server, writer  # noqa: E402
from loader.settings import load_settings  # noqa: E402
from tests.torture.client import Driven, Receiver, drive, event, signed  # noqa: E402

SLOW_DISK_SECONDS = 0.005
_ANYMAIL = ("anymail", "anymail WAL")
"""With SQLite's own journal, as Django leaves it, and with a write-ahead log, as tuned by hand."""
CONTENDERS = ("ceiling", "durable", "sync each", "durable +5 ms", "sync each +5 ms", *_ANYMAIL)
_AUTHORISATION = "bench:secret"


# ── the servers ──────────────────────────────────────────────────────────────────────────────


def serve(contender: str) -> None:
    """Be one contender, in a process of its own."""
    if contender.endswith("+5 ms"):
        sync = writer._sync
        writer._sync = lambda fd: (time.sleep(SLOW_DISK_SECONDS), sync(fd))[1]
    if contender == "ceiling":
        writer.Writer.append = lambda _self, _lines: None  # type: ignore[method-assign]
    elif contender.startswith("sync each"):
        writer.Writer.append = _sync_each  # type: ignore[method-assign]
    elif contender in _ANYMAIL:
        journal = "wal" if contender == "anymail WAL" else "delete"
        _prepare_anymail(Path(os.environ["LOADER_HOME"]), journal)
        server._Application.load = lambda _self: _anymail()  # type: ignore[method-assign]
    server.serve(load_settings(os.environ, Path.cwd()), "127.0.0.1", 0)


def _sync_each(appending: writer.Writer, lines: bytes) -> None:
    with appending._disk:
        appending._store(writer._Batch([lines], len(lines)))


def _prepare_anymail(home: Path, journal: str) -> None:
    _configure(home, journal)
    from django.db import connection  # noqa: PLC0415

    with connection.cursor() as cursor:
        cursor.execute(
            "create table if not exists event (id integer primary key, kind text, recipient text, "
            "message_id text, at text, raw text)"
        )


def _configure(home: Path, journal: str) -> None:
    import django  # noqa: PLC0415
    from django.conf import settings  # noqa: PLC0415

    settings.configure(
        SECRET_KEY="bench",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF="anymail.urls",
        INSTALLED_APPS=["anymail"],
        ANYMAIL={"WEBHOOK_SECRET": _AUTHORISATION},
        USE_TZ=True,
        LOGGING_CONFIG=None,
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": home / "events.sqlite3",
                "CONN_MAX_AGE": None,
                "OPTIONS": {
                    "transaction_mode": "IMMEDIATE",
                    "timeout": 30,
                    "init_command": f"pragma journal_mode={journal}; pragma synchronous=full;",
                },
            }
        },
    )
    django.setup()


def _anymail() -> Callable[..., Any]:
    from anymail.signals import tracking  # noqa: PLC0415
    from django.core.wsgi import get_wsgi_application  # noqa: PLC0415
    from django.db import connection, transaction  # noqa: PLC0415

    def save(sender: object, event: Any, esp_name: str, **_: object) -> None:
        row = (event.event_type, event.recipient, event.message_id, str(event.timestamp))
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                "insert into event (kind, recipient, message_id, at, raw) values (%s,%s,%s,%s,%s)",
                (*row, json.dumps(event.esp_event)),
            )

    tracking.connect(save, weak=False)
    return get_wsgi_application()


# ── the client ───────────────────────────────────────────────────────────────────────────────


def requests(contender: str) -> Iterator[tuple[str, bytes]]:
    """Give requests without end, made beforehand in small number: the client must be cheap."""
    make = _postmark if contender in _ANYMAIL else lambda name: signed(event(name))
    made = [make(str(number)) for number in range(500)]
    return ((str(number), made[number % len(made)]) for number in count())


def _postmark(name: str) -> bytes:
    body = (
        f'{{"RecordType": "Open", "FirstOpen": true, "MessageID": "{name}-4d7a-9bd8", '
        f'"Recipient": "{name}@example.com", "ReceivedAt": "2026-11-23T07:00:00Z", '
        '"Tag": "November", "MessageStream": "outbound", "UserAgent": "x", "Platform": "WebMail", '
        '"Metadata": {"campaign": "9d76d4b4-660f-422b-9437-282c31506f7f"}, "ServerID": 23}'
    ).encode()
    key = base64.b64encode(_AUTHORISATION.encode()).decode()
    head = (
        "POST /postmark/tracking/ HTTP/1.1\r\nHost: receiver\r\nContent-Type: application/json\r\n"
        f"Authorization: Basic {key}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def measure(seconds: float, rounds: int, home: Path) -> dict[tuple[str, int], list[Driven]]:
    """Drive every contender in turns; return what was seen by contender and connections."""
    seen: dict[tuple[str, int], list[Driven]] = {}
    with ExitStack() as stack:
        ports = {
            name: stack.enter_context(
                Receiver(
                    home / name.replace(" ", "-"),
                    command=[sys.executable, __file__, "--serve", name],
                )
            ).port
            for name in CONTENDERS
        }
        for turn in range(rounds + 1):
            for connections, names in ((1, CONTENDERS[:3]), (64, CONTENDERS)):
                for name in names:
                    driven = _drive(ports[name], connections, name, seconds if turn else 0.5)
                    if turn:  # the first round only warms up
                        seen.setdefault((name, connections), []).append(driven)
    return seen


def _drive(port: int, connections: int, name: str, seconds: float) -> Driven:
    driven = drive(lambda: port, connections, requests(name), seconds=seconds)
    assert set(driven.answers) == {200}, (name, driven.answers)
    return driven


# ── the table ────────────────────────────────────────────────────────────────────────────────


def report(seen: dict[tuple[str, int], list[Driven]]) -> list[str]:
    """Return the lines of the table."""

    def ratio(one: str, other: str, connections: int, of: Callable[[Driven], float]) -> float:
        pairs = zip(seen[one, connections], seen[other, connections], strict=True)
        return statistics.median(of(a) / of(b) for a, b in pairs)

    def rate(driven: Driven) -> float:
        return driven.rate

    def p99(driven: Driven) -> float:
        return driven.quantile(0.99)

    measures = [
        ("durable / ceiling, 64", ratio("durable", "ceiling", 64, rate), 0.70, 1),
        ("durable / ceiling, 1", ratio("durable", "ceiling", 1, rate), 0.45, 1),
        ("durable / sync each, both +5 ms, 64", ratio(*CONTENDERS[3:5], 64, rate), 8, 1),
        ("durable / django-anymail, 64", ratio("durable", "anymail", 64, rate), 3, 1),
        ("durable / django-anymail WAL, 64", ratio("durable", "anymail WAL", 64, rate), 3, 1),
        ("p99 durable / p99 ceiling, 64", ratio("durable", "ceiling", 64, p99), 2, -1),
    ]  # fmt: skip
    lines = ["| contender | connections | requests/s | p50 ms | p99 ms |", "|---|---|---|---|---|"]
    for (name, connections), rounds in seen.items():
        figures = [
            statistics.median(of(driven) for driven in rounds)
            for of in (rate, lambda one: one.quantile(0.5) * 1000, lambda one: p99(one) * 1000)
        ]
        shown = " | ".join(
            f"{figure:,.1f}" if figure < 100 else f"{figure:,.0f}" for figure in figures
        )
        lines.append(f"| {name} | {connections} | {shown} |")
    lines += ["", "| measure, connections | to reach | measured | |", "|---|---|---|---|"]
    for name, value, goal, sign in measures:
        bound = f"{'≥' if sign > 0 else '≤'} {goal:g}"
        reached = "reached" if value * sign >= goal * sign else "missed"
        lines.append(f"| {name} | {bound} | {value:.2f} | {reached} |")
    return lines


def main() -> None:
    """Measure and print, or be a contender."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--serve", metavar="CONTENDER", help=argparse.SUPPRESS)
    parser.add_argument("--port", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        serve(asked.serve)
        return
    with tempfile.TemporaryDirectory(prefix="bench-", dir=ROOT / "data") as home:
        seen = measure(asked.seconds, asked.rounds, Path(home))
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    print(f"{os.cpu_count()} cores, {time.strftime('%Y-%m-%d')}, commit {commit}, "
          f"{asked.rounds} rounds of {asked.seconds:g} s each")  # fmt: skip
    print("\n".join(report(seen)))


if __name__ == "__main__":
    main()
