"""The optimizer's state before the first step, and gradients clipped within a step."""

import pytest
import torch

from star_search.config import TrainingConfig
from star_search.training.optimizer import clip_in_step, prepare_state


def test_a_prepared_optimizer_takes_the_steps_of_a_fresh_one():
    def after_steps(prepares):
        weight = torch.nn.Parameter(torch.linspace(-1, 1, 6).view(2, 3))
        rate = torch.tensor(TrainingConfig().learning_rate)
        optimizer = torch.optim.AdamW([weight], rate, weight_decay=0.1, fused=True)
        if prepares:
            prepare_state(optimizer, rate)
            assert optimizer.state[weight]["step"] == 0 and weight.grad is None
        for _ in range(3):
            weight.grad = weight.detach().square()
            optimizer.step()
        return weight.detach()

    assert torch.equal(after_steps(True), after_steps(False))


@pytest.mark.parametrize("limit", [0.01, 100.0])
def test_a_step_clips_as_a_pass_before_it_does(limit):
    def after_steps(clip):
        weights = [torch.nn.Parameter(torch.linspace(-1, 1, 6).view(2, 3)), torch.nn.Parameter(torch.ones(4))]
        # Large, so that clipped gradients matter, which the step otherwise divides by their own size.
        optimizer = torch.optim.AdamW(weights, 0.1, eps=1.0, fused=True)
        norms = []
        for _ in range(3):
            for weight in weights:
                weight.grad = weight.detach().square() + 1
            norms.append(clip(optimizer, weights))
            optimizer.step()
        return torch.cat([weight.detach().flatten() for weight in weights]), torch.stack(norms)

    here, norms = after_steps(lambda optimizer, _: clip_in_step(optimizer, limit))
    there, their_norms = after_steps(lambda _, weights: torch.nn.utils.clip_grad_norm_(weights, limit))
    assert torch.equal(norms, their_norms) and torch.allclose(here, there, rtol=1e-6, atol=0)
    unclipped, _ = after_steps(lambda *_: torch.zeros(()))
    assert torch.allclose(here, unclipped, rtol=1e-3) == (limit > norms.max())
