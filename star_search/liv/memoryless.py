"""Diagonal token mixing: each token acts on itself alone."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional

from star_search.liv.token_mixing import Features, State, TokenMixing

ACTIVATIONS: dict[int, Callable[[Tensor], Tensor]] = {
    1: lambda gate: gate,
    3: functional.relu,
    4: functional.silu,
    5: functional.gelu,
}


class Memoryless(TokenMixing):
    """`y_t = act(gate_t) * v_t` (gated linear unit, Shazeer 2020)."""

    def mix(self, features: Features) -> Tensor:
        """Return [B, T, E]."""
        return ACTIVATIONS[self.sizes.liv_class.operator.nonlinearity](features["gate"]) * features["v"]

    def reference(self, features: Features) -> Tensor:
        """Return [B, T, E]; there is nothing to make fast."""
        return self.mix(features)

    def read(self, token: Features, context: State) -> Tensor:
        """Return [B, E]."""
        return self.mix(token)
