"""The benchmark of models counts operations right, times what is right, and refuses the rest."""

import pytest
import torch

from star_search.benchmark import huggingface, models
from star_search.benchmark.models import ModelSetting, agree, measure_genomes, table
from star_search.errors import InputError, StarSearchError
from star_search.genome.accounting import Accounting
from star_search.genome.encoding import Genome
from star_search.genome.flops import flops_per_token
from star_search.liv.attention import SoftmaxAttention

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
    (cost,) = measure_genomes(SETTING, {"mixed": "11111-91111"}, peak=1e12)
    assert cost.parameters == Accounting.of(Genome.parse("11111-91111"), 64).parameters
    assert 0 < cost.low <= cost.tokens_per_second <= cost.high
    assert cost.share_of_peak == pytest.approx(cost.tokens_per_second * cost.flops_per_token / 1e12)
    assert cost.warm_up_seconds > 0 and cost.next_seconds > 0 and cost.peak_bytes > 1e6
    assert (cost.rows_at_once, cost.loss_error < 1e-6, cost.gradient_error < 1e-4) == (2, True, True)
    heads, row = table([cost])
    assert len(heads) == len(row) and row[0] == "mixed"


def test_wrong_outputs_are_not_timed(monkeypatch):
    right = SoftmaxAttention.mix
    monkeypatch.setattr(SoftmaxAttention, "mix", lambda self, features: right(self, features) * 1.5)
    monkeypatch.setattr(models, "_speed", lambda *arguments: pytest.fail("it was timed"))
    with pytest.raises(StarSearchError, match="wrong: the fast forms differ from the reference forms"):
        measure_genomes(SETTING, {"wrong": "11111-91111"}, peak=1e12)


@pytest.mark.parametrize("reading", [(4.2, 1.0), (4.0, 1.2), (float("nan"), 1.0)])
def test_a_first_step_that_differs_is_refused(reading):
    with pytest.raises(StarSearchError, match="wrong outputs are not timed"):
        agree("model", reading, (4.0, 1.0))
    assert agree("model", (4.004, 1.01), (4.0, 1.0)) == (pytest.approx(0.001), pytest.approx(0.01))


def test_hugging_face_llama_has_the_parameters_of_transformer_plus_plus():
    pytest.importorskip("transformers")
    cost = huggingface.measure("llama", SETTING, layers=1, compiled=False)
    assert cost.parameters == Accounting.of(Genome.parse("11111-91111"), 64).parameters
    assert cost.low <= cost.tokens_per_second <= cost.high
    assert not torch.isnan(torch.tensor(cost.loss_error))


def test_an_unknown_hugging_face_model_is_refused():
    with pytest.raises(InputError, match="unknown Hugging Face model 'lama'"):
        huggingface.build("lama", SETTING, 1)
