"""The report as a browser lays it out."""

from itertools import pairwise
from shutil import which

import pytest

from star_search.analysis.report import write_report
from star_search.analysis.run_view import RunView
from stored_run import with_objective

LONG = "objectives_that_are_measured_on_my_own_machine.py:time_to_the_first_token_of_a_long_context"
POINT = """() => {
  const { xaxis, yaxis } = find("scatter")._fullLayout, chosen = byId.get(state.chosen);
  return [[xaxis, "across"], [yaxis, "up"]].map(([axis, id]) => axis.d2p(valueOf(chosen, find(id).value)));
}"""
FRAME = """() => {
  const { x, y, width, height } = document.querySelector("#scatter .shapelayer path").getBBox();
  const { xaxis, yaxis } = find("scatter")._fullLayout;
  return [x + width / 2 - xaxis._offset, y + height / 2 - yaxis._offset, width, height];
}"""
TICKS = """() => [...document.querySelectorAll("#scatter .xtick text")].map((each) => {
  const { left, right } = each.getBoundingClientRect();
  return [left, right];
})"""
TOO_WIDE = """() => [...document.querySelectorAll("dt, dd")]
  .filter((each) => each.scrollWidth > each.clientWidth)
  .map((each) => each.textContent)"""
LISTEN = """() => {
  const place = placedLabels;
  window.placed = [];
  placedLabels = (...given) => (placed.push(find("drawing").clientWidth), place(...given));
}"""


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    path = which("chromium") or which("google-chrome")
    if path is None:
        pytest.skip("needs Chromium")
    with playwright.sync_playwright() as started:
        yield started.chromium.launch(executable_path=path, args=["--no-sandbox"])


def opened(browser, run, folder, width):
    """Return the page of a run's report, all of it drawn, in a window so wide."""
    write_report(RunView.read(run), folder / f"report-{width}.html")
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.goto((folder / f"report-{width}.html").as_uri())
    page.wait_for_selector("html[data-ready=all]", state="attached")
    return page


def test_long_names_of_objectives_fit_a_narrow_window(browser, stored_run, tmp_path):
    page = opened(browser, with_objective(stored_run, tmp_path / "run", LONG), tmp_path, 360)
    assert LONG in page.text_content("#record")
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    assert page.evaluate(TOO_WIDE) == []
    ends = page.locator("#axes select").evaluate_all("found => found.map((each) => each.getBoundingClientRect().right)")
    assert len(ends) == 2 and max(ends) < 360


@pytest.mark.parametrize("width", [1280, 390])
def test_on_logarithmic_axes_the_frame_is_around_the_point_and_labels_do_not_overlap(browser, stored_run, tmp_path, width):
    page = opened(browser, stored_run, tmp_path, width)
    for boxes in (["#across-log"], ["#up-log"], []):
        for box in boxes:
            page.check(box)
        page.wait_for_timeout(100)
        x, y, *size = page.evaluate(FRAME)
        assert (x, y) == pytest.approx(page.evaluate(POINT), abs=0.1) and size == pytest.approx([18, 18], abs=0.1)
        assert all(right < left for (_, right), (left, _) in pairwise(page.evaluate(TICKS)))
    page.evaluate("Object.assign(window, { drawn: document.querySelector('#scatter .trace .points path') })")
    page.evaluate("pick(data.candidates.find((each) => each.outcome === 'ok' && each.id !== state.chosen).id)")
    assert page.evaluate("drawn === document.querySelector('#scatter .trace .points path')"), "a click draws points anew"
    assert page.evaluate(FRAME)[:2] == pytest.approx(page.evaluate(POINT), abs=0.1)


def test_labels_of_arcs_follow_the_window(browser, stored_run, tmp_path):
    page = opened(browser, stored_run, tmp_path, 1280)
    page.evaluate(LISTEN)
    page.set_viewport_size({"width": 390, "height": 800})
    page.wait_for_timeout(800)
    assert page.evaluate("placed.length > 0 && placed.at(-1) < 390")
