"""`genes`: the whole gene table."""

import json

from star_search.genome.catalogue import load_catalogue


def test_the_table_names_every_class_with_its_operator_genome(command):
    ended = command("genes")
    assert (ended.code, ended.err) == (0, "")
    rows = {line.split()[0]: line for line in ended.out.splitlines() if line[:1].isdigit()}
    for class_id, liv_class in load_catalogue("star").classes.items():
        row = rows[str(class_id)]
        assert liv_class.name in row
        assert liv_class.operator.format() in row


def test_json_says_which_feature_strategies_are_legal(command):
    table = json.loads(command("genes", "--json").out)
    classes = {row["name"]: row for row in table["classes"]}
    assert list(classes["SA-1"]["feature_strategies"]) == ["1", "2", "3", "4"]
    assert list(classes["S4-1"]["feature_strategies"]) == ["1", "2"]
    assert list(classes["GMemless"]["feature_strategies"]) == ["1"]
    assert len(table["backbone"]) == len(table["operator"]) == len(table["featurizer"]) == 5


def test_another_catalogue(command):
    table = json.loads(command("genes", "--json", "--catalogue", "paper").out)
    assert [row["id"] for row in table["classes"]] == list(range(1, 18))
    assert {row["id"]: row["name"] for row in table["classes"]}[2] == "SA-Conv"
    assert "unknown catalogue 'papr'; did you mean 'paper'?" in command("genes", "--catalogue", "papr").sentence()


def test_plain_output_has_no_control_characters(command):
    assert "\x1b" not in command("genes").out
