"""The LIV module: featurizer, token mixing, output map; its decoding step and its explicit operator.

Shapes: B batch, T tokens, D width, E inner width, G channels of a feature group.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from star_search.genome.accounting import LAMBDA_VECTORS, Dimensions
from star_search.genome.genes import DIAGONAL, GROUPED, INPUT_DEPENDENT, LOW_RANK, REPARAMETRISED, SOFTMAX, TOEPLITZ
from star_search.genome.sharing import LIVSources
from star_search.liv.attention import LinearAttention, ScoredAttention, SoftmaxAttention, rotary_table, rotate
from star_search.liv.convolution import LongConvolution, ShortConvolution
from star_search.liv.differential import Differential, initial_lambda
from star_search.liv.featurizers import FeatureGroup, MonarchMap, Projection, build_group
from star_search.liv.kernels import has_kernels
from star_search.liv.kernels.rotary import rotated_parts
from star_search.liv.memoryless import Memoryless
from star_search.liv.padding import Padding, Place
from star_search.liv.recurrence import ChannelRecurrence, HeadRecurrence
from star_search.liv.state_space import DiagonalStateSpace
from star_search.liv.token_mixing import Allocate, Features, State, TokenMixing

NORM_EPSILON = 1e-5


def token_mixing_of(sizes: Dimensions) -> TokenMixing:
    """Return the token mixing that the class's operator genome describes."""
    mixing = _family(sizes)(sizes)
    return Differential(sizes, mixing) if sizes.liv_class.differential else mixing


def _family(sizes: Dimensions) -> type[TokenMixing]:
    operator, groups = sizes.liv_class.operator, sizes.liv_class.groups
    if operator.token_mixing == DIAGONAL:
        return Memoryless
    if operator.token_mixing == LOW_RANK:
        if not sizes.liv_class.keeps_history:
            return LinearAttention
        return SoftmaxAttention if operator.nonlinearity == SOFTMAX else ScoredAttention
    if operator.token_mixing == TOEPLITZ:
        return LongConvolution if groups["kernel"].parametrisation == REPARAMETRISED else ShortConvolution
    if sizes.liv_class.is_complex:
        return DiagonalStateSpace
    return HeadRecurrence if operator.channel_mixing == GROUPED else ChannelRecurrence


class _Statistics:
    """Statistics of the value path: computed and kept in a first pass, given back in the same order in a second."""

    def __init__(self) -> None:
        self.kept: list[Tensor] = []
        self.replayed: Iterator[Tensor] | None = None

    def __call__(self, compute: Callable[[], Tensor]) -> Tensor:
        if self.replayed is not None:
            return next(self.replayed)
        self.kept.append(compute())
        return self.kept[-1]

    def replay(self) -> _Statistics:
        """Give back what was kept from now on."""
        self.replayed = iter(self.kept)
        return self


def _now(compute: Callable[[], Tensor]) -> Tensor:
    return compute()


@dataclass
class TokenFeatures:
    """What one LIV hands to those that share its features while decoding: the token's features and the context after it."""

    features: dict[str, Tensor] = field(default_factory=dict)
    context: State = field(default_factory=dict)


