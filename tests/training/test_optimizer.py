"""The optimizer's state before the first step."""

import torch

from star_search.config import TrainingConfig
from star_search.training.optimizer import prepare_state


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
