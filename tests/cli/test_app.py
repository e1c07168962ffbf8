"""The command as a whole: quick help, a version, and one sentence for what it cannot do."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from star_search import __version__
from stored_run import kept_run

PROGRAM = shutil.which("star-search", path=str(Path(sys.executable).parent)) or "star-search"
COMMANDS = ["evolve", "inspect", "figures", "motifs", "report", "export-best", "decode", "genes"]


def test_help_loads_nothing_heavy():
    code = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from star_search.cli.app import app\n"
        f"for arguments in [[], *([name] for name in {COMMANDS})]:\n"
        "    assert CliRunner().invoke(app, [*arguments, '--help']).exit_code == 0\n"
        "heavy = {'torch', 'pymoo', 'datasets', 'transformers', 'matplotlib', 'numpy', 'moocore', 'tokenizers'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_importing_the_package_loads_nothing_heavy():
    code = "import sys, star_search; assert not {'torch', 'pymoo', 'numpy', 'pydantic'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_help_is_quick():
    def seconds() -> float:
        start = time.perf_counter()
        subprocess.run([PROGRAM, "--help"], check=True, capture_output=True)
        return time.perf_counter() - start

    assert min(seconds() for _ in range(3)) < 1.0


def test_help_names_every_command(command):
    out = command("--help").out
    for name in COMMANDS:
        assert re.search(rf"\b{name}\b", out)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(command, name):
    ended = command(name, "-h")
    assert ended.code == 0
    assert re.search(rf"Usage: .*{name} ", ended.out)


def test_evolve_has_the_options_of_the_design(command):
    out = command("evolve", "--help").out
    for option in ("config", "set", "run-dir", "resume", "dry-run", "quiet", "workers", "seed", "device", "max-hours", "max-tokens"):
        assert f"--{option}" in out


def test_version(command):
    assert command("--version").out == f"star-search {__version__}\n"


def test_without_arguments_it_shows_help(command):
    ended = command()
    assert ended.code == 2
    assert ended.err == ""
    assert "Usage: " in ended.out
    assert "evolve" in ended.out


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["frobnicate"], "'frobnicate'"),
        (["evolve", "--nonsense"], "--nonsense"),
        (["decode"], "'genome'"),
        (["decode", "11111", "--depth", "x"], "'--depth'"),
        (["evolve", "--seed", "1.5"], "'--seed'"),
    ],
)
def test_a_bad_option_is_one_sentence(command, arguments, names):
    assert names in command(*arguments).sentence()


def test_an_error_of_the_program_is_not_hidden(command, monkeypatch):
    from star_search.genome import gene_table

    def fail(catalogue: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(gene_table, "gene_table", fail)
    with pytest.raises(ZeroDivisionError):
        command("genes")


def test_a_closed_pipe_is_no_traceback():
    program = subprocess.Popen([PROGRAM, "genes"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    program.stdout.close()
    assert b"Traceback" not in program.stderr.read()
    program.stderr.close()
    assert program.wait() in (0, 1)


def test_a_terminal_without_unicode_gets_question_marks(tmp_path):
    kept_run(tmp_path / "run")
    ascii_only = os.environ | {"PYTHONIOENCODING": "ascii"}
    ended = subprocess.run([PROGRAM, "inspect", tmp_path / "run", "--candidate", "0"], env=ascii_only, capture_output=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert b"????" in ended.stdout  # the loss curve


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_output_that_cannot_be_written_is_one_sentence():
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run([PROGRAM, "genes", "--json"], stdout=full, stderr=subprocess.PIPE, check=False, text=True)
    assert ended.returncode == 1
    assert ended.stderr == "star-search: the output cannot be written: No space left on device\n"


def test_a_name_too_long_for_a_file_is_one_sentence(command):
    name = "a" * 300
    assert command("inspect", name).sentence() == f"{name} cannot be used: File name too long"
