"""The shipped configurations, run: nginx and Caddy before the receiver, systemd's own check."""

import json
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conftest import require
from tests.ports import free_port
from tests.torture import probes, proxy, server
from tests.torture.client import HOST, Receiver, event, signed


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    """A running receiver, for the proxies to stand in front of."""
    with Receiver(tmp_path_factory.mktemp("deploy") / "home") as started:
        yield started


@pytest.fixture(scope="module", params=["nginx", "caddy"])
def front(
    request: pytest.FixtureRequest, receiver: Receiver, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[proxy.Nginx | proxy.Caddy]:
    """nginx, then Caddy, with its shipped configuration."""
    program = require(request.param)
    require("openssl")
    kind = {"nginx": proxy.Nginx, "caddy": proxy.Caddy}[request.param]
    with kind(program, tmp_path_factory.mktemp("front") / "etc", receiver.port) as started:
        yield started


def curl(front: proxy.Nginx | proxy.Caddy, path: str, *arguments: str) -> tuple[int, str]:
    """Ask over TLS, holding the certificate against the name; return status and body."""
    resolve = ["--resolve", f"{HOST}:{front.port}:127.0.0.1", "--cacert", str(front.certificate)]
    command = [require("curl"), "-sS", "-w", "\n%{http_code}", *resolve, *arguments]
    done = subprocess.run(
        [*command, f"https://{HOST}:{front.port}{path}"], capture_output=True, text=True, check=True
    )
    body, _, status = done.stdout.rpartition("\n")
    return int(status), body


def test_event_passes(front: proxy.Nginx | proxy.Caddy, receiver: Receiver) -> None:
    """A signed event posted over TLS is on the receiver's disk when it is answered."""
    name = f"through-{type(front).__name__}"
    body = signed(event(name)).replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
    assert probes.ask(probes.encrypted(front.port), body, patience=30) == [200]
    assert server.stored(receiver.home)[name] == 1


def test_answers_pass(front: proxy.Nginx | proxy.Caddy) -> None:
    """The receiver's own answers come through, and the proxy's are JSON too."""
    assert curl(front, "/healthz") == (200, '{"status":"ok"}')
    assert curl(front, "/webhooks/inboxroad", "-d", "x")[0] == 401
    assert curl(front, "/webhooks/inboxroad")[0] == 405
    for path in ("/", "/metrics", "/webhooks"):
        status, body = curl(front, path)
        assert (status, body[:10]) == (404, '{"error": ')


@pytest.mark.parametrize("asked", [HOST, "alias.example", "127.0.0.1"])
@pytest.mark.parametrize("name", [f"{HOST}.", HOST.upper(), "alias.example", "127.0.0.1", ""])
def test_2xx_means_on_disk_by_any_name(
    asked: str, name: str, front: proxy.Nginx | proxy.Caddy, receiver: Receiver
) -> None:
    """Whatever name a signed event is posted to, it is on disk, or not answered 2xx."""
    title = f"{type(front).__name__}-{asked}-as-{name}"
    data = signed(event(title)).replace(f"Host: {HOST}".encode(), f"Host: {name}".encode())
    try:
        statuses = probes.ask(probes.encrypted(front.port, asked), data)
    except ssl.SSLError:
        statuses = []  # there is no certificate for that name
    assert server.stored(receiver.home)[title] == (statuses == [200])
    assert not [status for status in statuses if status != 200 and status < 400]


REFUSED_BY_NGINX = {
    "TRACE": (b"TRACE / HTTP/1.1", 405),
    "CONNECT": (b"CONNECT / HTTP/1.1", 405),
    "long URL": (b"GET /%b HTTP/1.1" % (b"x" * 9_000), 400),
    "long header": (b"GET / HTTP/1.1\r\nX: %b" % (b"x" * 9_000), 400),
    "no such coding": (b"POST /webhooks/inboxroad HTTP/1.1\r\nTransfer-Encoding: x", 400),
    "no such version": (b"GET / HTTP/3.1", 400),
    "no header": (b"GET / HTTP/1.1\r\nHost: again", 400),
}


@pytest.mark.parametrize("why", REFUSED_BY_NGINX)
def test_what_nginx_refuses_by_itself_is_json_too(
    why: str, receiver: Receiver, tmp_path: Path
) -> None:
    """Whatever is no well-formed request is answered in JSON, by a status of the contract."""
    lines, status = REFUSED_BY_NGINX[why]
    request = lines + f"\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode()
    with proxy.Nginx(require("nginx"), tmp_path / "etc", receiver.port) as front:
        answer = told(probes.encrypted(front.port)(), request)
        unencrypted = told(probes.plain(front.port)(), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    for said, wanted in ((answer, status), (unencrypted, 400)):
        head, _, body = said.partition("\r\n\r\n")
        assert head.startswith(f"HTTP/1.1 {wanted} ") and list(json.loads(body)) == ["error"]


def told(connection: socket.socket, request: bytes) -> str:
    """Send bytes; return all that is answered until the other side closes."""
    with connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(1 << 16), b"")).decode()


