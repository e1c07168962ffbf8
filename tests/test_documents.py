"""The commands and the code of README and guides, run as a reader would, in order, in one folder; links that lead somewhere."""

import os
import re
import shlex
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from cli.conftest import run_command
from documents import PAGES, ROOT, blocks, commands, spans
from star_search.cli.app import app
from stored_run import kept_run

README, TUTORIAL, GENOME = "README.md", "docs/tutorial.md", "docs/reading_a_genome.md"
CLUSTER, SEEING = "docs/cluster.md", "docs/seeing.md"
COMMANDS: dict[str, Any] = typer.main.get_command(app).commands
# Of the tokens of a candidate of the quickstart, which takes two cores two minutes.
A_QUARTER = ("--set", "training.tokens=32768")
RESULTS = ("docs/results/", "docs/LOG.md")
# Options of other programs, by page.
OF_OTHERS = {CLUSTER: {"--nthreads", "--nworkers"}, "docs/design.md": {"--logdir"}}


def test_the_two_set_up_commands_stand_there() -> None:
    readme = (ROOT / README).read_text(encoding="utf-8")
    assert "pip install . && star-search evolve\n" in readme
    assert "pip install '.[test]' && pytest\n" in readme
    assert commands(README)[0] == commands(TUTORIAL)[0] == "star-search evolve"


def test_the_tutorial_goes_the_way_of_the_readme() -> None:
    """So that commands which both have need to run once."""
    of_readme, of_tutorial = commands(README), commands(TUTORIAL)
    assert [each for each in of_readme if each in of_tutorial] == [each for each in of_tutorial if each in of_readme]


@pytest.mark.slow
@pytest.mark.usefixtures("without_probe")
def test_every_command_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for command in dict.fromkeys(each for document in (README, TUTORIAL, GENOME) for each in commands(document)):
        ended = run_command(*shlex.split(command)[1:], *(A_QUARTER if command == "star-search evolve" else ()))
        assert ended.code == 0, f"{command}\n{ended.err}"
    assert len(list(Path("runs/quickstart/candidates").glob("*.json"))) == 32
    assert len(list(Path("export").iterdir())) == 1
    (code,) = blocks(TUTORIAL, "python")
    environment = os.environ | {"HF_HOME": str(tmp_path / "hub")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("The history of")
    assert len(done.stdout.encode()) > len("The history of") + 1


def test_the_python_example_runs() -> None:
    (code,) = blocks(README, "python")
    names = {}
    exec(compile(code, README, "exec"), names)
    assert names["logits"].shape == (1, 32, 256)
    assert names["T"].shape == (9, 9, 64, 64)
    assert names["backbone"](names["torch"].randn(2, 5, 64)).shape == (2, 5, 64)


def command_of(words: list[str]) -> tuple[Any, list[str]]:
    """Return the command that words after `star-search` name, and its arguments."""
    command = COMMANDS[words[0]]
    return (command.commands[words[1]], words[2:]) if hasattr(command, "commands") and words[1:] else (command, words[1:])


def inline_commands(path: str) -> list[list[str]]:
    """Return the words of what a page's text calls commands, such as `star-search inspect RUN` and `evolve --async`, without the name."""
    found = (each.removeprefix("star-search ") for each in spans(path))
    return [shlex.split(each) for each in found if each.partition(" ")[0] in COMMANDS]


def options_of(command: Any) -> dict[str, Any]:
    return {option: each for each in command.params for option in each.opts if option.startswith("-")}


def check_options(command: Any, arguments: list[str]) -> None:
    """Fail on an option that a command does not have, or an argument too many; the value of the last option may be left out."""
    last = options_of(command).get(arguments[-1]) if arguments else None
    given = [*arguments, *(["1"] if last is not None and not last.is_flag else [])]
    _, beyond, _ = command.make_parser(command.context_class(command)).parse_args(given)
    assert beyond == [], arguments


@pytest.mark.parametrize("path", PAGES)
def test_every_command_and_option_is_one_that_there_is(path: str) -> None:
    """Those of console blocks with their values, words in capitals standing for one; those of the text by their options alone."""
    for line in commands(path):
        command, arguments = command_of(shlex.split(line)[1:])
        assert command.make_context(command.name, ["1" if re.fullmatch(r"[A-Z][A-Z_]*", word) else word for word in arguments]), line
    for words in inline_commands(path):
        check_options(*command_of(words))
    if path.startswith(RESULTS):
        return  # Their options are those of scripts.
    groups = [COMMANDS, *(command.commands for command in COMMANDS.values() if hasattr(command, "commands"))]
    known = {option for group in groups for command in group.values() for option in options_of(command)}
    named = {span.partition(" ")[0].partition("=")[0] for span in spans(path) if span.startswith("--")}
    assert named - known == OF_OTHERS.get(path, set())


@pytest.mark.parametrize("path", PAGES)
def test_scripts_that_pages_name_are_there(path: str) -> None:
    for script in re.findall(r"\bscripts/[\w/]+\.py\b", (ROOT / path).read_text(encoding="utf-8")):
        assert (ROOT / script).is_file(), script


def test_commands_of_dask_are_ones_that_there_are() -> None:
    scheduler, worker = (import_module(f"distributed.cli.dask_{name}").main for name in ("scheduler", "worker"))
    found = [line for block in blocks(CLUSTER, "console") for line in re.findall(r'\bdask (?:scheduler|worker)[^"#\n]*', block)]
    (manifest,) = [yaml.safe_load(block) for block in blocks(CLUSTER, "yaml")]
    containers = [manifest["spec"]["worker"]["spec"]["containers"], manifest["spec"]["scheduler"]["spec"]["containers"]]
    found += [" ".join(container["args"]) for each in containers for container in each]
    assert len(found) == 4
    for line in found:
        _, name, *arguments = shlex.split(line)
        command = {"scheduler": scheduler, "worker": worker}[name]
        check_options(command, arguments)
    for code in blocks(CLUSTER, "python"):
        compile(code, CLUSTER, "exec")


def test_commands_that_look_at_a_run_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of docs/seeing.md but searches and what serves until Ctrl-C."""
    monkeypatch.chdir(tmp_path)
    kept_run(Path("runs/run"))
    values = {"RUN": "runs/run", "FOLDER": "drawn", "FILE": "matrices.png", "GENOME": "11111-91111"}
    ran = []
    for command in dict.fromkeys(each for each in spans(SEEING) if each.startswith("star-search ")):
        words = shlex.split(command)[1:]
        if words[0] == "evolve" or "--serve" in words or ("--tensorboard" in words and not find_spec("tensorboard")):
            continue
        ended = run_command(*(values.get(word, word) for word in words))
        assert ended.code == 0, (words, ended.err)
        ran.append(words[0])
    assert {"inspect", "motifs", "figures", "decode", "report"} <= set(ran)
    assert {"report.html", "drawn", "matrices.png"} <= {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize("path", PAGES)
def test_links_to_files_lead_somewhere(path: str) -> None:
    """On the code host; the site's own are checked when it is built."""
    text = re.sub(r"```.*?```", "", (ROOT / path).read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        assert "://" in target or ((ROOT / path).parent / target).exists(), target
