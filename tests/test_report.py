"""Reports: one file, right in a real browser with no network, and on paper."""

import json
import re
from pathlib import Path
from typing import Any

import duckdb
import pytest

from loader.errors import ReportError, WarehouseError
from loader.report import report
from loader.settings import Settings
from tests.conftest import require
from tests.pages import (
    HOSTILE,
    browse,
    event,
    hostile_home,
    loaded_home,
    settings_of,
)  # fmt: skip

LARGEST = 3_000_000
pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home whose every text tries to become script."""
    return hostile_home(tmp_path_factory.mktemp("hostile"))


@pytest.fixture(scope="module")
def newest(home: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the sample's newest campaign."""
    return report(home, "", tmp_path_factory.mktemp("newest") / "newest.html")


@pytest.fixture(scope="module")
def index(hostile: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The index of all pages of the hostile home."""
    return report(hostile, None, tmp_path_factory.mktemp("all"), all_campaigns=True)


@pytest.fixture(scope="module")
def seen(newest: Path, index: Path) -> dict[str, dict[str, Any]]:
    """What a browser without network saw on every page, by file name."""
    pages = [newest, *sorted(index.parent.glob("*.html"))]
    found = browse(do="look", pages=[str(path) for path in pages])
    return {Path(path).name: page for path, page in found.items()}


def test_a_long_place_for_temporary_files_is_told(
    home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A TMPDIR in which no socket can stand is one sentence, which names the variable."""
    long = tmp_path / ("x" * 90)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))

    with pytest.raises(ReportError, match="set TMPDIR to a shorter one"):
        report(home, None, tmp_path / "page.html")

    assert list(long.iterdir()) == []


def test_every_page_draws_without_network(seen: dict[str, dict[str, Any]]) -> None:
    """Each page draws every chart, fits its window, asks for nothing and complains of nothing."""
    for name, found in seen.items():
        assert found["requests"] == found["failed"] == found["errors"] == [], name
        assert found["charts"] == found["drawn"] >= 2, name
        assert found["empty"] == 0, name
        assert found["wide"] <= 1000, name


def test_a_page_is_readable_on_a_phone(seen: dict[str, dict[str, Any]]) -> None:
    """At 420 pixels charts and tables scroll below whole titles: no letter under 11 pixels."""
    for name, found in seen.items():
        assert found["narrow"]["wide"] <= 420, name
        assert found["narrow"]["smallest"] >= 11, name
        assert found["narrow"]["broken"] == [], name
        assert found["narrow"]["titles"] == found["charts"], name


def test_a_chart_is_read_out_and_seen_on_any_ground(seen: dict[str, dict[str, Any]]) -> None:
    """A chart is read out as its finding, its numbers are a table, and it keeps its white ground.

    Nothing that can be reached by keyboard is without a name.
    """
    for name, found in seen.items():
        assert len(found["pictures"]) == found["charts"], name
        assert all(said and not said.endswith("!") for said in found["pictures"]), name
        assert found["unnamed"] == 0, name
        assert found["grounds"] == ["rgb(255, 255, 255)"], name


def test_paper_has_page_numbers_and_nothing_to_click(
    newest: Path, seen: dict[str, dict[str, Any]]
) -> None:
    """Printed, a page counts its sheets, of the reader's own size, and says of no click."""
    text = newest.read_text("utf-8")

    assert "ld-hint" in text
    assert "counter(page)" in text
    assert "size:A4" not in text
    assert [found["printed_hints"] for found in seen.values()] == [0] * len(seen)


def test_all_is_an_index_with_a_link_to_every_campaign(
    index: Path, seen: dict[str, dict[str, Any]]
) -> None:
    """--all writes an index whose names lead to one page each and back."""
    pages = sorted(path.name for path in index.parent.glob("*.html"))
    back = [path.read_text("utf-8").count('href="index.html"') for path in index.parent.glob("c*")]
    links = re.findall(r'href="(campaign-[^"]+\.html)"', index.read_text("utf-8"))

    assert index.name == "index.html"
    assert sorted(links) == [name for name in pages if name != "index.html"]
    assert len(links) == 3
    assert back == [1, 1, 1]


def test_headings_sort_as_a_reader_would(seen: dict[str, dict[str, Any]]) -> None:
    """From last to first: names by their letters, numbers by size, and words above numbers."""
    names, sizes = seen["index.html"]["sorted"]

    assert names == ["Serie 10", "Serie 9", "Ärzte"]
    assert sizes == ["over a million", "80", "9"]


def test_a_hostile_name_executes_nothing(seen: dict[str, dict[str, Any]]) -> None:
    """A campaign named like script is only text: in its page, in the overview, in the links."""
    assert [found["pwned"] for found in seen.values()] == [None] * len(seen)
    assert HOSTILE in [found["first"] for found in seen.values()]


