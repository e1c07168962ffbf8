"""The public names of the package as a page, made from their signatures and docstrings."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import star_search

README = Path(__file__).parents[2] / "README.md"
LINE = 80


def python_page() -> str:
    """Return the Markdown of the page: the README's example, classes, then enumerations."""
    (example,) = re.findall(r"```python\n.*?```", README.read_text(encoding="utf-8"), re.DOTALL)
    parts = ["# Python", "What `from star_search import ...` gives; `x_BTD` is a tensor of batch, tokens and width.", example]
    public = {name: getattr(star_search, name) for name in star_search.__all__}
    for name in sorted(public, key=lambda name: issubclass(public[name], Enum)):
        parts += _described(name, public[name])
    return "\n\n".join(parts) + "\n"


def _described(name: str, thing: Any) -> Iterator[str]:
    yield f"## {name}"
    if issubclass(thing, Enum):
        yield _text(thing)
        yield "\n".join(f"* `{name}.{member.name}`: {member.value}" for member in thing)
        return
    yield f"```python\n{_constructor(name, thing)}\n```"
    yield _text(thing)
    for called, function in _methods(thing):
        yield f"`{called}`\n:   " + _text(function).split("\n\n")[0].replace("\n", " ")


def _constructor(name: str, thing: type) -> str:
    """Return how a class is called, on one line or with one line per parameter."""
    short = name + _signature(thing).removesuffix(" -> None")
    parameters = "".join(f"    {_unquoted(str(each))},\n" for each in inspect.signature(thing).parameters.values())
    return short if len(short) <= LINE else f"{name}(\n{parameters})"


def _methods(thing: type) -> Iterator[tuple[str, Any]]:
    """Yield how each public method or property that the class itself documents is called, and its function."""
    for name, value in vars(thing).items():
        function = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
        if not name.startswith("_") and inspect.isfunction(function) and function.__doc__:
            signature = _signature(function)
            yield name + (signature.removeprefix("()") if isinstance(value, property) else signature), function


def _signature(thing: Any) -> str:
    """Return a signature without the first parameter of a method."""
    return re.sub(r"^\((self|cls)(, )?", "(", _unquoted(str(inspect.signature(thing))))


def _unquoted(signature: str) -> str:
    """Return annotations, which are text in the source, without its quotes."""
    return re.sub(r"(: |-> )'([^']*)'", r"\1\2", signature)


def _text(thing: Any) -> str:
    """Return a docstring, its `Args:` and `Raises:` as lists."""
    text = re.sub(r"(?m)^(Args|Raises):$", r"**\1**\n", inspect.cleandoc(thing.__doc__ or ""))
    return re.sub(r"(?m)^    (\w+): ", r"* `\1`: ", text)
