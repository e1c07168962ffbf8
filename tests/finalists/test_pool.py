"""Worker processes of a comparison: what they do is what this process does; one that dies is one sentence, what a task refuses too."""

import os
from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from star_search.config import SearchConfig
from star_search.errors import InputError, StarSearchError
from star_search.finalists.pool import Began, Done, Moved, Pool, Task, in_turn
from star_search.finalists.source import Source
from star_search.genome.encoding import Genome


@dataclass
class Pretended:
    """A comparison whose trainings take no time; a seed of -1 is refused, one of -2 kills the process."""

    world: object = None

    def train(self, source, seed, watch):
        if seed == -1:
            raise InputError("there is no such seed")
        if seed == -2:
            os._exit(7)
        for step in (1, 2):
            watch(SimpleNamespace(step=step))
        return f"{source.label} with seed {seed}"


def tasks(*seeds):
    source = Source("a model", Genome.parse("11111-91111"), SearchConfig())
    return [Task("train", source, seed) for seed in seeds]


@pytest.fixture(scope="module")
def pool():
    made = Pool(2, SearchConfig(), ["cpu"])
    yield made
    made.close()


def test_workers_do_what_this_process_does(pool):
    events, others = [], []
    found = {done.task.seed: done.result for done in pool.side_by_side(Pretended(), tasks(0, 1, 2, 3, 4), events.append)}
    expected = {done.task.seed: done.result for done in in_turn(Pretended(), tasks(0, 1, 2, 3, 4), others.append)}
    assert found == expected and len(found) == 5
    for seed in range(5):
        told = [(type(event), getattr(event, "step", None)) for event in events if event.task.seed == seed]
        assert told == [(Began, None), (Moved, 1), (Moved, 2), (Done, None)]
        assert told == [(type(event), getattr(event, "step", None)) for event in others if event.task.seed == seed]


@pytest.mark.parametrize(
    ("seed", "error", "sentence"),
    [
        (-1, InputError, "there is no such seed"),
        (
            -2,
            StarSearchError,
            r"the process that had a model, learning rate 0\.0008, seed -2 died \(exit code 7\); what was finished is kept",
        ),
    ],
)
def test_what_cannot_be_done_is_one_sentence(seed, error, sentence):
    made = Pool(1, SearchConfig(), ["cpu"])
    try:
        with pytest.raises(error, match=sentence):
            list(made.side_by_side(Pretended(), tasks(0, seed), lambda event: None))
    finally:
        made.close()
