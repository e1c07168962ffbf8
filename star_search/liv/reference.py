"""The plain forms: T x T matrices and loops over tokens, in any precision. They are the truth; fast forms are held against them.

Shapes: B batch, T tokens, D width, H heads, K key and value heads, P channels of a head, N state size.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def softmax_attention(q_BHTP: Tensor, k_BKTP: Tensor, v_BKTP: Tensor, window: int | None = None, block: int | None = None) -> Tensor:
    """Return causal softmax attention [B, H, T, P]; head h reads key and value head h // (H / K).

    With `window`, a token sees the last so many tokens, itself included; with `block`, those of its own block.
    """
    scores = _scores(q_BHTP, k_BKTP) / q_BHTP.shape[-1] ** 0.5
    return scores.masked_fill(~_seen(scores, window, block), -torch.inf).softmax(-1) @ _for_heads(v_BKTP, q_BHTP)


def pointwise_attention(
    q_BHTP: Tensor,
    k_BKTP: Tensor,
    v_BKTP: Tensor,
    activation: Callable[[Tensor], Tensor],
    window: int | None = None,
    block: int | None = None,
) -> Tensor:
    """Return causal attention [B, H, T, P] whose scores go through an activation and are divided by the number of tokens seen."""
    scores = _scores(q_BHTP, k_BKTP) / q_BHTP.shape[-1] ** 0.5
    seen = _seen(scores, window, block)
    return activation(scores) * seen / seen.sum(-1, keepdim=True) @ _for_heads(v_BKTP, q_BHTP)


def linear_attention(q_BHTP: Tensor, k_BKTP: Tensor, v_BKTP: Tensor, window: int | None = None, block: int | None = None) -> Tensor:
    """Return causal attention [B, H, T, P] whose scores are products of positive features, rows normalised."""
    scores = _scores(q_BHTP, k_BKTP)
    scores = scores * _seen(scores, window, block)
    return scores / scores.sum(-1, keepdim=True) @ _for_heads(v_BKTP, q_BHTP).to(scores.dtype)


def _scores(q_BHTP: Tensor, k_BKTP: Tensor) -> Tensor:
    return q_BHTP @ _for_heads(k_BKTP, q_BHTP).transpose(-1, -2)


def _for_heads(x_BKTP: Tensor, q_BHTP: Tensor) -> Tensor:
    return x_BKTP.repeat_interleave(q_BHTP.shape[1] // x_BKTP.shape[1], 1)


def _seen(scores: Tensor, window: int | None, block: int | None) -> Tensor:
    """Return which tokens each token sees, [T, T]."""
    positions = torch.arange(scores.shape[-1], device=scores.device)
    seen = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
    if window is not None:
        seen = seen & (positions[:, None] - positions < window)
    if block is not None:
        seen = seen & (positions[:, None] // block == positions // block)
    return seen


def head_recurrence(decay_BTH: Tensor, B_BTHN: Tensor, C_BTHN: Tensor, v_BTHP: Tensor) -> Tensor:
    """Return [B, T, H, P] of `S_t = decay_t S_{t-1} + B_t v_t^T`, `y_t = C_t S_t`."""
    state = v_BTHP.new_zeros(*v_BTHP.shape[:1], *B_BTHN.shape[2:], v_BTHP.shape[-1])
    outputs = []
    for decay, B, C, v in zip(decay_BTH.unbind(1), B_BTHN.unbind(1), C_BTHN.unbind(1), v_BTHP.unbind(1), strict=True):
        state = decay[..., None, None] * state + B.unsqueeze(-1) * v.unsqueeze(-2)
        outputs.append((C.unsqueeze(-1) * state).sum(-2))
    return torch.stack(outputs, 1)


def scan(decay: Tensor, values: Tensor) -> Tensor:
    """Return all states of `h_t = decay_t * h_{t-1} + values_t` along the second dimension."""
    state, states = torch.zeros_like(values[:, 0]), []
    for step_decay, value in zip(decay.unbind(1), values.unbind(1), strict=True):
        state = step_decay * state + value
        states.append(state)
    return torch.stack(states, 1)


def convolution(kernel_DL: Tensor, x_BTD: Tensor) -> Tensor:
    """Return the causal convolution [B, T, D] by a T x T Toeplitz matrix per channel; kernel[:, j] weighs the token j steps back."""
    length = x_BTD.shape[1]
    lags = torch.arange(length, device=x_BTD.device)[:, None] - torch.arange(length, device=x_BTD.device)
    inside = (lags >= 0) & (lags < kernel_DL.shape[1])
    matrix_DTT = kernel_DL[:, lags.clamp(0, kernel_DL.shape[1] - 1)] * inside
    return torch.einsum("dts,bsd->btd", matrix_DTT, x_BTD)


def diagonal_state_space(poles_ND: Tensor, inputs_ND: Tensor, outputs_ND: Tensor, v_BTD: Tensor) -> Tensor:
    """Return [B, T, D] of `h_t = pole h_{t-1} + input v_t`, `y_t = 2 Re sum_n output h_t` with complex modes (S4D, section 3)."""
    state = torch.zeros_like(v_BTD[:, 0, None] * poles_ND)
    outputs = []
    for v in v_BTD.unbind(1):
        state = poles_ND * state + inputs_ND * v.unsqueeze(1)
        outputs.append(2 * (outputs_ND * state).sum(1).real)
    return torch.stack(outputs, 1)