def test_a_page_is_small_enough_for_a_mail(newest: Path, index: Path) -> None:
    """Every page is one file under 3 MB."""
    pages = [newest, *index.parent.glob("*.html")]

    assert max(path.stat().st_size for path in pages) < LARGEST


def test_a_report_is_a_page_without_code(newest: Path) -> None:
    """The page shows no code, is for its owner only, and its policy forbids every request."""
    text = newest.read_text("utf-8")

    assert "warehouse.frame" not in text
    assert "default-src 'none'" in text
    assert not re.search(r'(src|href)="(https?:)?//(?!(shop|news)\.example)', text)
    assert newest.stat().st_mode & 0o077 == 0


def test_a_report_prints_as_pdf(
    home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same page on A4 paper, through Debian's Chromium, also where TMPDIR is of no use."""
    require("chromium")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "gone"))
    content = report(home, "", tmp_path / "newest.pdf").read_bytes()

    assert content.startswith(b"%PDF-")
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", content)) <= 6
    assert re.search(rb"/MediaBox\s*\[\s*0 0 59[45]\.\d* 84[12]", content)


def test_an_empty_warehouse_is_a_page_with_a_sentence(tmp_path: Path) -> None:
    """Before the first load the overview is a page that says what to do, as the command does.

    Its question is then its heading: every page has one.
    """
    said: list[str] = []
    path = report(settings_of(tmp_path), None, tmp_path / "o.html", progress=said.append)

    assert "Nothing has been loaded yet" in path.read_text("utf-8")
    assert '<h1 class="kicker">How is our mail doing?</h1>' in path.read_text("utf-8")
    assert said[0] == f"nothing has been loaded in {tmp_path}: run loader ingest first."


def test_nothing_delivered_is_a_page_with_its_count(tmp_path: Path) -> None:
    """Where every message bounced the overview says so, and how many stand under no campaign."""
    bounces = [event("bounce", n, n, None if n < 3 else "lost") for n in range(40)]
    settings = loaded_home(tmp_path / "home", bounces)
    text = report(settings, None, tmp_path / "o.html").read_text("utf-8")

    assert "40 were attempted, none accepted" in text
    assert "3 bounces could not be attributed" in text
    assert "unattributed: no campaign known" in text


@pytest.mark.parametrize(
    ("campaign", "output", "word"),
    [
        ("no such campaign", "x.html", "no campaign has the id or name"),
        (None, "file/x.html", "cannot be written"),
    ],
)
def test_what_cannot_be_made_is_one_sentence(
    home: Settings, tmp_path: Path, campaign: str | None, output: str, word: str
) -> None:
    """An unknown campaign, a wrong ending and a place that cannot be written say so."""
    (tmp_path / "file").touch()
    with pytest.raises(ReportError) as caught:
        report(home, campaign, tmp_path / output)

    assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_kernel_that_does_not_start_is_one_sentence(
    home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the notebook's kernel ends before it answers, that is said."""
    monkeypatch.setattr("loader.kernel.make_ipkernel_cmd", lambda **_: ["false"])

    with pytest.raises(ReportError, match="kernel died"):
        report(home, None, tmp_path / "o.html")


def test_another_database_is_one_sentence(tmp_path: Path) -> None:
    """Where LOADER_WAREHOUSE names a database that is none of this version's, that is said."""
    settings = settings_of(tmp_path)
    with duckdb.connect(settings.warehouse) as con:
        con.execute("create table ours as select 1 as one")

    with pytest.raises(WarehouseError, match="another version"):
        report(settings, None, tmp_path / "o.html")


def test_a_page_that_fails_leaves_the_older_one(home: Settings, tmp_path: Path) -> None:
    """A report replaces its file whole or not at all, and leaves no pieces behind."""
    path = tmp_path / "old.html"
    path.write_text("old")
    with pytest.raises(ReportError):
        report(home, "no such campaign", path)

    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["old.html"]


def test_a_spec_cannot_end_its_script() -> None:
    """Whatever a chart's data holds, its JSON in the page contains no less-than sign."""
    import nbformat

    from loader import look
    from loader.report import InlineCharts

    data = {look.MIME: {"mark": "bar", "title": HOSTILE + "<!--\u2028"}}
    output = nbformat.v4.new_output("display_data", data=data)
    page = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(outputs=[output])])
    drawn, _ = InlineCharts().preprocess(page, {})
    markup = drawn.cells[0].outputs[0].data["text/html"]
    script = markup.rsplit("<script>", 1)[1].removesuffix("</script>")

    assert "<" not in script
    assert json.loads(re.search(r"(\{.*\})\);", script)[1])["title"] == HOSTILE + "<!--\u2028"
