"""The backbone: a genome decoded into a stack of pre-norm residual LIVs.

Shapes: B batch, T tokens, D width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from star_search.errors import InputError, did_you_mean
from star_search.genome.accounting import RESIDUALS, Accounting, Residual
from star_search.genome.catalogue import Catalogue, as_catalogue
from star_search.genome.encoding import Genome
from star_search.genome.rules import Rules
from star_search.genome.sharing import resolve_sharing
from star_search.liv.initialisation import SCHEMES, Scheme, initialise
from star_search.liv.operator import LIV, NORM_EPSILON, TokenFeatures
from star_search.model.cache import DecodingCache


class Backbone(nn.Module):
    """`x = x + LIV(RMSNorm(x))` for every LIV, and a last RMSNorm, on floats [B, T, D].

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
    ) -> None:
        super().__init__()
        self.genome, self.width = genome, width
        self.catalogue = as_catalogue(catalogue)
        Rules.of(self.catalogue, genome.depth).check(genome)
        for name, value, allowed in (("residual", residual, RESIDUALS), ("initialisation", initialisation, SCHEMES)):
            if value not in allowed:
                raise InputError(f"unknown {name} '{value}'{did_you_mean(value, allowed)}")
        self.accounting = Accounting.of(genome, width, self.catalogue, residual)
        sharing = resolve_sharing(genome, self.catalogue)
        livs: list[LIV] = []
        for position, sizes in enumerate(self.accounting.dimensions):
            livs.append(LIV(sizes, sharing.livs[position], position, livs, dropout))
        self.livs = nn.ModuleList(livs)
        self.norms = nn.ParameterList(torch.ones(width) for _ in range(genome.depth + 1))
        self.scales = nn.Parameter(torch.ones(genome.depth)) if residual == "scaled" else None
        self.sources = {liv.feature_source for liv in livs if liv.feature_source is not None}
        for liv in livs:
            initialise(liv, genome.depth, initialisation, generator)

    def forward(self, x_BTD: Tensor, use_reference: bool = False) -> Tensor:
        """Return [B, T, D]; `use_reference` takes the plain form of every LIV."""
        shared: dict[int | None, dict[str, Tensor]] = {}
        for position, liv in enumerate(self._livs()):
            y_BTD, features = liv(self._norm(position, x_BTD), shared.get(liv.feature_source), use_reference)
            if position in self.sources:
                shared[position] = features
            x_BTD = x_BTD + self._scaled(position, y_BTD)
        return self._norm(-1, x_BTD)

    def _livs(self) -> list[LIV]:
        return list(self.livs)  # type: ignore[arg-type]

    def _norm(self, position: int, x: Tensor) -> Tensor:
        return functional.rms_norm(x, (self.width,), self.norms[position], NORM_EPSILON)

    def _scaled(self, position: int, y: Tensor) -> Tensor:
        return y if self.scales is None else y * self.scales[position]

    def init_cache(self, batch_size: int, max_length: int) -> DecodingCache:
        """Return an empty cache in the model's dtype for sequences of up to `max_length` tokens."""
        weight = self.norms[0]

        def allocate(*shape: int) -> Tensor:
            return torch.zeros(batch_size, *shape, dtype=weight.dtype, device=weight.device)

        with torch.no_grad():
            states = [liv.allocate(allocate, max_length) for liv in self._livs()]
            return DecodingCache(states, [liv.constants(max_length) for liv in self._livs()], max_length)

    @torch.no_grad()
    def prefill(self, x_BTD: Tensor, cache: DecodingCache) -> Tensor:
        """Return [B, T, D] for a prompt and fill the empty cache with it."""
        if cache.length:
            raise ValueError(f"prefill needs an empty cache, this one has read {cache.length} tokens")
        cache.advance(x_BTD.shape[1])
        shared: dict[int | None, dict[str, Tensor]] = {}
        for position, liv in enumerate(self._livs()):
            normed = self._norm(position, x_BTD)
            y_BTD, shared[position] = liv.prefill(normed, cache.states[position], shared.get(liv.feature_source))
            x_BTD = x_BTD + self._scaled(position, y_BTD)
        return self._norm(-1, x_BTD)

    @torch.no_grad()
    def step(self, x_BD: Tensor, cache: DecodingCache) -> Tensor:
        """Return [B, D] for one token, advancing the cache in place."""
        place = cache.advance(1)
        shared: dict[int | None, TokenFeatures] = {}
        for position, liv in enumerate(self._livs()):
            source = shared.get(liv.feature_source)
            normed, constants = self._norm(position, x_BD), cache.constants[position]
            y_BD, shared[position] = liv.step(normed, cache.states[position], place, constants, source)
            x_BD = x_BD + self._scaled(position, y_BD)
        return self._norm(-1, x_BD)
