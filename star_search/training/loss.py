"""The loss in nats a token: over whole logits, and by chunks of tokens so that the logits are never held at once.

Shapes: B rows, T tokens, N = B T tokens (or those of a chunk), D width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from star_search.liv.kernels import has_kernels
from star_search.model.language_model import LanguageModel
from star_search.training.precision import autocast

# Chunks this large keep matrix products at full speed; at 50,304 ids a chunk in bf16 is 10,674 tokens.
CHUNK_LOGIT_BYTES = 2**30


@dataclass
class TiedGradient:
    """Where the head leaves its gradient of the embedding, which is its weight too, for that of the embedded tokens to be added to it."""

    of_head_VD: Tensor | None = None

    def take(self) -> Tensor | None:
        """Return what the head left, once."""
        left, self.of_head_VD = self.of_head_VD, None
        return left


def cross_entropy(model: LanguageModel, inputs_BT: Tensor, targets_BT: Tensor, precision: str) -> Tensor:
    """Return the mean loss in nats a token, computed in fp32 from the whole logits."""
    with autocast(inputs_BT.device, precision):
        logits_BTV = model(inputs_BT)
    return functional.cross_entropy(logits_BTV.flatten(0, 1).float(), targets_BT.flatten())


def chunked_cross_entropy(
    hidden_BTD: Tensor, weight_VD: Tensor, targets_BT: Tensor, share: float = 1.0, tied: TiedGradient | None = None
) -> Tensor:
    """Return `share` times the mean loss in nats a token of `hidden @ weight.T`, held chunk by chunk in the dtype of `hidden`.

    A chunk's logits become their gradient, and that the gradients of hidden states and weight, in the forward pass; no product is
    done twice. Losses and the weight's gradient are summed in fp32. What is differentiated must be the value returned, not a function
    of it. With `tied` the weight's gradient is left there.

    Raises:
        RuntimeError: in the backward pass, for a gradient that isn't 1; on a GPU as a failed assertion of the device.
    """
    return _ChunkedCrossEntropy.apply(hidden_BTD.flatten(0, -2), weight_VD, targets_BT.flatten(), share, tied)  # type: ignore[no-untyped-call]


def softmax_gradient(logits_NV: Tensor, targets_N: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Return the sum of the losses, and the gradient of `scale` times it with respect to the logits, which may take their place."""
    if has_kernels(logits_NV):
        from star_search.training.triton_softmax import softmax_gradient_kernel

        losses = torch.empty(len(logits_NV), dtype=torch.float32, device=logits_NV.device)
        vocabulary_size = logits_NV.shape[1]
        tile = {"BLOCK": 8192, "num_warps": 32} if vocabulary_size > 8192 else {"BLOCK": 2048, "num_warps": 8}
        softmax_gradient_kernel[(len(logits_NV),)](logits_NV, targets_N, losses, vocabulary_size, scale, **tile)
        return losses.sum(), logits_NV
    return plain_softmax_gradient(logits_NV, targets_N, scale)


def plain_softmax_gradient(logits_NV: Tensor, targets_N: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Return the sum of the losses, and the gradient of `scale` times it with respect to the logits."""
    precise = logits_NV.float()
    log_total = precise.logsumexp(-1, keepdim=True)
    losses = log_total - precise.gather(-1, targets_N.unsqueeze(-1))
    is_target = torch.arange(precise.shape[-1], device=precise.device) == targets_N.unsqueeze(-1)
    return losses.sum(), (((precise - log_total).exp() - is_target.float()) * scale).to(logits_NV.dtype)


class _ChunkedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor, share: float, tied: TiedGradient | None) -> Tensor:
        weight = weight_VD.to(hidden_ND.dtype)
        to_hidden = torch.empty_like(hidden_ND)
        to_weight: Tensor | None = None
        total = torch.zeros((), dtype=torch.float32, device=hidden_ND.device)
        for part in chunks(hidden_ND, weight):
            loss, gradient_NV = softmax_gradient(hidden_ND[part] @ weight.T, targets_N[part], share / len(targets_N))
            total += loss
            to_hidden[part] = gradient_NV @ weight
            to_weight = _add_product(to_weight, gradient_NV.T, hidden_ND[part])
        assert to_weight is not None
        ctx.save_for_backward(to_hidden, to_weight)
        ctx.weight_dtype, ctx.tied = weight_VD.dtype, tied
        return total * (share / len(targets_N))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor | None, None, None, None]:
        torch._assert_async(gradients[0] == 1, "a chunked loss is differentiated itself, not a function of it")
        to_hidden, to_weight = ctx.saved_tensors
        to_weight = to_weight.to(ctx.weight_dtype)
        if ctx.tied is None:
            return to_hidden, to_weight, None, None, None
        ctx.tied.of_head_VD = to_weight
        return to_hidden, None, None, None, None


def chunks(hidden_ND: Tensor, weight_VD: Tensor) -> Iterator[slice]:
    """Yield the slices of tokens whose logits are held at once."""
    size = max(1, CHUNK_LOGIT_BYTES // (weight_VD.element_size() * len(weight_VD)))
    count = -(-len(hidden_ND) // size)
    even = -(-len(hidden_ND) // count)  # Chunks of one size compile once.
    yield from (slice(start, min(start + even, len(hidden_ND))) for start in range(0, len(hidden_ND), even))


def _add_product(total: Tensor | None, left: Tensor, right: Tensor) -> Tensor:
    """Return `total + left @ right` in fp32, in the place of a total; the product isn't rounded to less where the device can."""
    if not left.is_cuda or left.dtype == torch.float32:
        product = (left @ right).float()
        return product if total is None else total.add_(product)
    if total is None:
        return torch.mm(left, right, out_dtype=torch.float32)
    return torch.addmm(total, left, right, out_dtype=torch.float32, out=total)
