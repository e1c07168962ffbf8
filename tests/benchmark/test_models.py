"""The benchmark of models counts operations right, times what is right, and refuses the rest."""

import math
import time
from dataclasses import replace

import pytest
import torch
from torch._dynamo.exc import TorchDynamoException

from star_search.benchmark import huggingface, models
from star_search.benchmark.models import ModelSetting, agree, measure_genome
from star_search.benchmark.models_report import HEADINGS, ModelReport, cells
from star_search.errors import InputError, StarSearchError
from star_search.genome.accounting import Accounting
from star_search.genome.encoding import Genome
from star_search.genome.flops import flops_per_token
from star_search.liv.attention import SoftmaxAttention
from star_search.training import compilation, engine

SETTING = ModelSetting(64, 97, 32, 64, steps=2, repeats=2, device="cpu", precision="float32")


def flops(genome, width, vocabulary, length):
    return flops_per_token(Accounting.of(Genome.parse(genome), width), vocabulary, length)


def test_operations_of_transformer_plus_plus_by_hand():
    # Weights 84,953,856 and a head of 50,304 x 768, six operations each; 12 layers of 12 x 2,048 seen tokens x 768 channels.
    assert flops("-".join(["11111-91111"] * 12), 768, 50_304, 4096) == 6 * (84_953_856 + 50_304 * 768) + 12 * 12 * 2048 * 768


def test_a_window_sees_no_more_than_itself_and_scans_count_nothing():
    alone = {
        genome: flops(genome, 64, 1, 4096) - 6 * (Accounting.of(Genome.parse(genome), 64).parameters + 64) for genome in ("o1111", "51111")
    }
    assert alone == {"o1111": 12 * 256 * 64, "51111": 0}


def test_a_measurement_is_complete_and_ordered():
    cost = measure_genome(SETTING, "mixed", "11111-91111", peak=1e12)
    assert cost.parameters == Accounting.of(Genome.parse("11111-91111"), 64).parameters
    assert 0 < cost.low <= cost.tokens_per_second <= cost.high
    assert cost.share_of_peak == pytest.approx(cost.tokens_per_second * cost.flops_per_token / 1e12)
    assert cost.warm_up_seconds > 0 and cost.next_seconds > 0 and cost.peak_bytes > 1e6
    assert (cost.rows_at_once, cost.loss_error < 1e-6, cost.gradient_error < 1e-4) == (2, True, True)
    assert dict(zip(HEADINGS, cells(cost), strict=True))["weights"] == f"{cost.parameters / 1e6:.2f}M"


def test_the_overhead_is_what_a_training_takes_beyond_its_steps(monkeypatch):
    monkeypatch.setattr(models, "train", lambda *arguments: time.sleep(0.2))
    # Three steps of 64 tokens at 1,920 a second are a tenth of a second.
    assert models._overhead_seconds(SETTING, models.random_stream(SETTING), "11111-91111", 1920) == pytest.approx(0.1, abs=0.08)


def test_a_report_names_what_was_refused():
    report = ModelReport(SETTING, 1e12, {}, [], ["mixed: wrong outputs are not timed"])
    assert report.as_json()["refused"] == ["mixed: wrong outputs are not timed"]
    assert report.markdown().endswith("mixed: wrong outputs are not timed\n")


def test_wrong_outputs_are_not_timed(monkeypatch):
    right = SoftmaxAttention.mix
    monkeypatch.setattr(SoftmaxAttention, "mix", lambda self, features: right(self, features) * 1.5)
    monkeypatch.setattr(models, "_speed", lambda *arguments: pytest.fail("it was timed"))
    with pytest.raises(StarSearchError, match="wrong: the fast forms differ from the reference forms"):
        measure_genome(SETTING, "wrong", "11111-91111", peak=1e12)


@pytest.mark.parametrize("reading", [(4.2, 1.0), (4.0, 1.2), (float("nan"), 1.0)])
def test_a_first_step_that_differs_is_refused(reading):
    with pytest.raises(StarSearchError, match="wrong outputs are not timed"):
        agree("model", reading, (4.0, 1.0))
    assert agree("model", (4.004, 1.01), (4.0, 1.0)) == (pytest.approx(0.001), pytest.approx(0.01))


def in_bfloat16(monkeypatch, loss=1.0, gradient=1.0):
    """Make the first step in bf16 another by these factors, and return the precision of every step taken."""
    right, taken = models.first_step, []

    def first_step(steps):
        reading = right(steps)
        taken.append(steps.config.precision)
        return (reading[0] * loss, reading[1] * gradient) if taken[-1] == "bfloat16" else reading

    monkeypatch.setattr(models, "first_step", first_step)
    return taken


