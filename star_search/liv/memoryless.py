"""Diagonal token mixing: each token acts on itself alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor
from torch.nn import functional

from star_search.genome.genes import GELU, GROUPED, LINEAR, RELU, SILU
from star_search.liv.kernels import has_kernels
from star_search.liv.kernels.gated import gated_product
from star_search.liv.token_mixing import Features, State, TokenMixing

ACTIVATIONS: dict[int, Callable[[Tensor], Tensor]] = {
    LINEAR: lambda x: x,
    RELU: functional.relu,
    SILU: functional.silu,
    GELU: functional.gelu,
}


class Memoryless(TokenMixing):
    """`y_t = act(gate_t) * v_t` (gated linear unit, Shazeer 2020); one gate a head where channel mixing is grouped."""

    def mix(self, features: Features) -> Tensor:
        """Return [B, T, E]; "product" among the features is that already."""
        if "product" in features:
            return features["product"]
        gate = ACTIVATIONS[self.sizes.liv_class.operator.nonlinearity](features["gate"])
        return self.by_channel(gate) * features["v"]

    def of_projection(self, projected: Tensor, names: Sequence[str]) -> dict[str, Tensor]:
        """Return "product" from the projection that gate and value are columns of, by one kernel."""
        if set(names) != {"gate", "v"} or self.sizes.liv_class.operator.channel_mixing == GROUPED or not has_kernels(projected):
            return {}
        activation = self.sizes.liv_class.operator.nonlinearity
        return {"product": gated_product(projected, self.sizes.inner, names[0] == "gate", activation)}

    def reference(self, features: Features) -> Tensor:
        """Return [B, T, E]; there is nothing to make fast."""
        return self.mix(features)

    def read(self, token: Features, context: State) -> Tensor:
        """Return [B, E]."""
        return self.mix(token)
