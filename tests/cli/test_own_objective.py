"""A search with an objective of the user's own: run, looked at, resumed, and noticed when its file changes."""

import json

import pytest

from cli.conftest import write_configuration

CODE = "def depth(candidate):\n    return candidate.genome.depth / 4\n\ndepth.trains_itself = True\n"


@pytest.fixture
def run(command, tmp_path, source):
    """Return a caller of `evolve` on a run with the objective `mine.py:depth`, its file beside the configuration."""
    (tmp_path / "mine.py").write_text(CODE)
    configuration = write_configuration(tmp_path, source, objectives=["mine.py:depth", "cache_bytes"], algorithm={"generations": 1})
    return lambda *more: command("evolve", "--config", configuration, "--run-dir", "run", "--quiet", *more)


def test_a_run_keeps_it_whole(run, command, tmp_path, here):
    assert run().code == 0
    shown = json.loads(command("inspect", "run", "--json").out)
    assert {each["objectives"]["mine.py:depth"] for each in shown["candidates"]} == {0.5}
    assert shown["hypervolume"][-1] > 0
    assert command("export-best", "run").sentence().startswith("the objectives of run trained no language model, so candidate ")
    (tmp_path / "mine.py").unlink()
    extended = command("evolve", "--resume", "--run-dir", "run", "--quiet", "--set", "algorithm.generations=2")
    assert extended.code == 0, extended
    (tmp_path / "mine.py").write_text(CODE.replace("4", "5"))
    again = command("evolve", "--resume", "--run-dir", "run").sentence()
    assert again.startswith(f"objective mine.py:depth of run has changed: the sha256 of {tmp_path}/mine.py was ")
    assert run("--resume", "--set", "algorithm.generations=2").sentence() == again


def test_a_constraint_counts_its_path_from_where_it_is_written(run, here, tmp_path):
    (here / "folder").mkdir()
    (here / "folder" / "mine.py").write_text(CODE)
    for constraint in ("mine.py:depth <= 0.6", "folder/mine.py:depth <= 0.6", "../mine.py:depth <= 0.6"):
        ended = run("--dry-run", "--set", f"constraints=['{constraint}']")
        assert (ended.code, ended.err) == (0, ""), ended
        assert "- mine.py:depth <= 0.6" in ended.out
    missing = run("--dry-run", "--set", "constraints=['none.py:depth <= 0.6']").sentence()
    assert missing == f"objective {here}/none.py:depth: {here}/none.py cannot be read: No such file or directory"


@pytest.mark.parametrize(
    ("objectives", "sentence"),
    [
        ("[none.py:error]", "objective {here}/none.py:error: {here}/none.py cannot be read: No such file or directory"),
        ("[{folder}/mine.py:dept]", "objective mine.py:dept: {folder}/mine.py has no 'dept'; did you mean 'depth'?"),
        ("[acuracy]", "unknown objective 'acuracy'"),
    ],
)
def test_what_cannot_be_is_one_sentence(run, here, tmp_path, objectives, sentence):
    ended = run("--set", f"objectives={objectives.format(folder=tmp_path)}")
    assert ended.sentence().startswith(sentence.format(here=here, folder=tmp_path))
    assert list(here.iterdir()) == []


def test_code_that_ends_the_process_is_one_sentence(run, here, tmp_path):
    (tmp_path / "mine.py").write_text("raise SystemExit(4)\n")
    assert run().sentence() == f"objective mine.py:depth: {tmp_path}/mine.py cannot be run: SystemExit: 4"
    assert list(here.iterdir()) == []
