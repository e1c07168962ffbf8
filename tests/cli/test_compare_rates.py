"""`compare RUN --learning-rates`: every model at its best rate of a grid, which validation text says; what cannot be is one sentence."""

import json
import re
import shutil

import pytest

from cli.conftest import run_command
from star_search.errors import StarSearchError
from star_search.finalists.training_folder import TrainingFolder

# The run's own rate, 0.03, is none of them.
RATES = {"0.003": 0.003, "0.02": 0.02, "1e+30": 1e30}


def arguments_of(tested, folder, rates):
    models = ["--baselines", "transformer++", "--finalists", 1, "--seeds", 2, "--tokens", 1280, "--lengths", "64"]
    return ["compare", tested.path, *models, "--learning-rates", rates, "--device", "cpu", "--out", folder]


@pytest.fixture(scope="module")
def tuned(tmp_path_factory, tested):
    """A comparison over a grid whose highest rate trains nothing: its command, its folder and what it printed."""
    folder = tmp_path_factory.mktemp("tuned") / "table"
    arguments = arguments_of(tested, folder, "2e-2, 1e30,3e-3")
    ended = run_command(*arguments, "--json")
    assert ended.code == 0, ended
    return arguments, folder, json.loads(ended.out)


def test_every_model_has_all_its_seeds_at_the_rate_that_validation_text_prefers(tuned):
    _, folder, found = tuned
    assert found["learning_rates"] == [0.003, 0.02, 1e30]
    expected = set()
    for model in found["models"]:
        name = model["label"].replace("+", "-")
        results = {text: TrainingFolder.open(folder / f"{name}-rate-{text}-0").result() for text in RATES}
        assert results["1e+30"] is None
        reached = {text: result["validation"]["perplexity"] for text, result in results.items() if result is not None}
        best = min(reached, key=reached.__getitem__)
        assert model["learning_rate"] == RATES[best]
        assert [each["validation_perplexity"] for each in model["grid"]] == [reached["0.003"], reached["0.02"], None]
        assert "ended unstable" in model["grid"][2]["failure"] and model["failures"] == []
        assert model["at_edge_of_grid"] == (best == "0.003")
        of_seeds = [TrainingFolder.open(folder / f"{name}-rate-{best}-{seed}") for seed in (0, 1)]
        assert {each.plan.search.training.learning_rate for each in of_seeds} == {RATES[best]}
        assert model["perplexities"] == [each.result()["test"]["perplexity"] for each in of_seeds]
        expected |= {f"{name}-rate-{text}-0" for text in RATES} | {f"{name}-rate-{best}-1"}
    assert {path.name for path in folder.iterdir() if path.is_dir()} == expected


def test_markdown_and_terminal_show_the_grid_and_say_where_it_was_too_small(command, tested, tuned):
    _, folder, found = tuned
    text = (folder / "comparison.md").read_text()
    assert "\n| model | learning rate | at 0.003 | at 0.02 | at 1e+30 |\n" in text
    assert "Learning rate: the one of the grid with the lowest validation perplexity with seed 0" in text
    for model in found["models"]:
        edge = ", at the edge of the grid" if model["at_edge_of_grid"] else ""
        low, high = (f"{each['validation_perplexity']:.3f}" for each in model["grid"][:2])
        assert f"\n| {model['label']} | {model['learning_rate']:g}{edge} | {low} | {high} | failed |\n" in text
    alone = command(*arguments_of(tested, folder, "0.02"))
    assert alone.code == 0 and alone.out.count("0.02, at the edge of the grid") == 2


