"""The whole path on simulated campaigns in a scratch home, with nothing replaced: ``loader demo``.

Each step is the command a user would run, in a process of its own.
"""

import os
import re
import secrets
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO

from loader.errors import LoaderError
from loader.run import LOADER, tied
from loader.scenario import MOST_EARLIER, Plan

CAMPAIGN_TABLE = """
select coalesce(campaign_name, campaign_id, '(bounces without a campaign)') as campaign,
    attempted, accepted,
    round(100 * delivery_rate, 1) as "delivery %", round(100 * bounce_rate, 1) as "bounce %",
    round(100 * open_rate, 1) as "open %", round(100 * open_human_rate, 1) as "human open %",
    round(100 * click_rate, 1) as "click %", round(100 * click_human_rate, 1) as "human click %",
    maturity
from campaign_report order by first_delivered_at desc nulls last
"""


def demo(
    home: Path | None,
    campaigns: int,
    messages: int,
    say: Callable[[str], None],
    output: IO[str] | None = None,
) -> Path:
    """Serve, post, ingest, print the campaign table, write the reports; return their directory.

    ``home`` is the scratch home, a new directory below the system's temporary one by default.
    ``say`` gets one line before each step; ``output`` gets what the commands print, standard
    output by default. Raises ``LoaderError`` naming the step that failed.
    """
    home = home or Path(tempfile.mkdtemp(prefix="inboxroad-demo-"))
    if (home / "spool").exists():
        raise LoaderError(f"{home} has a spool already, maybe a real one: name a new directory.")
    environ = _environment(home)
    size = ["--campaigns", str(campaigns), "--messages", str(messages)]
    size += _recent(datetime.now(UTC), campaigns)
    say(f"Scratch home: {home}")
    with _receiver(environ) as url:
        say(f"1/4  The receiver listens at {url}; simulated campaigns are posted to it, signed")
        _loader(environ, output, "simulate", *size, "--to", f"{url}/webhooks/inboxroad")
    say("2/4  loader ingest: spool → warehouse")
    _loader(environ, output, "ingest")
    say("3/4  The campaigns, from the view campaign_report")
    _loader(environ, output, "sql", CAMPAIGN_TABLE)
    say("4/4  loader report: the notebooks, executed, as pages without network")
    for arguments in ([], [_telling_campaign(environ)]):
        _loader(environ, output, "report", *arguments)
    return home / "reports"


def _recent(now: datetime, campaigns: int) -> list[str]:
    """The newest campaign was sent within a day, so that the demo shows rates that rise too."""
    start = now - Plan.pace * min(campaigns, MOST_EARLIER) + timedelta(days=1)
    return ["--start", f"{start:%Y-%m-%dT%H:%M}", "--until", f"{now:%Y-%m-%dT%H:%M}"]


def _environment(home: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("LOADER_")}
    home.mkdir(parents=True, exist_ok=True)
    return kept | {
        "LOADER_HOME": str(home),
        "LOADER_SECRETS": secrets.token_urlsafe(32),
        "LOADER_CONFIG": os.devnull,  # no loader.toml: a real warehouse may be named there
    }


@contextmanager
def _receiver(environ: Mapping[str, str]) -> Iterator[str]:
    log = Path(environ["LOADER_HOME"]) / "receiver.log"
    with log.open("w") as lines:
        server = subprocess.Popen(
            [*LOADER, "serve", "--port", "0"],
            env=environ,
            stdout=subprocess.PIPE,
            stderr=lines,
            text=True,
            preexec_fn=tied(),  # noqa: PLW1509
        )
    try:
        found = re.search(r"http://[^\s/]+", server.stdout.readline() if server.stdout else "")
        if not found:
            raise LoaderError(f"the receiver did not start: {log} says why.")
        yield found.group()
    finally:
        server.terminate()
        server.communicate()


def _loader(environ: Mapping[str, str], output: IO[str] | None, *arguments: str) -> None:
    command = [*LOADER, *arguments]
    done = subprocess.run(
        command,
        env=environ,
        stdout=output,
        check=False,
        preexec_fn=tied(),
    )
    if done.returncode:
        raise LoaderError(f"loader {arguments[0]} failed: its line above says why.")


def _telling_campaign(environ: Mapping[str, str]) -> str:
    """The largest campaign that has earlier ones of its sender to be compared with, if any has."""
    query = (
        "select campaign_id from campaign_list order by campaign_id in (select campaign_id from "
        "campaign_peer where peer_rank = threshold('least_peers')) desc, attempted desc, "
        "campaign_id limit 1"
    )
    done = subprocess.run(
        [*LOADER, "sql", query, "--csv"],
        env=environ,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.splitlines()[-1]
