"""Notebooks of the package → JupyterLab on a working copy, wired to the published warehouse."""

import errno
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from loader.assets import asset
from loader.errors import ReportError
from loader.kernel import kernel_environment
from loader.settings import Settings
from loader.whole import written

_CONFIG = Path(__file__).resolve().with_name("lab_config.py")
_FIRST = "00_start_here.ipynb"


def open_lab(
    settings: Settings,
    *,
    browser: bool,
    host: str,
    port: int,
    say: Callable[[str], None],
) -> int:
    """Open JupyterLab on the working copy in ``settings.home/notebooks`` until it is stopped.

    ``port`` 0 takes any free one; ``browser`` opens the user's own. ``say`` hears one sentence
    for each notebook that is kept because the user changed it. Returns the server's exit code.
    Raises ``ReportError`` when the copy cannot be written, or nobody can listen at ``host``.
    """
    _refuse_unusable(host, port)
    folder = settings.home.resolve() / "notebooks"
    for sentence in copy_notebooks(folder):
        say(sentence)
    command = lab_command(folder, browser=browser, host=host, port=port)
    environment = kernel_environment(settings, os.environ)
    process = subprocess.Popen(command, env=environment, cwd=folder)
    # JupyterLab and its kernels must not outlive the command that opened them.
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    while True:
        try:
            code = process.wait()
            return 0 if code == -signal.SIGTERM else code  # told before it could hear of it
        except KeyboardInterrupt:  # JupyterLab got it too, asks, and shuts its kernels down
            continue


def _refuse_unusable(host: str, port: int) -> None:
    """Raise where Jupyter would end in a trace. Of a port that is taken it takes the next one."""
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host.strip("*") or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        socket.create_server(address[:2], family=family).close()
    except (OSError, UnicodeError) as error:
        if getattr(error, "errno", None) != errno.EADDRINUSE:
            reason = (getattr(error, "strerror", None) or "no such host").partition(" (")[0]
            raise ReportError(
                f"cannot listen on {host}:{port} ({reason}): choose another --host or --port."
            ) from None


def lab_command(folder: Path, *, browser: bool, host: str, port: int | None) -> Sequence[str]:
    """Return the command line that serves ``folder`` with our configuration.

    ``port`` 0 takes any free one, None leaves it to Jupyter.
    """
    return (
        *(sys.executable, "-m", "jupyterlab", f"--config={_CONFIG}"),
        "--log-level=WARN",  # here too: an extension is told of before the configuration is read
        *(f"--ServerApp.root_dir={folder}", f"--ip={host}"),
        *(() if port is None else (f"--port={port}",)),
        *(() if browser else ("--no-browser",)),
        *(("--allow-root",) if os.geteuid() == 0 else ()),
        *(f"--LabApp.default_url=/lab/tree/{_FIRST}",),
    )


def copy_notebooks(folder: Path) -> Iterator[str]:
    """Bring the working copy up to date; yield a sentence for each notebook left alone.

    A notebook that the user changed is kept. What counts as a change is the text of its cells:
    outputs and saved positions do not.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for source in sorted(asset("notebooks").glob("*.ipynb")):
            yield from _copy(source, folder)
    except OSError as error:
        raise ReportError(f"{folder} cannot be written ({error.strerror}): mend that.") from None


def _copy(source: Path, folder: Path) -> Iterator[str]:
    target, ledger = folder / source.name, folder / ".copied" / f"{source.stem}.json"
    cells = _cells(source)
    last = _last_copied(ledger)  # before the copy, which another command may be renewing
    if target.exists():
        held = _cells(target)
        if held == cells:
            return
        if held != last:
            yield f"{target.name} is kept as you changed it; delete it to get ours back."
            return
    ledger.parent.mkdir(exist_ok=True)
    for path, content in ((target, source.read_bytes()), (ledger, json.dumps(cells).encode())):
        with written(path) as file:  # half of it would pass for a change of the user's
            file.write(content)


def _last_copied(ledger: Path) -> object:
    try:
        return json.loads(ledger.read_text("utf-8"))
    except (FileNotFoundError, ValueError):  # there is none, or it was half written in a crash
        return None


def _cells(path: Path) -> list[str]:
    try:
        read: NotebookNode = nbformat.reads(path.read_text("utf-8"), as_version=4)
        return [str(cell.source) for cell in read.cells]
    except (ValueError, TypeError, AttributeError, LookupError):  # no notebook: theirs, whatever
        return []
