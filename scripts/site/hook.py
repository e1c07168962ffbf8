"""What MkDocs does beyond docs/: pages made from the code and from the files at the root, and links that hold in both places."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from command_pages import command_navigation, command_pages
from gene_page import gene_page
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from python_page import python_page

ROOT = Path(__file__).parents[2]
GUIDE, CLASS_SECTION = "CONTRIBUTING.md", "## Add a LIV class in five steps\n"
# Files outside docs/ that the site has a page of: a link to the one on the code host is a link to the other here.
PAGES = {
    "README.md": "index.md",
    GUIDE: "contributing.md",
    f"{GUIDE}#add-a-liv-class-in-five-steps": "adding_a_liv_class.md",
    "CHANGELOG.md": "changelog.md",
    "star_search/genome/catalogues/star.yaml": "genes.md",
    "star_search/__init__.py": "python.md",
    "star_search/cli/app.py": "commands/index.md",
}
_LINK = re.compile(r"\]\(([^)\s#]+)(#[^)\s]*)?\)")
# By page of the site, the file of the repository that its links are relative to.
_ORIGINS = {"contributing.md": GUIDE, "adding_a_liv_class.md": GUIDE, "changelog.md": "CHANGELOG.md"}


def made_pages() -> dict[str, str]:
    """Return the Markdown of every page that docs/ does not hold, by its path in the site."""
    guide, heading, of_classes = (ROOT / GUIDE).read_text(encoding="utf-8").partition(CLASS_SECTION)
    if not heading:
        raise ValueError(f"{GUIDE} has no section {CLASS_SECTION!r}")
    return {
        "genes.md": gene_page(),
        "python.md": python_page(),
        "contributing.md": f"{guide}\nHow to add a LIV class is [a page of its own](adding_a_liv_class.md).\n",
        "adding_a_liv_class.md": f"# Adding a LIV class\n{_deeper(of_classes)}",
        "changelog.md": (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"),
        **command_pages(),
    }


def _deeper(markdown: str) -> str:
    """Indent what belongs to a list item by four, as Python-Markdown wants, where code hosts want three."""
    return re.sub(r"(?m)^ {3}", " " * 4, markdown)


def on_config(config: MkDocsConfig) -> None:
    """Fill in the navigation where it names a folder: the commands by their groups, otherwise every page."""
    config.nav = _expanded(config.nav)


def _expanded(entry: Any) -> Any:
    if isinstance(entry, list):
        return [_expanded(each) for each in entry]
    if isinstance(entry, dict):
        return {name: _expanded(each) for name, each in entry.items()}
    if entry == "commands/":
        return command_navigation()
    return [f"{entry}{path.name}" for path in sorted((ROOT / "docs" / entry).glob("*.md"))] if entry.endswith("/") else entry


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add the pages that are made."""
    for path, markdown in made_pages().items():
        files.append(File.generated(config, path, content=markdown))


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links to files of the repository into links to the pages that the site has of them."""
    here = page.file.src_uri
    if here == "index.md":
        page.meta["hide"] = ["navigation", "toc"]
    origin = _ORIGINS.get(here, f"docs/{here}")

    def linked(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(origin), match[1]))
        anchor = match[2] or ""
        if target + anchor in PAGES:
            target, anchor = PAGES[target + anchor], ""
        page_of = PAGES.get(target) or _command_page(target) or target.removeprefix("docs/")
        if files.get_file_from_path(page_of) is None:
            return match[0]
        return f"]({posixpath.relpath(page_of, posixpath.dirname(here) or '.')}{anchor})"

    return _LINK.sub(linked, markdown)


def _command_page(target: str) -> str | None:
    """Return the page of a command whose source is linked to."""
    name = re.fullmatch(r"star_search/cli/(\w+)\.py", target)
    return f"commands/{name[1].replace('_', '-')}.md" if name else None
