"""Ways to get an algorithm, its workers or a constraint wrong: one sentence, exit code 2, nothing left behind; many cases in a test."""

import pytest

ALGORITHM = {
    "name=nsga4": "unknown algorithm 'nsga4'; did you mean 'nsga3'?",
    "name=5": "algorithm.name must be text, got 5",
    "name=": "algorithm.name must be text, got None",
    "name=[nsga2]": "algorithm.name must be text, got ['nsga2']",
    "popluation=5": "unknown key algorithm.popluation; did you mean 'population'?",
    "population=0": "algorithm.population must be at least 2, got 0",
    "population=2.5": "algorithm.population must be a whole number, got 2.5",
    "population=true": "algorithm.population must be a whole number, got True",
    "population=.nan": "algorithm.population must be a whole number, got nan",
    "population=1e30": "algorithm.population must be at most 100000, got 1e+30",
    "generations=-1": "algorithm.generations must be at least 0, got -1",
    "generations=null": "algorithm.generations must be a whole number, got None",
    "offspring=0": "algorithm.offspring must be greater than 0, got 0",
    "offspring=two": "algorithm.offspring must be a whole number, got 'two'",
    "tournament=0": "algorithm.tournament must be at least 1, got 0",
    "tournament=1.5": "algorithm.tournament must be a whole number, got 1.5",
    "crossover_points=0": "algorithm.crossover_points must be greater than 0, got 0",
    "crossover_boundary=layer": "algorithm.crossover_boundary must be one of 'gene' or 'liv', got 'layer'",
    "crossover_probability=1.5": "algorithm.crossover_probability must be at most 1, got 1.5",
    "crossover_probability=.nan": "algorithm.crossover_probability must be finite, got nan",
    "mutation=gene": "algorithm.mutation must be one of 'per_gene' or 'per_genome', got 'gene'",
    "mutation_probability=2": "algorithm.mutation_probability must be at most 1, got 2",
    "mutation_probability=.inf": "algorithm.mutation_probability must be finite, got inf",
    'segment_mutation={"composition":0.1}': "algorithm.segment_mutation names composition, which genomes of this space lack; ",
    "segment_mutation=0.5": "algorithm.segment_mutation must be values by name, got 0.5",
    "mutation_probability=0 crossover_probability=0": "algorithm.crossover_probability and the probabilities of mutation cannot all be 0: ",
    'crossover_probability=0 segment_mutation={"backbone":0}': "cannot all be 0: offspring would be copies",
    "repair=fix": "algorithm.repair must be one of 'resample', 'reinitialise' or 'off', got 'fix'",
    "repair=true": "algorithm.repair must be one of 'resample', 'reinitialise' or 'off', got True",
    "seed=-1": "algorithm.seed must be at least 0, got -1",
    "seed=abc": "algorithm.seed must be a whole number, got 'abc'",
    "asynchronous=maybe": "algorithm.asynchronous must be true or false, got 'maybe'",
    "asynchronous=true max_pending=0": "algorithm.max_pending must be greater than 0, got 0",
    "asynchronous=true offspring=4": "algorithm.offspring is a key of generational search; ",
    "asynchronous=true name=rvea": "algorithm rvea follows a schedule over generations and cannot run asynchronously",
    "max_pending=4": "algorithm.max_pending is a key of asynchronous search; ",
    "elites=2": "algorithm.elites is a key of ga; algorithm.name is nsga2",
    "weights=[1,1]": "algorithm.weights is a key of ga; ",
    "partitions=3": "algorithm.partitions is a key of nsga3, unsga3, rvea; ",
    "horizon=4": "algorithm.horizon is a key of rvea; ",
    "normalise=true": "algorithm.normalise is a key of sms, spea2; ",
    "name=ga weights=[1]": "algorithm.weights must be 2 numbers, one per objective and not all 0, got [1.0]",
    "name=ga weights=[0,0]": "algorithm.weights must be 2 numbers, one per objective and not all 0, got [0.0, 0.0]",
    "name=ga weights=[-1,1]": "algorithm.weights.0 must be at least 0, got -1",
    "name=ga weights=1": "algorithm.weights must be a list, got 1",
    "name=ga elites=4": "algorithm.elites must be below algorithm.population (4), got 4",
    "name=ga elites=-1": "algorithm.elites must be at least 0, got -1",
    "name=firefly attractiveness=2": "algorithm.attractiveness must be at most 1, got 2",
    "name=firefly absorption=-1": "algorithm.absorption must be at least 0, got -1",
    "name=nsga3 partitions=0": "algorithm.partitions must be greater than 0, got 0",
    "name=unsga3 partitions=4": "algorithm.partitions 4 gives 5 reference directions, more than algorithm.population (4)",
    "name=rvea penalty_exponent=0": "algorithm.penalty_exponent must be greater than 0, got 0",
    "name=rvea adaptation_frequency=1.5": "algorithm.adaptation_frequency must be at most 1, got 1.5",
    "name=rvea horizon=0": "algorithm.horizon must be greater than 0, got 0",
    f"name=rvea horizon={'9' * 400}": "algorithm.horizon must be at most 9.22337e+18, got 999",
    f"horizon={'9' * 5000}": "holds a value that cannot be read: Exceeds the limit",
    f"generations={'9' * 400}": "algorithm.generations must be at most 9.22337e+18, got 999",
    f"absorption={'9' * 400}": "algorithm.absorption must be ",
    "horizon=2026-13-13": "holds a value that cannot be read: month must be in 1..12",
    "name=sms reference_margin=0": "algorithm.reference_margin must be greater than 0, got 0",
    "name=spea2 normalise=perhaps": "algorithm.normalise must be true or false, got 'perhaps'",
    "initial_genomes=5": "algorithm.initial_genomes must be text or a list, got 5",
    "initial_genomes=[5]": "algorithm.initial_genomes must be text, got [5]",
    'initial_genomes=[""]': "algorithm.initial_genomes: the genome is empty; ",
    "initial_genomes=.": "must be a file of one genome a line, or a run: Is a directory",
    "initial_genomes=[11111-99999]": "algorithm.initial_genomes: genome 11111-99999 is illegal: LIV 2: featurizer group 9 is not legal; ",
    "initial_genomes=[91111-91111]": "is illegal: the genome has 0 LIVs that mix tokens; at least 1 are needed",
    "initial_genomes=[11111-71111,11111-71111]": "algorithm.initial_genomes: 11111-71111 and 11111-71111 are one architecture",
    'initial_genomes=["11111-11111|12"]': "algorithm.initial_genomes: genome 11111-11111|12 has 12 genes, genomes of this space have 10",
}

