"""The worked example of CONTRIBUTING.md: its catalogue is read, and its commands run."""

import shlex
from pathlib import Path

import pytest

from cli.conftest import run_command
from documents import blocks, commands

GUIDE = "CONTRIBUTING.md"


@pytest.mark.usefixtures("without_probe")
def test_the_example_of_a_new_class_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (catalogue,) = blocks(GUIDE, "yaml")
    Path("mine.yaml").write_text(catalogue, encoding="utf-8")
    outputs = []
    for command in commands(GUIDE):
        ended = run_command(*shlex.split(command)[1:])
        assert (ended.code, ended.err) == (0, ""), command
        outputs.append(ended.out)
    genes, decoded, bill = outputs
    assert "ReLU-Conv" in genes
    assert "Mamba" in decoded
    assert "name: mine" in bill
