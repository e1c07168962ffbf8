"""Atomic writes: complete or undone, and one sentence when the disk refuses."""

import errno
import os
import stat
from pathlib import Path

import pytest

from star_search.errors import StarSearchError
from star_search.runs import atomic
from star_search.runs.atomic import is_leftover, patiently, remove_leftovers, write_bytes, write_json, write_text


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_json_keeps_the_order_of_keys_and_ends_in_a_newline(tmp_path):
    write_json(tmp_path / "a.json", {"b": [1], "a": 0.1})
    assert (tmp_path / "a.json").read_text() == '{\n "b": [\n  1\n ],\n "a": 0.1\n}\n'


def test_a_write_replaces_and_leaves_nothing_beside_it(tmp_path):
    path = tmp_path / "new" / "a.bin"
    write_bytes(path, b"longer than the second")
    write_bytes(path, b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    assert names(path.parent) == ["a.bin"]


def test_files_get_the_permissions_of_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "a", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_a_lone_surrogate_is_written_as_its_escape(tmp_path):
    write_text(tmp_path / "a", "é \udcff")
    assert (tmp_path / "a").read_bytes() == b"\xc3\xa9 \\udcff"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": [-float("inf")]}, {1, 2}])
def test_what_json_lacks_is_refused(tmp_path, value):
    with pytest.raises(StarSearchError, match=r"a\.json cannot be written as JSON: "):
        write_json(tmp_path / "a.json", value)
    assert names(tmp_path) == []


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_no_leftover(tmp_path, monkeypatch, step):
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def refuse(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(*((os, "fsync") if step == "fsync" else (Path, "replace")), refuse)
    with pytest.raises(StarSearchError) as error:
        write_text(path, "new")
    assert str(error.value) == f"{path} cannot be written: No space left on device"
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_the_data_is_on_disk_before_the_name_and_the_name_before_the_return(tmp_path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (calls.append("folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else "file"), fsync(fd))[1])
    monkeypatch.setattr(Path, "replace", lambda old, new: (calls.append("replace"), replace(old, new))[1])
    write_text(tmp_path / "a", "x")
    assert calls == ["file", "replace", "folder"]


def test_a_removed_run_is_not_made_again(tmp_path):
    with pytest.raises(StarSearchError, match="cannot be written: No such file or directory"):
        write_text(tmp_path / "gone" / "candidates" / "a", "x")
    assert names(tmp_path) == []


def test_only_our_own_leftovers_are_removed(tmp_path):
    ours = f".00001.json.{'0a' * 16}.tmp"
    others = [".notes.tmp", "a.tmp", ".hidden"]
    for name in [ours, *others]:
        (tmp_path / name).touch()
    assert [is_leftover(name) for name in [ours, *others]] == [True, False, False, False]
    remove_leftovers(tmp_path)
    assert names(tmp_path) == sorted(others)


class TestPatience:
    def failing(self, times, number):
        """Return a write that fails so often with an error number, and the list of its tries."""
        tries = []

        def write():
            tries.append(len(tries))
            if len(tries) <= times:
                raise StarSearchError("cannot be written") from OSError(number, "reason")

        return write, tries

    @pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
    def test_a_disk_that_is_full_for_a_moment_costs_that_moment(self, monkeypatch, number):
        monkeypatch.setattr(atomic, "_RETRY_SECONDS", 0.001)
        write, tries = self.failing(3, number)
        assert 0.003 <= patiently(write, 60) < 60
        assert patiently(write, 60) == 0
        assert len(tries) == 5

    def test_one_that_stays_full_is_an_error_after_a_while(self, monkeypatch):
        monkeypatch.setattr(atomic, "_RETRY_SECONDS", 0.001)
        write, tries = self.failing(10**9, errno.ENOSPC)
        with pytest.raises(StarSearchError, match="cannot be written"):
            patiently(write, 0.01)
        assert len(tries) > 1

    def test_another_failure_is_told_at_once(self):
        write, tries = self.failing(1, errno.EROFS)
        with pytest.raises(StarSearchError):
            patiently(write, 60)
        assert len(tries) == 1
