"""The served report: what it gives away, to whom, and that it follows the run."""

import http.client
import json
import shutil
import threading
import time

import pytest

from evolution.small_search import make_run, stand_in_config
from star_search.analysis.report import server
from star_search.analysis.report.page import page_html
from star_search.analysis.report.server import LiveReport, ReportServer
from star_search.cli.dashboard import listen
from star_search.runs.directory import RunDirectory


@pytest.fixture
def serve():
    """Return a function that serves a run and gives its report and a function that asks."""
    servers = []

    def start(run):
        report = LiveReport(run)
        served = ReportServer(listen("--port", 0), report)
        servers.append(served)
        threading.Thread(target=served.serve_forever, args=(0.01,), daemon=True).start()

        def ask(path="/", method="GET", host=None, **headers):
            connection = http.client.HTTPConnection(*served.server_address, timeout=20)
            connection.putrequest(method, path, skip_host=True)
            for name, value in {"Host": "localhost:9" if host is None else host, **headers}.items():
                if value:
                    connection.putheader(name.replace("_", "-"), value)
            connection.endheaders()
            answer = connection.getresponse()
            body = answer.read().decode()
            connection.close()
            return answer, body

        return report, ask

    yield start
    for served in servers:
        served.shutdown()
        served.server_close()


@pytest.fixture
def half(stored_run, tmp_path):
    """The stored run as it was after its second generation, and a function that brings the rest."""
    path = tmp_path / "half"
    shutil.copytree(stored_run.path, path)
    later = [path / f"gen{number:02d}" for number in (2, 3, 4)]
    later += [path / "candidates" / f"{record.id:05d}.json" for record in stored_run.read_candidates()[0] if record.generation > 1]
    for each in later:
        shutil.rmtree(each) if each.is_dir() else each.unlink()

    def grow():
        shutil.copytree(stored_run.path, path, dirs_exist_ok=True)

    return RunDirectory.open(path), grow


def candidates(body):
    return json.loads(body.split("\n")[0])["candidates"]


def test_the_page_and_its_data_are_of_one_version(serve, stored_run):
    _, ask = serve(stored_run)
    page, text = ask()
    answer, body = ask("/data")
    assert (page.status, answer.status, page.headers["ETag"]) == (200, 200, answer.headers["ETag"])
    opening, *details = body.split("\n")
    assert opening in text and "\n".join(details) in text
    assert len(details) == len(json.loads(opening)["candidates"]) == len(stored_run.read_candidates()[0])
    assert "connect-src 'self'" in text and "default-src 'none'" in text
    assert page.headers["Content-Security-Policy"] == "frame-ancestors 'none'" and "Access-Control-Allow-Origin" not in page.headers
    same, nothing = ask("/data", If_None_Match=answer.headers["ETag"])
    assert (same.status, nothing) == (304, "")


def test_only_the_live_page_asks_for_more(stored_run):
    from star_search.analysis.report.data import report_data
    from star_search.analysis.run_view import RunView

    data = report_data(RunView.read(stored_run))
    assert "fetch(" not in page_html(data).partition("plotly.js")[0]
    assert 'fetch("data"' in page_html(data, '"1"') and 'data-version="&quot;1&quot;"' in page_html(data, '"1"')


def test_it_follows_the_run_and_works_once_for_each_growth(serve, half, monkeypatch):
    run, grow = half
    made = []
    monkeypatch.setattr(server, "REST", 0)
    monkeypatch.setattr(server, "page_html", lambda *arguments: made.append(1) or page_html(*arguments))
    _, ask = serve(run)
    first, body = ask("/data")
    ask()
    assert (len(candidates(body)), len(made)) == (12, 1)
    grow()
    second, body = ask("/data", If_None_Match=first.headers["ETag"])
    assert (second.status, len(candidates(body)), len(made)) == (200, 30, 2)


