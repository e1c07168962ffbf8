"""`evolve`: the bill, a search from beginning to end, what may change when it resumes, and how it prints."""

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml

from cli.conftest import run_command, write_configuration
from evolution.small_search import archive_of
from star_search.cli.session import resolved
from star_search.config import load_configuration, parse_configuration, shipped_configurations
from star_search.runs.directory import RunDirectory
from star_search.runs.lock import RunLock
from star_search.runs.records import Outcome

CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")


class TestDryRun:
    @pytest.mark.parametrize("name", shipped_configurations())
    def test_every_shipped_configuration_has_a_bill(self, command, here, name):
        config = load_configuration(name)
        ended = command("evolve", "--config", name, "--dry-run", "--device", "cpu")
        assert (ended.code, ended.err) == (0, "")
        candidates = config.algorithm.population * (config.algorithm.generations + 1)
        tokens = candidates * config.training.steps * config.training.batch_tokens
        assert f"at most {candidates:,}: {config.algorithm.population:,} in gen00" in ended.out
        assert f"{tokens:,} in all" in ended.out
        assert f"Transformer++ at {config.space.depth} x {config.space.width}" in ended.out
        if (config.space.depth, config.space.width) == (24, 768):
            assert "84,934,656 operator parameters" in ended.out
        assert list(here.iterdir()) == []

    def test_the_bill_of_the_paper(self, command):
        keys = ["space.depth=24", "space.width=768", "algorithm.population=16", "algorithm.generations=18", "training.tokens=1_310_720_000"]
        keys += ["training.batch_tokens=262144", "training.sequence_length=4096"]
        out = command("evolve", "--dry-run", *(part for key in keys for part in ("--set", key))).out
        assert "at most 304: 16 in gen00 and 16 in each of 18 more" in out
        assert "5,000 steps of 262,144: 398,458,880,000 in all" in out
        # 6 x 84,953,856 parameters x 398,458,880,000 tokens.
        assert "about 2.03e+20" in out
        assert "84,934,656 operator parameters (84,953,856 with norms), cache 150,994,944 bytes" in out

    def test_it_prints_the_configuration_that_would_run(self, command, configuration):
        changes = ["--set", "algorithm.seed=9", "--set", "algorithm.offspring=8"]
        out = command("evolve", "--config", configuration, *changes, "--workers", "3", "--dry-run").out
        assert "at most 20: 4 in gen00 and 8 in each of 2 more" in out
        assert "\ntime limit   none (workers.timeout): a candidate that hangs holds its worker\n" in out
        shown = yaml.safe_load(out[: out.index("classes      ")])
        expected = resolved(load_configuration(str(configuration), ["algorithm.seed=9", "algorithm.offspring=8", "workers.count=3"]))
        assert parse_configuration(shown) == expected


class TestOverrides:
    def seen(self, command, *arguments):
        out = command("evolve", *arguments, "--dry-run").out
        return parse_configuration(yaml.safe_load(out[: out.index("classes      ")]))

    def test_options_stand_for_keys(self, command, configuration):
        config = self.seen(command, "--config", configuration, "--workers", "auto", "--seed", "17", "--device", "auto")
        assert (config.workers.count, config.algorithm.seed, config.workers.device) == ("auto", 17, "auto")

    def test_the_last_of_several_wins_and_values_are_yaml(self, command, configuration):
        keys = ("training.tokens=1e4", "training.tokens=2e4", "objectives=[parameters, perplexity]", "space.classes=[SA-1, 9]")
        config = self.seen(command, "--config", configuration, *(part for key in keys for part in ("--set", key)))
        assert config.training.tokens == 20_000
        assert config.objectives == ["parameters", "perplexity"]
        assert config.space.classes == [1, 9]

    def test_the_default_is_the_quickstart(self, command):
        assert self.seen(command) == resolved(load_configuration("quickstart.yaml"))


