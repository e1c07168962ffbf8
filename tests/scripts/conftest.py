"""Scripts as modules, loaded from their files."""

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

SCRIPTS = Path(__file__).parents[2] / "scripts"


@contextmanager
def loaded(name: str) -> Iterator[ModuleType]:
    """Give a script as a module, which it is by name only meanwhile, as its dataclasses need."""
    specification = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    specification.loader.exec_module(module)
    yield module
    del sys.modules[name]
