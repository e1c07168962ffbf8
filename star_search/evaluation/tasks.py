"""Which tasks a model is scored on: the paper's six, any of the harness's by name, or YAML files; from the hub or from local files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from star_search.errors import InputError, unwritable

if TYPE_CHECKING:
    from lm_eval.tasks import TaskManager

# The paper's downstream tasks, each with its file among the harness's own.
DOWNSTREAM = {
    "hellaswag": "hellaswag/hellaswag.yaml",
    "arc_easy": "arc/arc_easy.yaml",
    "arc_challenge": "arc/arc_challenge.yaml",
    "winogrande": "winogrande/default.yaml",
    "piqa": "piqa/piqa.yaml",
    "sciq": "sciq/sciq.yaml",
}
LOCAL, YAML = "_local", (".yaml", ".yml")
# What their prompts read of an item.
FIELDS = {
    "hellaswag": ("activity_label", "ctx_a", "ctx_b", "endings", "label"),
    "arc_easy": ("question", "choices", "answerKey"),
    "arc_challenge": ("question", "choices", "answerKey"),
    "winogrande": ("sentence", "option1", "option2", "answer"),
    "piqa": ("goal", "sol1", "sol2", "label"),
    "sciq": ("question", "support", "correct_answer", "distractor1", "distractor2", "distractor3"),
}

# The installed task, its prompts untouched, reading a file in place of the hub's data set.
LOCAL_YAML = """include: {installed}
task: {task}
dataset_path: json
dataset_name: null
dataset_kwargs:
  data_files:
    validation: {data}
training_split: null
test_split: null
fewshot_split: validation
"""


@dataclass(frozen=True)
class Wanted:
    """Tasks by the names that the harness knows them by, and the folder of YAML files that defines the local ones."""

    names: tuple[str, ...]
    definitions: Path | None


def wanted_tasks(names: Sequence[str], data: Path | None, definitions: Path) -> Wanted:
    """Return the tasks; with `data`, those of the six read files of that folder, by definitions that are written into `definitions`.

    Raises:
        InputError: when a file is not there or is none of the kind, or a definition cannot be written.
    """
    for name in names:
        if name.endswith(YAML):
            _check_definition(Path(name))
    if data is None:
        return Wanted(tuple(names), None)
    local = [name for name in names if name in DOWNSTREAM]
    if not local:
        raise InputError(f"--task-data is for {', '.join(DOWNSTREAM)}; the tasks asked for bring their own data")
    for name in local:
        _write(definitions / f"{name}{LOCAL}.yaml", _local_definition(name, data))
    return Wanted(tuple(name + LOCAL if name in local else name for name in names), definitions)


def _local_definition(name: str, data: Path) -> str:
    import lm_eval.tasks

    file = data / f"{name}.validation.jsonl"
    if not file.is_file():
        raise InputError(f"--task-data {data} has no {file.name}")
    _check_items(file, FIELDS[name])
    installed = Path(lm_eval.tasks.__file__).parent / DOWNSTREAM[name]
    if not installed.is_file():
        raise InputError(f"the installed lm_eval has no {DOWNSTREAM[name]}, which task {name} was built on; version 0.4.13 has it")
    # Text in JSON's quotes is text in YAML, whatever stands in it.
    return LOCAL_YAML.format(installed=json.dumps(str(installed)), task=name + LOCAL, data=json.dumps(str(file.resolve())))


def _check_definition(path: Path) -> None:
    """Refuse a file that defines no task; what its keys say is the harness's to judge."""

    class Loader(yaml.SafeLoader):
        """Leaves out the harness's own tags, such as `!function`."""

    Loader.add_multi_constructor("!", lambda loader, suffix, node: None)
    try:
        found = yaml.load(path.read_text(encoding="utf-8"), Loader)
    except FileNotFoundError:
        raise InputError(f"task file {path} does not exist") from None
    except OSError as error:
        raise InputError(f"task file {path} cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, yaml.YAMLError):
        raise InputError(f"task file {path} is no YAML that can be read") from None
    if not isinstance(found, dict) or not {"task", "group", "include"} & found.keys():
        raise InputError(f"task file {path} defines no task: it has none of the keys task, group and include")


def _check_items(file: Path, fields: Sequence[str]) -> None:
    """Refuse a file whose lines are not items with these fields."""
    try:
        lines = enumerate(file.read_text(encoding="utf-8").split("\n"), 1)
        items = {number: json.loads(line) for number, line in lines if line.strip()}
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from None
    except ValueError:
        raise InputError(f"{file} cannot be read: it is not JSON, an item a line") from None
    if not items:
        raise InputError(f"{file} has no items")
    for number, item in items.items():
        missing = [field for field in fields if field not in item] if isinstance(item, dict) else ["fields"]
        if missing:
            raise InputError(f"line {number} of {file} is no item of the task: it has no {missing[0]}")


def _write(path: Path, text: str) -> None:
    """Write a definition, into a folder that is made; one of the user's under its name is left alone."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.read_text(encoding="utf-8") != text:
            raise InputError(
                f"{path} exists already and says something else; nothing is overwritten: give another folder with --keep-tasks"
            )
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise unwritable(path, error) from None


def known_names(wanted: Wanted, manager: TaskManager) -> list[str]:
    """Return the tasks as the harness knows them, for a pattern (`arc_*`) all that it fits.

    Raises:
        InputError: naming one that the harness does not know, and the nearest that there are.
    """
    names = list[str]()
    for name in wanted.names:
        found = [name] if name.endswith(YAML) else manager.match_tasks([name])
        names += found
        if not found:
            near = get_close_matches(name, manager.all_tasks, n=3, cutoff=0.6)
            hint = f"did you mean {' or '.join(near)}?" if near else "'lm_eval ls tasks' lists them"
            raise InputError(f"lm_eval has no task {name}; {hint}")
    return names