class TestRun:
    def test_it_leaves_a_run_and_says_how_to_go_on(self, finished_once):
        run, ended = finished_once
        assert ended.err == ""
        assert ended.out.startswith(f"run {run.path}: 12 candidates of 2,048 tokens\n")
        assert len(re.findall(r"^  \[\d+/12\] candidate \d+  ", ended.out, re.MULTILINE)) == 12
        assert len(re.findall(r"^generation \d of 2 · candidate \d+ of 12 · ", ended.out, re.MULTILINE)) == 3
        assert f"Next: star-search inspect {run.path}\n      star-search export-best {run.path}\n" in ended.out
        assert run.generation_numbers() == [0, 1, 2]
        assert [event["event"] for event in run.read_events()][::13] == ["session", "finished"]

    def test_plain_output_has_no_control_characters(self, finished_once):
        assert not CONTROL.search(finished_once[1].out)

    def test_the_configuration_and_the_provenance_are_kept(self, finished, source):
        config = parse_configuration(yaml.safe_load(finished.config_yaml))
        assert config.data.source == str(source)
        provenance = finished.provenance
        assert (provenance["seed"], provenance["devices"], provenance["threads_per_candidate"]) == (3, ["cpu"], 1)
        assert set(provenance["versions"]) >= {"python", "star-search", "torch", "pymoo", "numpy"}
        assert provenance["reference_point"][0] > max(
            record.objectives["perplexity"] for record in finished.read_candidates()[0] if record.outcome == Outcome.ok
        )

    def test_quiet_prints_nothing_and_finds_the_same(self, command, configuration, finished):
        ended = command("evolve", "--config", configuration, "--quiet")
        assert (ended.code, ended.out, ended.err) == (0, "", "")
        assert archive_of(RunDirectory.open(Path("runs/small"))) == archive_of(finished)

    def test_folders_are_numbered_and_an_existing_run_is_not_touched(self, command, here, tmp_path, source):
        quick = write_configuration(tmp_path, source, algorithm={"population": 2, "generations": 0})
        for _ in range(2):
            assert command("evolve", "--config", quick, "--quiet").code == 0
        assert sorted(path.name for path in (here / "runs").iterdir()) == ["small", "small-2"]
        before = archive_of(RunDirectory.open(here / "runs" / "small"))
        sentence = command("evolve", "--config", quick, "--run-dir", "runs/small").sentence()
        assert sentence == "runs/small holds a run already; --resume continues it"
        assert archive_of(RunDirectory.open(here / "runs" / "small")) == before

    def test_a_locked_run_is_refused_by_name(self, command, finished, tmp_path):
        shutil.copytree(finished.path, tmp_path / "copy")
        with RunLock(tmp_path / "copy"):
            sentence = command("evolve", "--resume", "--run-dir", tmp_path / "copy").sentence()
        assert re.fullmatch(rf"{tmp_path}/copy is in use by process \d+ on \S+; wait for it to end or stop it", sentence)

    def test_max_tokens_stops_cleanly_and_resume_finishes(self, command, configuration, finished):
        ended = command("evolve", "--config", configuration, "--max-tokens", "10000")
        assert ended.code == 0
        assert "stopped after 10,000 tokens. Continue with:\n  star-search evolve --resume --run-dir runs/small\n" in ended.out
        run = RunDirectory.open(Path("runs/small"))
        assert len(run.read_candidates()[0]) == 5
        assert run.read_events()[-1]["event"] == "stopped"
        assert command("evolve", "--resume", "--run-dir", "runs/small", "--quiet").code == 0
        assert archive_of(run) == archive_of(finished)

    def test_a_search_without_anything_to_export_says_so(self, command, tmp_path, source):
        tiny = write_configuration(tmp_path, source, algorithm={"population": 2, "generations": 0}, constraints=["perplexity <= 1.0001"])
        ended = command("evolve", "--config", tiny)
        assert ended.code == 0
        assert "No candidate is ok and keeps every constraint: the front is empty, and there is nothing to export." in ended.out
        assert "Next: star-search inspect" in ended.out and "export-best" not in ended.out

    def test_a_search_that_ran_out_of_room_says_so(self, command, tmp_path, source):
        space = {"classes": [1, 9], "sharing": False}
        tiny = write_configuration(tmp_path, source, space=space, algorithm={"population": 2, "generations": 5})
        ended = command("evolve", "--config", tiny)
        assert ended.code == 0
        assert "ended after 3 of 12 candidates: mating found no architecture that the search has not had; to continue this run" in ended.out
        assert "Next: star-search inspect runs/small\n" in ended.out
        assert "--resume" not in ended.out
        too_many = command("evolve", "--config", tiny, "--set", "algorithm.population=4", "--run-dir", "more")
        assert "gave only 3 distinct architectures for a population of 4" in too_many.err


