"""Notebook → file: executed, stripped of its code, and exported as one self-contained page or PDF.

A page carries everything it needs: no request leaves it, and its content policy forbids any.
"""

import html
import json
import os
import re
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbconvert.exporters import HTMLExporter
from nbconvert.preprocessors import Preprocessor
from nbformat import NotebookNode
from traitlets import Unicode
from traitlets.config import Config

from loader import bundle, look, notebook, numbers, page, palette, tables
from loader.assets import asset
from loader.definitions import of_this_version, other_version
from loader.errors import ReportError, WrongUsage
from loader.kernel import OwnKernelSpecs, kernel_environment
from loader.settings import Settings
from loader.whole import written

OVERVIEW, CAMPAIGN = "01_overview", "02_campaign"
CELL_SECONDS = 300
_DIED = f"the notebook's kernel died or took over {CELL_SECONDS} s: free memory, try again."
LONGEST_SCRATCH = 99
"""Bytes of the longest directory in which a socket may stand: macOS gives its path 103."""
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_TEMPLATES = Path(__file__).resolve().parent / "templates"
Progress = Callable[[str], None]


def report(
    settings: Settings,
    campaign: str | None = None,
    output: Path | None = None,
    all_campaigns: bool = False,
    progress: Progress = lambda _sentence: None,
) -> Path:
    """Write a report and return its path.

    ``campaign`` is an id, a name or the beginning of an id; without it the report is the overview
    of all campaigns. ``output`` ends in ``.html`` or ``.pdf`` and defaults to a name in
    ``settings.reports``. With ``all_campaigns``, ``output`` is a folder that receives
    ``index.html`` (the overview, whose names are links) and a page per campaign. ``progress``
    hears one short sentence per step, and what is to be known of the choice. Raises
    ``WrongUsage`` or ``ReportError``; a file appears whole or not at all.
    """
    if output and not all_campaigns and output.suffix.lower() not in {".html", ".pdf"}:
        raise WrongUsage(f"{output.name} is neither .html nor .pdf: give one of these endings.")
    warehouse = notebook.open_warehouse(kernel_environment(settings, os.environ))
    with of_this_version():
        if warehouse.frame("select from_offset from ingest_ledger limit 1").is_empty():
            where = settings.home.absolute()
            progress(f"nothing has been loaded in {where}: run loader ingest first.")
        for sentence in other_version(warehouse.connection):
            progress(sentence)
        pages = _pages(settings, warehouse, campaign, output, all_campaigns, progress)
    _make_folder(pages[0].output)
    with kernel(settings) as client, bundle.made_ahead() as script:
        for position, wanted in enumerate(pages, start=1):
            progress(f"{position} of {len(pages)}: {wanted.output.name}")
            _write(client, wanted, script)
    return pages[0].output


@dataclass(frozen=True)
class _Page:
    notebook: str
    parameters: dict[str, object]
    output: Path
    is_indexed: bool = False
    """Whether ``index.html`` beside it is the page of all campaigns."""


def _pages(
    settings: Settings,
    warehouse: notebook.Warehouse,
    campaign: str | None,
    output: Path | None,
    all_campaigns: bool,
    say: Progress,
) -> list[_Page]:
    if all_campaigns:
        return _all_pages(warehouse, output or settings.reports / "all")
    meant = None if campaign is None else _meant(warehouse, campaign, say)
    return [_one_page(settings, meant, output)]


def _meant(warehouse: notebook.Warehouse, campaign: str, say: Progress) -> str:
    """Return the id of the campaign that a text means."""
    meant = notebook.resolve(warehouse, campaign)
    if meant.campaign_id is None:
        raise ReportError(meant.said or "there is no campaign yet: leave CAMPAIGN out.")
    if meant.said:
        say(meant.said)
    return meant.campaign_id


def _one_page(settings: Settings, campaign: str | None, output: Path | None) -> _Page:
    if campaign is None:
        return _Page(OVERVIEW, {}, output or settings.reports / "overview.html")
    path = output or settings.reports / page.file_name(campaign)
    return _Page(CAMPAIGN, {"campaign": campaign}, path)


