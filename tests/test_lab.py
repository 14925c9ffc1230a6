"""JupyterLab on the working copy: a real server, a real browser, no network."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest
from click.testing import CliRunner

from loader import lab
from loader.cli import cli
from loader.errors import ReportError
from loader.kernel import kernel_environment
from loader.lab import copy_notebooks, lab_command
from loader.whole import written
from tests.pages import NOTEBOOKS, browse, hostile_home

LATER = (
    '{"kind":"delivered","recipient":"a@b.example","message_id":"<m@b.example>",'
    '"timestamp":"2026-11-04T10:00:00Z"}\n'
)
Seen = dict[str, Any]
CHARTS = {"00": 1, "01": 3, "02": 4, "03": 2, "04": 2, "05": 4, "06": 1, "07": 3, "08": 1}
PICKS = "02_campaign.ipynb"


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """What a browser without network saw in JupyterLab, beside a loader that follows the spool."""
    settings = hostile_home(tmp_path_factory.mktemp("home"))
    folder = settings.home / "notebooks"
    list(copy_notebooks(folder))
    environ = kernel_environment(settings, os.environ)
    follower = subprocess.Popen(
        [sys.executable, "-m", "loader", "ingest", "--follow"],
        env={**os.environ, "LOADER_HOME": str(settings.home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        return browse(
            do="lab",
            environ=environ,
            command=list(lab_command(folder, browser=False, host="127.0.0.1", port=None)),
            folder=str(folder),
            names=[path.name for path in NOTEBOOKS],
            picks=PICKS,
            arrives={"path": str(settings.spool / "later.jsonl"), "text": LATER},
        )
    finally:
        follower.terminate()
        follower.wait(30)


@pytest.mark.browser
def test_lab_draws_every_notebook_without_network(seen: Seen) -> None:
    """Run All draws each chart of all nine, and nothing fails, asks the network or complains."""
    assert seen["requests"] == seen["failed"] == seen["errors"] == []
    assert {name[:2]: ran["drawn"] for name, ran in seen["ran"].items()} == {
        name: [number, number] for name, number in CHARTS.items()
    }
    assert {ran["cells_failed"] for ran in seen["ran"].values()} == {0}
    assert {ran["pwned"] for ran in seen["ran"].values()} == {None}


@pytest.mark.browser
def test_dollar_signs_of_a_name_stay(seen: Seen) -> None:
    """What stands between dollar signs in a text from outside is shown, not set as a formula."""
    assert {ran["formulas"] for ran in seen["ran"].values()} == {0}


@pytest.mark.browser
def test_picking_a_campaign_draws_it(seen: Seen) -> None:
    """Another campaign picked from the list is drawn in place of the first."""
    picked = seen["ran"][PICKS]["picked"]

    assert picked["heading"] != seen["ran"][PICKS]["heading"]
    assert picked["heading"][:20] in picked["option"]
    assert picked["drawn"] == [4, 4]
    assert picked["cells_failed"] == 0


@pytest.mark.browser
def test_running_again_tells_what_was_loaded_meanwhile(seen: Seen) -> None:
    """Beside `loader ingest --follow` an open notebook locks nothing and, run again, is newer."""
    before, after = (_events(said) for said in seen["ran"][NOTEBOOKS[0].name]["again"])

    assert after == before + 1


def _events(said: str) -> int:
    return int(said.split(" events", maxsplit=1)[0].replace(",", ""))


@pytest.mark.browser
def test_the_labs_own_export_draws_without_network(seen: Seen, tmp_path: Path) -> None:
    """A notebook, exported by the Lab menu's HTML export, draws every chart by itself."""
    exported = tmp_path / "export.html"
    exported.write_text(seen["export"], "utf-8")
    page = browse(do="look", pages=[str(exported)])[str(exported)]

    assert page["drawn"] == page["charts"] == 4
    assert page["requests"] == page["failed"] == page["errors"] == []
    assert page["pwned"] is None


def test_the_working_copy_follows_ours_and_keeps_yours(tmp_path: Path) -> None:
    """A copied notebook is renewed when ours changes, unless its own cells were changed."""
    folder = tmp_path / "notebooks"
    first = list(copy_notebooks(folder))
    yours, ours = folder / NOTEBOOKS[0].name, folder / NOTEBOOKS[1].name
    _edit(yours, "# mine now?")
    _run(ours)
    kept = list(copy_notebooks(folder))

    assert first == []
    assert [name for name in kept if yours.name in name] == kept
    assert "# mine now?" in yours.read_text("utf-8")
    assert '"outputs": []' not in ours.read_text("utf-8")
    assert yours.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("when", ["written", "_cells"])
