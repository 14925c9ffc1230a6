"""The notebooks: one question each, right on nothing and on the sample, and private."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import nbformat
import polars as pl
import pytest
import vl_convert
from nbformat import NotebookNode

from loader import charts, look, notebook, numbers, page, palette, query, report, tables, wording
from loader.ingest import ingest
from loader.kernel import kernel_environment
from loader.settings import Settings
from tests.marts import database, put, refresh
from tests.pages import NOTEBOOKS, event, hostile_home, loaded_home, sample_home, settings_of

LIMIT = 5_000
Ran = dict[str, NotebookNode]


def run_all(settings: Settings) -> Ran:
    """Execute every notebook in one kernel."""
    with report.kernel(settings) as client:
        return {
            path.stem: report.execute(client, nbformat.read(path, as_version=4), {})
            for path in NOTEBOOKS
        }


@pytest.fixture(scope="module")
def sample(home: Settings) -> Ran:
    """Every notebook, executed on the sample."""
    return run_all(home)


def outputs(ran: NotebookNode) -> Iterator[dict[str, Any]]:
    """The data of every output of a notebook."""
    for cell in ran.cells:
        for output in cell.get("outputs", ()):
            yield output.get("data", {})


def specs(ran: NotebookNode) -> list[dict[str, Any]]:
    """Every chart of a notebook."""
    return [data[look.MIME] for data in outputs(ran) if look.MIME in data]


def code(path: Path) -> list[str]:
    """The code cells of a committed notebook."""
    cells = json.loads(path.read_text("utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def markdown(path: Path) -> list[str]:
    """The cells of prose of a committed notebook."""
    cells = json.loads(path.read_text("utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_asks_one_question(path: Path) -> None:
    """A notebook opens with its question, has one parameters cell and ends with its limits."""
    cells = json.loads(path.read_text("utf-8"))["cells"]
    words = markdown(path)
    tagged = [cell for cell in cells if "parameters" in cell["metadata"].get("tags", [])]

    assert words[0].startswith("# ")
    assert words[0].splitlines()[0].endswith("?")
    assert len([text for text in words if text.startswith("# ")]) == 1
    assert words[-1].startswith("## Limits")
    assert len(tagged) == 1


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_holds_no_machinery_and_no_arithmetic(path: Path) -> None:
    """Cells are short and only query, draw and say: no definition, loop or metric of their own."""
    forbidden = (ast.FunctionDef, ast.ClassDef, ast.For, ast.While, ast.BinOp, ast.Lambda)
    for source in code(path):
        nodes = list(ast.walk(ast.parse(source)))
        texts = [node.value for node in nodes if isinstance(node, ast.Constant)]
        asked = " ".join(text for text in texts if isinstance(text, str))

        assert len(source.splitlines()) <= 10
        assert not [node for node in nodes if isinstance(node, forbidden)]
        assert not re.search(r"\b(sum|count|avg|median|rate)\s*\(|/", asked), asked


def test_prose_says_thresholds_as_they_are_set() -> None:
    """What is too few, or old enough, prose says with the numbers that the marts go by."""
    con = database()
    put(con, "delivered", id="a", at="2026-03-01 08:00:00")
    refresh(con)
    known = con.sql("select value, unit from metric_threshold").fetchall()
    known += con.sql("select distinct days, 'days' from period_measure").fetchall()
    prose = " ".join(cell for path in NOTEBOOKS for cell in markdown(path))
    said = re.findall(r"(\d+) (hours|messages|days|URLs|seconds)\b", prose)
    below = re.findall(r"[Bb]elow (\d[\d.]*\d)", prose)

    assert {(float(value), unit.lower()) for value, unit in said} <= set(known)
    assert set(map(float, below)) <= {value for value, _unit in known}


def test_the_first_page_lists_every_page() -> None:
    """The page to start from has each of the others, by its question."""
    first, *others = NOTEBOOKS
    questions = {path.stem: markdown(path)[0].splitlines()[0] for path in others}
    listed = re.findall(r"^\| `(\w+)` \| (.*) \|$", "\n".join(markdown(first)), re.M)

    assert [(name, f"# {question}") for name, question in listed] == list(questions.items())


def test_every_notebook_says_a_sentence_on_no_warehouse(tmp_path: Path) -> None:
    """Without a warehouse each page says what is missing, and no page fails or draws."""
    for name, ran in run_all(settings_of(tmp_path)).items():
        said = " ".join(data.get("text/html", "") for data in outputs(ran))

        assert "Nothing" in said or "No " in said, name
        assert not specs(ran), name


def test_an_event_ahead_of_the_clock_hides_no_day(tmp_path: Path) -> None:
    """Charts by day end no later than tomorrow, whatever one event claims of its time."""
    mail = [event("delivered", n, 24 * (n // 300), "c") for n in range(600)]
    odd = event("delivered", 999, 0, "late", timestamp="9999-12-31T23:59:59Z")
    ran = run_all(loaded_home(tmp_path, [*mail, odd]))
    daily = [specs(ran[name])[0] for name in ("00_start_here", "01_overview", "04_bounces")]

    assert [look.said(spec["title"])[0][:22] for spec in daily] == [
        "600 events on 2 days f", "600 messages on 2 days", "None of 2 days was unu",
    ]  # fmt: skip
    assert "9999-" not in json.dumps([*daily, specs(ran["08_data_quality"])[0]])


def test_the_page_of_the_data_tells_of_a_gap(tmp_path: Path) -> None:
    """Whether everything arrives is said in words too, with when it did not."""
    hours = [*range(40), *range(70, 110)]
    mail = [event("delivered", hour, hour, "c") for hour in hours]
    ran = run_all(loaded_home(tmp_path, mail))["08_data_quality"]
    said = " ".join(data.get("text/plain", "") for data in outputs(ran))

    assert "1 gap in the event stream; the longest, of 31.0 hours, began at 2025-11-03" in said


def test_every_notebook_draws_the_sample(sample: Ran) -> None:
    """On the sample every notebook has a head, and each but none shows its finding."""
    heads = {name: [data for data in outputs(ran) if "<h1 " in data.get("text/html", "")]
             for name, ran in sample.items()}  # fmt: skip
    counts = {name: len(specs(ran)) for name, ran in sample.items()}

    assert {name: len(found) for name, found in heads.items()} == dict.fromkeys(sample, 1)
    assert counts == {
        "00_start_here": 1,
        "01_overview": 3,
        "02_campaign": 4,
        "03_compare": 2,
        "04_bounces": 2,
        "05_timing": 4,
        "06_links": 1,
        "07_list_health": 4,
        "08_data_quality": 2,
    }


def test_every_page_with_days_names_their_zone(sample: Ran) -> None:
    """Whose midnight a day begins at is said on each page; the links of a campaign have no days."""
    said = {name: json.dumps(list(outputs(ran))) for name, ran in sample.items()}

    assert [name for name, text in said.items() if "Asia/Tokyo" not in text] == ["06_links"]


def test_days_in_charts_are_those_of_the_report(sample: Ran) -> None:
    """A day is drawn as the midnight of whoever looks, so that no browser's zone moves it."""
    days = [
        value
        for ran in sample.values()
        for spec in specs(ran)
        for rows in spec["datasets"].values()
        for row in rows
        for field, value in row.items()
        if field in {"day", "sent_date"} and '"temporal"' in json.dumps(spec)
    ]

    assert len(days) > 100
    assert {day[10:] for day in days} == {"T00:00:00"}