WORKERS = {
    "count=-1": "workers.count must be at least 0 or one of 'auto', got -1",
    "count=true": "workers.count must be a whole number or one of 'auto', got True",
    "count=1000000": "workers.count must be at most 4096 or one of 'auto', got 1000000",
    "cuont=5": "unknown key workers.cuont; did you mean 'count'?",
    "threads=0": "workers.threads must be at least 1, got 0",
    "threads=auto": "workers.threads must be a whole number, got 'auto'",
    "threads=100000": "workers.threads must be at most 1024, got 100000",
    "device=5": "workers.device must be text, got 5",
    "device=cuda:²": "workers.device must be auto",
    "per_device=0": "workers.per_device must be at least 1, got 0",
    "per_device=65": "workers.per_device must be at most 64, got 65",
    "timeout=0": "workers.timeout must be greater than 0, got 0",
    "timeout=.inf": "workers.timeout must be finite, got inf",
    "timeout=1h": "workers.timeout must be a number, got '1h'",
    "timeout=5": "workers.timeout 5 needs worker processes, which can be killed; with workers.count 0, this process, it must be null",
    "disk_timeout=-1": "workers.disk_timeout must be at least 0, got -1",
    "backend=ray": "workers.backend must be one of 'processes' or 'dask', got 'ray'",
    "scheduler=5": "workers.scheduler must be text, got 5",
    'scheduler=""': "workers.scheduler must be the address or the JSON file of a running Dask scheduler, got ''",
    "scheduler=nonsense": "workers.scheduler is nonsense, and workers.count 0 trains in this process: ask for auto or at least 1 worker, ",
}

CONSTRAINTS = {
    "parameters <= 5": "constraints must be a list, got 'parameters <= 5'",
    "[5]": "constraints.0 must be text, got 5",
    "{parameters: 5}": "constraints must be a list, got {'parameters': 5}",
    **{
        f'["{text}"]': f"constraint '{text}' must read 'objective <= number' or 'objective >= number', for example 'parameters <= 95e6'"
        for text in (
            "",
            "parameters < 5",
            "parameters <=",
            "<= 5",
            "parameters <= x",
            "parameters <= nan",
            "parameters <= 95M",
            "a <= 1 <= 2",
        )
    },
    '["parameters <= 1e999"]': "constraint 'parameters <= 1e999' must read ",
    '["size <= 5"]': "unknown objective 'size'; allowed: perplexity, bits_per_byte, parameters, cache_bytes",
    '["parameters@100 <= 5"]': "objective 'parameters@100': takes no length",
    **{
        f'["cache_bytes@{length} <= 5"]': f"objective 'cache_bytes@{length}': the length must be a whole number above 0 and below 1e12"
        for length in ("0", "²", "٥", "1" * 13, "-1", "1.5")
    },
    '["parameters <= ٥"]': "constraint 'parameters <= ٥' must read ",
    '["perplexity <= 0.5"]': "constraint 'perplexity <= 0.5' cannot be kept: perplexity is never below 1",
    '["cache_bytes <= -1"]': "constraint 'cache_bytes <= -1' cannot be kept: cache_bytes is never below 0",
    '["parameters <= 9", "parameters >= 10"]': "constraints 'parameters >= 10' and 'parameters <= 9' cannot both be kept",
    '["cache_bytes <= 9", "cache_bytes@32 >= 10"]': "constraints 'cache_bytes@32 >= 10' and 'cache_bytes <= 9' cannot both be kept",
    '["parameters <= 10"]': "constraint 'parameters <= 10' cannot be kept: none of the space has less than ",
    '["cache_bytes@32 <= 1"]': "constraint 'cache_bytes@32 <= 1' cannot be kept: none of the space has less than ",
    '["perplexity >= 1e9"]': "constraint 'perplexity >= 1e+09' cannot be kept: a candidate that is not under the unigram's ",
    '["bits_per_byte >= 8.5"]': "constraint 'bits_per_byte >= 8.5' cannot be kept: a candidate that is not under the unigram's ",
    '["parameters >= 1e18"]': "constraint 'parameters >= 1e+18' cannot be kept: the largest of the space is ",
}

