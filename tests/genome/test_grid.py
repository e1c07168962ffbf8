"""Which genes go together: every shipped class does, and what does not is named with what would."""

import pytest

from helpers import STAR, class_parameters
from star_search.genome.genes import GroupGenome, OperatorGenome
from star_search.genome.grid import GROUPS_OF, class_problems, context_names, default_fields


@pytest.mark.parametrize("class_id", class_parameters())
def test_every_shipped_class_goes_together(class_id: int) -> None:
    liv_class = STAR[class_id]
    assert class_problems(liv_class.operator, liv_class.differential, liv_class.groups) == []
    assert set(liv_class.groups) == set(GROUPS_OF[liv_class.operator.token_mixing])
    assert tuple(liv_class.context) == (context_names(liv_class.groups) if liv_class.is_mixer else ())


@pytest.mark.parametrize("class_id", [1, 2, 5, 7, 8, 9, 18, 22, 24, 25])
def test_fields_of_shipped_classes_are_the_defaults(class_id: int) -> None:
    assert default_fields(STAR[class_id].operator, STAR[class_id].groups) == STAR[class_id].fields


@pytest.mark.parametrize(
    ("like", "digits", "differential", "sentence"),
    [
        (9, "91122", False, "nonlinearity 2 (softmax) does not go with token mixing 1, diagonal (memoryless); allowed: 1, 3, 4, 5"),
        (9, "91142", True, "differential 1 (yes) does not go with token mixing 1, diagonal (memoryless); allowed: 0"),
        (1, "12121", False, "channel mixing 1 (diagonal (per channel)) does not go with token mixing 2, low rank (attention); allowed: 3"),
        (7, "73311", False, "sparsity 3 (block-diagonal) does not go with token mixing 3, scaled Toeplitz (gated convolution); allowed: 1"),
        (7, "73112", False,
         "channel mixing 2 (dense (through an inner width)) does not go with token mixing 3, scaled Toeplitz "
         "(gated convolution); allowed: 1, 3"),
        (5, "54143", True,
         "nonlinearity 4 (swish (SiLU)) does not go with token mixing 4, sequentially semi-separable (recurrence); allowed: 1"),
        (1, "15123", False, "token mixing 5 is unknown; allowed: 1 to 4"),
        (1, "13111", False, "feature group B is missing: token mixing 3 needs v, B, C, kernel"),
        (18, "b4113", False, "B parametrisation 1 (direct (a learned tensor)) does not fit this operator; allowed: 3"),
    ],
)  # fmt: skip
def test_an_operator_that_does_not_go_together_says_which_gene(like: int, digits: str, differential: bool, sentence: str) -> None:
    operator = OperatorGenome(*(int(digit, 36) for digit in digits))
    assert class_problems(operator, differential, STAR[like].groups)[0].sentence == sentence


@pytest.mark.parametrize(
    ("like", "group", "genes", "sentence"),
    [
        (1, "k", (1, 2, 1, 2, 3), "k repeat 2 does not fit this operator; allowed: 1"),
        (1, "q", (1, 2, 2, 1, 3), "q expansion 2 does not fit this operator; allowed: 1"),
        (1, "v", (2, 2, 1, 1, 3), "v token mixing 2 does not fit this operator; allowed: 1, 3"),
        (3, "k", (1, 1, 1, 4, 3), "k channel mixing 1 (diagonal (a factor per channel)) does not fit this operator; allowed: 2, 3"),
        (6, "C", (1, 2, 4, 1, 3), "C expansion 4 does not fit this operator; allowed: 2"),
        (6, "A", (1, 2, 1, 1, 1), "A parametrisation 1 (direct (a learned tensor)) does not fit this operator; allowed: 2, 3"),
        (19, "A", (1, 2, 1, 1, 3), "A expansion 1 does not fit this operator; allowed: 4"),
        (7, "kernel", (3, 1, 1, 1, 3),
         "kernel parametrisation 3 (input-dependent (computed from x by a featurizer)) does not fit this operator; "
         "allowed: 1, 2"),
        (14, "B", (3, 2, 3, 1, 3), "B expansion 3 does not fit this operator; allowed: " + ", ".join(map(str, range(2, 65, 2)))),
    ],
)  # fmt: skip
def test_a_feature_group_that_does_not_fit_says_which_gene(like: int, group: str, genes: tuple[int, ...], sentence: str) -> None:
    groups = STAR[like].groups | {group: GroupGenome(*genes)}
    assert class_problems(STAR[like].operator, STAR[like].differential, groups)[0].sentence == sentence
