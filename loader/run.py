"""``serve`` and ``ingest --follow`` side by side: the receiver must outlive a broken loader."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from types import FrameType
from typing import IO

from loader.errors import LoaderError

LOADER = (sys.executable, "-P", "-m", "loader")
"""The command ``loader`` in a process of its own: no module of the working directory is taken."""
_PR_SET_PDEATHSIG = 1
_RETRY_SECONDS = 10.0
_WATCH_SECONDS = 0.2


def run(serve_arguments: Sequence[str], output: IO[str] | None = None) -> None:
    """Run the receiver and the following loader until SIGTERM or SIGINT; then stop both cleanly.

    ``serve_arguments`` are passed to ``loader serve``; ``output`` gets what both print, standard
    output by default. A loader that fails is started again after ten seconds, because events go
    on being received and kept meanwhile. On Linux both stop too when this process is killed.
    Raises ``LoaderError`` when the receiver itself stops.
    """

    def start(*arguments: str) -> subprocess.Popen[bytes]:
        command = [*LOADER, *arguments]
        return subprocess.Popen(command, stdout=output, preexec_fn=tied())  # noqa: PLW1509

    stopping = until_told()
    receiver = start("serve", *serve_arguments)
    loader = start("ingest", "--follow")
    retry_at = 0.0
    try:
        while not stopping() and receiver.poll() is None:
            if loader.poll() is not None:
                retry_at = retry_at or time.monotonic() + _RETRY_SECONDS
                if time.monotonic() >= retry_at:
                    loader, retry_at = start("ingest", "--follow"), 0.0
            time.sleep(_WATCH_SECONDS)
    finally:
        _stop(receiver, loader)
    if not stopping():
        raise LoaderError(_ended(receiver.returncode))


def until_told() -> Callable[[], bool]:
    """Return a function that says whether SIGTERM or SIGINT has come since."""
    told: list[int] = []

    def tell(number: int, _frame: FrameType | None) -> None:
        told.append(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, tell)
    return lambda: bool(told)


def _ended(code: int) -> str:
    if code < 0:
        return (
            f"the receiver was killed ({signal.Signals(-code).name}), perhaps for want of memory: "
            "start loader run again."
        )
    return f"the receiver stopped with exit code {code}: its line above says why."


def tied() -> Callable[[], None]:
    """Return what a child of this process runs to be told to stop when this one dies, on Linux.

    For one that is about to become another program (``preexec_fn``).
    """
    return partial(stop_with, os.getpid())


def stop_with(parent: int) -> None:
    """Have this process told to stop when its ``parent`` dies, which may have been before."""
    if sys.platform == "linux":
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # what this program does ends with it
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died before
            os._exit(1)


def _stop(*children: subprocess.Popen[bytes]) -> None:
    # The receiver first: what it still acknowledges, the loader's last pass then sees.
    for child in children:
        with suppress(ProcessLookupError):
            child.terminate()
        child.wait()
