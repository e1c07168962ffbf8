"""Reading YAML safely: numbers as YAML 1.2 writes them, repeated keys refused, errors as one sentence."""

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from star_search.errors import InputError


class _Loader(yaml.SafeLoader):
    """The safe loader, with `8e-4` a number (YAML 1.1 reads it as text) and repeated keys refused."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise yaml.constructor.ConstructorError(problem="a key is a list or a mapping", problem_mark=key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(problem=f"the key '{key}' stands twice", problem_mark=key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"^[-+]?\d[\d_]*(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789"))


def parse_yaml(text: str, where: str) -> Any:
    """Return the value of a YAML text; `where` names its origin in the error.

    Raises:
        InputError: when the text is not valid YAML.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except RecursionError:
        raise InputError(f"{where} is nested too deeply to be read") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" at line {mark.line + 1}" if mark else ""
        raise InputError(f"{where} is not valid YAML{place}: {getattr(error, 'problem', None) or error}") from None
    except ValueError as error:  # A date that is none, or a number of thousands of digits.
        raise InputError(f"{where} holds a value that cannot be read: {str(error).partition(';')[0]}") from None


def read_yaml_mapping(path: Path) -> dict[str, Any]:
    """Return the keys and values of a YAML file, empty for an empty file.

    Raises:
        InputError: when the file cannot be read or holds something else.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'it is not UTF-8 text'}") from None
    values = parse_yaml(text, str(path))
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise InputError(f"{path} must hold keys and values, got a {type(values).__name__}")
    return values
