"""The report: one file with the whole run in it, that asks for nothing and shows text as text."""

import json
import re
import sys

import pytest

from cli.conftest import run_command
from star_search.analysis.report import report_html, write_report
from star_search.analysis.report.data import report_data
from star_search.analysis.report.page import ASSETS, SCRIPTS
from star_search.analysis.run_view import RunView
from star_search.errors import InputError


@pytest.fixture(scope="module")
def view(stored_run):
    return RunView.read(stored_run)


@pytest.fixture(scope="module")
def page(view):
    return report_html(view)


def embedded(page):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1])


def test_the_page_holds_the_run(view, page):
    data = embedded(page)
    assert data == json.loads(json.dumps(report_data(view)))
    assert [each["id"] for each in data["candidates"]] == [record.id for record in view.records]
    for each, record in zip(data["candidates"], view.records, strict=True):
        assert {name: value for name, value in zip(data["columns"], each["values"], strict=True) if value is not None} == record.objectives
        assert each["canonical"] == record.canonical
    assert [each["front"] for each in data["generations"]] == [each.front for each in view.generations]
    assert [each["hypervolume"] for each in data["generations"]] == [entry.hypervolume for entry in view.progress]


def test_drawings_curves_and_lineages_have_what_they_need(view, page):
    data = embedded(page)
    third = data["candidates"][3]
    assert [data["classes"][number] for number in third["livs"]] == [["SA-1", "attention"]] * 2 + [["SA-2", "linear attention"]] * 2
    assert (third["links"], third["blocks"], third["parents"], third["origin"]) == ([["features", 2, 3, "v"]], [], [], "")
    number, losses = third["curve"]
    assert data["steps"][number] == list(range(1, 11))
    assert losses[-1] == round(view.by_id[3].details["curve"][-1][1], 4)
    last = data["candidates"][25]
    assert last["parents"] == [7, 16]
    assert last["origin"].startswith("genes of 7, 16 from LIV 1 featurizer group, 7 from LIV 2 featurizer group; ")
    assert last["origin"].endswith("LIV 4 feature strategy 3 to 1 (repair)")
    assert data["motifs"][0]["corrected"] <= data["motifs"][-1]["corrected"]


def test_nothing_is_loaded_and_every_request_is_forbidden(page):
    head = page[: page.index('<script type="application/json"')]
    assert "default-src 'none'" in head and "http" not in head.replace("http-equiv", "")
    assert not re.search(r"<(?:link|img|iframe|script[^>]*\ssrc)\b|@import|url\(", head)
    ours = "\n".join((ASSETS / name).read_text() for name in SCRIPTS)
    assert not re.search(r"fetch\(|XMLHttpRequest|WebSocket|import\(|innerHTML|outerHTML|document\.write|eval\(", ours)


def test_text_of_the_run_is_text(page):
    assert "<script>alert(1)" not in page and "<b>books" not in page
    (crashed,) = [each for each in embedded(page)["candidates"] if each["outcome"] == "crashed"]
    assert crashed["reason"] == r"ValueError: </script><script>alert(1)</script> [red]x[/] \x1b[2J\u202egnp"


def test_scripts_ask_for_elements_that_are_there():
    markup = (ASSETS / "page.html").read_text()
    there = set(re.findall(r'\bid="([\w-]+)"', markup)) | {"across-log", "up-log"}
    asked = {name for script in SCRIPTS for name in re.findall(r'find\("([\w-]+)"\)', (ASSETS / script).read_text())}
    assert len(asked) > 15 and asked <= there


def test_a_report_is_written_once(view, tmp_path):
    write_report(view, tmp_path / "report.html")
    assert (tmp_path / "report.html").stat().st_size > 1e6
    with pytest.raises(InputError, match="exists already"):
        write_report(view, tmp_path / "report.html")
    with pytest.raises(InputError, match="is no folder"):
        write_report(view, tmp_path / "absent" / "report.html")


def test_without_plotly_it_says_how_to_get_it(stored_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    ended = run_command("report", stored_run.path)
    assert (ended.code, ended.err) == (
        1,
        "star-search: the report needs plotly, which is not installed: pip install 'star-search[report]'\n",
    )
    assert list(tmp_path.iterdir()) == []
