"""The shipped nginx and Caddy configurations, run: only ports, names and paths are changed."""

import os
import re
import signal
import socket
import ssl
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import TracebackType

from tests.ports import free_port
from tests.torture.client import HOST, signed
from tests.torture.probes import Connect, ask
from tests.torture.server import requests

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"


def certificate(directory: Path) -> tuple[Path, Path]:
    """Make a certificate for ``HOST`` and its key."""
    chain, key = directory / "fullchain.pem", directory / "privkey.pem"
    subject = ["-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}"]
    algorithm = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    command = ["openssl", "req", "-x509", "-nodes", "-days", "2", *algorithm, *subject]
    subprocess.run(
        [*command, "-keyout", str(key), "-out", str(chain)], check=True, capture_output=True
    )
    return chain, key


class _Proxy:
    """A proxy in a process of its own, in front of ``receiver``."""

    def __init__(self, program: str, directory: Path, receiver: int) -> None:
        self.port = free_port()
        self.directory = directory
        directory.mkdir()
        directory.chmod(0o755)
        self.certificate, self.key = certificate(directory)
        self.command = self._prepare(program, receiver)

    def _prepare(self, program: str, receiver: int) -> list[str]:
        raise NotImplementedError

    def __enter__(self) -> "_Proxy":
        self.log = self.directory / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                self.command,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "HOME": str(self.directory)},
            )
        for _ in range(100):
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return self
            time.sleep(0.05)
        raise AssertionError(self.log.read_text())

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(timeout=20)


class Nginx(_Proxy):
    """nginx with ``deploy/nginx/inboxroad-loader.conf``."""

    def _prepare(self, program: str, receiver: int) -> list[str]:
        shipped = (DEPLOY / "nginx/inboxroad-loader.conf").read_text()
        site = shipped.replace("listen 443 ssl", f"listen 127.0.0.1:{self.port} ssl")
        site = site.replace("    listen [::]:443 ssl;\n", "").replace(":8000", f":{receiver}")
        site = re.sub(r"/etc/letsencrypt/live/[^/]*/", f"{self.directory}/", site)
        (self.directory / "site.conf").write_text(site)
        main = self.directory / "nginx.conf"
        main.write_text(
            "daemon off; worker_processes 2; "
            f"pid {self.directory}/pid; error_log stderr warn;\n"
            + ("user root;\n" if os.geteuid() == 0 else "")
            + "events { worker_connections 2048; }\nhttp {\n"
            + "".join(
                f"    {kind}_temp_path {self.directory}/{kind};\n"
                for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
            )
            + f"    include {self.directory}/site.conf;\n}}\n"
        )
        return [program, "-p", str(self.directory), "-e", "stderr", "-c", str(main)]


class Caddy(_Proxy):
    """Caddy with ``deploy/caddy/Caddyfile``."""

    def _prepare(self, program: str, receiver: int) -> list[str]:
        shipped = (DEPLOY / "caddy/Caddyfile").read_text()
        options = "{\n\tadmin off\n\tauto_https disable_redirects\n"
        site = shipped.replace("{\n\tservers", f"{options}\tservers", 1)
        tls = f"\ttls {self.certificate} {self.key}\n"
        site = site.replace(f"{HOST} {{\n", f"https://{HOST}:{self.port} {{\n{tls}")
        site = site.replace("https:// {\n", f"https://:{self.port} {{\n")
        path = self.directory / "Caddyfile"
        path.write_text(site.replace(":8000", f":{receiver}"))
        return [program, "run", "--config", str(path), "--adapter", "caddyfile"]


@dataclass
class Slow:
    """What slow clients did to the others."""

    slow: int
    """Slow connections that were still open at the end."""
    legitimate: int
    served: int
    slowest: float
    """Seconds that the slowest legitimate answer took."""


def slow_clients(connect: Connect, number: int, posts: int, *, pause: float = 0.01) -> Slow:
    """Hold ``number`` slow connections while others post ``posts`` events, one by one.

    Half of the slow ones dawdle in the head, half in the body; each sends a byte a second.
    """
    head = signed(b"x" * 5000)[:-5000]
    held = []
    for turn in range(number):
        connection = connect()
        connection.sendall(head + b"x" if turn % 2 else head[: 20 + turn % 60])
        held.append(connection)
    stop = threading.Event()
    trickle = threading.Thread(target=_trickle, args=(held, stop))
    trickle.start()
    took = []
    for _, data in islice(requests("legitimate."), posts):
        started = time.perf_counter()
        took.append((ask(connect, data.replace(b"\r\n", _CLOSE, 1))[:1], started))
        took[-1] = (took[-1][0], time.perf_counter() - started)
        time.sleep(pause)
    stop.set()
    trickle.join()
    return Slow(
        sum(_is_open(connection) for connection in held),
        posts,
        sum(statuses == [200] for statuses, _ in took),
        max(seconds for _, seconds in took),
    )


_CLOSE = b"\r\nConnection: close\r\n"


def _trickle(held: list[socket.socket], stop: threading.Event) -> None:
    while not stop.wait(1):
        for connection in held:
            with suppress(OSError):
                connection.sendall(b"x")


def _is_open(connection: socket.socket) -> bool:
    """Say whether the other side has not closed ``connection``; close it."""
    connection.setblocking(False)
    with connection:
        try:
            return bool(connection.recv(1))
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except OSError:
            return False
