"""The commands and the code of README and guides, run as a reader would, in order, in one folder; links that lead somewhere."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from cli.conftest import run_command
from documents import ROOT, blocks, commands

README, TUTORIAL, GENOME = "README.md", "docs/tutorial.md", "docs/reading_a_genome.md"


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
        ended = run_command(*shlex.split(command)[1:])
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


@pytest.mark.parametrize(
    "path", [README, "CONTRIBUTING.md", *(str(each.relative_to(ROOT)) for each in sorted((ROOT / "docs").rglob("*.md")))]
)
def test_links_to_files_lead_somewhere(path: str) -> None:
    """On the code host; the site's own are checked when it is built."""
    text = re.sub(r"```.*?```", "", (ROOT / path).read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        assert "://" in target or ((ROOT / path).parent / target).exists(), target
