"""Racing: who is stopped, by what extrapolation, and that a raced search is as repeatable as another."""

import math
import shutil

import pytest

from evolution.small_search import archive_of, make_run, search_in, small_config, stand_in_config, write_text_source
from star_search.config import parse_configuration
from star_search.errors import InputError
from star_search.evolution.workers import InProcess
from star_search.objectives.assignment import Assignment
from star_search.objectives.racing import Race, Rivals, Standings, check_racing
from star_search.objectives.registry import Criteria
from star_search.runs.directory import RunDirectory
from star_search.runs.records import Outcome
from star_search.training.progress import Progress
from star_search.training.stability import Unhealthy


def raced_config(**racing):
    """Return a configuration of ten steps, with rungs at three and five."""
    return stand_in_config(racing={"rungs": [0.3, 0.5], "minimum_finished": 2, "margin": 0.0, **racing})


def race(rivals, cache=100.0, **racing):
    config = raced_config(**racing)
    return Race(config, Criteria.from_config(config), {"cache_bytes": cache}, rivals, bits_per_nat=2.0)


def progress(step, loss):
    return Progress(step, 10, loss, 1000.0)


def finished(number, outcome, rungs, validation_loss):
    details = {"rungs": [{"step": 3, "loss": rungs[0]}, {"step": 5, "loss": rungs[1]}], "validation_loss": validation_loss}
    return Assignment(number, 0, "11111", "11111", "").record(0, outcome, "", {}, details=details)


class TestStandings:
    def test_the_greatest_fall_of_each_rung_counts_once_enough_have_finished(self):
        standings = Standings(raced_config())
        assert standings.rivals([[1.0, 2.0]]) is None
        standings.learn(finished(0, Outcome.ok, (4.0, 3.5), 3.0))
        standings.learn(finished(1, Outcome.stopped, (9.0, 9.0), 0.0))
        assert standings.rivals([[1.0, 2.0]]) is None
        standings.learn(finished(2, Outcome.ok, (3.8, 3.7), 3.0))
        assert standings.rivals([[1.0, 2.0]]) == Rivals([[1.0, 2.0]], [pytest.approx(1.0), pytest.approx(0.7)])

    def test_without_racing_there_is_nobody_to_race(self):
        standings = Standings(stand_in_config())
        standings.learn(finished(0, Outcome.ok, (4.0, 3.5), 3.0))
        assert standings.rivals([]) is None


class TestRace:
    rivals = Rivals([[math.exp(2.0), 100.0]], [1.0, 0.5])

    def test_a_candidate_whose_best_end_is_dominated_stops_at_the_rung(self):
        running = race(self.rivals)
        running.observe(progress(2, 9.0))
        assert running.rungs == []
        with pytest.raises(Unhealthy) as stopped:
            running.observe(progress(3, 3.1))
        assert stopped.value.outcome == Outcome.stopped
        assert stopped.value.reason == "at step 3 its loss 3.100 would end at 2.100 at best, dominated"
        assert running.details() == {"rungs": [{"step": 3, "loss": 3.1, "optimistic_loss": pytest.approx(2.1)}]}

    @pytest.mark.parametrize(("loss", "cache", "margin"), [(2.9, 100.0, 0.0), (3.1, 99.0, 0.0), (3.1, 100.0, 0.2)])
    def test_one_that_could_still_be_better_in_something_goes_on(self, loss, cache, margin):
        running = race(self.rivals, cache, margin=margin)
        running.observe(progress(4, loss))
        assert running.details(2.5)["rungs"][0]["error"] == pytest.approx(loss - (1 + margin) - 2.5)

    def test_the_second_rung_has_its_own_fall(self):
        running = race(self.rivals)
        running.observe(progress(3, 2.9))
        with pytest.raises(Unhealthy, match=r"at step 6 its loss 2\.700 would end at 2\.200"):
            running.observe(progress(6, 2.7))

    def test_without_rivals_rungs_are_noted_and_nobody_stops(self):
        running = race(None)
        running.observe(progress(10, 99.0))
        assert running.details(98.0) == {"rungs": [{"step": 10, "loss": 99.0}, {"step": 10, "loss": 99.0}]}


