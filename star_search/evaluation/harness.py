"""Benchmarks of an exported model, through the API of lm-evaluation-harness."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from star_search.analysis.statistics import NORMAL_95, wilson_interval
from star_search.errors import InputError, StarSearchError
from star_search.evaluation.tasks import YAML, Wanted, known_names


@dataclass(frozen=True, slots=True)
class Score:
    """One metric of one task and its 95 % interval; `chance` is what guessing among the choices of the items gives, if they have some."""

    task: str
    metric: str
    value: float
    lower: float
    upper: float
    items: int
    chance: float | None


@dataclass(frozen=True)
class Settings:
    """How tasks are run: the first items of each, examples before an item (the task's own number by default), items at once."""

    limit: int | None
    few_shot: int | None
    batch_size: int
    device: str


def check_installed() -> None:
    """Refuse to go on without the harness.

    Raises:
        InputError: naming what to install.
    """
    try:
        import accelerate  # noqa: F401
        import lm_eval  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as error:
        raise InputError(f"benchmarks need {error.name or 'lm_eval'}: pip install 'star-search[evaluation]'") from None


def score(folder: Path, wanted: Wanted, settings: Settings) -> list[Score]:
    """Return every metric of every task.

    Raises:
        InputError: for a task that is not there, or a definition or items of the user's that the harness cannot use.
        StarSearchError: when a task's data cannot be had.
    """
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    import star_search.export.huggingface  # noqa: F401 - no code of the folder is needed then

    manager = TaskManager(include_path=None if wanted.definitions is None else str(wanted.definitions))
    names = known_names(wanted, manager)
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    try:
        found = simple_evaluate(
            model="hf",
            model_args={"pretrained": str(folder)},
            tasks=names,
            num_fewshot=settings.few_shot,
            batch_size=settings.batch_size,
            device=settings.device,
            limit=settings.limit,
            bootstrap_iters=0,
            task_manager=manager,
        )
    except Exception as error:  # The harness raises whatever a definition or an item makes Python raise.
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        own = wanted.definitions is not None or any(name.endswith(YAML) for name in names)
        raise (InputError if own else StarSearchError)(f"{', '.join(wanted.names)} cannot be scored: {reason}") from error
    return list(_scores(found or {}))


def _scores(found: Mapping[str, Any]) -> Iterator[Score]:
    for task, figures in found.get("results", {}).items():
        samples = found.get("samples", {}).get(task, [])
        for key, value in figures.items():
            metric, _, filtered = key.partition(",")
            if filtered and not metric.endswith("_stderr") and isinstance(value, int | float):
                label = metric if filtered == "none" else f"{metric} ({filtered})"
                values = [sample[metric] for sample in samples if sample.get("filter") == filtered and metric in sample]
                yield Score(task, label, float(value), *_interval(float(value), values), len(values), _chance(metric, samples))


def _interval(value: float, values: Sequence[Any]) -> tuple[float, float]:
    """Return Wilson's interval where every item is right or wrong, a normal one of the mean of other numbers, the value alone of others."""
    if values and all(each in (0, 1) for each in values):
        return wilson_interval(value, len(values))
    if len(values) < 2 or not all(isinstance(each, int | float) for each in values):
        return value, value
    mean = sum(values) / len(values)
    error = math.sqrt(sum((each - mean) ** 2 for each in values) / (len(values) - 1) / len(values))
    return value - NORMAL_95 * error, value + NORMAL_95 * error


def _chance(metric: str, samples: Sequence[Mapping[str, Any]]) -> float | None:
    """Return the mean of one over the number of choices, for accuracies over items that have some."""
    choices = [len(sample["arguments"]) for sample in samples if "arguments" in sample]
    if not metric.startswith("acc") or not choices or min(choices) < 2:
        return None
    return sum(1 / count for count in choices) / len(choices)
