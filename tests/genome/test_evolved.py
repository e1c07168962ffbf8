"""LIV classes that a genome brings with it: text, legality, sampling, canonical form."""

import re

import numpy as np
import pytest

from helpers import STAR, WIDTH
from star_search.config import SpaceConfig
from star_search.errors import InputError
from star_search.genome.accounting import Accounting
from star_search.genome.catalogue import catalogue_from
from star_search.genome.encoding import Genome
from star_search.genome.evolved import Factors, catalogue_for, class_of, genes_of
from star_search.genome.rules import Rules
from star_search.genome.space import SearchSpace

ATTENTION = "021230:12113:12113:12113:11111:11111"  # SA-1, as genes
WIDE_KEYS = "021230:12113:12213:12213:11111:11111"
LEVELS = (["backbone", "operator"], ["backbone", "operator", "featurizer"])


def hierarchical(levels: list[str], depth: int = 4, **values: object) -> SearchSpace:
    return SearchSpace.from_config(SpaceConfig(depth=depth, width=WIDTH, levels=levels, evolved_classes=2, **values))


def test_the_text_brings_operator_and_featurizer_genes() -> None:
    genome = Genome.parse(f"(101)1111-91111+{WIDE_KEYS}")
    own = catalogue_for(genome, STAR)[101]
    assert (own.name, own.family, own.operator.format(), own.differential) == ("Evolved-1", "attention", "02123", False)
    assert {name: group.expansion for name, group in own.groups.items()} == {"k": 2, "v": 1, "q": 2}
    assert own.fields == {"rotary": True}
    assert genome.format() == f"(101)1111-91111+{WIDE_KEYS}"


def test_a_featurizer_digit_takes_the_genome_of_a_class_of_the_catalogue() -> None:
    own = class_of(Genome.parse("(101)1111+541131").classes[0], 0, STAR)
    assert dict(own.groups) == dict(STAR[5].groups)
    assert own.differential


@pytest.mark.parametrize("class_id", STAR.ids)
def test_every_class_of_the_catalogue_can_be_written_as_genes(class_id: int) -> None:
    """But for what only fields say, genes alone give the class back."""
    liv_class = STAR[class_id]
    again = class_of(genes_of(liv_class), 0, STAR)
    only_in_fields = {"decay", "dense"} & set(liv_class.fields)
    assert again.same_operator(liv_class) == (not only_in_fields)
    assert list(again.groups) == list(liv_class.groups)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        (f"(101)1111-91111+{ATTENTION}", "11111-91111"),
        (f"11111-91111+{WIDE_KEYS}", "11111-91111"),
        (f"(102)1111-91111+{ATTENTION}+{WIDE_KEYS}", f"(101)1111-91111+{WIDE_KEYS}"),
        (f"(101)1111-(102)1111+{WIDE_KEYS}+{WIDE_KEYS}", f"(101)1111-(101)1111+{WIDE_KEYS}"),
        (f"(101)1111-91111+{WIDE_KEYS[:-12]}:32111:12411", f"(101)1111-91111+{WIDE_KEYS}"),
        # LIVs of a twin keep to their own groups.
        (f"11112-(101)1112-11112-(101)1112+{ATTENTION}", "11112-11122-11112-11122"),
    ],
)
def test_equal_permuted_unused_and_known_classes_are_one(text: str, canonical: str) -> None:
    assert Genome.parse(text).canonical().format() == canonical
    assert Genome.parse(canonical).canonical().format() == canonical


def test_a_permutation_of_classes_is_the_same_architecture() -> None:
    other = "041130:12113:12g13:12g13:12113:12113"
    first, second = f"(101)1111-(102)1111+{WIDE_KEYS}+{other}", f"(102)1111-(101)1111+{other}+{WIDE_KEYS}"
    assert Genome.parse(first).canonical() == Genome.parse(second).canonical()


@pytest.mark.parametrize("levels", LEVELS, ids=["operator", "featurizer"])
@pytest.mark.parametrize("composition", [False, True])
def test_samples_are_legal_and_read_back(levels: list[str], composition: bool) -> None:
    space = hierarchical(levels, composition=composition)
    lower, upper = space.bounds()
    seen: set[str] = set()
    for seed in range(40):
        genome = space.sample(np.random.default_rng(seed)).genome
        assert space.rules.problems(genome) == []
        assert Genome.parse(genome.format()) == genome == space.read(genome.integers())
        assert (lower <= genome.integers()).all()
        assert (genome.integers() <= upper).all()
        canonical = genome.canonical(STAR)
        assert Rules.of(STAR, canonical.layout).problems(canonical) == []
        assert canonical.canonical(STAR) == canonical
        sizes = [Accounting.of(each, WIDTH) for each in (genome, canonical)]
        assert sizes[0].parameters == sizes[1].parameters
        assert sizes[0].cache_bytes(300) == sizes[1].cache_bytes(300)
        seen |= {catalogue_for(genome, STAR)[class_id].family for class_id in (101, 102)}
    assert len(seen) >= 5


