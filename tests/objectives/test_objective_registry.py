"""Objectives and constraints by name, and what is known of them before training."""

import math

import numpy as np
import pytest

from star_search.config import parse_configuration
from star_search.errors import InputError
from star_search.genome.accounting import Accounting
from star_search.genome.encoding import Genome
from star_search.genome.space import SearchSpace
from star_search.objectives.registry import KINDS, Criteria, account_of, parse_constraint, parse_objective

FORM = "must read 'objective <= number' or 'objective >= number', for example 'parameters <= 95e6'"


def criteria(objectives=("perplexity", "cache_bytes"), constraints=(), **sections):
    values = {"objectives": list(objectives), "constraints": list(constraints), **sections}
    return Criteria.from_config(parse_configuration(values))


class TestParseObjective:
    @pytest.mark.parametrize("name", KINDS)
    def test_every_kind_by_its_name(self, name):
        objective = parse_objective(name, 128)
        assert (objective.name, objective.length, objective.kind) == (name, 128, KINDS[name])

    def test_a_length_of_its_own(self):
        assert (parse_objective("cache_bytes@8192", 128).name, parse_objective("cache_bytes@8192", 128).length) == (
            "cache_bytes@8192",
            8192,
        )

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("perplexty", "unknown objective 'perplexty'; did you mean 'perplexity'?"),
            ("speed", f"unknown objective 'speed'; allowed: {', '.join(KINDS)}"),
            ("", f"unknown objective ''; allowed: {', '.join(KINDS)}"),
            ("cache_bytes@", "objective 'cache_bytes@': the length must be a whole number above 0 and below 1e12"),
            ("cache_bytes@0", "objective 'cache_bytes@0': the length must be a whole number above 0 and below 1e12"),
            ("cache_bytes@-5", "objective 'cache_bytes@-5': the length must be a whole number above 0 and below 1e12"),
            ("cache_bytes@4k", "objective 'cache_bytes@4k': the length must be a whole number above 0 and below 1e12"),
            ("parameters@64", "objective 'parameters@64': takes no length"),
            ("perplexity@64", "objective 'perplexity@64': takes no length"),
        ],
    )
    def test_errors(self, text, sentence):
        with pytest.raises(InputError) as error:
            parse_objective(text, 128)
        assert str(error.value) == sentence


class TestParseConstraint:
    @pytest.mark.parametrize(
        ("text", "name", "sign", "bound"),
        [
            ("parameters <= 95e6", "parameters", "<=", 95e6),
            ("  cache_bytes@64>=1_000 ", "cache_bytes@64", ">=", 1000.0),
            ("perplexity<=-2.5", "perplexity", "<=", -2.5),
        ],
    )
    def test_reads_name_sign_and_number(self, text, name, sign, bound):
        constraint = parse_constraint(text, 128)
        assert (constraint.objective.name, constraint.sign, constraint.bound) == (name, sign, bound)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "parameters",
            "parameters < 5",
            "parameters == 5",
            "parameters <= ",
            "parameters <= many",
            "5 >= 3 >= 1",
            "parameters <= 1e999",
        ],
    )
    def test_anything_else_is_refused_with_the_form(self, text):
        with pytest.raises(InputError) as error:
            parse_constraint(text, 128)
        assert str(error.value) == f"constraint '{text}' {FORM}"

    @pytest.mark.parametrize("text", ["parameters <= 1e", "parameters <= --5", "parameters <= 1.2.3"])
    def test_what_only_looks_like_a_number_is_refused(self, text):
        with pytest.raises(InputError, match="must read"):
            parse_constraint(text, 128)

    def test_an_unknown_objective_is_named(self):
        with pytest.raises(InputError, match="unknown objective 'parameter'; did you mean 'parameters'"):
            parse_constraint("parameter <= 5", 128)

    def test_violation_is_relative_to_the_bound(self):
        upper, lower, zero = (parse_constraint(text, 1) for text in ("parameters <= 200", "parameters >= 200", "parameters <= 0"))
        assert [upper.violation(value) for value in (150, 200, 300)] == [-0.25, 0.0, 0.5]
        assert [lower.violation(value) for value in (150, 200, 300)] == [0.25, 0.0, -0.5]
        assert zero.violation(3) == 3.0

    def test_the_sentence_says_which_way(self):
        assert parse_constraint("parameters <= 95e6", 1).sentence(1e8) == "parameters 1e+08 is above 9.5e+07"
        assert parse_constraint("cache_bytes >= 100", 1).sentence(12.5) == "cache_bytes 12.5 is below 100"


