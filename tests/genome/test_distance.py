"""How far genomes are from each other, whatever one has and the other lacks."""

import pytest

from star_search.genome.distance import hamming
from star_search.genome.encoding import Genome

OWN = "+021230:12113:12113:12113:11111:11111"


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("21211-31112", "21211-31112", 0),
        ("21211-31112", "11211-31113", 2),
        ("11111-71111|12", "11111-71111", 1),
        ("11111-71111|13", "21111-71111|12", 2),
        ("11111-71111|12", "11111-71111|11", 1),
        (f"(101)1111{OWN}", f"(101)1111{OWN}", 0),
        (f"(101)1111{OWN}", "11111", 1 + 31),
    ],
)
def test_it_counts_the_genes_that_differ(first, second, expected):
    one, other = Genome.parse(first), Genome.parse(second)
    assert hamming(one, other) == hamming(other, one) == expected
