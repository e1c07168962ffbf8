"""A page per command, made from the command line itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby
from typing import Any

import typer

from star_search.cli.app import app

PROGRAM = "star-search"
EXIT_CODES = "Every command has `--help`. Exit code 0 is success, 1 work that failed, 2 bad input, with one sentence on what is allowed."


def command_pages() -> dict[str, str]:
    """Return the Markdown of every command's page and of their overview, by path in the site."""
    return {"commands/index.md": _overview(), **{_path(name): _page(name, command) for name, command in _commands().items()}}


def command_navigation() -> list[Any]:
    """Return the overview, then the pages by the groups that `star-search --help` shows."""
    return ["commands/index.md", *({panel: [_path(name) for name in names]} for panel, names in _panels())]


def _path(name: str) -> str:
    return f"commands/{name}.md"


def _commands() -> dict[str, Any]:
    return dict(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


def _panels() -> list[tuple[str, list[str]]]:
    commands = _commands()
    return [(panel, list(names)) for panel, names in groupby(commands, lambda name: str(commands[name].rich_help_panel))]


def _overview() -> str:
    lines = ["# Commands", "", EXIT_CODES]
    for panel, names in _panels():
        lines += ["", f"## {panel}", "", "| command | what it does |", "|---|---|"]
        lines += [f"| [`{name}`]({name}.md) | {_escaped(_summary(command))} |" for name in names if (command := _commands()[name])]
    return "\n".join(lines) + "\n"


def _page(name: str, command: Any) -> str:
    called = f"{PROGRAM} {name}"
    parts = [f"---\ntitle: {name}\n---", f"# {called}", *_described(called, command)]
    for sub_name, sub in getattr(command, "commands", {}).items():
        parts += [f"## {called} {sub_name}", *_described(f"{called} {sub_name}", sub, level=3)]
    return "\n\n".join(parts) + "\n"


def _described(called: str, command: Any, level: int = 2) -> Iterator[str]:
    """Yield what a command does, how it is called, its arguments and its options."""
    context = command.context_class(command, info_name=called)
    yield from (_escaped(line) for line in command.help.splitlines() if line.strip())
    usage = " ".join(command.get_usage(context).split()).removeprefix("Usage: ")
    yield f"```text\n{usage}\n```"
    for title, kind in (("Arguments", "argument"), ("Options", "option")):
        entries = [
            _entry(*record)
            for parameter in command.get_params(context)
            if parameter.param_type_name == kind and "--help" not in parameter.opts
            if (record := parameter.get_help_record(context)) is not None
        ]
        if entries:
            yield f"{'#' * level} {title}"
            yield "\n\n".join(entries)


def _entry(names: str, text: str) -> str:
    """Return an argument or option as an item of a definition list; Typer ends a help text with `[default: 5; x>=2]`."""
    found = re.fullmatch(r"(.*?)(?:\s*\[((?:default: |required|x[<>]|\S+<=x).*)\])?", text, re.DOTALL)
    assert found is not None
    facts = [_fact(fact) for fact in (found[2] or "").split("; ") if fact]
    return f"`{names.replace(' range>', '>').replace('<list[str]>', '<str>')}`\n:   {_escaped(found[1])}" + (
        f" *({', '.join(facts)})*" if facts else ""
    )


def _fact(fact: str) -> str:
    """Return a default as code, and a range in words."""
    if fact.startswith("default: "):
        return f"default `{fact.removeprefix('default: ')}`"
    return fact.replace("x>=", "at least ").replace("x<=", "at most ")


def _summary(command: Any) -> str:
    return str(command.help).strip().splitlines()[0]


def _escaped(text: str) -> str:
    """Return a help text so that Markdown reads nothing into it, but names of options are code."""
    plain = re.sub(r"([*_`\[\]|])", r"\\\1", text.replace("&", "&amp;").replace("<", "&lt;"))
    return re.sub(r"(?<![\w-])(--[a-z][a-z-]*)", r"`\1`", plain)