class TestResume:
    @pytest.fixture
    def copy(self, finished, here):
        """A run cut off within gen02."""
        shutil.copytree(finished.path, here / "runs" / "small")
        run = RunDirectory.open(here / "runs" / "small")
        run.generation_path(2).unlink()
        for number in (9, 10, 11):
            run.candidate_path(number).unlink()
        return run

    @pytest.mark.parametrize("named", ["run-dir", "config", "both"])
    def test_continues_the_run(self, command, copy, finished, configuration, named):
        arguments = {"run-dir": ["--run-dir", copy.path], "config": ["--config", configuration]}
        chosen = arguments["run-dir"] + arguments["config"] if named == "both" else arguments[named]
        ended = command("evolve", "--resume", *chosen)
        assert (ended.code, ended.err) == (0, "")
        assert archive_of(copy)[:2] == archive_of(finished)[:2]
        assert re.findall(r"^  \[(\d+)/12\] candidate (\d+)", ended.out, re.MULTILINE) == [("10", "9"), ("11", "10"), ("12", "11")]

    def test_starts_the_run_if_there_is_none(self, command, configuration, finished):
        assert command("evolve", "--resume", "--config", configuration, "--run-dir", "new", "--quiet").code == 0
        assert archive_of(RunDirectory.open(Path("new"))) == archive_of(finished)

    def test_a_finished_run_can_be_extended(self, command, finished, here):
        shutil.copytree(finished.path, here / "run")
        ended = command("evolve", "--resume", "--run-dir", "run", "--set", "algorithm.generations=3")
        assert ended.code == 0
        run = RunDirectory.open(here / "run")
        assert run.generation_numbers() == [0, 1, 2, 3]
        assert archive_of(run)[0][:12] == archive_of(finished)[0]
        assert parse_configuration(yaml.safe_load(run.config_yaml)).algorithm.generations == 3

    @pytest.mark.parametrize(
        "change", ["workers.disk_timeout=500", "workers.device=auto", "training.engine=eager", "algorithm.generations=2"]
    )
    def test_what_may_change(self, command, copy, finished, change):
        assert command("evolve", "--resume", "--run-dir", copy.path, "--set", change, "--quiet").code == 0
        assert archive_of(copy)[:2] == archive_of(finished)[:2]
        key, value = change.split("=")
        section, name = key.split(".")
        assert str(yaml.safe_load(copy.config_yaml)[section][name]).removesuffix(".0") == value

    @pytest.mark.parametrize(
        ("change", "before", "after"),
        [
            ("algorithm.seed=4", "3", "4"),
            ("training.tokens=4096", "2048", "4096"),
            ("space.width=32", "16", "32"),
            ("objectives=[perplexity]", "['perplexity', 'cache_bytes']", "['perplexity']"),
            ("workers.threads=2", "1", "2"),
            ("name=other", "small", "other"),
            ("racing={}", "None", "{'rungs': [0.25, 0.5], 'margin': 0.1, 'minimum_finished': 8}"),
            ("algorithm.segment_mutation.backbone=0.5", "absent", "0.5"),
            ("data.validation_fraction=0.3", "0.2", "0.3"),
        ],
    )
    def test_what_may_not(self, command, copy, change, before, after):
        stored = copy.config_yaml
        sentence = command("evolve", "--resume", "--run-dir", copy.path, "--set", change).sentence()
        assert sentence == (
            f"{change.partition('=')[0]} of {copy.path} is {before} and cannot become {after}; what may change when a run resumes: "
            "algorithm.generations, training.engine, workers.count, workers.timeout, workers.disk_timeout, workers.device, "
            "workers.per_device, workers.mps, workers.backend, workers.scheduler, and, for the same text in another place, "
            "data.source, data.held_out_source, data.store"
        )
        assert copy.config_yaml == stored
        assert len(copy.read_candidates()[0]) == 9

    def test_generations_that_are_done_cannot_be_taken_back(self, command, copy):
        sentence = command("evolve", "--resume", "--run-dir", copy.path, "--set", "algorithm.generations=0").sentence()
        assert sentence == f"algorithm.generations of {copy.path} cannot become 0: 1 are done"

    def test_the_text_may_lie_elsewhere(self, command, copy, finished, source, tmp_path):
        other = tmp_path / "elsewhere" / source.name
        other.parent.mkdir()
        shutil.copy(source, other)
        assert command("evolve", "--resume", "--run-dir", copy.path, "--set", f"data.source={other}", "--quiet").code == 0
        assert archive_of(copy)[:2] == archive_of(finished)[:2]
        assert str(other) in copy.config_yaml

    def test_a_text_that_has_changed_is_refused(self, command, copy, source, tmp_path):
        other = tmp_path / source.name
        other.write_text(source.read_text() + json.dumps({"text": "one more"}) + "\n")
        stored = copy.config_yaml
        sentence = command("evolve", "--resume", "--run-dir", copy.path, "--set", f"data.source={other}").sentence()
        assert re.fullmatch(rf"the text of {copy.path} has changed: its fingerprint was \w{{12}} and is now \w{{12}}", sentence)
        assert copy.config_yaml == stored

    def test_a_damaged_record_is_named(self, command, copy):
        copy.candidate_path(3).write_text("{")
        sentence = command("evolve", "--resume", "--run-dir", copy.path).err
        assert sentence.count("\n") == 1
        assert f"{copy.candidate_path(3)} is damaged" in sentence

    @pytest.mark.parametrize(
        ("name", "key", "value", "sentence"),
        [
            (
                "provenance.json",
                "reference_point",
                None,
                "reference_point must be 2 finite numbers of at least 0, one per objective, got None",
            ),
            (
                "provenance.json",
                "reference_point",
                "x",
                "reference_point must be 2 finite numbers of at least 0, one per objective, got 'x'",
            ),
            (
                "provenance.json",
                "reference_point",
                [1],
                "reference_point must be 2 finite numbers of at least 0, one per objective, got [1]",
            ),
            ("provenance.json", "data", 5, "data must hold the fingerprint of the text, got 5"),
            ("provenance.json", "unigram_loss", "x", "unigram_loss must be a finite number of at least 0, got 'x'"),
            ("candidates/00003.json", "objectives", {}, "it is ok and has no perplexity; move that file away "),
            ("candidates/00003.json", "canonical", "11111-11111", "canonical must be that of its genome, "),
            ("candidates/00003.json", "genome", "x", "LIV 1 of the genome, 'x', has 1 genes; "),
        ],
    )
    def test_values_that_cannot_be_are_named_with_their_file(self, command, copy, name, key, value, sentence):
        path = copy.path / name
        path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
        assert command("evolve", "--resume", "--run-dir", copy.path).sentence().startswith(f"{path} is damaged: {sentence}")

    @pytest.mark.parametrize("name", ["config.yaml", "provenance.json"])
    def test_a_run_without_one_of_its_files(self, command, copy, name):
        (copy.path / name).unlink()
        sentence = f"{copy.path / name} cannot be read: No such file or directory"
        assert command("evolve", "--resume", "--run-dir", copy.path).sentence() == sentence
        assert command("inspect", copy.path).sentence() == sentence

    def test_a_recorded_genome_that_cannot_be_is_refused(self, command, copy):
        path = copy.candidate_path(6)
        path.write_text(json.dumps(json.loads(path.read_text()) | dict.fromkeys(("genome", "canonical"), "11111-11111")))
        ended = command("evolve", "--resume", "--run-dir", copy.path, "--quiet")
        assert (ended.code, ended.out) == (1, "")
        assert ended.err.count("\n") == 1
        assert "as candidate 6, but 11111-11111 is recorded" in ended.err