def _all_pages(warehouse: notebook.Warehouse, folder: Path) -> list[_Page]:
    if folder.exists() and not folder.is_dir():
        raise ReportError(f"{folder} is a file; name a folder for the pages of all campaigns.")
    return [
        _Page(OVERVIEW, {"linked": True}, folder / "index.html"),
        *(
            _Page(CAMPAIGN, {"campaign": found}, folder / page.file_name(found), is_indexed=True)
            for found in notebook.campaign_ids(warehouse)
        ),
    ]


@contextmanager
def kernel(settings: Settings) -> Iterator[NotebookClient]:
    """Start one kernel for every page of a run: starting is the slow part. Stops it at the end."""
    with tempfile.TemporaryDirectory(prefix="loader-") as scratch:
        if len(os.fsencode(scratch)) > LONGEST_SCRATCH:
            raise ReportError(
                f"{Path(scratch).parent} is too long a name for sockets to stand there: set TMPDIR "
                "to a shorter one."
            )
        client = NotebookClient(
            nbformat.v4.new_notebook(),
            km=AsyncKernelManager(
                kernel_spec_manager=OwnKernelSpecs(),
                connection_file=f"{scratch}/kernel.json",
                # A socket in a directory of our own: nobody else on the machine can listen in.
                **({"transport": "ipc", "ip": f"{scratch}/k"} if os.name == "posix" else {}),
            ),
            startup_timeout=CELL_SECONDS,
            timeout=CELL_SECONDS,
            shutdown_kernel="immediate",  # it only reads; asking it to leave takes seconds
            extra_arguments=["--HistoryManager.enabled=False", "--InteractiveShell.colors=nocolor"],
        )
        environment = kernel_environment(settings, os.environ) | {"IPYTHONDIR": scratch}
        with ExitStack() as started:
            try:
                starting = client.setup_kernel(cleanup_kc=True, env=environment, cwd=scratch)
                started.enter_context(starting)
            except RuntimeError:
                raise ReportError(_DIED) from None
            yield client


def _write(client: NotebookClient, wanted: _Page, script: Callable[[], str]) -> None:
    path = asset("notebooks") / f"{wanted.notebook}.ipynb"
    ran = execute(client, nbformat.read(path, as_version=4), wanted.parameters)
    is_pdf = wanted.output.suffix.lower() == ".pdf"
    markup = to_html(ran, printed=is_pdf, script=script(), is_indexed=wanted.is_indexed)
    _replace(wanted.output, _pdf(markup) if is_pdf else markup.encode())


def execute(
    client: NotebookClient, source: NotebookNode, parameters: dict[str, object]
) -> NotebookNode:
    """Run every cell of ``source`` in the client's kernel, with ``parameters`` set, and return it.

    Raises ``ReportError`` that names the notebook's error without its traceback.
    """
    client.nb = with_parameters(source, parameters)
    client.reset_execution_trackers()
    try:
        for index, cell in enumerate(client.nb.cells):
            client.execute_cell(cell, index, store_history=False)
    except CellExecutionError as error:
        raise ReportError(
            f"the notebook stopped with {error.ename}: {error.evalue.splitlines()[0][:200]} "
            "Run `loader ingest`, then try again."
        ) from None
    except (CellTimeoutError, DeadKernelError):
        raise ReportError(_DIED) from None
    return client.nb


def with_parameters(source: NotebookNode, parameters: dict[str, object]) -> NotebookNode:
    """Return a copy of the notebook with a cell behind its parameters cell that sets them.

    Raises ``ReportError`` for a parameter that the notebook does not declare.
    """
    copy: NotebookNode = nbformat.from_dict(source)
    index = next(
        (i for i, cell in enumerate(copy.cells) if "parameters" in cell.metadata.get("tags", ())),
        None,
    )
    declared = copy.cells[index].source if index is not None else ""
    for name in parameters:
        if not re.search(rf"^{name}\s*=", declared, re.MULTILINE):
            raise ReportError(f"the notebook has no parameter {name!r}: restore its first cells.")
    if parameters and index is not None:
        lines = "\n".join(f"{name} = {value!r}" for name, value in parameters.items())
        copy.cells.insert(index + 1, nbformat.v4.new_code_cell(lines))
    return copy


