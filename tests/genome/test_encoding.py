"""The text form of genomes and the errors of what is none."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from genome.strategies import any_genome
from star_search.errors import InputError
from star_search.genome.encoding import Genome, LIVGenes, format_digit


@given(any_genome())
def test_parse_reads_what_format_writes(genome: Genome) -> None:
    assert Genome.parse(genome.format()) == genome
    assert Genome.from_integers(genome.integers()) == genome


def test_values_above_35_stand_in_brackets() -> None:
    genome = Genome((LIVGenes(36, 35, 10, 9, 100), LIVGenes(1, 1, 1, 1, 1)))
    assert genome.format() == str(genome) == "(36)za9(100)-11111"
    assert [format_digit(value) for value in (0, 9, 10, 35, 36)] == ["0", "9", "a", "z", "(36)"]


def test_parse_forgives_capitals_and_outer_spaces() -> None:
    assert Genome.parse("  A1111-91111\n") == Genome.parse("a1111-91111")
    assert Genome.parse("(7)1(1)11").format() == "71111"


def test_genes_have_their_places() -> None:
    assert Genome.parse("12345").livs[0] == LIVGenes(
        liv_class=1, featurizer_group=2, featurizer_strategy=3, feature_group=4, feature_strategy=5
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["empty"]),
        ("   ", ["empty"]),
        ("1111", ["LIV 1", "'1111'", "4 genes"]),
        ("11111-9111", ["LIV 2", "'9111'", "4 genes"]),
        ("11111-911111", ["LIV 2", "6 genes"]),
        ("11111--91111", ["LIV 2", "''", "0 genes"]),
        ("11111-", ["LIV 2", "0 genes"]),
        ("11111-91111-91!11", ["LIV 3", "'91!11'", "'!'"]),
        ("11111 91111", ["LIV 1", "' '"]),
        ("11111-(361111", ["LIV 2", "'('"]),
        ("()1111", ["LIV 1", "'('"]),
        ("11111-1111é", ["LIV 2", "'é'"]),
        ("11111-(٤١)1111", ["LIV 2", "'('"]),
        ("(" + "9" * 5000 + ")1111", ["LIV 1"]),
    ],
)
def test_parse_names_the_position(text: str, words: list[str]) -> None:
    with pytest.raises(InputError) as error:
        Genome.parse(text)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize("integers", [[], [1, 1, 1, 1], [1] * 9])
def test_integers_come_five_per_liv(integers: list[int]) -> None:
    with pytest.raises(InputError, match=f"5 integers per LIV, got {len(integers)}"):
        Genome.from_integers(integers)


@pytest.mark.parametrize("gene", [1.7, None, "1", -1, True, float("nan")])
def test_a_gene_that_is_no_whole_number_is_refused(gene: Any) -> None:
    with pytest.raises(InputError, match=f"gene 3 of the genome must be a whole number of at least 0, got {gene!r}"):
        Genome.from_integers([1, 1, gene, 1, 1])


def test_integers_may_be_numpys() -> None:
    assert Genome.from_integers(np.array([9, 1, 1, 1, 1])).integers() == [9, 1, 1, 1, 1]


def test_genomes_need_no_torch() -> None:
    code = """
import sys
import star_search
genome = star_search.Genome.parse("21211-31112-21221-32112")
genome.canonical(), genome.sharing(), genome.repair()
from star_search.genome.accounting import Accounting
Accounting.of(genome, 64).cache_bytes(128)
assert "torch" not in sys.modules and "pymoo" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
