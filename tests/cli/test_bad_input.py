"""Bad input to `evolve`: one sentence that names the field, exit code 2, and no folder left behind."""

import json
import os

import pytest

from cli.conftest import write_configuration


@pytest.fixture
def refused(command, here, configuration):
    """Return a caller that gives the sentence of a refused `evolve`."""

    def call(*arguments, config=configuration):
        before = sorted(here.iterdir())
        sentence = command("evolve", "--config", config, "--run-dir", "runs/new", *arguments).sentence()
        assert sorted(here.iterdir()) == before
        return sentence

    return call


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("training.tokns=5", "unknown key training.tokns; did you mean 'tokens'?"),
        ("traning.tokens=5", "unknown key traning; did you mean 'training'?"),
        ("training.zzz=5", "unknown key training.zzz; allowed: tokens, sequence_length, "),
        ("training.tokens=many", "training.tokens must be a whole number, got 'many'"),
        ("algorithm.segment_mutation={head: 0.2}", "algorithm.segment_mutation.head must be one of 'backbone', 'composition', "),
        ("algorithm.segment_mutation={backbone: 2}", "algorithm.segment_mutation.backbone must be at most 1, got 2"),
        ("algorithm.weights=[a]", "algorithm.weights.0 must be a number, got 'a'"),
        ("algorithm.attractiveness=0", "algorithm.attractiveness must be greater than 0, got 0"),
        ("training.tokens=1.5", "training.tokens must be a whole number, got 1.5"),
        ("training.tokens=-5", "training.tokens must be greater than 0, got -5"),
        ("training.learning_rate=.nan", "training.learning_rate must be "),
        ("training.learning_rate=0", "training.learning_rate must be greater than 0, got 0"),
        ("training.schedule=cosin", "training.schedule must be one of 'cosine', 'linear' or 'constant', got 'cosin'"),
        ("training=5", "training must be a section of keys and values, got 5"),
        ("training.batch_tokens=33", "training.batch_tokens must be a multiple of training.sequence_length (32), got 33"),
        ("training.unigram_deadline_tokens=4096", "training.unigram_deadline_tokens must be at most training.tokens (2048), got 4096"),
        ("objectives=[]", "objectives must be a list of at least 1, got []"),
        ("objectives=perplexity", "objectives must be a list, got 'perplexity'"),
        ("workers.count=several", "workers.count must be a whole number or one of 'auto', got 'several'"),
        ("name=../up", "name must be letters, digits, '.', '_' and '-' only, beginning with a letter or digit, got '../up'"),
    ],
)
def test_a_key_or_value_that_is_wrong(refused, configuration, change, sentence):
    assert refused("--set", change).startswith(f"{configuration}: {sentence}")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("objectives=[perplexty]", "unknown objective 'perplexty'; did you mean 'perplexity'?"),
        ("objectives=[perplexity, perplexity]", "objectives names one twice: perplexity, perplexity"),
        ("constraints=[parameters < 5]", "constraint 'parameters < 5' must read 'objective <= number' or 'objective >= number', "),
        ("constraints=[size <= 5]", "unknown objective 'size'; allowed: perplexity, bits_per_byte, parameters, cache_bytes"),
        ("algorithm.name=nsga4", "unknown algorithm 'nsga4'; did you mean 'nsga"),
        ("algorithm.elites=2", "algorithm.elites is a key of ga; algorithm.name is nsga2"),
        ("algorithm.max_pending=2", "algorithm.max_pending is a key of asynchronous search; algorithm.asynchronous is false"),
        ("algorithm.segment_mutation={operator: 0.2}", "algorithm.segment_mutation names operator, which genomes of this space lack; "),
        (
            "algorithm.initial_genomes=[11111-11111-11111]",
            "algorithm.initial_genomes: genome 11111-11111-11111 has 3 LIVs, space.depth is 2",
        ),
        ("algorithm.initial_genomes=nothing.txt", "algorithm.initial_genomes "),
        ("space.classes=[SA-9]", "catalogue star has no LIV class 'SA-9'; did you mean 'SA-"),
        ("space.classes=[99]", "catalogue star has no LIV class 99; it has 1 to "),
        ("space.classes=[9]", "space.classes holds no class that mixes tokens, and space.minimum_mixers is 1"),
        ("space.classes=[]", "space.classes must name at least one class"),
        ("space.catalogue=sta", "unknown catalogue 'sta'; did you mean 'star'?"),
        ("space.width=18", "width 18 must be a multiple of 8, 2 times its 4 heads, for SA-1"),
        ("space.minimum_mixers=9", "space.minimum_mixers must be at most space.depth (2), got 9"),
        ("data.tokenizer=nothing", "data.tokenizer "),
        ("training.sequence_length", "--set training.sequence_length must read key=value, for example training.tokens=200000"),
        ("training.tokens.more=5", "--set training.tokens.more=5: tokens is a value, not a section"),
        ("objectives=[perplexity", "--set objectives=[perplexity is not valid YAML at line 1: "),
        ("data.validation_tokens=31", "data.validation_tokens must be at least training.sequence_length (32), got 31"),
    ],
)
def test_a_search_that_cannot_be(refused, change, sentence):
    assert refused("--set", change).startswith(sentence)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--device", "tpu"], "workers.device must be auto"),
        (["--device", "cuda:99"], "workers.device must be auto"),
        (["--max-hours", "0"], "--max-hours must be above 0, got 0"),
        (["--max-hours", "-1.5"], "--max-hours must be above 0, got -1.5"),
        (["--max-hours", "nan"], "--max-hours must be above 0, got nan"),
        (["--max-tokens", "0"], "--max-tokens must be above 0, got 0"),
        (["--max-hours", "soon"], "Invalid value for '--max-hours'"),
        (["--max-tokens", "1e6x"], "Invalid value for '--max-tokens'"),
    ],
)
def test_an_option_that_is_wrong(refused, arguments, sentence):
    assert refused(*arguments).startswith(sentence)


