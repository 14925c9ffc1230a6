"""The command ``loader``: parses words, calls one function, prints.

What a command needs is imported when it runs, so that ``loader --help`` answers at once.
"""

import json
import os
import signal
import sys
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from loader.errors import LoaderError, WrongUsage
from loader.settings import Settings, load_settings
from loader.wording import plural, steers_nothing

_TIME = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"])
_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
_host = click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
_PORT = click.IntRange(0, 65535)
_port = click.option(
    "--port", type=_PORT, default=8000, show_default=True, help="Port; 0 takes a free one."
)


def main() -> None:
    """Run the command line; what a user can mend is one line on stderr and exit code 1, or 2."""
    os.umask(0o077)  # what is written holds addresses: for its owner only
    _speak_utf8()
    _open_streams()
    try:
        sys.exit(cli(prog_name="loader", standalone_mode=False))
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        _fail("stopped.")
    except LoaderError as error:
        said = "stopped." if _was_interrupted(error) else str(error)
        _fail(said, 2 if isinstance(error, WrongUsage) else 1)
    except PermissionError as error:
        place = error.filename or "what this needs"
        _fail(
            f"this user may not read or write {place}: run as the user of the service, or let it."
        )
    except OSError as error:
        _fail_at(error)
    except RuntimeError as error:
        if isinstance(error.__context__, OSError):  # so Python 3.11 tells of links in a circle
            _fail_at(error.__context__)
        if not _was_interrupted(error):
            raise
        _fail("stopped.")
    finally:
        _let_go_of_the_unsaid()


def _was_interrupted(error: BaseException | None) -> bool:
    """Say whether Ctrl-C is behind an error: so DuckDB tells of it, and asyncio while it ends."""
    while error and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def _speak_utf8() -> None:
    """Begin anew in UTF-8 where the locale is another: secrets, and paths of DuckDB, are in it."""
    if sys.getfilesystemencoding() != "utf-8" and os.environ.get("PYTHONUTF8") != "1":
        os.environ["PYTHONUTF8"] = "1"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - no shell


def _open_streams() -> None:
    """Give this process the streams that it was started without, and what it prints a form."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            # Else the next file that is opened would take the number, and what is printed.
            nothing = os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, os.fdopen(nothing, "w" if number else "r"))
    if not sys.stdout.isatty():
        sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def _let_go_of_the_unsaid() -> None:
    """Drop what could not be printed: Python would try once more at its end, and exit with 120."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _fail(sentence: str, code: int = 1) -> None:
    with suppress(OSError):  # what failed may be the stream
        if "--json" in sys.argv:
            click.echo(json.dumps({"error": sentence}))
    _note(f"loader: {sentence}")
    sys.exit(code)


def _fail_at(error: OSError) -> None:
    _fail(f"{error.filename or 'the system'}: {error.strerror or error}.")


def _stop_tidily() -> None:
    """Let SIGTERM and a closed terminal do what Ctrl-C does: temporary files hold addresses."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:  # nohup ignores one of them
            signal.signal(number, signal.default_int_handler)


def _settings() -> Settings:
    return load_settings(os.environ, Path.cwd())


def _answer(as_json: bool, result: dict[str, Any], sentence: str) -> None:
    written = json.dumps(result, default=str, ensure_ascii=False) if as_json else sentence
    click.echo(steers_nothing(written))


def _note(sentence: str) -> None:
    with suppress(OSError):  # a log that is full or gone ends no work
        click.echo(steers_nothing(sentence), err=True)


def _warn(sentence: str) -> None:
    _note(f"loader: warning: {sentence}")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="inboxroad-loader")
def cli() -> None:
    """Signed Inboxroad webhooks in, an honest DuckDB warehouse and campaign reports out."""


@cli.command(epilog="Example: loader serve --port 8000")
@_host
@_port
@_json
def serve(host: str, port: int, as_json: bool) -> None:
    """Receive webhooks; 2xx means on disk. Stops cleanly on SIGTERM."""
    from loader.server import serve

    serve(_settings(), host, port, sys.stderr if as_json else sys.stdout)
    _answer(as_json, {"stopped": True}, "stopped")


@cli.command(epilog="Example: loader ingest --follow")
@click.option("--follow", is_flag=True, help="Go on loading what arrives until stopped.")
@click.option("--rebuild", is_flag=True, help="Build the warehouse anew from the whole spool.")
@_json
def ingest(follow: bool, rebuild: bool, as_json: bool) -> None:
    """Load what is new in the spool into the warehouse. Safe to run twice, or to kill."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy's matrices; a thread of them spins
    from loader.ingest import ingest
    from loader.progress import shown
    from loader.run import until_told

    settings = _settings()
    _stop_tidily()  # what it has loaded so far is gone on with only if it is left whole
    with shown("Loading") as report:
        result = ingest(
            settings,
            follow=follow,
            rebuild=rebuild,
            progress=report,
            stop=until_told() if follow else lambda: False,
            warn=_warn,
        )
    sentence = (
        f"read {plural(result.read, 'event')}: {result.inserted:,} inserted, "
        f"{plural(result.duplicates, 'duplicate')}, {result.quarantined:,} quarantined, "
        f"in {result.seconds:.1f} s"
    )
    _answer(as_json, asdict(result), sentence)
    if not settings.spool.exists():
        _note(
            f"there is no spool at {settings.spool.absolute()} yet: receive with loader serve, or "
            "name the right home in LOADER_HOME."
        )


