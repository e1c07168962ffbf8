"""Genomes that a search begins with: lists, files and earlier runs, and what of them is refused."""

import pytest

from evolution.small_search import GAINS, StandIn, make_run, stand_in_config, stand_in_run
from star_search.config import AlgorithmConfig, SpaceConfig
from star_search.errors import InputError
from star_search.evolution.initial import initial_genomes, read_initial_genomes
from star_search.genome.space import SearchSpace
from star_search.runs.records import Outcome

SPACE = SearchSpace.from_config(SpaceConfig(depth=4, width=64, classes=list(GAINS)))
BASELINE = "11111-91111-11111-91111"


def genomes(given, **config):
    return [genome.format() for genome in initial_genomes(AlgorithmConfig(initial_genomes=given, **config), SPACE)]


def refusal(given, **config):
    with pytest.raises(InputError) as error:
        genomes(given, **config)
    return str(error.value)


def test_a_file_has_one_genome_a_line_and_remarks(tmp_path):
    path = tmp_path / "baselines.txt"
    path.write_text(f"# Transformer++\n{BASELINE}\n\n71111-91111-11111-91111  # hybrid\n")
    assert genomes(str(path)) == [BASELINE, "71111-91111-11111-91111"]
    assert genomes([BASELINE]) == [BASELINE]
    assert genomes(None) == []


def test_a_run_gives_its_front_and_a_search_begins_with_it(tmp_path):
    first = stand_in_run(tmp_path / "first", stand_in_config())
    front = read_initial_genomes(AlgorithmConfig(initial_genomes=str(first.path)))
    assert len(front) > 1
    second = stand_in_run(tmp_path / "second", stand_in_config(algorithm={"initial_genomes": front, "seed": 9, "population": 12}))
    assert [record.genome for record in second.read_candidates()[0][: len(front)]] == front


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["11111-91111"], "algorithm.initial_genomes: genome 11111-91111 has 2 LIVs, space.depth is 4"),
        (["11411-91111-11111-91111"], "algorithm.initial_genomes: genome 11411-91111-11111-91111 is illegal: LIV 1: featurizer strategy 4"),
        (["b1111-91111-11111-91111"], "algorithm.initial_genomes: genome b1111-91111-11111-91111 is illegal: LIV 1: class 11"),
        (["1111"], "algorithm.initial_genomes: LIV 1 of the genome, '1111', has 4 genes"),
        ([BASELINE, "12111-91111-11111-91111"], "algorithm.initial_genomes: 12111-91111-11111-91111 and 11111-91111-11111-91111 are one"),
    ],
)
def test_a_genome_that_does_not_fit_is_refused(given, sentence):
    assert refusal(given).startswith(sentence)


def test_more_than_the_population_are_refused():
    given = [BASELINE, "71111-91111-11111-91111", "71111-91111-71111-91111"]
    assert refusal(given, population=2) == "algorithm.initial_genomes holds 3 genomes, more than algorithm.population (2)"


def test_no_genome_at_all_is_refused(tmp_path):
    assert refusal([]) == "algorithm.initial_genomes holds no genome; without any it must be null"
    run = make_run(tmp_path / "run", stand_in_config())
    sentence = (
        f"algorithm.initial_genomes {run.path} is a run without a front: no generation of it is finished, or none of its candidates is fit"
    )
    assert refusal(str(run.path)) == sentence
    config = stand_in_config()
    failed = stand_in_run(tmp_path / "failed", config, StandIn(config, lambda canonical: Outcome.unstable))
    assert refusal(str(failed.path)) == sentence.replace(str(run.path), str(failed.path))


def test_a_file_that_is_none_or_empty_is_refused(tmp_path):
    assert refusal(str(tmp_path)).startswith(f"algorithm.initial_genomes {tmp_path} must be a file of one genome a line, or a run: ")
    (tmp_path / "empty").write_text("# nothing\n")
    assert refusal(str(tmp_path / "empty")) == f"algorithm.initial_genomes {tmp_path}/empty holds no genome"
