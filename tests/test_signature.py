"""Signatures: what the provider signs verifies, and nothing else does."""

import base64
import subprocess

import pytest

from loader.signature import sign, verify
from tests.conftest import require

SECRETS = ("first-secret", "second-secret")
BODY = b'{"kind": "open"}'


def test_openssl_signs_the_same() -> None:
    """``openssl dgst -sha256 -hmac`` makes the same signature."""
    command = [require("openssl"), "dgst", "-sha256", "-hmac", SECRETS[0], "-binary"]
    made = subprocess.run(command, input=BODY, capture_output=True, check=True).stdout
    assert sign(BODY, SECRETS[0]) == base64.b64encode(made).decode()


@pytest.mark.parametrize("secret", SECRETS)
def test_any_active_secret_verifies(secret: str) -> None:
    """While a secret is being changed the old and the new one both verify."""
    assert verify(BODY, [sign(BODY, secret)], SECRETS) == sign(BODY, secret)


def test_one_of_several_values_is_enough() -> None:
    """Repeated headers and values joined by commas verify when one of them does."""
    right = sign(BODY, SECRETS[0])
    for values in (
        ["nope", right],
        [f"nope, {right} ,x"],
        [b"\xff", right.encode()],
        [f",{right}"],
    ):
        assert verify(BODY, values, SECRETS) == right


@pytest.mark.parametrize("secret", ["", "third-secret", "first-secret\n", "FIRST-SECRET"])
def test_no_other_secret_verifies(secret: str) -> None:
    """A signature under an empty, other or slightly different secret does not verify."""
    assert verify(BODY, [sign(BODY, secret)], SECRETS) is None


def test_empty_secret_never_verifies() -> None:
    """An empty secret among the active ones verifies nothing, not even its own signature."""
    assert verify(BODY, [sign(BODY, "")], ["", "first-secret"]) is None


def test_only_the_written_form_verifies() -> None:
    """Base64 that decodes to the same bytes but is written differently does not verify."""
    right = sign(BODY, SECRETS[0])
    last = right[-2]
    other = chr(ord(last) + 1)
    assert base64.b64decode(right[:-2] + other + "=") == base64.b64decode(right)
    for value in (right[:-2] + other + "=", right.rstrip("="), right.lower(), f"{right}\n{right}"):
        assert verify(BODY, [value], SECRETS) is None


@pytest.mark.parametrize("value", ["", ",", "ä", "\udcff", b"\xff\xfe", "x" * 100_000])
def test_malformed_values_do_not_raise(value: str | bytes) -> None:
    """Whatever stands in the header, the answer is no."""
    assert verify(BODY, [value], SECRETS) is None


def test_nothing_offered() -> None:
    """Without a header there is nothing to verify."""
    assert verify(BODY, [], SECRETS) is None