def test_it_rests_between_and_gives_the_end_of_the_run_to_an_open_page(serve, half, monkeypatch):
    run, grow = half
    monkeypatch.setattr(server, "REST", 1e6)
    report, ask = serve(run)
    started = time.monotonic()
    report.finish()
    assert time.monotonic() - started < 1, "nobody looks, so nobody is waited for"
    report._is_last = False
    first, _ = ask("/data")
    grow()
    assert ask("/data", If_None_Match=first.headers["ETag"])[0].status == 304
    ending = threading.Thread(target=report.finish)
    ending.start()
    ending.join(0.2)
    assert ending.is_alive(), "the page that is open has not seen the end yet"
    assert first.headers["Run-State"] == "open"
    last, body = ask("/data")
    assert (len(candidates(body)), last.headers["Run-State"]) == (30, "ended")
    ending.join(5)
    assert not ending.is_alive()


def test_a_page_that_has_all_is_told_the_end_too(serve, stored_run):
    report, ask = serve(stored_run)
    first, _ = ask("/data")
    ending = threading.Thread(target=report.finish)
    ending.start()
    ending.join(0.2)
    assert ending.is_alive() and first.headers["Run-State"] == "open"
    last, _ = ask("/data", If_None_Match=first.headers["ETag"])
    assert (last.status, last.headers["Run-State"]) == (304, "ended")
    ending.join(5)
    assert not ending.is_alive()


@pytest.mark.parametrize("path", ["/run.json", "/../run.json", "/candidates/00000.json", "/data/", "/data?x=1", "/%2e%2e/config.yaml"])
def test_nothing_else_is_served(serve, stored_run, path):
    assert serve(stored_run)[1](path)[0].status == 404


def test_nothing_can_be_sent(serve, stored_run):
    _, ask = serve(stored_run)
    assert {ask("/data", method)[0].status for method in ("POST", "PUT", "DELETE", "OPTIONS")} == {501}


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1:8000", 200), ("localhost", 200), ("evil.example:8000", 403), ("127.0.0.1.evil.example", 403), ("0.0.0.0", 403), ("", 403)],
)
def test_a_name_that_was_made_to_point_here_is_refused(serve, stored_run, host, status):
    _, ask = serve(stored_run)
    answer, body = ask("/data", host=host)
    assert answer.status == status
    assert status == 200 or "perplexity" not in body


def test_names_and_errors_come_out_as_text_before_and_after_the_first_candidate(serve, tmp_path, stored_run):
    run = make_run(tmp_path / "<script>alert(1)<b>\x1b[2J", stand_in_config())
    _, ask = serve(run)
    waiting = ask()[1]
    assert r"<h1>&lt;script&gt;alert(1)&lt;b&gt;\x1b[2J" in waiting and "<script" not in waiting and "\x1b" not in waiting
    assert ask("/data")[1] == ""
    shutil.copytree(stored_run.path, run.path, dirs_exist_ok=True)
    _, ask = serve(RunDirectory.open(run.path))
    answer, text = ask()
    assert answer.status == 200
    assert r"<title>&lt;script&gt;alert(1)&lt;b&gt;\x1b[2J" in text and "<script>alert" not in text and "\x1b[2J" not in text
    assert r"\u003cscript\u003ealert(1)" in ask("/data")[1]


def test_a_run_that_went_away_is_one_sentence(serve, half):
    run, _ = half
    shutil.rmtree(run.path)
    answer, body = serve(run)[1]()
    assert (answer.status, body.count("\n")) == (503, 1)
    assert body.startswith("the run cannot be read: ")


def test_a_front_goes_without_a_member_that_failed(serve, half):
    run, _ = half
    failed = run.read_generations()[0][-1].front[0]
    path = run.candidate_path(failed)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"outcome": "crashed", "objectives": {}}))
    answer, body = serve(run)[1]("/data")
    assert answer.status == 200
    assert all(failed not in generation["front"] for generation in json.loads(body.splitlines()[0])["generations"])


def test_what_nobody_thought_of_is_answered_too(serve, stored_run, monkeypatch):
    monkeypatch.setattr(server, "report_data", lambda view: {}["\x1b[2J\udcff"])
    answer, body = serve(stored_run)[1]("/data")
    assert (answer.status, body) == (500, f"the report cannot be made of {stored_run.path}: KeyError: '\\x1b[2J\\udcff'\n")
