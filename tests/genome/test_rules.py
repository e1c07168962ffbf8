"""What is legal, and the sentence for what is not."""

import pytest

from helpers import STAR
from star_search.errors import InputError
from star_search.genome import Genome
from star_search.genome.rules import Rules


def sentences(text: str, rules: Rules | None = None) -> list[str]:
    genome = Genome.parse(text)
    return [problem.sentence for problem in (rules or Rules.of(STAR, genome.depth)).problems(genome)]


@pytest.mark.parametrize("text", ["21211-31112-21221-32112", "11111-91111", "11112-11112", "51115-51115-51111", "11111"])
def test_legal_genomes_have_no_problem(text: str) -> None:
    assert sentences(text) == []
    Rules.of(STAR, text.count("-") + 1).check(Genome.parse(text))


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("11111-(99)1111", "LIV 2: class 99 is not in catalogue star, which has 1 to 27"),
        ("01111", "LIV 1: class 0 is not in catalogue star"),
        ("11111-13111", "LIV 2: featurizer group 3 is not legal"),
        ("11111-10111", "LIV 2: featurizer group 0 is not legal"),
        ("11311-11111", "LIV 1: featurizer strategy 3 is not legal"),
        ("11111-11131", "LIV 2: feature group 3 is not legal"),
        ("91112", "LIV 1: feature strategy 2 is not legal for GMemless; legal: 1"),
        ("11115", "LIV 1: feature strategy 5 is not legal for SA-1; legal: 1 to 4"),
        ("51116", "LIV 1: feature strategy 6 is not legal for Rec-1; legal: 1 to 5"),
    ],
)
def test_an_illegal_gene_is_named(text: str, start: str) -> None:
    (sentence,) = sentences(text)
    assert sentence.startswith(start)
    with pytest.raises(InputError, match="is illegal: LIV"):
        Rules.of(STAR, text.count("-") + 1).check(Genome.parse(text))


def test_members_of_a_group_with_different_strategies_conflict() -> None:
    assert sentences("11113-11111-11114") == ["LIV 3: feature strategy 4 differs from 3, the strategy of LIV 1 in the same group 1 of SA-1"]
    (problem,) = Rules.of(STAR, 2).problems(Genome.parse("11113-11114"))
    assert (problem.position, problem.gene, problem.legal) == (1, 4, (1, 3))


@pytest.mark.parametrize("text", ["11113-11124", "11113-21114", "11113-11111", "11213-11113"])
def test_other_groups_other_classes_and_strategy_1_do_not_conflict(text: str) -> None:
    assert sentences(text) == []


def test_too_few_mixers_is_a_problem_of_every_memoryless_liv() -> None:
    rules = Rules(STAR, (1, 9), 1, minimum_mixers=2)
    problems = rules.problems(Genome.parse("91111-11111-91111"))
    assert [(problem.position, problem.gene, problem.legal) for problem in problems] == [(0, 0, (1,)), (2, 0, (1,))]
    assert "the genome has 1 LIVs that mix tokens; at least 2 are needed" in problems[0].sentence
    assert rules.problems(Genome.parse("11111-11111-91111")) == []


def test_every_problem_is_reported_in_depth_order() -> None:
    problems = Rules.of(STAR, 3).problems(Genome.parse("11915-(99)1111-91112"))
    assert [(problem.position, problem.gene) for problem in problems] == [(0, 2), (0, 4), (1, 0), (2, 4)]


def test_without_sharing_strategies_are_1() -> None:
    rules = Rules(STAR, (1, 5), 2, sharing=False)
    assert sentences("11211-51112", rules)[0].startswith("LIV 1: featurizer strategy 2 is not legal")
    assert len(sentences("11211-51112", rules)) == 2
    assert sentences("12121-51111", rules) == []


def test_a_class_outside_the_space_is_named() -> None:
    assert sentences("21111", Rules(STAR, (1, 9), 1)) == ["LIV 1: class 2 (SA-2): is not among the classes of this search space"]
