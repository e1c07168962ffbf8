"""Text from outside: what a terminal would obey is shown."""

import subprocess

import pytest

from star_search.analysis.plain_text import printable, shell_word


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain <b>text</b> [red]", "plain <b>text</b> [red]"),
        ("é 語 ·", "é 語 ·"),
        ("\x1b[2J\x07\r\n\t", r"\x1b[2J\x07\r\n\t"),
        ("\x9b31m\x7f", r"\x9b31m\x7f"),
        ("abc\u202egnp\u2028", r"abc\u202egnp\u2028"),
        ("\ud800", r"\ud800"),
    ],
)
def test_control_characters_are_shown_as_escapes(text, shown):
    assert printable(text) == shown


@pytest.mark.parametrize("text", ["plain/name", "it's <b> $x", "a\x1b[31m b", "\x9b\u202e'\\\n-e", "\udcff"])
def test_a_word_to_copy_shows_no_control_character_and_is_read_back_as_it_was(text):
    word = shell_word(text)
    assert printable(word) == word
    read = subprocess.run(["bash", "-c", f"printf %s {word}"], capture_output=True, check=True).stdout
    assert read.decode(errors="surrogateescape") == text
