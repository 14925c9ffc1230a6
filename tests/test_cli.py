"""What the command line promises to people and scripts."""

import io
import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import sysconfig
import time
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import CliRunner

from loader.cli import cli, main
from loader.progress import shown
from tests.conftest import lacks, require
from tests.provider import BOUNCE, bare, drop, home

ROOT = Path(__file__).parents[1]
SECRET = "a-secret-of-the-tests"
BUFFERED = {"PYTHONUNBUFFERED": ""}
"""Streams as most users have them, whatever this machine sets."""


def loader(home: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run ``loader`` as a user would, in a directory without settings."""
    home.mkdir(exist_ok=True)
    kept = {key: value for key, value in os.environ.items() if not key.startswith("LOADER_")}
    return subprocess.run(
        [sys.executable, "-m", "loader", *arguments],
        cwd=home,
        env=kept | {"LOADER_HOME": str(home), "LOADER_SECRETS": SECRET} | environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_every_command_shows_an_example_and_is_in_the_readme(name: str) -> None:
    """Every command's help ends in an example to paste, offers --json, and the README names it."""
    asked = [name, "--help"]
    shown = CliRunner().invoke(cli, asked, prog_name="loader", env={"COLUMNS": "40"})
    example = shown.stdout.splitlines()[-1]

    assert shown.exit_code == 0
    assert f"  Example: loader {name}" in example
    assert example in (cli.commands[name].epilog or "").replace("\b\n", "  ")
    assert "--json" in shown.stdout
    assert f"`loader {name}" in (ROOT / "README.md").read_text("utf-8")


@pytest.mark.parametrize(
    "arguments",
    [
        ("fetch",),
        ("serve", "--port", "eighty"),
        ("simulate",),
        ("simulate", "--spool", "--to", "http://127.0.0.1:1/webhooks/inboxroad"),
        ("simulate", "--spool", "--start", "yesterday"),
        ("report", "some-id", "--all"),
        ("sql",),
    ],
)
def test_wrong_usage_is_2(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Wrong usage exits with 2 and says so on stderr."""
    done = loader(tmp_path, *arguments)

    assert done.returncode == 2
    assert "Error: " in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ("simulate", "--spool", "--campaigns", "0"),
        ("simulate", "--spool", "--start", "2026-09-02", "--until", "2026-09-01"),
        ("simulate", "--to", "nonsense"),
        ("report", "--output", "page.docx"),
    ],
)
def test_what_cannot_be_meant_is_2_and_one_line(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Values that only a command itself can judge are wrong usage too."""
    done = loader(tmp_path, *arguments, "--json")

    assert done.returncode == 2
    assert done.stderr.startswith("loader: ") and done.stderr.count("\n") == 1
    assert done.stderr.removeprefix("loader: ").strip() == json.loads(done.stdout)["error"]


@pytest.mark.parametrize(
    ("arguments", "environ"),
    [
        (("ingest",), {"LOADER_TIMEZONE": "Mars/Olympus"}),
        (("ingest",), {"LOADER_HOME": "/proc/nowhere"}),
        (("sql", "select 1"), {}),
        (("report", "no-such-campaign"), {}),
        (("quarantine",), {}),
        (("simulate", "--to", "http://127.0.0.1:1/webhooks/nobody"), {}),
        (("simulate", "--to", "http://user:pass@127.0.0.1/webhooks/nobody?x=y"), {}),
        (("serve", "--port", "0", "--host", "x" * 80), {}),
        (("sql", "select 'infinity'::timestamp", "--csv"), {}),
        (("sql", "select '\udcff'"), {}),
    ],
)
def test_a_failure_is_one_clear_line(
    tmp_path: Path, arguments: tuple[str, ...], environ: dict[str, str]
) -> None:
    """What cannot be done exits with 1 and one line on stderr: no traceback, no secret."""
    done = loader(tmp_path, *arguments, **environ)

    assert done.returncode == 1, done.stderr
    lines = [line for line in done.stderr.splitlines() if not line.startswith('{"time"')]
    assert len([line for line in lines if line.startswith("loader: ")]) == 1
    assert "Traceback" not in done.stderr
    assert SECRET not in done.stderr and "pass@" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        (("status",), "spool/expired.log"),
        (("verify",), "spool"),
        (("quarantine",), "warehouse.duckdb"),
        (("sql", "select 1"), "warehouse.duckdb"),
        (("report",), "warehouse.duckdb"),
        (("serve", "--port", "0"), "spool"),
    ],
)
def test_another_user_is_told_what_to_do(
    tmp_path: Path, arguments: tuple[str, ...], place: str
) -> None:
    """Who may not read the home is told so of the first place in it, and what to do about it."""
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(0)
    done = as_nobody(home, *arguments)

    assert done.returncode == 1
    assert f"this user may not read or write {home}/{place}" in done.stderr
    assert done.stderr.endswith(": run as the user of the service, or let it.\n")


