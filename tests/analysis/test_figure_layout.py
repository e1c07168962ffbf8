"""Figures as files: nothing reaches their edge."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from evolution.small_search import stand_in_config, stand_in_run
from star_search.analysis.figures import write_figures
from star_search.analysis.run_view import RunView
from stored_run import Recorded


def between(view, least, most):
    """Return the run with its perplexities spread between two values."""
    found = [record.objectives["perplexity"] for record in view.records if record.outcome == "ok"]
    step = (most - least) / (max(found) - min(found))
    records = [
        replace(each, objectives=each.objectives | {"perplexity": least + step * (each.objectives["perplexity"] - min(found))})
        if each.outcome == "ok"
        else each
        for each in view.records
    ]
    return replace(view, records=records)


def single(path):
    """Return a run with one objective."""
    config = stand_in_config(objectives=["perplexity"], algorithm={"name": "ga", "population": 6, "generations": 3, "seed": 5})
    return RunView.read(stand_in_run(path, config, Recorded(config)))


@pytest.mark.parametrize("case", ["as stored", "one objective", "ticks that grow wider while room is made"])
def test_nothing_reaches_the_edge_of_a_figure(stored_run, tmp_path, case):
    view = single(tmp_path / "run") if case == "one objective" else RunView.read(stored_run)
    if case.startswith("ticks"):
        view = between(view, 99.2, 137.2)
    for path in write_figures(view, tmp_path / "drawn", ("png",)):
        with Image.open(path) as image:
            ink = np.asarray(image.convert("L")) < 250
        edges = {"left": ink[:, 0], "right": ink[:, -1], "top": ink[0], "bottom": ink[-1]}
        assert [side for side, pixels in edges.items() if pixels.any()] == [], path.name
