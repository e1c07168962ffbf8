"""Candidates that fail in a search that really trains: each is an outcome, and the search goes on."""

import pytest

from evolution.faulty_worker import faulty_train, trained
from evolution.small_search import archive_of, make_run, search_in, small_config
from star_search.evolution.workers import InProcess
from star_search.objectives import assessment
from star_search.runs.records import Outcome


@pytest.fixture(scope="module")
def healthy(source, tmp_path_factory):
    """A search in which nothing is broken on purpose."""
    config = small_config(source)
    run = make_run(tmp_path_factory.mktemp("healthy") / "run", config)
    assert search_in(run, config, InProcess(config)).run()
    return config, run


def test_the_search_trains_and_finds(healthy):
    _, run = healthy
    records = run.read_candidates()[0]
    assert len(records) == 12
    assert sum(record.outcome == Outcome.ok for record in records) >= 10
    best = min(record.objectives["perplexity"] for record in records if record.outcome == Outcome.ok)
    assert best < 3  # the unigram of this text has 8.7
    front = run.read_generations()[0][-1].front
    assert sorted(path.stem for path in (run.path / "weights").iterdir()) == [f"{number:05d}" for number in front]


def test_the_same_seed_gives_the_same_archive(healthy, tmp_path):
    config, run = healthy
    again = make_run(tmp_path / "again", config)
    assert search_in(again, config, InProcess(config)).run()
    assert archive_of(again) == archive_of(run)


class TestFaults:
    @pytest.fixture
    def broken(self, healthy, tmp_path, monkeypatch):
        """A search in which four candidates of gen00 get each another fault."""
        config, run = healthy
        first = [record.canonical for record in run.read_candidates()[0][:4]]
        plan = dict(zip(first, ("nan", "raise", "memory", "idle"), strict=True))
        monkeypatch.setattr(assessment, "train", faulty_train(assessment.train, tmp_path, plan))
        made = make_run(tmp_path / "broken", config)
        assert search_in(made, config, InProcess(config)).run()
        return config, made, tmp_path

    def test_each_is_recorded_and_the_search_ends(self, broken):
        _, run, _ = broken
        records = run.read_candidates()[0]
        assert [record.outcome for record in records[:4]] == [Outcome.unstable, Outcome.crashed, Outcome.out_of_memory, Outcome.degenerate]
        assert [record.reason for record in records[:3]] == [
            "the loss is nan at step 1",
            "ValueError: on purpose",
            "DefaultCPUAllocator: can't allocate memory",
        ]
        assert "not under the unigram's" in records[3].reason
        assert run.generation_numbers() == [0, 1, 2]
        assert run.read_generations()[0][0].outcomes == {"unstable": 1, "crashed": 1, "out_of_memory": 1, "degenerate": 1}

    def test_only_the_crash_leaves_a_traceback(self, broken):
        _, run, _ = broken
        assert [path.name for path in (run.path / "candidates").glob("*.traceback.txt")] == ["00001.traceback.txt"]
        assert run.traceback_path(1).read_text().rstrip().endswith("ValueError: on purpose")

    def test_none_is_in_a_front_and_all_leave_the_population_first(self, broken):
        _, run, _ = broken
        fronts = [generation.front for generation in run.read_generations()[0]]
        assert fronts[0] == []
        assert fronts[-1]
        assert not {0, 1, 2, 3} & {number for front in fronts for number in front}
        good = {record.id for record in run.read_candidates()[0] if record.outcome == Outcome.ok}
        last = run.read_generations()[0][-1]
        assert len(good & set(last.population)) == min(4, len(good))
        assert not (run.path / "weights" / "00000.safetensors").exists()

    def test_a_resumed_run_does_not_train_them_again(self, broken):
        config, run, folder = broken
        expected, began = archive_of(run), len(trained(folder))
        assert began == 12
        for number in range(6, 12):
            run.candidate_path(number).unlink()
        for generation in (1, 2):
            run.generation_path(generation).unlink()
        assert search_in(run, config, InProcess(config)).run()
        assert archive_of(run)[:2] == expected[:2]
        again = trained(folder)[began:]
        assert len(again) == 6
        assert not set(again) & set(trained(folder)[:6])


def test_a_finished_run_can_be_extended_and_equals_a_longer_one(healthy, source, tmp_path):
    long = small_config(source, algorithm={"generations": 3})
    extended, whole = make_run(tmp_path / "extended", healthy[0]), make_run(tmp_path / "whole", long)
    assert search_in(extended, healthy[0], InProcess(healthy[0])).run()
    assert search_in(extended, long, InProcess(long)).run()
    assert search_in(whole, long, InProcess(long)).run()
    assert archive_of(extended)[:2] == archive_of(whole)[:2]
