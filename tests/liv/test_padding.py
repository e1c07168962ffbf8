"""Prompts of several lengths in one batch: padding before a row's first token changes nothing in any class."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from helpers import STAR, lively_backbone, lone, noise, relative, sharing_genomes
from star_search.genome.catalogue import Catalogue, load_catalogue
from star_search.liv.padding import Padding, Place
from star_search.model.backbone import Backbone

SPAN, LENGTH, STEPS = 8, 13, 12
STARTS = torch.tensor([0, 5, LENGTH - 1])
LOCAL = {
    class_id: replace(each, fields=each.fields | {name: SPAN for name in ("window", "block") if name in each.fields})
    for class_id, each in STAR.classes.items()
}
GRID = load_catalogue(str(Path(__file__).parent / "grid.yaml"))
SMALL = replace(GRID, classes={**GRID.classes, **LOCAL})
TOLERANCE = 1e-10


def alone(backbone: Backbone, x: Tensor, start: int) -> Tensor:
    """Return what a row gives without its padding, read whole and then token by token."""
    cache = backbone.init_cache(1, LENGTH + STEPS)
    read = [backbone.prefill(x[None, start:LENGTH], cache)]
    return torch.cat([*read, *(backbone.step(x[None, t], cache)[None] for t in range(LENGTH, LENGTH + STEPS))], 1)[0]


def assert_padding_is_unseen(genome: str, catalogue: Catalogue) -> None:
    backbone = lively_backbone(genome, dtype=torch.float64, catalogue=catalogue)
    x, padding = noise(len(STARTS), LENGTH + STEPS, 64, dtype=torch.float64), Padding(STARTS)
    x[1, :5], x[2, : LENGTH - 1] = 1e6, 1e6
    cache = backbone.init_cache(len(STARTS), LENGTH + STEPS)
    whole = backbone(x[:, :LENGTH], padding=padding)
    read = [backbone.prefill(x[:, :LENGTH], cache, padding)]
    # The second half as one graph for every token would: at a position that is a tensor.
    read += [backbone.step(x[:, t], cache)[:, None] for t in range(LENGTH, LENGTH + STEPS // 2)]
    for t in range(LENGTH + STEPS // 2, LENGTH + STEPS):
        place = Place(torch.tensor(cache.advance(1)), padding)
        read.append(backbone.step_at(x[:, t], cache.states, cache.constants, place)[:, None])
    found = torch.cat(read, 1)
    for row, start in enumerate(STARTS.tolist()):
        expected = alone(backbone, x[row], start)
        assert not whole[row, :start].any() and not found[row, :start].any()
        assert relative(whole[row, start:], expected[: LENGTH - start]) < TOLERANCE
        assert relative(found[row, start:], expected) < TOLERANCE


@torch.no_grad()
@pytest.mark.parametrize("class_id", [pytest.param(class_id, id=each.name) for class_id, each in SMALL.classes.items()])
def test_padding_is_unseen_by_every_class(class_id: int) -> None:
    assert_padding_is_unseen(lone(class_id), SMALL)


@torch.no_grad()
def test_padding_is_unseen_where_livs_share_and_run_in_parallel() -> None:
    genomes = sharing_genomes()
    for genome in [*genomes[::8], *(each for each in genomes if "|" in each)][:16]:
        assert_padding_is_unseen(genome, replace(STAR, classes=LOCAL))


def test_to_back_undoes_to_front_and_gradients_flow_to_tokens_alone() -> None:
    padding, x = Padding(torch.tensor([0, 2])), torch.arange(1.0, 9).reshape(2, 4).requires_grad_()
    assert padding.to_front(x).tolist() == [[1, 2, 3, 4], [7, 8, 8, 8]]
    back = padding.to_back(padding.to_front(x), fill=-1)
    assert back.tolist() == [[1, 2, 3, 4], [-1, -1, 7, 8]]
    assert padding.last(padding.to_front(x)).tolist() == [4, 8]
    back.sum().backward()
    assert x.grad is not None and x.grad.tolist() == [[1, 1, 1, 1], [0, 0, 1, 1]]
