"""Objectives that are measured on the device before any training: their values for a genome, and what bounds them in a search."""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from star_search.config import SearchConfig
from star_search.genome.space import SearchSpace
from star_search.objectives.candidate_model import candidate_model
from star_search.objectives.measurement import PRECISIONS, DecodingCost, measure
from star_search.objectives.registry import PEAK_MEMORY, Criteria, Objective

# The slowest stack of one class is timed once or twice; candidates are timed beside others, and may mix what is slow in two ways.
CEILING_MARGIN = 2.0


@dataclass(frozen=True)
class Measured:
    """Values by objective, and the measurements that they were taken from."""

    values: dict[str, float]
    costs: list[DecodingCost]


def measure_genome(config: SearchConfig, objectives: Sequence[Objective], canonical: str, vocabulary_size: int, device: str) -> Measured:
    """Measure what the objectives ask of a genome's decoding.

    Raises:
        StarSearchError: when the cache held is not the declared one.
    """
    lengths = {each.length: any(_is_memory(other) for other in objectives if other.length == each.length) for each in objectives}
    costs = {cost.length: cost for cost in genome_costs(config, canonical, lengths, vocabulary_size, device)}
    values = {each.name: each.kind.measured(costs[each.length]) for each in objectives if each.kind.measured is not None}
    return Measured(values, list(costs.values()))


def genome_costs(
    config: SearchConfig, canonical: str, lengths: Mapping[int, bool], vocabulary_size: int, device: str
) -> list[DecodingCost]:
    """Measure a genome's decoding after prompts of several lengths, peak memory where a length maps to True; its weights are random.

    Raises:
        StarSearchError: when the cache held is not the declared one.
    """
    model = candidate_model(config, canonical, vocabulary_size, seed=0).to(device, PRECISIONS[config.measurement.precision])
    costs = [measure(model, length, config.measurement, lengths[length]) for length in sorted(lengths)]
    del model
    gc.collect()
    if device.startswith("cuda"):
        torch.cuda.empty_cache()
    return costs


def _is_memory(objective: Objective) -> bool:
    return objective.name.partition("@")[0] == PEAK_MEMORY


def measured_ceilings(config: SearchConfig, space: SearchSpace, vocabulary_size: int, device: str) -> dict[str, float]:
    """Return a bound of every measured objective: that of its own constraint, else twice what the costliest stack of one class takes."""
    criteria = Criteria.from_config(config)
    bounds = {each.objective.name: each.bound for each in criteria.constraints if each.sign == "<="}
    asked = [each for each in criteria.objectives if each.kind.measured is not None]
    open_ = [each for each in asked if each.name not in bounds]
    found = {each.name: bounds[each.name] for each in asked if each.name in bounds}
    if not open_:
        return found
    torch.set_num_threads(config.workers.threads)
    brief = config.model_copy(update={"measurement": config.measurement.model_copy(update={"warmup": 1, "repeats": 1})})
    for genome in space.largest_genomes():
        values = measure_genome(brief, open_, genome.format(), vocabulary_size, device).values
        found = {**found, **{name: max(found.get(name, 0.0), CEILING_MARGIN * value) for name, value in values.items()}}
    return found
