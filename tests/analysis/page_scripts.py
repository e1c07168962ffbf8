"""The page's scripts without a browser: run by Node over a document that only remembers what it is given."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

import pytest

from star_search.analysis.report.data import ReportData
from star_search.analysis.report.page import ASSETS

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="needs Node")

DOCUMENT = """
const made = () => ({
  dataset: {}, style: {}, value: "", children: [], append(...given) { this.children.push(...given); },
  replaceChildren(...given) { this.children = given; }, addEventListener() {},
});
const elements = {};
globalThis.window = globalThis;
globalThis.document = {
  documentElement: made(),
  createElement: made,
  getElementById: (id) => (elements[id] ??= made()),
};
"""


def evaluate(data: ReportData, expression: str, *names: str, before: str = "") -> Any:
    """Return what an expression, or its promise, gives once `before`, `base.js` and the named scripts have run over a run's data."""
    given = [
        f"document.getElementById({name!r}).textContent = {json.dumps(text)};"
        for name, text in (("data", json.dumps(data.opening)), ("details", "\n".join(map(json.dumps, data.details))))
    ]
    scripts = [(ASSETS / name).read_text() for name in ("base.js", *names)]
    source = "\n".join(
        [DOCUMENT, before, *given, *scripts, f"Promise.resolve({expression}).then((found) => console.log(JSON.stringify(found)));"]
    )
    done = subprocess.run(["node", "-"], input=source, capture_output=True, text=True, check=False, timeout=60)
    assert not done.returncode, done.stderr
    return json.loads(done.stdout)
