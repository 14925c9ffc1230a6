"""Reports: one file, right in a real browser with no network, and on paper."""

import json
import re
from pathlib import Path

import pytest

from loader.errors import ReportError
from loader.report import report
from loader.settings import Settings
from tests.conftest import require
from tests.pages import HOSTILE, browse, hostile_home, sample_home, settings_of

LARGEST = 3_000_000


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home with the sample."""
    return sample_home(tmp_path_factory.mktemp("sample"))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home whose every text tries to become script."""
    return hostile_home(tmp_path_factory.mktemp("hostile"))


def test_every_page_of_all_draws_without_network(home: Settings, tmp_path: Path) -> None:
    """--all writes an index and a page a campaign; each draws every chart and asks for nothing."""
    heard: list[str] = []
    index = report(home, None, tmp_path / "all", all_campaigns=True, progress=heard.append)
    pages = sorted(index.parent.glob("*.html"))
    links = re.findall(r'href="(campaign-[^"]+\.html)"', index.read_text("utf-8"))
    seen = browse(do="look", pages=[str(path) for path in pages])

    assert index.name == "index.html"
    assert len(heard) == len(pages) == 13
    assert sorted(links) == [path.name for path in pages if path != index]
    assert max(path.stat().st_size for path in pages) < LARGEST
    for path, found in seen.items():
        assert found["requests"] == found["failed"] == found["errors"] == [], path
        assert found["charts"] == found["drawn"] >= 2, path
        assert found["empty"] == 0, path
        assert found["wide"] <= 1000, path
    names = seen[str(index)]["sorted"]
    assert names == sorted(names, reverse=True)
    assert len(names) == 12


def test_a_hostile_name_executes_nothing(hostile: Settings, tmp_path: Path) -> None:
    """A campaign named like script is only text: in its page, in the overview, in the links."""
    overview = report(hostile, None, tmp_path / "overview.html")
    page = report(hostile, HOSTILE, tmp_path / "page.html")
    seen = browse(do="look", pages=[str(overview), str(page)])

    assert seen[str(page)]["first"] == HOSTILE
    for found in seen.values():
        assert found["pwned"] is None
        assert found["requests"] == found["failed"] == found["errors"] == []
        assert found["drawn"] == found["charts"] > 0
        assert found["wide"] <= 1000


def test_a_report_is_a_page_without_code(home: Settings, tmp_path: Path) -> None:
    """The page shows no code, is for its owner only, and its policy forbids every request."""
    path = report(home, "", tmp_path / "newest.html")
    text = path.read_text("utf-8")

    assert "warehouse.frame" not in text
    assert "default-src 'none'" in text
    assert not re.search(r'(src|href)="(https?:)?//(?!(shop|news)\.example)', text)
    assert path.stat().st_mode & 0o077 == 0


def test_a_report_prints_as_pdf(home: Settings, tmp_path: Path) -> None:
    """The same page on A4 paper, through Debian's Chromium."""
    require("chromium")
    content = report(home, "", tmp_path / "newest.pdf").read_bytes()

    assert content.startswith(b"%PDF-")
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", content)) <= 6
    assert re.search(rb"/MediaBox\s*\[\s*0 0 59[45]\.\d* 84[12]", content)


def test_an_empty_warehouse_is_a_page_with_a_sentence(tmp_path: Path) -> None:
    """Before the first load the overview is a page that says what to do, not an error."""
    text = report(settings_of(tmp_path), None, tmp_path / "o.html").read_text("utf-8")

    assert "Nothing has been loaded yet" in text


@pytest.mark.parametrize(
    ("campaign", "output", "word"),
    [
        ("no such campaign", "x.html", "no campaign has that id"),
        (None, "x.docx", "neither .html nor .pdf"),
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

    from loader import charts
    from loader.report import InlineCharts

    data = {charts.MIME: {"mark": "bar", "title": HOSTILE + "<!--\u2028"}}
    output = nbformat.v4.new_output("display_data", data=data)
    page = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(outputs=[output])])
    drawn, _ = InlineCharts().preprocess(page, {})
    markup = drawn.cells[0].outputs[0].data["text/html"]
    script = markup.rsplit("<script>", 1)[1].removesuffix("</script>")

    assert "<" not in script
    assert json.loads(re.search(r"(\{.*\}), \{mode", script)[1])["title"] == HOSTILE + "<!--\u2028"
