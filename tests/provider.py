"""The provider's payloads, from its guide, repaired by hand into valid JSON; and spool lines."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from loader.settings import Settings, load_settings
from loader.spool import list_segments, read_block

MESSAGE = "335026fa-0b4d-4fb3-a92c-8193ac2636b8"
CAMPAIGN = {"id": "9d76d4b4-660f-422b-9437-282c31506f7f", "name": "September campaign"}

DELIVERED = {
    "kind": "delivered",
    "sender": "sender@example.com",
    "recipient": "user@example.com",
    "message_id": f"<{MESSAGE}@example.com>",
    "timestamp": "2025-09-04T10:00:00Z",
    "campaign": CAMPAIGN,
}
OPEN = {
    "kind": "open",
    "sender": "user@sender.com",
    "recipient": "user@example.com",
    "message_id": "48b6240d-cd8b-4d45-b4cb-684f99032103",
    "timestamp": "2025-09-04T10:00:00Z",
    "campaign": CAMPAIGN,
}
CLICK = {
    "kind": "click",
    "sender": "user@sender.com",
    "recipient": "user@example.com",
    "url": "https://someurl.com",
    "message_id": "48b6240d-cd8b-4d45-b4cb-684f99032103",
    "timestamp": "2025-09-04T10:00:00Z",
    "campaign": CAMPAIGN,
}
BOUNCE = {
    "kind": "bounce",
    "sync_type": "async",
    "sender": "sender@example.com",
    "recipient": "user@example.com",
    "dsn_status": "4.4.7 (delivery time expired)",
    "bounce_category": "message-expired",
    "bounce_type": "expired",
    "message_id": "<…@example.com>",
    "timestamp": "2025-09-04T10:00:00Z",
}
SHORT_BOUNCE = {
    "kind": "bounce",
    "recipient": "user@example.com",
    "timestamp": "2025-09-04T10:00:00Z",
    "message_id": "<…@example.com>",
}
SUBSCRIPTION_CHANGED = {
    "kind": "subscription_changed",
    "change": "unsubscribe",
    "sender": "user@sender.com",
    "recipient": "user@example.com",
    "message_id": "59d619ca-d402-4865-a333-d5a5c5cdb30c",
    "timestamp": "2025-09-04T10:00:00Z",
    "campaign": CAMPAIGN,
    "contact_list": {"id": "59d619ca-d402-4865-a333-d5a5c5cdb30c", "name": "Main List"},
}


def line(event: Any, received_at: str = "2026-11-23T07:00:00.123456Z", key: str = "event") -> bytes:
    """A spool line as the receiver frames it, newline included."""
    body = json.dumps(event, separators=(",", ":"), ensure_ascii=False)
    return (
        f'{{"received_at": "{received_at}", "webhook": "inboxroad", "signature": "c2lnbmVk", '
        f'"{key}": {body}}}\n'
    ).encode()


def bare(event: Any) -> bytes:
    """A bare event, as files from elsewhere hold them, newline included."""
    return json.dumps(event).encode() + b"\n"


def home(path: Path) -> Settings:
    """Settings whose home is ``path``, with an empty spool in it."""
    (path / "spool").mkdir(parents=True, exist_ok=True)
    return load_settings({"LOADER_HOME": str(path)}, path)


def drop(settings: Settings, name: str, *lines: bytes) -> Path:
    """Append lines to the file ``name`` of the spool."""
    path = settings.spool / name
    with path.open("ab") as file:
        file.write(b"".join(lines))
    return path


def lines_of(spool: Path) -> Iterator[bytes]:
    """The lines of a spool, each with its newline, as a reader is given them."""
    for segment in list_segments(spool):
        offset = 0
        while block := read_block(segment, offset, 8 << 20):
            offset += len(block)
            # Not splitlines: a JSON line ends at a newline only.
            yield from (line + b"\n" for line in block.split(b"\n")[:-1])


def large(number: int) -> dict[str, Any]:
    """An event of a kind nobody knows yet, with a text of 64 kB that does not compress."""
    return DELIVERED | {"kind": "inbound", "text": random.Random(number).randbytes(32_000).hex()}
