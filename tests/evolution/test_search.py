"""The search loop, with workers that compute: what it writes, what it skips, and where it stops."""

import math

import pytest

from evolution.small_search import (
    Listener,
    StandIn,
    archive_of,
    chance,
    make_run,
    search_in,
    stand_in_config,
    stand_in_run,
    truncated,
)
from star_search.evolution.ledger import Budget
from star_search.genome.encoding import Genome
from star_search.genome.space import SearchSpace
from star_search.runs.records import Outcome


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    config = stand_in_config()
    run, workers, listener = make_run(tmp_path_factory.mktemp("full") / "run", config), StandIn(config), Listener()
    assert search_in(run, config, workers, reporter=listener).run()
    return run, workers, listener


class TestFullRun:
    def test_every_generation_and_candidate_is_a_file(self, full):
        run, _, _ = full
        assert run.generation_numbers() == [0, 1, 2, 3, 4]
        assert sorted(path.name for path in run.path.glob("gen*")) == ["gen00", "gen01", "gen02", "gen03", "gen04"]
        assert sorted(path.name for path in (run.path / "candidates").iterdir()) == [f"{number:05d}.json" for number in range(30)]

    def test_generations_number_their_offspring_in_order(self, full):
        generations, records = full[0].read_generations()[0], full[0].read_candidates()[0]
        assert [each.offspring for each in generations] == [list(range(6 * g, 6 * g + 6)) for g in range(5)]
        assert [record.generation for record in records] == [number // 6 for number in range(30)]
        assert all(each.outcomes == {"ok": 6} and each.tokens == 6000 for each in generations)
        assert sorted(generations[0].population) == generations[0].offspring

    def test_every_architecture_is_assessed_once(self, full):
        run, workers, _ = full
        canonicals = [record.canonical for record in run.read_candidates()[0]]
        assert len(set(canonicals)) == 30
        assert sorted(workers.assessed) == sorted(canonicals)
        assert all(Genome.parse(each.genome).canonical().format() == each.canonical for each in run.read_candidates()[0])

    def test_the_front_is_that_of_all_candidates_so_far_and_only_its_weights_are_kept(self, full):
        run, _, _ = full
        records = run.read_candidates()[0]
        for generation in run.read_generations()[0]:
            so_far = [
                (each.id, each.objectives["perplexity"], each.objectives["cache_bytes"])
                for each in records[: 6 * generation.generation + 6]
            ]
            front = [number for number, p, c in so_far if not any(q <= p and d <= c and (q < p or d < c) for _, q, d in so_far)]
            assert generation.front == front
        assert sorted(path.stem for path in (run.path / "weights").iterdir()) == [f"{number:05d}" for number in front]

    def test_parents_are_candidates_of_the_population_before(self, full):
        run, _, _ = full
        populations = [each.population for each in run.read_generations()[0]]
        for record in run.read_candidates()[0][6:]:
            assert set(record.lineage["parents"]) <= set(populations[record.generation - 1])
            assert set(record.lineage) == {"parents", "points", "mutated", "repaired"}

    def test_lineage_explains_every_gene(self, full):
        run, _, _ = full
        records = run.read_candidates()[0]
        genes = [Genome.parse(record.genome).integers() for record in records]
        for record in records[6:]:
            first, second = (genes[number] for number in record.lineage["parents"])
            cut = [sum(index >= point for point in record.lineage["points"]) % 2 for index in range(20)]
            inherited = [(first, second)[side][index] for index, side in enumerate(cut)]
            changed = {index for index in range(20) if genes[record.id][index] != inherited[index]}
            assert changed <= set(record.lineage["mutated"]) | set(record.lineage["repaired"])
            assert set(record.lineage["mutated"]) <= changed | set(record.lineage["repaired"])

    def test_rates_are_recorded_for_every_generation(self, full):
        for generation in full[0].read_generations()[0]:
            assert set(generation.rates) == {
                "invalid_before_repair_rate",
                "repair_rate",
                "duplicates_avoided",
                "mean_hamming_distance",
                "distinct_architectures",
            }
            assert generation.rates["distinct_architectures"] == 6.0
            assert 0 < generation.rates["mean_hamming_distance"] <= 20
        assert all(
            generation.rates["repair_rate"] <= generation.rates["invalid_before_repair_rate"]
            for generation in full[0].read_generations()[0]
        )

    def test_rates_count_their_own_generation(self, tmp_path):
        """A generation's repairs are in the lineage of its offspring, where no duplicate was dropped."""
        config = stand_in_config(algorithm={"mutation_probability": 0.3, "seed": 2})
        found = 0
        run = stand_in_run(tmp_path / "run", config)
        records = run.read_candidates()[0]
        for generation in run.read_generations()[0][1:]:
            lineages = [records[number].lineage for number in generation.offspring]
            if generation.rates["duplicates_avoided"] == 0:
                found += 1
                repaired = [len(lineage["repaired"]) for lineage in lineages]
                assert generation.rates["repair_rate"] == pytest.approx(sum(repaired) / (6 * 20))
                assert generation.rates["invalid_before_repair_rate"] == pytest.approx(sum(map(bool, repaired)) / 6)
        assert found >= 2
        assert run.read_generations()[0][0].rates["repair_rate"] == 0

    def test_the_reporter_hears_of_everything(self, full):
        _, workers, listener = full
        assert listener.started == list(range(5))
        assert [each.id for each in listener.candidates] == list(range(30))
        assert [each.generation for each in listener.generations] == list(range(5))
        assert workers.closed

    def test_the_log_has_one_event_per_candidate(self, full):
        events = [event for event in full[0].read_events() if event["event"] == "candidate"]
        assert [(event["id"], event["outcome"]) for event in events] == [(number, "ok") for number in range(30)]


@pytest.mark.parametrize("at_once", [2, 4, 6])
def test_the_order_in_which_workers_finish_changes_nothing(tmp_path, at_once):
    config = stand_in_config()
    one = stand_in_run(tmp_path / "one", config)
    many = stand_in_run(tmp_path / "many", config, StandIn(config, at_once=at_once))
    assert archive_of(one) == archive_of(many)


def test_other_seeds_are_other_searches(tmp_path):
    first, second = (stand_in_run(tmp_path / str(seed), stand_in_config(algorithm={"seed": seed})) for seed in (1, 2))
    assert archive_of(first)[0][0]["genome"] != archive_of(second)[0][0]["genome"]


class TestBudgets:
    def test_tokens_stop_a_run_and_it_resumes_to_the_same_archive(self, tmp_path):
        config = stand_in_config()
        run, workers = make_run(tmp_path / "run", config), StandIn(config)
        search = search_in(run, config, workers, Budget(tokens=9_500))
        assert not search.run()
        assert (len(workers.assessed), search.stopped_by) == (10, "9,500 tokens")
        assert run.generation_numbers() == [0]
        assert workers.closed
        again = StandIn(config)
        assert not search_in(run, config, again, Budget(tokens=9_500)).run()
        assert again.assessed == []
        assert search_in(run, config, again).run()
        assert len(again.assessed) == 20
        assert archive_of(run) == archive_of(stand_in_run(tmp_path / "whole", config))

    def test_exactly_the_tokens_of_the_search_finish_it(self, tmp_path):
        config = stand_in_config()
        assert search_in(make_run(tmp_path / "run", config), config, StandIn(config), Budget(tokens=30_000)).run()

    def test_hours_stop_a_run(self, tmp_path):
        config = stand_in_config()
        run, workers = make_run(tmp_path / "run", config), StandIn(config)
        search = search_in(run, config, workers, Budget(hours=1e-12))
        assert not search.run()
        assert (workers.assessed, search.stopped_by) == ([], "1e-12 hours")

    def test_hours_count_from_the_start_of_the_session(self):
        budget = Budget(hours=2)
        assert budget.spent(math.inf, 0) == ""
        assert budget.spent(-math.inf, 0) == "2 hours"


class TestConstraints:
    bound = 60_000  # parameters; about half of the genomes at 4 x 64 are above

    def test_what_breaks_one_on_sizes_is_rejected_untrained(self, tmp_path):
        config = stand_in_config(constraints=[f"parameters <= {self.bound}"])
        workers = StandIn(config)
        run = stand_in_run(tmp_path / "run", config, workers)
        records, generations = run.read_candidates()[0], run.read_generations()[0]
        above = [each for each in records if each.objectives["parameters"] > self.bound]
        assert 3 < len(above) < 27
        for record in records:
            assert (record.outcome == Outcome.rejected) == (record in above)
        assert all(each.tokens == 0 and "perplexity" not in each.objectives for each in above)
        assert above[0].reason == f"parameters {above[0].objectives['parameters']:,.6g} is above 60,000"
        assert sorted(workers.assessed) == sorted(each.canonical for each in records if each not in above)
        assert not {each.id for each in above} & set(generations[-1].front)
        assert sum(each.tokens for each in generations) == 1000 * (30 - len(above))
        # Selection moves away from what is refused.
        shares = [each.outcomes.get("rejected", 0) for each in generations]
        assert shares[-1] < shares[0]

    def test_a_population_in_which_all_are_rejected_costs_nothing_and_ends(self, tmp_path):
        config = stand_in_config(constraints=["parameters <= 1"])
        run = make_run(tmp_path / "run", config)
        assert search_in(run, config, None).run()
        assert {record.outcome for record in run.read_candidates()[0]} == {Outcome.rejected}
        assert [each.front for each in run.read_generations()[0]] == [[]] * 5


@pytest.fixture(scope="module")
def unrepaired(tmp_path_factory):
    config = stand_in_config(algorithm={"repair": "off", "mutation_probability": 0.3})
    workers = StandIn(config)
    return config, stand_in_run(tmp_path_factory.mktemp("off") / "run", config, workers), workers


class TestWithoutRepair:
    """The ablation: mutation draws any value, nothing is mended, and what is illegal costs a place but no training."""

    def test_illegal_genomes_are_rejected_with_the_gene_that_is_illegal(self, unrepaired):
        config, made, workers = unrepaired
        records = made.read_candidates()[0]
        illegal = [each for each in records if each.outcome == Outcome.rejected]
        assert 5 < len(illegal) < 24
        rules = SearchSpace.from_config(config.space).rules
        assert all(rules.problems(Genome.parse(each.genome)) for each in illegal)
        assert all(each.reason.startswith("the genome is illegal: LIV ") and each.tokens == 0 for each in illegal)
        assert sorted(workers.assessed) == sorted(each.canonical for each in records if each not in illegal)
        assert not {each.id for each in illegal} & set(made.read_generations()[0][-1].front)

    def test_rates_tell_of_it(self, unrepaired):
        rates = [each.rates for each in unrepaired[1].read_generations()[0]]
        assert all(each["repair_rate"] == 0 for each in rates)
        assert max(each["invalid_before_repair_rate"] for each in rates) > 0.2

    def test_it_resumes(self, unrepaired, tmp_path):
        config, made, _ = unrepaired
        copy = truncated(made, tmp_path / "copy", range(15), 2)
        assert search_in(copy, config, StandIn(config)).run()
        assert archive_of(copy)[:2] == archive_of(made)[:2]


@pytest.mark.parametrize("name", ["nsga2", "random"])
def test_a_search_space_that_is_used_up_ends_the_search_cleanly(tmp_path, name):
    # Two places, SA-1 or GMemless, at least one mixer, nothing shared: three architectures.
    config = stand_in_config(space={"depth": 2, "classes": [1, 9], "sharing": False}, algorithm={"name": name, "population": 2})
    run, workers = make_run(tmp_path / "run", config), StandIn(config)
    search = search_in(run, config, workers)
    assert not search.run()
    assert search.stopped_by == "mating found no architecture that the search has not had"
    assert sorted(workers.assessed) == ["11111-11111", "11111-91111", "91111-11111"]
    assert run.generation_numbers() == [0, 1]


@pytest.mark.parametrize("seed", range(8))
def test_generations_that_mating_fills_in_part_are_recorded_with_all_that_they_had(tmp_path, seed):
    """Few architectures and little mutation: mating often finds less than a generation."""
    config = stand_in_config(
        space={"depth": 2, "classes": [1, 2, 7, 9], "sharing": False},
        algorithm={"population": 4, "generations": 8, "mutation_probability": 0.05, "seed": seed},
    )
    run, workers = make_run(tmp_path / "run", config), StandIn(config)
    search_in(run, config, workers).run()
    generations, records = run.read_generations()[0], run.read_candidates()[0]
    assert [number for each in generations for number in each.offspring] == list(range(len(workers.assessed)))
    assert sum(each.tokens for each in generations) == sum(record.tokens for record in records)
    assert all(each.generation == record.generation for each in generations for record in records if record.id in each.offspring)


@pytest.mark.parametrize(
    "space",
    [{"depth": 2, "composition": True}, {"levels": ["backbone", "operator", "featurizer"], "evolved_classes": 2}],
    ids=["composition", "levels"],
)
def test_fireflies_find_their_distance_where_canonical_genomes_differ_in_length(tmp_path, space):
    config = stand_in_config(space=space, algorithm={"name": "firefly", "generations": 2})
    run = stand_in_run(tmp_path / "run", config)
    assert len({len(Genome.parse(record.canonical).integers()) for record in run.read_candidates()[0]}) > 1


@pytest.mark.parametrize("crowding", ["cd", "pcd", "ce", "mnn", "2nn"])
def test_every_measure_of_crowding_serves_a_search_with_failures(tmp_path, crowding):
    config = stand_in_config(objectives=["perplexity", "cache_bytes"], algorithm={"crowding": crowding, "population": 8})
    fails = StandIn(config, lambda canonical: Outcome.unstable if chance(canonical) < 0.3 else None)
    run = stand_in_run(tmp_path / "run", config, fails)
    records, last = run.read_candidates()[0], run.read_generations()[0][-1]
    assert len(records) == 40 and len({record.outcome for record in records}) == 2
    assert len(last.population) == 8 and {records[number].outcome for number in last.front} == {Outcome.ok}


def test_mutation_without_constraints_gives_repair_more_to_do(tmp_path):
    rates = []
    for constrained in (True, False):
        config = stand_in_config(algorithm={"constrained_mutation": constrained, "mutation_probability": 0.4, "crossover_probability": 0})
        run = stand_in_run(tmp_path / str(constrained), config)
        rates.append(sum(each.rates["repair_rate"] for each in run.read_generations()[0]))
        assert all(record.outcome == Outcome.ok for record in run.read_candidates()[0])
    assert rates[1] > 1.2 * rates[0]
