"""What every test may ask for."""

import os
import shutil

import pytest


def require(program: str) -> str:
    """Return the path of a program that Debian ships; skip without it, but never in CI."""
    found = shutil.which(program)
    if found:
        return found
    if os.environ.get("CI") == "true":
        pytest.fail(f"{program} is not installed, and CI installs everything the tests need")
    pytest.skip(f"{program} is not installed: apt-get install it to run this test")
