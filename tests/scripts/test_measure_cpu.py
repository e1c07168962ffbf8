"""The script that holds training on a CPU against Hugging Face's modules."""

import json
import subprocess
import sys

import pytest

from scripts.conftest import SCRIPTS, loaded
from star_search.benchmark import models
from star_search.benchmark.models import ModelSetting
from star_search.errors import StarSearchError


@pytest.fixture
def script():
    with loaded("measure_cpu") as module:
        yield module


def test_arrangements_take_turns_and_all_their_processes_count(script, tmp_path, monkeypatch, capsys):
    asked = []

    def speed(name, setting, cores):
        asked.append((name, setting.engine, cores))
        return {script.OURS: 300.0, script.COMPILED: 500.0, script.WHOLE: 100.0, script.EACH: 200.0}[name] * len(asked)

    monkeypatch.setattr(script, "tokens_per_second", speed)
    monkeypatch.setattr(
        sys, "argv", ["measure_cpu.py", "--cores", "2", "--repeats", "2", "--compiled", "--out", str(tmp_path / "cpu.json")]
    )
    script.main()
    assert (
        asked == [*zip((script.OURS, script.WHOLE, script.EACH, script.COMPILED), ["eager"] * 3 + ["compiled"], [2] * 4, strict=True)] * 2
    )
    assert json.loads((tmp_path / "cpu.json").read_text())["tokens_per_second"][script.OURS] == [300, 1500]
    ours = next(line for line in capsys.readouterr().out.splitlines() if script.OURS in line)
    # Ratios of a round's own measurements: 300 / 200 and 1500 / 600 to one on all, 300 / 600 and 1500 / 1400 to one on each.
    assert ours.split()[-2:] == ["2.00", "0.79"]


def test_a_tiny_run_times_every_arrangement(tmp_path):
    sizes = ["--length", "32", "--batch-tokens", "64", "--steps", "2", "--repeats", "1", "--cores", "2"]
    out = tmp_path / "cpu.json"
    subprocess.run([sys.executable, SCRIPTS / "measure_cpu.py", *sizes, "--out", out], check=True, timeout=300)
    speeds = json.loads(out.read_text())["tokens_per_second"]
    assert len(speeds) == 3
    assert all(len(found) == 1 and found[0] > 0 for found in speeds.values())


def test_what_is_wrong_is_not_timed(script, monkeypatch):
    monkeypatch.setattr(models, "FORM_TOLERANCE", 0.0)
    setting = ModelSetting(64, 97, 32, 64, steps=2, repeats=20, device="cpu", precision="float32", engine="eager")
    with pytest.raises(StarSearchError, match="wrong outputs are not timed"):
        script.our_step(setting)
