"""The first population, and one architecture kept once."""

import pytest

from evolution.populations import SPACE, generator, population
from star_search.config import SpaceConfig
from star_search.errors import InputError
from star_search.evolution.algorithms import SearchProblem
from star_search.evolution.operators import CanonicalDuplicates, GenomeSampling, MatingStatistics
from star_search.genome.encoding import Genome
from star_search.genome.space import SearchSpace


class TestCanonicalDuplicates:
    # The second differs from the first in groups that nobody shares; the third is another architecture.
    genomes = ("11111-91111-71111-91111-11111-91111", "12111-92111-71111-91121-11111-91111", "71111-91111-71111-91111-11111-91111")

    def eliminated(self, known=(), others=(), **arguments):
        duplicates = CanonicalDuplicates(SPACE, MatingStatistics())
        duplicates.archive |= set(known)
        pop = population([Genome.parse(text).integers() for text in self.genomes])
        return duplicates, duplicates.do(pop, *others, return_indices=True, **arguments)

    def test_one_architecture_is_kept_once_and_marked_with_its_canonical_text(self):
        duplicates, (fresh, kept, dropped) = self.eliminated()
        assert (kept, dropped, duplicates.statistics.duplicates_avoided) == ([0, 2], [1], 1)
        assert [individual.get("canonical") for individual in fresh] == [self.genomes[0], self.genomes[2]]

    def test_what_the_run_asked_for_before_is_dropped(self):
        duplicates, (_, kept, dropped) = self.eliminated(known=[self.genomes[0]])
        assert (kept, dropped, duplicates.statistics.duplicates_avoided) == ([2], [0, 1], 2)

    def test_what_stands_in_another_population_is_dropped(self):
        other = population([Genome.parse(self.genomes[2]).integers()])
        other[0].set("canonical", self.genomes[2])
        _, (_, kept, _) = self.eliminated(others=[other])
        assert kept == [0]

    def test_an_illegal_genome_stands_for_itself(self):
        duplicates = CanonicalDuplicates(SPACE, MatingStatistics(), all_legal=False)
        illegal = Genome.parse("12111-91111-11411-91111-11111-91111")
        assert duplicates.canonical(illegal) == illegal.format()
        assert duplicates.canonical(Genome.parse(self.genomes[1])) == self.genomes[0]

    def test_without_comparing_to_itself_equals_stay(self):
        _, (_, kept, _) = self.eliminated(to_itself=False)
        assert kept == [0, 1, 2]


class TestGenomeSampling:
    def sampling(self, **space):
        space = SearchSpace.from_config(SpaceConfig(width=64, **space))
        return GenomeSampling(space, CanonicalDuplicates(space, MatingStatistics())), SearchProblem(space, 1, 1)

    def test_samples_are_legal_and_distinct_architectures(self):
        sampling, problem = self.sampling(depth=3)
        pop = sampling(problem, 200, random_state=generator())
        genomes = [Genome.from_integers(X) for X in pop.get("X")]
        assert len(genomes) == 200 == len({genome.canonical().format() for genome in genomes})
        assert not any(sampling.space.rules.problems(genome) for genome in genomes)

    # Two places, SA-1 or GMemless in each, at least one mixer, nothing shared: three architectures.
    def test_a_small_space_is_filled_to_its_last_architecture_and_refused_beyond(self):
        sampling, problem = self.sampling(depth=2, classes=[1, 9], sharing=False)
        pop = sampling(problem, 3, random_state=generator())
        assert {Genome.from_integers(X).canonical().format() for X in pop.get("X")} == {"11111-11111", "11111-91111", "91111-11111"}
        with pytest.raises(InputError, match="gave only 3 distinct architectures for a population of 4"):
            sampling(problem, 4, random_state=generator())

    def test_initial_genomes_come_first_and_as_they_are(self):
        sampling, problem = self.sampling(depth=3)
        sampling.initial = [Genome.parse(text) for text in ("11111-92111-11111", "71111-71111-71111")]
        pop = sampling(problem, 5, random_state=generator())
        assert [Genome.from_integers(X).format() for X in pop.get("X")[:2]] == ["11111-92111-11111", "71111-71111-71111"]
        assert len({Genome.from_integers(X).canonical().format() for X in pop.get("X")}) == 5

    def test_what_the_run_has_had_is_not_drawn_again(self):
        sampling, problem = self.sampling(depth=2, classes=[1, 9], sharing=False)
        sampling.known.archive |= {"11111-11111", "11111-91111"}
        (individual,) = sampling(problem, 1, random_state=generator())
        assert Genome.from_integers(individual.X).canonical().format() == "91111-11111"
