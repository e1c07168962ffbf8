"""Baselines are legal genomes at every depth, have the sizes known of them, and their names stand where genomes do."""

import pytest

from star_search.config import AlgorithmConfig, SpaceConfig
from star_search.errors import InputError
from star_search.evolution.initial import initial_genomes
from star_search.genome.accounting import Accounting
from star_search.genome.baselines import BASELINES, baseline, read_genome, split_names
from star_search.genome.catalogue import load_catalogue
from star_search.genome.encoding import Genome
from star_search.genome.rules import Rules
from star_search.genome.space import SearchSpace


@pytest.mark.parametrize("name", BASELINES)
@pytest.mark.parametrize("catalogue", ["star", "paper"])
def test_every_baseline_is_legal_at_any_depth(name, catalogue):
    table = load_catalogue(catalogue)
    for depth in (1, 2, 7, 48):
        genome = baseline(name, depth, table)
        assert genome.depth == depth
        Rules.of(table, genome.layout).check(genome)
        assert genome.canonical(table) == genome


def mixers(name, count):
    """Return the classes of the first mixers; between them stand gated memoryless units."""
    genome = baseline(name, 2 * count)
    assert {liv.liv_class for liv in genome.livs[1::2]} == {9}
    return [liv.liv_class for liv in genome.livs[::2]]


def test_transformer_plus_plus_is_the_golden_genome():
    assert baseline("transformer++", 24) == Genome.parse("-".join(["11111-91111"] * 12))
    account = Accounting.of(baseline("transformer++", 48), 2048)
    assert account.cache_bytes(4096) == 805_306_368


def test_striped_mamba_has_four_attentions_at_the_larger_scale():
    assert mixers("striped-mamba", 24).count(1) == 4
    assert mixers("striped-mamba", 4) == [5, 5, 5, 1]
    # The paper's STAR-1B holds 86 MB, 37 % less than its StripedMamba.
    assert Accounting.of(baseline("striped-mamba", 48), 2048).cache_bytes(4096) == pytest.approx(86e6 / (1 - 0.37), rel=0.05)


def test_jamba_attends_at_the_fifth_of_eight_and_lfm2_at_six_of_sixteen():
    assert mixers("jamba-like", 16) == [5, 5, 5, 5, 3, 5, 5, 5] * 2
    assert [index for index, mixer in enumerate(mixers("lfm2-like", 16)) if mixer == 3] == [2, 5, 8, 10, 12, 14]


def test_names_stand_where_genomes_do():
    assert read_genome("Transformer++", 2) == read_genome("11111-91111", 24) == Genome.parse("11111-91111")
    space = SearchSpace.from_config(SpaceConfig(depth=6, width=64))
    found = initial_genomes(AlgorithmConfig(initial_genomes=["lfm2-like", "transformer++"]), space)
    assert found == [baseline("lfm2-like", 6), baseline("transformer++", 6)]
    assert split_names("striped-mamba, Jamba-like,striped-mamba") == ["striped-mamba", "jamba-like"]
    assert split_names("Mine=21111-91111,transformer++") == ["mine=21111-91111", "transformer++"]


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: read_genome("striped-mambo", 4), "'striped-mambo' is neither a genome nor a baseline; did you mean 'striped-mamba'?"),
        (lambda: split_names("lfm2"), "unknown baseline 'lfm2'; did you mean 'lfm2-like'?"),
        (lambda: read_genome("1111-91111", 4), "LIV 1 of the genome, '1111', has 4 genes; five are needed"),
    ],
)
def test_what_is_neither_is_refused(call, sentence):
    with pytest.raises(InputError) as error:
        call()
    assert str(error.value).startswith(sentence)


def test_a_catalogue_without_the_classes_is_named():
    rows = {"name": "small", "version": 1, "base": "star", "classes": {1: 1, 2: 9}}
    assert baseline("transformer++", 2, load_catalogue(rows)) == Genome.parse("11111-21111")
    with pytest.raises(InputError, match="baseline lfm2-like cannot be built: catalogue small has no LIV class 'GConv-1'"):
        baseline("lfm2-like", 2, load_catalogue(rows))
