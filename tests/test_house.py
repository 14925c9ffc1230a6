"""What the house promises: data flows one way, functions stay small, nothing private travels."""

import ast
import json
import re
import statistics
import subprocess
import tomllib
from importlib.metadata import distributions
from itertools import pairwise
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from tests.conftest import lacks

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "loader"
WIDEST = 88
CREATED = re.compile(
    r"^create (?:or replace )?(?:table|view|macro) (?:if not exists )?(\w+)", re.MULTILINE
)

# Module: what it may import of us. Each may know only what stands above it: data flows downwards.
MAY_IMPORT = {
    # anywhere
    "__init__": "",
    "errors": "",
    "assets": "",
    "settings": "errors",
    "durable": "",
    "strict_json": "",
    "signature": "",
    "progress": "",
    "wording": "",
    # bytes → verified body → spool line
    "framing": "",
    "spool": "durable wording errors",
    "writer": "durable spool errors",
    "notices": "",
    "metrics": "spool errors",
    "receiver": "settings signature strict_json framing writer metrics notices errors",
    "server": "receiver settings writer metrics notices errors",
    "receipts": "durable spool wording errors",
    "retention": "durable receipts spool wording errors",
    "verify": "framing progress receipts settings signature spool wording errors",
    # spool line → typed frame → table
    "events": "strict_json",
    "moments": "",
    "shape": "events strict_json",
    "batch": "events moments shape spool",
    "dedupe": "events",
    "entries": "batch dedupe",
    "standing": "batch",
    "publication": "durable errors",
    "lock": "errors",
    "spill": "",
    "whole": "",
    "memory": "",
    "ledger": "",
    "definitions": "assets errors",
    "lake": "durable settings spill errors",
    "lake_target": "lake memory settings spool errors",
    "file_target": "durable ledger lock memory publication spool errors",
    "target": "file_target lake_target settings spool errors",
    "objects": "definitions errors",
    "refresh": "assets definitions objects",
    "warehouse": "batch dedupe definitions entries events ledger memory objects refresh spool "
    "standing target errors",
    "ties": "batch dedupe receipts shape spool warehouse errors",
    "query": "lake settings spill whole wording errors",
    "ingest": "batch entries lake progress receipts retention settings shape spool target ties "
    "warehouse wording errors",
    "quarantine": "batch definitions entries events lake query settings shape spool target ties "
    "warehouse wording errors",
    "maintain": "lake lake_target progress settings errors",
    "migrate": "lake lake_target progress settings warehouse errors",
    "status": "definitions events lake ledger query receipts retention settings spool wording "
    "errors",
    # table → view → chart → page
    "palette": "",
    "page": "palette wording",
    "numbers": "wording",
    "look": "page palette",
    "funnel_plot": "look page palette wording",
    "charts": "funnel_plot look page palette wording",
    "tables": "page palette wording",
    "leads": "charts page wording",
    "notebook": "look objects page query settings whole wording",
    "kernel": "settings",
    "lab_config": "",
    "bundle": "",
    "report": "assets bundle definitions kernel look notebook numbers page palette settings "
    "tables whole errors",
    "lab": "assets kernel settings whole errors",
    # a seed → signed bodies
    "scenario": "errors",
    "traffic": "scenario",
    "simulate": "framing progress scenario settings signature spool traffic writer errors",
    "posting": "progress scenario settings signature simulate errors",
    # words → one of the above
    "run": "errors",
    "demo": "run scenario errors",
    "cli": "*",
    "__main__": "cli",
}


def imported(module: Path) -> set[str]:
    """Return the names of our modules that a module imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("loader"):
            parts = node.module.split(".")[1:]
            found |= {parts[0]} if parts else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {a.name.split(".")[1] for a in node.names if a.name.startswith("loader.")}
    return found


@pytest.mark.parametrize("module", sorted(PACKAGE.glob("*.py")), ids=lambda path: path.stem)
def test_data_flows_one_way(module: Path) -> None:
    """A module knows only modules before it in the flow, and of those only the ones it is given."""
    rooms = list(MAY_IMPORT)
    before = set(rooms[: rooms.index(module.stem)])
    allowed = MAY_IMPORT[module.stem].split()

    assert set(allowed) - {"*"} <= before
    assert imported(module) <= (before if allowed == ["*"] else set(allowed))


def test_functions_stay_small() -> None:
    """Functions have a median of about 8 lines and a 90th percentile of about 28."""
    sizes = sorted(
        node.end_lineno - node.lineno + 1
        for module in PACKAGE.glob("*.py")
        for node in ast.walk(ast.parse(module.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef) and node.end_lineno
    )

    assert statistics.median(sizes) <= 10
    assert statistics.quantiles(sizes, n=10)[-1] <= 30


def test_nothing_is_skipped_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a machine lacks is a skip elsewhere and a failure in CI, and no test skips otherwise."""
    skipping = re.compile(r"pytest\.(?:skip|importorskip|mark\.skip|mark\.xfail|xfail)")
    files = [path for path in (ROOT / "tests").rglob("*.py") if path != Path(__file__)]
    found = [path.name for path in files for _ in skipping.findall(path.read_text("utf-8"))]

    assert found == ["conftest.py"]
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception):
        lacks("a program")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception):
        lacks("a program")


