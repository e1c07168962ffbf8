"""What `evaluate` refuses: one sentence, exit code 2."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["model"], "nothing to evaluate: give --downstream, --task NAME or --perplexity"),
        (["."], "nothing to evaluate: give --downstream, --task NAME or --perplexity"),
        (["nowhere", "--perplexity"], "nowhere holds no model: it has no config.json; star-search export-best writes one"),
        (["run", "--perplexity"], "run holds no model: it has no config.json; star-search export-best writes one"),
    ],
)
def test_a_folder_without_a_model(command, arguments, sentence):
    assert command(*arguments) == (2, "", f"star-search: {sentence}\n")


def test_a_folder_of_something_else(command, change):
    change(catalogue_version=99)
    sentence = "model was exported with version 99 of catalogue star, and this star-search has version 1: upgrade star-search"
    assert command("model", "--perplexity") == (2, "", f"star-search: {sentence}\n")
    change(catalogue="stars")
    assert command("model", "--perplexity")[2] == "star-search: unknown catalogue 'stars'; did you mean 'star'?\n"
    change(model_type="llama")
    sentence = "model holds no model that star-search exported: its model_type is 'llama' and not 'star'"
    assert command("model", "--perplexity") == (2, "", f"star-search: {sentence}\n")
    Path("model/config.json").write_text('{"model_type": "star"}')
    assert command("model", "--perplexity")[2].endswith("its config.json has no genome\n")
    Path("model/config.json").write_text("{")
    assert command("model", "--perplexity")[::2] == (2, "star-search: model/config.json cannot be read: it is not JSON\n")


def test_weights_that_are_not_there_or_not_the_genome_s(command, change):
    change(genome="11111-91111-31111")
    code, _, err = command("model", "--perplexity", "--device", "cpu")
    assert code == 2 and err.startswith("star-search: the weights of model cannot be loaded: ") and err.count("\n") == 1
    Path("model/model.safetensors").unlink()
    assert command("model", "--perplexity")[::2] == (2, "star-search: model holds no weights: it has no model.safetensors\n")


def test_without_the_extra_the_sentence_says_what_to_install(command, monkeypatch):
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    code, out, err = command("model", "--downstream")
    assert (code, out) == (2, "")
    assert err.endswith("pip install 'star-search[evaluation]'\n") and err.count("\n") == 1
