"""Semi-separable token mixing with real states: recurrences per head and per channel.

Shapes: B batch, T tokens, D width, H heads, P channels of a head, N state size, C chunks, L chunk length.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from star_search.genome.accounting import Dimensions
from star_search.genome.genes import INPUT_DEPENDENT
from star_search.liv import reference
from star_search.liv.kernels import lowered
from star_search.liv.kernels.head_scan import has_head_scan, head_scan
from star_search.liv.kernels.modal_scan import has_modal_scan, modal_scan
from star_search.liv.padding import Place
from star_search.liv.scan import linear_scan
from star_search.liv.token_mixing import Allocate, Features, State, TokenMixing

CHUNK = 32


class HeadRecurrence(TokenMixing):
    """`S_t = a_t S_{t-1} + w_t B_t v_t^T`, `y_t = C_t S_t` with one decay per head (Mamba-2, sections 2 and 6).

    The weight w is the step where the input makes the decay, and 1 - a where it does not.
    """

    repeated = ("A",)

    def mix(self, features: Features) -> Tensor:
        """Return [B, T, D]: masked products within chunks, a scan of states between them; on a GPU by kernels that do the same."""
        if has_head_scan(features["v"], self.state_size(), self.sizes.head_width):
            return self._by_kernels(features)
        length = features["v"].shape[1]
        precise = torch.promote_types(features["v"].dtype, torch.float32)
        weight, log_decay = (self._chunk(part.to(precise).unsqueeze(-1)).squeeze(-1) for part in self._decay(features))
        B, C, v = (self._chunk(self._by_head(features[name].to(precise))) for name in "BCv")
        total, gaps = log_decay.cumsum(-1), _segment_sums(log_decay)
        weights = gaps.exp() * weight.unsqueeze(-2)
        to_end = gaps[..., -1, :].exp() * weight
        states = (B * to_end.unsqueeze(-1)).transpose(-1, -2) @ v
        carried = linear_scan(total[..., -1, None, None].exp(), states)
        before = torch.cat((torch.zeros_like(carried[:, :1]), carried[:, :-1]), dim=1)
        out = (C @ B.transpose(-1, -2) * weights) @ v + (C * total.exp().unsqueeze(-1)) @ before
        return out.transpose(2, 3).flatten(3).flatten(1, 2)[:, :length].to(features["v"].dtype)

    def _by_kernels(self, features: Features) -> Tensor:
        weight, log_decay = (part.float() for part in self._decay(features))
        v = self._by_head(lowered(features["v"]))
        B, C = (self._by_head(features[name]).to(v.dtype) for name in "BC")
        return head_scan(log_decay, B, C, (v * weight.unsqueeze(-1)).to(v.dtype))[0].flatten(2)

    def reference(self, features: Features) -> Tensor:
        """Return [B, T, D] by a loop over tokens."""
        weight, log_decay = self._decay(features)
        B, C, v = (self._by_head(features[name]) for name in "BCv")
        return reference.head_recurrence(log_decay.exp(), weight.unsqueeze(-1) * B, C, v).flatten(2).to(v.dtype)

    def _decay(self, features: Features) -> tuple[Tensor, Tensor]:
        """Return the weight of what is added and the logarithm of the decay, [B, T, H], or [B, H] of one token."""
        A = features["A"]
        if self.sizes.liv_class.groups["A"].parametrisation == INPUT_DEPENDENT:
            weight, log_decay = A.unbind(-2)
            return weight, log_decay
        log_decay = A.squeeze(-2).expand(*features["v"].shape[:-1], -1)
        return -torch.expm1(log_decay), log_decay

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
            weight, log_decay = self._decay(features)
            to_end = (log_decay.flip(1).cumsum(1).flip(1) - log_decay).exp() * weight
            B, v = self._by_head(features["B"]), self._by_head(features["v"])
            state["state"].copy_(torch.einsum("bth,bthn,bthp->bhnp", to_end.to(v.dtype), B, v))

    def update(self, token: Features, state: State, place: Place, shared: Features) -> State:
        """Decay the state and add the token."""
        if not state:
            return dict(shared)
        weight, log_decay = self._decay(token)
        B, v = self._by_head(token["B"]), self._by_head(token["v"])
        added = torch.einsum("bh,bhn,bhp->bhnp", weight.to(v.dtype), B, v)
        state["state"].copy_(log_decay.exp()[..., None, None] * state["state"] + added)
        return state

    def read(self, token: Features, context: State) -> Tensor:
        """Return [B, D]."""
        return torch.einsum("bhn,bhnp->bhp", self._by_head(token["C"]), context["state"]).flatten(1)


class ChannelRecurrence(TokenMixing):
    """`h_t[n] = a_t[n] h_{t-1}[n] + w_t[n] B_t[n] v_t`, `y_t = sum_n C_t[n] h_t[n]` per channel, with one decay or one for every n.

    The weight w is the step where the decay is `exp(-step_t rate[n])` (Mamba, section 3); it is 1 - a where the decay is fixed or that
    of a liquid time constant (Liquid-S4). B and C are the input's, common to all channels, or learned, for every channel its own.
    """

    repeated = ("A",)

    def __init__(self, sizes: Dimensions) -> None:
        super().__init__(sizes)
        groups = sizes.liv_class.groups
        self.made = {name: groups[name].parametrisation == INPUT_DEPENDENT for name in "ABC"}
        self.has_step = self.made["A"] and sizes.liv_class.fields.get("decay") != "liquid"
        only_decays = self.made == {"A": True, "B": False, "C": False}
        self.is_modal = only_decays and not self.has_step and groups["A"].expansion == groups["B"].expansion

    def half(self, name: str, feature: Tensor, index: int) -> Tensor:
        """Return half of the states of a branch; the step is for all of them, and one decay for all is halved over the channels."""
        modes = self.sizes.liv_class.groups["A"].expansion
        if name not in self.made or (name == "A" and modes == 1) or (name != "A" and self.made[name]):
            return super().half(name, feature, index)
        step, decays = feature.tensor_split([int(name == "A" and self.has_step)], -2)
        return torch.cat((step, decays.chunk(2, -2)[index]), -2)

    def mix(self, features: Features) -> Tensor:
        """Return [B, T, D] by a parallel scan over [B, T, N, D]; on a GPU, where decays are the input's and nothing else is, by a kernel
        that holds no states."""
        if self.is_modal and has_modal_scan(features["v"], self.state_size()):
            B, C = (features[name].float() for name in "BC")
            return modal_scan(features["A"].float(), B, C, lowered(features["v"]))[0]
        return self._readout(features, linear_scan(*self._scan_inputs(features)))

    def reference(self, features: Features) -> Tensor:
        """Return [B, T, D] by a loop over tokens."""
        decay, added = self._scan_inputs(features)
        return self._readout(features, reference.scan(decay.expand_as(added), added))

    def _readout(self, features: Features, states: Tensor) -> Tensor:
        return (self._per_state(features, "C") * states).sum(-2).to(features["v"].dtype)

    def _per_state(self, features: Features, name: str) -> Tensor:
        """Return B or C as [B, T, N, 1] or [N, D]."""
        return features[name].unsqueeze(-1) if self.made[name] else features[name]

    def _scan_inputs(self, features: Features) -> tuple[Tensor, Tensor]:
        """Return the decays [B, T, N or 1, D] and what is added, [B, T, N, D]; without T for one token."""
        A, B, v = features["A"], self._per_state(features, "B"), features["v"].unsqueeze(-2)
        step, log_decay = A.tensor_split([int(self.has_step)], -2)
        if self.has_step:
            return log_decay.exp(), B * (step * v)
        return log_decay.exp().expand(*v.shape[:-2], *A.shape[-2:]), -torch.expm1(log_decay) * B * v

    def allocate(self, allocate: Allocate, max_length: int, forms: tuple[str, ...]) -> State:
        """Return the state [N, D]."""
        return {"state": allocate(self.state_size(), self.sizes.width)} if forms else {}

    def write(self, features: Features, state: State) -> None:
        """Keep the prompt's last state."""
        if state:
            state["state"].copy_(linear_scan(*self._scan_inputs(features))[:, -1])

    def update(self, token: Features, state: State, place: Place, shared: Features) -> State:
        """Decay the state and add the token."""
        if not state:
            return dict(shared)
        decay, added = self._scan_inputs(token)
        state["state"].copy_(decay * state["state"] + added)
        return state

    def read(self, token: Features, context: State) -> Tensor:
        """Return [B, D]."""
        return self._readout(token, context["state"])


def _segment_sums(log_decay: Tensor) -> Tensor:
    """Return [..., L, L]: the sum of log decays after token j up to token i, minus infinity above the diagonal.

    Summed segment by segment: differences of running totals would cancel.
    """
    length = log_decay.shape[-1]
    ones = torch.ones(length, length, dtype=torch.bool, device=log_decay.device)
    spread = log_decay.unsqueeze(-1).expand(*log_decay.shape, length).masked_fill(~ones.tril(-1), 0)
    return spread.cumsum(-2).masked_fill(ones.triu(1), -torch.inf)
