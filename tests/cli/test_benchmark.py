"""`benchmark`: table, files, JSON, and what it refuses."""

import json

import pytest

SMALL = ("--operators", "--lengths", "32,64", "--width", 32, "--repeats", 2, "--threads", 1, "--device", "cpu")


def test_table_files_and_json_agree(command, here):
    ended = command("benchmark", *SMALL, "--classes", "SA-1,18", "--out", "measured", "--json")
    assert ended.code == 0, ended
    values = json.loads(ended.out)
    assert json.loads((here / "measured/operators.json").read_text()) == values
    assert [each["name"] for each in values["classes"]] == ["SA-1", "S4-1"]
    assert [point["length"] for point in values["classes"][0]["points"]] == [32, 64]
    assert values["setting"]["width"] == 32
    rows = [line.split(" | ") for line in (here / "measured/operators.md").read_text().splitlines() if line.startswith("| S")]
    assert [row[0] for row in rows] == ["| SA-1", "| S4-1"]
    assert [row[1] for row in rows] == ["T^2", "T"]
    milliseconds = 1e3 * values["classes"][1]["points"][0]["total"]["median"]
    assert rows[1][2] == f"{milliseconds:.1f}"
    assert rows[1][5] == f"{values['classes'][1]['time_exponent']:.2f}"
    figure = (here / "measured/operators.svg").read_text()
    assert figure.startswith("<?xml")
    again = command("benchmark", *SMALL, "--classes", "1", "--out", "measured").sentence()
    assert again == "measured/operators.json exists already; nothing is overwritten: give another folder with --out"


def test_the_table_on_the_terminal(command):
    ended = command("benchmark", *SMALL, "--classes", "9")
    assert ended.code == 0, ended
    assert ended.out.startswith("Forward and backward, width 32, batch 1, cpu, 1 thread, fp32\n")
    assert "GMemless" in ended.out
    assert "1 classes that claim linear time" in ended.out


SIZES = ("--width", 32, "--vocabulary", 97, "--length", 16, "--batch-tokens", 32, "--steps", 2, "--repeats", 2)
MODELS = ("--models", *SIZES, "--threads", 1, "--device", "cpu")


def test_models_in_one_run(command, here):
    pytest.importorskip("transformers")
    asked = ("--genome", "pp=11111-91111", "--classes", "GConv-1", "--times", 2, "--huggingface", "llama")
    ended = command("benchmark", *MODELS, *asked, "--out", "measured", "--json")
    assert ended.code == 0, ended
    values = json.loads(ended.out)
    assert json.loads((here / "measured/models.json").read_text()) == values
    assert values["genomes"] == {"pp": "11111-91111-11111-91111", "GConv-1": "71111-91111-71111-91111"}
    plus_plus, _, llama = values["models"]
    assert (llama["name"], llama["parameters"]) == ("Hugging Face llama, eager", plus_plus["parameters"])
    assert llama["tokens_per_second"] > 0 and values["refused"] == []
    rows = [line for line in (here / "measured/models.md").read_text().splitlines() if line.startswith("| pp")]
    assert f"{plus_plus['tokens_per_second']:,.0f}" in rows[0]
    assert command("benchmark", *MODELS, "--out", "measured").sentence().startswith("measured/models.json exists already")


def test_what_was_measured_before_an_interruption_is_kept(command, here, monkeypatch):
    from star_search.benchmark import models

    right = models.measure_genome
    monkeypatch.setattr(
        models, "measure_genome", lambda setting, name, *rest: interrupt() if name == "GConv-1" else right(setting, name, *rest)
    )
    assert command("benchmark", *MODELS, "--classes", "1,7", "--out", "measured").code
    values = json.loads((here / "measured/models.json").read_text())
    assert ([each["name"] for each in values["models"]], list(values["genomes"])) == (["SA-1"], ["SA-1", "GConv-1"])


def interrupt():
    raise KeyboardInterrupt


def test_a_model_whose_outputs_are_wrong_is_in_no_table(command, monkeypatch):
    from star_search.liv.convolution import ShortConvolution

    right = ShortConvolution.mix
    monkeypatch.setattr(ShortConvolution, "mix", lambda self, features: 1.5 * right(self, features))
    ended = command("benchmark", *MODELS, "--classes", "1,7", "--json")
    assert ended.code == 1
    values = json.loads(ended.out)
    assert [each["name"] for each in values["models"]] == ["SA-1"]
    assert ended.err.startswith("star-search: GConv-1: the fast forms differ from the reference forms")
    assert len(values["refused"]) == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "benchmark measures one of three things: give --operators, --decoding or --models"),
        (["--operators", "--models"], "benchmark measures one of three things: give --operators, --decoding or --models"),
        (["--models", "--genome", "1111"], "LIV 1 of the genome, '1111', has 4 genes; five are needed"),
        (["--models", "--genome", "(59)1111-91111"], "genome (59)1111-91111 is illegal: LIV 1: class 59 is not in catalogue star"),
        (["--models", "--genome", "11111", "--genome", "11111"], "--genome 11111 is given twice; name each genome as NAME=GENOME"),
        (["--models", "--batch-tokens", "1000"], "--batch-tokens must be a multiple of --length 1024, got 1000"),
        (["--models", "--times", "0"], "--times must be at least 1, got 0"),
        (["--models", "--steps", "0"], "--steps must be at least 1, got 0"),
        (["--models", "--width", "100"], "width 100 must be a multiple of 8, 2 times its 4 heads, for SA-1"),
        (["--models", "--precision", "float16"], "unknown --precision 'float16'; did you mean"),
        (["--models", "--huggingface", "lama"], "unknown Hugging Face model 'lama'; did you mean 'llama'?"),
        (["--operators", "--lengths", "512"], "--lengths must be two or more whole numbers from 1, joined by commas, got 512"),
        (["--operators", "--lengths", "512,x"], "--lengths must be two or more whole numbers from 1, joined by commas, got 512,x"),
        (["--operators", "--width", "100"], "width 100 must be a multiple of 8, 2 times its 4 heads, for SA-1"),
        (["--operators", "--classes", "SA-9"], "catalogue star has no LIV class 'SA-9'"),
        (["--operators", "--repeats", "0"], "--repeats must be at least 1, got 0"),
        (["--operators", "--catalogue", "stars"], "unknown catalogue 'stars'; did you mean 'star'?"),
        (["--operators", "--device", "tpu"], "--device must be auto"),
    ],
)
def test_what_cannot_be_measured_is_one_sentence(command, here, arguments, sentence):
    assert command("benchmark", *arguments).sentence().startswith(sentence)
    assert list(here.iterdir()) == []
