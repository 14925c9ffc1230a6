"""HTTP → spool: a signed body is on disk before it is answered with 200.

The application knows no database and no business rule. It verifies the signature over the exact
bytes, frames a spool line, appends, and answers.
"""

import logging
import secrets
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from hmac import compare_digest
from ipaddress import ip_address
from typing import IO, Any

import orjson
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from loader.errors import SpoolError
from loader.framing import frame
from loader.metrics import Metrics
from loader.notices import Notices
from loader.settings import Settings, Webhook, refuse_without_secrets
from loader.signature import HEADER, verify
from loader.strict_json import form
from loader.writer import Writer

RETRY_AFTER_SECONDS = 5
_REST, _PIECE = 8 * 2**20, 2**16
"""Bytes of a refused body that are taken all the same, and at a time."""
_FORWARDED = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP", "HTTP_VIA")
_log = logging.getLogger("loader.receiver")


class Refusal(Exception):
    """A request that is not stored; ``str(refusal)`` is the sentence of the answer."""

    def __init__(self, status: int, sentence: str) -> None:  # noqa: D107
        super().__init__(sentence)
        self.status = status


def create_app(
    settings: Settings,
    writer: Writer,
    *,
    metrics: Metrics | None = None,
    clock: Callable[[], float] = time.time,
    draining: Callable[[], bool] = lambda: False,
) -> Flask:
    """Return the WSGI application that appends to ``writer``.

    ``clock`` gives seconds since 1970. ``draining`` says whether the process is about to stop, so
    that ``/healthz`` sends traffic elsewhere. Raises ``SettingsError`` when a webhook has no
    secret, or there is no webhook.
    """
    refuse_without_secrets(settings)
    counted = metrics or Metrics()
    door = _Door(settings)
    notices = Notices(clock)
    app = Flask(__name__, static_folder=None)
    app.url_map.merge_slashes = False
    app.url_map.strict_slashes = True

    @app.post("/webhooks/<name>", provide_automatic_options=False)
    def webhook(name: str) -> Response:
        body, signature = door.admit(name, request.environ)
        verdict = form(body)
        now = datetime.fromtimestamp(clock(), UTC)
        writer.append(frame(now, name, signature, verdict.key, body))
        counted.accepted(verdict.events)
        counted.answered(200)
        if verdict.reason is None:
            return _json(200, {"accepted": verdict.events})
        return _json(200, {"accepted": 0, "kept": 1, "reason": verdict.reason})

    @app.get("/healthz", provide_automatic_options=False)
    def healthz() -> Response:
        if draining():
            raise SpoolError("the receiver is shutting down.")
        writer.ready()
        return _json(200, {"status": "ok"})

    @app.get("/metrics", provide_automatic_options=False)
    def metrics_text() -> Response:
        if not (settings.metrics_public or _is_local(request.environ)):
            raise Refusal(404, "there is nothing here.")
        return Response(counted.render(settings.spool), content_type="text/plain; version=0.0.4")

    @app.errorhandler(Exception)
    def answer(error: Exception) -> Response:
        refusal = _refusal(error)
        _take_the_rest(request.environ)
        if request.path.startswith("/webhooks/"):
            counted.answered(refusal.status)
            _tell(refusal, notices.due(refusal.status))
        return _json(refusal.status, {"error": str(refusal)}, _headers(refusal, error))

    return app


def _tell(refusal: Refusal, count: int) -> None:
    """Log a refusal, and how many of its kind there were since the last line of it."""
    if count:
        level = logging.ERROR if refusal.status >= 500 else logging.WARNING
        _log.log(level, "refused %d with %d: %s", count, refusal.status, refusal)


class _Door:
    """Admits a request or raises ``Refusal``.

    For a name that no webhook has, the same work is done with secrets that nobody knows, as many
    as the webhook with the most has: neither the answer nor the time tells which names exist.
    """

    def __init__(self, settings: Settings) -> None:
        self._webhooks = settings.webhooks
        self._limit = settings.max_body_bytes
        most = max(len(webhook.secrets) for webhook in settings.webhooks.values())
        self._decoys = tuple(secrets.token_hex(32) for _ in range(most))

    def admit(self, name: str, environ: dict[str, Any]) -> tuple[bytes, str]:
        """Return the body and the signature that verified it."""
        body = _read_body(environ, self._limit)
        webhook = self._webhooks.get(name)
        known = webhook.secrets if webhook else ()
        candidates = known + self._decoys[len(known) :]
        signature = verify(body, [_header(environ, HEADER)], candidates)
        if signature is None or webhook is None:
            raise Refusal(401, f"{HEADER} does not verify this body under an active secret.")
        _check_api_key(webhook, environ)
        return body, signature