@cli.command(epilog="Example: loader run --port 8000")
@_host
@_port
@_json
def run(host: str, port: int, as_json: bool) -> None:
    """Receive and load in one: serve and ingest --follow side by side."""
    from loader.run import run
    from loader.settings import refuse_without_secrets

    refuse_without_secrets(_settings())
    run(["--host", host, "--port", str(port)], sys.stderr if as_json else None)
    _answer(as_json, {"stopped": True}, "stopped")


@cli.command(epilog="Example: loader status --json")
@_json
def status(as_json: bool) -> None:
    """Say how fresh and complete the warehouse is, and what to know before believing a rate."""
    from loader.status import sentences, status

    found = status(_settings())
    _answer(as_json, found, "\n".join(sentences(found)))


@cli.command(
    epilog="Example: loader simulate --messages 5000 --to http://127.0.0.1:8000/webhooks/inboxroad"
)
@click.option("--campaigns", default=12, show_default=True, help="Campaigns sent.")
@click.option("--messages", default=20_000, show_default=True, help="Messages in all.")
@click.option("--seed", default=1, show_default=True, help="The same seed gives the same bytes.")
@click.option(
    "--start",
    type=_TIME,
    metavar="TIME",
    help="First campaign, UTC; default: 2026-09-01, earlier for more than 12.",
)
@click.option(
    "--until",
    type=_TIME,
    metavar="TIME",
    help="Leave out what would arrive later, UTC.",
)
@click.option("--to", "url", metavar="URL", help="Post to a receiver, signed.")
@click.option("--spool", "into_spool", is_flag=True, help="Write into LOADER_HOME/spool.")
@_json
def simulate(
    campaigns: int,
    messages: int,
    seed: int,
    start: datetime | None,
    until: datetime | None,
    url: str | None,
    into_spool: bool,
    as_json: bool,
) -> None:
    """Make believable signed traffic, deterministic from its seed. No mail is sent."""
    from loader.posting import named_in, to_url
    from loader.progress import shown
    from loader.scenario import Plan, usual_start
    from loader.simulate import to_spool

    if bool(url) == into_spool:
        raise click.UsageError("say where to: --to URL, or --spool.")
    plan = Plan(
        campaigns=campaigns,
        messages=messages,
        seed=seed,
        start=(start or usual_start(campaigns)).replace(tzinfo=UTC),
        until=until and until.replace(tzinfo=UTC),
    )
    settings = _settings()
    with shown("Simulating") as report:
        if url:
            webhook = named_in(url, settings)
            done = to_url(plan, url, webhook.secrets[0], webhook.api_key, report)
        else:
            done = to_spool(plan, settings, report)
    sentence = f"{plural(done, 'event')} of {plural(campaigns, 'campaign')}, seed {seed}"
    _answer(as_json, {"events": done}, sentence)


@cli.command(epilog="Example: loader report 9d76d4b4 --output september.pdf")
@click.argument("campaign", required=False)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="F.html, F.pdf; a folder for --all.  [default: in LOADER_HOME/reports]",
)
@click.option("--all", "all_campaigns", is_flag=True, help="A folder: an index and every campaign.")
@_json
def report(campaign: str | None, output: Path | None, all_campaigns: bool, as_json: bool) -> None:
    """Write a report, one self-contained file: all campaigns, or CAMPAIGN (an id or a name)."""
    from loader.report import report

    if campaign is not None and not campaign.strip():
        raise click.UsageError("CAMPAIGN is empty: give an id or a name, or leave it out.")
    if campaign and all_campaigns:
        raise click.UsageError("give a CAMPAIGN or --all, not both.")
    _stop_tidily()
    path = report(_settings(), campaign, output, all_campaigns, _note)
    _answer(as_json, {"report": str(path.resolve())}, str(path.resolve()))


@cli.command(epilog="Example: loader notebooks --no-browser --port 8888")
@_host
@click.option(
    "--port", type=_PORT, default=8888, show_default=True, help="Port; 0 takes a free one."
)
@click.option("--browser/--no-browser", default=True, help="Open the browser on it.")
@_json
def notebooks(host: str, port: int, browser: bool, as_json: bool) -> None:
    """Open JupyterLab on a working copy of the notebooks, wired to this warehouse."""
    from loader.lab import open_lab

    code = open_lab(_settings(), browser=browser, host=host, port=port, say=_note)
    if code:
        _fail(f"JupyterLab stopped with exit code {code}: its lines above say why.")
    _answer(as_json, {"exit_code": code}, "stopped")


