"""What an objective of the user's own is called with, and what its answer must be."""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import dataclass, replace

import torch

from star_search.config import SearchConfig
from star_search.data.store import TokenStore
from star_search.genome.catalogue import load_catalogue
from star_search.genome.encoding import Genome
from star_search.model.language_model import LanguageModel
from star_search.model.star_backbone import STARBackbone
from star_search.objectives.own import OwnObjective
from star_search.runs.records import Outcome
from star_search.training.stability import Unhealthy


@dataclass(frozen=True)
class Candidate:
    """One architecture to be scored.

    `genome` is canonical; `seed` follows from it and the run's seed, and torch's generator stands at it when the objective is called;
    `store` is the prepared text, with its tokenizer; `model` is the trained language model in evaluation mode, a copy that may be
    changed, or None where none was trained.
    """

    genome: Genome
    config: SearchConfig
    seed: int
    device: torch.device
    store: TokenStore
    model: LanguageModel | None = None

    def backbone(self, width: int | None = None) -> STARBackbone:
        """Return an untrained backbone of this architecture on floats [batch, tokens, width], on the device, its weights from the seed."""
        return candidate_backbone(self.config, self.genome, self.seed, width).to(self.device)


@dataclass(frozen=True)
class Score:
    """A value, and numbers by name that the record keeps beside it."""

    value: float
    details: dict[str, float]


def candidate_backbone(config: SearchConfig, genome: Genome, seed: int, width: int | None = None) -> STARBackbone:
    """Return the untrained backbone of a genome under a configuration, its weights drawn from the seed alone."""
    return STARBackbone(
        width or config.space.width,
        genome.depth,
        genome,
        catalogue=load_catalogue(config.space.catalogue),
        residual=config.backbone.residual,
        dropout=config.training.dropout,
        initialisation=config.backbone.initialisation,
        generator=torch.Generator().manual_seed(seed),
        router_top_k=config.backbone.router_top_k,
    )


def score(objective: OwnObjective, candidate: Candidate) -> Score:
    """Return the objective's value, and what it wants kept beside it.

    Raises:
        Unhealthy: with outcome `unstable`, when it is not finite.
        TypeError, ValueError: when it is no number, or below 0.
    """
    torch.manual_seed(candidate.seed)
    found = objective.function(replace(candidate, model=deepcopy(candidate.model)))
    answer, details = (found.value, found.details) if isinstance(found, Score) else (found, {})
    if isinstance(answer, bool | str) or not hasattr(answer, "__float__"):
        raise TypeError(f"objective {objective.name} must return a number, got {type(answer).__name__}")
    value = float(answer)
    if not math.isfinite(value):
        raise Unhealthy(Outcome.unstable, f"objective {objective.name} is {value}")
    if value < 0:
        raise ValueError(f"objective {objective.name} must return at least 0, got {value:g}")
    return Score(value, details)
