"""What the settings promise."""

import re
from itertools import zip_longest
from pathlib import Path

import pytest

from loader.errors import SettingsError
from loader.settings import _KEYS, LARGEST_BODY, load_settings


def test_defaults(tmp_path: Path) -> None:
    """Without any setting everything is written below ./data, and nothing verifies."""
    settings = load_settings({}, tmp_path)

    assert settings.home == Path("data")
    assert settings.spool == Path("data/spool")
    assert settings.warehouse == "data/warehouse.duckdb"
    assert settings.timezone == "UTC"
    assert settings.webhooks == {}


def test_an_empty_home_is_the_default(tmp_path: Path) -> None:
    """An empty LOADER_HOME is one that is not set, as every other key."""
    assert load_settings({"LOADER_HOME": ""}, tmp_path).home == Path("data")


@pytest.mark.parametrize(("below", "what"), [("", "that"), ("/data", "/.*/file")])
def test_a_home_that_is_a_file_is_told(tmp_path: Path, below: str, what: str) -> None:
    """A LOADER_HOME that is a file, or below one, is called so, and a directory is asked for."""
    file = tmp_path / "file"
    file.touch()

    with pytest.raises(SettingsError, match=f", and {what} is a file: name a directory"):
        load_settings({"LOADER_HOME": f"{file}{below}"}, tmp_path)


@pytest.mark.parametrize(("target", "below", "what"), [("gone", "", "that"), ("link", "/a", "/.*")])
def test_a_home_that_is_a_link_to_nowhere_is_told(
    tmp_path: Path, target: str, below: str, what: str
) -> None:
    """A LOADER_HOME behind a link to what is not mounted, or to itself, does not look empty."""
    (tmp_path / "link").symlink_to(tmp_path / target)

    with pytest.raises(SettingsError, match=f", and {what} is a link that leads nowhere: mount"):
        load_settings({"LOADER_HOME": f"{tmp_path}/link{below}"}, tmp_path)


def test_a_tilde_is_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every path may begin with ~, and all that write and read there mean the same."""
    monkeypatch.setenv("HOME", "/home/ann")
    settings = load_settings({"LOADER_HOME": "~/mail", "LOADER_LAKE_DATA": "~/lake"}, tmp_path)

    assert settings.spool == Path("/home/ann/mail/spool")
    assert settings.warehouse == "/home/ann/mail/warehouse.duckdb"
    assert settings.lake_data == "/home/ann/lake"


def test_windows_editors_may_write_it(tmp_path: Path) -> None:
    """A byte-order mark at the start of loader.toml is passed over."""
    (tmp_path / "loader.toml").write_text("LOADER_TIMEZONE = 'Asia/Tokyo'", "utf-8-sig")

    assert load_settings({}, tmp_path).timezone == "Asia/Tokyo"


def test_environment_wins(tmp_path: Path) -> None:
    """The environment wins over loader.toml, key by key."""
    (tmp_path / "loader.toml").write_text(
        'LOADER_HOME = "/srv/mail"\nLOADER_TIMEZONE = "Asia/Kolkata"\nLOADER_WORKERS = 3\n'
    )

    settings = load_settings({"LOADER_TIMEZONE": "Europe/Berlin"}, tmp_path)

    assert (settings.home, settings.timezone) == (Path("/srv/mail"), "Europe/Berlin")
    assert settings.workers == 3


def test_several_webhooks_with_several_secrets(tmp_path: Path) -> None:
    """Every webhook has its own active secrets and API key; LOADER_SECRETS is inboxroad's."""
    (tmp_path / "loader.toml").write_text(
        "[webhooks.staging]\n"
        'secrets = ["staging-new-secret", "staging-old-secret"]\n'
        'api_key = "X-Api-Key: staging-key"\n'
    )

    webhooks = load_settings(
        {"LOADER_SECRETS": " first-secret\n second-secret "}, tmp_path
    ).webhooks

    assert webhooks["inboxroad"].secrets == ("first-secret", "second-secret")
    assert webhooks["staging"].secrets == ("staging-new-secret", "staging-old-secret")
    assert webhooks["staging"].api_key == ("X-Api-Key", "staging-key")


INBOXROAD = """
[webhooks.inboxroad]
secrets = ["first-secret"]
api_key = "X-Key: key-value"
"""