def test_a_warehouse_of_another_user_is_told(tmp_path: Path) -> None:
    """A published warehouse that this user may not read is not said to need publishing."""
    loader(tmp_path, "ingest")
    (tmp_path / "warehouse.duckdb").chmod(0)
    done = as_nobody(tmp_path, "sql", "select 1")

    assert done.stderr == (
        f"loader: this user may not read {tmp_path}/warehouse.duckdb: run as the user of the "
        "service, or let it.\n"
    )


def test_a_report_is_refused_before_the_work(tmp_path: Path) -> None:
    """Who may not write where the page would stand is told before it is made, not after."""
    (tmp_path / "reports").mkdir(mode=0o500)
    done = as_nobody(tmp_path, "report")

    assert done.returncode == 1
    assert "1 of 1" not in done.stderr
    assert done.stderr.endswith(
        f"loader: this user may not write in {tmp_path}/reports: choose another --output.\n"
    )


def test_what_the_system_says_is_told(tmp_path: Path) -> None:
    """Where a file cannot be made it is said why, in the system's own words."""
    done = loader(tmp_path, "ingest", LOADER_WAREHOUSE="w" * 250)

    assert done.returncode == 1
    assert f"{'w' * 250} cannot be loaded (File name too long): " in done.stderr


def test_every_key_of_json_is_documented(tmp_path: Path) -> None:
    """docs/json.md names each key that --json prints, and none that it does not."""
    text = (ROOT / "docs" / "json.md").read_text("utf-8")
    table = re.findall(r"^\| (.*?) \| (.*) \|$", text, re.MULTILINE)
    documented = [(row, set(re.findall(r"`(\w+)`", keys))) for row, keys in table]
    printed = {
        name: json.loads(loader(tmp_path, *shlex.split(command), "--json").stdout)
        for name, command in {
            "`loader simulate`": "simulate --spool --messages 1000 --campaigns 3",
            "`loader ingest`": "ingest",
            "`loader status`": "status",
            "`loader quarantine`": "quarantine",
            "… with `--retry`": "quarantine --retry",
            "`loader verify`": "verify",
            "`loader sql`": "sql 'select 1'",
            "… with `--parquet`": "sql 'select 1' --parquet x.parquet",
        }.items()
    }
    status, retried = printed["`loader status`"], printed["… with `--retry`"]
    printed |= {f"… its `{part}`": status[part] for part in ("spool", "last_load", "events")}
    printed["… its `retried`"] = retried["retried"]
    printed["… one of its `reasons`"] = retried["reasons"][0]

    assert {name: set(keys) for name, keys in printed.items()} == {
        row: keys for row, keys in documented if row in printed
    }
    assert {f"`loader {name}`" for name in cli.commands} <= {
        name for row, _ in documented for name in row.split(", ")
    }


def test_an_address_that_names_no_webhook_is_told(tmp_path: Path) -> None:
    """Who posts to a receiver's host is told how its address ends, not which secret is missing."""
    done = loader(tmp_path, "simulate", "--to", "http://user:pass@localhost:8003")

    assert done.stderr == (
        "loader: the address to post to does not end in /webhooks/<name>: give one such as "
        "http://localhost:8000/webhooks/inboxroad.\n"
    )


def test_one_is_not_told_as_many(tmp_path: Path) -> None:
    """What commands count is singular where it is one; a share is written as in the warnings."""
    (tmp_path / "spool").mkdir()
    common = {"recipient": "a@b.example", "message_id": "<m@b.example>"}
    for number, kind in enumerate(("delivered", "open")):
        event = {"kind": kind, "timestamp": f"2026-09-04T10:0{number}:00Z", **common}
        (tmp_path / "spool" / f"{kind}.jsonl").write_text(json.dumps(event) + "\n")
        assert loader(tmp_path, "ingest").stdout.startswith(
            "read 1 event: 1 inserted, 0 duplicates"
        )

    told = loader(tmp_path, "status").stdout
    assert "table      delivered: 1 row\n" in told
    assert "matched    100.0% of opens and clicks" in told
    assert loader(tmp_path, "sql", "select 1").stdout.endswith("\n(1 row)\n")
    simulated = loader(tmp_path, *shlex.split("simulate --spool --campaigns 1 --messages 9"))
    assert " of 1 campaign, seed 1" in simulated.stdout