def test_notebooks_are_committed_without_outputs() -> None:
    """No notebook in the repository holds an output: outputs embed data, so addresses."""
    notebooks = sorted((ROOT / "notebooks").glob("*.ipynb"))
    cells = [cell for path in notebooks for cell in json.loads(path.read_text("utf-8"))["cells"]]

    assert notebooks
    assert not [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")]


def test_what_is_staged_reads_no_mart() -> None:
    """Data flows one way in SQL too: nothing in staging names what is made of it."""
    marts = {file.stem for file in (ROOT / "sql" / "marts").glob("*.sql")}
    staged = sorted((ROOT / "sql" / "staging").glob("*.sql"))

    assert staged
    for file in staged:
        code = re.sub(r"--.*|'[^']*'", "", file.read_text("utf-8"))
        named = re.findall(r"\b(?:from|join)\s+(\w+)|(\w+)\(", code)

        assert not marts & {name for pair in named for name in pair}, file


def test_sql_says_first_what_it_is() -> None:
    """Every SQL file states its grain or use first, in lines that are not too long."""
    paths = sorted((ROOT / "sql").rglob("*.sql"))

    assert paths
    for path in paths:
        text = path.read_text("utf-8")

        assert text.startswith("-- "), path
        assert all(len(line) <= WIDEST for line in text.splitlines()), path


def test_no_window_spans_everything() -> None:
    """No mart has a window over all rows: DuckDB 1.5.5 stops at some of few rows (duckdb#25713)."""
    texts = {path: path.read_text("utf-8") for path in (ROOT / "sql").rglob("*.sql")}

    assert [path for path, text in texts.items() if re.search(r"over \(\s*\)", text)] == []


def test_sql_groups_and_orders_by_names() -> None:
    """What is grouped or ordered by is named: a column more in a query changes no grain."""
    texts = {path: path.read_text("utf-8") for path in (ROOT / "sql").rglob("*.sql")}
    nameless = re.compile(r"\b(?:group|order) by (?:all\b|\d)")

    assert [path for path, text in texts.items() if nameless.search(text)] == []


@pytest.mark.parametrize("layer", ["tables", "staging", "marts"])
def test_sql_is_a_file_an_object(layer: str) -> None:
    """Every SQL file but those of a refresh creates the one object that it is named after."""
    paths = sorted((ROOT / "sql" / layer).glob("*.sql"))

    assert paths
    for path in paths:
        assert CREATED.findall(path.read_text("utf-8")) == [path.stem], path


def test_changelog_sections_are_ordered() -> None:
    """The changelog begins with this version, and each after it is older."""
    lines = (ROOT / "CHANGELOG.md").read_text("utf-8").splitlines()
    versions = [number(line.split()[1]) for line in lines if line.startswith("## ")]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

    assert versions[0] == number(project["version"])
    assert all(newer > older for newer, older in pairwise(versions))


def test_what_is_pinned_runs_on_every_python_that_is_named() -> None:
    """No pinned version asks for a newer Python than the project does: Debian 12 has 3.11.2."""
    pins = set(re.findall(r"^(\S+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    oldest = project["requires-python"].removeprefix(">=") + ".0"
    wanted = {
        pin: found.metadata.get("Requires-Python") or ""
        for found in distributions()
        if (pin := (found.name.lower(), found.version)) in pins
    }

    assert len(wanted) > 50
    assert [pin for pin, python in wanted.items() if oldest not in SpecifierSet(python)] == []


def number(version: str) -> tuple[int, ...]:
    """A version as numbers, by which it is ordered."""
    return tuple(map(int, version.split(".")))


def test_every_target_that_is_named_runs_something() -> None:
    """What README and docs say to make is not 'nothing to be done', even where a file stands."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    words = " ".join(page.read_text("utf-8") for page in pages)
    named = set(re.findall(r"\bmake ([a-z][a-z0-9]*(?:-[a-z0-9]+)*)`|`(bench-[a-z]+)`", words))
    targets = sorted({first or second for first, second in named})
    asked = ["make", "--dry-run", "--always-make", *targets]
    said = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert len(targets) >= 9
    assert "Nothing to be done" not in said
    assert said.count("bench/") == sum(target.startswith("bench-") for target in targets)
