"""Searches write much and read it back at once: what fsync is for is tested with the run directory."""

import os
from pathlib import Path

import pytest
from evolution.small_search import write_text_source


@pytest.fixture(autouse=True, scope="module")
def without_fsync():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_text_source(tmp_path_factory.mktemp("text"))
