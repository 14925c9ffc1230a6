"""A real receiver in a process of its own, and a client that keeps many connections busy."""

import hashlib
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from loader import signature

HOST = "webhooks.example.com"
SECRETS = ("a-secret-for-tests", "another-secret")


class Receiver:
    """``loader serve`` on a port of its own; ``with`` starts it and stops it with SIGTERM."""

    def __init__(  # noqa: D107
        self, home: Path, *, port: int = 0, command: list[str] | None = None, **variables: str
    ) -> None:
        self.home = home
        self._port = port
        self._command = command or [sys.executable, "-m", "loader", "serve"]
        self._variables = variables

    def start(self) -> "Receiver":
        """Start it and wait until it says where it listens."""
        self.home.mkdir(parents=True, exist_ok=True)
        self.log = self.home.with_name(self.home.name + ".log")
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self._command, "--port", str(self._port)],
                env={**environment(self.home), **self._variables},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        assert said.startswith("listening on http://"), (said, self.log.read_text())
        self.port = int(said.rsplit(":", 1)[1])
        return self

    def workers(self) -> list[int]:
        """Return the process ids of the workers."""
        return children(self.process.pid)

    def kill(self) -> None:
        """Kill -9 the server and its workers at once."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self._reap()

    def stop(self) -> int:
        """Ask it to stop as systemd does; return its exit status."""
        self.process.terminate()
        return self._reap()

    def _reap(self) -> int:
        self.process.communicate(timeout=60)
        return self.process.returncode

    def __enter__(self) -> "Receiver":  # noqa: D105
        return self.start()

    def __exit__(  # noqa: D105
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.stop()


def children(parent: int, command: str = "") -> list[int]:
    """Return the process ids of what ``parent`` has started with such a command."""
    found = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(pid) for pid in found if command in _command_line(pid)]


def _command_line(pid: str) -> str:
    with suppress(OSError):  # it is gone
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode().replace("\0", " ")
    return ""


def environment(home: Path) -> dict[str, str]:
    """Return the environment of a ``loader`` that has ``home`` and the secrets of the clients."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("LOADER_")}
    own = {"LOADER_HOME": str(home), "LOADER_SECRETS": " ".join(SECRETS), "LOADER_CONFIG": ""}
    return others | own


def signed(body: bytes) -> bytes:
    """Return the bytes of one signed keep-alive request."""
    value = signature.sign(body, SECRETS[0])
    head = (
        f"POST /webhooks/inboxroad HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
        f"X-Signature: {value}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def event(name: str) -> bytes:
    """Return a body like the provider's, that can be told from every other by ``name``."""
    digest = hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()
    return (
        f'{{"kind": "open", "sender": "user@sender.example", "recipient": "{name}@example.com", '
        f'"message_id": "{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-8{digest[17:20]}-'
        f'{digest[20:]}", "timestamp": "2026-11-23T07:00:00Z", '
        '"campaign": {"id": "9d76d4b4-660f-422b-9437-282c31506f7f", "name": "November"}}'
    ).encode()


@dataclass(slots=True)
class _Connection:
    socket: socket.socket
    name: str = ""
    sent_at: float = 0.0
    answer: bytearray = field(default_factory=bytearray)


@dataclass
class Driven:
    """What a client saw."""

    answers: dict[int, int] = field(default_factory=dict)
    """Status → how often; 0 stands for a connection that broke before its answer."""
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Requests answered 200, per second."""
        return self.answers.get(200, 0) / self.seconds

    def quantile(self, share: float) -> float:
        """Return a quantile of the latencies, in seconds."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def drive(
    port: Callable[[], int],
    connections: int,
    requests: Iterator[tuple[str, bytes]],
    *,
    seconds: float | None = None,
    answered: Callable[[str, int], None] = lambda _name, _status: None,
    meanwhile: Callable[[], bool] = lambda: True,
) -> Driven:
    """Keep ``connections`` keep-alive connections busy; each has one request under way.

    ``requests`` gives names and request bytes. Ends when they or the ``seconds`` are used up, or
    ``meanwhile``, called now and then, returns False. ``answered`` is told each name with its
    status, 0 for a connection that broke. Broken connections are opened again, to ``port()``.
    """
    seen = Driven()
    started = time.perf_counter()
    deadline = started + seconds if seconds is not None else float("inf")
    following = next(requests, None)
    idle = connections
    with selectors.DefaultSelector() as selector:
        while True:
            going = following is not None and time.perf_counter() < deadline and meanwhile()
            while going and idle and following and (opened := _open(port())):
                _send(opened, following)
                selector.register(opened.socket, selectors.EVENT_READ, opened)
                following, idle = next(requests, None), idle - 1
            if not selector.get_map():
                if not going:
                    break
                time.sleep(0.02)  # nobody listens just now
            for key, _ in selector.select(0.05) if selector.get_map() else ():
                connection: _Connection = key.data
                status = _receive(connection)
                if status is None:
                    continue
                seen.answers[status] = seen.answers.get(status, 0) + 1
                seen.latencies.append(time.perf_counter() - connection.sent_at)
                answered(connection.name, status)
                over = status == 0 or b"connection: close" in connection.answer.lower()
                if going and following and not over:
                    _send(connection, following)
                    following = next(requests, None)
                else:
                    selector.unregister(connection.socket)
                    connection.socket.close()
                    idle += 1
    seen.seconds = time.perf_counter() - started
    return seen


def _open(port: int) -> _Connection | None:
    try:
        opened = socket.create_connection(("127.0.0.1", port), timeout=5)
    except OSError:
        return None
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return _Connection(opened)


def _send(connection: _Connection, following: tuple[str, bytes]) -> None:
    connection.name, data = following
    connection.answer.clear()
    connection.sent_at = time.perf_counter()
    with suppress(OSError):  # seen again as the end of the answer
        connection.socket.sendall(data)


def _receive(connection: _Connection) -> int | None:
    """Read what is there; return the status when the answer is whole, 0 when it never will be."""
    try:
        data = connection.socket.recv(65536)
    except OSError:
        return 0
    if not data:
        return 0
    connection.answer += data
    head, end, body = bytes(connection.answer).partition(b"\r\n\r\n")
    if not end:
        return None
    if b"transfer-encoding: chunked" in head.lower():
        whole = body.endswith(b"0\r\n\r\n")
    else:
        length = head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0]
        whole = len(body) >= int(length or b"0")
    return int(head[9:12]) if whole else None
