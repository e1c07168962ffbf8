"""Rows of a catalogue file: a LIV class from plain values, every fault named by class and gene."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from star_search.errors import InputError, did_you_mean
from star_search.genome.genes import DIAGONAL, DIGITS, GroupGenome, OperatorGenome
from star_search.genome.grid import class_problems, context_names, default_fields, field_misfit
from star_search.genome.liv_class import LIVClass, family_of

HIGHEST_ID = 99  # ids above belong to classes that a genome brings with it
_KEYS = ("name", "like", "family", "operator", "context", "readout", "differential", "fields")


LONGEST_SPAN, LARGEST_FACTOR = 65_536, 4_096
# Groups are made, and their weights drawn, in this order.
READOUT_ORDER = ("v", "A", "B", "C", "q", "kernel", "gate")


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= LARGEST_FACTOR


def _is_span(value: Any) -> bool:
    """A single token or tap would leave nothing to mix: softmax over one score is one, and its queries and keys are dead."""
    return isinstance(value, int) and not isinstance(value, bool) and 1 < value <= LONGEST_SPAN


_FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "rotary": (lambda value: isinstance(value, bool), "true or false"),
    "window": (_is_span, f"a whole number of tokens from 2 to {LONGEST_SPAN}"),
    "block": (_is_span, f"a whole number of tokens from 2 to {LONGEST_SPAN}"),
    "kernel_length": (_is_span, f"a whole number of taps from 2 to {LONGEST_SPAN}"),
    "inner_ratio": (
        lambda value: isinstance(value, list) and len(value) == 2 and all(map(_is_count, value)),
        f"a ratio of two whole numbers from 1 to {LARGEST_FACTOR}, [8, 3]",
    ),
    "inner_multiple": (_is_count, f"a whole number from 1 to {LARGEST_FACTOR}"),
    "convolution_activation": (lambda value: value in ("silu", "none"), "silu or none"),
    "decay": (lambda value: value in ("step", "liquid"), "step or liquid"),
    "dense": (lambda value: value in ("dense", "monarch"), "dense or monarch"),
}


def read_class(class_id: int, row: Any, earlier: Mapping[int, LIVClass], where: str) -> LIVClass:
    """Return the class that a row describes; what it leaves out comes from the class it is `like`, or from the genes' defaults.

    Raises:
        InputError: naming the class and the key or gene that is wrong.
    """
    here = f"{where}: class {class_id}"
    check_keys(row, _KEYS, here)
    base = _like(row, earlier, here)
    operator = _operator(row["operator"], here) if "operator" in row else getattr(base, "operator", None)
    if operator is None:
        raise InputError(f"{here} needs an operator genome, for example operator: '12123', or a class that it is like")
    context, readout = (_groups(row, kind, getattr(base, kind, {}), here) for kind in ("context", "readout"))
    differential = row.get("differential", base.differential if base else False)
    if not isinstance(differential, bool):
        raise InputError(f"{here}: differential must be true or false, got {differential!r}")
    _check_groups(context, readout, here)
    problems = class_problems(operator, differential, {**context, **readout})
    if problems:
        raise InputError(f"{here}: {problems[0].sentence}")
    _check_context(operator, context, readout, here)
    fields = _fields(row, base, operator, {**context, **readout}, here)
    family = row.get("family", base.family if base else family_of(operator, {**context, **readout}))
    name = check_text(row.get("name"), f"{here}: name")
    ordered = {group: readout[group] for group in READOUT_ORDER if group in readout}
    _check_name(name, earlier, here)
    return LIVClass(class_id, name, check_text(family, f"{here}: family"), operator, context, ordered, differential, fields)


def check_keys(values: Any, known: Sequence[str], where: str) -> None:
    """Refuse anything but a mapping of known keys."""
    if not isinstance(values, Mapping):
        raise InputError(f"{where} must be a mapping of {', '.join(known)}, got {values!r}")
    for key in values:
        if key not in known:
            raise InputError(f"{where}: unknown key {key}{did_you_mean(str(key), known)}")


def check_text(value: Any, where: str) -> str:
    """Return a text that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{where} must be text, got {value!r}")
    return value


