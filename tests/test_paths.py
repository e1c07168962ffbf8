"""Paths as users write them."""

from pathlib import Path

from star_search.paths import expanded


def test_only_the_folder_of_a_user_who_is_there_is_put_in(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert expanded("~/text") == Path("/home/me/text")
    assert expanded("~no_such_user/text") == Path("~no_such_user/text")
    assert expanded("a/~") == Path("a/~")
