"""The typed configuration and its YAML."""

import pytest
import yaml
from pydantic import ValidationError

from star_search.config import (
    SearchConfig,
    TrainingConfig,
    find_configuration,
    load_configuration,
    parse_configuration,
    shipped_configurations,
)
from star_search.errors import InputError, did_you_mean
from star_search.yaml_loading import parse_yaml, read_yaml_mapping


def refusal(values, overrides=()):
    with pytest.raises(InputError) as error:
        parse_configuration(values, list(overrides))
    return str(error.value)


@pytest.mark.parametrize("name", shipped_configurations())
def test_every_shipped_configuration_is_found_by_name_and_reads_back_equal(name):
    config = load_configuration(name)
    assert load_configuration(name.removesuffix(".yaml")) == config
    assert config.name == name.removesuffix(".yaml")
    assert parse_configuration(yaml.safe_load(config.to_yaml())) == config


def test_the_quickstart_ships():
    assert "quickstart.yaml" in shipped_configurations()


def test_a_configuration_reads_back_equal_from_its_own_yaml():
    values = {
        "space": {"classes": ["SA-1", 9], "groups": 3},
        "training": {"learning_rate": 1e-5, "betas": [0.8, 0.99], "unigram_deadline_tokens": 512},
        "workers": {"count": 3, "timeout": 2.5},
        "constraints": ["parameters <= 95e6"],
    }
    config = parse_configuration(values)
    assert parse_configuration(yaml.safe_load(config.to_yaml())) == config
    assert parse_yaml(config.to_yaml(), "here") == yaml.safe_load(config.to_yaml())


def test_sections_that_are_not_given_keep_their_defaults():
    assert parse_configuration({"training": {"tokens": 100}}).training == TrainingConfig(tokens=100)
    assert parse_configuration({}) == SearchConfig()


def test_a_configuration_is_frozen():
    with pytest.raises(ValidationError):
        parse_configuration({}).name = "other"


class TestNumbers:
    def test_yaml_1_2_floats(self):
        assert parse_yaml("[8e-4, 1.3e9, 1E5, -2e+3, 1_0e2]", "here") == [8e-4, 1.3e9, 1e5, -2e3, 1e3]
        assert parse_yaml("[8e, e4, 1e4x, '8e-4']", "here") == ["8e", "e4", "1e4x", "8e-4"]

    def test_a_whole_float_is_an_integer(self):
        tokens = parse_configuration({}, ["training.tokens=1.3e9"]).training.tokens
        assert (tokens, type(tokens)) == (1_300_000_000, int)

    def test_a_fraction_is_none(self):
        assert refusal({"training": {"tokens": 1.5}}) == "the configuration: training.tokens must be a whole number, got 1.5"

    @pytest.mark.parametrize("value", [True, "5", None, [5]])
    def test_nothing_else_is_taken_for_one(self, value):
        assert refusal({"training": {"tokens": value}}).endswith(f"training.tokens must be a whole number, got {value!r}")

    @pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
    def test_what_is_not_finite_is_refused(self, value):
        assert "training.learning_rate must be" in refusal({"training": {"learning_rate": float(value)}})


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"spaces": {}}, "unknown key spaces; did you mean 'space'?"),
        ({"space": {"dept": 3}}, "unknown key space.dept; did you mean 'depth'?"),
        ({"space": {"width": 3}}, "space.width must be at least 4, got 3"),
        ({"space": {"depth": 0}}, "space.depth must be greater than 0, got 0"),
        ({"space": {"classes": 5}}, "space.classes must be a list"),
        ({"space": None}, "space must be a section of keys and values, got None"),
        ({"algorithm": {"population": 1}}, "algorithm.population must be at least 2, got 1"),
        ({"algorithm": {"mutation_probability": 1.5}}, "algorithm.mutation_probability must be at most 1, got 1.5"),
        ({"algorithm": {"repair": "mend"}}, "algorithm.repair must be one of 'resample', 'reinitialise' or 'off', got 'mend'"),
        ({"training": {"dropout": 1.0}}, "training.dropout must be less than 1, got 1.0"),
        ({"training": {"betas": [0.9]}}, "training.betas"),
        ({"data": {"validation_fraction": 0}}, "data.validation_fraction must be greater than 0, got 0"),
        ({"data": {"source": 5}}, "data.source must be text, got 5"),
        ({"space": {"sharing": "yes"}}, "space.sharing must be true or false, got 'yes'"),
        ({"workers": {"count": -1}}, "workers.count must be at least 0"),
        ({"workers": {"timeout": 0}}, "workers.timeout must be greater than 0, got 0"),
        ({"objectives": ["a", "b", "c", "d"]}, "objectives must be a list of at most 3, got ['a', 'b', 'c', 'd']"),
        ({"constraints": [5]}, "constraints.0 must be text, got 5"),
    ],
)
def test_a_refusal_names_the_key_what_it_got_and_what_is_allowed(values, sentence):
    message = refusal(values)
    assert message.startswith(f"the configuration: {sentence}")
    assert "\n" not in message


