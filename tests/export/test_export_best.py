"""The command: what it writes, prints and refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from safetensors import safe_open
from safetensors.torch import load_file, save

from export.hand_made import OWN_CLASSES, SHARING, WHOLE_SPACE, configuration, record_of
from star_search import Genome
from star_search.config import SearchConfig
from star_search.runs.atomic import write_bytes

FILES = {
    "README.md",
    "config.json",
    "configuration_star.py",
    "generation_config.json",
    "model.safetensors",
    "modeling_star.py",
    "tokenizer.json",
    "tokenizer_config.json",
}


def test_the_folder_holds_all_and_nothing_else(sizes_run, command):
    code, out, err = command()
    assert (code, err) == (0, "")
    assert out == "wrote candidate 2 (perplexity 4.000, cache_bytes 2,048 B) to export/tiny-2\n"
    assert {path.name for path in Path("export/tiny-2").iterdir()} == FILES
    assert [path.name for path in Path("export").iterdir()] == ["tiny-2"]


def test_the_configuration_file(sizes_run, export):
    folder = Path(export("runs/gen00", "--by", "knee", "--out", "deep/best")["folder"])
    assert folder == Path("deep/best")
    config = json.loads((folder / "config.json").read_text())
    assert config["auto_map"] == {"AutoConfig": "configuration_star.StarConfig", "AutoModelForCausalLM": "modeling_star.StarForCausalLM"}
    expected = {"model_type": "star", "genome": "21111-91111", "catalogue": "star", "catalogue_version": 1, "width": 32, "depth": 2}
    expected |= {"vocab_size": 257, "eos_token_id": 256, "bos_token_id": 256, "residual": "plain", "training_sequence_length": 16}
    assert expected.items() <= config.items()


def test_the_weights_are_the_run_s(sizes_run, export):
    folder = Path(export()["folder"])
    kept, written = load_file(sizes_run.weights_path(2)), load_file(folder / "model.safetensors")
    assert {f"model.{name}" for name in kept} == set(written)
    assert all((written[f"model.{name}"] == tensor).all() for name, tensor in kept.items())
    with safe_open(folder / "model.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt"}


def test_nothing_is_overwritten(sizes_run, command):
    folder = Path("mine")
    folder.mkdir()
    (folder / "notes").write_text("keep")
    Path("file").write_text("keep")
    for name in ("mine", "file"):
        code, out, err = command("--out", name)
        assert (code, out) == (2, "")
        assert err == f"star-search: {name} exists already; nothing is overwritten: give a new or empty folder with --out\n"
    assert (folder / "notes").read_text() == Path("file").read_text() == "keep"
    Path("empty").mkdir()
    assert command("--out", "empty")[0] == 0
    assert {path.name for path in Path("empty").iterdir()} == FILES


def test_a_failure_leaves_nothing_behind(sizes_run, command, monkeypatch):
    def fail(*arguments):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("star_search.export.folder.write_text", fail)
    code, _, err = command("--out", "deep/best")
    assert (code, err) == (1, "star-search: deep/best cannot be written: No space left on device\n")
    assert list(Path("deep").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--by", "perplexty"], "--by perplexty is no objective; did you mean 'perplexity'?"),
        (["--where", "cache_bytes<0.5e3", "--by", "perplexity"], "constraint 'cache_bytes<0.5e3' must read"),
        (["--where", "perplexity<=1"], "no candidate of runs/tiny has perplexity<=1: the nearest is candidate 2"),
        (
            ["--candidate", "1", "--by", "knee"],
            "--candidate names one candidate, so --by and --where have nothing to choose; leave them out",
        ),
        (["runs/gen07"], "runs/tiny has only generations 0 to 0, not 7"),
        (["nowhere"], "nowhere does not exist"),
    ],
)
def test_bad_input_is_one_sentence(sizes_run, command, arguments, sentence):
    code, out, err = command(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"star-search: {sentence}") and err.count("\n") == 1
    assert not Path("export").exists()


def test_no_run(command):
    assert command() == (2, "", "star-search: runs holds no run\n")


def test_weights_of_another_genome_are_refused(sizes_run, command):
    write_bytes(sizes_run.weights_path(2), sizes_run.weights_path(0).read_bytes())
    code, _, err = command()
    assert code == 1 and "does not hold the weights of 11111-91111" in err
    write_bytes(sizes_run.weights_path(2), b"short")
    code, _, err = command()
    assert code == 1 and "cannot be read" in err and "without that file, the candidate is retrained" in err


def test_weights_are_written_in_fp32(sizes_run, export):
    state = {name: tensor.bfloat16() for name, tensor in load_file(sizes_run.weights_path(2)).items()}
    write_bytes(sizes_run.weights_path(2), save(state))
    written = load_file(Path(export()["folder"]) / "model.safetensors")
    assert {str(tensor.dtype) for tensor in written.values()} == {"torch.float32"}


def test_the_model_card(make_run, export):
    config = configuration(9, backbone={"residual": "scaled"})
    record = record_of(0, SHARING, config, 5.25)
    make_run(config, [record], front=[0])
    card = (Path(export()["folder"]) / "README.md").read_text()
    front = yaml.safe_load(card.split("---\n")[1])
    assert front["library_name"] == "transformers" and "star-search" in front["tags"] and "license" not in front
    assert "**This is not a useful language model.** It was trained on 1,024 tokens" in card
    assert f"```\n{record.canonical}\n```" in card
    rows = [line for line in card.splitlines() if line.startswith("| ") and "SA-1 (`12123`)" in line]
    assert len(rows) == 2 and rows[1].endswith("| k from LIV 1, v from LIV 1 |")
    for group in Genome.parse(record.canonical).sharing("star").groups:
        assert f"- LIVs {', '.join(str(member + 1) for member in group.members)} share " in card
    assert "| perplexity | 5.25 | yes |" in card and "Measured on 512 validation tokens" in card
    for text in (
        "torch 2.13.0",
        "0" * 64,
        f"of the candidate {record.seed}",
        "star-search export-best --candidate 0",
        "trust_remote_code=True",
    ):
        assert text in card
    assert SearchConfig.model_validate(yaml.safe_load(card.split("```yaml\n")[1].split("```")[0])) == config
    code = card.split("```python\n")[1].split("```")[0]
    compile(code, "card", "exec")


def test_the_card_s_code_runs_in_a_fresh_process_and_asks_nothing(sizes_run, export, tmp_path):
    pytest.importorskip("transformers")
    folder = Path(export()["folder"])
    code = (folder / "README.md").read_text().split("```python\n")[1].split("```")[0]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "HF_HOME": str(tmp_path / "hub")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("The")


def test_the_card_of_a_genome_with_classes_of_its_own(make_run, export):
    config = configuration(9, space=WHOLE_SPACE)
    record = record_of(0, OWN_CLASSES, config, 5.25)
    make_run(config, [record], front=[0])
    card = (Path(export()["folder"]) / "README.md").read_text()
    assert f"```\n{record.canonical}\n```" in card
    rows = [line for line in card.splitlines() if line.startswith("| ") and "Evolved-" in line]
    assert len(rows) == 4


def test_a_run_s_folder_may_be_given_in_any_form(sizes_run, export, monkeypatch):
    monkeypatch.chdir("runs/tiny")
    assert export(".")["folder"] == "export/tiny-2"
    assert export("gen00", "--out", "../../best")["candidate"] == 2


def test_the_tokenizer_of_the_run_must_be_there(sizes_run, command):
    sizes_run.update_config(configuration(2, data={"tokenizer": "gone.json"}).to_yaml())
    code, _, err = command()
    assert code == 2 and err.startswith(f"star-search: data.tokenizer {Path.cwd() / 'gone.json'} cannot be read")