def test_a_gradient_norm_that_rounding_moves_is_checked_in_float32(monkeypatch):
    taken, setting = in_bfloat16(monkeypatch, gradient=0.25), replace(SETTING, precision="bfloat16")
    cost = measure_genome(setting, "ill", "11111-91111", peak=1e12)
    assert (cost.checked_in, cost.gradient_error) == ("float32", pytest.approx(0.75, abs=0.01))
    # Expected, as timed, checked, timed anew, and once more for the next candidate.
    assert taken == ["float32", "bfloat16", "float32", "bfloat16", "bfloat16"]
    report = ModelReport(setting, 1e12, {}, [cost, replace(cost, name="well", checked_in="bfloat16")], [])
    assert [model["checked_in"] for model in report.as_json()["models"]] == ["float32", "bfloat16"]
    (note,) = report.notes()
    assert note.endswith(f"in bfloat16: ill by {cost.gradient_error:.1%}.") and report.markdown().endswith(f"\n\n{note}\n")


@pytest.mark.parametrize("factors", [(1.01, 1.0), (1.01, 0.25), (1.0, math.nan), (1.0, math.inf)])
def test_what_rounding_does_not_explain_is_refused(monkeypatch, factors):
    taken = in_bfloat16(monkeypatch, *factors)
    with pytest.raises(StarSearchError, match="wrong: the first step's loss and gradient norm"):
        measure_genome(replace(SETTING, precision="bfloat16"), "wrong", "11111-91111", peak=1e12)
    assert taken == ["float32", "bfloat16"]


def test_a_fast_form_with_a_wrong_gradient_is_refused_in_both_precisions(monkeypatch):
    right = SoftmaxAttention.mix

    def mix(self, features):
        mixed = right(self, features)
        # Compiled, as it is timed, the value is right and half the gradient is lost.
        return (mixed + mixed.detach()) / 2 if torch.compiler.is_compiling() else mixed

    monkeypatch.setattr(SoftmaxAttention, "mix", mix)
    monkeypatch.setattr(compilation, "_blocks", {})
    monkeypatch.setattr(engine, "BACKEND", "eager")
    monkeypatch.setattr(models, "_speed", lambda *arguments: pytest.fail("it was timed"))
    for precision, name in (("bfloat16", "wrong in float32"), ("float32", "wrong")):
        setting = replace(SETTING, precision=precision, engine="compiled")
        with pytest.raises(StarSearchError, match=f"{name}: the first step's loss and gradient norm"):
            measure_genome(setting, "wrong", "-".join(["11111"] * 4), peak=1e12)


def test_hugging_face_llama_has_the_parameters_of_transformer_plus_plus():
    pytest.importorskip("transformers")
    cost = huggingface.measure("llama", SETTING, layers=1, compiled=False, peak=1e12)
    assert cost.flops_per_token == flops("11111-91111", 64, 97, 32)
    assert cost.parameters == Accounting.of(Genome.parse("11111-91111"), 64).parameters
    assert cost.low <= cost.tokens_per_second <= cost.high
    assert not torch.isnan(torch.tensor(cost.loss_error))


def test_a_hugging_face_model_that_does_not_fit_takes_its_step_in_parts(monkeypatch):
    pytest.importorskip("transformers")
    whole, queue = huggingface.measure("llama", SETTING, 1, False, 1e12), huggingface.PlainTraining.queue

    def small(training, tokens_BT):
        if training.parts == 1:
            raise torch.OutOfMemoryError
        return queue(training, tokens_BT)

    monkeypatch.setattr(huggingface.PlainTraining, "queue", small)
    cost = huggingface.measure("llama", SETTING, 1, False, 1e12)
    assert (whole.rows_at_once, cost.rows_at_once) == (2, 1)
    assert cost.loss_error < 1e-6


def test_a_hugging_face_model_that_does_not_compile_is_measured_as_it_is(monkeypatch):
    pytest.importorskip("transformers")

    def refuse(*arguments, **options):
        raise TorchDynamoException

    monkeypatch.setattr(torch, "compile", refuse)
    cost = huggingface.measure("llama", SETTING, 1, True, 1e12)
    assert cost.name == "Hugging Face llama, eager, as it does not compile"
    assert cost.tokens_per_second > 0


def test_an_unknown_hugging_face_model_is_refused():
    with pytest.raises(InputError, match="unknown Hugging Face model 'lama'"):
        huggingface.build("lama", SETTING, 1)
