"""The trainer on a text of one sentence: it learns, repeats itself, and counts right."""

import copy
import json
import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from evolution.small_search import small_config, write_text_source
from star_search.config import DataConfig
from star_search.data.store import prepare
from star_search.data.stream import TokenStream
from star_search.data.unigram import unigram_loss
from star_search.model.language_model import LanguageModel
from star_search.runs.records import Outcome
from star_search.training.loss import cross_entropy
from star_search.training.optimizer import build_optimizer
from star_search.training.stability import Unhealthy
from star_search.training.trainer import ValidationResult, evaluate, loss_curve, train

GENOME = "11111-71111-91111"


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return small_config(write_text_source(tmp_path_factory.mktemp("text")), space={"depth": 3})


@pytest.fixture(scope="module")
def stream(config):
    return TokenStream(prepare(config.data), config.training.sequence_length, config.training.rows, config.data.seed)


@pytest.fixture(scope="module")
def unigram(stream):
    return unigram_loss(stream.validation_batches(256, 4).targets, stream.store.vocabulary_size)


def model_of(stream, genome=GENOME, seed=0, **arguments):
    return LanguageModel.from_genome(genome, 16, stream.store.vocabulary_size, seed=seed, **arguments)


def trained(stream, config, unigram, seed=0, torch_seed=0, reports=None, **changes):
    torch.manual_seed(torch_seed)
    training = config.training.model_copy(update=changes)
    model = model_of(stream, seed=seed, dropout=training.dropout)
    result = train(model, stream, training, unigram, (lambda progress: None) if reports is None else reports.append)
    return model, result


