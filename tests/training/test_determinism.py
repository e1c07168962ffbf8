"""Torch is told to add in one order while it is asked for, and not a moment longer."""

import os

import pytest
import torch

from star_search.training.determinism import deterministic


def settings():
    from torch._inductor import config

    return torch.are_deterministic_algorithms_enabled(), torch.utils.deterministic.fill_uninitialized_memory, config.deterministic


@pytest.fixture
def workspaces(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)


def test_holds_within_and_not_after(workspaces):
    before = settings()
    with deterministic(True):
        assert settings() == (True, False, True)
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert settings() == before == (False, True, False)


def test_holds_no_longer_after_a_fault(workspaces):
    before = settings()
    with pytest.raises(KeyError), deterministic(True):
        raise KeyError
    assert settings() == before


def test_a_user_who_chose_workspaces_keeps_them(monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    with deterministic(True):
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"


def test_nothing_changes_unasked(workspaces):
    before = settings()
    with deterministic(False):
        assert settings() == before
    assert "CUBLAS_WORKSPACE_CONFIG" not in os.environ