def test_every_chart_compiles_with_a_finding_and_its_size(sample: Ran) -> None:
    """Each chart compiles, says a finding and a measure, and sends at most 5,000 clean rows."""
    for spec in (spec for ran in sample.values() for spec in specs(ran)):
        text = json.dumps(spec, allow_nan=False)
        rows = [len(frame) for frame in spec["datasets"].values()]

        assert max(rows) <= LIMIT
        assert "NaN" not in text.replace("isNaN", "")
        assert spec["title"]["text"][0]
        assert spec["title"]["subtitle"][0]
        assert vl_convert.vegalite_to_svg(spec, vl_version="5.8").startswith("<svg")


def test_every_tooltip_of_a_rate_says_its_interval_and_its_size(sample: Ran) -> None:
    """A rate is never shown without what it rests on: its denominator, and interval or limits."""
    found = [_tooltips(spec) for ran in sample.values() for spec in specs(ran)]
    fields_of = [{tip["field"] for tip in tips} for all_tips in found for tips in all_tips]
    names = [(fields, name) for fields in fields_of for name in fields - {"extreme_rate"}]
    rated = [(fields, name) for fields, name in names if name.endswith("rate")]

    assert len(rated) > 10
    for fields, rate in rated:
        assert fields & {"attempted", "accepted", "denominator", "size"}, fields
        assert {f"{rate}_lo", f"{rate}_hi"} <= fields or "limit_hi_998" in fields, fields


