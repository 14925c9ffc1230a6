"""What every test may ask for."""

import os
import shutil
import subprocess

import pytest

from loader.settings import Settings


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home with the sample."""
    from tests.pages import sample_home

    return sample_home(tmp_path_factory.mktemp("sample"))


def require(program: str) -> str:
    """Return the path of a program that Debian ships; skip without it, but never in CI."""
    found = shutil.which(program)
    if found:
        return found
    if os.environ.get("CI") == "true":
        pytest.fail(f"{program} is not installed, and CI installs everything the tests need")
    pytest.skip(f"{program} is not installed: apt-get install it to run this test")


def namespace(*flags: str) -> list[str]:
    """Return a command that runs another in a namespace of its own; skip without, never in CI."""
    unshare = require("unshare")
    if subprocess.run([unshare, "-r", *flags, "true"], check=False, capture_output=True).returncode:
        if os.environ.get("CI") == "true":
            pytest.fail("this system forbids namespaces of one's own, and CI allows them")
        pytest.skip("this system forbids namespaces of one's own")
    return [unshare, "-r", *flags]
