"""Which LIVs are parallel, and what the digits cost."""

import re

import pytest

from helpers import STAR
from star_search.errors import InputError
from star_search.genome.accounting import Accounting
from star_search.genome.composition import blocks
from star_search.genome.encoding import Genome
from star_search.genome.rules import Rules


@pytest.mark.parametrize(
    ("composition", "expected"),
    [
        ("", [(0, 1, 1), (1, 2, 1), (2, 3, 1), (3, 4, 1)]),
        ("|1111", [(0, 1, 1), (1, 2, 1), (2, 3, 1), (3, 4, 1)]),
        ("|1213", [(0, 2, 2), (2, 4, 3)]),
        ("|1123", [(0, 1, 1), (1, 4, 3)]),
        ("|1232", [(0, 4, 2)]),
    ],
)
def test_a_block_mixes_by_its_last_digit(composition: str, expected: list[tuple[int, int, int]]) -> None:
    genome = Genome.parse("11111-71111-91111-51111" + composition)
    assert [(block.start, block.stop, block.kind) for block in blocks(genome)] == expected


@pytest.mark.parametrize(
    ("composition", "canonical"), [("1111", ""), ("1333", "|1223"), ("1232", "|1222"), ("1312", "|1312"), ("1122", "|1122")]
)
def test_inside_a_block_only_the_last_digit_counts(composition: str, canonical: str) -> None:
    assert Genome.parse(f"11111-71111-91111-51111|{composition}").canonical().format() == f"11111-71111-91111-51111{canonical}"


def test_combining_costs_a_weight_or_a_router_with_its_state() -> None:
    """A router of M LIVs: two maps of M x width, two biases, a step and a time constant each; M numbers of state."""
    plain, mixed, routed = (Accounting.of(Genome.parse("11111-71111-91111" + digits), 64) for digits in ("", "|122", "|123"))
    assert mixed.parameters - plain.parameters == 3
    assert routed.parameters - plain.parameters == 2 * 3 * 64 + 4 * 3
    assert mixed.cache_bytes(100) == plain.cache_bytes(100)
    assert routed.cache_bytes(100) - plain.cache_bytes(100) == 2 * 3


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("11111-71111|22", "LIV 1: composition 2 is not legal; legal: 1"),
        ("11111-71111|14", "LIV 2: composition 4 is not legal; legal: 1 to 3"),
    ],
)
def test_an_illegal_digit_is_named(text: str, sentence: str) -> None:
    with pytest.raises(InputError, match=re.escape(f"genome {text} is illegal: {sentence}")):
        Rules.of(STAR, 2).check(Genome.parse(text))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("11111-71111|1", "the composition '1' has 1 digits for 2 LIVs"),
        ("11111-71111|", "the composition '' has 0 digits for 2 LIVs"),
        ("11111-71111|1/", "the composition '1/' holds '/', which is no base-36 digit"),
    ],
)
def test_a_composition_that_cannot_be_read_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(InputError, match=re.escape(sentence)):
        Genome.parse(text)
