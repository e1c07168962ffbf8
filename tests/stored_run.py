"""One small stored run to look at: five generations of six, computed in a moment, with loss curves, failures and hostile text."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from evolution.small_search import StandIn, chance, stand_in_config, stand_in_run
from star_search.analysis.run_view import RunView
from star_search.objectives.assignment import Assessed, Assignment
from star_search.runs.directory import RunDirectory
from star_search.runs.records import Outcome

VOCABULARY = 257
HOSTILE = "ValueError: </script><script>alert(1)</script> [red]x[/] \x1b[2J\u202egnp"


class Recorded(StandIn):
    """Stand-ins whose records hold what real trainings leave."""

    def _one(self, assignment: Assignment) -> Assessed:
        record = super()._one(assignment).record
        if record.outcome == Outcome.crashed:
            return Assessed(replace(record, reason=HOSTILE))
        if record.outcome != Outcome.ok:
            return Assessed(record)
        loss = math.log(record.objectives["perplexity"])
        subset = {"perplexity": record.objectives["perplexity"], "bits_per_byte": record.objectives["bits_per_byte"], "tokens": 100}
        details = {"steps": 10, "curve": [[step, loss + 2 / step] for step in range(1, 11)], "validation_loss": loss}
        return Assessed(replace(record, details=details | {"subsets": {"<b>books</b>": subset}}))


def fate(canonical: str) -> Outcome | None:
    """Return how a candidate fails, if it does: about one in ten each way."""
    share = chance(canonical)
    return Outcome.crashed if share < 0.1 else Outcome.unstable if share > 0.9 else None


def with_objective(run: RunDirectory, path: Path, name: str) -> RunDirectory:
    """Copy a run to a path, its perplexity under another name, such as an objective of the user's own."""
    shutil.copytree(run.path, path)
    values = yaml.safe_load(run.config_yaml)
    values["objectives"] = [name if each == "perplexity" else each for each in values["objectives"]]
    values["own_objectives"] = {name: {"origin": name.partition(":")[0], "sha256": "0" * 64, "source": ""}}
    (path / "config.yaml").write_text(yaml.safe_dump(values))
    for record in run.read_candidates()[0]:
        objectives = {name if key == "perplexity" else key: value for key, value in record.objectives.items()}
        RunDirectory.open(path).write_candidate(replace(record, objectives=objectives))
    return RunDirectory.open(path)


def store_run(path: Path) -> RunDirectory:
    """Write the run."""
    config = stand_in_config(algorithm={"seed": 5})
    return stand_in_run(path, config, Recorded(config, fate))


def kept_run(path: Path, **changes: Any) -> RunView:
    """Write a run of four LIVs of width 16 whose front keeps weights that can be read: untrained, from another seed than the record's."""
    from safetensors.torch import save_file

    from star_search.objectives.candidate_model import candidate_model

    values = {"space": {"depth": 4, "width": 16}, "algorithm": {"population": 6, "generations": 1, "seed": 5}}
    config = stand_in_config(**(values | changes))
    view = RunView.read(stand_in_run(path, config, Recorded(config)))
    for record in view.front:
        model = candidate_model(view.config, record.canonical, VOCABULARY, record.seed + 1)
        save_file(model.state_dict(), view.run.weights_path(record.id))
    return view