class TestCriteria:
    def test_names_are_in_order_and_lengths_default_to_the_sequence_length(self):
        found = criteria(["cache_bytes", "perplexity"], training={"sequence_length": 64})
        assert found.names == ["cache_bytes", "perplexity"]
        assert found.objectives[0].length == 64

    def test_one_name_twice_is_refused(self):
        with pytest.raises(InputError) as error:
            criteria(["perplexity", "cache_bytes", "perplexity"])
        assert str(error.value) == "objectives names one twice: perplexity, cache_bytes, perplexity"

    def test_one_objective_at_two_lengths_is_two(self):
        assert criteria(["cache_bytes@64", "cache_bytes@8192"]).names == ["cache_bytes@64", "cache_bytes@8192"]

    def test_exact_values_are_the_closed_form(self):
        """Transformer++ at 24 x 768 (DESIGN section 2): 84,953,856 parameters, and at T = 4096 a cache of 150,994,944 bytes."""
        account = Accounting.of(Genome.parse("-".join(["11111-91111"] * 12)), 768)
        found = criteria(["perplexity", "cache_bytes@4096"], ["cache_bytes@8192 <= 1e9"], training={"sequence_length": 128})
        # Keys and values are 2 x 768 elements of 2 bytes a token in 12 LIVs.
        assert found.exact_values(account) == {
            "parameters": 84_953_856,
            "cache_bytes": 2 * 2 * 768 * 128 * 12,
            "cache_bytes@4096": 150_994_944,
            "cache_bytes@8192": 2 * 150_994_944,
        }

    def test_the_account_is_that_of_the_configuration(self):
        config = parse_configuration({"space": {"width": 32}, "backbone": {"residual": "scaled"}})
        # One attention of 4 d^2, two norms, one scale.
        assert account_of(config, Genome.parse("11111")).parameters == 4 * 32**2 + 2 * 32 + 1

    def test_rejection_names_the_first_broken_constraint(self):
        found = criteria(constraints=["parameters <= 100", "cache_bytes >= 50", "perplexity <= 3"])
        assert found.rejection({"parameters": 100, "cache_bytes": 50}) == ""
        assert found.rejection({"parameters": 101, "cache_bytes": 1}) == "parameters 101 is above 100"
        assert found.rejection({"parameters": 1, "cache_bytes": 49}) == "cache_bytes 49 is below 50"
        assert found.rejection({"parameters": 1, "cache_bytes": 50, "perplexity": 4.0}) == "perplexity 4 is above 3"
        assert found.rejection({}) == ""


class TestLeast:
    @pytest.mark.parametrize("residual", ["plain", "scaled"])
    @pytest.mark.parametrize(
        "space", [{}, {"classes": [6, 7, 9]}, {"sharing": False}, {"minimum_mixers": 3}, {"minimum_mixers": 0}, {"composition": True}]
    )
    def test_no_genome_of_the_space_is_smaller(self, space, residual):
        config = parse_configuration({"space": {"depth": 4, "width": 64, **space}, "backbone": {"residual": residual}})
        drawn, found = SearchSpace.from_config(config.space), criteria(["parameters", "cache_bytes@16", "cache_bytes@4096"])
        rng = np.random.default_rng(0)
        sizes = [found.exact_values(account_of(config, drawn.sample(rng).genome)) for _ in range(200)]
        for objective in found.objectives:
            assert objective.kind.least_in(drawn, residual, objective.length) <= min(each[objective.name] for each in sizes)

    def test_one_class_that_shares_all_it_can_reaches_it(self):
        """Attention of 4 d^2: the output maps are its own, query, key and value are tied; keys and values are held once."""
        config = parse_configuration({"space": {"depth": 3, "width": 64, "classes": [1], "groups": 1}})
        space, found = SearchSpace.from_config(config.space), criteria(["parameters", "cache_bytes"])
        values = found.exact_values(account_of(config, Genome.parse("11212-11212-11212")))
        least = [objective.kind.least_in(space, "plain", objective.length) for objective in found.objectives]
        assert least == [3 * 64**2 + 3 * 64**2 + 4 * 64, 2 * 2 * 64 * 128]
        assert values["cache_bytes"] == least[1]
        tied = found.exact_values(account_of(config, Genome.parse("11211-11211-11211")))
        assert tied["parameters"] == least[0]

    def test_of_classes_that_evolve_only_norms_are_known(self):
        config = parse_configuration({"space": {"depth": 3, "width": 64, "levels": ["backbone", "operator"], "evolved_classes": 1}})
        found, space = criteria(["parameters", "cache_bytes"]), SearchSpace.from_config(config.space)
        assert [objective.kind.least_in(space, "scaled", 128) for objective in found.objectives] == [4 * 64 + 3, 0]


class TestWorst:
    @pytest.mark.parametrize("residual", ["plain", "scaled"])
    @pytest.mark.parametrize("classes", [None, [6, 7, 9], [8, 2]])
    def test_no_genome_of_the_space_is_larger(self, classes, residual):
        config = parse_configuration({"space": {"depth": 5, "width": 64, "classes": classes}, "backbone": {"residual": residual}})
        space, found = SearchSpace.from_config(config.space), criteria(["parameters", "cache_bytes@16", "cache_bytes@4096"])
        worst = found.worst(space, residual, 3.0, 4.0)
        rng = np.random.default_rng(0)
        sizes = [found.exact_values(account_of(config, space.sample(rng).genome)) for _ in range(300)]
        for name, bound in zip(found.names, worst, strict=True):
            assert max(each[name] for each in sizes) <= bound

    def test_one_class_at_every_depth_reaches_it(self):
        config = parse_configuration({"space": {"depth": 3, "width": 64, "classes": [1], "sharing": False}})
        found, space = criteria(["parameters", "cache_bytes"]), SearchSpace.from_config(config.space)
        assert found.worst(space, "plain", 3.0, 4.0) == [3 * 4 * 64**2 + 4 * 64, 3 * 2 * 2 * 64 * 128]

    def test_losses_are_bounded_by_the_unigram(self):
        found = criteria(["perplexity", "bits_per_byte"])
        assert found.worst(SearchSpace.from_config(parse_configuration({}).space), "plain", 3.0, 4.25) == [math.exp(3.0), 4.25]