RACING = {
    "5": "racing must be a section of keys and values, got 5",
    "{rungs: []}": "racing.rungs must be a list of at least 1, got []",
    "{rungs: [0.5, 0.25]}": "racing.rungs must rise, got [0.5, 0.25]",
    "{rungs: [1]}": "racing.rungs.0 must be less than 1, got 1",
    "{margin: -1}": "racing.margin must be at least 0, got -1",
    "{minimum: 5}": "unknown key racing.minimum; did you mean 'minimum_finished'?",
}


@pytest.fixture
def wrong(command, here, configuration):
    """Return a caller that tells for which of many changes the sentence is another than expected, or something was left behind."""

    def call(cases):
        found = {}
        for changes, expected in cases.items():
            options = [part for change in changes for part in ("--set", change)]
            sentence = command("evolve", "--config", configuration, "--run-dir", "run", *options).sentence()
            if expected not in sentence or any(here.iterdir()):
                found[changes] = sentence
        return found

    return call


@pytest.mark.parametrize(("section", "cases"), [("algorithm", ALGORITHM), ("workers", WORKERS)])
def test_keys_of_algorithms_and_workers(wrong, section, cases):
    assert wrong({tuple(f"{section}.{each}" for each in changes.split(" ")): sentence for changes, sentence in cases.items()}) == {}


@pytest.mark.parametrize(("key", "cases"), [("constraints", CONSTRAINTS), ("racing", RACING)])
def test_constraints_and_racing(wrong, key, cases):
    assert wrong({(f"{key}={value}",): sentence for value, sentence in cases.items()}) == {}


def test_algorithms_of_several_objectives_refuse_one(wrong):
    names = ("nsga3", "unsga3", "sms", "age2", "rvea", "spea2")
    sentence = "takes two or three objectives, got 1; nsga2, ga, firefly, random take one too"
    assert wrong({("objectives=[perplexity]", f"algorithm.name={name}"): f"algorithm {name} {sentence}" for name in names}) == {}


def test_fewer_candidates_than_the_fewest_reference_directions(wrong):
    three = ("objectives=[perplexity, cache_bytes, parameters]", "algorithm.name=nsga3", "algorithm.population=2")
    assert wrong({three: "algorithm.population must be at least 3 for nsga3 with 3 objectives, got 2"}) == {}


def test_no_folder_is_not_the_current_one(command, here, configuration):
    sentence = command("evolve", "--config", configuration, "--run-dir", "").sentence()
    assert sentence == "--run-dir must name a folder, got ''; '.' is the current one"
    assert list(here.iterdir()) == []


def test_one_objective_under_two_names(wrong):
    assert wrong({("objectives=[cache_bytes, cache_bytes@32]",): "objectives names one twice: cache_bytes, cache_bytes@32"}) == {}


def test_a_population_that_the_space_cannot_fill(wrong):
    few = ("space.depth=1", "space.classes=[7]", "algorithm.population=3")
    assert wrong({few: "the search space gave only 1 distinct architectures for a population of 3; "}) == {}


def test_an_option_without_an_address_is_no_scheduler_left_out(command, configuration):
    sentence = command("evolve", "--config", configuration, "--scheduler", "").sentence()
    assert sentence == "workers.scheduler must be the address or the JSON file of a running Dask scheduler, got ''"


def test_dask_that_is_not_installed_is_found_before_a_folder_is_made(wrong, monkeypatch):
    monkeypatch.setattr("star_search.evolution.worker_checks.find_spec", lambda name: None)
    cases = {("workers.count=1", f"workers.{key}"): "workers on Dask need distributed: pip" for key in ("backend=dask", "scheduler=x")}
    assert wrong(cases) == {}


def test_a_graph_on_a_cpu_is_refused_before_a_folder_is_made(wrong):
    cases = {
        ("workers.device=cpu", f"training.engine={engine}"): f"training.engine {engine} needs a GPU" for engine in ("captured", "graph")
    }
    assert wrong(cases) == {}


def test_racing_may_be_switched_off_in_words(command, configuration):
    assert "racing: null" in command("evolve", "--config", configuration, "--dry-run", "--set", "racing=off").out
