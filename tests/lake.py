"""A PostgreSQL of one's own and an S3 store of one's own, for tests of the lake."""

import json
import os
import pwd
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from loader.settings import Settings, load_settings
from tests.conftest import require
from tests.ports import free_port

PASSWORD = "kept-out-of-sight"
_USER = "loader"


def server_program(name: str) -> str:
    """Return the path of a program of PostgreSQL's server, which Debian keeps off PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(found[-1]) if found else require(name)


@dataclass(frozen=True)
class Postgres:
    """A cluster that runs on a port of its own."""

    directory: Path
    port: int
    fsync: bool = False
    """A crash of the server is tried in tests, one of the machine is not."""

    def dsn(self, database: str) -> str:
        """Return a DSN with its password."""
        return f"host=127.0.0.1 port={self.port} user={_USER} password={PASSWORD} dbname={database}"

    def database(self) -> str:
        """Return the DSN of a new database."""
        name = f"lake_{secrets.token_hex(4)}"
        with psycopg.connect(self.dsn("postgres"), autocommit=True) as con:
            con.execute(f"create database {name}")
        return self.dsn(name)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = f"-p {self.port} -k {self.directory} -c listen_addresses=127.0.0.1"
        options += f" -c fsync={'on' if self.fsync else 'off'}"
        log = str(self.directory / "log")
        _as_server("pg_ctl", "-D", self._data, "-o", options, "-l", log, "-w", "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop it; ``immediate`` is what a crash is: nothing is written any more."""
        _as_server("pg_ctl", "-D", self._data, "-m", mode, "-w", "stop")

    @property
    def _data(self) -> str:
        return str(self.directory / "data")


@contextmanager
def running_postgres(fsync: bool = False) -> Iterator[Postgres]:
    """Make a cluster, run it, remove it."""
    server_program("initdb")
    directory = Path(tempfile.mkdtemp(prefix="lake-postgres-"))
    cluster = Postgres(directory, free_port(), fsync)
    try:
        password = directory / "password"
        password.write_text(PASSWORD)
        if os.geteuid() == 0:
            _give(directory, password)
        data = str(directory / "data")
        how = ("-A", "scram-sha-256", "-U", _USER, f"--pwfile={password}", "--no-sync")
        _as_server("initdb", "-D", data, *how)
        cluster.start()
        yield cluster
    finally:
        with suppress(subprocess.CalledProcessError):
            cluster.stop("immediate")
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def running_s3(bucket: str) -> Iterator[dict[str, str]]:
    """Run an S3 store with one bucket; yield the environment of those who use it."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    url = f"http://127.0.0.1:{port}"
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=quiet, stderr=quiet) as server:
        try:
            _wait_for(url)
            import boto3

            environ = {
                "AWS_ENDPOINT_URL": url,
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": PASSWORD,
                "AWS_REGION": "us-east-1",
            }
            client = boto3.client(
                "s3",
                endpoint_url=url,
                region_name="us-east-1",
                aws_access_key_id="test",
                aws_secret_access_key=PASSWORD,
            )
            client.create_bucket(Bucket=bucket)
            yield environ
        finally:
            server.terminate()


def settings_of(home: Path, dsn: str, data: str, **more: str) -> Settings:
    """Return the settings of a loader whose spool is in ``home`` and whose lake is ``dsn``."""
    return load_settings(environment(home, dsn, data, **more), home)


def environment(home: Path, dsn: str, data: str, **more: str) -> dict[str, str]:
    """Return the same settings as environment variables."""
    return {
        "LOADER_HOME": str(home),
        "LOADER_SECRETS": "simulated-secret",
        "LOADER_WAREHOUSE": f"ducklake:postgres:{dsn}",
        "LOADER_LAKE_DATA": data,
        **more,
    }


def start_loader(environ: Mapping[str, str], *arguments: str) -> subprocess.Popen[str]:
    """Start the command ``loader`` in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "loader", *arguments],
        env={**os.environ, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def answer(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Wait for a loader that was asked for JSON; return what it says."""
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    said: dict[str, Any] = json.loads(out)
    return said


def _give(*paths: Path) -> None:
    account = pwd.getpwnam("postgres")
    for path in paths:
        os.chown(path, account.pw_uid, account.pw_gid)


def _as_server(program: str, *arguments: str) -> None:
    """Run a program of PostgreSQL's as its own user: it refuses to run as root."""
    user = "postgres" if os.geteuid() == 0 else None
    subprocess.run(
        [server_program(program), *arguments],
        check=True,
        user=user,
        group=user,
        cwd="/",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(url, timeout=1).close()  # noqa: S310 - our own
            return
        except OSError:
            assert time.monotonic() < deadline, f"{url} does not answer"
            time.sleep(0.1)
