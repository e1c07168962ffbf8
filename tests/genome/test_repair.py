"""Repair and canonical form, as properties of any genome."""

from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genome.strategies import any_genome, legal_genomes
from helpers import STAR
from star_search import LanguageModel
from star_search.genome import Genome
from star_search.genome.distance import hamming
from star_search.genome.encoding import LIVGenes
from star_search.genome.repair import repair
from star_search.genome.rules import Rules

Method = Literal["resample", "reinitialise"]
METHODS = st.sampled_from(["resample", "reinitialise"])
SETS_OF_RULES = st.builds(
    lambda classes, groups, mixers, sharing: Rules(STAR, tuple(classes), groups, mixers, sharing),
    st.lists(st.sampled_from(STAR.ids), max_size=4, unique=True).map(lambda classes: [1, *(c for c in classes if c != 1)]),
    st.integers(1, 3),
    st.integers(0, 1),
    st.booleans(),
)


@given(any_genome(40), SETS_OF_RULES, METHODS, st.integers(0, 5))
def test_repair_ends_legal_and_is_idempotent(genome: Genome, rules: Rules, method: Method, seed: int) -> None:
    problems = rules.problems(genome)
    repaired = repair(genome, rules, np.random.default_rng(seed), method)
    assert rules.problems(repaired.genome) == []
    assert repaired.genome.depth == genome.depth
    assert repaired.changed == hamming(genome, repaired.genome)
    assert bool(repaired.problems) == bool(problems)
    assert repair(genome, rules, np.random.default_rng(seed), method) == repaired
    again = repair(repaired.genome, rules, np.random.default_rng(seed), method)
    assert (again.genome, again.changed, again.problems) == (repaired.genome, 0, ())


@given(legal_genomes(), METHODS)
def test_a_legal_genome_comes_back_unchanged_and_draws_nothing(genome: Genome, method: Method) -> None:
    generator = np.random.default_rng(0)
    before = generator.bit_generator.state
    assert repair(genome, Rules.of(STAR, genome.depth), generator, method).genome == genome
    assert genome.repair(STAR, generator) == genome
    assert generator.bit_generator.state == before


@given(any_genome(40), st.integers(0, 5))
def test_resampling_changes_only_genes_with_a_problem(genome: Genome, seed: int) -> None:
    rules = Rules.of(STAR, genome.depth)
    repaired = repair(genome, rules, np.random.default_rng(seed))
    named = {(problem.position, problem.gene) for problem in repaired.problems}
    pairs = zip(genome.livs, repaired.genome.livs, strict=True)
    assert {(i, gene) for i, (old, new) in enumerate(pairs) for gene in range(5) if old[gene] != new[gene]} <= named


def test_resampling_draws_every_legal_value_of_a_gene() -> None:
    genome, rules = Genome.parse("11119-11111-11111"), Rules.of(STAR, 3)
    drawn = [repair(genome, rules, np.random.default_rng(seed)).genome for seed in range(400)]
    assert all(each.integers()[:4] == [1, 1, 1, 1] and each.livs[1:] == genome.livs[1:] for each in drawn)
    counts = np.bincount([each.livs[0].feature_strategy for each in drawn])
    assert counts[1:].tolist() == pytest.approx([100] * 4, abs=40)
    assert counts[0] == 0


def test_reinitialising_draws_the_whole_liv_and_no_other() -> None:
    genome, rules = Genome.parse("11111-11119-11111"), Rules.of(STAR, 3)
    drawn = [repair(genome, rules, np.random.default_rng(seed), "reinitialise").genome for seed in range(300)]
    assert all((each.livs[0], each.livs[2]) == (genome.livs[0], genome.livs[2]) for each in drawn)
    assert {each.livs[1].liv_class for each in drawn} == set(STAR.ids)
    assert {each.livs[1].featurizer_group for each in drawn} == {1, 2, 3}


def test_repair_draws_a_strategy_conflict_among_sharing_alike_and_not_at_all() -> None:
    genome, rules = Genome.parse("11113-11114"), Rules.of(STAR, 2)
    assert {repair(genome, rules, np.random.default_rng(seed)).genome.format() for seed in range(30)} == {"11113-11111", "11113-11113"}


def test_repair_for_mixers_does_not_always_take_the_same_liv() -> None:
    genome, rules = Genome.parse("91111-91111-91111"), Rules(STAR, (1, 9), 1, minimum_mixers=1)
    assert {repair(genome, rules, np.random.default_rng(seed)).genome.format() for seed in range(60)} == {
        "11111-91111-91111",
        "91111-11111-91111",
        "91111-91111-11111",
    }


@given(legal_genomes())
def test_canonical_is_legal_idempotent_and_shares_alike(genome: Genome) -> None:
    canonical = genome.canonical(STAR)
    assert canonical.canonical(STAR) == canonical
    assert Rules.of(STAR, genome.depth).problems(canonical) == []
    assert canonical.sharing(STAR).livs == genome.sharing(STAR).livs


@given(legal_genomes(), st.randoms(use_true_random=False))
def test_canonical_ignores_group_numbers_and_inactive_genes(genome: Genome, random: object) -> None:
    """Renumber the groups of every class, and give genes of LIVs that share nothing any number."""
    numbers = {(liv.liv_class, kind): random.sample(range(1, 40), 40 - 1) for liv in genome.livs for kind in (0, 1)}
    free = iter(range(100, 100 + 2 * genome.depth))
    changed = []
    for liv in genome.livs:
        featurizer = numbers[liv.liv_class, 0][liv.featurizer_group] if liv.featurizer_strategy > 1 else next(free)
        features = numbers[liv.liv_class, 1][liv.feature_group] if liv.feature_strategy > 1 else next(free)
        changed.append(LIVGenes(liv.liv_class, featurizer, liv.featurizer_strategy, features, liv.feature_strategy))
    assert Genome(tuple(changed)).canonical(STAR) == genome.canonical(STAR)


@given(legal_genomes(4), legal_genomes(4))
def test_equal_canonical_forms_are_equal_sharing(first: Genome, second: Genome) -> None:
    def structure(genome: Genome) -> tuple[object, ...]:
        return [liv.liv_class for liv in genome.livs], genome.sharing(STAR).livs

    assert (first.canonical(STAR) == second.canonical(STAR)) == (structure(first) == structure(second))


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("21211-31112-21221-32112", "21211-31112-21211-31112"),
        ("11212-91111", "11111-91111"),
        ("11112-11123-11112-11123", "11112-11123-11112-11123"),
        ("11123-11112-11123-11112", "11113-11122-11113-11122"),
        ("12211-11211-12211-11211", "11211-12211-11211-12211"),
        ("12112-51122-12112-51122", "11112-51112-11112-51112"),
        ("11213-11111-11224", "11211-11111-11211"),
        ("92211-91111-92211", "91211-91111-91211"),
    ],
)
def test_canonical_golden_cases(text: str, canonical: str) -> None:
    assert Genome.parse(text).canonical("star").format() == canonical


@settings(max_examples=40)
@given(legal_genomes(5))
def test_genomes_of_one_canonical_form_are_one_model(genome: Genome) -> None:
    tokens = torch.arange(7).unsqueeze(0)
    models = [LanguageModel.from_genome(each, 16, 11, seed=1) for each in (genome, genome.canonical(STAR))]
    shapes = [[(name, parameter.shape) for name, parameter in model.named_parameters()] for model in models]
    assert shapes[0] == shapes[1]
    with torch.no_grad():
        assert torch.equal(models[0](tokens), models[1](tokens))
    assert models[0].cache_bytes(9) == models[1].cache_bytes(9)
