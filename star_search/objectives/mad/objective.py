"""Objective `mad`: one less the mean accuracy over MAD tasks, for each of which the architecture is trained anew."""

from __future__ import annotations

import torch
from torch import nn

from star_search.config import SearchConfig
from star_search.genome.encoding import Genome
from star_search.objectives.candidate import Candidate, Score, candidate_backbone
from star_search.objectives.candidate_model import candidate_model
from star_search.objectives.mad.tasks import COMPRESSION, TASKS, examples
from star_search.objectives.mad.training import Compressor, accuracy_after_training


def mad_accuracies(config: SearchConfig, canonical: str, seed: int, device: str) -> dict[str, float]:
    """Return the accuracy of an architecture on every task of `config.mad.tasks`, at the width of `config.space`, trained in the precision
    of `config.training`.

    Raises:
        Unhealthy: when a training diverges.
    """
    settings, precision, found = config.mad, config.training.precision, dict[str, float]()
    for name in settings.tasks:
        torch.manual_seed(seed)
        model = _model(config, canonical, name, seed)
        known = examples(name, settings.train_examples, settings.test_examples, settings.data_seed)
        found[name] = accuracy_after_training(model, known, settings, seed, torch.device(device), precision)
    return found


def _model(config: SearchConfig, canonical: str, task: str, seed: int) -> nn.Module:
    if task == COMPRESSION:
        return Compressor(candidate_backbone(config, Genome.parse(canonical), seed), TASKS[task].vocabulary)
    return candidate_model(config, canonical, TASKS[task].vocabulary, seed)


class MADObjective:
    """The objective, called as one of the user's own is."""

    worst = 1.0
    trains_itself = True

    def __call__(self, candidate: Candidate) -> Score:
        """Return one less the mean accuracy, and the accuracies."""
        found = mad_accuracies(candidate.config, candidate.genome.format(), candidate.seed, str(candidate.device))
        return Score(1 - sum(found.values()) / len(found), dict(found))