def test_every_rate_of_a_table_has_its_interval_in_sight(sample: Ran) -> None:
    """A rate in a table stands above its 95 % interval, on paper too: in no hover."""
    found = dict.fromkeys(sample, 0)
    for name, ran in sample.items():
        markup = "".join(data.get("text/html", "") for data in outputs(ran))
        bars = len(re.findall(r'<span class="bar">', markup))
        found[name] = len(re.findall(r'between">\d+\.\d+.\d+\.\d+</span>', markup))

        assert found[name] == bars, name
        assert 'title="95' not in markup, name
    assert min(found[name] for name in ("01_overview", "02_campaign", "04_bounces", "06_links")) > 5


def test_the_numbers_of_every_chart_stand_in_a_table(sample: Ran) -> None:
    """What tooltips say stands in a table too, for keyboards, ears and mails without scripts."""
    for spec in (spec for ran in sample.values() for spec in specs(ran)):
        markup = numbers.table(spec, "<finding>")
        heads = {tip["title"] for tips in _tooltips(spec) for tip in tips}

        assert set(re.findall(r'scope="col">([^<]+)', markup)) == heads
        assert not re.search(r"\b(lo|hi|human|p\d\d)\b", " ".join(heads))
        assert '<th scope="row">' in markup
        assert "<finding>" not in markup
    stages = next(iter(specs(sample["02_campaign"])))
    counted = [wording.count(row["messages"]) for row in _rows(stages)]

    assert re.findall(r"</th><td>([\d,]+)</td>", numbers.table(stages, "")) == counted


def test_the_numbers_of_a_chart_are_in_order_and_tell_something(sample: Ran) -> None:
    """Outcomes of a day stand as they are stacked, a curve by its age, and no column is empty."""
    tables_of = {
        name: [_table(one) for spec in specs(ran) for one in _bodies(spec)]
        for name, ran in sample.items()
    }
    stacked = [(day, charts._OUTCOMES.index(outcome))
               for day, outcome, *_ in tables_of["01_overview"][0]]  # fmt: skip

    assert stacked == sorted(stacked)
    assert tables_of["02_campaign"][1][0][0] == "0.12"
    for name, found in tables_of.items():
        assert not [rows for rows in found for column in zip(*rows, strict=True)
                    if set(column) == {wording.MISSING}], name  # fmt: skip


def _bodies(spec: dict[str, Any]) -> list[str]:
    return re.findall(r"<tbody>(.*?)</tbody>", numbers.table(spec, ""))


def _table(body: str) -> list[list[str]]:
    """The texts of the cells of a table's rows."""
    return [re.findall(r"<t[hd][^>]*>([^<]*)<", row) for row in body.split("</tr>")[:-1]]


