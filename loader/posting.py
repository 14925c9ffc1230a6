"""Simulated bodies → a receiver, signed, over a few connections, until each is answered 2xx."""

import http.client
import re
import time
from contextlib import suppress
from queue import Full, Queue
from threading import Event, Lock, Thread
from urllib.parse import SplitResult, quote, urlsplit

from loader import signature
from loader.errors import LoaderError, SettingsError, WrongUsage
from loader.progress import Report
from loader.scenario import Plan
from loader.settings import FIRST_WEBHOOK, Settings, Webhook
from loader.simulate import batches

CONNECTIONS = 16
PATIENCE_SECONDS = 120.0
"""How long one event is posted again before the run gives up."""
START_SECONDS = 10.0
"""How long a receiver may take to come up."""


def named_in(url: str, settings: Settings) -> Webhook:
    """Return the webhook that an address to post to names, one that has a secret.

    Raises ``LoaderError``, which does not quote the address: it may hold a password.
    """
    path, _, name = re.sub(r"[?#].*", "", url).rstrip("/").rpartition("/")
    webhook = settings.webhooks.get(name)
    if webhook is None and not path.endswith("/webhooks"):
        raise WrongUsage(
            "the address to post to does not end in /webhooks/<name>: give one such as "
            f"http://localhost:8000/webhooks/{FIRST_WEBHOOK}."
        )
    if webhook is None or not webhook.secrets:
        raise SettingsError(
            f"no secret is set for a webhook {name!r}: set LOADER_SECRETS, or name another."
        )
    return webhook


def to_url(
    plan: Plan,
    url: str,
    secret: str,
    api_key: tuple[str, str] | None = None,
    progress: Report = lambda _done, _share: None,
    *,
    connections: int = CONNECTIONS,
) -> int:
    """Post the events, signed, over ``connections`` kept-alive connections; return how many.

    Every event has been answered 2xx when it returns. After a 503 or a lost connection it is
    posted again, when Retry-After says so and for two minutes, so one may be received twice, as
    from the provider. Raises ``LoaderError`` when the receiver refuses an event or stays
    unreachable; of one that never answered that is known after ten seconds.
    """
    door = _Door(_target(url), secret, api_key)
    threads = [Thread(target=door.work, daemon=True) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for _, texts, expected in batches(plan):
        for number, text in enumerate(texts):
            door.put(text.encode())
            if number % 64 == 0:
                progress(door.accepted, door.accepted / max(door.accepted, expected))
    for _ in threads:
        door.put(None)
    for thread in threads:
        thread.join()
    if door.error is not None:
        raise door.error
    progress(door.accepted, 1.0)
    return door.accepted


def _target(url: str) -> SplitResult:
    with suppress(ValueError):  # of a port that is no number, or a host that is no name
        parts = urlsplit(url)
        known = parts.scheme in {"http", "https"} and parts.port != 0
        if known and (parts.hostname or "").encode("idna"):
            return parts
    raise WrongUsage(f"{url!r} is no address to post to: give http://host:port/webhooks/name.")


class _Door:
    """One receiver: bodies are put in at one end and posted by threads at the other."""

    def __init__(self, url: SplitResult, secret: str, api_key: tuple[str, str] | None) -> None:
        self.queue: Queue[bytes | None] = Queue(maxsize=512)
        self.accepted = 0
        self.error: LoaderError | None = None
        self._url, self._secret = url, secret
        self._headers: dict[str, str | bytes] = {"Content-Type": "application/json"}
        if api_key:
            self._headers[api_key[0]] = api_key[1].encode()
        self._path = quote((url.path or "/") + (f"?{url.query}" if url.query else ""), safe=_PLAIN)
        self._lock = Lock()
        self._failed = Event()

    def put(self, body: bytes | None) -> None:
        """Hand over a body, or None to end one thread; raise what the threads met."""
        while True:
            if self.error is not None:
                raise self.error
            with suppress(Full):
                return self.queue.put(body, timeout=0.2)

    def work(self) -> None:
        """Post until None comes, or until an event cannot be posted."""
        connection = self._connect()
        try:
            while not self._failed.is_set() and (body := self.queue.get()) is not None:
                self._post(connection, body)
        except Exception as error:
            self.error = self.error or _told(error)
            self._failed.set()
        finally:
            connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        host, port = self._url.hostname or "", self._url.port
        if self._url.scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=60)
        return http.client.HTTPConnection(host, port, timeout=60)

    def _post(self, connection: http.client.HTTPConnection, body: bytes) -> None:
        """Post until it is answered 2xx; raise ``LoaderError`` when that will not be."""
        headers = {**self._headers, signature.HEADER: signature.sign(body, self._secret)}
        started = time.monotonic()
        status, wait = self._ask(connection, body, headers)
        while not 200 <= status < 300:
            patience = PATIENCE_SECONDS if status or self.accepted else START_SECONDS
            if status not in _PASSING or time.monotonic() + wait > started + patience:
                raise LoaderError(_REFUSED.get(status, _UNEXPECTED).format(status))
            if self._failed.wait(wait):
                return
            status, wait = self._ask(connection, body, headers)
        with self._lock:
            self.accepted += 1

    def _ask(
        self, connection: http.client.HTTPConnection, body: bytes, headers: dict[str, str | bytes]
    ) -> tuple[int, float]:
        """Return the status, 0 without an answer, and the seconds to wait before asking again."""
        try:
            connection.request("POST", self._path, body, headers)
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            connection.close()  # the next request opens it again
            return 0, 0.2
        after = answer.headers.get("Retry-After", "1")
        return answer.status, min(float(after), 30.0) if after.isdecimal() else 1.0


def _told(error: Exception) -> LoaderError:
    if isinstance(error, LoaderError):
        return error
    # Its own words quote a header or the address, and may hold the API key.
    return LoaderError(
        f"nothing can be posted there ({type(error).__name__}): mend the address or the API key."
    )


_PLAIN = "!#$%&'()*+,/:;=?@[]~"
_PASSING = {0, 429, 503}
_REFUSED = {
    0: "the receiver cannot be reached: start it with loader serve, or mend the address.",
    401: "the receiver answered 401: its LOADER_SECRETS and these differ, or the name is unknown.",
    403: "the receiver answered 403: give the API key that it wants in LOADER_API_KEY.",
    404: "the receiver answered 404: the address ends in /webhooks/<name>.",
    503: "the receiver goes on answering 503: look at its log and at its disk.",
}
_UNEXPECTED = "the receiver answered {}: 200 was wanted; look at its log."