def test_a_mistyped_home_does_not_look_like_success(tmp_path: Path) -> None:
    """Status begins with the whole path of the home; loading says where it looked for a spool."""
    done = loader(tmp_path, "ingest", LOADER_HOME="mistyped")
    told = loader(tmp_path, "status", LOADER_HOME="mistyped")
    (tmp_path / "mistyped" / "spool").mkdir()

    assert done.returncode == 0
    assert done.stderr.startswith(f"there is no spool at {tmp_path}/mistyped/spool yet: ")
    assert told.stdout.splitlines()[0] == f"home       {tmp_path}/mistyped"
    assert loader(tmp_path, "ingest", LOADER_HOME="mistyped").stderr == ""


def as_nobody(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``loader`` as one who may do no more than modes allow, which root may not be either."""
    plain = [require("setpriv"), "--bounding-set", "-all"] if os.geteuid() == 0 else []
    return subprocess.run(
        [*plain, sys.executable, "-m", "loader", *arguments],
        env={**os.environ, "LOADER_HOME": str(home), "LOADER_SECRETS": SECRET},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_jupyterlab_that_stops_is_a_failure(tmp_path: Path) -> None:
    """Where JupyterLab ends by an error, the last line says so, and the object of --json does."""
    (tmp_path / "file").touch()
    command = ("notebooks", "--no-browser", "--port", "0", "--json")
    done = loader(tmp_path, *command, JUPYTER_RUNTIME_DIR=str(tmp_path / "file" / "run"))

    assert done.returncode == 1
    assert done.stderr.endswith(
        "loader: JupyterLab stopped with exit code 1: its lines above say why.\n"
    )
    assert set(json.loads(done.stdout)) == {"error"}


def test_json_is_one_object_even_for_a_failure(tmp_path: Path) -> None:
    """With --json stdout is one JSON object, whether the command succeeds or fails."""
    failed = loader(tmp_path, "sql", "select 1", "--json")
    done = loader(tmp_path, "ingest", "--json")
    found = loader(tmp_path, "sql", "select 1 as one", "--json")

    assert set(json.loads(failed.stdout)) == {"error"}
    assert json.loads(done.stdout)["read"] == 0
    assert json.loads(found.stdout)["rows"] == [{"one": 1}]


def test_verify_says_how_far_it_is_in_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it runs ``loader verify`` tells the bytes done and their share, which ends at 100 %."""
    monkeypatch.setattr("loader.progress._LOG_SECONDS", 0)
    (tmp_path / "spool").mkdir()
    for name in ("a", "b", "c"):
        (tmp_path / "spool" / f"{name}.jsonl").write_text('{"kind": "open"}\n' * 100)

    done = CliRunner().invoke(cli, ["verify"], env={"LOADER_HOME": str(tmp_path)})

    assert done.exit_code == 0
    assert re.findall(r"Verifying: ([0-9,]+) bytes, (\d+)%", done.stderr) == [
        ("1,700", "33"),
        ("3,400", "67"),
        ("5,100", "100"),
    ]


def test_a_log_that_takes_nothing_ends_no_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the log's disk is full, or its reader is gone, nothing is told and work goes on."""

    class Gone(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr("loader.progress._LOG_SECONDS", 0)
    with monkeypatch.context() as gone, shown("Loading") as report:
        gone.setattr(sys, "stderr", Gone())
        report(1, 0.5)
    environ = os.environ | {"LOADER_HOME": str(tmp_path), "LOADER_CONFIG": "", **BUFFERED}
    with Path("/dev/full").open("w") as full:  # what it would note is that there is no spool
        command = [sys.executable, "-m", "loader", "ingest"]
        assert subprocess.run(command, env=environ, stderr=full, check=False).returncode == 0


@pytest.mark.parametrize("command", ["serve", "run"])
def test_json_is_one_object_of_what_runs_long(command: str, tmp_path: Path) -> None:
    """With --json the address goes to stderr, and stdout is one JSON object at the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "loader", command, "--port", "0", "--json"],
        env={**os.environ, "LOADER_HOME": str(tmp_path), "LOADER_SECRETS": SECRET},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while "listening on" not in (process.stderr.readline() if process.stderr else ""):
        assert process.poll() is None
    process.terminate()
    said, _log = process.communicate(timeout=60)

    assert json.loads(said) == {"stopped": True}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["serve", "--port", "99999"], 2),
        (["report", " "], 2),
        (["sql", "select 1", "--csv", "--json"], 2),
        (["simulate", "--spool", "--start", "9999-12-30"], 2),
        (["demo", "--home", "."], 1),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments: list[str], code: int, tmp_path: Path) -> None:
    """A port, a campaign, a year or a home that cannot be meant gets one sentence, no more."""
    (tmp_path / "spool").mkdir()
    done = loader(tmp_path, *arguments)

    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "spool").iterdir())


def test_the_wheel_runs_the_demo_outside_the_checkout(tmp_path: Path) -> None:
    """An installed wheel carries all it needs to run the whole demo, which heeds no loader.toml."""
    python = _environment_of_the_wheel(tmp_path)
    (tmp_path / "scratch").mkdir()
    real = f'LOADER_WAREHOUSE = "{tmp_path}/real/warehouse.duckdb"'
    for place in (tmp_path, tmp_path / "scratch"):
        (place / "loader.toml").write_text(real)

    done = subprocess.run(
        [python, *shlex.split("-m loader demo --campaigns 3 --messages 900 --home scratch")],
        cwd=tmp_path,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "TMPDIR": str(tmp_path),
            "JUPYTER_PATH": f"{sys.prefix}/share/jupyter",  # of the dependencies, see below
        },
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.glob("scratch/reports/*.html"))) == 2
    assert "delivery %" in done.stdout
    assert "preliminary" in done.stdout  # the newest, however many there are
    assert not (tmp_path / "real").exists()


def _environment_of_the_wheel(directory: Path) -> Path:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    build = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", directory, ROOT]
    subprocess.run([*pip, *build], check=True)
    wheel = next(directory.glob("*.whl"))
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", directory / "env"], check=True)
    python = directory / "env" / "bin" / "python"
    subprocess.run([*pip, "--python", python, "install", "--quiet", "--no-deps", wheel], check=True)
    # The wheel's own dependencies, without the checkout: a .pth beside it is not read through.
    packages = next((directory / "env" / "lib").glob("python*/site-packages"))
    (packages / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return python


@pytest.mark.parametrize("arguments", [("status",), ("ingest",), ("sql", "select 1")])
def test_streams_may_be_missing_full_or_of_another_form(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    """Closed streams, a full disk behind them and an old encoding stop no command in mid-work."""
    loader(tmp_path, "ingest")
    command = [sys.executable, "-m", "loader", *arguments]
    made = {"LOADER_HOME": str(tmp_path), "PYTHONIOENCODING": "latin-1"}
    environ = {**os.environ, **made, **BUFFERED}
    for end, wanted in ((">&- 2>&-", 0), ("2>&-", 0), ("<&-", 0), ("--json >/dev/full", 1)):
        script = shlex.join(command) + " " + end
        done = subprocess.run(
            ["sh", "-c", script], env=environ, capture_output=True, text=True, check=False
        )

        assert done.returncode == wanted, (end, done.stderr)
        assert "Traceback" not in done.stderr


def test_another_locale_changes_nothing(tmp_path: Path) -> None:
    """Under a locale that is not in UTF-8 a home is found whose name is not in ASCII."""
    if not f"{ROOT}{sys.executable}".isascii():
        lacks("Python itself does not start from this path under another locale")
    where = home(tmp_path / "höme")
    drop(where, "a.jsonl", bare(BOUNCE))
    other = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    loaded = loader(where.home, "ingest", **other)
    asked = loader(where.home, "sql", "select recipient from bounce", "--csv", **other)

    assert loaded.stderr == ""
    assert asked.stdout.splitlines() == ["recipient", BOUNCE["recipient"]]


@pytest.mark.parametrize(
    "arguments",
    [
        "ingest --rebuild",
        "simulate --spool --messages 300 --campaigns 2",
        "sql 'select range from range(9000)' --parquet x.parquet",
    ],
)
def test_a_disk_that_takes_no_more_is_told(tmp_path: Path, arguments: str) -> None:
    """What cannot be written is told in one line, and no half of a file is left."""
    loader(tmp_path, "ingest")
    done = subprocess.run(
        ["sh", "-c", f"ulimit -f 1; exec {shlex.quote(sys.executable)} -m loader {arguments}"],
        cwd=tmp_path,
        env={**os.environ, "LOADER_HOME": str(tmp_path), "LOADER_SECRETS": SECRET},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert re.fullmatch("loader: .*: (free|name|mend) .*\n", done.stderr)
    assert not [*tmp_path.glob(".written-*"), *tmp_path.glob("*.parquet")]


def test_links_in_a_circle_are_told(tmp_path: Path) -> None:
    """Where what is to be written is a link to itself, that is told in one line."""
    (tmp_path / "circle.parquet").symlink_to("circle.parquet")
    loader(tmp_path, "ingest")
    done = loader(tmp_path, "sql", "select 1", "--parquet", "circle.parquet")

    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch("loader: .*circle.parquet.*\n", done.stderr)


def test_no_event_steers_the_terminal(tmp_path: Path) -> None:
    """Whatever text an event carries, no command lets it move, colour or turn what is shown."""
    steering = "\x1b]0;title\x07\x1b[2J\x9b31m\x7f\u202e\u2067"
    event = BOUNCE | {"bounce_type": steering, "sync_type": steering, "dsn_status": steering}
    drop(home(tmp_path), f"{steering}.jsonl", bare(event), b"no event\n")
    loader(tmp_path, "ingest")
    ask = "select dsn_status from bounce"
    for arguments in (
        ("status",),
        ("status", "--json"),
        ("quarantine",),
        ("quarantine", "--json"),
        ("verify",),
        ("sql", ask),
        ("sql", ask, "--csv"),
        ("sql", ask, "--json"),
        ("sql", ask.replace("dsn_status", "dsn_status::integer")),
        ("sql", f"pivot ({ask}) on dsn_status using count(*)"),
    ):
        shown = on_a_terminal(tmp_path, *arguments)

        assert len(shown) > 10
        assert not re.search(r"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\u202e\u2067]", shown), arguments


def on_a_terminal(home: Path, *arguments: str) -> str:
    """Run ``loader`` with a terminal behind stdout and stderr; return what that is told."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "loader", *arguments],
        env={**os.environ, "LOADER_HOME": str(home), "TERM": "dumb"},
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    told = b""
    with open(ours, "rb", buffering=0) as screen, suppress(OSError):  # noqa: PTH123
        while part := screen.read(65536):  # an error is how a terminal says that nobody writes
            told += part
    process.wait()
    return told.decode()


def test_an_interrupted_query_ends_at_once(tmp_path: Path) -> None:
    """Ctrl-C ends a long query in a moment, with one line and no trace; with --json an object."""
    loader(tmp_path, "ingest")
    query = "select count(*) from range(300000) a, range(300000) b where (a.range*7+b.range)%13=7"
    process = subprocess.Popen(
        [sys.executable, "-m", "loader", "sql", query, "--json"],
        env={**os.environ, "LOADER_HOME": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(3)
    process.send_signal(signal.SIGINT)
    started = time.monotonic()
    answer, said = process.communicate(timeout=60)

    assert time.monotonic() - started < 5
    assert process.returncode == 1
    assert said.strip() == "loader: stopped."
    assert json.loads(answer) == {"error": "stopped."}


def test_what_fails_because_it_is_stopped_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An error that a library raises while it ends for Ctrl-C is no error of its own."""

    def ending(**_options: object) -> None:
        try:
            raise KeyboardInterrupt
        finally:
            raise RuntimeError("Event loop stopped before Future completed.")

    monkeypatch.setattr("loader.cli.cli", ending)
    with pytest.raises(SystemExit) as ended:
        main()

    assert (ended.value.code, capsys.readouterr().err) == (1, "loader: stopped.\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_report_that_is_stopped_leaves_nothing(tmp_path: Path, number: int) -> None:
    """Told to stop, ``loader report`` takes its temporary files with it: they hold addresses."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "loader", "report"],
        env={**os.environ, "LOADER_HOME": str(tmp_path), "TMPDIR": str(scratch)},
        stderr=subprocess.PIPE,
        text=True,
        # Whom nohup started ignores one of them.
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),  # noqa: PLW1509
    )
    while "1 of 1" not in (process.stderr.readline() if process.stderr else ""):
        assert process.poll() is None
    assert list(scratch.iterdir())
    process.send_signal(number)
    _out, said = process.communicate(timeout=60)

    assert process.returncode == 1
    # Its kernel, where it was not told to end, says that it sees its parent gone.
    assert "loader: stopped." in said.splitlines() and "Traceback" not in said
    assert list(scratch.iterdir()) == []
