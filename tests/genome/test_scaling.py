"""A scaled genome is its copies: the same LIVs as often, sharing within each copy and never between two."""

import pytest

from helpers import sampled, whole_space_genome
from star_search.errors import InputError
from star_search.genome.accounting import Accounting
from star_search.genome.baselines import baseline
from star_search.genome.encoding import Genome
from star_search.genome.scaling import read_scale, scaled

SHARING = Genome.parse("21211-31112-21211-31112")


def test_each_copy_shares_within_itself():
    assert scaled(SHARING, 8, "stack").format() == "21211-31112-21211-31112-22211-31122-22211-31122"
    assert scaled(SHARING, 8, "stretch").format() == "21211-22211-31112-31122-21211-22211-31112-31122"


def test_parallel_livs_stay_together():
    genome = Genome.parse("11111-71111-91111-91111|1231")
    assert scaled(genome, 8, "stretch").format() == "11111-71111-91111-11111-71111-91111-91111-91111|12312311"
    assert scaled(genome, 8, "stack").format() == "11111-71111-91111-91111-11111-71111-91111-91111|12311231"


@pytest.mark.parametrize("genome", [*(sampled(8, 2, seed) for seed in range(3)), whole_space_genome(4, 0)], ids=str)
@pytest.mark.parametrize("scale", ["stack", "stretch"])
def test_parameters_and_cache_are_those_of_the_copies(genome, scale):
    once, thrice = (Accounting.of(each, 64) for each in (genome, scaled(genome, 3 * genome.depth, scale)))
    assert thrice.operator_parameters == 3 * once.operator_parameters
    assert thrice.composition_parameters == 3 * once.composition_parameters
    assert thrice.cache_bytes(300) == 3 * once.cache_bytes(300)


@pytest.mark.parametrize("scale", ["stack", "stretch"])
def test_once_is_the_canonical_form(scale):
    genome = sampled(8, 2, 1)
    assert scaled(genome, 8, scale) == genome.canonical()


def test_a_stacked_baseline_is_the_deeper_baseline():
    assert scaled(baseline("jamba-like", 16), 48, "stack") == baseline("jamba-like", 48)


def test_other_depths_and_words_are_refused():
    for depth in (0, 3, 6):
        with pytest.raises(InputError, match=f"the genome has 4 LIVs and is to have {depth}; a genome is scaled to a multiple"):
            scaled(SHARING, depth, "stack")
    with pytest.raises(InputError, match="--scale strech is unknown; did you mean 'stretch'"):
        read_scale("strech")
    with pytest.raises(InputError, match="is illegal: LIV 2"):
        scaled(Genome.parse("21212-21213"), 4, "stack")
