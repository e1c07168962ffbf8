"""`compare`: searches against random search, resumed where they were cut off."""

import json

import pytest

from cli.conftest import write_configuration


@pytest.fixture
def tiny(tmp_path, source):
    return write_configuration(tmp_path, source, algorithm={"generations": 1}, training={"tokens": 1024})


@pytest.mark.slow
def test_searches_run_once_and_print_intervals_and_a_test(command, here, tiny):
    arguments = ("compare", "--config", tiny, "--searches", "nsga2", "--searches", "firefly", "--seeds", "2")
    ended = command(*arguments)
    assert (ended.code, ended.err) == (0, "")
    assert "Hypervolume within 8,192 tokens" in ended.out
    for name in ("nsga2", "firefly"):
        assert f"\n{name}: mean 0." in ended.out
    assert ended.out.count("against random: mean difference ") == 2
    assert sorted(path.name for path in (here / "runs" / "compare-small").iterdir()) == [
        f"{name}-{seed}" for name in ("firefly", "nsga2", "random") for seed in (0, 1)
    ]
    values = json.loads(command(*arguments, "--json").out)
    assert [search["label"] for search in values["searches"]] == ["random", "nsga2", "firefly"]
    assert all(result["tokens"] <= 8192 for search in values["searches"] for result in search["results"])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--searches", "nsga4"], "unknown algorithm 'nsga4'; did you mean 'nsga"),
        (["--searches", "nsga2", "--seeds", "1"], "Invalid value for '--seeds'"),
        (["--searches", "nsga2 algorithm.repair"], "--set algorithm.repair must read key=value"),
        (
            ["--searches", "nsga2 objectives=[perplexity,parameters]"],
            "hypervolumes of 'random' and 'nsga2 objectives=[perplexity,parameters]' cannot be compared: objectives is ",
        ),
        (
            ["--searches", "nsga2 space.width=64 training.tokens=1024"],
            "hypervolumes of 'random' and 'nsga2 space.width=64 training.tokens=1024' cannot be compared: space.width is 16 in one and ",
        ),
        (
            ["--searches", "ga data.validation_tokens=512"],
            "hypervolumes of 'random' and 'ga data.validation_tokens=512' cannot be compared: data.validation_tokens is 256 in one and 512",
        ),
        (["--searches", "nsga2", "--max-tokens", "10"], "a budget of 10 tokens holds no candidate of 'random', which takes 1,024"),
        (
            ["--searches", "nsga2 training.tokens=9999"],
            "a budget of 8,192 tokens holds no candidate of 'nsga2 training.tokens=9999', which ",
        ),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(command, here, tiny, arguments, sentence):
    assert command("compare", "--config", tiny, *arguments).sentence().startswith(sentence)
    assert list(here.iterdir()) == []


def test_without_searches_it_says_which_option_is_missing(command):
    assert "--searches" in command("compare").sentence()