def to_html(ran: NotebookNode, *, printed: bool, script: str, is_indexed: bool = False) -> str:
    """Return an executed notebook as one page without code; ``printed`` opens what folds.

    ``script`` is the one that draws charts. With ``is_indexed`` it leads to ``index.html``.
    """
    config = Config()
    config.HTMLExporter.preprocessors = []
    exporter = HTMLExporter(
        config=config, template_name="report", extra_template_basedirs=[str(_TEMPLATES)]
    )
    exporter.exclude_anchor_links = True
    exporter.mathjax_url = exporter.require_js_url = ""
    nonce = secrets.token_urlsafe(12)
    inlined: Preprocessor = InlineCharts(nonce=nonce, drawing=script)  # type: ignore[no-untyped-call]
    drawn, _ = inlined.preprocess(ran, {})
    question, definitions = _opening(drawn)
    body, _ = exporter.from_notebook_node(
        drawn,
        resources={
            "nonce": nonce,
            "question": question,
            "is_indexed": is_indexed,
            "definitions": definitions,
            "headline": _headline(drawn),
            "report_title": _headline(drawn) or question,
            "cells_shown": [cell for cell in drawn.cells[1:] if _is_shown(cell)],
            "printed": printed,
            "scrolls": palette.SCROLLS,
            "footer": f"Made on {datetime.now(UTC):%a %d %b %Y %H:%M} UTC by inboxroad-loader from "
            "signed webhook events. Intervals are 95% Wilson intervals.",
        },
    )
    return str(body).replace("\0", "\ufffd")  # HTML has no such character


def _opening(ran: NotebookNode) -> tuple[str, str]:
    """Split the first cell into its question (the H1) and its definitions (the rest)."""
    first = str(ran.cells[0].source)
    heading, _, rest = first.partition("\n")
    return heading.lstrip("# ").strip(), rest.strip()


def _headline(ran: NotebookNode) -> str | None:
    """The page's own title, for the window: what the head says in its ``loader.title``."""
    return next((data[page.TITLE_MIME] for data in _data(ran, page.TITLE_MIME)), None)


def _is_shown(cell: NotebookNode) -> bool:
    return "lab-only" not in cell.metadata.get("tags", ())


