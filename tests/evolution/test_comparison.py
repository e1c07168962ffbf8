"""Searches at one token budget: what counts, and what is concluded."""

import pytest

from evolution.small_search import StandIn, chance, make_run, search_in, stand_in_config, stand_in_run
from star_search.analysis.run_view import RunView
from star_search.errors import InputError
from star_search.evolution.comparison import SearchPlan, SearchResult, check_comparable, result_within, summarise
from star_search.evolution.ledger import Budget
from star_search.runs.records import Outcome, spent_tokens


def fails(canonical):
    return Outcome.unstable if chance(canonical) < 0.3 else None


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    config = stand_in_config()
    return stand_in_run(tmp_path_factory.mktemp("run") / "run", config, StandIn(config, fails))


def test_only_candidates_within_the_budget_count(run):
    records = run.read_candidates()[0]
    budget = sum(record.tokens for record in records[:17])
    result = result_within(run, budget)
    assert (result.candidates, result.tokens) == (17, budget)
    assert result.ok == sum(record.outcome == Outcome.ok for record in records[:17]) < 17
    good = [record for record in records[:17] if record.outcome == Outcome.ok]
    assert result.best == min(record.objectives["perplexity"] for record in good)
    assert result_within(run, budget - 1).candidates == 16


def test_tokens_that_were_lost_with_a_worker_count_towards_every_budget(tmp_path):
    config = stand_in_config()

    class Losing(StandIn):
        def _one(self, assignment):
            return super()._one(assignment).measured_with(lost_tokens=200 if assignment.id < 6 else 0)

    run = make_run(tmp_path / "run", config)
    search = search_in(run, config, Losing(config), Budget(tokens=8300))
    assert not search.run()
    # Six of 1,200 tokens and two of 1,000 are more than 8,300.
    assert (search.ledger.archive.tokens, len(run.read_candidates()[0])) == (9200, 8)
    first = run.read_generations()[0][0]
    assert (first.tokens, first.measured["lost_tokens"], spent_tokens(first)) == (6000, 1200, 7200)
    assert (result_within(run, 8199).candidates, result_within(run, 8200)) == (6, result_within(run, 9199))
    assert result_within(run, 9200).tokens == 9200


def test_the_whole_budget_gives_the_hypervolume_of_the_run(run):
    assert result_within(run, 10**9).hypervolume == pytest.approx(RunView.read(run).progress[-1].hypervolume)


def test_nothing_within_the_budget_is_no_hypervolume(run):
    assert result_within(run, 0) == SearchResult(0.0, None, 0, 0, 0)


@pytest.mark.parametrize("changes", [{"space": {"minimum_mixers": 2}}, {"training": {"tokens": 500}}, {"constraints": ["perplexity <= 9"]}])
def test_what_leaves_the_reference_point_as_it_was_may_differ(changes):
    check_comparable({"random": stand_in_config(), "changed": stand_in_config(**changes)}, 1000)


@pytest.mark.parametrize(
    ("objectives", "key", "changes"),
    [
        (["parameters"], "backbone.residual", {"backbone": {"residual": "scaled"}}),
        (["cache_bytes"], "training.sequence_length", {"training": {"sequence_length": 50}}),
        (["perplexity"], "training.sequence_length", {"training": {"sequence_length": 50}}),
        (["perplexity"], "data.seed", {"data": {"seed": 1}}),
        (["decode_seconds"], "constraints", {"constraints": ["decode_seconds <= 1"]}),
        (["decode_seconds"], "measurement.batch", {"measurement": {"batch": 2}}),
    ],
)
def test_what_moves_the_reference_point_may_not_differ(objectives, key, changes):
    one, other = (stand_in_config(objectives=objectives, **each) for each in ({}, changes))
    with pytest.raises(InputError, match=f"hypervolumes of 'random' and 'changed' cannot be compared: {key} is "):
        check_comparable({"random": one, "changed": other}, 1000)


def test_each_search_is_held_against_the_first():
    def results(*volumes):
        return [SearchResult(volume, 1.0, 4, 4, 10) for volume in volumes]

    baseline, better = summarise({"random": results(0.1, 0.3), "nsga2": results(0.2, 0.5)})
    assert baseline.against_baseline is None
    assert (baseline.mean, better.mean) == (pytest.approx(0.2), pytest.approx(0.35))
    assert better.against_baseline.mean == pytest.approx(0.15)
    assert better.against_baseline.p_value == 1 / 4


class TestPlans:
    def test_keys_that_another_algorithm_owns_are_taken_away(self):
        config = stand_in_config(algorithm={"name": "ga", "elites": 3})
        assert SearchPlan.parse("random", config).overrides == ("algorithm.name=random", "algorithm.elites=null")
        assert SearchPlan.parse("ga", config).overrides == ("algorithm.name=ga",)

    def test_changes_are_part_of_the_label_and_of_the_folder(self, tmp_path):
        plan = SearchPlan.parse("nsga2  algorithm.repair=off", stand_in_config())
        assert (plan.label, plan.overrides[-1]) == ("nsga2 algorithm.repair=off", "algorithm.repair=off")
        assert plan.folder(tmp_path, 3) == tmp_path / "nsga2-algorithm-repair-off-3"

    def test_the_schedule_of_rvea_stays_that_of_the_configuration(self):
        assert "algorithm.horizon=4" in SearchPlan.parse("rvea", stand_in_config()).overrides

    @pytest.mark.parametrize("text", ["nsga4", ""])
    def test_an_unknown_algorithm_is_refused(self, text):
        with pytest.raises(InputError, match="unknown algorithm"):
            SearchPlan.parse(text, stand_in_config())