class LIV(nn.Module):
    """One linear input-varying operator `y = T(x) x` (STAR section 2).

    Weights of feature groups that another LIV owns are used, not registered: a state dict holds every tensor once.
    """

    def __init__(self, sizes: Dimensions, sources: LIVSources, position: int, earlier: list[LIV], dropout: float = 0.0) -> None:
        super().__init__()
        self.sizes, self.sources, self.position, self.dropout = sizes, sources, position, dropout
        # A functional LIV puts tensors in place of these three (liv/functional.py).
        self.initial_lambda: float | Tensor = initial_lambda(position)
        self.rotary: Tensor | None = None
        self.fuses_projections = False
        self.computed = list(sources.weights_from)
        owned = {name: build_group(sizes, name) for name, owner in sources.weights_from.items() if owner == position}
        self.featurizer = nn.ModuleDict(owned)
        tied = {name: earlier[owner].group(name) for name, owner in sources.weights_from.items() if owner != position}
        self._groups: dict[str, FeatureGroup] = owned | tied
        self.output = MonarchMap(sizes.width) if sizes.has_monarch_maps else Projection(sizes.width, sizes.inner)
        self.norm = nn.Parameter(torch.empty(sizes.width)) if self._is_recurrent() else None
        vectors = torch.empty(LAMBDA_VECTORS, sizes.head_width // 2)
        self.lambda_vectors = nn.Parameter(vectors) if sizes.liv_class.differential else None
        self.token_mixing = token_mixing_of(sizes)

    def _is_recurrent(self) -> bool:
        return "A" in self.sizes.liv_class.groups

    def weights(self) -> dict[str, Tensor]:
        """Return every weight used here, whoever owns it, by the name it would have if this LIV owned it."""
        groups = {f"featurizer.{name}": self.group(name) for name in self.computed}
        modules: dict[str, nn.Module] = {**groups, "output": self.output}
        found: dict[str, Tensor] = {
            f"{path}.{name}": weight for path, module in modules.items() for name, weight in module.named_parameters()
        }
        own = {"norm": self.norm, "lambda_vectors": self.lambda_vectors}
        return found | {name: weight for name, weight in own.items() if weight is not None}

    def group(self, name: str) -> FeatureGroup:
        """Return the module that computes a feature group here, whoever owns it."""
        return self._groups[name]

    @property
    def feature_source(self) -> int | None:
        """Position of the LIV whose context features are used here, if any."""
        return next((source for source in self.sources.features_from.values() if source != self.position), None)

    @property
    def taken(self) -> tuple[str, ...]:
        """Names of the feature groups that are used here as another LIV computed them."""
        return tuple(name for name in self.sources.features_from if name not in self.computed)

    def featurize(self, x_BTD: Tensor, shared: Features | None = None) -> dict[str, Tensor]:
        """Return every feature group for a sequence; those of `shared` are taken, not computed.

        Raises:
            ValueError: when a group that another LIV computes is missing from `shared`.
        """
        features = self._taken(shared) | self.constant_features()
        if self.fuses_projections:
            return features | self._featurize_together(x_BTD)
        for name in self.computed:
            features[name] = self._rotated(name, self.group(name)(x_BTD))
        return features

    def _featurize_together(self, x_BTD: Tensor) -> dict[str, Tensor]:
        """Return the groups computed here, all dense projections of x by one product."""
        found = {name: self.group(name).dense_weight() for name in self.computed}
        weights = {name: weight for name, weight in found.items() if weight is not None}
        features = {name: self._rotated(name, self.group(name)(x_BTD)) for name in found.keys() - weights.keys()}
        if not weights:
            return features
        widths = [len(weight) for weight in weights.values()]
        # Rows of 16 bytes: products of other widths take a GPU's slow kernels.
        padding = x_BTD.new_zeros(-sum(widths) % 8, x_BTD.shape[-1])
        together = functional.linear(x_BTD, torch.cat([*weights.values(), padding]))
        if self._rotates_in_parts(together, weights):
            assert self.rotary is not None
            return features | dict(
                zip(weights, rotated_parts(together, widths, [name in "qk" for name in weights], self.rotary), strict=True)
            )
        parts = dict(zip(weights, together.split([*widths, len(padding)], dim=-1), strict=False))
        features |= {name: self._rotated(name, self.group(name).finish(part)) for name, part in parts.items()}
        is_plain = all(type(self.group(name)) is Projection for name in weights)
        return features | (self.token_mixing.of_projection(together, list(weights)) if is_plain else {})

    def _rotates_in_parts(self, together: Tensor, weights: dict[str, Tensor]) -> bool:
        """Whether `rotated_parts` serves the projections: nothing follows them, and each is whole rotated widths."""
        if self.rotary is None or not has_kernels(together):
            return False
        return all(type(self.group(name)) is Projection and len(weight) % self.rotary_width == 0 for name, weight in weights.items())

    def constant_features(self) -> dict[str, Tensor]:
        """Return lambda of a differential operator: `exp(q1 k1) - exp(q2 k2)` and its constant part (Ye et al. 2024, equation 2)."""
        if self.lambda_vectors is None:
            return {}
        q1, k1, q2, k2 = self.lambda_vectors
        return {"lambda": (q1 @ k1).exp() - (q2 @ k2).exp() + self.initial_lambda}

    def _taken(self, shared: Features | None) -> dict[str, Tensor]:
        missing = [name for name in self.taken if name not in (shared or {})]
        if missing:
            raise ValueError(f"LIV {self.position + 1} takes {', '.join(missing)} from LIV {(self.feature_source or 0) + 1}: pass shared=")
        return {name: (shared or {})[name] for name in self.taken}

    def rotates(self, name: str) -> bool:
        """Return whether a feature group is given its position by rotation."""
        return name in ("q", "k") and bool(self.sizes.liv_class.fields.get("rotary"))

    def _rotated(self, name: str, features_BTG: Tensor) -> Tensor:
        return rotate(features_BTG, self.rotary_width, self.rotary) if self.rotates(name) else features_BTG

    def _rotated_at(self, place: Place, features_BG: Tensor) -> Tensor:
        """Return a token's features rotated, by a table that all LIVs of its step share."""
        key = self.rotary_width, features_BG.dtype
        if key not in place.rotary_tables:
            place.rotary_tables[key] = rotary_table(1, self.rotary_width, features_BG, place.since_start)
        return rotate(features_BG.unsqueeze(1), self.rotary_width, place.rotary_tables[key]).squeeze(1)

    @property
    def rotary_width(self) -> int:
        """Channels that rotate together: those of a key head, or of half of one in a differential operator."""
        return self.sizes.key_width // self.sizes.liv_class.branches

    def forward(self, x_BTD: Tensor, shared: Features | None = None, use_reference: bool = False) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the output [B, T, D] and the features, for LIVs that share them."""
        features = self.featurize(x_BTD, shared)
        return self.apply_to(features, use_reference), features

    def apply_to(self, features: Features, use_reference: bool = False) -> Tensor:
        """Return the output [B, T, D] that follows from all features."""
        mixed = self.token_mixing.reference(features) if use_reference else self.token_mixing.mix(features)
        y_BTD = self._readout(mixed, features)
        return functional.dropout(y_BTD, self.dropout, self.training) if self.dropout else y_BTD

    def _readout(self, mixed_BTE: Tensor, features: Features, statistics: Callable[[Callable[[], Tensor]], Tensor] = _now) -> Tensor:
        if self.sizes.liv_class.differential:
            heads = mixed_BTE.unflatten(-1, (self.sizes.heads, -1))
            scale = 1 - self.initial_lambda
            mixed_BTE = (heads * statistics(lambda: self._inverse_rms(heads)) * scale).flatten(-2)
        if self.norm is not None:
            gated = mixed_BTE * functional.silu(features["gate"])
            mixed_BTE = gated * statistics(lambda: self._inverse_rms(gated)) * self.norm
        return self.output(mixed_BTE)

    @staticmethod
    def _inverse_rms(gated: Tensor) -> Tensor:
        return torch.rsqrt(gated.square().mean(-1, keepdim=True) + NORM_EPSILON)

    def allocate(self, allocate: Allocate, max_length: int) -> State:
        """Return empty decoding state: short-convolution tails of the groups computed here, and the token mixing's own."""
        tails = {f"featurizer.{name}": allocate(2, self.group(name).tail_width) for name in self.computed if self.group(name).tail_width}
        return {**tails, **self.token_mixing.allocate(allocate, max_length, self.sources.forms)}

    def constants(self, max_length: int) -> dict[str, Tensor]:
        """Return the feature groups that follow from the weights alone, computed once for decoding up to `max_length` tokens."""
        found = {name: self.group(name).constant(max_length) for name in self.computed}
        return {name: features for name, features in found.items() if features is not None}

    def prefill(
        self, x_BTD: Tensor, state: State, shared: Features | None = None, padding: Padding | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Do `forward`, without dropout, for a prompt and fill empty state from it; with `padding`, rows begin at place 0 of x."""
        features = self.featurize(x_BTD, shared)
        y_BTD = self._readout(self.token_mixing.mix(features), features)
        for name in self.computed:
            if f"featurizer.{name}" in state:
                ended_BTD = x_BTD if padding is None else padding.to_back(x_BTD)
                self.group(name).write_tail(ended_BTD, state[f"featurizer.{name}"])
        if own := _own(state):
            self.token_mixing.write(features if padding is None else self._to_back(features, padding), own)
        return y_BTD, features

    def _to_back(self, features: Features, padding: Padding) -> dict[str, Tensor]:
        """Return the features with every row's last token at the last place, and before its first what no state counts."""
        fill = self.token_mixing.padding_fill
        return {name: padding.to_back(each, fill.get(name, 0.0)) if self._by_token(name) else each for name, each in features.items()}

    def step(
        self, x_BD: Tensor, state: State, place: Place, constants: Features, shared: TokenFeatures | None = None
    ) -> tuple[Tensor, TokenFeatures]:
        """Return the output [B, D] of one token and what others may share; advances `state` in place."""
        seen = self.remember(x_BD, state, place, constants, shared)
        return self.recall(seen), seen

    def remember(self, x_BD: Tensor, state: State, place: Place, constants: Features, shared: TokenFeatures | None = None) -> TokenFeatures:
        """Take in one token, advancing `state` in place, and return what its output, and others, are read from."""
        token = self._taken(shared.features if shared else None) | self.constant_features() | dict(constants)
        for name in [name for name in self.computed if name not in constants]:
            features = self.group(name).step(x_BD, state.get(f"featurizer.{name}"))
            token[name] = self._rotated_at(place, features) if self.rotates(name) else features
        context = self.token_mixing.update(token, _own(state), place, shared.context if shared else {})
        return TokenFeatures(token, context)

    def recall(self, seen: TokenFeatures) -> Tensor:
        """Return the output [B, D] of the token that was remembered."""
        return self._readout(self.token_mixing.read(seen.features, seen.context), seen.features)

    @torch.no_grad()
    def materialize(self, x_TD: Tensor, shared: Features | None = None) -> Tensor:
        """Return the explicit operator T [T, T, D, D] with `y[i, a] = sum_jb T[i, j, a, b] x[j, b]` (STAR equation 1).

        Features, norms and gates on the value path are frozen at x. Where the value itself is shared, T acts on `shared["v"]` [T, G].
        """
        apply, channels = self._frozen(x_TD, shared)
        length = x_TD.shape[0]
        basis = torch.eye(length * channels, dtype=x_TD.dtype, device=x_TD.device).reshape(-1, length, channels)
        return apply(basis).reshape(length, channels, length, -1).permute(2, 0, 3, 1)

    @torch.no_grad()
    def token_matrix(self, x_TD: Tensor, shared: Features | None = None, probes: int | None = None) -> Tensor:
        """Return [T, T]: the Frobenius norm over channels of every block T[i, j] of the explicit operator, without ever holding it.

        With fewer `probes` than the value has channels, blocks act on so many random orthonormal directions instead of all channels; the
        squares of the norms are then unbiased estimates.
        """
        apply, channels = self._frozen(x_TD, shared)
        length, count = x_TD.shape[0], channels if probes is None else min(probes, channels)
        generator = torch.Generator().manual_seed(0)
        noise_GP = torch.eye(channels) if count == channels else torch.randn(channels, count, generator=generator)
        directions_GP = torch.linalg.qr(noise_GP.double())[0].to(x_TD)
        matrix_TT = x_TD.new_empty(length, length)
        for token in range(length):
            values_PTG = x_TD.new_zeros(count, length, channels)
            values_PTG[:, token] = directions_GP.T
            matrix_TT[:, token] = (apply(values_PTG).square().sum((0, 2)) * channels / count).sqrt()
        return matrix_TT

    def _frozen(self, x_TD: Tensor, shared: Features | None) -> tuple[Callable[[Tensor], Tensor], int]:
        """Return T as a map of values [K, T, G] to outputs [K, T, D], everything but the value frozen at x, and G."""
        features = self.featurize(x_TD.unsqueeze(0), self._batched(shared or {}))
        owns_value, statistics = "v" in self.computed, _Statistics()
        self._readout(self.token_mixing.mix(features), features, statistics)

        def apply(basis_KTG: Tensor) -> Tensor:
            value = self.group("v").linear(basis_KTG, x_TD.unsqueeze(0)) if owns_value else basis_KTG
            frozen = {name: each.expand(len(value), *each.shape[1:]) if self._by_token(name) else each for name, each in features.items()}
            return self._readout(self.token_mixing.mix(frozen | {"v": value}), frozen, statistics.replay())

        return apply, x_TD.shape[1] if owns_value else features["v"].shape[-1]

    def _by_token(self, name: str) -> bool:
        """Return whether a feature is computed from the input, [B, T, ...]."""
        return name != "lambda" and self.sizes.liv_class.groups[name].parametrisation == INPUT_DEPENDENT

    def _batched(self, shared: Features) -> dict[str, Tensor]:
        """Add a batch dimension to features of one sequence."""
        ranks = {name: 3 + (name == "A") for name in shared if name in self.sizes.liv_class.context}
        return {name: shared[name].unsqueeze(0) if shared[name].dim() < rank else shared[name] for name, rank in ranks.items()}


def _own(state: State) -> State:
    return {name: tensor for name, tensor in state.items() if not name.startswith("featurizer.")}
