"""Two processes train what one trains, whole or in parts, and go on from a checkpoint bit for bit."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from evolution.small_search import write_text_source
from star_search.errors import InputError
from star_search.model.language_model import LanguageModel
from star_search.training.distributed import tied_groups
from star_search.training.world import World

JOB = Path(__file__).with_name("distributed_job.py")


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return str(found.getsockname()[1])


def run(source, processes, *kinds):
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port(), "WORLD_SIZE": str(processes)}
    paths = {"PYTHONPATH": os.pathsep.join([str(JOB.parents[1]), *sys.path])}
    environments = [{**os.environ, **common, **paths, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(processes)]
    command = [sys.executable, str(JOB), str(source), *kinds]
    started = [subprocess.Popen(command, env=each, stdout=subprocess.PIPE, text=True) for each in environments]
    outputs = [each.communicate(timeout=120)[0] for each in started]
    assert [each.returncode for each in started] == [0] * processes
    return [json.loads(output.splitlines()[-1]) for output in outputs]


@pytest.mark.slow
def test_two_processes_train_what_one_trains(tmp_path):
    source = write_text_source(tmp_path)
    ((alone,), both) = run(source, 1, "ddp"), run(source, 2, "ddp", "fsdp")
    assert both[0] == both[1]
    for found in (alone["ddp"], *both[0].values()):
        assert found["resumed"]
        assert found["norm"] == pytest.approx(alone["ddp"]["norm"], rel=1e-5)
        for (loss, norm), (expected_loss, expected_norm) in zip(found["readings"], alone["ddp"]["readings"], strict=True):
            assert loss == pytest.approx(expected_loss, rel=1e-5)
            assert norm == pytest.approx(expected_norm, rel=1e-4)


def test_rows_that_do_not_divide_are_refused():
    world = World(torch.device("cpu"), rank=1, size=2)
    assert world.share(6) == slice(3, 6)
    with pytest.raises(InputError, match="a step of 5 sequences cannot be divided among 2 processes"):
        world.share(5)


def test_livs_that_use_one_anothers_weights_are_gathered_together():
    model = LanguageModel.from_genome("11211-21211-11211-91111-21211-11111", 16, 8, seed=0)
    assert [[liv.position for liv in group] for group in tied_groups(model.backbone)] == [[0, 2], [1, 4], [3], [5]]
