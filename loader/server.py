"""Settings → the receiver under gunicorn, until it is told to stop.

gunicorn's own error answers are HTML and quote the request, and its log lines quote headers and
bodies; here both are replaced: answers are JSON, log lines are JSON and hold neither.
"""

import fcntl
import json
import logging
import os
import resource
import shutil
import signal
import socket
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from gunicorn import util  # type: ignore[import-untyped]
from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]
from gunicorn.arbiter import Arbiter  # type: ignore[import-untyped]
from gunicorn.glogging import Logger  # type: ignore[import-untyped]
from gunicorn.http import errors as http_errors  # type: ignore[import-untyped]
from gunicorn.workers.gthread import TConn, ThreadWorker  # type: ignore[import-untyped]

from loader.errors import LoaderError
from loader.notices import Notices
from loader.settings import Settings, refuse_without_secrets

if TYPE_CHECKING:
    from loader.writer import Writer

GRACE_SECONDS = 30
STALLED_SECONDS = 5
"""A client that sends nothing for so long in the middle of a request is let go."""
_MEMORY = Path("/dev/shm")  # noqa: S108
_COUNTS = "loader-metrics-"
_ROOM, _COUNTED = 2**20, 2**14
"""Bytes that have to be free where a worker counts, and of each of its files those that it uses.
They are mapped into memory, and where their blocks cannot be had the process is killed."""
_OTHER_FILES = 64
"""Descriptors that a worker is left for everything else."""
_LEFT_UNREAD = 8 * 2**20
"""Bytes of a refused body that are taken all the same: cut off in sending it, Caddy answers 503."""
_STOPS = {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT}


def serve(settings: Settings, host: str, port: int, output: IO[str] = sys.stdout) -> None:
    """Answer webhook requests at ``host:port`` until SIGTERM or SIGINT; does not return before.

    Writes one line to ``output`` when it is listening, ``listening on http://HOST:PORT``, with the
    port that was chosen when ``port`` is 0; everything else goes to stderr as JSON lines. Raises
    ``LoaderError`` when it cannot start: no secret, the address is taken, the spool's directory
    cannot be made.
    """
    os.umask(0o077)  # the spool holds addresses: for its owner only
    listener = _listen(host, port)
    _forget_the_dead()
    counts = _counts()
    owner = os.getpid()
    try:
        _check(settings)
        _Arbiter(_Application(settings, listener, output)).run()
    except SystemExit as error:
        if os.getpid() != owner:  # a worker that ends, in its copy of this stack
            raise
        if error.code:
            raise LoaderError("the receiver stopped; its log says why.") from None
    finally:
        if os.getpid() == owner:
            shutil.rmtree(counts, ignore_errors=True)


def _counts() -> str:
    """Make the directory in which the workers count, held by a lock for as long as one lives."""
    counts = tempfile.mkdtemp(prefix=f"{_COUNTS}{os.getpid()}-", dir=_memory_directory())
    try:
        held = os.open(counts, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        Path(counts).stat()
    except (FileNotFoundError, BlockingIOError):
        return _counts()  # a server that starts too took it for one that was left
    # prometheus-client reads it when it is imported, which the workers do, each for itself.
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = counts
    return counts


def _connections(threads: int) -> int:
    """Return how many connections a worker may have: one that lacks a descriptor for them ends.

    Each thread takes one more to wait for its client.
    """
    most, (allowed, _) = max(1000, 2 * threads), resource.getrlimit(resource.RLIMIT_NOFILE)
    left = most if allowed == resource.RLIM_INFINITY else allowed - threads - _OTHER_FILES
    return max(1, min(most, left))


def _check(settings: Settings) -> None:
    from loader.writer import prepare  # noqa: PLC0415

    refuse_without_secrets(settings)
    prepare(settings.spool)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.create_server(address[:2], family=family, backlog=2048)
    except (OSError, OverflowError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "no such host or port"
        reason = reason.partition(" (")[0]  # Python repeats the address there
        raise LoaderError(
            f"cannot listen on {host}:{port} ({reason}): choose another --host or --port."
        ) from None
    listener.set_inheritable(True)
    return listener


def _memory_directory() -> str | None:
    usable = _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK)
    return str(_MEMORY) if usable else None


def _forget_the_dead() -> None:
    """Remove the counts of servers that were killed and could not do it themselves."""
    for path in Path(_memory_directory() or tempfile.gettempdir()).glob(f"{_COUNTS}*"):
        with suppress(OSError):  # another user's, or of a process that lives
            held = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(held)


def _count_safely() -> None:
    """Let this worker count beside the others; where that might stop it, for itself alone."""
    counts = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
    try:
        counts.mkdir(mode=0o700, exist_ok=True)  # a system that tidies up may have taken it
        free = os.statvfs(counts)
        if free.f_bavail * free.f_frsize >= _ROOM:
            return
    except OSError:
        pass
    del os.environ["PROMETHEUS_MULTIPROC_DIR"]
    logging.getLogger("gunicorn.error").warning(
        "%s has no room to count in: /metrics tells of one worker only", counts.parent
    )


def _take_room() -> None:
    """Take the blocks of this worker's counts now: later there may be none."""
    counts = Path(os.environ.get("PROMETHEUS_MULTIPROC_DIR", os.devnull))
    taken = counts.glob(f"*_{os.getpid()}.db") if hasattr(os, "posix_fallocate") else ()
    for path in taken:  # macOS has no such call
        with suppress(OSError), path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, _COUNTED)


