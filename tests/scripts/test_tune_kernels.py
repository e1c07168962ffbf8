"""The script that times kernels under other settings: a kernel has its own again afterwards, and one that is not there is refused."""

import sys

import pytest

from scripts.conftest import SCRIPTS, loaded
from star_search.liv.kernels import modal_scan


@pytest.fixture
def tune(monkeypatch):
    """Give the script, which finds another beside it."""
    monkeypatch.syspath_prepend(SCRIPTS)
    with loaded("tune_kernels") as module:
        yield module


def test_constants_are_changed_for_a_while(tune):
    def now():
        return {"CHUNK": modal_scan.CHUNK, "WARPS": modal_scan.WARPS}

    own = now()
    tried = tune.combinations({"CHUNK": (8, 128), "WARPS": (1, 2, 4)})
    assert len(tried) == 6
    for values in tried:
        with tune.constants(modal_scan, values):
            assert now() == values
        assert now() == own


def test_an_unknown_kernel_is_refused(tune, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["tune_kernels.py", "--kernels", "modal_scan,toeplitz"])
    with pytest.raises(SystemExit) as ended:
        tune.main()
    assert ended.value.code == 2
    assert "unknown kernel 'toeplitz'; allowed: modal_scan, " in capsys.readouterr().err


def test_every_kernel_of_the_example_is_there(tune):
    line = next(line for line in tune.__doc__.splitlines() if "--kernels" in line)
    assert set(line.split()[-1].split(",")) <= set(tune.CASES)
