"""The shipped catalogues, row by row as DESIGN section 2 has them."""

from dataclasses import replace

import pytest

from helpers import STAR
from star_search.errors import InputError
from star_search.genome import load_catalogue

NAMES_AND_OPERATORS = {
    1: ("SA-1", "12123"),
    2: ("SA-2", "22113"),
    3: ("SA-3", "32123"),
    4: ("SA-4", "42123"),
    5: ("Rec-1", "54113"),
    6: ("Rec-2", "64111"),
    7: ("GConv-1", "73111"),
    8: ("GConv-2", "83111"),
    9: ("GMemless", "91142"),
    10: ("SA-1-Diff", "12123"),
    11: ("SA-2-Diff", "22113"),
    12: ("SA-3-Diff", "32123"),
    13: ("SA-4-Diff", "42123"),
    14: ("Rec-1-Diff", "54113"),
    15: ("Rec-2-Diff", "64111"),
    16: ("GConv-1-Diff", "73111"),
    17: ("GConv-2-Diff", "83111"),
    18: ("S4-1", "b4111"),
    19: ("S4-2", "c4111"),
    20: ("S4-Diff", "b4111"),
    21: ("S4-Monarch", "d4111"),
    22: ("SA-Conv", "a2123"),
    23: ("SA-Conv-Diff", "a2123"),
    24: ("SA-Window", "12223"),
    25: ("SA-Block", "12323"),
    26: ("GMemless-GELU", "91152"),
    27: ("GMemless-ReLU", "91132"),
}
DIFFERENTIAL = {*range(10, 18), 20, 23}
CONTEXT = {
    ("k", "v"): [1, 2, 3, 4, 10, 11, 12, 13, 22, 23, 24, 25],
    ("A", "B", "v"): [5, 6, 14, 15],
    ("B", "v"): [7, 8, 16, 17],
    ("v",): [18, 20, 21],
    ("A", "v"): [19],
    (): [9, 26, 27],
}


def test_star_has_its_27_classes() -> None:
    assert {class_id: (each.name, each.operator.format()) for class_id, each in STAR.classes.items()} == NAMES_AND_OPERATORS
    assert {class_id for class_id, each in STAR.classes.items() if each.differential} == DIFFERENTIAL
    assert all(each.id == class_id for class_id, each in STAR.classes.items())


def test_context_groups_stand_in_the_order_of_their_strategy_digits() -> None:
    assert {class_id: tuple(each.context) for class_id, each in STAR.classes.items()} == {
        class_id: names for names, ids in CONTEXT.items() for class_id in ids
    }


def test_paper_has_the_17_classes_of_the_paper() -> None:
    paper = load_catalogue("paper")
    origin = {class_id: class_id for class_id in range(1, 18)} | {2: 22, 11: 23}
    assert {class_id: each.name for class_id, each in paper.classes.items()} == {i: STAR[origin[i]].name for i in range(1, 18)}
    assert {i: each.operator.format() for i, each in paper.classes.items()} == {i: STAR[origin[i]].operator.format() for i in range(1, 18)}
    assert all(each.id == class_id for class_id, each in paper.classes.items())


def test_every_class_of_both_catalogues_is_built() -> None:
    assert STAR.ids == list(range(1, 28))
    assert load_catalogue("paper").ids == list(range(1, 18))


def test_feature_strategies_follow_the_context_groups() -> None:
    assert STAR[9].feature_strategies == [1]
    assert STAR[18].feature_strategies == [1, 2]
    assert STAR[1].feature_strategies == [1, 2, 3, 4]
    assert STAR[5].feature_strategies == [1, 2, 3, 4, 5]
    assert [STAR[5].shared_groups(strategy) for strategy in range(1, 6)] == [[], ["A", "B", "v"], ["A"], ["B"], ["v"]]
    assert [STAR[18].shared_groups(strategy) for strategy in (1, 2)] == [[], ["v"]]


def test_find_takes_ids_and_names() -> None:
    assert STAR.find(5) is STAR.find("5") is STAR.find("rec-1") is STAR[5]
    with pytest.raises(InputError, match="no LIV class 'Rec1'; did you mean 'Rec-1'"):
        STAR.find("Rec1")
    with pytest.raises(InputError, match="star has no LIV class 99; it has 1 to 27"):
        STAR.find(99)
    gaps = replace(STAR, classes={key: STAR[key] for key in (1, 2, 3, 7, 26, 27)})
    assert gaps.span() == "1 to 3, 7, 26 to 27"


def test_an_unknown_catalogue_is_refused() -> None:
    with pytest.raises(InputError, match="unknown catalogue 'stars'; did you mean 'star'"):
        load_catalogue("stars")


def test_only_memoryless_classes_do_not_mix() -> None:
    assert [class_id for class_id, each in STAR.classes.items() if not each.is_mixer] == [9, 26, 27]
