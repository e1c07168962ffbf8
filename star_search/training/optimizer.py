"""AdamW as every candidate gets it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from star_search.config import TrainingConfig

# As in torch's clip_grad_norm_.
CLIP_EPSILON = 1e-6


def build_optimizer(model: nn.Module, config: TrainingConfig, rate: Tensor | None = None) -> torch.optim.AdamW:
    """Return AdamW; weight decay acts on matrices alone, not on norms, biases, decay rates and scales.

    With `rate`, a tensor on the device, the learning rate is read from there and a step can be captured in a CUDA graph.
    """
    matrices = [parameter for parameter in model.parameters() if parameter.dim() >= 2]
    others = [parameter for parameter in model.parameters() if parameter.dim() < 2]
    groups = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}]
    if rate is None:
        return torch.optim.AdamW(groups, lr=config.learning_rate, betas=config.betas, fused=True)
    return torch.optim.AdamW(groups, lr=rate, betas=config.betas, fused=True, capturable=True)


def clip_in_step(optimizer: torch.optim.AdamW, limit: float) -> Tensor:
    """Return the norm of all gradients, and have the next step clip it to `limit` as torch's `clip_grad_norm_` would have done.

    The fused step divides gradients as it reads them, so that they are not read and written once more.
    """
    gradients = [each.grad for group in optimizer.param_groups for each in group["params"] if each.grad is not None]
    norm = nn.utils.get_total_norm(gradients, foreach=True)
    optimizer.grad_scale = ((norm + CLIP_EPSILON) / limit).clamp(min=1.0)  # type: ignore[attr-defined]
    return norm


def prepare_state(optimizer: torch.optim.Optimizer, rate: Tensor) -> None:
    """Allocate the optimizer's state as it is before the first step: a step of gradient and rate 0, forgotten again."""
    before = rate.clone()
    optimizer.grad_scale = None  # type: ignore[attr-defined]  # One that is no number would reach the weights.
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    rate.zero_()
    optimizer.step()
    for parameter in parameters:
        for value in optimizer.state[parameter].values():
            value.zero_()
        parameter.grad = None
    rate.copy_(before)