def _like(row: Mapping[str, Any], earlier: Mapping[int, LIVClass], here: str) -> LIVClass | None:
    if "like" not in row:
        return None
    if isinstance(row["like"], bool) or not isinstance(row["like"], int) or row["like"] not in earlier:
        known = ", ".join(map(str, earlier)) or "there are none"
        raise InputError(f"{here}: like {row['like']!r} is none of the classes before it: {known}")
    return earlier[row["like"]]


def _digits(text: Any, count: int, where: str) -> list[int]:
    """Read genes from a text of base-36 digits, or from a list of integers."""
    if isinstance(text, list):
        values = [value for value in text if isinstance(value, int) and not isinstance(value, bool)]
    else:
        values = [DIGITS.find(digit) for digit in str(text).lower()]
    if len(values) != count or len(values) != len(text if isinstance(text, list) else str(text)) or min(values) < 0:
        raise InputError(f"{where} must be {count} genes, base-36 digits or a list of whole numbers, got {text!r}")
    return values


def _operator(text: Any, here: str) -> OperatorGenome:
    operator = OperatorGenome(*_digits(text, len(OperatorGenome._fields), f"{here}: operator"))
    if not 0 < operator.featurizer < len(DIGITS):
        raise InputError(f"{here}: the operator's first digit, which names the featurizer, must be 1 to 9 or a to z, got {text!r}")
    return operator


def _groups(row: Mapping[str, Any], kind: str, default: Mapping[str, GroupGenome], here: str) -> Mapping[str, GroupGenome]:
    groups = row.get(kind, default)
    if not isinstance(groups, Mapping):
        raise InputError(f"{here}: {kind} must map feature groups to five genes, got {groups!r}")
    if kind not in row:
        return default
    return {name: GroupGenome(*_digits(genes, len(GroupGenome._fields), f"{here}: {kind} group {name}")) for name, genes in groups.items()}


def _check_groups(context: Mapping[str, GroupGenome], readout: Mapping[str, GroupGenome], here: str) -> None:
    twice = [name for name in context if name in readout]
    if twice:
        raise InputError(f"{here}: feature group {twice[0]} stands in context and in readout; it is one of them")


def _check_context(operator: OperatorGenome, context: Mapping[str, GroupGenome], readout: Mapping[str, GroupGenome], here: str) -> None:
    expected = () if operator.token_mixing == DIAGONAL else context_names({**context, **readout})
    if tuple(context) != expected:
        needed = f"exactly {', '.join(expected)}, in this order" if expected else "empty"
        raise InputError(f"{here}: context must be {needed}, got {', '.join(context) or 'nothing'}")


def _fields(
    row: Mapping[str, Any], base: LIVClass | None, operator: OperatorGenome, groups: Mapping[str, GroupGenome], here: str
) -> dict[str, Any]:
    given = row.get("fields", {})
    check_keys(given, tuple(_FIELDS), f"{here}: fields")
    for name, value in given.items():
        fits, allowed = _FIELDS[name]
        if not fits(value):
            raise InputError(f"{here}: fields.{name} must be {allowed}, got {value!r}")
        if reason := field_misfit(name, operator, groups):
            raise InputError(f"{here}: fields.{name} is for {reason}")
    inherited = {name: value for name, value in (base.fields if base else {}).items() if not field_misfit(name, operator, groups)}
    return default_fields(operator, groups) | inherited | given


def _check_name(name: str, earlier: Mapping[int, LIVClass], here: str) -> None:
    if name.isdecimal() or not name.isprintable():
        raise InputError(f"{here}: name must be printable and more than a number, which would be read as an id, got {name!r}")
    twin = next((each for each in earlier.values() if each.name.lower() == name.lower()), None)
    if twin is not None:
        raise InputError(f"{here}: the name {name} is that of class {twin.id} already")