def test_large_body_is_refused(front: proxy.Nginx | proxy.Caddy, tmp_path: Path) -> None:
    """A body over the limit is answered 413 each time, with and without a length."""
    (tmp_path / "large").write_bytes(b"x" * 2_000_000)
    body = ("--data-binary", f"@{tmp_path / 'large'}", "-H", "Expect:")
    chunked = (*body, "-H", "Transfer-Encoding: chunked")
    with ThreadPoolExecutor(6) as clients:
        answers = clients.map(
            lambda how: curl(front, "/webhooks/inboxroad", *how), [body, chunked] * 60
        )
        assert {status for status, _ in answers} == {413}


def test_hostile_requests_do_not_pass(front: proxy.Nginx | proxy.Caddy, receiver: Receiver) -> None:
    """No probe makes the proxy or the receiver fail, and through nginx none hides another."""
    before = server.stored(receiver.home)[probes.HIDDEN]
    probed = probes.probe_named(probes.encrypted(front.port), behind_proxy=True)
    assert probed.unexpected == []
    if isinstance(front, proxy.Nginx):
        # Caddy takes chunked over a length, drops the length, and so sees two requests from the
        # start: what it passes on is unambiguous.
        assert server.stored(receiver.home)[probes.HIDDEN] == before
    said = receiver.log.read_text()
    assert "Traceback" not in said and "@" not in said


def test_slow_clients_hurt_nobody(front: proxy.Nginx | proxy.Caddy) -> None:
    """While 150 clients dawdle every other request is served promptly."""
    out = proxy.slow_clients(probes.encrypted(front.port), 150, 60)
    assert (out.slow, out.served) == (150, 60)
    assert out.slowest < 2


def test_receiver_that_is_away_is_a_503(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """While the receiver is restarted the provider is told to come back."""
    program = require("nginx")
    with proxy.Nginx(program, tmp_path / "etc", free_port()) as front:
        status, body = curl(front, "/webhooks/inboxroad", "-d", "x", "-i")
    assert status == 503
    assert "Retry-After: 5" in body and '{"error": ' in body


UNITS = [*proxy.DEPLOY.glob("systemd/*"), *proxy.DEPLOY.glob("lake/maintain.*")]
INGEST = "inboxroad-loader-ingest.service"


@pytest.mark.parametrize("unit", sorted(path.name for path in UNITS))
@pytest.mark.parametrize("lake", [False, True])
def test_units_are_sound(unit: str, lake: bool, tmp_path: Path) -> None:
    """systemd finds nothing wrong with the units, once the program they start is there."""
    program = tmp_path / "loader"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for path in UNITS:
        text = path.read_text().replace("/opt/inboxroad-loader/bin/loader", str(program))
        (tmp_path / path.name).write_text(text)
    if lake:
        (tmp_path / f"{INGEST}.d").mkdir()
        shutil.copy(proxy.DEPLOY / "lake" / "ingest-lake.conf", tmp_path / f"{INGEST}.d")
    checked = subprocess.run(
        [require("systemd-analyze"), "verify", "--man=no", str(tmp_path / unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    ours = re.compile("inboxroad-loader|maintain|ingest-lake")
    complaints = [line for line in checked.stderr.splitlines() if ours.search(line)]
    assert (checked.returncode, complaints) == (0, [])


@pytest.mark.parametrize("unit", [path for path in UNITS if path.suffix == ".service"])
def test_services_may_do_little(unit: Path) -> None:
    """systemd calls the exposure of no shipped service medium or worse: each is 2 of 10 at most."""
    analyze = [require("systemd-analyze"), "security", "--offline=true", "--threshold=20"]
    checked = subprocess.run([*analyze, str(unit)], capture_output=True, text=True, check=False)

    assert checked.returncode == 0, checked.stdout[-200:]


def test_container_copies_what_the_project_needs() -> None:
    """Everything that the Containerfile copies is there."""
    lines = (proxy.DEPLOY / "Containerfile").read_text().splitlines()
    copied = [
        name
        for line in lines
        if line.startswith("COPY ") and "--from" not in line
        for name in line.split()[1:-1]
    ]
    assert len(copied) >= 8
    assert [name for name in copied if not (proxy.DEPLOY.parent / name).exists()] == []