def test_what_is_finished_is_read_and_what_was_cut_off_is_trained(command, tested, tuned):
    arguments, folder, found = tuned
    lost, *kept = sorted(folder.glob("*/result.json"))
    before = {path: path.stat().st_mtime_ns for path in kept}
    lost.unlink()
    assert json.loads(command(*arguments, "--json").out)["models"][0]["perplexities"] == found["models"][0]["perplexities"]
    assert lost.is_file() and len(kept) == 5
    assert {path: path.stat().st_mtime_ns for path in kept} == before
    other = command(*arguments_of(tested, folder, "0.001,0.02"), "--set", "training.warmup_steps=3").sentence()
    assert other.endswith("holds another training: training.warmup_steps is 2 there and 3 here; give another --out")
    assert not list(folder.glob("*-rate-0.001-*"))


def test_finished_trainings_are_read_where_their_text_lies_elsewhere_and_refused_where_it_is_another(command, tuned, source, tmp_path):
    arguments, folder, found = tuned
    other = tmp_path / source.name
    shutil.copy(source, other)
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*/result.json")}
    again = command(*arguments, "--json", "--set", f"data.source={other}")
    assert json.loads(again.out)["models"][1]["perplexities"] == found["models"][1]["perplexities"]
    other.write_text(source.read_text() + json.dumps({"text": "one more"}) + "\n")
    refused = command(*arguments, "--set", f"data.source={other}").sentence()
    assert re.fullmatch(rf"the text of {folder}/\S+ has changed: its fingerprint was \w{{12}} and is now \w{{12}}", refused)
    assert {path: path.stat().st_mtime_ns for path in folder.glob("*/result.json")} == before


def test_a_model_that_no_rate_trains_fails_with_the_reason_of_each(command, here, tested, monkeypatch):
    from star_search.finalists.running import Training

    real = Training.run

    def run(self, recorder):
        if self.plan.label == "transformer++":
            raise StarSearchError(f"it broke with seed {self.plan.seed}")
        return real(self, recorder)

    monkeypatch.setattr(Training, "run", run)
    ended = command(*arguments_of(tested, here / "table", "0.01,0.03"), "--json")
    finalist, failed = json.loads(ended.out)["models"]
    assert (failed["perplexities"], failed["perplexity"], failed["p_value"]) == ([None, None], None, None)
    assert failed["failures"] == ["at learning rate 0.01: it broke with seed 0", "at learning rate 0.03: it broke with seed 0"]
    assert (failed["learning_rate"], failed["at_edge_of_grid"]) == (None, False)
    assert finalist["failures"] == [] and None not in finalist["perplexities"]
    text = (here / "table" / "comparison.md").read_text()
    assert "\n| transformer++ | failed | failed | failed |\n" in text
    assert "* transformer++: at learning rate 0.03: it broke with seed 0\n" in text


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["RUN", "--learning-rates", "1e-3,0"], "--learning-rates must be positive numbers, joined by commas, got 1e-3,0"),
        (["RUN", "--learning-rates", "1e-3,,2e-3"], "--learning-rates must be positive numbers, joined by commas, got 1e-3,,2e-3"),
        (["RUN", "--learning-rates", ""], "--learning-rates must be positive numbers, joined by commas, got "),
        (["RUN", "--learning-rates", "inf"], "--learning-rates must be positive numbers, joined by commas, got inf"),
        (["RUN", "--learning-rates", "nan,1"], "--learning-rates must be positive numbers, joined by commas, got nan,1"),
        (["RUN", "--learning-rates", "fast"], "--learning-rates must be positive numbers, joined by commas, got fast"),
        (["RUN", "--learning-rates", "1e-3,0.001"], "--learning-rates names 0.001 twice: 1e-3,0.001"),
        (["RUN", "--learning-rates", "1", "--set", "training.learning_rate=1"], "--learning-rates chooses among its own, so --set"),
        (["--searches", "nsga2", "--learning-rates", "1e-3"], "--learning-rates needs a run to compare models of"),
    ],
)
def test_a_grid_that_cannot_be_is_one_sentence(command, here, tested, arguments, sentence):
    given = [str(tested.path) if each == "RUN" else each for each in arguments]
    assert command("compare", *given).sentence().startswith(sentence)
    assert list(here.iterdir()) == []
