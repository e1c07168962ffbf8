"""The asynchronous search: told in the order asked, so that workers and kills change nothing."""

import shutil

import pytest

from evolution.small_search import StandIn, archive_of, chance, make_run, search_in, stand_in_config, stand_in_run
from star_search.errors import StarSearchError
from star_search.evolution.kinds import KINDS
from star_search.evolution.ledger import Budget
from star_search.runs.directory import RunDirectory
from star_search.runs.records import Outcome


def asynchronous(**algorithm):
    objectives = ["perplexity", "cache_bytes"]
    return stand_in_config(objectives=objectives, algorithm={"asynchronous": True, "max_pending": 4, **algorithm})


def fails(canonical):
    return Outcome.unstable if chance(canonical) < 0.2 else None


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    config = asynchronous()
    return config, stand_in_run(tmp_path_factory.mktemp("whole") / "run", config, StandIn(config, fails))


@pytest.mark.parametrize("name", sorted(name for name, kind in KINDS.items() if kind.steady))
@pytest.mark.parametrize("at_once", [2, 4])
def test_the_order_in_which_workers_finish_changes_nothing(tmp_path, name, at_once):
    config = asynchronous(name=name, generations=2)
    one = stand_in_run(tmp_path / "one", config, StandIn(config, fails))
    many = stand_in_run(tmp_path / "many", config, StandIn(config, fails, at_once=at_once))
    assert archive_of(one) == archive_of(many)
    assert len(one.read_candidates()[0]) == 18


def test_a_generation_is_as_many_candidates_as_the_population(whole):
    _, run = whole
    assert [each.offspring for each in run.read_generations()[0]] == [list(range(6 * g, 6 * g + 6)) for g in range(5)]
    assert [each.generation for each in run.read_candidates()[0]] == [number // 6 for number in range(30)]


def test_parents_are_told_before_a_candidate_is_asked(whole):
    for record in whole[1].read_candidates()[0][6:]:
        assert max(record.lineage["parents"]) <= max(5, record.id - 4)


def test_it_keeps_so_many_in_flight(tmp_path):
    config, seen = asynchronous(max_pending=3), []

    class Watched(StandIn):
        def assess(self, source, report):
            def watched():
                assignment = source()
                if assignment is not None:
                    seen.append(assignment.id - len(self.assessed))
                return assignment

            yield from super().assess(watched, report)

    stand_in_run(tmp_path / "run", config, Watched(config, at_once=6))
    assert max(seen[:6]) == 5  # gen00 is asked at once
    assert max(seen[6:]) == 2  # of three in flight, the last is two after the first


def test_it_selects_better_than_chance_and_differs_from_generations(tmp_path, whole):
    records = whole[1].read_candidates()[0]
    mean = [sum(r.objectives.get("perplexity", 12) for r in part) / len(part) for part in (records[:12], records[-12:])]
    assert mean[1] < mean[0]
    generational = stand_in_config()
    run = stand_in_run(tmp_path / "run", generational, StandIn(generational, fails))
    assert archive_of(run)[0][:6] == [each.comparable() for each in records[:6]]
    assert archive_of(run)[0] != [each.comparable() for each in records]


class TestResume:
    @pytest.mark.parametrize("kept", range(0, 30, 3))
    def test_from_every_third_point(self, whole, tmp_path, kept):
        self.resume(whole, tmp_path, set(range(kept)))

    @pytest.mark.parametrize("missing", [{3}, {7}, {7, 8, 10}, {13, 15}, {29}])
    def test_with_gaps_that_several_workers_leave(self, whole, tmp_path, missing):
        self.resume(whole, tmp_path, set(range(min(30, min(missing) + 4))) - missing)

    def resume(self, whole, tmp_path, kept):
        config, run = whole
        shutil.copytree(run.path, tmp_path / "copy", ignore=shutil.ignore_patterns("weights"))
        copy = RunDirectory.open(tmp_path / "copy")
        for number in set(range(30)) - kept:
            copy.candidate_path(number).unlink()
        complete = next(number for number in range(31) if number not in kept)
        for generation in range(complete // 6, 5):
            shutil.rmtree(copy.generation_path(generation).parent)
        workers = StandIn(config, fails, at_once=2)
        assert search_in(copy, config, workers).run()
        assert len(workers.assessed) == 30 - len(kept)
        assert archive_of(copy)[:2] == archive_of(run)[:2]


def test_budgets_stop_it_and_it_goes_on(whole, tmp_path):
    config, expected = whole
    run = make_run(tmp_path / "run", config)
    search = search_in(run, config, StandIn(config, fails, at_once=3), Budget(tokens=11_000))
    assert not search.run()
    assert search.stopped_by == "11,000 tokens"
    assert 12 <= len(run.read_candidates()[0]) <= 16
    assert search_in(run, config, StandIn(config, fails)).run()
    assert archive_of(run) == archive_of(expected)


@pytest.mark.parametrize("name", sorted(name for name, kind in KINDS.items() if kind.steady))
@pytest.mark.parametrize("window", [4, 8])
@pytest.mark.parametrize("seed", [1, 2])
def test_extended_it_equals_a_longer_run(tmp_path, name, window, seed):
    """Also where the last candidates of the short run break ties, with none asked between them."""
    short, long = (asynchronous(name=name, generations=generations, max_pending=window, seed=seed) for generations in (2, 4))
    run, workers = stand_in_run(tmp_path / "short", short), StandIn(long)
    assert search_in(run, long, workers).run()
    assert len(workers.assessed) == 12
    assert archive_of(run)[:2] == archive_of(stand_in_run(tmp_path / "long", long))[:2]


def test_another_window_is_another_search(whole):
    config, run = whole
    with pytest.raises(StarSearchError, match="is recorded: resume with the versions"):
        search_in(run, asynchronous(max_pending=1), StandIn(config)).run()


def test_a_used_up_space_ends_it(tmp_path):
    config = stand_in_config(
        space={"depth": 2, "classes": [1, 9], "sharing": False}, algorithm={"asynchronous": True, "population": 2, "max_pending": 4}
    )
    run, workers = make_run(tmp_path / "run", config), StandIn(config)
    search = search_in(run, config, workers)
    assert not search.run()
    assert search.stopped_by == "mating found no architecture that the search has not had"
    assert len(workers.assessed) == 3
