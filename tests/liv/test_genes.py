"""Every gene matters, no parameter is dead, gradients stay bounded, and a seed decides everything (DESIGN 6.6, 6.7)."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from helpers import STAR, class_parameters, lively_backbone, lone, noise, sampled, sharing_genomes, whole_space, whole_space_genome
from liv.conformance import assert_bounded, assert_no_parameter_is_dead, liv_gradient_norms
from star_search import Genome, LanguageModel
from star_search.genome.evolved import Factors
from star_search.genome.rules import Rules

CLASSES = class_parameters()
COMPOSED = ["11111-71111-91111|123", "11112-71111-11112|122"]
HIERARCHICAL = [
    "(101)1111-91111+021230:12113:32213:12213:11111:11111",
    "(101)1111-(101)1111|12+041111:12113:12213:32213:12213:12113",
    "(101)1211-(101)1211+031130:13113:12113:13113:31112:11111",
    "(101)1111-11111+011430:11113:11111:11111:11111:13113",
]
SOME_GENOMES = ["21211-31112-21221-32112", "51114-51214-51211", "11113-61211-11113-61211", *(sampled(4, 2, s).format() for s in (3, 4))]


def neighbours(genome: Genome, rules: Rules) -> Iterator[Genome]:
    """Yield every legal genome that differs in one gene."""
    values = genome.integers()
    for index, value in enumerate(values):
        for other in rules.gene_values(genome, *genome.layout.locate(index)):
            candidate = Genome.from_integers([*values[:index], other, *values[index + 1 :]], genome.layout)
            if other != value and not rules.problems(candidate):
                yield candidate


def decoded(genome: Genome) -> tuple[list[tuple[str, torch.Size]], int, Tensor]:
    """Return what can differ between two models of one seed: parameters, cache, outputs."""
    model = LanguageModel.from_genome(genome, width=16, vocabulary_size=11, seed=0).double()
    tokens = torch.randint(11, (1, 7), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return [(name, p.shape) for name, p in model.named_parameters()], model.cache_bytes(1000), model(tokens)


@pytest.mark.parametrize("text", SOME_GENOMES + COMPOSED + HIERARCHICAL)
def test_a_gene_changes_the_model_unless_canonical_form_removes_it(text: str) -> None:
    genome = Genome.parse(text).canonical(STAR)
    parameters, cache_bytes, outputs = decoded(genome)
    kept = changed = 0
    rules = replace(Rules.of(STAR, genome.layout), factors=Factors(expansions=(1, 2, 4)))
    for neighbour in neighbours(genome, rules):
        same = decoded(neighbour)
        equal = same[0] == parameters and same[1] == cache_bytes and torch.equal(same[2], outputs)
        assert equal == (neighbour.canonical(STAR) == genome), neighbour.format()
        kept, changed = kept + equal, changed + (not equal)
    assert kept > 0
    assert changed >= 2 * genome.depth


def blurred(genome: Genome) -> Genome:
    """Return the genome with windows for blocks: few tokens do not tell these apart."""
    livs = tuple(liv._replace(liv_class=24) if liv.liv_class == 25 else liv for liv in genome.livs)
    operators = [each.operator._replace(sparsity=min(each.operator.sparsity, 2)) for each in genome.classes]
    classes = tuple(each._replace(operator=operator) for each, operator in zip(genome.classes, operators, strict=True))
    return replace(genome, livs=livs, classes=classes).canonical(STAR)


@given(st.integers(1, 3), st.integers(0, 2**32 - 1), st.data())
@settings(max_examples=100)
def test_genomes_of_the_whole_space_are_one_model_where_they_have_one_canonical_form(depth: int, seed: int, data: st.DataObject) -> None:
    drawn = whole_space_genome(depth, seed)
    assert Genome.parse(drawn.format()) == drawn == drawn.repair(STAR)
    genome = drawn.canonical(STAR)
    assert genome.canonical(STAR) == genome
    neighbour = data.draw(st.sampled_from(list(neighbours(drawn, whole_space(depth, evolved=2).rules))))
    assume(neighbour.canonical(STAR) == genome or blurred(neighbour) != blurred(genome))
    (parameters, cache_bytes, outputs), same = decoded(genome), decoded(drawn)
    assert same[:2] == (parameters, cache_bytes) and torch.equal(same[2], outputs)
    other = decoded(neighbour)
    equal = other[0] == parameters and other[1] == cache_bytes and torch.equal(other[2], outputs)
    assert equal == (neighbour.canonical(STAR) == genome), neighbour.format()


@pytest.mark.parametrize("genome", [lone(each.values[0]) for each in CLASSES] + sharing_genomes())
def test_no_parameter_is_dead(genome: str) -> None:
    assert_no_parameter_is_dead(LanguageModel.from_genome(genome, width=32, vocabulary_size=16, residual="scaled", seed=0))


@pytest.mark.parametrize("genome", [pytest.param("-".join([lone(each.values[0])] * 48), id=each.id) for each in CLASSES])
def test_gradients_are_bounded_at_depth_48(genome: str) -> None:
    assert_bounded(liv_gradient_norms(genome), 1000)


def test_gradients_are_bounded_at_depth_48_with_every_class() -> None:
    genomes = [lone(each.values[0]) for each in CLASSES]
    assert_bounded(liv_gradient_norms("-".join((genomes * 48)[:48])), 1000)


def trained(genome: str, seed: int) -> tuple[list[Tensor], Tensor]:
    """Train for three steps and return the parameters and the outputs."""
    model = LanguageModel.from_genome(genome, width=32, vocabulary_size=16, dropout=0.1, seed=seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    torch.manual_seed(seed)
    for _ in range(3):
        tokens = torch.randint(16, (2, 20))
        optimizer.zero_grad()
        functional.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten()).backward()
        optimizer.step()
    return list(model.parameters()), model.eval()(torch.arange(16).unsqueeze(0))


@pytest.mark.parametrize("genome", [lone(each.values[0]) for each in CLASSES] + SOME_GENOMES)
def test_a_seed_decides_parameters_and_outputs(genome: str) -> None:
    first, second, other = trained(genome, 0), trained(genome, 0), trained(genome, 1)
    assert all(torch.equal(a, b) for a, b in zip(first[0], second[0], strict=True))
    assert torch.equal(first[1], second[1])
    assert not torch.equal(first[1], other[1])


def test_sharing_ties_the_named_weights_and_nothing_else() -> None:
    """`21211-31112-21221-32112`: LIVs 1 and 3 use one featurizer, LIVs 2 and 4 one k and v; output maps stay each one's own."""
    livs = lively_backbone("21211-31112-21221-32112").livs
    names = [sorted(name for name, _ in liv.named_parameters()) for liv in livs]
    whole = ["featurizer.k.weight", "featurizer.q.weight", "featurizer.v.weight", "output.weight"]
    assert names == [whole, whole, ["output.weight"], ["featurizer.q.weight", "output.weight"]]
    assert all(livs[2].group(name) is livs[0].group(name) for name in "qkv")
    x = noise(1, 5, 64)
    features = livs[1].featurize(x)
    taken = livs[3].featurize(x, features)
    assert taken["k"] is features["k"]
    assert taken["v"] is features["v"]
    assert not torch.equal(taken["q"], features["q"])
