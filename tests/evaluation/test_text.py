"""Perplexity of an export on the test split: what the trainer's own evaluation gives, on the text that it was trained on or another."""

from __future__ import annotations

import json

import pytest

from evaluation.conftest import GENOME
from export.hand_made import configuration, lively_model
from star_search.data.store import prepare
from star_search.data.stream import TokenStream
from star_search.training.trainer import evaluate


def test_the_figures_are_those_of_the_trainer_s_evaluation(command):
    config = configuration(3, data={"validation_tokens": 512})
    stream = TokenStream(prepare(config.data), 16, 1, 0)
    expected = evaluate(lively_model(GENOME, config), stream.test_batches(512, 8))
    code, out, _ = command("model", "--perplexity", "--device", "cpu", "--json")
    found = json.loads(out)
    assert code == 0 and found["genome"] == GENOME and found["tasks"] == []
    assert found["text"]["tokens"] == 512 == sum(each["tokens"] for each in found["text"]["subsets"].values())
    assert found["text"]["perplexity"] == pytest.approx(expected.perplexity, rel=1e-6)
    assert found["text"]["bits_per_byte"] == pytest.approx(expected.bits_per_byte, rel=1e-6)
    assert found["text"]["text"] == prepare(config.data).fingerprint


def test_a_model_is_scored_in_the_precision_that_it_was_trained_in(command, change):
    config = configuration(3, data={"validation_tokens": 64})
    batches = TokenStream(prepare(config.data), 16, 1, 0).test_batches(64, 4)
    found = {}
    for precision in ("float32", "bfloat16"):
        change(training_precision=precision)
        out = command("model", "--set", "data.validation_tokens=64", "--device", "cpu", "--json")[1]
        found[precision] = json.loads(out)["text"]["loss"]
        assert found[precision] == pytest.approx(evaluate(lively_model(GENOME, config), batches, precision).loss, rel=1e-6)
    assert found["float32"] != found["bfloat16"]


def test_keys_of_the_text_can_be_set(command):
    code, out, _ = command("model", "--set", "data.validation_tokens=64", "--device", "cpu")
    assert code == 0 and out.startswith("test split: perplexity ") and "64 tokens" in out.splitlines()[0]


def test_what_text_cannot_be_read(command, change):
    code, out, err = command("model", "--set", "data.tokenizer=embedded-bpe-4096", "--device", "cpu")
    assert (code, out) == (2, "")
    assert err == "star-search: data.tokenizer embedded-bpe-4096 is not the tokenizer of model, so its text cannot be read\n"
    code, _, err = command("model", "--set", "data.sauce=x", "--device", "cpu")
    assert code == 2 and err.startswith("star-search: the text of model: unknown key data.sauce")
    change(data=None)
    assert command("model", "--perplexity", "--device", "cpu")[::2] == (
        2,
        "star-search: model does not say which text it was trained on: name a configuration with --config\n",
    )
