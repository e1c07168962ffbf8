"""The report: one file with the whole run in it, that asks for nothing and shows text as text."""

import gzip
import hashlib
import json
import re

import pytest

from star_search.analysis.report import report_html, write_report
from star_search.analysis.report.data import report_data
from star_search.analysis.report.page import ASSETS, LIVE, PLOTLY, SCRIPTS
from star_search.analysis.run_view import RunView
from star_search.errors import InputError


@pytest.fixture(scope="module")
def view(stored_run):
    return RunView.read(stored_run)


@pytest.fixture(scope="module")
def page(view):
    return report_html(view)


def element(page, name):
    return re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', page, re.DOTALL)[1]


def embedded(page):
    return json.loads(element(page, "data"))


def details(page):
    return [json.loads(line) for line in element(page, "details").split("\n")]


def test_the_page_holds_the_run(view, page):
    data, expected = embedded(page), report_data(view)
    assert (data, details(page)) == (json.loads(json.dumps(expected.opening)), json.loads(json.dumps(expected.details)))
    assert len(details(page)) == len(view.records)
    assert [each["id"] for each in data["candidates"]] == [record.id for record in view.records]
    for each, record in zip(data["candidates"], view.records, strict=True):
        assert {name: value for name, value in zip(data["columns"], each["values"], strict=True) if value is not None} == record.objectives
        assert each["canonical"] == record.canonical
    assert [each["front"] for each in data["generations"]] == [each.front for each in view.generations]
    assert [each["hypervolume"] for each in data["generations"]] == [entry.hypervolume for entry in view.progress]


def test_drawings_curves_and_lineages_have_what_they_need(view, page):
    data = embedded(page)
    third, third_details = data["candidates"][3], details(page)[3]
    assert [data["classes"][number] for number in third["livs"]] == [["SA-1", "attention"]] * 2 + [["SA-2", "linear attention"]] * 2
    assert (third_details["links"], third_details["blocks"]) == ([["features", 2, 3, "v"]], [])
    assert (third["parents"], third_details["origin"]) == ([], [])
    number, losses = third_details["curve"]
    assert data["steps"][number] == list(range(1, 11))
    assert losses[-1] == round(view.by_id[3].details["curve"][-1][1], 4)
    origin = [data["phrases"][number] for number in details(page)[25]["origin"]]
    assert data["candidates"][25]["parents"] == [7, 16]
    assert origin[0] == "genes of 7, 16 from LIV 1 featurizer group, 7 from LIV 2 featurizer group"
    assert origin[-1] == "LIV 4 feature strategy 3 to 1 (repair)"
    assert data["motifs"]["group"] == "front"
    assert data["motifs"]["rows"][0]["corrected"] <= data["motifs"]["rows"][-1]["corrected"]


def test_nothing_is_loaded_and_every_request_is_forbidden(page):
    head = page[: page.index('<script type="application/json"')]
    assert "default-src 'none'" in head and "http" not in head.replace("http-equiv", "")
    assert not re.search(r"<(?:link|img|iframe|script[^>]*\ssrc)\b|@import|url\(", head)
    ours = "\n".join((ASSETS / name).read_text() for name in SCRIPTS)
    assert "fetch(" not in ours
    ours += (ASSETS / LIVE).read_text()
    assert not re.search(r"XMLHttpRequest|WebSocket|import\(|innerHTML|outerHTML|document\.write|eval\(", ours)


def test_text_of_the_run_is_text(page):
    assert "<script>alert(1)" not in page and "<b>books" not in page
    (crashed,) = [each for each in embedded(page)["candidates"] if each["outcome"] == "crashed"]
    assert crashed["reason"] == r"ValueError: </script><script>alert(1)</script> [red]x[/] \x1b[2J\u202egnp"


def test_scripts_ask_for_elements_that_are_there():
    markup = (ASSETS / "page.html").read_text()
    there = set(re.findall(r'\bid="([\w-]+)"', markup)) | {"across-log", "up-log"}
    asked = {name for script in [*SCRIPTS, LIVE] for name in re.findall(r'find\("([\w-]+)"\)', (ASSETS / script).read_text())}
    assert len(asked) > 15 and asked <= there


def test_a_report_is_written_once(view, tmp_path):
    write_report(view, tmp_path / "report.html")
    assert (tmp_path / "report.html").stat().st_size > 1e6
    with pytest.raises(InputError, match="exists already"):
        write_report(view, tmp_path / "report.html")
    with pytest.raises(InputError, match="is no folder"):
        write_report(view, tmp_path / "absent" / "report.html")


def test_plotly_is_the_published_file():
    source = gzip.decompress(PLOTLY.read_bytes())
    assert b"plotly.js (basic - minified) v4.1.1\n" in source[:100]
    assert hashlib.sha256(source).hexdigest() == "99784e3abfb07b142a15e521a439e6d9addceadb3f79553fd24c72774f0649ba"
    # Neither would run under the page's policy, and a closing tag would end the script.
    assert not re.search(rb"new Function\(|\beval\(|</script", source)


def test_every_kind_of_trace_is_in_the_bundle():
    drawn = {kind for script in SCRIPTS for kind in re.findall(r'\btype: "(\w+)"', (ASSETS / script).read_text())}
    assert drawn - {"button", "line", "path", "rect"} == {"scatter"}