@pytest.mark.parametrize(
    ("racing", "sentence"),
    [
        ({"rungs": [0.5, 0.25]}, "racing.rungs must rise, got [0.5, 0.25]"),
        ({"rungs": [1.0]}, "racing.rungs.0 must be less than 1, got 1.0"),
        ({"rungs": []}, "racing.rungs must be a list of at least 1, got []"),
        ({"margin": -1}, "racing.margin must be at least 0, got -1"),
        ({"rung": [0.5]}, "unknown key racing.rung; did you mean 'rungs'?"),
    ],
)
def test_bad_configurations_are_refused(racing, sentence):
    with pytest.raises(InputError) as error:
        parse_configuration({"racing": racing})
    assert str(error.value) == f"the configuration: {sentence}"


def test_objectives_that_are_exact_or_follow_from_the_loss_can_race():
    config = raced_config()
    check_racing(config, Criteria.from_config(config))


@pytest.mark.slow
class TestSearch:
    @pytest.fixture(scope="class")
    @classmethod
    def runs(cls, tmp_path_factory):
        folder = tmp_path_factory.mktemp("raced")
        source = write_text_source(folder)
        changes = {"algorithm": {"population": 6, "generations": 4}, "training": {"tokens": 4096}}
        plain = small_config(source, **changes)
        raced = small_config(source, **changes, racing={"minimum_finished": 3, "margin": 0.0})
        made = []
        for name, config in (("plain", plain), ("raced", raced)):
            run = make_run(folder / name, config)
            assert search_in(run, config, InProcess(config)).run()
            made.append(run)
        return raced, *made

    def test_some_stop_early_spend_less_and_are_in_no_front(self, runs):
        _, plain, raced = runs
        records = raced.read_candidates()[0]
        stopped = [record for record in records if record.outcome == Outcome.stopped]
        assert stopped
        assert all(0 < record.tokens < 4096 and "perplexity" not in record.objectives for record in stopped)
        assert all(record.reason.endswith("at best, dominated") for record in stopped)
        assert sum(record.tokens for record in records) < sum(record.tokens for record in plain.read_candidates()[0])
        assert not {record.id for record in stopped} & set(raced.read_generations()[0][-1].front)

    def test_those_that_end_tell_the_error_of_their_extrapolation(self, runs):
        records = [record for record in runs[2].read_candidates()[0][6:] if record.outcome == Outcome.ok]
        assert records
        for record in records:
            assert [rung["step"] for rung in record.details["rungs"]] == [20, 40]
            for rung in record.details["rungs"]:
                assert rung["error"] == pytest.approx(rung["optimistic_loss"] - record.details["validation_loss"])

    def test_before_anybody_has_finished_the_search_is_the_plain_one(self, runs):
        _, plain, raced = runs
        first = [[record.objectives for record in run.read_candidates()[0][:6]] for run in (plain, raced)]
        assert first[0] == first[1]

    def test_it_resumes_to_the_same_archive(self, runs, tmp_path):
        config, _, raced = runs
        shutil.copytree(raced.path, tmp_path / "copy")
        copy = RunDirectory.open(tmp_path / "copy")
        for number in range(14, 30):
            copy.candidate_path(number).unlink()
        for number in range(2, 5):
            shutil.rmtree(copy.generation_path(number).parent)
        assert search_in(copy, config, InProcess(config)).run()
        assert archive_of(copy)[:2] == archive_of(raced)[:2]


def test_a_stopped_candidate_ranks_after_every_ok_one_and_before_failures():
    from star_search.evolution.archive import Archive

    made = Archive(Criteria.from_config(stand_in_config()), [50.0, 9000.0])
    for number, outcome in enumerate((Outcome.ok, Outcome.stopped, Outcome.crashed)):
        made.add(Assignment(number, 0, "11111", "11111", "").record(0, outcome, "", {"perplexity": 5.0, "cache_bytes": 1.0}))
    assert made.constraint_array([0, 1, 2])[:, 0].tolist() == [-1.0, 0.5, 1.0]
