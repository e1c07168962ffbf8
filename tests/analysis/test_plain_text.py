"""Text from outside: what a terminal would obey is shown."""

import pytest

from star_search.analysis.plain_text import printable


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
