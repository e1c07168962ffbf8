"""Candidates whose weights were not kept are trained again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from export.hand_made import configuration
from star_search.errors import InputError, StarSearchError
from star_search.objectives.assessment import Assessor
from star_search.objectives.assignment import Assignment

GENOME = "11112-51121-11112-51121"


@pytest.fixture
def trained(make_run, tmp_path):
    """A run of one candidate that was really trained, its weights taken out of the run, and those weights."""
    text = [{"text": f"{k} and {k + 1} make {2 * k + 1}, " * 12} for k in range(60)]
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps(document) + "\n" for document in text))
    data = {"source": str(tmp_path / "corpus.jsonl"), "validation_fraction": 0.2, "validation_tokens": 512}
    config = configuration(4, data=data, training={"tokens": 8192})
    assessor = Assessor(config, "cpu")
    record = assessor(Assignment(0, 0, GENOME, GENOME, str(tmp_path / "weights.safetensors"), {"parents": []})).record
    assert record.outcome == "ok", record.reason
    run = make_run(config, [record], front=[], fingerprint=assessor.store.fingerprint)
    return run, record, load_file(tmp_path / "weights.safetensors")


def test_the_same_model_comes_out(trained, export):
    run, record, weights = trained
    found = export("--candidate", "0")
    assert found == {"candidate": 0, "genome": GENOME, "objectives": record.objectives, "folder": "export/tiny-0", "retrained": True}
    written = load_file("export/tiny-0/model.safetensors")
    assert {f"model.{name}" for name in weights} == set(written)
    assert all(torch.equal(written[f"model.{name}"], tensor) for name, tensor in weights.items())
    assert "its perplexity came out equal to the recorded one, bit for bit" in Path("export/tiny-0/README.md").read_text()
    assert not run.weights_path(0).exists()


def test_it_says_so_and_warns_of_a_difference(trained, command):
    run, record, _ = trained
    run.write_candidate(replace(record, objectives=record.objectives | {"perplexity": record.objectives["perplexity"] * 1.01}))
    code, out, err = command("--candidate", "0", "--json")
    assert (code, json.loads(out)["objectives"]) == (0, record.objectives)
    said, warning = err.splitlines()
    assert said == ("candidate 0 has no weights in the run, which keeps the front's alone: retraining it from its record, 8,192 tokens")
    assert warning.startswith("warning: the retrained perplexity is ") and "9.9e-03 of it apart" in warning
    assert "the retrained perplexity is" in Path("export/tiny-0/README.md").read_text()


def test_where_may_lead_outside_the_front(trained, command):
    code, out, err = command("--where", "parameters>=100")
    assert code == 0 and "retraining it from its record" in err and out.startswith("wrote candidate 0 (")


def test_a_changed_text_is_refused(trained, export):
    run, _, _ = trained
    found = run.provenance
    found["data"]["fingerprint"] = "f" * 64
    run.update_provenance(found)
    with pytest.raises(InputError, match=r"^the text of runs/tiny has changed: its fingerprint was ffffffffffff and is now "):
        export("--candidate", "0")
    assert not Path("export").exists()


def test_another_seed_or_outcome_is_no_retraining(trained, export):
    run, record, _ = trained
    run.write_candidate(replace(record, seed=record.seed + 1))
    with pytest.raises(StarSearchError, match="would not draw for it"):
        export("--candidate", "0")
    run.write_candidate(record)
    run.update_config(run.config_yaml.replace("learning_rate: 0.01", "learning_rate: 1.0e-12"))
    with pytest.raises(StarSearchError, match="candidate 0 ended ok in its run, and degenerate when retrained"):
        export("--candidate", "0")


def test_the_threads_are_those_of_the_run_and_given_back(trained, export):
    torch.set_num_threads(2)
    export("--candidate", "0")
    assert torch.get_num_threads() == 2
