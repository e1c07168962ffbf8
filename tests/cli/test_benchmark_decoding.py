"""`benchmark --decoding`: declared and held cache of genomes and of a run's front, and what it refuses."""

import json

import pytest

from star_search.analysis.duration import Duration
from star_search.analysis.run_view import RunView
from star_search.benchmark.decoding import DecodingRow, legend
from star_search.genome.accounting import Accounting
from star_search.genome.encoding import Genome
from star_search.objectives.measurement import DecodingCost

SMALL = ("--decoding", "--lengths", "16,40", "--threads", 1, "--repeats", 1, "--device", "cpu")


def test_the_front_of_a_run(command, here, finished):
    ended = command("benchmark", *SMALL, "--run", finished.path, "--out", "measured", "--json")
    assert ended.code == 0, ended
    values, front = json.loads(ended.out), RunView.read(finished).front
    assert json.loads((here / "measured/decoding.json").read_text()) == values
    assert [(row["name"], row["length"]) for row in values["rows"]] == [
        (f"candidate {record.id}", length) for record in front for length in (16, 40)
    ]
    for row in values["rows"]:
        declared = Accounting.of(Genome.parse(row["genome"]), 16).cache_bytes(row["length"])
        assert row["declared_cache_bytes"] == row["held_cache_bytes"] == declared
    table = [line for line in (here / "measured/decoding.md").read_text().splitlines() if line.startswith("| candidate")]
    assert len(table) == len(values["rows"])
    again = command("benchmark", *SMALL, "--run", finished.path, "--out", "measured").sentence()
    assert again == "measured/decoding.json exists already; nothing is overwritten: give another folder with --out"


def test_genomes_on_the_terminal(command):
    ended = command("benchmark", *SMALL, "--width", 16, "--genome", "71111-91111", "--genome", "91111")
    assert ended.code == 0, ended
    assert ended.out.startswith("Decoding at width 16, batch 1, float32, cpu, 1 thread, 1 repeats\n")
    # GConv-1 keeps 2 d elements; a memoryless LIV nothing.
    rows = [line.split() for line in ended.out.splitlines() if line.startswith(("71111", "91111"))]
    assert [(row[1], row[2], row[3]) for row in rows] == [("16", "64", "64"), ("40", "64", "64"), ("16", "0", "0"), ("40", "0", "0")]


def test_a_baseline_by_its_name_is_24_livs(command):
    ended = command("benchmark", "--decoding", "--lengths", 8, *SMALL[3:], "--width", 16, "--genome", "transformer++", "--json")
    (row,) = json.loads(ended.out)["rows"]
    assert (row["name"], row["genome"]) == ("transformer++", "-".join(["11111-91111"] * 12))
    # Twelve times k and v of width 16, 2 bytes an element, of eight tokens.
    assert row["held_cache_bytes"] == 12 * 2 * 16 * 2 * 8


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "--decoding needs --genome, which may be repeated, or --run, and not both"),
        (["--genome", "111"], "LIV 1 of the genome, '111', has 3 genes; five are needed"),
        (["--genome", "71119"], "genome 71119 is illegal: LIV 1: feature strategy 9 is not legal for GConv-1"),
        (["--genome", "71111", "--lengths", "0"], "--lengths must be one or more whole numbers from 1, joined by commas, got 0"),
        (["--genome", "71111", "--vocabulary", "0"], "--vocabulary must be at least 1, got 0"),
        (
            ["--genome", "71111", "--precision", "half"],
            "unknown --precision 'half'; allowed: bfloat16, float32",
        ),
        (["--run", "nowhere"], "nowhere "),
    ],
)
def test_what_cannot_be_measured_is_one_sentence(command, arguments, sentence):
    assert command("benchmark", "--decoding", *arguments).sentence().startswith(sentence)


@pytest.mark.parametrize(("high", "restless"), [(1.3, False), (1.5, True)])
def test_a_restless_machine_is_said(high, restless):
    cost = DecodingCost(64, 1, Duration(1.0, 1.0, high), Duration(1.0, 1.0, 1.0), 10, 5)
    said = legend([DecodingRow("mine", "71111", 1, 5, cost)])
    assert ("Spread above 20% in mine: the machine was not quiet" in said) == restless
