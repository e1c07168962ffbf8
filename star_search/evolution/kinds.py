"""Which algorithms there are, what each is for, and the parameters that it alone takes; no pymoo here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from star_search.config import AlgorithmConfig
from star_search.errors import InputError, did_you_mean
from star_search.genome.space import SearchSpace

MOST_OBJECTIVES = 3


@dataclass(frozen=True)
class AlgorithmKind:
    """One algorithm: fewest objectives it takes, its own keys with their defaults, whether it can be asynchronous, and whether it mates."""

    description: str
    fewest_objectives: int = 1
    parameters: Mapping[str, Any] = field(default_factory=dict)
    steady: bool = True
    mates: bool = True


_DIRECTIONS = {"partitions": None}

KINDS: dict[str, AlgorithmKind] = {
    "nsga2": AlgorithmKind(
        "non-dominated sorting and crowding distance (Deb et al., 2002); the paper's main algorithm", parameters={"crowding": "cd"}
    ),
    "ga": AlgorithmKind("a weighted sum of the normalised objectives, with elites", parameters={"elites": 2, "weights": None}),
    "firefly": AlgorithmKind(
        "moves towards brighter genomes (Yang, 2008), over genes as categories",
        parameters={"attractiveness": 1.0, "absorption": None},
        mates=False,
    ),
    "random": AlgorithmKind("every genome drawn anew", mates=False),
    "nsga3": AlgorithmKind("non-dominated sorting and reference directions (Deb and Jain, 2014)", 2, _DIRECTIONS),
    "unsga3": AlgorithmKind("NSGA-III with a tournament by niche (Seada and Deb, 2016)", 2, _DIRECTIONS),
    "sms": AlgorithmKind("least hypervolume contribution leaves (Beume et al., 2007)", 2, {"reference_margin": 10.0, "normalise": True}),
    "age2": AlgorithmKind("estimated geometry of the front (Panichella, 2022)", 2),
    "rvea": AlgorithmKind(
        "reference vectors, with a penalty that grows over the generations (Cheng et al., 2016)",
        2,
        _DIRECTIONS | {"penalty_exponent": 2.0, "adaptation_frequency": 0.1, "horizon": None},
        steady=False,
    ),
    "spea2": AlgorithmKind("strength and distance to the nearest (Zitzler et al., 2001)", 2, {"normalise": True}),
}

_OWN_KEYS = {key for kind in KINDS.values() for key in kind.parameters}


def kind_of(name: str) -> AlgorithmKind:
    """Return what an algorithm's name means.

    Raises:
        InputError: for an unknown name.
    """
    if name not in KINDS:
        raise InputError(f"unknown algorithm '{name}'{did_you_mean(name, KINDS)}")
    return KINDS[name]


def complete(config: AlgorithmConfig, space: SearchSpace, objectives: int) -> AlgorithmConfig:
    """Return the configuration with every key that its algorithm takes, so that later defaults do not change a run.

    Raises:
        InputError: for an unknown algorithm, a key that it does not take, or a value that does not fit.
    """
    kind = kind_of(config.name)
    if objectives < kind.fewest_objectives:
        several = [name for name, each in KINDS.items() if each.fewest_objectives == 1]
        raise InputError(f"algorithm {config.name} takes two or three objectives, got {objectives}; {', '.join(several)} take one too")
    for key in sorted(_OWN_KEYS - kind.parameters.keys()):
        if getattr(config, key) is not None:
            takers = [name for name, each in KINDS.items() if key in each.parameters]
            raise InputError(f"algorithm.{key} is a key of {', '.join(takers)}; algorithm.name is {config.name}")
    if "partitions" in kind.parameters and directions(objectives, 1) > config.population:
        needed = directions(objectives, 1)
        raise InputError(
            f"algorithm.population must be at least {needed} for {config.name} with {objectives} objectives, got {config.population}"
        )
    _check_mode(config, kind)
    _check_segments(config, space)
    _check_rates(config, kind, space)
    chosen = {key: default for key, default in kind.parameters.items() if getattr(config, key) is None}
    computed = {key: _COMPUTED[key](config, space, objectives) for key, default in chosen.items() if default is None}
    completed = config.model_copy(update=chosen | computed)
    _check_values(completed, objectives)
    return completed


def _equal_weights(config: AlgorithmConfig, space: SearchSpace, objectives: int) -> list[float]:
    return [1.0] * objectives


def _fitting_partitions(config: AlgorithmConfig, space: SearchSpace, objectives: int) -> int:
    """Return the most partitions whose reference directions are no more than the population."""
    return max(count for count in range(1, config.population) if directions(objectives, count) <= config.population)


def _quarter_apart(config: AlgorithmConfig, space: SearchSpace, objectives: int) -> float:
    """Return the absorption at which attraction has fallen by a factor of e where a quarter of the genes differ."""
    return (4 / space.size) ** 2


def _all_generations(config: AlgorithmConfig, space: SearchSpace, objectives: int) -> int:
    return max(1, config.generations)


_COMPUTED: dict[str, Callable[[AlgorithmConfig, SearchSpace, int], Any]] = {
    "weights": _equal_weights,
    "partitions": _fitting_partitions,
    "absorption": _quarter_apart,
    "horizon": _all_generations,
}


def directions(objectives: int, partitions: int) -> int:
    """Return how many reference directions Das and Dennis's construction gives, for two or three objectives."""
    return partitions + 1 if objectives == 2 else (partitions + 1) * (partitions + 2) // 2


def _check_mode(config: AlgorithmConfig, kind: AlgorithmKind) -> None:
    if config.asynchronous and not kind.steady:
        raise InputError(f"algorithm {config.name} follows a schedule over generations and cannot run asynchronously")
    if config.asynchronous and config.offspring is not None:
        raise InputError("algorithm.offspring is a key of generational search; an asynchronous one makes one at a time")
    if config.max_pending is not None and not config.asynchronous:
        raise InputError("algorithm.max_pending is a key of asynchronous search; algorithm.asynchronous is false")


def _check_segments(config: AlgorithmConfig, space: SearchSpace) -> None:
    there = sorted({space.segment_of(index) for index in range(space.size)})
    for segment in config.segment_mutation:
        if segment not in there:
            raise InputError(f"algorithm.segment_mutation names {segment}, which genomes of this space lack; they have {', '.join(there)}")


def _check_rates(config: AlgorithmConfig, kind: AlgorithmKind, space: SearchSpace) -> None:
    segments = {space.segment_of(index) for index in range(space.size)}
    mutates = any(config.segment_mutation.get(segment, config.mutation_probability) for segment in segments)
    if kind.mates and not mutates and not config.crossover_probability:
        raise InputError(
            "algorithm.crossover_probability and the probabilities of mutation cannot all be 0: offspring would be copies of their parents"
        )


def _check_values(config: AlgorithmConfig, objectives: int) -> None:
    if config.elites is not None and config.elites >= config.population:
        raise InputError(f"algorithm.elites must be below algorithm.population ({config.population}), got {config.elites}")
    if config.weights is not None and (len(config.weights) != objectives or sum(config.weights) == 0):
        raise InputError(f"algorithm.weights must be {objectives} numbers, one per objective and not all 0, got {config.weights}")
    if config.partitions is not None and directions(objectives, config.partitions) > config.population:
        raise InputError(
            f"algorithm.partitions {config.partitions} gives {directions(objectives, config.partitions)} reference directions, "
            f"more than algorithm.population ({config.population})"
        )
