"""The matched width is the one, of those that fit, whose cost is nearest."""

import pytest

from star_search.errors import InputError
from star_search.genome.accounting import Accounting
from star_search.genome.baselines import baseline
from star_search.genome.encoding import Genome
from star_search.genome.matching import cost, matched, read_match

TARGET = Accounting.of(Genome.parse("-".join(["11111-91111"] * 4)), 256)


def test_a_genome_matches_itself_at_its_own_width():
    for by in ("parameters", "flops"):
        assert matched(Accounting.of(TARGET.genome, 64), TARGET, by, 100, 128).width == 256


@pytest.mark.parametrize("by", ["parameters", "flops"])
def test_no_width_that_fits_is_nearer(by):
    found = matched(Accounting.of(baseline("striped-mamba", 8), 64), TARGET, by, 257, 128)
    wanted, error = cost(TARGET, by, 257, 128), abs(cost(found, by, 257, 128) / cost(TARGET, by, 257, 128) - 1)
    assert error < 0.1
    for width in range(8, 1025, 8):
        try:
            other = cost(Accounting.of(found.genome, width), by, 257, 128)
        except InputError:
            continue
        assert max(other / wanted, wanted / other) >= max(cost(found, by, 257, 128) / wanted, wanted / cost(found, by, 257, 128))


def test_sparser_attention_is_wider_for_the_same_operations():
    """Attention costs operations beyond its weights, so that a model without it is wider at equal operations than at equal weights."""
    without = Accounting.of(Genome.parse("-".join(["71111-91111"] * 4)), 64)
    widths = [matched(without, TARGET, by, 0, 8192).width for by in ("parameters", "flops")]
    assert widths[0] == 256 < widths[1]


def test_other_words_are_refused():
    with pytest.raises(InputError, match="--match flop is unknown; did you mean 'flops'"):
        read_match("flop")
