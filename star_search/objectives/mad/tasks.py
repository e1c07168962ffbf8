"""The six tasks in the settings of mad-lab's benchmark, and their examples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np

from star_search.objectives.mad import instances
from star_search.objectives.mad.instances import Instance, IntegerArray

# Draws one instance, given whether it is for training.
Draw = Callable[[bool], Instance]


@dataclass(frozen=True)
class Task:
    """One task: its vocabulary, `draw(seed)`, and the most training examples that it has (memorisation has few by design)."""

    name: str
    vocabulary: int
    draw: Callable[[int], Draw]
    most_examples: int | None = None


@dataclass(frozen=True)
class Examples:
    """Inputs and targets of training and of test, each [examples, tokens]."""

    inputs: IntegerArray
    targets: IntegerArray
    test_inputs: IntegerArray
    test_targets: IntegerArray


def _recall(seed: int, **noise: float) -> Draw:
    rng = np.random.default_rng(seed)
    vocabulary = 16 + int(noise.get("noise_vocabulary", 0))
    share = noise.get("noise_share", 0.0)
    return lambda is_training: instances.recall(rng, vocabulary, 128, is_training, vocabulary - 16, share)


def _fuzzy_recall(seed: int) -> Draw:
    rng = np.random.default_rng(seed)
    return lambda is_training: instances.fuzzy_recall(rng, 16, 128, is_training)


def _memorisation(seed: int) -> Draw:
    rng, known = np.random.default_rng(seed), instances.memorised_values(256, seed)
    return lambda is_training: instances.memorisation(rng, 256, 32, known)


def _compression(seed: int) -> Draw:
    rng = np.random.default_rng(seed)
    return lambda is_training: instances.compression(rng, 16, 32)


def _selective_copying(seed: int) -> Draw:
    # mad-lab takes the blanks' places from numpy's global generator, which its train.py seeds with the same number.
    rng, places = np.random.default_rng(seed), np.random.RandomState(seed)
    return lambda is_training: instances.selective_copying(rng, places, 16, 256)


COMPRESSION = "compression"
TASKS = {
    task.name: task
    for task in (
        Task("in-context-recall", 16, _recall),
        Task("noisy-in-context-recall", 32, partial(_recall, noise_vocabulary=16, noise_share=0.2)),
        Task("fuzzy-in-context-recall", 16, _fuzzy_recall),
        Task("memorization", 256, _memorisation, most_examples=256),
        Task(COMPRESSION, 16, _compression),
        Task("selective-copying", 16, _selective_copying),
    )
}


@lru_cache(maxsize=len(TASKS))
def examples(name: str, train: int, test: int, seed: int) -> Examples:
    """Return a task's examples; those of test are drawn after those of training, from the same generators, as in mad-lab."""
    task = TASKS[name]
    draw = task.draw(seed)
    training = [draw(True) for _ in range(min(train, task.most_examples or train))]
    held_out = [draw(False) for _ in range(test)]
    (inputs, targets), (test_inputs, test_targets) = (
        tuple(np.stack(arrays) for arrays in zip(*found, strict=True)) for found in (training, held_out)
    )
    return Examples(inputs, targets, test_inputs, test_targets)
