"""The server as it is started: one command, one line, clean stops, quiet logs."""

import fcntl
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from urllib.request import urlopen

import pytest

from loader import server
from loader.spool import is_active, list_segments
from tests.conftest import lacks, namespace, require
from tests.torture.client import SECRETS, Receiver, drive, event, signed
from tests.torture.probes import ask, plain
from tests.torture.server import stored


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    """A running receiver."""
    with Receiver(tmp_path_factory.mktemp("server") / "home") as started:
        yield started


def run(tmp_path: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run ``loader serve`` where it is expected to refuse."""
    return subprocess.run(
        [sys.executable, "-m", "loader", "serve", *arguments],
        env={"PATH": os.environ["PATH"], "LOADER_HOME": str(tmp_path / "home"), **environ},
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
        check=False,
    )


def test_curl_and_openssl_are_answered(receiver: Receiver, tmp_path: Path) -> None:
    """A client made of openssl and curl posts an event and is answered ``{"accepted": 1}``."""
    script = (
        "printf %s \"$BODY\" | openssl dgst -sha256 -hmac \"$SECRET\" -binary | base64 | "
        'xargs -I{} curl -sS "$URL" -H "X-Signature: {}" --data-binary "$BODY"'
    )  # fmt: skip
    require("curl"), require("openssl")
    environ = {
        **os.environ,
        "BODY": event("from-curl").decode(),
        "SECRET": SECRETS[1],
        "URL": f"http://127.0.0.1:{receiver.port}/webhooks/inboxroad",
    }
    done = subprocess.run(["sh", "-c", script], env=environ, capture_output=True, check=True)
    assert json.loads(done.stdout) == {"accepted": 1}
    assert stored(receiver.home)["from-curl"] == 1


def test_each_worker_writes_its_own_segment(receiver: Receiver) -> None:
    """No two processes share a segment."""
    deadline = time.monotonic() + 20
    while len(list_segments(receiver.home / "spool")) < 2 and time.monotonic() < deadline:
        made = ((f"spread-{n}", signed(event(f"spread-{n}"))) for n in range(200))
        drive(lambda: receiver.port, 32, made)
    segments = list_segments(receiver.home / "spool")
    assert [is_active(segment) for segment in segments] == [True, True]


def test_metrics_are_those_of_all_workers(receiver: Receiver) -> None:
    """``/metrics`` sums over the worker processes, whichever answers."""

    def events() -> float:
        with urlopen(f"http://127.0.0.1:{receiver.port}/metrics") as answer:
            text = answer.read().decode()
        return float(re.search(r"^loader_appended_events_total (\S+)$", text, re.M)[1])  # type: ignore[index]

    before = events() if stored(receiver.home) else 0.0
    drive(lambda: receiver.port, 8, ((f"m-{n}", signed(event(f"m-{n}"))) for n in range(100)))
    assert {events() for _ in range(6)} == {before + 100}


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"POST /webhooks/inboxroad HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
         b"zz-someone@example.com\r\n", 400),
        (b"POST /webhooks/inboxroad HTTP/1.1\r\nHost: x\r\nsomeone@example.com: y\r\n\r\n", 400),
        (b"POST /webhooks/inboxroad HTTP/1.1\r\nHost: x\r\nA: someone@example.com" + b"x" * 70_000
         + b"\r\n\r\n", 431),
        (b"GET /someone@example.com" + b"x" * 5000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"someone@example.com\r\n\r\n", 400),
    ],
    ids=["chunk", "header", "headers", "line", "noise"],
)  # fmt: skip
def test_malformed_request_is_answered_in_json_and_not_logged(
    receiver: Receiver, data: bytes, status: int
) -> None:
    """What no HTTP parser takes gets one JSON sentence; the log quotes nothing of it."""
    with socket.create_connection(("127.0.0.1", receiver.port), timeout=20) as connection:
        connection.sendall(data)
        answer = connection.makefile("rb").read()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert int(head[9:12]) == status
    assert set(json.loads(body)) == {"error"}
    said = receiver.log.read_text()
    assert "Traceback" not in said and "someone" not in said


def test_log_is_json(receiver: Receiver) -> None:
    """Every line of the log is one JSON object with a time, a level and a message."""
    ask(plain(receiver.port), b"\0\r\n\r\n")
    for line in receiver.log.read_text().splitlines():
        assert {"time", "level", "message"} <= set(json.loads(line))


def test_more_connections_than_descriptors_end_no_worker(tmp_path: Path) -> None:
    """Where few files may be open, idle clients wait at the door; who comes later is served."""
    few = ["sh", "-c", 'ulimit -n 160 && exec "$@"', "sh", sys.executable, "-m", "loader", "serve"]
    with Receiver(tmp_path / "home", command=few) as receiver, ExitStack() as idle:
        while len(workers := receiver.workers()) < 2:
            time.sleep(0.05)
        for _ in range(400):
            at = ("127.0.0.1", receiver.port)
            idle.enter_context(socket.create_connection(at, timeout=20))
        time.sleep(1)
        idle.close()
        made = ((f"late-{n}", signed(event(f"late-{n}"))) for n in range(20))
        assert drive(lambda: receiver.port, 4, made, seconds=10).answers == {200: 20}
        assert receiver.workers() == workers


def test_who_sends_too_much_gets_the_answer(receiver: Receiver) -> None:
    """A body over the limit is answered with 413, not cut off while it is being sent."""
    with plain(receiver.port)() as connection:
        connection.sendall(signed(b"x" * 6_000_000))
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_stalled_client_is_let_go(tmp_path: Path) -> None:
    """A client that stops in the middle of its body does not hold a thread for ever."""
    with (
        Receiver(tmp_path / "home", LOADER_WORKERS="1", LOADER_THREADS="1") as receiver,
        socket.create_connection(("127.0.0.1", receiver.port), timeout=30) as stalled,
    ):
        stalled.sendall(signed(b"x" * 100)[:-50])
        time.sleep(0.3)
        waited = drive(lambda: receiver.port, 1, iter([("w", signed(event("w")))]))
        assert waited.answers == {200: 1}
        assert 2 < waited.seconds < 20


def test_clients_that_do_not_leave_hold_up_nobody(tmp_path: Path) -> None:
    """Whoever keeps a connection open that has had its last answer delays no one else."""
    with Receiver(tmp_path / "home", LOADER_WORKERS="1") as receiver, ExitStack() as staying:
        for _ in range(20):
            connection = socket.create_connection(("127.0.0.1", receiver.port), timeout=30)
            staying.enter_context(connection)
            connection.sendall(b"no request\r\n\r\n")
        time.sleep(0.5)
        waited = drive(lambda: receiver.port, 1, iter([("w", signed(event("w")))]))
        assert waited.answers == {200: 1}
        assert waited.seconds < 5


def test_starts_quickly_and_says_one_line(tmp_path: Path) -> None:
    """The receiver listens within a few seconds; stdout holds that one line and nothing else."""
    started = time.monotonic()
    receiver = Receiver(tmp_path / "home").start()
    took = time.monotonic() - started
    receiver.process.send_signal(signal.SIGTERM)
    rest, _ = receiver.process.communicate(timeout=20)
    assert receiver.process.returncode == 0
    assert rest.replace("stopped\n", "") == ""
    assert took < 8


def test_stop_while_starting(tmp_path: Path) -> None:
    """A stop that comes while the workers are being born is not lost on them."""
    took = []
    for turn in range(6):
        receiver = Receiver(tmp_path / "home").start()
        time.sleep(turn * 0.006)
        started = time.monotonic()
        assert receiver.stop() == 0
        took.append(time.monotonic() - started)
    assert max(took) < 10


def test_a_stop_waits_for_who_is_sending(tmp_path: Path) -> None:
    """A client that is in the middle of its body when the server is stopped gets its answer."""
    request = signed(event("slow"))
    with Receiver(tmp_path / "home") as receiver, plain(receiver.port)() as slow:
        slow.sendall(request[:-5])
        time.sleep(0.3)
        receiver.process.send_signal(signal.SIGTERM)
        time.sleep(2.5)
        slow.sendall(request[-5:])
        assert slow.recv(65536).startswith(b"HTTP/1.1 200 ")
    assert set(stored(receiver.home)) == {"slow"}


def test_health_is_refused_first_while_stopping(tmp_path: Path) -> None:
    """Told to stop, the receiver answers ``/healthz`` with 503 while it serves who is there."""
    with Receiver(tmp_path / "home") as receiver, plain(receiver.port)() as asking:
        asking.sendall(b"GET /healthz HTTP/1.1\r\nHost: here\r\n")
        time.sleep(1)
        receiver.process.send_signal(signal.SIGTERM)
        time.sleep(1)
        asking.sendall(b"\r\n")
        answer = asking.makefile("rb").read()  # the head may come before the rest

    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"shutting down" in answer


def test_interrupt_stops_as_gently(tmp_path: Path) -> None:
    """Ctrl-C, which reaches every process of the terminal, drains as SIGTERM does."""
    receiver = Receiver(tmp_path / "home").start()
    names = (f"i-{number}" for number in range(10**6))
    told: set[str] = set()
    interrupted = [False]

    def go_on() -> bool:
        if len(told) > 200 and not interrupted[0]:
            os.killpg(receiver.process.pid, signal.SIGINT)
            interrupted[0] = True
        return not interrupted[0]

    drive(
        lambda: receiver.port,
        8,
        ((name, signed(event(name))) for name in names),
        answered=lambda name, status: told.add(name) if status == 200 else None,
        meanwhile=go_on,
    )
    receiver.process.communicate(timeout=20)
    assert receiver.process.returncode == 0
    # Before anybody reads: a reader seals what a dead writer left.
    assert list((receiver.home / "spool").rglob("*.active")) == []
    assert set(stored(receiver.home)) == told


def test_killed_worker_is_replaced(tmp_path: Path) -> None:
    """When a worker dies the others go on, and a new one takes its place."""
    with Receiver(tmp_path / "home") as receiver:
        while len(workers := receiver.workers()) < 2:
            time.sleep(0.05)
        os.kill(workers[0], signal.SIGKILL)
        drive(lambda: receiver.port, 4, ((f"k-{n}", signed(event(f"k-{n}"))) for n in range(200)))
        deadline = time.monotonic() + 10
        while len(receiver.workers()) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(receiver.workers()) == 2


@pytest.mark.parametrize("name", ["SIGHUP", "SIGUSR2", "SIGUSR1", "SIGWINCH"])
def test_other_signals_do_no_harm(tmp_path: Path, name: str) -> None:
    """A hang-up replaces the workers, and no other signal stops the service either."""
    with Receiver(tmp_path / "home") as receiver:
        drive(lambda: receiver.port, 4, ((f"a-{n}", signed(event(f"a-{n}"))) for n in range(20)))
        before = receiver.workers()
        os.kill(receiver.process.pid, signal.Signals[name])
        deadline = time.monotonic() + 15
        while name == "SIGHUP" and set(before) & set(receiver.workers()):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        made = ((f"b-{n}", signed(event(f"b-{n}"))) for n in range(20))
        assert drive(lambda: receiver.port, 4, made).answers == {200: 20}
    assert len(stored(receiver.home)) == 40


def test_workers_do_not_outlive_a_killed_server(tmp_path: Path) -> None:
    """When the server process is killed its workers seal what they have and go."""
    receiver = Receiver(tmp_path / "home").start()
    drive(lambda: receiver.port, 4, ((f"o-{n}", signed(event(f"o-{n}"))) for n in range(50)))
    workers = receiver.workers()
    os.kill(receiver.process.pid, signal.SIGKILL)
    receiver.process.wait()
    deadline = time.monotonic() + 10
    while any(_lives(pid) for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [pid for pid in workers if _lives(pid)] == []
    assert len(stored(receiver.home)) == 50


def test_busy_connections_do_not_keep_a_killed_server_s_address(tmp_path: Path) -> None:
    """A server that is killed under traffic has soon left its address to a new one."""
    receiver = Receiver(tmp_path / "home").start()
    while len(workers := receiver.workers()) < 2:
        time.sleep(0.05)
    acknowledged: set[str] = set()

    def alive() -> bool:
        return any(_lives(pid) for pid in workers)

    def answered(name: str, status: int) -> None:
        if status == 200:
            acknowledged.add(name)
            if receiver.process.poll() is None and len(acknowledged) > 50:
                receiver.process.kill()

    made = ((f"busy-{n}", signed(event(f"busy-{n}"))) for n in count())
    drive(lambda: receiver.port, 4, made, seconds=10, answered=answered, meanwhile=alive)
    assert not alive()
    with Receiver(tmp_path / "home", port=receiver.port):
        assert acknowledged <= set(stored(receiver.home))


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("environ", "word"),
    [
        ({}, "LOADER_SECRETS"),
        ({"LOADER_SECRETS": ""}, "LOADER_SECRETS"),
        ({"LOADER_SECRETS": "short"}, "shorter"),
        ({"LOADER_SECRETS": SECRETS[0], "LOADER_HOME": "/proc/nowhere"}, "LOADER_HOME"),
    ],
)
def test_refuses_to_start(tmp_path: Path, environ: dict[str, str], word: str) -> None:
    """Without a usable secret or place to write, one clear line and exit code 1."""
    done = run(tmp_path, "--port", "0", **environ)
    assert (done.returncode, done.stdout) == (1, "")
    assert word in done.stderr and done.stderr.count("\n") == 1


def test_taken_port_is_said_at_once(tmp_path: Path) -> None:
    """When another process listens there already, one clear line says so, without waiting."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run(tmp_path, "--port", port, LOADER_SECRETS=SECRETS[0])
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert f"127.0.0.1:{port} (Address already in use): choose another" in done.stderr


def test_counts_of_a_killed_server_do_not_pile_up(tmp_path: Path) -> None:
    """A server that was killed leaves its counters behind; the next one clears them away."""
    receiver = Receiver(tmp_path / "home").start()
    left = _counts(receiver.process.pid)
    receiver.kill()
    assert [path.is_dir() for path in left] == [True]
    with Receiver(tmp_path / "home") as following:
        assert [path.is_dir() for path in left] == [False]
        left = _counts(following.process.pid)
    assert [path.is_dir() for path in left] == [False]


def test_counts_of_a_living_server_are_left_alone(tmp_path: Path) -> None:
    """Another server takes the counts of no living one, in whatever namespace that counts pids."""
    inside = [*namespace("-p", "-f", "--mount-proc"), sys.executable, "-m", "loader", "serve"]
    with Receiver(tmp_path / "home") as receiver:
        other = Receiver(tmp_path / "other", command=inside).start()
        assert answers(other.port) == 200
        other.kill()
        assert [path.is_dir() for path in _counts(receiver.process.pid)] == [True]


def test_servers_that_start_together_leave_each_other_their_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One that is between making and holding them makes others where they have been removed."""
    monkeypatch.setattr(server, "_memory_directory", lambda: str(tmp_path))
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "")
    holding, meanwhile = fcntl.flock, iter([True, False])

    def flock(held: int, how: int) -> None:
        if next(meanwhile, False):
            server._forget_the_dead()
        holding(held, how)

    monkeypatch.setattr(server.fcntl, "flock", flock)
    made = server._counts()
    server._forget_the_dead()

    assert [str(path) for path in tmp_path.iterdir()] == [made]


def test_counting_never_stops_receiving(tmp_path: Path) -> None:
    """Where the counts were swept away, /metrics answers all the same, and workers start."""
    with Receiver(tmp_path / "home") as receiver:
        (swept,) = _counts(receiver.process.pid)
        shutil.rmtree(swept)
        told = urlopen(f"http://127.0.0.1:{receiver.port}/metrics").read()
        (before, *_) = workers = receiver.workers()
        os.kill(before, signal.SIGKILL)
        while receiver.workers() == workers or len(receiver.workers()) < len(workers):
            time.sleep(0.05)
        time.sleep(1)
        answered = [answers(receiver.port) for _ in range(20)]

        assert b"loader_appended_events_total" in told
        assert answered == [200] * 20


@pytest.mark.parametrize("left", [0, 8192])
def test_memory_that_is_full_stops_no_receiver(tmp_path: Path, left: int) -> None:
    """A full /dev/shm costs the counts of other workers, and no event."""
    fill = (
        "mount -t tmpfs -o size=256k full /dev/shm && "
        f'head -c $((262144 - {left})) /dev/zero > /dev/shm/fill; exec "$@"'
    )
    serve = [sys.executable, "-m", "loader", "serve"]
    command = [*namespace("-m"), "sh", "-c", fill, "sh", *serve]
    with Receiver(tmp_path / "home", command=command) as receiver:
        assert answers(receiver.port) == 200
        assert urlopen(f"http://127.0.0.1:{receiver.port}/metrics").status == 200
        assert "SIGBUS" not in receiver.log.read_text()


def answers(port: int) -> int:
    """Post one event, signed; return the status."""
    (status,) = ask(plain(port), signed(event("one")))
    return status


def _counts(pid: int) -> list[Path]:
    memory = Path("/dev/shm")  # noqa: S108
    place = memory if memory.is_dir() else Path(tempfile.gettempdir())
    return list(place.glob(f"loader-metrics-{pid}-*"))


def test_listens_on_ipv6_too(tmp_path: Path) -> None:
    """``--host ::1`` listens there and says so."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        lacks("this machine has no IPv6")
    command = [sys.executable, "-m", "loader", "serve", "--host", "::1"]
    with (
        Receiver(tmp_path / "home", command=command) as receiver,
        urlopen(f"http://[::1]:{receiver.port}/healthz") as answer,
    ):
        assert answer.status == 200


def test_receives_without_the_calls_that_only_linux_has(tmp_path: Path) -> None:
    """Where the system has no posix_fallocate and no fdatasync, as macOS, it receives as well."""
    code = "import os; del os.posix_fallocate, os.fdatasync; from loader.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "serve", "--port", "0"],
        env={**os.environ, "LOADER_HOME": str(tmp_path), "LOADER_SECRETS": SECRETS[0]},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    said = process.stdout.readline() if process.stdout else ""
    try:
        assert answers(int(said.rpartition(":")[2])) == 200
    finally:
        process.terminate()
        process.communicate()
