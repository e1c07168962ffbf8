"""The sections of the configuration that only some objectives read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import Field

from star_search.config_base import Count, Positive, Section

# An objective of the user's own: a function or class in a Python file.
OWN_OBJECTIVE = re.compile(r"(?P<file>.+\.py):(?P<attribute>[A-Za-z_]\w*)")
# An objective and its bound.
CONSTRAINT = re.compile(r"\s*(?P<name>[^\s<>=](?:[^<>=]*[^\s<>=])?)\s*(?P<sign><=|>=)\s*(?P<bound>[-+0-9.eE_]+)\s*")


class MeasurementConfig(Section):
    """How decoding is measured where an objective or a constraint asks for it."""

    batch: Positive = 1
    warmup: Count = 2
    repeats: Positive = 7
    precision: Literal["float32", "bfloat16"] = "float32"


MADTask = Literal[
    "in-context-recall", "noisy-in-context-recall", "fuzzy-in-context-recall", "memorization", "compression", "selective-copying"
]
MAD_TASKS: list[MADTask] = list(get_args(MADTask))


class MADConfig(Section):
    """The synthetic tasks of objective `mad`, and the training that an architecture gets on each."""

    tasks: Annotated[list[MADTask], Field(min_length=1)] = MAD_TASKS
    train_examples: Positive = 12_800
    test_examples: Positive = 1_280
    data_seed: Count = 12_345
    steps: Positive = 2_000
    batch: Positive = 128
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.0


class ObjectiveSource(Section):
    """What a run keeps of an objective of the user's own: where it came from, the hash of that, and a file's text whole."""

    origin: str
    sha256: str
    source: str | None = None


def short_name(objective: str) -> str:
    """Return the name that a run gives an objective: that of a file without its folder."""
    match = OWN_OBJECTIVE.fullmatch(objective)
    return f"{Path(match['file']).name}:{match['attribute']}" if match else objective
