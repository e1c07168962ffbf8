"""The backbone: a genome decoded into a stack of pre-norm residual LIVs.

Shapes: B batch, T tokens, D width, M LIVs of a block.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from star_search.errors import InputError, check_share, check_whole, did_you_mean
from star_search.genome.accounting import RESIDUALS, Accounting, Residual
from star_search.genome.catalogue import Catalogue, as_catalogue
from star_search.genome.composition import Block, blocks
from star_search.genome.encoding import Genome
from star_search.genome.rules import Rules
from star_search.liv.initialisation import SCHEMES, Scheme, initialise
from star_search.liv.operator import LIV, NORM_EPSILON, TokenFeatures
from star_search.model.cache import DecodingCache
from star_search.model.composition import Combination, LiquidRouter, combination_of


class Backbone(nn.Module):
    """`x = x + LIV(RMSNorm(x))` for every LIV, and a last RMSNorm, on floats [B, T, D].

    LIVs that the genome puts in parallel read the same x, and `x = x + sum_m w_m LIV_m(RMSNorm_m(x))`. With `router_top_k`, routers
    keep only so many LIVs of their block at inference.

    Raises:
        InputError: for an illegal genome, naming the gene, a width that its classes do not fit, or an unknown option.
    """

    def __init__(
        self,
        genome: Genome,
        width: int,
        catalogue: Catalogue | str = "star",
        residual: Residual = "plain",
        dropout: float = 0.0,
        initialisation: Scheme = "residual_scaled",
        generator: torch.Generator | None = None,
        router_top_k: int | None = None,
    ) -> None:
        super().__init__()
        self.genome, self.width = genome, width
        self.catalogue = as_catalogue(catalogue)
        Rules.of(self.catalogue, genome.layout).check(genome)
        _check_options(residual, initialisation, dropout, router_top_k)
        self.accounting = Accounting.of(genome, width, self.catalogue, residual)
        sharing = self.accounting.sharing
        livs: list[LIV] = []
        for position, sizes in enumerate(self.accounting.dimensions):
            livs.append(LIV(sizes, sharing.livs[position], position, livs, dropout))
        self.livs = nn.ModuleList(livs)
        self.norms = nn.ParameterList(torch.ones(width) for _ in range(genome.depth + 1))
        self.scales = nn.Parameter(torch.ones(genome.depth)) if residual == "scaled" else None
        self.sources = {liv.feature_source for liv in livs if liv.feature_source is not None}
        self.blocks = blocks(genome)
        self.combinations = nn.ModuleDict(
            {str(block.start): combination_of(block, width, router_top_k) for block in self.blocks if block.size > 1}
        )
        # A cache holds a state for every LIV, then one for every router.
        routed = [block for block in self.blocks if block.is_routed]
        self.router_places = {block.start: place for place, block in enumerate(routed, genome.depth)}
        if not self.norms[0].is_meta:  # nothing to draw, and torch is slow at not drawing it
            self._initialise(livs, initialisation, generator)

    def _initialise(self, livs: Sequence[LIV], scheme: Scheme, generator: torch.Generator | None) -> None:
        for liv in livs:
            initialise(liv, len(livs), scheme, generator)
        for combination in self.combinations.values():
            combination.initialise(generator)  # type: ignore[operator]

    def forward(self, x_BTD: Tensor, use_reference: bool = False) -> Tensor:
        """Return [B, T, D]; `use_reference` takes the plain form of every LIV."""
        shared: dict[int | None, dict[str, Tensor]] = {}
        for block in self.blocks:
            outputs = []
            for position in block.positions:
                liv = self._liv(position)
                y_BTD, features = liv(self._norm(position, x_BTD), shared.get(liv.feature_source), use_reference)
                if position in self.sources:
                    shared[position] = features
                outputs.append(self._scaled(position, y_BTD))
            x_BTD = x_BTD + self.combined(block, x_BTD, outputs)
        return self._norm(-1, x_BTD)

    def _liv(self, position: int) -> LIV:
        return self.livs[position]  # type: ignore[return-value]

    def _norm(self, position: int, x: Tensor) -> Tensor:
        return functional.rms_norm(x, (self.width,), self.norms[position], NORM_EPSILON)

    def _scaled(self, position: int, y: Tensor) -> Tensor:
        return y if self.scales is None else y * self.scales[position]

    def _combination(self, block: Block) -> Combination:
        return self.combinations[str(block.start)]  # type: ignore[return-value]

    def _router(self, block: Block) -> LiquidRouter:
        return self.combinations[str(block.start)]  # type: ignore[return-value]

    def combined(self, block: Block, x: Tensor, outputs: Sequence[Tensor]) -> Tensor:
        """Return what a block adds to its input x, from the outputs of its LIVs."""
        return outputs[0] if block.size == 1 else _weighted(self._combination(block)(self._direction(x)), outputs)

    def _direction(self, x: Tensor) -> Tensor:
        """Return what a router sees: x at unit size."""
        return functional.rms_norm(x, (self.width,), None, NORM_EPSILON)

    def init_cache(self, batch_size: int, max_length: int) -> DecodingCache:
        """Return an empty cache in the model's dtype for sequences of up to `max_length` tokens: a state per LIV, then per router."""
        weight = self.norms[0]

        def allocate(*shape: int) -> Tensor:
            return torch.zeros(batch_size, *shape, dtype=weight.dtype, device=weight.device)

        with torch.no_grad():
            livs = [self._liv(position) for position in range(self.genome.depth)]
            states = [liv.allocate(allocate, max_length) for liv in livs]
            states += [{"router": allocate(block.size)} for block in self.blocks if block.is_routed]
            return DecodingCache(states, [liv.constants(max_length) for liv in livs], max_length)

    @torch.no_grad()
    def prefill(self, x_BTD: Tensor, cache: DecodingCache) -> Tensor:
        """Return [B, T, D] for a prompt and fill the empty cache with it.

        Raises:
            InputError: for a prompt without tokens, a cache that has read some, or one too short for the prompt.
        """
        if cache.length:
            raise InputError(f"prefill needs an empty cache, this one has read {cache.length} tokens")
        if not x_BTD.shape[1]:
            raise InputError("prefill needs a prompt of at least one token")
        cache.advance(x_BTD.shape[1])
        shared: dict[int | None, dict[str, Tensor]] = {}
        for block in self.blocks:
            outputs = []
            for position in block.positions:
                liv, normed = self._liv(position), self._norm(position, x_BTD)
                y_BTD, shared[position] = liv.prefill(normed, cache.states[position], shared.get(liv.feature_source))
                outputs.append(self._scaled(position, y_BTD))
            if block.is_routed:
                states_BTM = self._router(block).states(self._direction(x_BTD))
                cache.states[self.router_places[block.start]]["router"].copy_(states_BTM[:, -1])
            x_BTD = x_BTD + self.combined(block, x_BTD, outputs)
        return self._norm(-1, x_BTD)

    @torch.no_grad()
    def step(self, x_BD: Tensor, cache: DecodingCache) -> Tensor:
        """Return [B, D] for one token, advancing the cache in place; a LIV that no sequence's router keeps is not read, only written."""
        place = cache.advance(1)
        seen: dict[int | None, TokenFeatures] = {}
        for block in self.blocks:
            for position in block.positions:
                liv, normed = self._liv(position), self._norm(position, x_BD)
                source, constants = seen.get(liv.feature_source), cache.constants[position]
                seen[position] = liv.remember(normed, cache.states[position], place, constants, source)
            x_BD = x_BD + self._recalled(block, self._factors(block, x_BD, cache), seen)
        return self._norm(-1, x_BD)

    def _factors(self, block: Block, x_BD: Tensor, cache: DecodingCache) -> Tensor | None:
        """Return the factors [B, M] or [M] of a block's LIVs for one token, advancing the router's state; none for a lone LIV."""
        if block.is_routed:
            return self._router(block).step(self._direction(x_BD), cache.states[self.router_places[block.start]]["router"])
        return None if block.size == 1 else self._combination(block)(x_BD)

    def _recalled(self, block: Block, factors: Tensor | None, seen: dict[int | None, TokenFeatures]) -> Tensor:
        """Return the combined output [B, D] of a block, reading only the LIVs that some sequence has a factor for."""
        if factors is None:
            return self._scaled(block.start, self._liv(block.start).recall(seen[block.start]))
        used = factors.reshape(-1, block.size).any(0).nonzero().flatten().tolist()
        outputs = [self._scaled(block.start + m, self._liv(block.start + m).recall(seen[block.start + m])) for m in used]
        return _weighted(factors[..., used], outputs)


def _weighted(factors: Tensor, outputs: Sequence[Tensor]) -> Tensor:
    """Return the sum of outputs [..., D], each times its factor; factors are [..., M] or [M]."""
    weighted = (factors[..., index, None].to(y.dtype) * y for index, y in enumerate(outputs))
    return torch.stack(tuple(weighted)).sum(0)


def _check_options(residual: str, initialisation: str, dropout: float, router_top_k: int | None) -> None:
    for name, value, allowed in (("residual", residual, RESIDUALS), ("initialisation", initialisation, tuple(SCHEMES))):
        if value not in allowed:
            raise InputError(f"unknown {name} '{value}'{did_you_mean(str(value), allowed)}")
    check_share(dropout, "dropout")
    if router_top_k is not None:
        check_whole(router_top_k, "router_top_k", 1)
