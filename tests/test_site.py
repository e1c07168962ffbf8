"""The documentation as a site: it builds without a warning, and its generated pages hold all that the code has."""

import re
import runpy
import subprocess
import sys
from html import unescape
from pathlib import Path
from shutil import which
from typing import Any

import pytest
import typer

from documents import ROOT
from star_search.cli.app import app
from star_search.genome.catalogue import load_catalogue

COMMANDS: dict[str, Any] = typer.main.get_command(app).commands


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("material")
    folder = tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def test_every_command_has_a_page_with_all_its_options(site: Path) -> None:
    overview = (site / "commands/index.html").read_text(encoding="utf-8")
    for name, command in COMMANDS.items():
        page = unescape((site / f"commands/{name}.html").read_text(encoding="utf-8"))
        assert f'href="{name}.html"' in overview
        for each in (command, *getattr(command, "commands", {}).values()):
            assert each.help.splitlines()[0] in re.sub(r"</?code>", "", page)
            for option in (option for parameter in each.params for option in parameter.opts):
                assert re.search(rf"[> ]{option}[,< ]", page), (name, option)


def test_the_gene_table_has_every_class(site: Path) -> None:
    page = (site / "genes.html").read_text(encoding="utf-8")
    rows = [re.sub(r"<[^>]+>", "|", row) for row in re.findall(r"<tr>(.*?)</tr>", page, re.DOTALL)]
    cells = [[cell.strip() for cell in row.split("|") if cell.strip()] for row in rows]
    for class_id, liv_class in load_catalogue("star").classes.items():
        assert [str(class_id), liv_class.name, liv_class.family, liv_class.operator.format()] in [row[:4] for row in cells]
    # Four projections of 768 x 768; keys and values of 4,096 tokens in two bytes each.
    assert ["1", "SA-1", "attention", "12123", f"{4 * 768**2:,}", f"{2 * 768 * 4096 * 2:,}"] in cells


def test_pages_ask_nothing_of_other_hosts(site: Path) -> None:
    for path in site.rglob("*.html"):
        page = path.read_text(encoding="utf-8")
        for tag in re.findall(r"<(?:script|link|img|iframe)\b[^>]*>", page):
            assert not re.search(r"(?:src|href)=.?(?:https?:)?//", tag), (path.name, tag)


def test_search_needs_no_server(site: Path) -> None:
    """Pages opened from disk may fetch nothing and start no worker: the index is a script, and a shim that lies here stands in."""
    assert (site / "search/search_index.js").read_text(encoding="utf-8").startswith("var __index = {")
    for path in site.rglob("*.html"):
        sources = re.findall(r"<script src=\"([^\"]+)", path.read_text(encoding="utf-8"))
        shims = [source for source in sources if source.endswith("assets/iframe-worker.js")]
        assert sources[: len(shims)] == shims and len(shims) == 1, path.name
        assert (path.parent / shims[0]).resolve() == site / "assets/iframe-worker.js" or path.name == "404.html"


def test_search_finds_in_pages_opened_from_disk(site: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    browser = which("chromium") or which("google-chrome")
    if browser is None:
        pytest.skip("needs Chromium")
    with playwright.sync_playwright() as started:
        page = started.chromium.launch(executable_path=browser, args=["--no-sandbox"]).new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto((site / "commands/evolve.html").as_uri())
        page.locator("input.md-search__input").first.click()
        page.keyboard.type("hypervolume")
        page.wait_for_selector(".md-search-result__item a", timeout=20_000)
        found = page.eval_on_selector_all(".md-search-result__item a", "links => links.map(link => link.href.split('?')[0])")
        assert (site / "design.html").as_uri() in {link.partition("#")[0] for link in found}
        assert all(url.startswith(("file:", "data:")) for url in asked)


def test_the_drawing_is_that_of_the_genome() -> None:
    made = runpy.run_path(str(ROOT / "scripts/site/drawing.py"))
    kept = made["TARGET"].read_text(encoding="utf-8")
    parts = [re.findall(r'id="((?:liv|features|featurizer) [\d-]+)"', text) for text in (kept, made["drawing"]())]
    assert parts[0] == parts[1]
    assert {"featurizer 1-3", "features 2-4"} <= set(parts[0])
