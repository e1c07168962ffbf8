import math

import numpy as np
import pytest

from star_search.data.unigram import unigram_loss


def test_a_uniform_distribution_has_the_entropy_of_its_size():
    assert unigram_loss(np.arange(64, dtype=np.uint16), 257) == pytest.approx(math.log(64), rel=1e-14)


def test_one_token_is_certain():
    assert unigram_loss(np.zeros(5, np.uint16), 257) == 0


def test_a_quarter_and_three_quarters():
    expected = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    assert unigram_loss(np.array([0, 1, 1, 1], np.uint16), 2) == pytest.approx(expected, rel=1e-14)


def test_many_tokens_are_counted_in_parts():
    tokens = np.tile(np.arange(4, dtype=np.uint16), 1 << 19)
    assert unigram_loss(tokens, 4) == pytest.approx(math.log(4), rel=1e-14)
