"""One sentence for what pydantic has against a configuration."""

from __future__ import annotations

from typing import get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from star_search.errors import did_you_mean

_REQUIREMENTS = {
    "int_type": "a whole number",
    "float_type": "a number",
    "string_type": "text",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "values by name",
    "model_type": "a section of keys and values",
    "model_attributes_type": "a section of keys and values",
    "finite_number": "finite",
    "missing": "given",
    "too_short": "a list of at least {min_length}",
    "too_long": "a list of at most {max_length}",
    "greater_than": "greater than {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "less_than": "less than {lt:g}",
    "less_than_equal": "at most {le:g}",
    "literal_error": "one of {expected}",
    "string_pattern_mismatch": "letters, digits, '.', '_' and '-' only, beginning with a letter or digit",
}


def first_sentence(error: ValidationError, root: type[BaseModel]) -> str:
    """Return what is wrong first: the key, what is allowed and what it got; `root` is the model that was validated."""
    problem = error.errors()[0]
    parts = [str(part) for part in problem["loc"]]
    if problem["type"] == "extra_forbidden":
        section = _section(root, parts[:-1])
        return f"unknown key {'.'.join(parts)}{did_you_mean(parts[-1], section.model_fields)}"
    if problem["type"] == "value_error":
        return str(problem["ctx"]["error"])
    # A union reports one problem per member; the location then ends with the member's own name.
    key = ".".join(part for part in parts if not any(mark in part for mark in "[(") and part not in ("int", "str"))
    return f"{key} must be {_allowed(error, problem)}, got {problem['input']!r}"


def _allowed(error: ValidationError, problem: ErrorDetails) -> str:
    alternatives = [_requirement(each) for each in error.errors() if each["input"] == problem["input"]]
    return " or ".join(dict.fromkeys(alternatives or [_requirement(problem)]))


def _requirement(problem: ErrorDetails) -> str:
    phrase = _REQUIREMENTS.get(problem["type"])
    return phrase.format(**problem.get("ctx", {})) if phrase else problem["msg"]


def _section(section: type[BaseModel], parts: list[str]) -> type[BaseModel]:
    names = iter(parts)
    for name in names:
        annotation = section.model_fields[name].annotation
        if get_origin(annotation) is dict:
            next(names, None)  # the key, which is the user's
            section = get_args(annotation)[1]
        else:
            section = annotation if isinstance(annotation, type) else get_args(annotation)[0]
    return section
