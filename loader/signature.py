"""Body and secret → ``X-Signature``, and back to a verdict; pure."""

import base64
import hmac
from collections.abc import Sequence

HEADER = "X-Signature"


def sign(body: bytes, secret: str) -> str:
    """Return ``Base64(HMAC-SHA256(body, secret))``, the value of the ``X-Signature`` header."""
    return base64.b64encode(hmac.digest(secret.encode(), body, "sha256")).decode("ascii")


def verify(body: bytes, header_values: Sequence[str | bytes], secrets: Sequence[str]) -> str | None:
    """Return the value that verifies ``body`` under one of the ``secrets``, or None.

    A header value may hold several signatures joined by commas; one that verifies is enough.
    The encoded text is compared, byte for byte: base64 can be written in more than one way, and
    only the way ``sign`` writes it passes. An empty secret verifies nothing. The time taken
    depends on the sizes and counts of what is given, not on whether or where it verifies.
    """
    offered = [value for values in header_values for value in _encoded(values).split(b",")]
    found: str | None = None
    for secret in secrets:
        expected = sign(body, secret)
        # compare_digest on bytes: on text it raises for anything beyond ASCII.
        matches = [hmac.compare_digest(expected.encode(), value.strip()) for value in offered]
        if any(matches) and secret:
            found = expected
    return found


def _encoded(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")