def test_a_deterministic_training_is_one_from_its_first_step_to_its_last(stream, config, unigram, monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    seen = []

    class Reports(list):
        def append(self, progress):
            seen.append(torch.are_deterministic_algorithms_enabled())

    _, result = trained(stream, config, unigram, reports=Reports(), deterministic=True)
    assert seen and all(seen) and not torch.are_deterministic_algorithms_enabled()
    assert result.curve == trained(stream, config, unigram)[1].curve


def test_a_tiny_model_falls_below_the_unigram(stream, config, unigram):
    model, result = trained(stream, config, unigram)
    validation = stream.validation_batches(256, 4)
    before, after = evaluate(model_of(stream), validation), evaluate(model, validation)
    assert before.loss > unigram > after.loss + 0.5
    assert result.curve[0][1] > unigram > result.curve[-1][1]


def test_the_budget_is_spent_in_whole_steps_and_reported(stream, config, unigram):
    reports = []
    _, result = trained(stream, config, unigram, reports=reports, tokens=64 * 24 + 1)
    assert (result.steps, result.tokens) == (25, 1600)
    assert [each.step for each in reports] == [10, 20, 25]
    assert all(each.steps == 25 and each.tokens_per_second > 0 for each in reports)
    assert reports[-1].loss == pytest.approx(np.mean([loss for _, loss in result.curve][-20:]))


def test_the_same_seed_gives_the_same_bits(stream, config, unigram):
    (first, one), (second, two) = trained(stream, config, unigram), trained(stream, config, unigram)
    assert one.curve == two.curve
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name
    _, other = trained(stream, config, unigram, seed=1)
    assert other.curve != one.curve


def test_training_sees_the_batches_of_the_stream_in_order(stream, config, unigram):
    _, result = trained(stream, config, unigram, tokens=64, learning_rate=1e-12)
    first = cross_entropy(model_of(stream), *map(torch.from_numpy, stream.batch(0)), "float32").item()
    second = cross_entropy(model_of(stream), *map(torch.from_numpy, stream.batch(1)), "float32").item()
    assert result.curve == [[1, first]]
    _, result = trained(stream, config, unigram, tokens=128, learning_rate=1e-12)
    assert result.curve == [[1, first], [2, pytest.approx(second, rel=1e-6)]]


class TestDropout:
    def test_acts_in_training_and_draws_from_torch_alone(self, stream, config, unigram):
        curves = {
            name: trained(stream, config, unigram, torch_seed=seed, dropout=dropout, tokens=640)[1].curve
            for name, seed, dropout in (("none", 0, 0.0), ("first", 0, 0.3), ("again", 0, 0.3), ("other", 1, 0.3))
        }
        assert curves["first"] == curves["again"]
        assert curves["none"] != curves["first"] != curves["other"] != curves["none"]

    def test_is_off_in_evaluation(self, stream):
        plain, dropping = model_of(stream), model_of(stream, dropout=0.5)
        dropping.train()
        batches = stream.validation_batches(256, 4)
        assert evaluate(plain, batches) == evaluate(dropping, batches)


class TestOptimizer:
    def test_weight_decay_acts_on_matrices_alone(self, stream, config):
        model = model_of(stream, "51111-61111-81111", residual="scaled")
        before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
        training = config.training.model_copy(update={"learning_rate": 0.5, "weight_decay": 0.1})
        optimizer = build_optimizer(model, training)
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
        kinds = set()
        for name, parameter in model.named_parameters():
            kinds.add(parameter.dim() >= 2)
            # AdamW: a parameter without gradient shrinks by learning rate times decay.
            factor = 1 - 0.5 * 0.1 if parameter.dim() >= 2 else 1.0
            assert torch.allclose(parameter, before[name] * factor, rtol=1e-6, atol=0), name
        assert kinds == {True, False}

    def test_every_parameter_is_trained_once(self, stream, config):
        model = model_of(stream, "11211-91111-11211")
        held = [parameter for group in build_optimizer(model, config.training).param_groups for parameter in group["params"]]
        assert sorted(map(id, held)) == sorted(map(id, model.parameters()))

    def test_gradients_are_clipped(self, stream, config, unigram):
        """Adam's steps do not feel a gradient's size, so the clip is seen on the gradients left behind."""
        model = model_of(stream)
        training = config.training.model_copy(update={"tokens": 64, "gradient_clip": 1e-3})
        train(model, stream, training, unigram)
        norm = math.sqrt(sum(float(parameter.grad.square().sum()) for parameter in model.parameters()))
        assert norm == pytest.approx(1e-3, rel=1e-3)


@dataclass
class Batches:
    """Validation batches written by hand."""

    batches: list
    count_bytes: int

    def __iter__(self):
        return iter(self.batches)

    def by_subset(self, losses):
        return {}


class Table(nn.Module):
    """A model whose logits are a row per input token."""

    def __init__(self, logits_VV):
        super().__init__()
        self.embedding = nn.Parameter(logits_VV)

    def forward(self, tokens_BT):
        return self.embedding[tokens_BT]


class TestEvaluate:
    def test_the_loss_is_the_mean_over_targets_computed_by_hand(self):
        # Token 0 is followed by 0 or 1 with odds 3 : 1; token 1 with odds 1 : 1.
        table = Table(torch.tensor([[math.log(3.0), 0.0], [0.0, 0.0]]))
        big = np.array([[0, 0, 1], [0, 1, 1]]), np.array([[0, 1, 0], [0, 0, 1]])
        small = np.array([[0, 0, 0]]), np.array([[1, 1, 1]])
        result = evaluate(table, Batches([big, small], 18))
        # 0 -> 0 twice, 0 -> 1 four times, 1 -> either three times: nine targets, not a mean of two batch means.
        expected = -(2 * math.log(3 / 4) + 4 * math.log(1 / 4) + 3 * math.log(1 / 2)) / 9
        assert result.loss == pytest.approx(expected, rel=1e-6)
        assert (result.tokens, result.text_bytes) == (9, 18)
        assert result.perplexity == pytest.approx(math.exp(expected))
        assert result.bits_per_byte == pytest.approx(expected / math.log(2) / 2)

    def test_every_target_counts_once_whatever_the_batches(self, stream):
        model = model_of(stream)
        results = [evaluate(model, stream.validation_batches(10_000, rows)) for rows in (1, 3, 100)]
        batches = stream.validation_batches(10_000, 100)
        ((inputs, targets),) = batches
        assert results[0].tokens == targets.size == (len(stream.store.validation) - 1) // 32 * 32
        losses = functional.cross_entropy(model(torch.from_numpy(inputs)).flatten(0, 1), torch.from_numpy(targets).flatten())
        for result in results:
            assert (result.tokens, result.text_bytes) == (targets.size, batches.count_bytes)
            assert result.loss == pytest.approx(losses.item(), rel=1e-5)

    def test_subsets_add_up_to_the_whole(self, tmp_path):
        path = tmp_path / "two.jsonl"
        records = [{"text": f"{k} " + ("ab" if k % 2 else "xyz") * 30, "red_pajama_subset": "odd" if k % 2 else "even"} for k in range(60)]
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        store = prepare(DataConfig(source=str(path), validation_fraction=0.3))
        stream = TokenStream(store, 32, 2, 0)
        result = evaluate(model_of(stream), stream.validation_batches(10_000, 4))
        assert set(result.subsets) == {"even", "odd"}
        parts = result.subsets.values()
        assert (sum(each.tokens for each in parts), sum(each.text_bytes for each in parts)) == (result.tokens, result.text_bytes)
        assert sum(each.loss * each.tokens for each in parts) / result.tokens == pytest.approx(result.loss, rel=1e-12)
        assert result.subsets["even"].perplexity != result.subsets["odd"].perplexity

    def test_the_same_logits_everywhere_are_degenerate(self):
        table = Table(torch.zeros(4, 4))
        batches = Batches([(np.array([[0, 1], [2, 3]]), np.array([[1, 2], [3, 0]]))], 4)
        with pytest.raises(Unhealthy) as error:
            evaluate(table, batches)
        assert (error.value.outcome, error.value.reason) == (Outcome.degenerate, "the logits are the same at every position")
        with torch.no_grad():
            table.embedding[3, 3] = 1e-3
        assert evaluate(table, batches).tokens == 4

    @pytest.mark.parametrize("value", [math.nan, math.inf])
    def test_a_loss_that_is_not_finite_is_unstable(self, value):
        logits = torch.zeros(2, 2)
        logits[1, 1] = value
        with pytest.raises(Unhealthy) as error:
            evaluate(Table(logits), Batches([(np.array([[0, 1]]), np.array([[0, 0]]))], 2))
        assert error.value.outcome == Outcome.unstable

    def test_weights_and_generator_are_left_alone(self, stream):
        model = model_of(stream, dropout=0.5)
        before, state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
        evaluate(model, stream.validation_batches(256, 4))
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
        assert torch.equal(torch.get_rng_state(), state)


def test_a_byte_that_is_a_token_of_one_bit_costs_one_bit():
    assert ValidationResult(math.log(2), 100, 100).bits_per_byte == pytest.approx(1.0)
    assert ValidationResult(math.log(2), 100, 400).bits_per_byte == pytest.approx(0.25)


def test_a_training_that_diverges_ends_early(stream, config, unigram):
    with pytest.raises(Unhealthy) as error:
        trained(stream, config, unigram, learning_rate=1e6, gradient_clip=1e9)
    assert error.value.outcome == Outcome.unstable


def test_a_training_that_does_not_learn_ends_at_the_deadline(stream, config, unigram):
    reports = []
    with pytest.raises(Unhealthy) as error:
        trained(stream, config, unigram, reports=reports, learning_rate=1e-12, unigram_deadline_tokens=960)
    assert error.value.outcome == Outcome.degenerate
    assert error.value.reason.startswith("after 960 tokens the loss is ")
    assert len(reports) == 1


@pytest.mark.parametrize(("count", "points"), [(1, 1), (50, 50), (51, 26), (1000, 50)])
def test_the_curve_covers_every_step_in_at_most_fifty_points(count, points):
    losses = [float(step) for step in range(1, count + 1)]
    curve = loss_curve(losses)
    assert len(curve) == points
    assert curve[-1][0] == count
    ends = [0, *(int(end) for end, _ in curve)]
    for start, end, mean in zip(ends, ends[1:], (mean for _, mean in curve), strict=False):
        assert mean == pytest.approx((start + 1 + end) / 2)


def test_bfloat16_is_close_to_float32(stream):
    model = model_of(stream)
    batches = stream.validation_batches(256, 4)
    assert evaluate(model, batches, "bfloat16").loss == pytest.approx(evaluate(model, batches).loss, rel=0.02)
    assert evaluate(model, batches, "bfloat16").loss != evaluate(model, batches).loss
