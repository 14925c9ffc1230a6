"""JupyterLab on the working copy: a real server, a real browser, no network."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from loader.kernel import kernel_environment
from loader.lab import copy_notebooks, lab_command
from tests.pages import NOTEBOOKS, browse, hostile_home


@pytest.mark.browser
def test_lab_draws_picks_and_exports_without_network(
    tmp_path: Path,
) -> None:
    """Run All draws each chart, another campaign is picked, and the menu's export draws too."""
    settings = hostile_home(tmp_path / "home")
    folder = settings.home / "notebooks"
    list(copy_notebooks(folder))
    command = lab_command(folder, browser=False, host="127.0.0.1", port=None)
    seen = browse(
        do="lab",
        environ=kernel_environment(settings, os.environ),
        command=list(command),
        folder=str(folder),
        name="02_campaign.ipynb",
        shot=str(tmp_path / "lab.png"),
    )
    exported = tmp_path / "export.html"
    exported.write_text(seen.pop("export"), "utf-8")
    page = browse(do="look", pages=[str(exported)])[str(exported)]

    assert seen["requests"] == seen["failed"] == seen["errors"] == []
    assert seen["cells_failed"] == 0
    assert seen["drawn"] == seen["drawn_again"] == [4, 4]
    assert seen["first"] != seen["picked"]
    assert seen["picked"][:20] in seen["option"]
    assert seen["pwned"] is None
    assert seen["export_status"] == 200
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
    """SIGTERM to `loader notebooks` stops JupyterLab too: nothing of it is left behind."""
    environ = {**os.environ, "LOADER_HOME": str(tmp_path), "JUPYTER_RUNTIME_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "loader", "notebooks", "--no-browser", "--port", "0"]
    started = subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL)
    running = _wait_for(tmp_path, "jpserver-*.json")
    server = json.loads(running.read_text("utf-8"))["pid"]
    started.terminate()
    started.wait(30)

    assert server != started.pid
    with pytest.raises(ProcessLookupError):
        os.kill(server, 0)


def _wait_for(folder: Path, pattern: str) -> Path:
    for _ in range(600):
        found = [path for path in folder.glob(pattern) if path.stat().st_size]
        if found:
            return found[0]
        time.sleep(0.1)
    raise AssertionError(f"no {pattern} after a minute")


def test_lab_serves_one_folder_behind_a_token(tmp_path: Path) -> None:
    """The command serves the working copy only, and leaves Jupyter's own token in force."""
    command = lab_command(tmp_path, browser=False, host="::1", port=1)

    assert f"--ServerApp.root_dir={tmp_path}" in command
    assert "--no-browser" in command
    assert not [word for word in command if "token" in word]
