"""What the documents show: their blocks of code, and the commands among them."""

import re
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parents[1]
INSTALL = "pip install . && "
PAGES = ["README.md", "CONTRIBUTING.md", *(str(each.relative_to(ROOT)) for each in sorted((ROOT / "docs").rglob("*.md")))]


def blocks(path: str, kind: str) -> list[str]:
    """Return the fenced blocks of one kind in a file of the repository, without the indentation of a list item."""
    text = (ROOT / path).read_text(encoding="utf-8")
    return [dedent(block) for found, block in re.findall(r"```(\w+)\n(.*?) *```", text, re.DOTALL) if found == kind]


def commands(path: str) -> list[str]:
    """Return the `star-search` commands of a document's console blocks, in order."""
    lines = [line.split("#")[0].strip().removeprefix(INSTALL) for block in blocks(path, "console") for line in block.splitlines()]
    return [line for line in lines if line.startswith("star-search ")]


def spans(path: str) -> list[str]:
    """Return the inline code of a document, each on one line."""
    text = re.sub(r"```.*?```", "", (ROOT / path).read_text(encoding="utf-8"), flags=re.DOTALL)
    return [" ".join(each.split()) for each in re.findall(r"(?<!`)`([^`]+)`(?!`)", text)]
