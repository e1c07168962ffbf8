"""`inspect`: a run as tables and as JSON."""

import json
import re
import shutil

import pytest

from star_search.runs.directory import RunDirectory


@pytest.fixture
def copy(finished, here):
    shutil.copytree(finished.path, here / "runs" / "small")
    return RunDirectory.open(here / "runs" / "small")


def shown(command, *arguments):
    ended = command("inspect", *arguments, "--json")
    assert ended.code == 0, ended
    return json.loads(ended.out)


class TestJson:
    def test_the_schema(self, command, finished):
        values = shown(command, finished.path)
        assert list(values) == ["run", "generation", "candidates", "front", "hypervolume"]
        assert (values["run"], values["generation"]) == ("small", 2)
        fields = ["id", "generation", "genome", "canonical", "outcome", "reason", "objectives"]
        assert all(list(candidate) == fields for candidate in values["candidates"])
        records = finished.read_candidates()[0]
        assert [candidate["genome"] for candidate in values["candidates"]] == [record.genome for record in records]
        assert values["front"] == finished.read_generations()[0][-1].front

    def test_hypervolume_never_falls_and_is_a_share(self, command, finished):
        volumes = shown(command, finished.path)["hypervolume"]
        assert len(volumes) == 3
        assert volumes == sorted(volumes)
        assert 0 < volumes[0] <= volumes[-1] < 1

    def test_hypervolume_is_the_area_of_the_staircase(self, command, finished):
        values = shown(command, finished.path)
        perplexity, cache = finished.provenance["reference_point"]
        by_id = {candidate["id"]: candidate["objectives"] for candidate in values["candidates"]}
        points = sorted((by_id[number]["perplexity"] / perplexity, by_id[number]["cache_bytes"] / cache) for number in values["front"])
        area, height = 0.0, 1.0
        for x, y in points:
            area, height = area + (1 - x) * max(0.0, height - y), min(height, y)
        assert values["hypervolume"][-1] == pytest.approx(area)

    def test_no_times_and_no_paths(self, command, finished):
        out = command("inspect", finished.path, "--json").out
        assert str(finished.path) not in out
        assert not re.search(r"second|time|worker|/tmp|\d{4}-\d\d-\d\d", out)

    def test_a_generation_shows_what_was_known_then(self, command, copy):
        values = shown(command, copy.path / "gen01")
        assert values["generation"] == 1
        assert [candidate["id"] for candidate in values["candidates"]] == list(range(8))
        assert values["front"] == copy.read_generations()[0][1].front
        assert values["hypervolume"] == shown(command, copy.path)["hypervolume"][:2]

    @pytest.mark.parametrize("path", ["runs/gen01", "runs/small/gen01", "runs/gen01/"])
    def test_runs_genNN_means_the_newest_run(self, command, copy, path):
        assert shown(command, path) == shown(command, copy.path / "gen01")

    def test_without_a_path_the_newest_run(self, command, copy):
        assert shown(command) == shown(command, copy.path)


class TestTables:
    def test_front_population_progress(self, command, finished):
        ended = command("inspect", finished.path)
        assert (ended.code, ended.err) == (0, "")
        assert ended.out.startswith(f"run {finished.path}, generation 2 of 2, 12 candidates\n")
        front, population, progress = re.split(r"^(?:Front|Population|Progress)\b.*\n", ended.out, flags=re.MULTILINE)[1:]
        generation = finished.read_generations()[0][-1]
        assert {int(line.split()[0]) for line in front.splitlines()[1:] if line.strip()} == set(generation.front)
        assert {int(line.split()[0]) for line in population.splitlines()[1:] if line[:3].strip().isdigit()} == set(generation.population)
        assert len(re.findall(r"^ *\d +\d/4 ", progress, re.MULTILINE)) == 3

    def test_the_front_stands_best_first(self, command, finished):
        out = command("inspect", finished.path).out
        rows = [line.split() for line in out[: out.index("Population")].splitlines()[4:] if line.strip()]
        values = [float(row[2]) for row in rows]
        assert values == sorted(values)

    def test_nothing_is_cut_off_at_80_columns(self, command, finished):
        assert "…" not in command("inspect", finished.path).out

    def test_failures_are_named_with_their_reason(self, command, copy):
        path = copy.candidate_path(2)
        values = json.loads(path.read_text())
        path.write_text(json.dumps(values | {"outcome": "crashed", "reason": "ValueError: [red]x[/]"}))
        assert "  candidate 2  crashed  ValueError: [red]x[/]\n" in command("inspect", copy.path).out

    def test_plain_output_has_no_control_characters(self, command, finished):
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", command("inspect", finished.path).out)

    def test_a_run_without_a_generation_is_shown(self, command, copy):
        for number in range(3):
            shutil.rmtree(copy.generation_path(number).parent)
        ended = command("inspect", copy.path)
        assert ended.code == 0
        assert "before the first generation" in ended.out
        assert shown(command, copy.path)["generation"] is None


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_a_damaged_record_is_named_and_the_rest_is_shown(command, copy, arguments):
    copy.candidate_path(5).write_text('{"id": 5')
    ended = command("inspect", copy.path, *arguments)
    assert ended.code == 2
    assert ended.err.startswith(f"star-search: {copy.candidate_path(5)} is damaged: ")
    assert ended.err.count("\n") == 1
    if arguments:
        assert [candidate["id"] for candidate in json.loads(ended.out)["candidates"]] == [each for each in range(12) if each != 5]
    else:
        assert "11 candidates" in ended.out


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("nowhere", "nowhere does not exist"),
        (".", ". is no run: it has no run.json"),
        ("runs/gen07", "runs/small has only generations 0 to 2, not 7"),
        ("runs/small/config.yaml", "runs/small/config.yaml is a file, not a run folder"),
    ],
)
def test_what_is_no_run_is_one_sentence(command, copy, path, sentence):
    assert command("inspect", path).sentence() == sentence


def test_without_any_run_it_says_so(command):
    assert command("inspect").sentence() == "runs holds no run"


@pytest.mark.parametrize("text", ["x: [", "- 1", ""])
def test_a_damaged_configuration_is_one_sentence(command, copy, text):
    (copy.path / "config.yaml").write_text(text)
    ended = command("inspect", copy.path)
    assert ended.code == 2
    assert len(ended.err.strip().splitlines()) == 1 and str(copy.path / "config.yaml") in ended.err


class TestOtherObjectives:
    def test_the_run_is_shown_under_them_without_training(self, command, finished):
        values = json.loads(command("inspect", finished.path, "--objectives", "parameters,cache_bytes@8192", "--json").out)
        best = {number: candidate["objectives"] for number, candidate in enumerate(values["candidates"])}
        assert all({"parameters", "cache_bytes@8192"} <= objectives.keys() for objectives in best.values())
        assert min(each["parameters"] for each in best.values()) in [best[number]["parameters"] for number in values["front"]]
        assert len(values["hypervolume"]) == 3

    def test_an_unknown_one_is_refused(self, command, finished):
        assert command("inspect", finished.path, "--objectives", "size").sentence().startswith("unknown objective 'size'")


def test_the_account_tells_what_every_generation_spent(command, finished):
    out = command("inspect", finished.path).out
    account = out[out.index("Account: ") :].splitlines()[2:5]
    assert [line.split()[:2] for line in account] == [[str(number), "8,192"] for number in range(3)]
    assert all(line.endswith(" ok") or "," in line for line in account)
