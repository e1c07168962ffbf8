"""Measured objectives in a search: before training, against constraints, once, and on record."""

import random
from dataclasses import replace

import pytest

from evolution.small_search import StandIn, archive_of, search_in, small_config, stand_in_config, write_text_source
from star_search.errors import InputError
from star_search.genome.space import SearchSpace
from star_search.objectives import measured
from star_search.objectives.assessment import Assessor
from star_search.objectives.assignment import Assignment
from star_search.objectives.measured import measured_ceilings
from star_search.objectives.racing import check_racing
from star_search.objectives.registry import Criteria
from star_search.runs.directory import RunDirectory
from star_search.runs.records import Outcome

GENOME = "11111-71111"
BRIEF = {"warmup": 0, "repeats": 2}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write_text_source(tmp_path_factory.mktemp("text"))


@pytest.fixture
def assess(source, tmp_path):
    def call(**changes):
        config = small_config(source, measurement=BRIEF, **changes)
        return Assessor(config, "cpu")(Assignment(0, 0, GENOME, GENOME, str(tmp_path / "w.safetensors"))).record

    return call


def test_values_and_their_spread_are_recorded(assess):
    record = assess(objectives=["perplexity", "decode_seconds@16"], constraints=["time_to_first_token@16 <= 60"])
    (decoding,) = record.measured["decoding"]
    assert record.outcome == Outcome.ok
    assert record.objectives["decode_seconds@16"] == decoding["decode"]["median"]
    assert record.objectives["time_to_first_token@16"] == decoding["first_token"]["median"]
    assert decoding["decode"]["low"] <= decoding["decode"]["median"] <= decoding["decode"]["high"]
    assert decoding["held_cache_bytes"] == 2 * (2 * 16 * 16 + 2 * 16)


def test_what_is_measured_does_not_change_what_is_trained(assess):
    assert assess(objectives=["perplexity", "decode_seconds@16"]).objectives["perplexity"] == assess().objectives["perplexity"]


def test_a_candidate_beyond_a_bound_is_rejected_before_it_trains(assess, tmp_path):
    record = assess(constraints=["decode_seconds@16 <= 1e-9"])
    assert (record.outcome, record.tokens) == (Outcome.rejected, 0)
    assert record.reason == f"decode_seconds@16 {record.objectives['decode_seconds@16']:,.6g} is above 1e-09"
    assert "perplexity" not in record.objectives
    assert record.measured["decoding"][0]["length"] == 16
    assert not (tmp_path / "w.safetensors").exists()


def test_what_grows_is_a_constraint_and_no_objective(assess):
    with pytest.raises(InputError, match=r"^objectives are minimised, and tokens_per_second@16 is better the larger; it may be a con"):
        assess(objectives=["perplexity", "tokens_per_second@16"])
    record = assess(constraints=["tokens_per_second@16 >= 1e9"])
    assert record.reason == f"tokens_per_second@16 {record.objectives['tokens_per_second@16']:,.6g} is below 1e+09"


def test_a_cache_that_is_not_the_declared_one_is_an_outcome(assess, monkeypatch):
    monkeypatch.setattr("star_search.model.language_model.LanguageModel.cache_bytes", lambda model, length: 7)
    record = assess(objectives=["perplexity", "decode_seconds@16"])
    assert record.outcome == Outcome.crashed
    assert record.reason == "StarSearchError: the decoding cache holds 1,088 bytes after 16 tokens, 7 are declared"


def test_the_bound_of_an_objective_is_its_constraint_or_twice_the_costliest_class(source, monkeypatch):
    costs = {"11111-11111": 3.0, "71111-71111": 5.0}
    monkeypatch.setattr(
        measured, "measure_genome", lambda config, asked, text, *rest: measured.Measured({each.name: costs[text] for each in asked}, [])
    )
    config = small_config(
        source,
        space={"classes": [1, 7]},
        objectives=["decode_seconds@16", "peak_bytes", "perplexity"],
        constraints=["peak_bytes <= 4e6"],
    )
    space = SearchSpace.from_config(config.space)
    found = measured_ceilings(config, space, 32, "cpu")
    assert found == {"decode_seconds@16": 10.0, "peak_bytes": 4e6}
    assert Criteria.from_config(config).worst(space, "plain", 0.0, 1.0, found) == [10.0, 4e6, 1.0]


def test_a_race_may_have_measured_objectives(source):
    config = small_config(source, objectives=["perplexity", "decode_seconds"], racing={"rungs": [0.5]})
    check_racing(config, Criteria.from_config(config))


class Noisy(StandIn):
    """Workers whose measurements never come out twice the same."""

    def _one(self, assignment):
        assessed = super()._one(assignment)
        objectives = assessed.record.objectives | {"decode_seconds@64": 1e-3 * random.SystemRandom().uniform(1, 2)}
        return replace(assessed, record=replace(assessed.record, objectives=objectives))


def test_a_resumed_search_uses_the_measurements_on_record(tmp_path):
    config = stand_in_config(objectives=["perplexity", "decode_seconds@64"])
    run = RunDirectory.create(tmp_path / "run", "noisy", config.to_yaml(), {"reference_point": [50.0, 1.0], "unigram_loss": 4.0})
    with pytest.raises(KeyboardInterrupt):
        search_in(run, config, Noisy(config, limit=15)).run()
    before = archive_of(run)
    again = Noisy(config)
    assert search_in(run, config, again).run()
    after = archive_of(run)
    assert after[0][: len(before[0])] == before[0]
    assert after[1][: len(before[1])] == before[1]
    assert len(again.assessed) == 30 - len(before[0])