class TestData:
    def refuse(self, refused, path):
        return refused("--set", f"data.source={path}")

    def test_missing(self, refused, tmp_path):
        assert self.refuse(refused, tmp_path / "none.jsonl").startswith(f"data.source {tmp_path}/none.jsonl does not exist; ")

    def test_empty(self, refused, tmp_path):
        (tmp_path / "empty.jsonl").touch()
        assert self.refuse(refused, tmp_path / "empty.jsonl").startswith(f"{tmp_path}/empty.jsonl ")

    def test_damaged(self, refused, tmp_path):
        path = tmp_path / "damaged.jsonl"
        path.write_text('{"text": "whole"}\n{"text": "cut')
        assert self.refuse(refused, path) == f"{path} line 2 is not JSON; data.damaged.not_json: skip passes over it"

    def test_compressed_and_cut_off(self, refused, tmp_path):
        import zstandard

        path = tmp_path / "cut.jsonl.zst"
        path.write_bytes(zstandard.compress(json.dumps({"text": os.urandom(500).hex()}).encode())[:-20])
        assert self.refuse(refused, path).startswith(f"{path} ")

    def test_shorter_than_one_sequence(self, refused, tmp_path):
        path = tmp_path / "short.jsonl"
        path.write_text("".join(json.dumps({"text": f"ab{number}"}) + "\n" for number in range(4)))
        assert "and one sequence of training.sequence_length 32 needs 33" in self.refuse(refused, path)

    def test_a_folder_without_data(self, refused, tmp_path):
        (tmp_path / "folder").mkdir()
        assert self.refuse(refused, tmp_path / "folder").startswith(
            f"data.source {tmp_path}/folder is a folder without a file that ends in .jsonl"
        )


class TestRunFolder:
    def test_a_file_where_the_run_should_be(self, command, here, configuration):
        (here / "file").write_text("mine")
        assert command("evolve", "--config", configuration, "--run-dir", "file").sentence() == "file is a file; --run-dir needs a folder"
        assert (
            command("evolve", "--config", configuration, "--run-dir", "file", "--resume").sentence() == "file is a file, not a run folder"
        )
        assert (here / "file").read_text() == "mine"

    def test_a_folder_of_something_else(self, command, here, configuration):
        (here / "photos").mkdir()
        (here / "photos" / "cat.png").write_text("mine")
        for more in ([], ["--resume"]):
            sentence = command("evolve", "--config", configuration, "--run-dir", "photos", *more).sentence()
            assert sentence == "photos is not empty and holds no run; a run needs a new or empty folder"
        assert [path.name for path in (here / "photos").iterdir()] == ["cat.png"]

    def test_a_run_of_another_schema(self, command, here, configuration):
        (here / "old").mkdir()
        (here / "old" / "run.json").write_text('{"schema": 99}')
        sentence = command("evolve", "--config", configuration, "--run-dir", "old", "--resume").sentence()
        assert sentence == "old has schema version 99, this star-search reads version 1"


class TestConfigurationFile:
    def test_a_name_that_is_nothing(self, refused):
        assert refused(config="quikstart").startswith(
            "--config quikstart is neither a file nor a shipped configuration; did you mean 'quickstart"
        )

    def test_a_folder(self, refused, tmp_path):
        assert refused(config=tmp_path).startswith(f"--config {tmp_path} is a folder; give a YAML file or one of: ")

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("objectives: [perplexity\n", " is not valid YAML at line 2: "),
            ("- a list\n", " must hold keys and values, got a list"),
            ("space: {depth: 2}\nspace: {depth: 3}\n", " is not valid YAML at line 2: the key 'space' stands twice"),
            ("space: !!python/object/apply:os.getpid []\n", " is not valid YAML at line 1: could not determine a constructor"),
        ],
    )
    def test_text_that_is_no_configuration(self, refused, tmp_path, text, sentence):
        path = tmp_path / "bad.yaml"
        path.write_text(text)
        assert refused(config=path).startswith(f"{path}{sentence}")

    def test_bytes_that_are_no_text(self, refused, tmp_path):
        path = tmp_path / "bad.yaml"
        path.write_bytes(b"\xff\xfe\x00")
        assert refused(config=path) == f"{path} cannot be read: it is not UTF-8 text"


def test_what_would_be_refused_later_is_refused_in_a_dry_run_too(command, tmp_path, source):
    path = write_configuration(tmp_path, source, space={"width": 18})
    assert command("evolve", "--config", path, "--dry-run").sentence() == "width 18 must be a multiple of 8, 2 times its 4 heads, for SA-1"
    path = write_configuration(tmp_path, source, objectives=["speed"])
    assert command("evolve", "--config", path, "--dry-run").sentence().startswith("unknown objective 'speed'")
    path = write_configuration(tmp_path, source, algorithm={"name": "nsga4"})
    assert command("evolve", "--config", path, "--dry-run").sentence().startswith("unknown algorithm 'nsga4'")


def test_a_bad_option_points_to_the_help_of_its_command(command):
    assert command("compare", "--finalists", "0").sentence().endswith("compare --help' shows what is allowed")