class TestOverrides:
    def test_a_value_is_yaml_and_the_rest_of_its_section_stays(self):
        config = parse_configuration({"space": {"depth": 3, "width": 32}}, ["space.depth=5", "objectives=[parameters]", "name=x"])
        assert (config.space.depth, config.space.width, config.objectives, config.name) == (5, 32, ["parameters"], "x")

    def test_values_handed_in_are_not_changed(self):
        values = {"space": {"depth": 3}}
        parse_configuration(values, ["space.depth=5"])
        assert values == {"space": {"depth": 3}}

    def test_off_without_quotes_is_no_false(self):
        config = parse_configuration({}, ["algorithm.repair=off"])
        assert config.algorithm.repair == "off"
        assert parse_configuration(yaml.safe_load(config.to_yaml())) == config

    def test_null_takes_a_limit_away(self):
        assert parse_configuration({"workers": {"timeout": 5.0}}, ["workers.timeout=null"]).workers.timeout is None

    @pytest.mark.parametrize("override", ["space.depth", "=5", ""])
    def test_without_key_or_value_it_is_refused(self, override):
        assert refusal({}, [override]) == f"--set {override} must read key=value, for example training.tokens=200000"

    def test_a_value_is_no_section(self):
        assert refusal({"name": "x"}, ["name.first=5"]) == "--set name.first=5: name is a value, not a section"


class TestFiles:
    def test_a_path_comes_before_a_shipped_name(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "quickstart.yaml").write_text("space: {depth: 3}\n")
        assert load_configuration("quickstart.yaml").space.depth == 3
        assert find_configuration("quickstart").name == "quickstart.yaml"
        assert load_configuration("quickstart").space.depth != 3

    def test_an_empty_file_is_the_defaults_under_its_own_name(self, tmp_path):
        (tmp_path / "mine.yaml").touch()
        assert load_configuration(str(tmp_path / "mine.yaml")) == SearchConfig(name="mine")

    @pytest.mark.parametrize("name", ["nothing", "configs/quickstart.yaml"])
    def test_what_is_neither_file_nor_name_is_refused(self, name, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(InputError, match="is neither a file nor a shipped configuration"):
            find_configuration(name)

    def test_python_objects_are_not_made(self, tmp_path):
        (tmp_path / "bad.yaml").write_text(f"!!python/object/apply:pathlib.Path.touch [{tmp_path}/made]")
        with pytest.raises(InputError, match="is not valid YAML at line 1"):
            read_yaml_mapping(tmp_path / "bad.yaml")
        assert not (tmp_path / "made").exists()


def test_a_near_name_is_suggested_and_else_all_are_listed():
    assert did_you_mean("nsga3", ["ga", "nsga2"]) == "; did you mean 'nsga2'?"
    assert did_you_mean("zzz", ["ga", "nsga2"]) == "; allowed: ga, nsga2"
