"""The chunked loss against the whole one, value and gradients."""

import pytest
import torch
from torch.nn import functional

from helpers import noise, relative
from star_search.training import loss as module
from star_search.training.loss import chunked_cross_entropy, chunks, plain_softmax_gradient

VOCABULARY, WIDTH = 19, 8


def inputs(dtype=torch.float32):
    hidden = noise(3, 7, WIDTH, dtype=dtype).requires_grad_()
    weight = noise(VOCABULARY, WIDTH, seed=1).requires_grad_()
    return hidden, weight, torch.arange(21).reshape(3, 7) % VOCABULARY


@pytest.mark.parametrize("chunk_tokens", [1, 4, 20, 21, 1000])
def test_chunks_of_any_size_give_the_whole_loss_and_its_gradients(monkeypatch, chunk_tokens):
    monkeypatch.setattr(module, "CHUNK_LOGIT_BYTES", chunk_tokens * VOCABULARY * 4)
    hidden, weight, targets = inputs()
    expected = functional.cross_entropy((hidden @ weight.T).flatten(0, 1), targets.flatten())
    there = torch.autograd.grad(expected / 3, (hidden, weight))
    loss = chunked_cross_entropy(hidden, weight, targets, 1 / 3)
    here = torch.autograd.grad(loss, (hidden, weight))
    assert relative(loss, expected / 3) < 1e-6
    assert all(relative(mine, other) < 1e-6 for mine, other in zip(here, there, strict=True))


def test_a_function_of_the_loss_is_not_differentiated():
    loss = chunked_cross_entropy(*inputs())
    with pytest.raises(RuntimeError, match="itself, not a function of it"):
        (2 * loss).backward()


def test_no_chunk_is_larger_than_the_bytes_allowed(monkeypatch):
    monkeypatch.setattr(module, "CHUNK_LOGIT_BYTES", 10 * VOCABULARY * 4)
    hidden, weight = torch.zeros(21, WIDTH), torch.zeros(VOCABULARY, WIDTH)
    parts = list(chunks(hidden, weight))
    assert [part.stop - part.start for part in parts] == [7, 7, 7]
    assert torch.cat([torch.arange(21)[part] for part in parts]).tolist() == list(range(21))


def test_hidden_states_in_half_precision_cost_only_their_rounding():
    hidden, weight, targets = inputs(torch.bfloat16)
    expected = functional.cross_entropy((hidden.float() @ weight.T).flatten(0, 1), targets.flatten())
    loss = chunked_cross_entropy(hidden, weight, targets)
    to_hidden, to_weight = torch.autograd.grad(loss, (hidden, weight))
    there = torch.autograd.grad(expected, (hidden, weight))
    assert (loss.dtype, to_hidden.dtype, to_weight.dtype) == (torch.float32, torch.bfloat16, torch.float32)
    assert relative(loss, expected) < 1e-2
    assert relative(to_hidden, there[0]) < 2e-2 and relative(to_weight, there[1]) < 2e-2


def test_the_gradient_by_hand():
    # Odds 3 : 1, the first is right: the loss is -ln 3/4, its gradient (3/4 - 1, 1/4).
    loss, gradient = plain_softmax_gradient(torch.tensor([[3.0, 1.0]]).log(), torch.tensor([0]), 2.0)
    assert float(loss) == pytest.approx(-torch.tensor(0.75).log().item())
    assert gradient.tolist() == [pytest.approx([-0.5, 0.5])]
