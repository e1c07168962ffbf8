"""The backbone: a genome decoded into a stack of pre-norm residual LIVs.

Shapes: B batch, T tokens, D width, M LIVs of a block.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

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
from star_search.liv.padding import Padding, Place
from star_search.liv.token_mixing import Features, State
from star_search.model.cache import DecodingCache
from star_search.model.composition import Combination, LiquidRouter, combination_of

# As torch.utils.checkpoint.checkpoint: calls a function of tensors, and again for its gradient.
Checkpoint = Callable[..., Any]
FeatureKey = tuple[int, str]  # the LIV that computes a feature group, and the group's name


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

    def forward(
        self, x_BTD: Tensor, use_reference: bool = False, padding: Padding | None = None, checkpoint: Checkpoint | None = None
    ) -> Tensor:
        """Return [B, T, D], zero where `padding` says that no token stands.

        `use_reference` takes the plain form of every LIV; `checkpoint` keeps no activation of a block, but computes it again.
        """
        if padding is not None:
            return padding.to_back(self(padding.to_front(x_BTD), use_reference, None, checkpoint))
        shared: dict[FeatureKey, Tensor] = {}
        for block in self.blocks:
            taken = [shared[key] for key in self._takes(block)]
            run = partial(self._through, block, use_reference)
            x_BTD, *found = run(x_BTD, *taken) if checkpoint is None else checkpoint(run, x_BTD, *taken)
            shared |= dict(zip(self._hands_on(block), found, strict=True))
        return self._norm(-1, x_BTD)

    def _through(self, block: Block, use_reference: bool, x_BTD: Tensor, *taken: Tensor) -> tuple[Tensor, ...]:
        """Return what leaves a block, and the features that it hands on, from what enters it and the features that it takes."""
        shared, outputs = dict(zip(self._takes(block), taken, strict=True)), []
        for position in block.positions:
            liv = self._liv(position)
            given = {name: features for (source, name), features in shared.items() if source == liv.feature_source}
            y_BTD, features = liv(self._norm(position, x_BTD), given, use_reference)
            shared |= {key: features[key[1]] for key in self._handed_on(position)}
            outputs.append(self._scaled(position, y_BTD))
        return x_BTD + self.combined(block, x_BTD, outputs), *(shared[key] for key in self._hands_on(block))

    def _takes(self, block: Block) -> list[FeatureKey]:
        """Return the features that a block takes from those before it."""
        livs = [self._liv(position) for position in block.positions]
        found = [(liv.feature_source, name) for liv in livs for name in liv.taken]
        return list(dict.fromkeys((source, name) for source, name in found if source is not None and source not in block.positions))

    def _hands_on(self, block: Block) -> list[FeatureKey]:
        return [key for position in block.positions for key in self._handed_on(position)]

    def _handed_on(self, position: int) -> list[FeatureKey]:
        """Return the features of a LIV that others take."""
        return [(position, name) for name in self._liv(position).sizes.liv_class.context] if position in self.sources else []

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
    def prefill(self, x_BTD: Tensor, cache: DecodingCache, padding: Padding | None = None) -> Tensor:
        """Return [B, T, D] for a prompt and fill the empty cache with it; the result is zero where `padding` says that no token stands.

        Raises:
            InputError: for a prompt without tokens, a cache that has read some, or one too short for the prompt.
        """
        if cache.length:
            raise InputError(f"prefill needs an empty cache, this one has read {cache.length} tokens")
        if not x_BTD.shape[1]:
            raise InputError("prefill needs a prompt of at least one token")
        cache.advance(x_BTD.shape[1])
        if padding is None:
            return self._prefill(x_BTD, cache)
        cache.padding = padding
        return padding.to_back(self._prefill(padding.to_front(x_BTD), cache))

    def _prefill(self, x_BTD: Tensor, cache: DecodingCache) -> Tensor:
        shared: dict[int | None, dict[str, Tensor]] = {}
        for block in self.blocks:
            outputs = []
            for position in block.positions:
                liv, normed = self._liv(position), self._norm(position, x_BTD)
                y_BTD, shared[position] = liv.prefill(normed, cache.states[position], shared.get(liv.feature_source), cache.padding)
                outputs.append(self._scaled(position, y_BTD))
            if block.is_routed:
                states_BTM = self._router(block).states(self._direction(x_BTD))
                last_BM = states_BTM[:, -1] if cache.padding is None else cache.padding.last(states_BTM)
                cache.states[self.router_places[block.start]]["router"].copy_(last_BM)
            x_BTD = x_BTD + self.combined(block, x_BTD, outputs)
        return self._norm(-1, x_BTD)

    @torch.no_grad()
    def step(self, x_BD: Tensor, cache: DecodingCache) -> Tensor:
        """Return [B, D] for one token, advancing the cache in place; a LIV that no sequence's router keeps is not read, only written."""
        place = Place(cache.advance(1), cache.padding)
        return self.step_at(x_BD, cache.states, cache.constants, place)

    def step_at(self, x_BD: Tensor, states: Sequence[State], constants: Sequence[Features], place: Place) -> Tensor:
        """Return [B, D] for one token at a place, advancing in place the states that a `DecodingCache` holds."""
        seen: dict[int | None, TokenFeatures] = {}
        for block in self.blocks:
            for position in block.positions:
                liv, normed = self._liv(position), self._norm(position, x_BD)
                source = seen.get(liv.feature_source)
                seen[position] = liv.remember(normed, states[position], place, constants[position], source)
            x_BD = x_BD + self._recalled(block, self._factors(block, x_BD, states), seen, place)
        return self._norm(-1, x_BD)

    def _factors(self, block: Block, x_BD: Tensor, states: Sequence[State]) -> Tensor | None:
        """Return the factors [B, M] or [M] of a block's LIVs for one token, advancing the router's state; none for a lone LIV."""
        if block.is_routed:
            return self._router(block).step(self._direction(x_BD), states[self.router_places[block.start]]["router"])
        return None if block.size == 1 else self._combination(block)(x_BD)

    def _recalled(self, block: Block, factors: Tensor | None, seen: dict[int | None, TokenFeatures], place: Place) -> Tensor:
        """Return the combined output [B, D] of a block, reading only the LIVs that some sequence has a factor for; all of them where one
        graph serves every token."""
        if factors is None:
            return self._scaled(block.start, self._liv(block.start).recall(seen[block.start]))
        used: Sequence[int] = range(block.size)
        if not isinstance(place.position, Tensor):
            used = _used(factors)
            factors = factors[..., used]
        outputs = [self._scaled(block.start + m, self._liv(block.start + m).recall(seen[block.start + m])) for m in used]
        return _weighted(factors, outputs)


def _used(factors: Tensor) -> list[int]:
    """Return which LIVs of a block some sequence has a factor for."""
    return factors.reshape(-1, factors.shape[-1]).any(0).nonzero().flatten().tolist()


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
