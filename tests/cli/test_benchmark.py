"""`benchmark --operators`: table, files, JSON, and what it refuses."""

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


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "benchmark measures one of --operators and --decoding at a time"),
        (["--operators", "--genome", "11111"], "--genome and --run are for --decoding; --operators takes --classes"),
        (["--operators", "--lengths", "512"], "--lengths must be two or more whole numbers from 1, joined by commas, got 512"),
        (["--operators", "--lengths", "512,x"], "--lengths must be two or more whole numbers from 1, joined by commas, got 512,x"),
        (["--operators", "--width", "100"], "width 100 must be a multiple of 8, 2 times its 4 heads, for SA-1"),
        (["--operators", "--classes", "SA-9"], "catalogue star has no LIV class 'SA-9'"),
        (["--operators", "--repeats", "0"], "--repeats must be at least 1, got 0"),
        (["--operators", "--catalogue", "stars"], "unknown catalogue 'stars'; did you mean 'star'?"),
        (["--operators", "--device", "tpu"], "workers.device must be"),
    ],
)
def test_what_cannot_be_measured_is_one_sentence(command, here, arguments, sentence):
    assert command("benchmark", *arguments).sentence().startswith(sentence)
    assert list(here.iterdir()) == []
