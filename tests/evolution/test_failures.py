"""A search in which many candidates fail: failures are outcomes, never numbers."""

import json

import numpy as np
import pytest

from evolution.small_search import (
    StandIn,
    fails_at,
    make_run,
    search_in,
    stand_in_config,
)
from star_search.runs.records import Outcome


@pytest.fixture(scope="module")
def bad_day(tmp_path_factory):
    config = stand_in_config(space={"depth": 6}, algorithm={"population": 16, "generations": 18})
    run, told = make_run(tmp_path_factory.mktemp("failures") / "run", config), []
    search = search_in(run, config, StandIn(config, fails_at(0.3)))
    tell = search.algorithm.tell

    def heard(infills):
        told.append((infills.get("F").copy(), infills.get("G").copy()))
        tell(infills=infills)

    search.algorithm.tell = heard
    assert search.run()
    return run, told, search


class TestFailures:
    """30 % of all architectures fail, over 18 generations of 16: the paper's search on a bad day."""

    def test_as_many_fail_as_meant(self, bad_day):
        outcomes = [record.outcome for record in bad_day[0].read_candidates()[0]]
        assert len(outcomes) == 304
        assert 0.2 < sum(outcome != Outcome.ok for outcome in outcomes) / 304 < 0.4
        assert set(outcomes) == set(Outcome) - {Outcome.rejected}

    def test_what_pymoo_is_told_is_finite_and_every_failure_violates_a_constraint(self, bad_day):
        run, told, search = bad_day
        F, G = (np.concatenate(parts) for parts in zip(*told, strict=True))
        assert F.shape == (304, 2)
        assert np.isfinite(F).all()
        outcomes = [record.outcome for record in run.read_candidates()[0]]
        ok = np.array([outcome == Outcome.ok for outcome in outcomes])
        assert G[:, 0].tolist() == [{Outcome.ok: -1.0, Outcome.stopped: 0.5}.get(outcome, 1.0) for outcome in outcomes]
        assert F[~ok, 0] == pytest.approx(1)  # the perplexity of the unigram, as a share of itself
        assert np.isfinite(search.algorithm.pop.get("F")).all()

    def test_no_failure_is_in_a_front_or_in_the_place_of_an_ok_candidate(self, bad_day):
        run, _, _ = bad_day
        records = run.read_candidates()[0]
        good = {record.id for record in records if record.outcome == Outcome.ok}
        for generation in run.read_generations()[0]:
            assert set(generation.front) <= good
            so_far = [number for number in good if number <= generation.offspring[-1]]
            assert len(good & set(generation.population)) == min(16, len(so_far))
        assert generation.front

    def test_failures_keep_what_is_exact_and_nothing_else(self, bad_day):
        for record in bad_day[0].read_candidates()[0]:
            if record.outcome != Outcome.ok:
                assert set(record.objectives) == {"parameters", "cache_bytes"}

    def test_every_file_is_strict_json(self, bad_day):
        def refuse(text):
            raise AssertionError(text)

        for path in bad_day[0].path.rglob("*.json"):
            json.loads(path.read_text(), parse_constant=refuse)