@pytest.mark.parametrize("levels", LEVELS, ids=["operator", "featurizer"])
@pytest.mark.parametrize("method", ["resample", "reinitialise"])
def test_repair_ends_legal_and_mends_only_what_is_illegal(levels: list[str], method: str) -> None:
    space = hierarchical(levels, composition=True)
    for seed in range(30):
        random_state = np.random.default_rng(seed)
        values = np.array(space.sample(random_state).genome.integers())
        hit = random_state.random(space.size) < 0.1
        values[hit] = random_state.integers(0, 7, hit.sum())
        broken = space.read(values)
        repaired = space.repair(broken, random_state, method)  # type: ignore[arg-type]
        assert space.rules.problems(repaired.genome) == []
        assert (repaired.changed > 0) == bool(repaired.problems) == bool(space.rules.problems(broken))


def test_a_search_draws_only_its_factors_and_repeats_that_divide_the_heads() -> None:
    space = SearchSpace.from_config(
        SpaceConfig(depth=2, width=WIDTH, levels=LEVELS[1], evolved_classes=1, expansions=[1, 4], repeats=[1, 3, 4])
    )
    assert space.rules.factors == Factors((1, 4), (1, 4))
    drawn = [space.sample(np.random.default_rng(seed)).genome for seed in range(60)]
    groups = [group for genome in drawn for group in genome.classes[0].groups]
    assert {group.repeat for group in groups} == {1, 4}
    assert {group.expansion for group in groups} == {1, 2, 4}  # keys are at most twice as wide


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("(101)1111-91111+02123", "class 1 of the genome, '02123', must be five operator genes and 0 or 1 for differential"),
        ("(101)1111-91111+021230:12113", "class 1 of the genome, '021230:12113', must be five operator genes"),
        ("(101)1111-91111+021230:1211*", "class 1 of the genome, '021230:1211*', holds '*', which is no base-36 digit"),
        (f"11111+{ATTENTION}+121230", "the genome's classes must all bring their featurizer genes, or none of them"),
    ],
)
def test_a_class_that_cannot_be_read_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(InputError, match=re.escape(sentence)):
        Genome.parse(text)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("(101)1111", "LIV 1: class 101 is not in catalogue star, which has 1 to 27"),
        (f"(102)1111+{WIDE_KEYS}", "LIV 1: class 102 is not in catalogue star"),
        ("(101)1111+024230:12113:12113:12113:11111:11111", "class 101: sparsity 4 does not go with token mixing 2; allowed: 1 to 3"),
        ("(101)1111+021230:12113:12213:12113:11111:11111", "class 101: q expansion 1 does not fit this operator; allowed: 2"),
        ("(101)1111+021230", "class 1 of the genome"),
        ("(101)1111+731110-91111", "class 1 of the genome"),
        ("(101)1111+131110", "class 101: token mixing 3 (scaled Toeplitz (gated convolution)) does not go with the featurizer; allowed: 2"),
        ("(101)1111+h21230", "class 101: featurizer 17 is none of this catalogue's featurizers"),
    ],
)
def test_an_illegal_class_is_named_gene_by_gene(text: str, sentence: str) -> None:
    with pytest.raises(InputError, match=re.escape(sentence)):
        genome = Genome.parse(text)
        Rules.of(STAR, genome.layout).check(genome)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {"levels": ["operator"]},
            "space.levels must be one of [backbone], [backbone, operator], [backbone, operator, featurizer], got [operator]",
        ),
        ({"levels": ["backbone", "operator"]}, "space.evolved_classes must be at least 1 with space.levels [backbone, operator], got 0"),
        ({"evolved_classes": 2}, "space.evolved_classes must be 0 with space.levels [backbone], got 2"),
    ],
)
def test_levels_that_do_not_fit_are_refused(values: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        SpaceConfig(**values)


@pytest.mark.parametrize("levels", LEVELS, ids=["operator", "featurizer"])
def test_no_genome_of_the_space_is_larger_than_its_largest(levels: list[str]) -> None:
    space = hierarchical(levels, depth=3, composition=True)
    accounts = [Accounting.of(genome, WIDTH) for genome in space.largest_genomes()]
    parameters, cache_bytes = max(each.parameters for each in accounts), max(each.cache_bytes(300) for each in accounts)
    for seed in range(100):
        account = Accounting.of(space.sample(np.random.default_rng(seed)).genome, WIDTH)
        assert account.parameters <= parameters
        assert account.cache_bytes(300) <= cache_bytes


def test_a_class_of_a_users_catalogue_is_the_genes_that_say_the_same() -> None:
    """Whatever order its row has its groups in, and whether it says what it would be without saying."""
    attention = {"k": "12113", "v": "12113"}, {"q": "12113"}
    convolution = {"B": "12113", "v": "12113"}, {"kernel": "31111", "C": "13113"}
    rows = {
        60: {"name": "Turned", "operator": "12123", "context": attention[0], "readout": attention[1], "fields": {"rotary": True}},
        61: {"name": "Wide", "operator": "73113", "context": convolution[0], "readout": convolution[1]},
    }
    mine = catalogue_from({"name": "mine", "version": 1, "classes": rows}, "mine")
    genome = Genome.parse("(101)1111-(60)1111+031130:12113:12113:13113:31111:11111")
    assert genome.canonical(mine).format() == "(61)1111-(60)1111"
    assert list(mine[61].readout) == ["C", "kernel"]
