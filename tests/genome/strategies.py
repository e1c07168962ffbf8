"""Hypothesis strategies for genomes."""

from hypothesis import strategies as st

from helpers import STAR
from star_search.genome.encoding import Genome, LIVGenes
from star_search.genome.rules import Rules


def any_genome(highest: int = 120) -> st.SearchStrategy[Genome]:
    """Genomes of any non-negative integers, most of them illegal."""
    gene = st.integers(0, 9) | st.integers(0, highest)
    return st.lists(st.tuples(gene, gene, gene, gene, gene).map(LIVGenes._make), min_size=1, max_size=9).map(lambda x: Genome(tuple(x)))


@st.composite
def legal_genomes(draw: st.DrawFn, max_depth: int = 8) -> Genome:
    """Legal genomes with much sharing: few classes, two groups, one strategy for every group of a class."""
    depth = draw(st.integers(1, max_depth))
    classes = draw(st.lists(st.sampled_from(STAR.ids), min_size=1, max_size=2, unique=True))
    strategies = {(c, group): draw(st.sampled_from(STAR[c].feature_strategies)) for c in classes for group in (1, 2)}
    livs = []
    for _ in range(depth):
        class_id, featurizer_group, group = draw(st.sampled_from(classes)), draw(st.integers(1, 2)), draw(st.integers(1, 2))
        strategy = draw(st.sampled_from([1, strategies[class_id, group]]))
        livs.append(LIVGenes(class_id, min(featurizer_group, depth), draw(st.integers(1, 2)), min(group, depth), strategy))
    genome = Genome(tuple(livs))
    return genome if not Rules.of(STAR, depth).problems(genome) else Genome(tuple(liv._replace(feature_strategy=1) for liv in livs))
