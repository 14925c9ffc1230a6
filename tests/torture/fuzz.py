"""Mutated bodies, rightly signed, and mutated headers, straight into the application.

No answer is a 5xx; every signed body is answered 200 and stands in the spool, byte for byte, in a
line that two JSON readers read alike; nothing else stands there. The loader finds in each line
exactly as many events, to load or to set aside, as the receiver counted.
"""

import io
import json
import logging
import random
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson

from loader.events import Refused, read_line
from loader.framing import unframe
from loader.receiver import create_app
from loader.settings import load_settings
from loader.signature import sign
from loader.strict_json import form
from loader.writer import Writer
from tests.provider import lines_of
from tests.torture.client import SECRETS, event
from tests.torture.crash import memory

_PIECES = [
    b'"',
    b"\\",
    b"\\ud800",
    b"\\u0000",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"\n",
    b"\r",
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b"NaN",
    b"1e999",
    b"9" * 30,
    b"null",
    b'"kind": "click", ',
    b"\xe2\x80\xa8",
    b"\xf0\x9f\x98\x80",
    b"[" * 100,
]
_SEEDS = [
    event("fuzz"),
    b"[" + event("one") + b", " + event("two") + b"]",
    b"[]",
    b"{}",
    b"null",
    b"",
    b'{"kind": "delivered", "campaign": {"id": null, "name": "\xc3\xa9"}, "n": -0.0}',
]
_HEADERS = ["HTTP_X_SIGNATURE", "CONTENT_LENGTH", "HTTP_CONTENT_ENCODING", "HTTP_X_API_KEY"]


@dataclass
class Fuzzed:
    """What came of it."""

    requests: int
    answers: dict[int, int]
    stored: int
    vanished: int
    """Bodies that were answered 200 and do not stand in the spool byte for byte, in order."""
    unread: int
    """Lines that a JSON reader cannot read, or that two read differently."""
    miscounted: int
    """Lines in which the loader finds more or fewer events than the receiver counted."""

    def __add__(self, other: "Fuzzed") -> "Fuzzed":
        """Return the sums."""
        return Fuzzed(
            self.requests + other.requests,
            dict(Counter(self.answers) + Counter(other.answers)),
            self.stored + other.stored,
            self.vanished + other.vanished,
            self.unread + other.unread,
            self.miscounted + other.miscounted,
        )


def bodies(number: int, seed: int) -> Fuzzed:
    """Post ``number`` mutated bodies with right signatures."""
    random_ = random.Random(seed)

    def made() -> Iterator[tuple[bytes, dict[str, str]]]:
        for _ in range(number):
            body = mutate(random_.choice(_SEEDS), random_)
            yield body, {"HTTP_X_SIGNATURE": sign(body, SECRETS[random_.randrange(2)])}

    return _post(made())


def headers(number: int, seed: int) -> Fuzzed:
    """Post bodies with mutated headers, ``number`` times; now and then they still verify."""
    random_ = random.Random(seed)

    def made() -> Iterator[tuple[bytes, dict[str, str]]]:
        for _ in range(number):
            body = random_.choice(_SEEDS)
            right = {"HTTP_X_SIGNATURE": sign(body, SECRETS[0]), "CONTENT_LENGTH": str(len(body))}
            for name in random_.sample(_HEADERS, random_.randint(1, 2)):
                changed = mutate(right.get(name, "").encode("latin-1"), random_)
                right[name] = changed.replace(b"\n", b"").decode("latin-1")
            yield body, right

    return _post(made())


def mutate(data: bytes, random_: random.Random) -> bytes:
    """Return ``data`` with up to three changes."""
    text = bytearray(data)
    for _ in range(random_.randint(0, 3)):
        at = random_.randrange(len(text) + 1)
        match random_.randrange(4):
            case 0:
                text[at:at] = random_.choice(_PIECES)
            case 1:
                text[at : at + 1] = bytes([random_.randrange(256)])
            case 2:
                del text[at : at + random_.randint(1, 12)]
            case _:
                text[at:at] = text[max(0, at - random_.randint(1, 40)) : at]
    return bytes(text)


def _post(made: Iterator[tuple[bytes, dict[str, str]]]) -> Fuzzed:
    answers: Counter[int] = Counter()
    # In memory where there is some: what a sync costs is not the question here.
    with tempfile.TemporaryDirectory(dir=memory()) as home:
        environ = {"LOADER_HOME": home, "LOADER_SECRETS": " ".join(SECRETS)}
        settings = load_settings(environ, Path(home))
        with Writer(settings.spool, reserve_bytes=0) as writer:
            app = create_app(settings, writer)
            logging.disable(logging.ERROR)  # it refuses a great deal here
            kept = [body for body, sent in made if _ask(app, body, sent, answers) == 200]
            logging.disable(logging.NOTSET)
        lines = list(lines_of(settings.spool))
    framed = [unframe(line) for line in lines]
    vanished = sum(
        one is None or one.body != body for one, body in zip(framed, kept, strict=False)
    ) + abs(len(lines) - len(kept))
    unread = sum(not _reads_alike(line) for line in lines)
    miscounted = sum(_miscounted(line, body) for line, body in zip(lines, kept, strict=False))
    return Fuzzed(answers.total(), dict(answers), len(lines), vanished, unread, miscounted)


def _miscounted(line: bytes, body: bytes) -> bool:
    counted = form(body)
    found = list(read_line(line.removesuffix(b"\n")))
    if counted.reason is not None:  # kept whole, to be set aside
        return [type(one) for one in found] != [Refused]
    return len(found) != counted.events


def _ask(app: object, body: bytes, sent: dict[str, str], answers: Counter[int]) -> int:
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/webhooks/inboxroad",
        "SERVER_NAME": "receiver",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "CONTENT_LENGTH": str(len(body)),
        **sent,
    }
    status: list[int] = []

    def start(text: str, _headers: object, _error: object = None) -> None:
        status.append(int(text[:3]))

    answer = b"".join(app(environ, start))  # type: ignore[operator]
    assert isinstance(json.loads(answer), dict)
    answers[status[0]] += 1
    return status[0]


def _reads_alike(line: bytes) -> bool:
    try:
        return json.dumps(json.loads(line)) == json.dumps(orjson.loads(line))
    except ValueError:
        return False