class _Application(BaseApplication):  # type: ignore[misc]
    """gunicorn's view of the receiver: its configuration, and the app made in each worker."""

    def __init__(self, settings: Settings, listener: socket.socket, output: IO[str]) -> None:
        self._settings = settings
        self._output = output
        self._bind = f"fd://{listener.detach()}"
        self._writer: Writer | None = None
        self.worker: _Worker | None = None
        super().__init__()

    def load_config(self) -> None:
        options: dict[str, Any] = {
            "bind": self._bind,
            "workers": self._settings.workers,
            "threads": self._settings.threads,
            "worker_class": _Worker,
            "worker_connections": _connections(self._settings.threads),
            "worker_tmp_dir": _memory_directory(),
            "logger_class": _JsonLogger,
            "graceful_timeout": GRACE_SECONDS,
            "keepalive": 15,  # longer than a proxy's pause between two requests
            "http_parser": "python",
            "forwarded_allow_ips": "",
            "forwarder_headers": "",
            "control_socket_disable": True,
            "proc_name": "loader",
            "when_ready": lambda arbiter: _say_where(arbiter, self._output),
            "post_fork": lambda _arbiter, worker: setattr(self, "worker", worker),
            "worker_exit": lambda _arbiter, _worker: self._close(),
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Callable[..., Any]:
        _count_safely()
        from loader.metrics import Metrics  # noqa: PLC0415
        from loader.receiver import create_app  # noqa: PLC0415
        from loader.writer import Writer  # noqa: PLC0415

        metrics = Metrics()
        _take_room()
        self._writer = Writer(self._settings.spool, synced=metrics.synced)
        return create_app(self._settings, self._writer, metrics=metrics, draining=self._is_draining)

    def _is_draining(self) -> bool:
        return self.worker is not None and not self.worker.alive

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()


def _say_where(arbiter: Arbiter, output: IO[str]) -> None:
    for listener in arbiter.LISTENERS:
        host, port = listener.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        with suppress(OSError):  # of a full disk, say: receiving does not hang on it
            print(f"listening on http://{shown}:{port}", file=output, flush=True)


class _Arbiter(Arbiter):  # type: ignore[misc]
    def handle_int(self) -> None:
        """Ctrl-C stops as gently as SIGTERM does."""
        self.handle_term()

    def handle_usr2(self) -> None:
        """Do not start a second server beside this one: it could not have the address."""

    def spawn_worker(self) -> Any:
        """Fork a worker that hears of a stop from its first moment.

        A signal that comes between the fork and the worker's own handlers would be lost, because
        Python forgets pending signals in the child; so it waits until they are there.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
        try:
            return super().spawn_worker()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)


class _Worker(ThreadWorker):  # type: ignore[misc]
    def init_signals(self) -> None:
        super().init_signals()
        # Ctrl-C reaches the workers too; the arbiter tells them to stop.
        signal.signal(signal.SIGINT, self.handle_exit)
        signal.siginterrupt(signal.SIGINT, False)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)

    def is_parent_alive(self) -> bool:
        """When the server was killed, stop as one that is told to: a new one wants the address."""
        lives: bool = super().is_parent_alive()
        if not lives:
            self.alive = False
        return lives

    def set_accept_enabled(self, enabled: bool) -> None:
        """When stopping, take in who is already waiting, then close the door behind them.

        Left in the backlog they would be cut off; and while the door stands open more would come.
        """
        stopping = not enabled and not self.alive
        for listener in self.sockets if stopping else ():
            for _ in range(self.worker_connections - self.nr_conns):
                taken_before = self.nr_conns
                self.accept(listener)
                if self.nr_conns == taken_before:
                    break
        super().set_accept_enabled(enabled)
        for listener in self.sockets if stopping else ():
            listener.close()

    def handle(self, conn: TConn) -> Any:
        patience = struct.pack("ll", STALLED_SECONDS, 0)
        conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, patience)
        stays = super().handle(conn)
        if not stays:
            util.close_graceful(conn.sock, max_drain=_LEFT_UNREAD)
        return stays

    def finish_request(self, conn: TConn, done: Any) -> None:
        """Let go of a connection that ``handle`` has closed.

        gunicorn closes it here, in the one thread that accepts and tells the arbiter of life, and
        waits two seconds for a client that does not leave: a few of those stopped the receiver.
        """
        if done.cancelled() or done.exception() is not None or done.result():
            super().finish_request(conn, done)
        else:
            self.nr_conns -= 1
            conn.close()

    def handle_error(self, _request: Any, client: socket.socket, _address: Any, error: Any) -> None:
        status, reason = _answer_to(error)
        if status == 500:
            self.log.error("a request failed: %s", type(error).__name__)
        body = json.dumps({"error": reason}).encode()
        phrase = HTTPStatus(status).phrase
        head = (
            f"HTTP/1.1 {status} {phrase}\r\nConnection: close\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        try:
            client.sendall(head.encode() + body)
        except OSError:
            self.log.debug("a client left before its answer")


_ANSWERS: list[tuple[type[Exception], int, str]] = [
    (http_errors.LimitRequestLine, 414, "the request line is too long."),
    (http_errors.LimitRequestHeaders, 431, "the headers are too large."),
    (http_errors.UnsupportedTransferCoding, 501, "this Transfer-Encoding is not read."),
    (http_errors.ExpectationFailed, 417, "this expectation is not met."),
    # Ours to answer for, though gunicorn derives them from ParseException below.
    (http_errors.ConfigurationProblem, 500, "the receiver is not configured for this request."),
    (http_errors.InvalidResponseHeader, 500, "something is wrong in the receiver."),
    (http_errors.InvalidResponseHeaderName, 500, "something is wrong in the receiver."),
    (http_errors.ParseException, 400, "this is not a well-formed HTTP request."),
]


def _answer_to(error: Exception) -> tuple[int, str]:
    for kind, status, sentence in _ANSWERS:
        if isinstance(error, kind):
            return status, sentence
    return 500, "something is wrong in the receiver."


class _JsonLogger(Logger):  # type: ignore[misc]
    """gunicorn's messages as JSON lines on stderr, without what they quote of a request."""

    _notices = Notices(time.monotonic)

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(_JsonFormatter())
        for name in ("gunicorn.error", "loader.receiver"):
            log = logging.getLogger(name)
            log.handlers[:], log.propagate = [handler], False
            log.setLevel(logging.INFO)

    def exception(self, _message: str, *_values: Any, **_more: Any) -> None:
        # Both the message and the traceback may quote a body or a header: keep the type.
        name = getattr(sys.exc_info()[0], "__name__", "none")
        if count := self._notices.due(name):
            self.error_log.error("an exception was handled, %d times: %s", count, name)


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "process": record.process,
            "message": record.getMessage(),
        }
        return json.dumps(line)
