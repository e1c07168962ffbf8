"""Closed forms: parameters and cache of a genome, without building it.

Shapes: d width, H heads, N state size (expansion), r repeat factor, T length.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Literal, get_args

from star_search.errors import InputError, check_whole
from star_search.genome.catalogue import Catalogue, as_catalogue
from star_search.genome.composition import MIXED, ROUTED, blocks
from star_search.genome.encoding import Genome
from star_search.genome.evolved import catalogue_for
from star_search.genome.genes import (
    DENSE,
    DIAGONAL,
    DIRECT,
    GROUPED,
    INPUT_DEPENDENT,
    LOW_RANK,
    PER_CHANNEL,
    REPARAMETRISED,
    SEMI_SEPARABLE,
    TOEPLITZ,
)
from star_search.genome.liv_class import LIVClass
from star_search.genome.sharing import LIVSources, Sharing, resolve_sharing

CACHE_BYTES_PER_ELEMENT = 2
SHORT_CONVOLUTION = 3
FILTER_FREQUENCIES, FILTER_HIDDEN = 8, 16
LAMBDA_VECTORS = 4
ROUTER_VECTORS = 4  # two biases, the step and the time constant
_ONE_PER_HEAD = {DIAGONAL: ("gate",), LOW_RANK: (), TOEPLITZ: ("B", "C", "kernel"), SEMI_SEPARABLE: ("A",)}

Residual = Literal["plain", "scaled"]
RESIDUALS = get_args(Residual)


def head_count(width: int) -> int:
    """Return max(4, width / 64) (docs/design.md)."""
    return max(4, width // 64)


@dataclass(frozen=True)
class Dimensions:
    """The sizes of one LIV class at one width; refuses widths that its heads do not divide.

    Raises:
        InputError: naming the width and what it must be a multiple of.
    """

    liv_class: LIVClass
    width: int

    def __post_init__(self) -> None:
        times = 2 * self.liv_class.branches
        check_whole(self.width, "width", 1)
        if self.width % (times * self.heads):
            needed = f"must be a multiple of {times * self.heads}, {times} times its {self.heads} heads"
            raise InputError(f"width {self.width} {needed}, for {self.liv_class.name}")
        repeat = max(group.repeat for group in self.liv_class.groups.values())
        if self.heads % repeat:
            raise InputError(f"width {self.width} has {self.heads} heads, which {self.liv_class.name} cannot share by {repeat}")
        if self.heads % 2 and self.liv_class.differential and any(map(self._has_one_per_head, self.liv_class.groups)):
            raise InputError(
                f"width {self.width} has {self.heads} heads, which {self.liv_class.name} cannot halve between its two branches"
            )

    @property
    def heads(self) -> int:
        """Number of heads, H."""
        return head_count(self.width)

    @property
    def head_width(self) -> int:
        """Channels of a head of the value."""
        return self.width // self.heads

    @property
    def key_width(self) -> int:
        """Channels of a head of query and key, both branches of a differential operator together."""
        return self.head_width * self.liv_class.groups["k"].expansion

    @cached_property
    def inner(self) -> int:
        """Width between the value projection and the output map."""
        if self.liv_class.operator.channel_mixing != DENSE:
            return self.width
        numerator, denominator = self.liv_class.fields["inner_ratio"]
        multiple = self.liv_class.fields["inner_multiple"]
        return -(-self.width * numerator // (denominator * multiple)) * multiple

    @property
    def has_monarch_maps(self) -> bool:
        """Whether value projection and output map are Monarch matrices."""
        return self.liv_class.fields.get("dense") == "monarch"

    @property
    def span(self) -> int | None:
        """How many tokens a windowed or block-diagonal operator sees at most."""
        return {2: self.liv_class.fields.get("window"), 3: self.liv_class.fields.get("block")}.get(self.liv_class.operator.sparsity)

    def _has_one_per_head(self, name: str) -> bool:
        """Return whether all channels of a head read one number of the group: gates, kernels and decays of grouped channel mixing."""
        operator = self.liv_class.operator
        return operator.channel_mixing == GROUPED and name in _ONE_PER_HEAD[operator.token_mixing]

    def group_width(self, name: str) -> int:
        """Return the channels of a feature group, both branches of a differential operator together."""
        group, operator = self.liv_class.groups[name], self.liv_class.operator
        if operator.token_mixing == LOW_RANK:
            return self.width * group.expansion // group.repeat
        if operator.token_mixing == SEMI_SEPARABLE and name in ("B", "C"):
            per_head, made = operator.channel_mixing == GROUPED, group.parametrisation == INPUT_DEPENDENT
            return group.expansion * (self.heads if per_head else 1 if made else self.width)
        return self.heads if self._has_one_per_head(name) else self.inner

    def weight_shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of the weights that make a group from x: a factor per channel, a matrix, or a matrix per (key) head."""
        group, width = self.liv_class.groups[name], self.group_width(name)
        if group.channel_mixing == PER_CHANNEL:
            return (width,)
        if group.channel_mixing == DENSE:
            return width, self.width
        heads = self.heads // group.repeat
        return heads, width // heads, self.width // heads

    def group_parameters(self, name: str) -> int:
        """Return the parameters of a feature group: projection, short convolution, decay rates, kernel."""
        group, width = self.liv_class.groups[name], self.group_width(name)
        if name == "kernel":
            explicit = group.parametrisation == DIRECT
            return int(self.liv_class.fields["kernel_length"]) * width if explicit else implicit_kernel_parameters(width)
        if group.parametrisation == DIRECT:
            return width * (2 if self.liv_class.is_complex else 1)
        if group.parametrisation == REPARAMETRISED:
            return (2 * group.expansion + 1) * width if self.liv_class.is_complex else group.expansion * width
        weights = monarch_parameters(self.width) if name == "v" and self.has_monarch_maps else prod(self.weight_shape(name))
        convolution = SHORT_CONVOLUTION * width if self.has_tail(name) else 0
        # Of a decay: a bias, a rate or time constant for every mode, and delta where it is liquid.
        vectors = 1 + group.expansion + (self.liv_class.fields.get("decay") == "liquid") if name == "A" else 0
        return weights + convolution + vectors * width

    @property
    def own_parameters(self) -> int:
        """Return the parameters that are never shared: the output map, the norm of a recurrence, the vectors of lambda."""
        output = monarch_parameters(self.width) if self.has_monarch_maps else self.inner * self.width
        norm = self.width if self.liv_class.operator.token_mixing == SEMI_SEPARABLE else 0
        return output + norm + (LAMBDA_VECTORS * self.head_width // 2 if self.liv_class.differential else 0)

    def cache_elements(self, sources: LIVSources, length: int) -> int:
        """Return what decoding holds after `length` tokens, when some of the LIV's features come from elsewhere."""
        tails = sum((SHORT_CONVOLUTION - 1) * self.group_width(name) for name in sources.weights_from if self.has_tail(name))
        if self.liv_class.keeps_history:
            held = length if self.span is None else min(length, self.span)
            return tails + sum(self.group_width(name) * held for name in sources.forms)
        return tails + (self._state_elements(length) if sources.forms else 0)

    def _state_elements(self, length: int) -> int:
        token_mixing = self.liv_class.operator.token_mixing
        if token_mixing == DIAGONAL:
            return 0
        if token_mixing == LOW_RANK:
            return self.group_width("k") * (self.head_width + 1)
        if token_mixing == SEMI_SEPARABLE:
            return self.width * self.liv_class.groups["B"].expansion * (2 if self.liv_class.is_complex else 1)
        long = self.liv_class.groups["kernel"].parametrisation == REPARAMETRISED
        return self.liv_class.branches * self.width * (length if long else int(self.liv_class.fields["kernel_length"]) - 1)

    def has_tail(self, name: str) -> bool:
        """Return whether a feature group is made by a short convolution."""
        group = self.liv_class.groups[name]
        return group.parametrisation == INPUT_DEPENDENT and group.token_mixing == TOEPLITZ


def implicit_kernel_parameters(width: int) -> int:
    """Return the parameters of a Hyena filter: two sine layers on a positional embedding, and an output map to `width` channels."""
    embedding = 2 * FILTER_FREQUENCIES + 1
    return embedding * FILTER_HIDDEN + FILTER_HIDDEN + FILTER_HIDDEN**2 + FILTER_HIDDEN + FILTER_HIDDEN * width + width


def monarch_blocks(width: int) -> tuple[int, int]:
    """Return (blocks, block width) of a Monarch matrix: the divisors of the width nearest to its square root."""
    blocks = max(divisor for divisor in range(1, int(width**0.5) + 1) if width % divisor == 0)
    return blocks, width // blocks


def monarch_parameters(width: int) -> int:
    """Return the parameters of a square Monarch matrix: width x (block width + blocks)."""
    return width * sum(monarch_blocks(width))


@dataclass(frozen=True)
class Accounting:
    """Exact sizes of a legal genome at one width."""

    genome: Genome
    width: int
    catalogue: Catalogue
    residual: Residual = "plain"

    @classmethod
    def of(cls, genome: Genome, width: int, catalogue: Catalogue | str = "star", residual: Residual = "plain") -> Accounting:
        """Build the account of a genome.

        Raises:
            InputError: when the width does not fit one of its classes.
        """
        return cls(genome, width, catalogue_for(genome, as_catalogue(catalogue)), residual)

    @cached_property
    def sharing(self) -> Sharing:
        """Who shares what."""
        return resolve_sharing(self.genome, self.catalogue)

    @cached_property
    def dimensions(self) -> list[Dimensions]:
        """The sizes of every LIV."""
        return [Dimensions(self.catalogue[liv.liv_class], self.width) for liv in self.genome.livs]

    def liv_parameters(self) -> list[int]:
        """Return the operator parameters that each LIV owns, norms before the LIVs aside."""
        return [
            sizes.own_parameters + sum(map(sizes.group_parameters, self.sharing.owned(position)))
            for position, sizes in enumerate(self.dimensions)
        ]

    @property
    def operator_parameters(self) -> int:
        """Return the parameters of all operators, shared ones once."""
        return sum(self.liv_parameters())

    @property
    def parameters(self) -> int:
        """Return every parameter but embedding and head: operators, one norm per LIV, the last norm, residual scales."""
        scales = self.genome.depth if self.residual == "scaled" else 0
        return self.operator_parameters + (self.genome.depth + 1) * self.width + scales + self.composition_parameters

    @property
    def composition_parameters(self) -> int:
        """Return the parameters that combine parallel LIVs: a weight per LIV, or a router's two maps and four vectors."""
        sizes = {MIXED: 1, ROUTED: 2 * self.width + ROUTER_VECTORS}
        return sum(block.size * sizes[block.kind] for block in blocks(self.genome) if block.size > 1)

    def liv_cache_elements(self, length: int) -> list[int]:
        """Return the elements that each LIV holds after decoding `length` tokens of one sequence."""
        return [sizes.cache_elements(self.sharing.livs[position], length) for position, sizes in enumerate(self.dimensions)]

    def cache_bytes(self, length: int) -> int:
        """Return 2 bytes times the elements held after decoding `length` tokens of one sequence (docs/design.md)."""
        return CACHE_BYTES_PER_ELEMENT * (sum(self.liv_cache_elements(length)) + self.router_cache_elements)

    @property
    def router_cache_elements(self) -> int:
        """Return the elements of the routers' states, one for each routed LIV."""
        return sum(block.size for block in blocks(self.genome) if block.is_routed)