@pytest.mark.parametrize(
    ("environ", "document"),
    [
        ({"LOADER_SECRETS": "other-secret"}, INBOXROAD),
        ({"LOADER_API_KEY": "X-Key: key-value"}, INBOXROAD.replace("api_key", "# ")),
        ({"LOADER_SECRETS": "a-secret", "LOADER_API_KEY": "X-Key: key-value"}, ""),
        ({"LOADER_API_KEY": "X-Key: key-value"}, INBOXROAD.replace("X-Key: key", "X-Key: other")),
        ({"LOADER_RETIRED_SECRETS": "older-secret"}, INBOXROAD),
    ],
)
def test_a_key_that_is_asked_for_anywhere_is_asked_for(
    tmp_path: Path, environ: dict[str, str], document: str
) -> None:
    """Of one webhook each setting alone is overruled by the environment; no other is forgotten."""
    (tmp_path / "loader.toml").write_text(document)
    webhook = load_settings(environ, tmp_path).webhooks["inboxroad"]

    assert webhook.api_key == ("X-Key", "key-value")
    assert webhook.secrets == (environ.get("LOADER_SECRETS", "first-secret"),)
    assert webhook.retired == tuple(environ.get("LOADER_RETIRED_SECRETS", "").split())


def test_a_secret_is_never_printed(tmp_path: Path) -> None:
    """The settings' own text holds no secret, retired or not, no API key and no password."""
    environ = {
        "LOADER_SECRETS": "very-secret-value",
        "LOADER_RETIRED_SECRETS": "retired-value",
        "LOADER_API_KEY": "X-Key: key-value",
        "LOADER_WAREHOUSE": "ducklake:postgres:password=database-value",
    }

    assert "-value" not in repr(load_settings(environ, tmp_path))


@pytest.mark.parametrize(
    ("environ", "document"),
    [
        ({"LOADER_TIMEZONE": "Mars/Olympus"}, ""),
        ({"LOADER_SECRETS": "short"}, ""),
        ({"LOADER_API_KEY": "no colon here"}, ""),
        ({"LOADER_API_KEY": "X-Key: "}, ""),
        ({"LOADER_API_KEY": "X Key: a blank in the name"}, ""),
        ({"LOADER_MAX_BODY": "-5"}, ""),
        ({"LOADER_MAX_BODY": "9" * 5000}, ""),
        ({"LOADER_MAX_BODY": "2621441"}, ""),
        ({"LOADER_HOME": "what?"}, ""),
        ({"LOADER_WAREHOUSE": "what?.duckdb"}, ""),
        ({"LOADER_WORKERS": "0"}, ""),
        ({"LOADER_RETAIN_DAYS": "a week"}, ""),
        ({"LOADER_RETAIN_DAYS": "36501"}, ""),
        ({"LOADER_HOME": "not\udcffutf-8"}, ""),
        ({"LOADER_HOME": "~nobody-of-that-name/x"}, ""),
        ({"LOADER_SECRETS": "good-enough-\udcff"}, ""),
        ({"LOADER_API_KEY": "X-Key: \udcff"}, ""),
        ({"LOADER_API_KEY": "X-Key: two\nlines"}, ""),
        ({"LOADER_API_KEY": "X_Key: dropped-on-the-way"}, ""),
        ({"LOADER_API_KEY": "Content-Type: application/json"}, ""),
        ({"LOADER_API_KEY": "x-signature: foo"}, ""),
        ({"LOADER_WAREHOUSE": ":memory:"}, ""),
        ({"LOADER_WAREHOUSE": "postgres:password=unclosed-secret-value"}, ""),
        ({"LOADER_WAREHOUSE": "/"}, ""),
        ({"LOADER_CONFIG": "nowhere.toml"}, ""),
        ({}, "LOADER_HOMES = 'x'"),
        ({}, "LOADER_SECRETS = 'unclosed-secret-value"),
        ({}, "webhooks = 3"),
        ({}, r'LOADER_HOME = "a\u0000b"'),
        ({}, r'webhooks.a.secrets = ["good-enough", "a\u0000-good-enough"]'),
        ({}, "webhooks = " + "[" * 5000),
        ({}, "[webhooks.'a/b']\nsecrets = 'long-enough'"),
        ({}, "[webhooks.'a\"b']\nsecrets = 'long-enough'"),
        ({}, "[webhooks.a]\nsecret = 'long-enough'"),
    ],
)
def test_a_wrong_setting_is_one_sentence(
    tmp_path: Path, environ: dict[str, str], document: str
) -> None:
    """A setting that cannot be used stops the start with one sentence that shows no secret."""
    (tmp_path / "loader.toml").write_text(document)

    with pytest.raises(SettingsError) as caught:
        load_settings(environ, tmp_path)

    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert "unclosed-secret-value" not in sentence


def test_every_setting_is_in_the_readme() -> None:
    """The README's table has each setting there is, and no other, with its default."""
    text = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
    table = text.partition("## Settings")[2].partition("\n## ")[0]
    said = {
        name.strip("`"): value.strip("`")
        for names, values in re.findall(r"^\| (`LOADER_.*?) \| .* \| (.*) \|$", table, re.MULTILINE)
        for name, value in zip_longest(names.split(", "), values.split(", "), fillvalue="")
    }

    assert said.keys() == _KEYS.keys()
    assert {name: value for name, value in _KEYS.items() if value}.items() <= said.items()
    assert f"at most {LARGEST_BODY} " in table
