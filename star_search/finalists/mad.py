"""Accuracies of compared models on MAD tasks, kept beside their trainings."""

from __future__ import annotations

from typing import Any

import torch

from star_search.config import SearchConfig
from star_search.config_objectives import MAD_TASKS
from star_search.errors import InputError, check_word
from star_search.finalists.source import Source
from star_search.finalists.training_folder import TrainingFolder
from star_search.objectives.mad.objective import mad_accuracies
from star_search.runs.atomic import write_json
from star_search.runs.reading import read_json
from star_search.training.stability import Unhealthy

ALL, FILE = "all", "mad.json"

Accuracies = dict[str, float]


def read_tasks(text: str) -> list[str]:
    """Return the tasks that `--mad` names: all of them, or some joined by commas.

    Raises:
        InputError: for another word.
    """
    names = [check_word(part.strip(), (ALL, *MAD_TASKS), "--mad") for part in text.split(",")]
    return list(MAD_TASKS) if ALL in names else list(dict.fromkeys(names))


def stored(folder: TrainingFolder, config: SearchConfig) -> Accuracies:
    """Return the accuracies that a training's folder holds, by task.

    Raises:
        InputError: when they were had under other settings, or the file is damaged.
    """
    path = folder.path / FILE
    if not path.is_file():
        return {}
    found, wanted = read_json(path), settings(config)
    other = next((key for key in wanted if found.get("mad", {}).get(key) != wanted[key]), None)
    if other is not None:
        raise InputError(f"{path} was had with another mad.{other} than {wanted[other]}; give another --out")
    return dict(found["accuracies"])


def accuracies(folder: TrainingFolder, source: Source, seed: int, device: torch.device) -> Accuracies | str:
    """Return the accuracy on every task of the configuration, each trained for unless the folder holds it, or why one failed."""
    found = stored(folder, source.config)
    for task in source.config.mad.tasks:
        if task not in found:
            alone = source.config.model_copy(update={"mad": source.config.mad.model_copy(update={"tasks": [task]})})
            try:
                found |= mad_accuracies(alone, source.genome.format(), seed, str(device))
            except Unhealthy as error:
                return f"the training of {source.label} on {task} ended {error.outcome}: {error.reason}"
            write_json(folder.path / FILE, {"mad": settings(source.config), "accuracies": found})
    return {task: found[task] for task in source.config.mad.tasks}


def settings(config: SearchConfig) -> dict[str, Any]:
    """Return how every task is trained for."""
    return config.mad.model_dump(mode="json", exclude={"tasks"})
