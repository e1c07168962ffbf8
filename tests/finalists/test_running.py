"""When a training saves its state."""

from types import SimpleNamespace

import pytest
import torch

from star_search.finalists import running
from star_search.finalists.running import Checkpoints
from star_search.training.world import World


class Clock:
    """A clock that goes on when it is told to."""

    now = 1000.0

    def perf_counter(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(running, "time", clock)
    monkeypatch.setattr(running.checkpoint, "write", lambda *_: setattr(clock, "now", clock.now + 30))
    monkeypatch.setattr(running.checkpoint, "gather", lambda *_: {})
    return clock


def checkpoints(every):
    folder = SimpleNamespace(checkpoint_path=lambda done: None, prune=lambda: None, log=lambda *_, **__: None)
    plan = SimpleNamespace(search=SimpleNamespace(training=SimpleNamespace(steps=1000)), genome="", catalogue="", digest="")
    return Checkpoints(folder, plan, every, World(torch.device("cpu")))


def test_between_the_first_and_the_last_state_saving_takes_a_twentieth_of_the_time(clock):
    found, saved = checkpoints(None), []
    for done in range(1, 1001):
        clock.now += 1
        if found.is_due(done):
            saved.append(done)
            found.save(done, SimpleNamespace(at_once=1), None)
    # A state takes 30 s to write and the training 1,000 s: the first of its twentieths, the next after 600 s, and the end.
    assert saved == [50, 650, 1000]


def test_a_state_that_is_written_at_once_is_saved_every_twentieth(clock, monkeypatch):
    monkeypatch.setattr(running.checkpoint, "write", lambda *_: None)
    found = checkpoints(None)
    for done in (50, 100, 150):
        clock.now += 50
        assert found.is_due(done) and not found.is_due(done + 1)
        found.save(done, SimpleNamespace(at_once=1), None)


def test_the_steps_that_were_asked_for_are_kept(clock):
    found = checkpoints(7)
    for done in (7, 14, 1000):
        assert found.is_due(done)
        found.save(done, SimpleNamespace(at_once=1), None)
    assert not found.is_due(15)
