"""The script that holds greedy decoding against Hugging Face's Llama."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from scripts.conftest import SCRIPTS, loaded
from star_search.benchmark.models import ModelSetting
from star_search.genome.accounting import Accounting
from star_search.genome.encoding import Genome

GENOME = "71111-91111"
SETTING = ModelSetting(64, 97, 200, 0, 0, 1, "cpu", "float32")


@pytest.fixture
def script():
    with loaded("measure_decoding") as module:
        yield module


def test_a_tiny_run_measures_both_ways_beside_llama(tmp_path):
    sizes = ["--genome", GENOME, "--width", "64", "--vocabulary", "97", "--tokens", "66", "--repeats", "2", "--device", "cpu"]
    subprocess.run([sys.executable, SCRIPTS / "measure_decoding.py", *sizes, "--out", tmp_path / "out.json"], check=True, timeout=300)
    rows = json.loads((tmp_path / "out.json").read_text())["rows"]
    assert [(row["genome"], row["way"]) for row in rows] == [(None, "generate"), (GENOME, "plain"), (GENOME, "static")]
    # Llama of one layer: embedding, four square maps, three of 64 x 192, three norms.
    assert rows[0]["weight_bytes"] == 4 * (97 * 64 + 4 * 64 * 64 + 3 * 64 * 192 + 3 * 64)
    assert all(len(row["tokens_per_second"]) == 2 and min(row["tokens_per_second"]) > 0 for row in rows)
    assert all(row["peak_bytes"] >= row["weight_bytes"] for row in rows)


def test_one_way_is_enough_and_an_unknown_one_is_refused(script, tmp_path, monkeypatch, capsys):
    def run(ways):
        monkeypatch.setattr(
            sys, "argv", ["script", "--genome", GENOME, "--ways", ways, "--device", "cpu", "--out", str(tmp_path / "out.json")]
        )
        script.main()

    def measured(setting, decodings, layers, count):
        for decoding in decodings:
            yield decoding, {"tokens_per_second": [1.0], "weight_bytes": 4, "peak_bytes": 4}
            # What is measured is there at once.
            assert json.loads((tmp_path / "out.json").read_text())["rows"][-1]["way"] == decoding.way

    monkeypatch.setattr(script, "measured", measured)
    run("static")
    assert [row["way"] for row in json.loads((tmp_path / "out.json").read_text())["rows"]] == ["generate", "static"]
    with pytest.raises(SystemExit):
        run("static,fast")
    assert "unknown way 'fast'; allowed: plain, static" in capsys.readouterr().err


def test_a_genome_is_built_from_the_classes_of_its_catalogue(script):
    found = {
        name: script.ways(replace(SETTING, catalogue=name), script.Decoding("both", "21111-91111", "plain"), layers=1)[1]
        for name in ("paper", "star")
    }
    # SA-Conv in one; in the other SA-2, whose convolutions are others.
    assert found["paper"] == 4 * (Accounting.of(Genome.parse("21111-91111"), 64, "paper").parameters + 97 * 64) != found["star"]


def test_llama_decodes_as_many_tokens_as_are_asked_for(script):
    decode, _ = script.ways(SETTING, script.Decoding("llama", None, "generate"), layers=1)
    assert len(decode(11)) == 11


def test_what_is_wrong_is_not_timed(script, monkeypatch):
    monkeypatch.setattr(script, "greedy_tokens", lambda model, prompt, count: torch.zeros(count, dtype=torch.long) - 1)
    with pytest.raises(SystemExit, match="other tokens"):
        script.ways(SETTING, script.Decoding("tiny", GENOME, "static"), layers=1)
    monkeypatch.setattr(script, "held_cache_bytes", lambda model, length: 7)
    with pytest.raises(SystemExit, match="not the declared one"):
        script.ways(SETTING, script.Decoding("tiny", GENOME, "plain"), layers=1)
