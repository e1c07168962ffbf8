"""Who shares what: the golden genome, scope by class, and combinations of both kinds."""

from hypothesis import given

from genome.strategies import legal_genomes
from helpers import STAR
from star_search.genome import Genome
from star_search.genome.sharing import SharingGroup


def test_golden_genome_shares_exactly_what_it_says() -> None:
    """LIVs 1 and 3 share featurizer weights, LIVs 2 and 4 share feature groups, nothing else is shared."""
    sharing = Genome.parse("21211-31112-21221-32112").sharing("star")
    assert set(sharing.groups) == {
        SharingGroup("featurizer", 2, 1, 2, (0, 2), ("k", "v", "q")),
        SharingGroup("features", 3, 1, 2, (1, 3), ("k", "v")),
    }
    assert [liv.features_from for liv in sharing.livs] == [
        {"k": 0, "v": 0, "q": 0},
        {"k": 1, "v": 1, "q": 1},
        {"k": 2, "v": 2, "q": 2},
        {"k": 1, "v": 1, "q": 3},
    ]
    assert [liv.weights_from for liv in sharing.livs] == [
        {"k": 0, "v": 0, "q": 0},
        {"k": 1, "v": 1, "q": 1},
        {"k": 0, "v": 0, "q": 0},
        {"q": 3},
    ]


def test_groups_are_scoped_by_class() -> None:
    assert Genome.parse("11212-21212").sharing().groups == ()
    assert [group.liv_class for group in Genome.parse("11212-21212-11212-21212").sharing().groups] == [1, 2, 1, 2]


def test_different_groups_and_strategy_1_share_nothing() -> None:
    assert Genome.parse("11212-12222").sharing().groups == ()
    assert Genome.parse("11111-11111-11111").sharing().groups == ()


def test_lone_members_share_nothing() -> None:
    assert Genome.parse("11212-11111").sharing().groups == ()


def test_a_strategy_names_the_groups_it_shares() -> None:
    for strategy, names in ((2, ("A", "B", "v")), (3, ("A",)), (4, ("B",)), (5, ("v",))):
        (group,) = Genome.parse(f"5111{strategy}-5111{strategy}").sharing().groups
        assert group.groups == names
        assert group.members == (0, 1)


def test_members_share_with_the_first_in_depth_order() -> None:
    sharing = Genome.parse("11111-11113-11211-11113-11211-11113").sharing()
    assert [liv.features_from["k"] for liv in sharing.livs] == [0, 1, 2, 1, 4, 1]
    assert [liv.weights_from.get("v") for liv in sharing.livs] == [0, 1, 2, 3, 2, 5]


def test_a_featurizer_group_whose_first_member_takes_features_ties_them_to_the_first_that_computes() -> None:
    """LIV 2 takes k and v from LIV 1 and heads a featurizer group: q is tied to LIV 2, k and v to LIV 3."""
    sharing = Genome.parse("11112-11212-11211-11211").sharing()
    featurizer = next(group for group in sharing.groups if group.kind == "featurizer")
    assert (featurizer.members, set(featurizer.groups)) == ((1, 2, 3), {"k", "v", "q"})
    assert [liv.weights_from for liv in sharing.livs] == [
        {"k": 0, "v": 0, "q": 0},
        {"q": 1},
        {"k": 2, "v": 2, "q": 1},
        {"k": 2, "v": 2, "q": 1},
    ]
    assert sharing.owned(2) == ["k", "v"]
    assert sharing.computed(1) == ["q"]


@given(legal_genomes())
def test_sources_are_earlier_livs_of_the_same_class_that_compute_and_own(genome: Genome) -> None:
    sharing = genome.sharing(STAR)
    for position, liv in enumerate(sharing.livs):
        names = list(STAR[genome.livs[position].liv_class].groups)
        assert list(liv.features_from) == names
        assert set(liv.weights_from) == {name for name in names if liv.features_from[name] == position}
        for name, source in [*liv.features_from.items(), *liv.weights_from.items()]:
            assert source <= position
            assert genome.livs[source].liv_class == genome.livs[position].liv_class
            assert sharing.livs[source].features_from[name] == source
        for name, owner in liv.weights_from.items():
            assert sharing.livs[owner].weights_from[name] == owner
