"""What records must hold beyond the kinds of their fields, so that they can be shown: checked once, where a run is read."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping
from typing import Any

from star_search.runs.records import CandidateRecord, GenerationRecord, Outcome

# Of every candidate that is `ok`, whatever the objectives; and of every generation.
ALWAYS = ("parameters", "cache_bytes")
RATES = ("repair_rate", "invalid_before_repair_rate", "mean_hamming_distance", "duplicates_avoided", "distinct_architectures")


def is_size(value: object) -> bool:
    """Return whether a value is a finite number of at least 0."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _LARGEST


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -_LARGEST < value < _LARGEST


def _are_pairs(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_pair, value))


def _is_pair(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_number, value))


def _are_subsets(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(each, dict) and all(_is_number(each.get(name)) for name in ("perplexity", "tokens")) for each in value.values()
    )


# Beyond it a whole number of JSON is no floating-point number.
_LARGEST = 1.7e308
_Rules = dict[str, tuple[str, Callable[[object], bool]]]
_NUMBER: tuple[str, Callable[[object], bool]] = ("a number", _is_number)
_DETAILS: _Rules = {
    "curve": ("a list of steps with their losses", _are_pairs),
    "subsets": ("perplexity and tokens by subset", _are_subsets),
    "validation_loss": _NUMBER,
}
_MEASURED: _Rules = {
    "busy": ("a beginning and an end in seconds", _is_pair),
    "seconds": _NUMBER,
    "tokens_per_second": _NUMBER,
    "peak_memory_bytes": _NUMBER,
}


def candidate_problem(record: CandidateRecord, names: list[str]) -> str:
    """Return what of a candidate's values no search writes, empty when nothing is wrong; `names` are those of the objectives."""
    missing = [name for name in (*names, *ALWAYS) if name not in record.objectives]
    if record.outcome == Outcome.ok and missing:
        return f"it is ok and has no {missing[0]}"
    if wrong := [name for name, value in record.objectives.items() if not _is_number(value)]:
        return f"objectives.{wrong[0]} must be a number, got {reprlib.repr(record.objectives[wrong[0]])}"
    if record.tokens >= 2**63:
        return f"tokens must be below 2^63, got {reprlib.repr(record.tokens)}"
    return _first("details", record.details, _DETAILS) or _first("measured", record.measured, _MEASURED)


def generation_problem(record: GenerationRecord) -> str:
    """Return what of a generation's values no search writes, empty when nothing is wrong."""
    missing = [name for name in RATES if name not in record.rates]
    return f"rates has no {missing[0]}" if missing else _first("measured", record.measured, _MEASURED)


def front_problem(record: GenerationRecord, outcomes: Mapping[int, Outcome]) -> str:
    """Return which member of a front cannot be one by its record, empty when all can; `outcomes` are by id."""
    wrong = [(number, outcomes[number]) for number in record.front if outcomes.get(number, Outcome.ok) != Outcome.ok]
    return f"front holds candidate {wrong[0][0]}, which is {wrong[0][1].value}" if wrong else ""


def _first(field: str, values: dict[str, Any], rules: _Rules) -> str:
    for name, (allowed, fits) in rules.items():
        if name in values and not fits(values[name]):
            return f"{field}.{name} must be {allowed}, got {reprlib.repr(values[name])}"
    return ""