def _read_body(environ: dict[str, Any], limit: int) -> bytes:
    """Read the whole body, but never more than ``limit`` bytes and one.

    Werkzeug's own limit truncates a chunked body in silence, so the stream is read directly.
    """
    if not _is_plain(environ):
        raise Refusal(415, "a body that is compressed or encoded is not read: send it as it is.")
    declared = _declared_length(environ)
    too_large = Refusal(413, f"the body is larger than {limit} bytes.")
    if declared > limit:
        raise too_large
    body = _drain(environ["wsgi.input"], limit + 1)
    if len(body) > limit:
        raise too_large
    if len(body) < declared:
        raise Refusal(400, "the body ended before its Content-Length.")
    return body


def _declared_length(environ: dict[str, Any]) -> int:
    text = environ.get("CONTENT_LENGTH") or "0"
    # isdigit alone also holds for digits that int does not read.
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise Refusal(400, "the Content-Length is not a number of bytes.")
    return int(text)


def _is_plain(environ: dict[str, Any]) -> bool:
    content = environ.get("HTTP_CONTENT_ENCODING", "").strip().lower()
    transfer = environ.get("HTTP_TRANSFER_ENCODING", "").strip().lower()
    # gunicorn takes the chunks of "gzip, chunked" apart and leaves the gzip in.
    return content in {"", "identity"} and transfer in {"", "identity", "chunked"}


def _drain(stream: IO[bytes], size: int) -> bytes:
    try:
        return stream.read(size)
    except Exception:
        # Whatever a server raises on a malformed chunk or a broken connection quotes the body.
        raise Refusal(400, "the body could not be read to its end.") from None


def _take_the_rest(environ: dict[str, Any]) -> None:
    """Take what is left of a refused body: Caddy, answered while it sends one, may answer 503."""
    with suppress(Exception):  # a broken connection, which the answer meets too
        pieces = _REST // _PIECE if _declared_length(environ) <= _REST else 0
        while pieces and environ["wsgi.input"].read(_PIECE):
            pieces -= 1


def _check_api_key(webhook: Webhook, environ: dict[str, Any]) -> None:
    if webhook.api_key is None:
        return
    header, expected = webhook.api_key
    if not compare_digest(_header(environ, header), expected.encode()):
        raise Refusal(403, "the configured API key header is missing or wrong.")


def _header(environ: dict[str, Any], name: str) -> bytes:
    """Return the bytes of a header's value, several joined by commas; none where it is missing."""
    value: str = environ.get("HTTP_" + name.upper().replace("-", "_"), "")
    return value.encode("latin-1", "replace")


def _is_local(environ: dict[str, Any]) -> bool:
    """Say whether the request comes from this machine itself, not through a proxy on it."""
    if any(name in environ for name in _FORWARDED):
        return False
    try:
        address = ip_address(environ.get("REMOTE_ADDR", ""))
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


_SENTENCES = {
    404: "there is nothing here: webhooks are at /webhooks/<name>.",
    405: "this address does not take that method: the header Allow says which it takes.",
}


def _refusal(error: Exception) -> Refusal:
    if isinstance(error, Refusal):
        return error
    if isinstance(error, SpoolError):
        return Refusal(503, str(error))
    if isinstance(error, HTTPException) and error.code:
        return Refusal(error.code, _SENTENCES.get(error.code, "this request is not understood."))
    # Not logged with its text or trace: either may quote the body.
    return Refusal(500, f"something is wrong in the receiver ({type(error).__name__}).")


def _headers(refusal: Refusal, error: Exception) -> Iterable[tuple[str, str]]:
    if refusal.status == 503:
        return [("Retry-After", str(RETRY_AFTER_SECONDS))]
    if isinstance(error, HTTPException) and refusal.status == 405:
        return [(name, value) for name, value in error.get_headers() if name == "Allow"]
    return []


def _json(status: int, value: dict[str, Any], headers: Iterable[tuple[str, str]] = ()) -> Response:
    answer = Response(orjson.dumps(value), status, content_type="application/json")
    answer.headers.extend(headers)
    return answer
