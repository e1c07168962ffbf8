"""The script that looks at random genomes: its interval, and that it goes on where it stopped."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.conftest import loaded
from star_search.errors import InputError

SCRIPT = Path(__file__).parents[2] / "scripts/conditioning.py"


@pytest.fixture(scope="module")
def script():
    with loaded("conditioning") as module:
        yield module


def test_the_interval_is_wilsons(script):
    """With z = 1.96: all of 300 give [300 / (300 + z^2), 1]; 5 of 10 give 0.5 +- 0.5 z / sqrt(10 + z^2)."""
    z2 = 1.959964**2
    assert script.wilson(300, 300) == pytest.approx((300 / (300 + z2), 1.0), rel=1e-6)
    half = 0.5 * (z2 / (10 + z2)) ** 0.5
    assert script.wilson(5, 10) == pytest.approx((0.5 - half, 0.5 + half), rel=1e-6)


def test_a_half_written_line_is_dropped_and_another_configuration_refused(script, tmp_path):
    path = tmp_path / "part.jsonl"
    assert script.finished(path, {"depth": 24}) == {}
    with path.open("a") as file:
        file.write('{"index": 3, "loss": 1.5}\n{"index": 4, "lo')
    assert script.finished(path, {"depth": 24}) == {3: {"index": 3, "loss": 1.5}}
    assert path.read_text() == '{"depth": 24}\n{"index": 3, "loss": 1.5}\n'
    with pytest.raises(InputError, match="was made with another configuration"):
        script.finished(path, {"depth": 48})


@pytest.mark.slow
def test_more_genomes_go_on_from_those_there_are(tmp_path):
    def run(count):
        command = [sys.executable, SCRIPT, "--out", tmp_path, "--initial", count, "--depths", 3, "--trained", 0, "--processes", 1]
        return subprocess.run([*map(str, command)], check=True, capture_output=True, text=True).stdout

    run(1)
    before = (tmp_path / "initial-3.jsonl").read_text()
    table = run(2)
    after = (tmp_path / "initial-3.jsonl").read_text()
    assert after.startswith(before)
    rows = [json.loads(line) for line in after.splitlines()[1:]]
    assert [row["index"] for row in rows] == [0, 1]
    assert [len(row["livs"]) for row in rows] == [3, 3]
    assert "| 3 | 2 | 2 (largest " in table
