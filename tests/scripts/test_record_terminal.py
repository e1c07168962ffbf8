"""The script that records terminals: what it takes for a view that moves, stays or stands there twice."""

import pytest

from scripts.conftest import loaded

VIEW = ["━━━── 3 of 12 candidates · generation 0 of 2", "9 s elapsed", "Workers", "worker", "0", "Front so far: 0", "candidate"]


@pytest.fixture(scope="module")
def script():
    with loaded("record_terminal") as module:
        yield module


def test_places_are_those_below_the_head_wherever_it_is(script):
    assert script.places(["run x", *VIEW]) == script.places(["run x", "candidate 1 crashed", *VIEW]) == (2, 5)
    assert script.places(["run x", "generation 2: front of 3"]) is None


@pytest.mark.parametrize("lines", [VIEW + VIEW, VIEW[:4], VIEW[:1] + VIEW])
def test_a_view_that_is_there_twice_or_in_part_is_refused(script, lines):
    with pytest.raises(SystemExit, match="twice, or in part"):
        script.places(lines)


def test_a_line_that_wrapped_is_refused(script, tmp_path, monkeypatch):
    pane = script.Pane(tmp_path, 80, 24)
    monkeypatch.setattr(pane, "tmux", lambda *arguments: "x" * 80 + "   \n")
    assert pane.screen() == ["x" * 80]
    monkeypatch.setattr(pane, "tmux", lambda *arguments: "x" * 81 + "\n")
    with pytest.raises(SystemExit, match="wrapped at 80 columns"):
        pane.screen()
