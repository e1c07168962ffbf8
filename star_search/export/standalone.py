"""The model's own sources as flat files of an exported folder, which then loads with torch and transformers alone.

Nothing but import lines changes, and names that torch keeps for a whole process.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

from star_search import __version__

PACKAGE = "star_search"
# What config.json names; other modules are named by their path in the package.
ENTRIES = {f"{PACKAGE}.export.star_config": "configuration_star", f"{PACKAGE}.export.star_model": "modeling_star"}
HEADER = f"# Part of star-search {__version__}, Apache-2.0: its module {{module}}, as `star-search export-best --standalone` writes it.\n"
# Installed with PyTorch where it serves; transformers asks for whatever stands outside of a `try`.
OPTIONAL = "triton"


def standalone_files() -> dict[str, str]:
    """Return the text of every file by name: the configuration, the model, and all that they import from this package."""
    found: dict[str, _Module] = {}
    waiting = list(ENTRIES)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = _Module(name)
            waiting += found[name].needs
    return {f"{_flat(name)}.py": module.text() for name, module in sorted(found.items())}


def _flat(module: str) -> str:
    return ENTRIES.get(module, module.removeprefix(f"{PACKAGE}.").replace(".", "_"))


def _source(module: str) -> Path | None:
    """Return the file of a module, if it is one: a name imported from a package may be."""
    try:
        spec = find_spec(module)
    except ModuleNotFoundError:
        return None
    return Path(spec.origin) if spec is not None and spec.origin is not None else None


@dataclass(frozen=True)
class _Module:
    """One module of the package."""

    name: str

    @cached_property
    def _text(self) -> str:
        path = _source(self.name)
        assert path is not None
        return path.read_text(encoding="utf-8")

    @cached_property
    def _imports(self) -> list[ast.Import | ast.ImportFrom]:
        return [node for node in ast.walk(ast.parse(self._text)) if isinstance(node, ast.Import | ast.ImportFrom)]

    @property
    def needs(self) -> list[str]:
        """Modules of the package that it imports, anywhere in it."""
        return [module for node in self._imports for module, _ in _ours(node)]

    def text(self) -> str:
        """Return its text with imports from the package as imports from the folder."""
        lines = self._text.splitlines()
        for node in sorted(self._imports, key=lambda node: -node.lineno):
            if replaced := list(_rewritten(node)):
                indent = " " * node.col_offset
                lines[node.lineno - 1 : node.end_lineno] = [indent + line for line in replaced]
        # Operators are registered by name for the whole process: two folders, or one beside the package, must not meet.
        body = "\n".join(lines).replace(f'"{PACKAGE}::', '__name__.replace(".", "_") + "::')
        return HEADER.format(module=self.name) + body + "\n"


def _ours(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, ast.alias]]:
    """Yield (module of the package, what is imported from it or what it is itself called) of an import."""
    if isinstance(node, ast.ImportFrom) and node.module is not None and node.module.partition(".")[0] == PACKAGE:
        for alias in node.names:
            inner = f"{node.module}.{alias.name}"
            yield (inner if _source(inner) else node.module), alias


def _rewritten(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    """Yield the lines that stand in place of an import; none where it stays as it is."""
    for module, alias in _ours(node):
        called = alias.asname or alias.name
        if module == getattr(node, "module", None):
            yield f"from .{_flat(module)} import {alias.name}" + (f" as {alias.asname}" if alias.asname else "")
        else:
            # transformers copies the files that lines such as the first one name.
            yield f"from .{_flat(module)} import __name__ as _"
            yield f"from . import {_flat(module)} as {called}"
    if isinstance(node, ast.Import) and any(alias.name.partition(".")[0] == OPTIONAL for alias in node.names):
        yield from ("try:", f"    {ast.unparse(node)}", "except ImportError:", "    raise")
