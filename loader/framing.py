"""One signed body ↔ the spool line that keeps it, byte for byte; pure."""

import base64
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import orjson

Key = Literal["event", "events", "body", "body_base64"]

_FRAME = re.compile(
    rb'\{"received_at": "([^"]*)", "webhook": "([^"]*)", "signature": "([^"]*)", '
    rb'"(event|events|body|body_base64)": (.*)\}\n?',
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Framed:
    """A spool line taken apart: what ``frame`` was given."""

    received_at: str
    webhook: str
    signature: str
    key: Key
    body: bytes


def frame(
    received_at: datetime,
    webhook: str,
    signature: str,
    key: Literal["event", "events", "body"],
    body: bytes,
) -> bytes:
    """Return the spool line of one signed body, newline included.

    ``received_at`` is aware; ``key`` is what ``strict_json.form`` said. Under ``event`` and
    ``events`` the body stands byte for byte; under ``body`` as text, or, where it is not UTF-8,
    under ``body_base64``. ``unframe`` gives the body back byte for byte in every case.
    """
    name, value = (key, body) if key != "body" else _as_text(body)
    when = received_at.astimezone(UTC).isoformat(timespec="microseconds")[:-6]
    head = f'{{"received_at": "{when}Z", "webhook": "{webhook}", "signature": "{signature}", '
    return b'%s"%s": %s}\n' % (head.encode(), name.encode(), value)


def unframe(line: bytes) -> Framed | None:
    """Take a line made by ``frame`` apart; None when it was not made by it (a bare event)."""
    match = _FRAME.fullmatch(line)
    if match is None:
        return None
    when, webhook, signature, name = (
        part.decode("utf-8", "replace") for part in match.groups()[:4]
    )
    try:
        body = _from_text(name, match[5])
    except ValueError:
        return None
    return Framed(when, webhook, signature, name, body)  # type: ignore[arg-type]


def _as_text(body: bytes) -> tuple[str, bytes]:
    try:
        return "body", orjson.dumps(body.decode("utf-8"))
    except UnicodeDecodeError:
        return "body_base64", orjson.dumps(base64.b64encode(body).decode("ascii"))


def _from_text(name: str, value: bytes) -> bytes:
    if name == "body":
        return str(orjson.loads(value)).encode()
    return base64.b64decode(orjson.loads(value), validate=True) if name == "body_base64" else value