def test_two_that_open_the_notebooks_together_copy_them_whole(
    when: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A notebook that another command is renewing is none that the user changed."""
    list(copy_notebooks(tmp_path))
    ours, ledger = tmp_path / NOTEBOOKS[0].name, tmp_path / ".copied" / "00_start_here.json"
    _edit(ours, "# of an earlier version")
    ledger.write_text(json.dumps(lab._cells(ours)), "utf-8")
    others = iter([tmp_path])
    said: list[str] = []

    @contextmanager
    def half_written(path: Path) -> Iterator[IO[bytes]]:
        with written(path) as file:
            said.extend(sentence for folder in others for sentence in copy_notebooks(folder))
            yield file

    def looked_at(path: Path) -> list[str]:
        found = cells(path)
        if path == ours:
            said.extend(sentence for folder in others for sentence in copy_notebooks(folder))
        return found

    cells = lab._cells
    monkeypatch.setattr(lab, when, half_written if when == "written" else looked_at)
    said.extend(copy_notebooks(tmp_path))

    assert (list(others), said) == ([], [])
    assert ours.read_bytes() == NOTEBOOKS[0].read_bytes()


def _edit(path: Path, text: str) -> None:
    document = json.loads(path.read_text("utf-8"))
    document["cells"][0]["source"] = text
    path.write_text(json.dumps(document), "utf-8")


def _run(path: Path) -> None:
    document = json.loads(path.read_text("utf-8"))
    for cell in document["cells"]:
        if cell["cell_type"] == "code":
            cell["execution_count"] = 1
            cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "x"}]
    path.write_text(json.dumps(document), "utf-8")


def test_lab_ends_with_the_command_that_opened_it(tmp_path: Path) -> None:
    """SIGTERM to `loader notebooks` stops JupyterLab too: nothing of it is left behind.

    Until then it has said the address, and of its extensions nothing.
    """
    environ = {**os.environ, "LOADER_HOME": str(tmp_path), "JUPYTER_RUNTIME_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "loader", "notebooks", "--no-browser", "--port", "0"]
    log = tmp_path / "log"
    with log.open("wb") as said:
        started = subprocess.Popen(command, env=environ, stderr=said)
    running = _wait_for(tmp_path, "jpserver-*-open.html")
    server = json.loads(_wait_for(tmp_path, "jpserver-*.json").read_text("utf-8"))["pid"]
    started.terminate()
    started.wait(30)

    assert server != started.pid
    assert str(running) in log.read_text("utf-8") and "[I " not in log.read_text("utf-8")
    with pytest.raises(ProcessLookupError):
        os.kill(server, 0)


def _wait_for(folder: Path, pattern: str) -> Path:
    for _ in range(600):
        found = [path for path in folder.glob(pattern) if path.stat().st_size]
        if found:
            return found[0]
        time.sleep(0.1)
    raise AssertionError(f"no {pattern} after a minute")


@pytest.mark.parametrize("text", [b"", b"\xff\xfe", b'{"cells": 3}', b"[]", b"3"])
def test_what_is_no_notebook_is_kept(tmp_path: Path, text: bytes) -> None:
    """A file that reads as no notebook, and one whose copying a crash cut short, is kept."""
    list(copy_notebooks(tmp_path))
    (tmp_path / NOTEBOOKS[0].name).write_bytes(text)
    (tmp_path / ".copied" / f"{NOTEBOOKS[1].stem}.json").write_bytes(text)
    changed = (tmp_path / NOTEBOOKS[1].name).read_text("utf-8").replace("# ", "# Mine: ", 1)
    (tmp_path / NOTEBOOKS[1].name).write_text(changed, "utf-8")

    said = [sentence.split(" is kept ")[0] for sentence in copy_notebooks(tmp_path)]

    assert said == [NOTEBOOKS[0].name, NOTEBOOKS[1].name]
    assert (tmp_path / NOTEBOOKS[0].name).read_bytes() == text


@pytest.mark.parametrize(("host", "port"), [("192.0.2.1", "0"), ("no-such-host.invalid", "8888")])
def test_an_address_that_nobody_can_have_is_told(tmp_path: Path, host: str, port: str) -> None:
    """Where JupyterLab cannot listen, that is one sentence and not its traces."""
    command = ["notebooks", "--no-browser", "--host", host, "--port", port]
    done = CliRunner().invoke(cli, command, env={"LOADER_HOME": str(tmp_path)})

    assert isinstance(done.exception, ReportError)
    assert str(done.exception).startswith(f"cannot listen on {host}:{port} (")


def test_lab_that_is_stopped_while_it_starts_has_not_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGTERM that comes before JupyterLab hears of it stops it all the same, and is no error."""
    monkeypatch.setattr("loader.lab.lab_command", lambda *_, **__: ["sh", "-c", "kill $$"])
    monkeypatch.setattr("signal.signal", lambda *_: None)  # this process is not the command
    done = CliRunner().invoke(
        cli,
        ["notebooks", "--no-browser", "--port", "0", "--json"],
        env={"LOADER_HOME": str(tmp_path)},
    )

    assert (done.exit_code, json.loads(done.stdout)) == (0, {"exit_code": 0})


def test_lab_serves_one_folder_behind_a_token(tmp_path: Path) -> None:
    """The command serves the working copy only, and leaves Jupyter's own token in force."""
    command = lab_command(tmp_path, browser=False, host="::1", port=1)

    assert f"--ServerApp.root_dir={tmp_path}" in command
    assert "--no-browser" in command
    assert not [word for word in command if "token" in word]
