"""A search that is cut off, goes on, or is refused: the archive is that of one which was not."""

import pytest

from evolution.small_search import (
    StandIn,
    archive_of,
    fails_at,
    make_run,
    rewrite_candidate,
    search_in,
    stand_in_config,
    stand_in_run,
    truncated,
)
from star_search.errors import InputError, StarSearchError
from star_search.evolution.kinds import KINDS
from star_search.runs.records import Outcome


@pytest.fixture(scope="module", params=sorted(KINDS))
def whole(request, tmp_path_factory):
    config = stand_in_config(algorithm={"name": request.param})
    return config, stand_in_run(tmp_path_factory.mktemp("whole") / "run", config, StandIn(config, fails_at(0.2)))


class TestResume:
    def test_from_every_point_at_which_it_can_be_killed(self, whole, tmp_path):
        """Generation g is written after its last candidate: there are as many points as candidates and generations."""
        config, run = whole
        expected = archive_of(run)
        for kept in range(31) if config.algorithm.name == "nsga2" else (0, 4, 6, 17, 29):
            for generations in {kept // 6, max(0, kept // 6 - (kept % 6 == 0))}:
                copy = truncated(run, tmp_path / f"{kept}-{generations}", range(kept), generations)
                workers = StandIn(config, fails_at(0.2))
                assert search_in(copy, config, workers).run()
                assert len(workers.assessed) == 30 - kept
                assert archive_of(copy)[:2] == expected[:2]

    def test_with_gaps_that_several_workers_leave(self, whole, tmp_path):
        config, run = whole
        expected = archive_of(run)
        for number, missing in enumerate([{0}, {4, 5}, {12, 14, 16}, {29}]):
            kept = [each for each in range(30) if each not in missing and each // 6 <= max(missing) // 6]
            copy = truncated(run, tmp_path / str(number), kept, min(missing) // 6)
            workers = StandIn(config, fails_at(0.2))
            assert search_in(copy, config, workers).run()
            assert len(workers.assessed) == 30 - len(kept)
            assert archive_of(copy)[:2] == expected[:2]

    def test_a_finished_run_trains_nothing_and_starts_no_workers(self, whole):
        config, run = whole
        before = archive_of(run)
        assert search_in(run, config, None).run()
        assert archive_of(run) == before

    def test_an_interrupt_closes_the_workers_and_leaves_what_was_finished(self, whole, tmp_path):
        config, run = whole
        copy, workers = make_run(tmp_path / "cut", config), StandIn(config, fails_at(0.2), limit=9)
        with pytest.raises(KeyboardInterrupt):
            search_in(copy, config, workers).run()
        assert workers.closed
        assert [record.id for record in copy.read_candidates()[0]] == list(range(9))
        assert search_in(copy, config, StandIn(config, fails_at(0.2))).run()
        assert archive_of(copy) == archive_of(run)


def test_weights_that_a_kill_left_behind_are_deleted_and_those_of_the_front_kept(tmp_path):
    config = stand_in_config()
    run = stand_in_run(tmp_path / "run", config)
    expected = archive_of(run)
    # Killed after the last generation was written and before weights were deleted; and in the middle of gen03.
    for kept in (30, 21):
        for number in range(kept):
            run.weights_path(number).write_bytes(b"weights")
        for number in range(kept, 30):
            run.candidate_path(number).unlink()
            run.weights_path(number).unlink(missing_ok=True)
        for number in range(kept // 6, 5):
            run.generation_path(number).unlink()
        assert search_in(run, config, StandIn(config)).run()
        assert archive_of(run) == expected


class TestRefusals:
    @pytest.fixture
    def run(self, tmp_path):
        return stand_in_run(tmp_path / "run", stand_in_config())

    def resume(self, run, config=None):
        config = config or stand_in_config()
        with pytest.raises(StarSearchError) as error:
            search_in(run, config, StandIn(config)).run()
        return error.value

    def test_a_candidate_that_would_now_be_another_genome(self, run):
        genome = run.read_candidates()[0][8].genome
        rewrite_candidate(run, 8, genome="11111-11111-11111-11111")
        assert str(self.resume(run)) == (
            f"generation 1 of {run.path} would ask for {genome} as candidate 8, but 11111-11111-11111-11111 is recorded: "
            "resume with the versions in its provenance.json"
        )

    def test_another_seed(self, run):
        assert "as candidate 0, but" in str(self.resume(run, stand_in_config(algorithm={"seed": 2})))

    def test_a_generation_that_comes_out_otherwise(self, run):
        rewrite_candidate(run, 29, outcome=Outcome.crashed, objectives={})
        assert str(self.resume(run)).startswith(f"generation 4 of {run.path} came out otherwise than recorded: ")

    @pytest.mark.parametrize("damage", [b"", b'{"id": 7', b"\xff\xfe", b"[]"])
    @pytest.mark.parametrize("kind", ["candidate", "generation"])
    def test_a_damaged_record_is_named(self, run, kind, damage):
        path = run.candidate_path(7) if kind == "candidate" else run.generation_path(2)
        path.write_bytes(damage)
        error = self.resume(run)
        assert isinstance(error, InputError)
        assert str(error).startswith(str(path))
        assert "move that file away" in str(error)
        path.unlink()
        assert search_in(run, stand_in_config(), StandIn(stand_in_config())).run()


def test_a_run_extended_by_generations_equals_a_longer_run(tmp_path):
    short, long = stand_in_config(algorithm={"generations": 2}), stand_in_config(algorithm={"generations": 5})
    run, workers = stand_in_run(tmp_path / "short", short), StandIn(long)
    assert search_in(run, long, workers).run()
    assert len(workers.assessed) == 18
    assert archive_of(run)[:2] == archive_of(stand_in_run(tmp_path / "long", long))[:2]
