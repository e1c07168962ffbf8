"""The example of an objective of one's own that ships: a time-series task on a backbone."""

import pytest
import torch

from star_search.cli.session import resolved
from star_search.config import load_configuration
from star_search.genome.encoding import Genome
from star_search.objectives.candidate import Candidate, score
from star_search.objectives.own import load_own


@pytest.fixture
def objective():
    config = resolved(load_configuration("forecast"))
    return config, load_own(config, "forecast.py:error")


def test_a_short_training_is_already_better_than_the_last_value(objective, monkeypatch):
    config, found = objective
    monkeypatch.setitem(found.function.__globals__, "STEPS", 8)
    candidate = Candidate(Genome.parse("51111-91111"), config, 7, torch.device("cpu"), None)
    value = score(found, candidate).value
    assert 0.1 < value < 1.0
    assert score(found, candidate).value == value


def test_series_follow_from_their_seed_and_differ(objective):
    series = objective[1].function.__globals__["series"]
    assert torch.equal(series(3, 5), series(3, 5))
    assert series(3, 5).shape == (3, 97)
    assert not torch.equal(series(3, 5), series(3, 6))
