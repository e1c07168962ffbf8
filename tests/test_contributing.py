"""The worked example of CONTRIBUTING.md: its catalogue is read, and its commands run."""

import re
import shlex
from pathlib import Path

import pytest

from cli.conftest import run_command

GUIDE = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCKS = [(kind, re.sub(r"(?m)^ {3}", "", block)) for kind, block in re.findall(r" *```(\w+)\n(.*?) *```", GUIDE, re.DOTALL)]


def test_the_example_of_a_new_class_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (catalogue,) = [block for kind, block in BLOCKS if kind == "yaml"]
    Path("mine.yaml").write_text(catalogue, encoding="utf-8")
    commands = [line for kind, block in BLOCKS if kind == "console" for line in block.splitlines() if line.startswith("star-search ")]
    outputs = []
    for command in commands:
        ended = run_command(*shlex.split(command)[1:])
        assert (ended.code, ended.err) == (0, ""), command
        outputs.append(ended.out)
    genes, decoded, bill = outputs
    assert "ReLU-Conv" in genes
    assert "Mamba" in decoded
    assert "name: mine" in bill
