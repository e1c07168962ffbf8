"""Large weights are drawn in pieces by threads: what is drawn follows from the seed alone."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from star_search.liv import drawing
from star_search.liv.drawing import LARGE, PIECE, draw_normal


def drawn(shape, seed=7):
    generator = torch.Generator().manual_seed(seed)
    return draw_normal(torch.empty(shape), 0.3, generator), generator


@pytest.mark.parametrize("threads", [1, 5])
def test_the_number_of_threads_changes_nothing(monkeypatch, threads):
    expected, after = drawn((3, LARGE // 2 + 5))
    monkeypatch.setattr(drawing, "_threads", lambda: ThreadPoolExecutor(threads))
    found, then = drawn((3, LARGE // 2 + 5))
    assert torch.equal(found, expected)
    assert torch.equal(then.get_state(), after.get_state())


def test_small_tensors_are_drawn_from_the_generator_itself():
    weight, _ = drawn(LARGE - 1)
    assert torch.equal(weight, torch.empty(LARGE - 1).normal_(0, 0.3, generator=torch.Generator().manual_seed(7)))


def test_large_tensors_are_normal_and_no_piece_is_like_another():
    (weight, generator), other = drawn(LARGE), drawn(LARGE, seed=8)[0]
    # Half a million numbers: five standard errors of the mean, of the standard deviation and of a fourth moment of 3.
    normal = weight.double() / 0.3
    assert abs(float(normal.mean())) < 5 * LARGE**-0.5
    assert abs(float(normal.std()) - 1) < 5 * (2 * LARGE) ** -0.5
    assert abs(float(normal.pow(4).mean()) - 3) < 5 * (96 / LARGE) ** 0.5
    pieces = torch.stack([*weight.split(PIECE), *other.split(PIECE), *draw_normal(torch.empty(LARGE), 0.3, generator).split(PIECE)])
    correlations = torch.corrcoef(pieces) - torch.eye(len(pieces))
    assert float(correlations.abs().max()) < 6 * PIECE**-0.5
