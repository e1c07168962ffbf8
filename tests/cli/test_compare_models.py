"""`compare RUN`: finalists and baselines trained once, summed up over seeds; what cannot be is one sentence."""

import json
import shutil
from statistics import mean

import pytest

from cli.conftest import run_command, write_configuration
from star_search.finalists.training_folder import TrainingFolder
from star_search.runs.directory import RunDirectory


@pytest.fixture(scope="module")
def tested(tmp_path_factory, source):
    """A run of eight candidates over a text with a test split."""
    folder = tmp_path_factory.mktemp("tested")
    changes = {"data": {"test_fraction": 0.2, "validation_fraction": 0.2}, "algorithm": {"generations": 1}}
    ended = run_command("evolve", "--config", write_configuration(folder, source, **changes), "--run-dir", folder / "run")
    assert ended.code == 0, ended
    return RunDirectory.open(folder / "run")


def test_finalists_and_baselines_stand_in_one_table(command, here, tested):
    arguments = (
        "compare",
        tested.path,
        "--baselines",
        "transformer++,striped-mamba",
        "--finalists",
        "1",
        "--seeds",
        "2",
        "--tokens",
        "1280",
    )
    arguments = (*arguments, "--mad", "compression", "--set", "mad.steps=2", "--set", "mad.batch=8", "--set", "mad.train_examples=8")
    arguments = (*arguments, "--set", "mad.test_examples=8")
    arguments = (*arguments, "--match", "parameters", "--lengths", "64,256", "--out", "table", "--device", "cpu")
    ended = command(*arguments, "--json")
    assert ended.code == 0, ended
    found = json.loads(ended.out)
    finalist, transformer, mamba = found["models"]
    assert (found["tokens"], found["seeds"], found["split"]) == (1280, 2, "test")
    assert [each["label"] for each in (transformer, mamba)] == ["transformer++", "striped-mamba"]
    assert finalist["p_value"] is None and 0 <= transformer["p_value"] <= 1
    for model in found["models"]:
        folders = [TrainingFolder.open(path) for path in sorted((here / "table").glob(f"{model['label'].replace('+', '-')}-[01]"))]
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
    text = (here / "table" / "comparison.md").read_text()
    assert text.startswith("| model | perplexity | 95 % interval | p | parameters | width | MAD |\n")
    assert "\n| model | cache 64 | cache 256 | train tok/s | decode tok/s |\n" in text
    assert f"* transformer++: `{transformer['genome']}`" in text
    assert "MAD: mean accuracy over tasks (compression) and seeds" in text
    # What evaluate makes of an export is what compare says of it: the same text, batches and weights.
    scored = json.loads(command("evaluate", folders[1].export_path, "--perplexity", "--device", "cpu", "--json").out)["text"]
    assert scored["perplexity"] == pytest.approx(model["perplexities"][1], rel=1e-6)
    assert scored["subsets"].keys() == model["bits_per_byte"].keys()
    before = {path: path.stat().st_mtime_ns for name in ("result", "mad") for path in (here / "table").glob(f"*/{name}.json")}
    again = json.loads(command(*arguments, "--json").out)
    assert len(before) == 12 and {path: path.stat().st_mtime_ns for path in before} == before
    shown = command(*arguments).out
    assert "…" not in shown and all(f"{model['perplexity']:.3f}" in shown for model in found["models"])
    other = command(*arguments, "--set", "mad.steps=3").sentence()
    assert other.endswith("mad.json was had with another mad.steps than 3; give another --out")
    assert [each["perplexities"] for each in again["models"]] == [each["perplexities"] for each in found["models"]]
    shutil.rmtree(next((here / "table").glob("transformer---1")))
    more = command(*arguments[:-4], "--out", "table", "--device", "cpu", "--set", "training.learning_rate=0.01").sentence()
    assert "holds another training: training.learning_rate is 0.03 there and 0.01 here; give another --out" in more


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "compare needs a run, whose finalists are held against baselines, or --searches"),
        (["--baselines", "transformer++"], "--baselines needs a run to compare models of"),
        (["RUN", "--searches", "nsga2"], "--searches compares searches, and no run goes with it"),
        (["RUN", "--max-tokens", "5"], "--max-tokens compares searches, and no run goes with it"),
        (["RUN", "--baselines", "transformer"], "unknown baseline 'transformer'; did you mean 'transformer++'?"),
        (["RUN", "--candidates", "1,x"], "--candidates must be whole numbers from 0, joined by commas, got 1,x"),
        (["RUN", "--candidates", "99"], "RUN has no candidate 99; it has 0 to 7"),
        (["RUN", "--candidates", "1", "--finalists", "2"], "--candidates names the finalists, so --finalists has nothing to choose"),
        (["RUN", "--match", "size"], "--match size is unknown; allowed: parameters, flops"),
        (["RUN", "--mad", "memorization,compresion"], "--mad compresion is unknown; did you mean 'compression'?"),
        (["RUN", "--lengths", "0"], "--lengths must be whole numbers from 1, joined by commas, got 0"),
        (["nothing", "--baselines", "transformer++"], "nothing does not exist"),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(command, here, tested, arguments, sentence):
    given = [str(tested.path) if each == "RUN" else each for each in arguments]
    assert command("compare", *given).sentence().startswith(sentence.replace("RUN", str(tested.path)))
    assert list(here.iterdir()) == []
