"""Environment and ``loader.toml`` → one frozen ``Settings``; the environment wins."""

import re
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from loader.errors import SettingsError

SHORTEST_SECRET = 8
FIRST_WEBHOOK = "inboxroad"
"""The webhook that ``LOADER_SECRETS`` and the like are about."""
WEBHOOK_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^`|~0-9A-Za-z-]+")
"""Without the underscore: servers drop such a header, for it may pass for another one."""
_TAKEN = {"content-type", "content-length", "host", "transfer-encoding", "x-signature"}
"""Headers that say something else already."""
_LONGEST_KEPT = 36_500


@dataclass(frozen=True)
class Webhook:
    """One webhook of the provider: its name is the last part of its path, ``/webhooks/<name>``."""

    name: str
    secrets: tuple[str, ...] = field(repr=False)
    api_key: tuple[str, str] | None = field(default=None, repr=False)
    """Header name and value that a request must also carry, or None."""
    retired: tuple[str, ...] = field(default=(), repr=False)
    """Secrets that admit nothing any more, but with which ``loader verify`` reads older lines."""


@dataclass(frozen=True)
class Settings:
    """Everything a command needs to know about its surroundings."""

    home: Path
    webhooks: Mapping[str, Webhook]
    timezone: str
    warehouse: str = field(repr=False)
    """A path, or ``ducklake:postgres:<dsn>``; a DSN may hold a password."""
    lake_data: str | None
    """Directory or ``s3://`` address of the lake's files; None for a warehouse file."""
    max_body_bytes: int
    workers: int
    threads: int
    retain_days: int | None
    """Days that loaded, sealed segments are kept; None keeps them all."""
    metrics_public: bool
    """Serve ``/metrics`` on every interface instead of loopback only."""

    @property
    def spool(self) -> Path:
        """Directory of the spool."""
        return self.home / "spool"

    @property
    def reports(self) -> Path:
        """Directory of the reports."""
        return self.home / "reports"


LARGEST_BODY = 2560 * 1024
"""Bytes of the largest ``LOADER_MAX_BODY``: its line is read, were every byte of it escaped."""

_KEYS = {
    "LOADER_HOME": "data",
    "LOADER_SECRETS": "",
    "LOADER_RETIRED_SECRETS": "",
    "LOADER_API_KEY": "",
    "LOADER_TIMEZONE": "UTC",
    "LOADER_WAREHOUSE": "",
    "LOADER_LAKE_DATA": "",
    "LOADER_MAX_BODY": str(1024 * 1024),
    "LOADER_WORKERS": "2",
    "LOADER_THREADS": "32",
    "LOADER_RETAIN_DAYS": "",
    "LOADER_METRICS_PUBLIC": "",
}

_WEBHOOK_KEYS = {
    "secrets": "LOADER_SECRETS",
    "api_key": "LOADER_API_KEY",
    "retired_secrets": "LOADER_RETIRED_SECRETS",
}
"""Key of a webhook's table → the variable that says the same of ``FIRST_WEBHOOK``."""


def names_lake(warehouse: str) -> bool:
    """Say whether the address of a warehouse is a lake's."""
    return warehouse.startswith("ducklake:")


def load_settings(environ: Mapping[str, str], directory: Path) -> Settings:
    """Read the settings.

    ``environ`` holds ``LOADER_…`` variables; ``directory`` is where ``loader.toml`` is looked for
    unless ``LOADER_CONFIG`` names it. Raises ``SettingsError`` for what cannot be used; the
    message names the key, never a secret's value.
    """
    document = _read_document(environ, directory)
    text = {key: _text(key, environ, document) for key in _KEYS}
    home = _home(text["LOADER_HOME"] or _KEYS["LOADER_HOME"])
    return Settings(
        home=home,
        webhooks=_webhooks(text, document),
        timezone=_timezone(text["LOADER_TIMEZONE"]),
        warehouse=_warehouse(text["LOADER_WAREHOUSE"] or str(home / "warehouse.duckdb")),
        lake_data=_place("LOADER_LAKE_DATA", text["LOADER_LAKE_DATA"]) or None,
        max_body_bytes=_whole(text, "LOADER_MAX_BODY", least=1, most=LARGEST_BODY),
        workers=_whole(text, "LOADER_WORKERS", least=1),
        threads=_whole(text, "LOADER_THREADS", least=1),
        retain_days=_whole(text, "LOADER_RETAIN_DAYS", least=0, most=_LONGEST_KEPT)
        if text["LOADER_RETAIN_DAYS"]
        else None,
        metrics_public=text["LOADER_METRICS_PUBLIC"].lower() in {"1", "true", "yes"},
    )


def _read_document(environ: Mapping[str, str], directory: Path) -> dict[str, Any]:
    named = environ.get("LOADER_CONFIG")
    path = Path(named) if named else directory / "loader.toml"
    if not path.exists() and not named:
        return {}
    try:
        document = tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise SettingsError(f"{path} cannot be read ({error.strerror}): name another.") from None
    except (ValueError, RecursionError):
        # The parser's own message quotes the file, and the file holds secrets.
        raise SettingsError(f"{path} is not valid TOML in UTF-8: mend it.") from None
    unknown = sorted(set(document) - set(_KEYS) - {"webhooks"})
    if unknown:
        raise SettingsError(
            f"{path} has an unknown key {unknown[0]!r}; known are {', '.join(_KEYS)}, [webhooks]."
        )
    return document


def _text(key: str, environ: Mapping[str, str], document: Mapping[str, Any]) -> str:
    if key in environ:
        return _utf8(key, environ[key].strip())
    value = document.get(key, _KEYS.get(key, ""))
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return _utf8(key, " ".join(value))
    if isinstance(value, (bool, int, str)):
        return _utf8(key, str(value).strip())
    raise SettingsError(f"{key} in loader.toml is a {type(value).__name__}; write it as text.")


def _utf8(key: str, value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise SettingsError(f"{key} is not UTF-8: write it so, or choose another.") from None
    if "\0" in value:
        raise SettingsError(f"{key} has a character of code 0, which no setting has: mend it.")
    return value


def _place(key: str, text: str) -> str:
    """Return a path with the home directory in place of ``~``: not everybody reads it so."""
    try:
        return str(Path(text).expanduser()) if text.startswith("~") else text
    except RuntimeError:
        raise SettingsError(f"{key} begins with ~, and whose home that is is unknown.") from None


def _home(text: str) -> Path:
    """Return the directory of everything written, which need not be there yet."""
    home = Path(_place("LOADER_HOME", text))
    for path in (home, *home.parents):
        what = "that" if path == home else path
        with suppress(OSError):  # what may not be looked at is told by whoever needs it
            if path.exists() and not path.is_dir():
                raise SettingsError(
                    f"LOADER_HOME is {home}, and {what} is a file: name a directory."
                )
            if path.is_symlink() and not path.exists():
                raise SettingsError(
                    f"LOADER_HOME is {home}, and {what} is a link that leads nowhere: mount or "
                    "make what it leads to."
                )
    return home


def _webhooks(text: Mapping[str, str], document: Mapping[str, Any]) -> dict[str, Webhook]:
    tables = document.get("webhooks", {})
    if not isinstance(tables, dict):
        raise SettingsError("webhooks in loader.toml is not a table: write [webhooks.<name>].")
    found = {name: _webhook_table(name, table) for name, table in tables.items()}
    said = {name: text[key] for name, key in _WEBHOOK_KEYS.items() if text[key]}
    if said:  # each of them alone wins: a key that is asked for in one place stays asked for
        table = {**tables.get(FIRST_WEBHOOK, {}), **said}
        found[FIRST_WEBHOOK] = _webhook_table(FIRST_WEBHOOK, table)
    return found


def _webhook_table(name: str, table: object) -> Webhook:
    if not WEBHOOK_NAME.fullmatch(name):
        raise SettingsError(f"webhook name {name!r}: use letters, digits, '-' and '_', at most 64.")
    if not isinstance(table, dict) or not set(table) <= set(_WEBHOOK_KEYS):
        raise SettingsError(f"[webhooks.{name}] takes these keys only: {', '.join(_WEBHOOK_KEYS)}.")
    text = {key: _text(key, {}, table) for key in _WEBHOOK_KEYS}
    secrets, retired = text["secrets"].split(), text["retired_secrets"].split()
    if any(len(secret) < SHORTEST_SECRET for secret in secrets):
        raise SettingsError(
            f"a secret of webhook {name!r} is shorter than {SHORTEST_SECRET} characters: "
            "copy it again from the provider's page."
        )
    return Webhook(name, tuple(secrets), _api_key(name, text["api_key"]), tuple(retired))


def _api_key(name: str, text: str) -> tuple[str, str] | None:
    if not text:
        return None
    header, colon, value = text.partition(":")
    header, value = header.strip(), value.strip()
    if not (colon and _HEADER_NAME.fullmatch(header) and value.isprintable() and value):
        raise SettingsError(
            f"the API key of webhook {name!r} is not of the form 'Header-Name: value', the name "
            "in letters, digits and '-': mend it."
        )
    if header.lower() in _TAKEN:
        raise SettingsError(
            f"the API key of webhook {name!r} is in the header {header}, which says something "
            "else: take another header."
        )
    return header, value


def _timezone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise SettingsError(
            f"LOADER_TIMEZONE is {name!r}; an IANA zone such as Europe/Berlin is wanted."
        ) from None
    return name


def _warehouse(place: str) -> str:
    if names_lake(place):
        return place
    scheme = re.match(r":?[A-Za-z0-9]{2,}:", place)  # of a DSN, which may hold a password
    if scheme:
        raise SettingsError(
            f"LOADER_WAREHOUSE begins with {scheme[0]}; a path or ducklake:postgres:… is wanted."
        )
    place = _place("LOADER_WAREHOUSE", place)
    if not Path(place).name:
        raise SettingsError(f"LOADER_WAREHOUSE is {place!r}; the path of a file is wanted.")
    if "?" in place:
        raise SettingsError(
            f"the warehouse would be {place}, and DuckDB takes a question mark for the end of a "
            "file's name: choose another LOADER_HOME or LOADER_WAREHOUSE."
        )
    return place


def refuse_without_secrets(settings: Settings) -> None:
    """Raise ``SettingsError`` unless a webhook has a secret, and each has one or retired ones.

    One that has retired secrets only was given up: it admits nothing, and its lines verify.
    """
    if not any(webhook.secrets for webhook in settings.webhooks.values()):
        raise SettingsError("no webhook has a secret: set LOADER_SECRETS to the provider's secret.")
    for name, webhook in settings.webhooks.items():
        if not webhook.secrets and not webhook.retired:
            raise SettingsError(f"webhook {name!r} has no secret: set one, or take it out.")


def _whole(text: Mapping[str, str], key: str, least: int, most: int | None = None) -> int:
    value = int(text[key]) if re.fullmatch("[0-9]{1,18}", text[key]) else -1
    if value < least or (most is not None and value > most):
        shown, wanted = repr(text[key][:40]), f"from {least}" + f" to {most}" * (most is not None)
        raise SettingsError(f"{key} is {shown}; a whole number {wanted} is wanted.")
    return value
