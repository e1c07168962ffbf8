"""The bar that shows how far a preparation is."""

import io

import pytest
import typer
from rich.console import Console

from star_search.cli import preparing


def _drawn(monkeypatch, quiet: bool, terminal: bool) -> str:
    stream = io.StringIO()
    monkeypatch.setattr(preparing, "errors", Console(file=stream, force_terminal=terminal, width=100))
    with preparing.preparation_bar(quiet) as report:
        report(0.25, 1_000)
        report(0.5, 2_000_000)
    return stream.getvalue()


def test_a_terminal_sees_share_and_tokens(monkeypatch):
    drawn = _drawn(monkeypatch, quiet=False, terminal=True)
    assert "preparing the text" in drawn and " 50%" in drawn and "2,000,000 tokens" in drawn


def test_nothing_is_drawn_elsewhere(monkeypatch):
    assert _drawn(monkeypatch, quiet=True, terminal=True) == _drawn(monkeypatch, quiet=False, terminal=False) == ""


def test_ctrl_c_says_that_nothing_is_lost(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(preparing, "errors", Console(file=stream))
    with pytest.raises(typer.Exit) as caught, preparing.preparation_bar(quiet=True):
        raise KeyboardInterrupt
    assert caught.value.exit_code == 130
    assert stream.getvalue() == "interrupted; what is tokenised is kept, and the same command goes on\n"
