"""What every test may ask for."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

from loader.settings import Settings
from tests.torture.server import SmallDisk


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home with the sample."""
    from tests.pages import sample_home

    return sample_home(tmp_path_factory.mktemp("sample"))


def lacks(what: str) -> NoReturn:
    """Skip for what this machine lacks; in CI, which has all that the tests need, fail."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what}, and nothing is skipped in CI")
    pytest.skip(what)


def require(program: str) -> str:
    """Return the path of a program that Debian ships; skip without it, but never in CI."""
    # A Debian user has not nginx on his PATH: it stands beside what is for root.
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin")
    return found or lacks(f"{program} is not installed: apt-get install it")


def namespace(*flags: str) -> list[str]:
    """Return a command that runs another in a namespace of its own; skip without, never in CI."""
    unshare = require("unshare")
    if subprocess.run([unshare, "-r", *flags, "true"], check=False, capture_output=True).returncode:
        lacks("this system forbids namespaces of one's own")
    return [unshare, "-r", *flags]


@contextmanager
def small_disk(path: Path, size: str) -> Iterator[Path]:
    """Mount a disk of a few MiB at ``path``; skip where none may be mounted, but never in CI."""
    with ExitStack() as stack:
        try:
            disk = stack.enter_context(SmallDisk(path, size))
        except PermissionError as error:
            lacks(f"{error}, so there is no small disk to fill")
        yield disk
