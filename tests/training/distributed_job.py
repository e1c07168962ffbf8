"""One process of a training of several: trains a small model in every way asked for and prints losses and gradient norms."""

import json
import sys
from dataclasses import replace

import torch

from evolution.small_search import small_config
from star_search.data.store import prepare
from star_search.data.stream import TokenStream
from star_search.model.language_model import LanguageModel
from star_search.training.checkpoint import gather, restore, weights_of
from star_search.training.engine import build_steps
from star_search.training.stability import HealthMonitor
from star_search.training.world import joined

# LIVs 1 and 3 share weights, 2 and 5 share keys and values; rows of a part are fewer than a process's share.
GENOME = "51211-11112-51211-91111-11112"
STEPS = 4


def model_of(stream):
    return LanguageModel.from_genome(GENOME, 16, stream.store.vocabulary_size, seed=0).train()


def readings(steps, first, last):
    for step in range(first, last):
        steps.run(step)
    return steps.mark()()


def resumed(stream, training, world, state):
    steps, monitor = build_steps(model_of(stream), stream, training, world), HealthMonitor(training, 9.0)
    restore(state, steps, monitor, world)
    steps.begin_at(STEPS // 2)
    return readings(steps, STEPS // 2, STEPS), weights_of(steps.model)


def main(source, kinds):
    torch.set_num_threads(1)
    config = small_config(source)
    training = config.training.model_copy(update={"batch_tokens": 4 * config.training.sequence_length, "micro_batch_rows": 1})
    stream = TokenStream(prepare(config.data), training.sequence_length, training.rows, 0)
    found = {}
    # One group for both: a process that left a group cannot count on joining another at the same address.
    with joined("cpu", "fsdp") as joint:
        for kind in kinds:
            world = replace(joint, parallel=kind)
            steps, monitor = build_steps(model_of(stream), stream, training, world), HealthMonitor(training, 9.0)
            before = readings(steps, 0, STEPS // 2)
            state = gather(steps, monitor, world)
            after, weights = readings(steps, STEPS // 2, STEPS), weights_of(steps.model)
            again, same = resumed(stream, training, world, state)
            equal = after == again and all(torch.equal(weights[name], same[name]) for name in weights)
            found[kind] = {"readings": before + after, "resumed": equal, "norm": sum(float(each.norm()) for each in weights.values())}
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