@cli.command(epilog='Example: loader sql "select * from campaign_report" --csv')
@click.argument("query")
@click.option("--csv", "as_csv", is_flag=True, help="CSV, safe to open in a spreadsheet.")
@click.option("--parquet", type=click.Path(path_type=Path), help="Write a Parquet file.")
@_json
def sql(query: str, as_csv: bool, parquet: Path | None, as_json: bool) -> None:
    """Ask the published warehouse, read-only; times are UTC."""
    from loader import query as answers

    if as_csv and (as_json or parquet):
        raise click.UsageError("give --csv alone, or --json, or --parquet.")
    _stop_tidily()
    frame = answers.ask(_settings(), query)
    if parquet:
        answers.write_parquet(frame, parquet)
        _answer(as_json, {"rows": frame.height, "file": str(parquet)}, str(parquet))
    elif as_json:
        click.echo(answers.to_json(frame))
    else:
        written = answers.to_csv(frame) if as_csv else answers.to_table(frame)
        # A file gets every character; a screen would do what some of them say.
        click.echo(steers_nothing(written) if sys.stdout.isatty() else written, nl=not as_csv)


@cli.command(epilog="Example: loader quarantine --retry")
@click.option("--retry", is_flag=True, help="Read the lines again, after a fix.")
@_json
def quarantine(retry: bool, as_json: bool) -> None:
    """List what was set aside and why; read it again with --retry."""
    from loader.quarantine import retry as read_again
    from loader.quarantine import sentences, summary

    found = read_again(_settings()) if retry else summary(_settings())
    _answer(as_json, found, "\n".join(sentences(found)))


@cli.command(epilog="Example: loader maintain")
@click.option(
    "--keep-days",
    type=click.IntRange(0, 36_500),
    default=7,
    show_default=True,
    help="How long a reader's open connection keeps what it sees.",
)
@_json
def maintain(keep_days: int, as_json: bool) -> None:
    """Merge a lake's small files and remove what nobody reads; safe while loaders run."""
    from datetime import timedelta

    from loader.maintain import maintain
    from loader.progress import shown

    with shown("Maintaining", unit="files") as report:
        done = maintain(_settings(), report, keep=timedelta(days=keep_days))
    sentence = (
        f"of {plural(done['files_before'], 'file')} there are {done['files_after']:,} now; expired "
        f"{plural(done['snapshots_expired'], 'snapshot')}, removed "
        f"{plural(done['files_removed'], 'old file')}"
    )
    _answer(as_json, done, sentence)


@cli.command(epilog="Example: loader migrate data/warehouse.duckdb")
@click.argument("source", type=click.Path(path_type=Path))
@_json
def migrate(source: Path, as_json: bool) -> None:
    """Copy the warehouse file SOURCE into the lake that LOADER_WAREHOUSE names, and prove it."""
    from loader.migrate import migrate
    from loader.progress import shown

    with shown("Migrating", unit="rows") as report:
        done = migrate(_settings(), source, report)
    rows = plural(sum(done["rows"].values()), "row")
    same = f"the report of {plural(done['campaigns'], 'campaign')} stayed the same"
    _answer(as_json, done, f"{rows} moved; {same}")


@cli.command(epilog="Example: loader verify")
@_json
def verify(as_json: bool) -> None:
    """Check every signature in the spool again, and every segment against the ledger."""
    from loader.progress import shown
    from loader.receipts import expired, lacking
    from loader.status import published_offsets
    from loader.verify import sentences, verify

    settings = _settings()
    receipts, loaded = expired(settings.spool), published_offsets(settings)
    with shown("Verifying", unit="bytes") as report:
        found = verify(settings, loaded, report)
    warnings = list(lacking(settings.spool, receipts, loaded))
    for sentence in warnings:
        _warn(sentence)
    told = sentences(found)
    answer = {
        "findings": [str(finding) for finding in found.places],
        "count": found.count,
        "summary": told,
        "warnings": warnings,
    }
    _answer(as_json, answer, "\n".join(told) or "everything holds")
    sys.exit(1 if found.count else 0)


@cli.command(epilog="Example: loader demo")
@click.option("--home", type=click.Path(path_type=Path), help="Where; default: a new directory.")
@click.option("--campaigns", default=12, show_default=True, help="Campaigns sent.")
@click.option("--messages", default=12_000, show_default=True, help="Messages in all.")
@_json
def demo(home: Path | None, campaigns: int, messages: int, as_json: bool) -> None:
    """Show all of it on simulated campaigns: serve, post, ingest, the table, the reports."""
    from loader.demo import demo

    say, output = (_note, sys.stderr) if as_json else (click.echo, None)
    reports = demo(home, campaigns, messages, say, output)
    _answer(as_json, {"reports": str(reports)}, f"Open these in a browser: {reports}/*.html")


for _command in cli.commands.values():
    _command.epilog = f"\b\n{_command.epilog}"  # on one line, however narrow, to be pasted
