"""The README's commands, run as a reader would run them, in order, in one folder."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)
INSTALL = ("pip install . && ", "pip install '.[test]' && pytest")


def commands():
    lines = [line.split("#")[0].strip() for kind, block in BLOCKS if kind == "console" for line in block.splitlines()]
    return [line.removeprefix(INSTALL[0]) for line in lines if line and line != INSTALL[1]]


def test_the_two_set_up_commands_stand_there():
    assert "pip install . && star-search evolve\n" in README
    assert "pip install '.[test]' && pytest\n" in README
    assert commands()[0] == "star-search evolve"


@pytest.mark.slow
def test_every_command_runs(tmp_path):
    for command in commands():
        program, *arguments = shlex.split(command)
        assert program == "star-search", command
        done = subprocess.run(
            [sys.executable, "-m", "star_search.cli", *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=900, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"
    assert len(list((tmp_path / "runs/quickstart/candidates").glob("*.json"))) == 32
    assert len(list((tmp_path / "export").iterdir())) == 1


def test_the_python_example_runs():
    (code,) = [block for kind, block in BLOCKS if kind == "python"]
    names = {}
    exec(compile(code, "README.md", "exec"), names)
    assert names["logits"].shape == (1, 32, 256)
    assert names["T"].shape == (9, 9, 64, 64)
    assert names["backbone"](names["torch"].randn(2, 5, 64)).shape == (2, 5, 64)