def _rows(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of a chart that has one set of data."""
    (rows,) = spec["datasets"].values()
    return list(rows)


def test_every_table_says_what_it_is_and_what_a_row_is(sample: Ran) -> None:
    """A table has a name, and each of its rows a heading, for whoever hears it cell by cell."""
    found = 0
    for name, ran in sample.items():
        for markup in (data.get("text/html", "") for data in outputs(ran)):
            for table in re.findall(r"<table .*?</table>", markup, re.DOTALL):
                rows = table.partition("<tbody")[2].count("<tr>")
                found += rows > 0

                assert re.match(r'<table aria-label="\w', table), name
                assert table.count('scope="row"') == rows, name

    assert found > 10


def test_text_in_charts_stands_out_from_its_ground(sample: Ran) -> None:
    """Every text of a chart has the contrast that WCAG 2.2 asks for, 4.5 to 1."""
    found = {colour for ran in sample.values() for spec in specs(ran) for colour in _inks(spec)}

    assert {palette.INK, palette.MUTED} <= found
    assert min(map(_contrast, found)) >= 4.5, min(found, key=_contrast)


def _inks(spec: dict[str, Any]) -> Iterator[str]:
    """The colours of texts, of axes and titles as of marks."""
    for part in spec.get("config", {}).values():
        words = ("color", "labelColor", "titleColor", "subtitleColor")
        yield from (part[name] for name in words if isinstance(part, dict) and name in part)
    if spec.get("mark", {}).get("type") == "text":
        given = spec["mark"].get("color"), spec["encoding"].get("color", {}).get("value")
        yield from filter(None, given)
    for part in ("layer", "hconcat", "vconcat"):
        for inner in spec.get(part, ()):
            yield from _inks(inner)


def _contrast(colour: str) -> float:
    """The contrast of a colour to white, by WCAG."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
              for part in parts]  # fmt: skip
    luminance = sum(a * b for a, b in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
    return 1.05 / (luminance + 0.05)


def test_a_number_and_its_unit_stand_on_one_line() -> None:
    """However a title is broken, no line ends between a number and its unit."""
    for before in range(80):
        title = look.title(f"{'a ' * before}48 h, n = 20{' a' * (80 - before)}")
        assert not any(line.endswith((" 48", " n", " =")) for line in title.text), title.text


def test_a_small_rate_lies_within_its_interval() -> None:
    """Rounded as they are written, a rate is never outside of its interval."""
    for per_million in range(50, 5_000, 7):
        rate = per_million / 1_000_000
        ends = wording.interval(rate * 0.6, rate * 1.7).removesuffix("%").split(wording.MISSING)
        written = float(wording.percent(rate).removesuffix("%"))

        assert float(ends[0]) <= written <= float(ends[1]), rate


def test_no_words_under_a_title_are_missing(sample: Ran) -> None:
    """No subtitle has an empty part, and no sentence of a page holds a dash for a number."""
    for name, ran in sample.items():
        for spec in specs(ran):
            said = " ".join(spec["title"]["subtitle"])

            assert not re.search(r",\s*(,|$)", said), name
        for markup in (data.get("text/html", "") for data in outputs(ran)):
            assert not re.search(r"and \u2013 of", markup), name


def test_a_funnel_plot_names_its_sizes_and_lines(sample: Ran) -> None:
    """Its axis has four ticks and more, says log scale and unit; the limits say what they are.

    One that ends above the axis has no end there to be named at.
    """
    plots, named = specs(sample["01_overview"])[1:], set[str]()
    for plot in plots:
        (axis,) = [
            layer["encoding"]["x"] for layer in plot["layer"] if layer["mark"]["type"] == "circle"
        ]
        texts = {str(layer["encoding"].get("text", {}).get("value")) for layer in plot["layer"]}
        low, high = axis["scale"]["domain"]

        assert len(axis["axis"]["values"]) >= 4
        assert low <= min(axis["axis"]["values"]) <= max(axis["axis"]["values"]) <= high
        assert re.fullmatch(r"(attempted|accepted) messages .* \(log scale\)", axis["title"])
        assert "95%" in texts
        named |= texts
    assert (len(plots), named) == (2, {"95%", "99.8%", "None"})


def test_hours_are_a_whole_week_beside_the_deliveries(sample: Ran) -> None:
    """The map of hours has 7 days of 24 hours, whatever happened, above the map of deliveries."""
    for spec in specs(sample["05_timing"])[2:]:
        reactions, deliveries = (panel["encoding"] for panel in spec["vconcat"])

        assert reactions["color"]["field"].endswith("_human_share")
        assert deliveries["color"]["field"] == "delivered"
        for panel in (reactions, deliveries):
            assert panel["x"]["scale"]["domain"] == list(range(24))
            assert panel["y"]["scale"]["domain"] == list(charts.DAYS)
    assert len(specs(sample["05_timing"])) == 4


def test_a_curve_of_no_clicks_is_no_block() -> None:
    """Where nobody clicked, the interval fills at most half of the frame, which ends at 100%."""
    rates = {f"{name}_human_rate": rate for name, rate in (("open", 0.3), ("click", 0.0))}
    ends = {"open_human_rate_lo": 0.2, "open_human_rate_hi": 0.4,
            "click_human_rate_lo": 0.0, "click_human_rate_hi": 0.16}  # fmt: skip
    counts = {"accepted": 20, "opened_human": 6, "clicked_human": 0}
    row = {"campaign_id": "A", "campaign_name": "A", "age_hours": 8.0, **counts, **rates, **ends}
    row["is_small"] = True
    drawn = charts.curve(pl.DataFrame([row]), "A")
    assert not isinstance(drawn, page.Html)
    opens, clicks = drawn.to_dict()["hconcat"]
    three = charts.curve(pl.DataFrame([row | {"click_human_rate_hi": 0.56}]), "A").to_dict()

    assert clicks["layer"][0]["encoding"]["y"]["scale"]["domain"] == [0, 0.32]
    assert three["hconcat"][1]["layer"][0]["encoding"]["y"]["scale"]["domain"] == [0, 1]
    assert opens["layer"][0]["encoding"]["y"]["scale"]["domain"] == [0, pytest.approx(0.42)]
    assert drawn.to_dict()["title"]["subtitle"][-1].endswith("n = 20")


@pytest.mark.parametrize(
    ("own", "peer", "top"), [(False, True, 0.42), (False, False, 0.9975), (True, True, 0.9975)]
)
def test_a_small_peer_presses_no_curve_down(own: bool, peer: bool, top: float) -> None:
    """The axis reaches each earlier campaign that tells enough beside this one, no other."""
    counts = {"accepted": 900, "opened_human": 270, "clicked_human": 9, "is_small": own}
    ends = {f"{name}_human_rate_{end}": 0.4 for name in ("open", "click") for end in ("lo", "hi")}
    rates = {"open_human_rate": 0.3, "click_human_rate": 0.3}
    row = {"campaign_id": "A", "campaign_name": "A", "age_hours": 8.0, **counts, **rates, **ends}
    before = row | {"campaign_id": "B", "open_human_rate": 0.95, "is_small": peer}
    drawn = charts.curve(pl.DataFrame([row, before]), "A")
    assert not isinstance(drawn, page.Html)
    panel = drawn.to_dict()["hconcat"][0]["layer"][0]

    assert panel["encoding"]["y"]["scale"]["domain"] == [0, pytest.approx(top)]
    assert panel["mark"]["clip"]


def test_a_difference_is_coloured_by_whether_it_is_good_news() -> None:
    """Fewer bounces that stand out are better, fewer opens are worse, the rest is neither."""
    numbers = {"numerator": 9, "denominator": 900, "rate": 0.01, "rate_lo": 0.0, "rate_hi": 0.02}
    beside = {
        "is_small": False,
        "gross_rate": None,
        "compared_rate": 0.02,
        "difference": -0.01,
        "days": 30,
        "before_denominator": 900,
    }
    marks = {"bounce": True, "open": True, "click": False}
    measures = pl.DataFrame(
        [{"measure": name, **numbers, **beside, "stands_out": odd} for name, odd in marks.items()]
    )
    found = re.findall(r"<b( class=\"\w+\")?>", page.tiles(measures).markup)

    assert found == [' class="better"', ' class="worse"', ""]


def test_a_name_that_shows_nothing_is_the_campaigns_id(tmp_path: Path) -> None:
    """Of blanks, control or format characters alone no name is made, and no NUL reaches a page."""
    names = ["  ", "\0\0", "\t\u200b", "\u202eabc", "A\0B"]
    lines = [
        {"kind": "delivered", "timestamp": f"2026-11-0{number + 1}T07:00:00Z",
         "recipient": "a@b.example", "message_id": f"m{number}", "sender": "c@d.example",
         "campaign": {"id": f"id-{number}", "name": name}}
        for number, name in enumerate(names)
    ]  # fmt: skip
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "a.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    settings = settings_of(tmp_path)
    ingest(settings)
    opened = notebook.open_warehouse(kernel_environment(settings, {}))
    listed = opened.frame("from campaign_list order by recency desc")
    markup = tables.campaigns(listed, linked=True).markup

    assert listed["campaign_name"].to_list() == ["id-0", "id-1", "id-2", "abc", "A B"]
    assert (
        re.findall(r'<span class="name"[^>]*>([^<]*)', markup) == listed["campaign_name"].to_list()
    )
    assert "\0" not in markup + notebook.pick(opened, "").markup


def test_words_keep_their_order_beside_a_name_from_right_to_left() -> None:
    """A name that is written or turned from right to left is isolated from what follows it."""
    assert wording.short("\u05d0\u05d1") == "\u2068\u05d0\u05d1\u2069"
    assert wording.short("\u202eabc\u2066") == "abc"
    assert wording.short("abc\0") == "abc"


def _tooltips(node: Any) -> Iterator[list[dict[str, Any]]]:
    if isinstance(node, dict):
        if isinstance(node.get("tooltip"), list):
            yield node["tooltip"]
        node = [value for key, value in node.items() if key != "datasets"]
    if isinstance(node, list):
        for item in node:
            yield from _tooltips(item)


def test_only_the_list_names_recipients(sample: Ran, home: Settings) -> None:
    """No address of the warehouse stands in any executed notebook except 07, which says so."""
    with query.connect(home) as con:
        known = {row[0].lower() for row in con.sql("select recipient from messages").fetchall()}
    shown = {
        name: json.dumps(ran.cells, ensure_ascii=False).lower() for name, ran in sample.items()
    }
    found = {name: [text for text in known if text in page] for name, page in shown.items()}

    assert known
    assert {name for name, addresses in found.items() if addresses} == {"07_list_health"}
    assert "names recipients" in json.dumps(sample["07_list_health"].cells)


def test_the_suppression_file_is_whole_private_and_no_formula(sample: Ran, home: Settings) -> None:
    """07 writes the whole list for the owner only, and no cell that a spreadsheet would run."""
    path = home.reports / "suppression.csv"
    rows = path.read_text("utf-8").splitlines()
    with query.connect(home) as con:
        wanted = con.sql("select count(*) from suppression_list").fetchall()

    assert wanted == [(len(rows) - 1,)]
    assert path.stat().st_mode & 0o077 == 0
    assert not [row for row in rows if row[0] in "=+-@"]


def test_names_from_outside_stay_text_in_every_notebook(tmp_path: Path) -> None:
    """No name, URL, category or status text becomes markup in any output, and all are shown."""
    shown = set()
    for name, ran in run_all(hostile_home(tmp_path)).items():
        for data in outputs(ran):
            markup = data.get("text/html", "")
            shown |= {(name, text) for text in ("&lt;img", "javascript:") if text in markup}

            assert "<img" not in markup, name
            assert "window.pwned=1</script>" not in markup, name
            assert 'href="javascript' not in markup, name

    pages = {name for name, text in shown if text == "&lt;img"}
    assert {"01_overview", "02_campaign", "03_compare", "04_bounces", "06_links"} <= pages
    assert ("06_links", "javascript:") in shown


def test_a_campaign_is_found_by_id_name_and_beginning(home: Settings) -> None:
    """An id, a name or an unambiguous beginning finds a campaign; nothing finds the newest."""
    opened = notebook.open_warehouse(kernel_environment(home, {}))
    listed = opened.frame("select campaign_id, campaign_name from campaign_list order by recency")
    newest, other = listed.row(0, named=True), listed.row(5, named=True)

    assert notebook.resolve(opened, "").campaign_id == newest["campaign_id"]
    assert notebook.resolve(opened, other["campaign_id"]).campaign_id == other["campaign_id"]
    assert notebook.resolve(opened, other["campaign_name"]).campaign_id == other["campaign_id"]
    assert (
        notebook.resolve(opened, f"{other['campaign_name']} ").campaign_id == other["campaign_id"]
    )
    assert notebook.resolve(opened, other["campaign_id"][:9]).campaign_id == other["campaign_id"]
    assert notebook.resolve(opened, "no such campaign").campaign_id is None


@pytest.mark.parametrize(
    ("campaign", "meant", "said"),
    [
        ("september CAMPAIGN", "aa-1", ""),
        (
            "Septembr campain",
            None,
            'no campaign has the id or name "Septembr campain": did you mean "September campaign"?',
        ),
        (
            "Zebra",
            None,
            'no campaign has the id or name "Zebra": '
            "`loader sql 'select campaign_id, campaign_name from campaign_report'` lists them.",
        ),
        (
            "aa",
            None,
            'the ids of 2 campaigns begin with "aa": give more of the one that is meant, such as '
            'aa-2 ("Twice") or aa-1 ("September campaign").',
        ),
        (
            "Twice",
            "bb",
            '2 campaigns have the name "Twice": the newest is taken, bb; for another give its id.',
        ),
        ("sale", None, '"sale" is no campaign\'s name as it is: did you mean "SALE" or "Sale"?'),
        ("SALE", "d", ""),
    ],
)
def test_what_is_meant_is_told(
    named: notebook.Warehouse, campaign: str, meant: str | None, said: str
) -> None:
    """A name in another case is found; a typo, a short id and a name of two are told apart."""
    assert notebook.resolve(named, campaign) == notebook.Meant(meant, said)


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> notebook.Warehouse:
    """Five campaigns, each newer than the one before; two have one name, two differ in case."""
    names = {"aa-1": "September campaign", "aa-2": "Twice", "bb": "Twice", "c": "Sale", "d": "SALE"}
    events = [
        event("delivered", 1, hour, one) | {"campaign": {"id": one, "name": name}}
        for hour, (one, name) in enumerate(names.items())
    ]
    settings = loaded_home(tmp_path_factory.mktemp("named"), events)
    return notebook.Warehouse(query.connect(settings))


def test_opening_again_sees_what_was_published_since(tmp_path: Path) -> None:
    """A notebook that is run again reads the newest load, though an older one is still open."""
    settings = sample_home(tmp_path)
    environ = kernel_environment(settings, {})
    before = notebook.open_warehouse(environ).frame("select events from freshness")["events"][0]
    line = (
        '{"kind":"delivered","recipient":"a@b.example","message_id":"<m@b.example>",'
        '"timestamp":"2026-10-01T10:00:00Z"}\n'
    )
    (settings.spool / "later.jsonl").write_text(line)
    ingest(settings)
    after = notebook.open_warehouse(environ).frame("select events from freshness")["events"][0]

    assert after == before + 1


def test_a_kernel_knows_no_secret(tmp_path: Path) -> None:
    """The environment of a kernel finds the warehouse and holds no secret or configuration."""
    environ = {"LOADER_SECRETS": "very-hush-indeed", "LOADER_API_KEY": "X-Key: v", "HOME": "/h"}
    given = kernel_environment(settings_of(tmp_path), environ)

    assert given["LOADER_WAREHOUSE"] == str(tmp_path / "warehouse.duckdb")
    assert given["HOME"] == "/h"
    assert "hush" not in json.dumps(given)
    assert "LOADER_API_KEY" not in given


def test_decimals_reach_a_chart_as_plain_numbers() -> None:
    """Decimals of SQL come as Float64, which a chart can write."""
    opened = notebook.Warehouse(duckdb.connect())
    frame = opened.frame("select 1.50 as exact, 2 as whole where $wanted", wanted=True)

    assert dict(frame.schema) == {"exact": pl.Float64, "whole": pl.Int32}
