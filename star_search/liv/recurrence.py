"""Semi-separable token mixing: recurrences whose decay varies with the input.

Shapes: B batch, T tokens, D width, H heads, P channels of a head, N state size, C chunks, L chunk length.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from star_search.liv import reference
from star_search.liv.kernels import has_kernels, lowered
from star_search.liv.kernels.head_scan import head_scan
from star_search.liv.scan import linear_scan
from star_search.liv.token_mixing import Allocate, Features, State, TokenMixing

CHUNK = 32


class HeadRecurrence(TokenMixing):
    """`S_t = a_t S_{t-1} + step_t B_t v_t^T`, `y_t = C_t S_t` with one decay per head (Mamba-2, sections 2 and 6)."""

    repeated = ("A",)

    def mix(self, features: Features) -> Tensor:
        """Return [B, T, D]: masked products within chunks, a scan of states between them; on a GPU by kernels that do the same."""
        if has_kernels(features["v"]):
            return self._by_kernels(features)
        length = features["v"].shape[1]
        precise = torch.promote_types(features["v"].dtype, torch.float32)
        step, log_decay = (self._chunk(part.to(precise).unsqueeze(-1)).squeeze(-1) for part in features["A"].unbind(-2))
        B, C, v = (self._chunk(self._by_head(features[name].to(precise))) for name in "BCv")
        total, gaps = log_decay.cumsum(-1), _segment_sums(log_decay)
        weights = gaps.exp() * step.unsqueeze(-2)
        to_end = gaps[..., -1, :].exp() * step
        states = (B * to_end.unsqueeze(-1)).transpose(-1, -2) @ v
        carried = linear_scan(total[..., -1, None, None].exp(), states)
        before = torch.cat((torch.zeros_like(carried[:, :1]), carried[:, :-1]), dim=1)
        out = (C @ B.transpose(-1, -2) * weights) @ v + (C * total.exp().unsqueeze(-1)) @ before
        return out.transpose(2, 3).flatten(3).flatten(1, 2)[:, :length].to(features["v"].dtype)

    def _by_kernels(self, features: Features) -> Tensor:
        step, log_decay = features["A"].float().unbind(-2)
        v = self._by_head(lowered(features["v"]))
        B, C = (self._by_head(features[name]).to(v.dtype) for name in "BC")
        return head_scan(log_decay, B, C, (v * step.unsqueeze(-1)).to(v.dtype))[0].flatten(2)

    def reference(self, features: Features) -> Tensor:
        """Return [B, T, D] by a loop over tokens."""
        step, log_decay = features["A"].unbind(-2)
        B, C, v = (self._by_head(features[name]) for name in "BCv")
        return reference.head_recurrence(log_decay.exp(), step.unsqueeze(-1) * B, C, v).flatten(2)

    def _by_head(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.sizes.heads, -1))

    @staticmethod
    def _chunk(x_BTHG: Tensor) -> Tensor:
        """Return [B, C, H, L, G]; padded steps are zero, so that they change nothing."""
        padded = functional.pad(x_BTHG, (0, 0, 0, 0, 0, -x_BTHG.shape[1] % CHUNK))
        return padded.unflatten(1, (-1, CHUNK)).transpose(2, 3)

    def allocate(self, allocate: Allocate, max_length: int, forms: tuple[str, ...]) -> State:
        """Return the state [H, N, P]."""
        return {"state": allocate(self.sizes.heads, self.state_size(), self.sizes.head_width)} if forms else {}

    def write(self, features: Features, state: State) -> None:
        """Sum the prompt's contributions, each decayed to the prompt's end."""
        if state:
            step, log_decay = features["A"].unbind(-2)
            to_end = (log_decay.flip(1).cumsum(1).flip(1) - log_decay).exp() * step
            B, v = self._by_head(features["B"]), self._by_head(features["v"])
            state["state"].copy_(torch.einsum("bth,bthn,bthp->bhnp", to_end, B, v))

    def update(self, token: Features, state: State, position: int, shared: Features) -> State:
        """Decay the state and add the token."""
        if not state:
            return dict(shared)
        step, log_decay = token["A"].unbind(-2)
        added = torch.einsum("bh,bhn,bhp->bhnp", step, self._by_head(token["B"]), self._by_head(token["v"]))
        state["state"].copy_(log_decay.exp()[..., None, None] * state["state"] + added)
        return state

    def read(self, token: Features, context: State) -> Tensor:
        """Return [B, D]."""
        return torch.einsum("bhn,bhnp->bhp", self._by_head(token["C"]), context["state"]).flatten(1)


class ChannelRecurrence(TokenMixing):
    """`h_t[n] = a_t h_{t-1}[n] + step_t B_t[n] v_t`, `y_t = sum_n C_t[n] h_t[n]` with one decay per channel (Mamba, section 3)."""

    repeated = ("A",)

    def mix(self, features: Features) -> Tensor:
        """Return [B, T, D] by a parallel scan over [B, T, N, D]."""
        decay, added = self._scan_inputs(features)
        return (features["C"].unsqueeze(-1) * linear_scan(decay, added)).sum(2)

    def reference(self, features: Features) -> Tensor:
        """Return [B, T, D] by a loop over tokens."""
        decay, added = self._scan_inputs(features)
        return (features["C"].unsqueeze(-1) * reference.scan(decay.expand_as(added), added)).sum(2)

    @staticmethod
    def _scan_inputs(features: Features) -> tuple[Tensor, Tensor]:
        step, log_decay = features["A"].unbind(-2)
        return log_decay.exp().unsqueeze(-2), features["B"].unsqueeze(-1) * (step * features["v"]).unsqueeze(-2)

    def allocate(self, allocate: Allocate, max_length: int, forms: tuple[str, ...]) -> State:
        """Return the state [N, D]."""
        return {"state": allocate(self.state_size(), self.sizes.width)} if forms else {}

    def write(self, features: Features, state: State) -> None:
        """Keep the prompt's last state."""
        if state:
            state["state"].copy_(linear_scan(*self._scan_inputs(features))[:, -1])

    def update(self, token: Features, state: State, position: int, shared: Features) -> State:
        """Decay the state and add the token."""
        if not state:
            return dict(shared)
        decay, added = self._scan_inputs(token)
        state["state"].copy_(decay * state["state"] + added)
        return state

    def read(self, token: Features, context: State) -> Tensor:
        """Return [B, D]."""
        return (token["C"].unsqueeze(-1) * context["state"]).sum(1)


def _segment_sums(log_decay: Tensor) -> Tensor:
    """Return [..., L, L]: the sum of log decays after token j up to token i, minus infinity above the diagonal.

    Summed segment by segment: differences of running totals would cancel.
    """
    length = log_decay.shape[-1]
    ones = torch.ones(length, length, dtype=torch.bool, device=log_decay.device)
    spread = log_decay.unsqueeze(-1).expand(*log_decay.shape, length).masked_fill(~ones.tril(-1), 0)
    return spread.cumsum(-2).masked_fill(ones.triu(1), -torch.inf)
