"""`compare RUN`: finalists and baselines trained once, summed up over seeds; what cannot be is one sentence."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import pytest

from cli.conftest import run_command
from star_search.finalists.training_folder import TrainingFolder


@dataclass(frozen=True)
class Compared:
    """A comparison that was made: its command, its folder and what it printed."""

    arguments: tuple[object, ...]
    folder: Path
    found: dict[str, Any]

    def trainings(self, model: dict[str, Any]) -> list[TrainingFolder]:
        name = model["label"].replace("+", "-")
        return [TrainingFolder.open(path) for path in sorted(self.folder.glob(f"{name}-[01]"))]


@pytest.fixture(scope="module")
def compared(tmp_path_factory, tested):
    folder = tmp_path_factory.mktemp("compared") / "table"
    arguments: list[object] = ["compare", tested.path, "--baselines", "transformer++,striped-mamba", "--finalists", 1, "--seeds", 2]
    arguments += ["--tokens", 1280, "--match", "parameters", "--lengths", "64,256", "--mad", "compression", "--device", "cpu"]
    for change in ("steps=2", "batch=8", "train_examples=8", "test_examples=8"):
        arguments += ["--set", f"mad.{change}"]
    arguments += ["--out", folder]
    ended = run_command(*arguments, "--json")
    assert ended.code == 0, ended
    return Compared(tuple(arguments), folder, json.loads(ended.out))


def test_finalists_and_baselines_stand_in_one_table(compared):
    found = compared.found
    finalist, transformer, mamba = found["models"]
    assert (found["tokens"], found["seeds"], found["split"]) == (1280, 2, "test")
    assert [each["label"] for each in (transformer, mamba)] == ["transformer++", "striped-mamba"]
    assert finalist["p_value"] is None and 0 <= transformer["p_value"] <= 1
    for model in found["models"]:
        folders = compared.trainings(model)
        results = [folder.result() for folder in folders]
        assert model["perplexities"] == [each["test"]["perplexity"] for each in results]
        assert model["perplexity"] == pytest.approx(mean(model["perplexities"]))
        assert model["interval"][0] <= model["perplexity"] <= model["interval"][1]
        assert {each["width"] for each in results} == {model["width"]}
        assert all(folder.checkpoints() == [] for folder in folders)
        assert set(model["cache_bytes"]) == {"64", "256"}
        assert model["training_tokens_per_second"] > 0 and model["decoding_tokens_per_second"] > 0
        assert model["bits_per_byte"]
        scores = [json.loads((folder.path / "mad.json").read_text())["accuracies"]["compression"] for folder in folders]
        assert model["mad"] == {"compression": pytest.approx(mean(scores))}
    text = (compared.folder / "comparison.md").read_text()
    assert text.startswith("| model | perplexity | 95 % interval | p | parameters | width | MAD |\n")
    assert "\n| model | cache 64 | cache 256 | train tok/s | decode tok/s |\n" in text
    assert "MAD: mean accuracy over tasks (compression) and seeds" in text
    assert f"* transformer++: `{transformer['genome']}`" in text


def test_evaluate_says_of_an_export_what_compare_says_of_its_training(command, compared):
    for model in compared.found["models"]:
        export = compared.trainings(model)[1].export_path
        scored = json.loads(command("evaluate", export, "--perplexity", "--device", "cpu", "--json").out)["text"]
        assert scored["perplexity"] == pytest.approx(model["perplexities"][1], rel=1e-6)
        assert scored["subsets"].keys() == model["bits_per_byte"].keys()


def test_what_is_finished_is_read_and_what_is_another_training_refused(command, compared):
    before = {path: path.stat().st_mtime_ns for name in ("result", "mad") for path in compared.folder.glob(f"*/{name}.json")}
    shown = command(*compared.arguments).out
    assert len(before) == 12 and {path: path.stat().st_mtime_ns for path in before} == before
    assert "…" not in shown and all(f"{model['perplexity']:.3f}" in shown for model in compared.found["models"])
    other = command(*compared.arguments, "--set", "mad.steps=3").sentence()
    assert other.endswith("mad.json was had with another mad.steps than 3; give another --out")
    other = command(*compared.arguments, "--set", "training.learning_rate=0.01").sentence()
    assert "holds another training: training.learning_rate is 0.03 there and 0.01 here; give another --out" in other


def test_trainings_of_another_machine_are_read_here(command, tmp_path, compared):
    folder = tmp_path / "table"
    shutil.copytree(compared.folder, folder)
    for path in folder.glob("*/training.json"):
        plan = json.loads(path.read_text())
        plan["config"]["training"]["engine"] = "graph"
        # As an older version left it.
        del plan["config"]["training"]["deterministic"]
        path.write_text(json.dumps(plan))
    for path in folder.glob("*/result.json"):
        result = json.loads(path.read_text())
        result["measured"]["device"] = "NVIDIA H200"
        path.write_text(json.dumps(result))
    kept, *others = sorted(folder.glob("*/decoding.json"))
    kept.write_text('{"tokens_per_second": 637.5}')
    for path in others:
        path.unlink()
    arguments = [folder if each == compared.folder else each for each in compared.arguments] + ["--set", "training.engine=graph"]
    found = json.loads(command(*arguments, "--json").out)
    assert found["device"] == "NVIDIA H200" and len(others) == 2
    assert [model["perplexities"] for model in found["models"]] == [model["perplexities"] for model in compared.found["models"]]
    assert sorted(model["decoding_tokens_per_second"] or 0 for model in found["models"]) == [0, 0, 637.5]
    kept.write_text('{"tokens_per_second": "fast"}')
    ended = command(*arguments)
    assert ended.code == 1 and ended.err == f"star-search: {kept} is damaged: tokens_per_second must be a number, got 'fast'\n"
    next(folder.glob("*/result.json")).unlink()
    assert command(*arguments).sentence().startswith("training.engine graph needs a GPU, and this training runs on cpu")


def test_workers_find_what_this_process_finds(command, tmp_path, compared):
    elsewhere = [tmp_path / "table" if each == compared.folder else each for each in compared.arguments]
    found = json.loads(command(*elsewhere, "--workers", 2, "--json").out)
    for model, expected in zip(found["models"], compared.found["models"], strict=True):
        for key in ("label", "perplexities", "mad", "bits_per_byte"):
            assert model[key] == expected[key], key


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "compare needs a run, whose finalists are held against baselines, or --searches"),
        (["--baselines", "transformer++"], "--baselines needs a run to compare models of"),
        (["RUN", "--searches", "nsga2"], "--searches compares searches, and no run goes with it"),
        (["RUN", "--max-tokens", "5"], "--max-tokens compares searches, and no run goes with it"),
        (["RUN", "--baselines", "transformer"], "unknown baseline 'transformer'; did you mean 'transformer++'?"),
        (["RUN", "--baselines", "mine="], "--baselines mine= must read NAME=GENOME, such as convolved=21111-91111"),
        (["RUN", "--baselines", "mine=1111-91111"], "LIV 1 of the genome, '1111', has 4 genes; five are needed"),
        (["RUN", "--baselines", "mine=11111-91111-91111"], "the genome has 3 LIVs and is to have 2; a genome is scaled to a multiple"),
        (["RUN", "--baselines", "a/b=11111,a-b=71111"], "the trainings of a/b and a-b would lie in one folder; rename one of them"),
        (["RUN", "--candidates", "1,x"], "--candidates must be whole numbers from 0, joined by commas, got 1,x"),
        (["RUN", "--candidates", "99"], "RUN has no candidate 99; it has 0 to 7"),
        (["RUN", "--candidates", "1", "--finalists", "2"], "--candidates names the finalists, so --finalists has nothing to choose"),
        (["RUN", "--match", "size"], "--match size is unknown; allowed: parameters, flops"),
        (["RUN", "--mad", "memorization,compresion"], "--mad compresion is unknown; did you mean 'compression'?"),
        (["RUN", "--workers", "some"], "the configuration: workers.count must be a whole number or one of 'auto', got 'some'"),
        (["RUN", "--device", "cpu", "--set", "training.engine=parts"], "training.engine parts needs a GPU, and this training runs on cpu"),
        (["RUN", "--lengths", "0"], "--lengths must be whole numbers from 1, joined by commas, got 0"),
        (["nothing", "--baselines", "transformer++"], "nothing does not exist"),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(command, here, tested, arguments, sentence):
    given = [str(tested.path) if each == "RUN" else each for each in arguments]
    assert command("compare", *given).sentence().startswith(sentence.replace("RUN", str(tested.path)))
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("name", ["comparison.md", "training.json", "run.json"])
def test_a_folder_of_something_else_is_left_alone(command, here, tested, name):
    (here / "mine").mkdir()
    (here / "mine" / name).write_text("mine")
    refused = command("compare", tested.path, "--baselines", "transformer++", "--out", "mine", "--device", "cpu").sentence()
    assert refused == "mine is not empty and holds no comparison; nothing is overwritten: give another folder with --out"
    assert [path.read_text() for path in (here / "mine").iterdir()] == ["mine"]