def test_without_a_configuration_resume_continues_the_newest_quickstart_or_starts_one(here):
    from star_search.cli.session import Session

    session = Session.plan(None, ["algorithm.seed=5"], None, resume=True)
    assert session.existing is None
    assert str(session.folder) == "runs/quickstart"
    assert session.config == resolved(load_configuration("quickstart.yaml", ["algorithm.seed=5"]))
    run = RunDirectory.create(session.folder, session.config.name, session.config.to_yaml(), {})
    again = Session.plan(None, ["workers.count=1"], None, resume=True)
    assert again.existing == run
    assert (again.config.algorithm.seed, again.config.workers.count) == (5, 1)


def test_two_equal_searches_print_equal_json(command, configuration, finished):
    assert command("evolve", "--config", configuration, "--quiet", "--set", "name=twin", "--run-dir", "twin").code == 0
    first, second = (json.loads(run_command("inspect", path, "--json").out) for path in (finished.path, "twin"))
    assert (first.pop("run"), second.pop("run")) == ("small", "twin")
    assert first == second


def test_a_run_keeps_the_classes_that_its_space_came_to(command, configuration):
    assert command("evolve", "--config", configuration, "--set", "space.classes=null", "--set", "space.groups=null", "--dry-run").code == 0
    space = resolved(load_configuration(str(configuration), ["space.classes=null", "space.groups=null"])).space
    assert space.classes == list(range(1, 28))
    assert space.groups is not None


def test_a_dry_run_predicts_hours_and_memory(command, configuration, monkeypatch):
    from star_search.cli import bill

    monkeypatch.setattr(bill, "PROBE_SECONDS", 0.5)
    out = command("evolve", "--config", configuration, "--dry-run", "--workers", "2").out
    assert re.search(
        # A process's peak is at least that of the one it was started from, which here holds all the tests before.
        r"^probe        \d+ genomes, [\d.,e+-]+ m?s a step: about [\d.e+-]+ hours on 2 workers of this machine, [\d.]+ [MG]B",
        out,
        re.MULTILINE,
    ), out
