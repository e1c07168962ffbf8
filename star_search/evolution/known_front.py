"""A test problem over real genomes whose front is known: nothing trains, and every operator and algorithm can be held against it.

Two objectives: the cache bytes of the genome, by the closed form that searches use, and a loss that is a sum over LIVs and neighbours.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from star_search.config import SpaceConfig
from star_search.genome.accounting import Accounting
from star_search.genome.encoding import Genome, LIVGenes
from star_search.genome.sharing import resolve_sharing
from star_search.genome.space import SearchSpace

LENGTH = 1024
BASE_LOSS = 6.0
# What a LIV takes off the loss, by class: SA-1, SA-3, Rec-1, Rec-2, GConv-1, GMemless.
GAINS = {1: 0.34, 3: 0.30, 5: 0.24, 6: 0.18, 7: 0.16, 9: 0.20}
# A mixer after a memoryless LIV, or the other way round, takes off this too; two equal classes in a row add it.
ALTERNATION = 0.06
SHARED_FEATURES, TIED_WEIGHTS, TIED_CONVOLUTIONS = 0.10, 0.03, -0.02
CONVOLUTION, MEMORYLESS = 7, 9

Choice = tuple[int, bool, bool]  # class, features from an earlier LIV, weights tied to an earlier LIV's
Partial = tuple[int, float, tuple[Choice, ...]]  # cache bytes, loss, the LIVs so far
State = tuple[Choice | None, frozenset[int]]  # the last LIV, the classes that stand somewhere with features of their own


@dataclass(frozen=True, slots=True)
class FrontPoint:
    """One point of the front and a genome that has it."""

    loss: float
    cache_bytes: int
    genome: Genome


@dataclass(frozen=True)
class KnownFront:
    """The problem at one depth and width."""

    depth: int = 12
    width: int = 64

    @cached_property
    def space(self) -> SearchSpace:
        """The genomes: six classes, at most two groups of each."""
        return SearchSpace.from_config(SpaceConfig(depth=self.depth, width=self.width, classes=list(GAINS), groups=2))

    @property
    def reference_point(self) -> tuple[float, float]:
        """The loss before any gain, and the cache of SA-1 at every place."""
        return BASE_LOSS, float(self.depth * self._cost(1))

    def objectives(self, genome: Genome) -> tuple[float, float]:
        """Return (loss, cache bytes) of a legal genome."""
        sharing = resolve_sharing(genome, self.space.rules.catalogue)
        choices = []
        for position, (genes, sources) in enumerate(zip(genome.livs, sharing.livs, strict=True)):
            shares = any(source != position for source in sources.features_from.values())
            tied = any(owner != position for owner in sources.weights_from.values())
            choices.append((genes.liv_class, shares, tied))
        return self.loss(choices), float(Accounting.of(genome, self.width).cache_bytes(LENGTH))

    def loss(self, choices: list[Choice]) -> float:
        """Return the loss of a stack."""
        before = [None, *choices[:-1]]
        return BASE_LOSS + sum(self._term(i, choice, last) for i, (choice, last) in enumerate(zip(choices, before, strict=True)))

    def _term(self, position: int, choice: Choice, before: Choice | None) -> float:
        liv_class, shares, tied = choice
        # Deeper places are worth more, so that where a class stands matters.
        value = -GAINS[liv_class] * (0.75 + 0.5 * position / self.depth)
        value += SHARED_FEATURES if shares else 0.0
        value += (TIED_CONVOLUTIONS if liv_class == CONVOLUTION else TIED_WEIGHTS) if tied else 0.0
        if before is not None:
            value += ALTERNATION if before[0] == liv_class else 0.0
            value -= ALTERNATION if (before[0] == MEMORYLESS) != (liv_class == MEMORYLESS) else 0.0
        return value

    def _cost(self, liv_class: int, shares: bool = False) -> int:
        """Return the cache bytes that one more LIV adds."""
        alone = Accounting.of(Genome((LIVGenes(liv_class, 1, 1, 1, 1),)), self.width).cache_bytes(LENGTH)
        if not shares or liv_class == MEMORYLESS:
            return alone
        pair = Genome((LIVGenes(liv_class, 1, 1, 1, 2),) * 2)
        return Accounting.of(pair, self.width).cache_bytes(LENGTH) - alone

    @cached_property
    def front(self) -> list[FrontPoint]:
        """The whole front, by dynamic programming over depth; least cache first.

        Of the stacks in one state only the non-dominated can be continued to the front, because what follows depends on the state
        alone. LIVs that re-use part of another's context are left out: they cost as much loss as re-using all of it, and more cache.
        """
        costs = {(liv_class, shares): self._cost(liv_class, shares) for liv_class in GAINS for shares in (False, True)}
        states: dict[State, list[Partial]] = {(None, frozenset()): [(0, 0.0, ())]}
        for position in range(self.depth):
            grown: dict[State, list[Partial]] = defaultdict(list)
            for (before, standing), partial in states.items():
                for choice in _choices(standing):
                    cost, term = costs[choice[:2]], self._term(position, choice, before)
                    reached = standing if choice[0] == MEMORYLESS else standing | {choice[0]}
                    grown[choice, reached] += [(cache + cost, loss + term, (*choices, choice)) for cache, loss, choices in partial]
            states = {state: _undominated(found) for state, found in grown.items()}
        whole = [each for (_, standing), found in states.items() if standing for each in found]
        return [FrontPoint(self.loss(list(choices)), cache, _genome(choices)) for cache, _, choices in _undominated(whole)]

    @cached_property
    def hypervolume(self) -> float:
        """Share of the box between zero and the reference point that the front dominates."""
        return self.hypervolume_of(np.array([(point.loss, point.cache_bytes) for point in self.front], dtype=float))

    def hypervolume_of(self, values: NDArray[np.float64]) -> float:
        """Return the share of the box that points [n, 2] dominate."""
        import moocore

        shares = values / self.reference_point
        inside = shares[(shares < 1).all(1)]
        return float(moocore.hypervolume(inside, ref=np.ones(2))) if len(inside) else 0.0


def _choices(standing: frozenset[int]) -> Iterator[Choice]:
    for liv_class in GAINS:
        yield liv_class, False, False
        if liv_class in standing:
            yield liv_class, True, False
            yield liv_class, False, True


def _undominated(found: list[Partial]) -> list[Partial]:
    kept: list[Partial] = []
    for each in sorted(found, key=lambda each: each[:2]):
        if not kept or each[1] < kept[-1][1] - 1e-12:
            kept.append(each)
    return kept


def _genome(choices: tuple[Choice, ...]) -> Genome:
    """Return the genome of a stack: of a class that shares or ties, every LIV that can be first is a member of group 1."""
    sharing = {liv_class for liv_class, shares, _ in choices if shares}
    tying = {liv_class for liv_class, _, tied in choices if tied}
    seen: set[int] = set()
    livs = []
    for liv_class, shares, tied in choices:
        first = liv_class not in seen
        seen.add(liv_class)
        ties = 2 if tied or (first and liv_class in tying) else 1
        shared = 2 if shares or (first and liv_class in sharing) else 1
        livs.append(LIVGenes(liv_class, 1, ties, 1, shared))
    return Genome(tuple(livs))
