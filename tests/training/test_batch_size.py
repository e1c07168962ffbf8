"""Micro-batches: chosen from memory, halved when it runs out, the same training within rounding."""

import pytest
import torch

from evolution.small_search import small_config, write_text_source
from star_search.data.store import prepare
from star_search.data.stream import TokenStream
from star_search.model.language_model import LanguageModel
from star_search.training.batch_size import activation_bytes, is_out_of_memory, largest_divisor, rows_at_once
from star_search.training.loss import cross_entropy
from star_search.training.steps import EagerSteps
from star_search.training.trainer import train

GENOME = "11111-71111-91111"


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    config = small_config(write_text_source(tmp_path_factory.mktemp("text")), space={"depth": 3})
    return config.model_copy(update={"training": config.training.model_copy(update={"batch_tokens": 32 * 6, "tokens": 32 * 6 * 20})})


@pytest.fixture(scope="module")
def stream(config):
    return TokenStream(prepare(config.data), config.training.sequence_length, config.training.rows, config.data.seed)


def model_of(stream):
    return LanguageModel.from_genome(GENOME, 16, stream.store.vocabulary_size, seed=0).train()


@pytest.mark.parametrize(("rows", "most", "divisor"), [(64, 64, 64), (64, 63, 32), (64, 1, 1), (6, 4, 3), (7, 6, 1), (4, 100, 4)])
def test_the_largest_divisor(rows, most, divisor):
    assert largest_divisor(rows, most) == divisor


class TestRowsAtOnce:
    def test_all_rows_where_memory_is_unknown_and_the_setting_where_there_is_one(self, stream, config):
        assert rows_at_once(model_of(stream), config.training, None) == 6
        assert rows_at_once(model_of(stream), config.training.model_copy(update={"micro_batch_rows": 4}), None) == 3

    def test_less_memory_gives_fewer_rows_and_at_least_one(self, stream, config):
        model = model_of(stream)
        row = activation_bytes(model.backbone.accounting, 4) * 32
        weights = sum(parameter.numel() for parameter in model.parameters()) * 20
        sizes = [rows_at_once(model, config.training, int((weights + rows * row) / 0.8) + 9) for rows in (0, 1, 2, 3, 5, 6, 60)]
        assert sizes == [1, 1, 2, 3, 3, 6, 6]

    def test_half_precision_needs_half_the_memory(self, stream, config):
        account = model_of(stream).backbone.accounting
        assert activation_bytes(account, 4) == 2 * activation_bytes(account, 2)


@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_micro_batches_train_as_the_whole_batch_does(stream, config, at_once):
    whole, parts = model_of(stream), model_of(stream)
    expected = train(whole, stream, config.training, 9.0)
    result = train(parts, stream, config.training.model_copy(update={"micro_batch_rows": at_once}), 9.0)
    assert (expected.rows_at_once, result.rows_at_once) == (6, at_once)
    assert [loss for _, loss in result.curve] == pytest.approx([loss for _, loss in expected.curve], rel=1e-4)
    for mine, other in zip(parts.parameters(), whole.parameters(), strict=True):
        assert torch.allclose(mine, other, rtol=1e-3, atol=2e-4)


def test_rows_are_halved_until_they_fit_and_the_step_is_the_same(stream, config):
    tried = []

    def small_device(model):
        def loss_of(inputs, targets, share):
            tried.append(len(inputs))
            loss = share * cross_entropy(model, inputs, targets, "float32")
            if len(inputs) > 2:
                loss.backward()  # Gradients that a failed try leaves behind must not count.
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
            return loss

        return loss_of

    whole, parts = model_of(stream), model_of(stream)
    expected = EagerSteps(whole, stream, config.training, lambda x, y, share: share * cross_entropy(whole, x, y, "float32"), 6)
    steps = EagerSteps(parts, stream, config.training, small_device(parts), 6)
    for step in range(3):
        expected.run(step)
        steps.run(step)
    assert tried == [6, 3] + [1] * 18
    assert steps.at_once == 1
    for (loss, norm), (other_loss, other_norm) in zip(steps.mark()(), expected.mark()(), strict=True):
        assert (loss, norm) == (pytest.approx(other_loss, rel=1e-5), pytest.approx(other_norm, rel=1e-4))


def test_one_row_that_does_not_fit_is_out_of_memory(stream, config):
    def loss_of(inputs, targets, share):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        EagerSteps(model_of(stream), stream, config.training, loss_of, 6).run(0)


def test_other_errors_are_not_taken_for_it(stream, config):
    calls = []

    def loss_of(inputs, targets, share):
        calls.append(len(inputs))
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        EagerSteps(model_of(stream), stream, config.training, loss_of, 6).run(0)
    assert calls == [6]


def test_what_counts_as_out_of_memory():
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes."))
    assert not is_out_of_memory(RuntimeError("shapes differ"))