class InlineCharts(Preprocessor):
    """Replace Vega-Lite outputs by scripts that draw them from one bundle inlined in the page.

    It stands in ``loader report`` and in JupyterLab's own export. Nothing in a chart's data can
    end the script it stands in: every ``<`` is written as an escape.
    """

    nonce = Unicode("", help="What the page's content policy demands of a script, if it has one.")
    drawing = Unicode("", help="The script that draws charts; without it, it is made here.")

    def preprocess(
        self, nb: NotebookNode, resources: dict[str, Any]
    ) -> tuple[NotebookNode, dict[str, Any]]:
        """Return a copy of the notebook with every chart as self-contained HTML."""
        copy: NotebookNode = nbformat.from_dict(nb)
        if self.nonce:
            sorting = self._script(tables.SORTING)
            for data in _data(copy, "text/html"):
                data["text/html"] = data["text/html"].replace(tables.SORT, sorting)
        for number, data in enumerate(_data(copy, look.MIME)):
            spec = data.pop(look.MIME)
            data.clear()
            data["text/html"] = self._embedded(f"ld-chart-{number}", spec)
            if number == 0:
                drawing = self._script(self.drawing or bundle.script())
                data["text/html"] = drawing + self._script(_DRAW) + data["text/html"]
        return copy, resources

    def _embedded(self, name: str, spec: dict[str, Any]) -> str:
        written = {key: value for key, value in spec.items() if key != "$schema"}
        text = json.dumps(written, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")
        text = text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
        finding, _ = look.said(spec.get("title"))
        return (
            f'{_title(name, spec)}<div class="ld-chart" id="{name}"></div>'
            f"{numbers.table(spec, finding)}" + self._script(f'ldDraw("{name}", {text});')
        )

    def _script(self, code: str) -> str:
        nonce = f' nonce="{self.nonce}"' if self.nonce else ""
        return f"<script{nonce}>{code}</script>"


_DRAW = """
function ldDraw(name, spec) {
  const title = document.getElementById(name + "-title");
  if (innerWidth < 700) { delete spec.title; title.hidden = false; }
  const chart = document.getElementById(name);
  vegaEmbed(chart, spec, {mode: "vega-lite", ast: true}).then(() => {
    chart.querySelector(".chart-wrapper")?.setAttribute("role", "img");
    chart.querySelector("summary")?.setAttribute("aria-label", "Save this chart");
  });
}
"""
"""Draws a chart; where its frame scrolls, as on a phone, its title stands above that and wraps.

It is read out as one picture with its finding: a table beside it has the numbers.
"""


def _title(name: str, spec: dict[str, Any]) -> str:
    finding, measure = map(html.escape, look.said(spec.get("title")))
    words = f"<b>{finding}</b><br>{measure}"
    return (
        f'<p class="ld-title" id="{name}-title" hidden>{words}</p><noscript><p class="ld-title">'
        f"{words}<br>A browser that runs scripts draws the chart here.</p>"
        "</noscript>"
    )


def _data(ran: NotebookNode, mime: str) -> Iterator[dict[str, Any]]:
    """Yield the data of each output that is given as ``mime`` too."""
    for cell in ran.cells:
        for output in cell.get("outputs", ()):
            if mime in output.get("data", ()):
                yield output["data"]


def _pdf(markup: str) -> bytes:
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise ReportError(
            "a PDF is printed by Chromium or Chrome, and neither is installed: "
            "install one (Debian: `apt install chromium`), or write .html."
        )
    with tempfile.TemporaryDirectory(prefix="loader-pdf-") as scratch:
        source, printed = Path(scratch, "page.html"), Path(scratch, "page.pdf")
        source.write_text(markup, "utf-8")
        _print(browser, source, printed, Path(scratch, "profile"))
        if not printed.is_file():
            raise ReportError(f"{Path(browser).name} printed nothing: write .html and print that.")
        return printed.read_bytes()


def _print(browser: str, source: Path, printed: Path, profile: Path) -> None:
    arguments: Sequence[str] = (
        *("--headless", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage"),
        *("--disable-background-networking", "--disable-extensions", "--hide-scrollbars"),
        *("--virtual-time-budget=20000", "--no-pdf-header-footer"),
        *(("--no-sandbox",) if os.geteuid() == 0 else ()),
        *(f"--user-data-dir={profile}", f"--print-to-pdf={printed}"),
    )
    command = [browser, *arguments, source.as_uri()]
    # Where TMPDIR is another user's, or gone, Python takes another, and the browser nothing.
    environ = {**os.environ, "TMPDIR": tempfile.gettempdir()}
    try:
        subprocess.run(command, env=environ, capture_output=True, check=False, timeout=120)
    except subprocess.TimeoutExpired:
        raise ReportError("the browser took over 120 s to print: write .html instead.") from None


def _make_folder(path: Path) -> None:
    """Make the folder of the pages before the long work, not after it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ReportError(f"{path} cannot be written ({error.strerror}): choose another.") from None
    if not os.access(path.parent, os.W_OK):
        raise ReportError(f"this user may not write in {path.parent}: choose another --output.")


def _replace(path: Path, content: bytes) -> None:
    try:
        with written(path) as file:
            file.write(content)
    except OSError as error:
        raise ReportError(f"{path} cannot be written ({error.strerror}): choose another.") from None
