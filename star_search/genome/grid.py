"""Which genes of an operator and of its featurizer go together; what does not is named gene by gene."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from star_search.genome.genes import (
    BANDED,
    BLOCK_DIAGONAL,
    CHANNEL_MIXING,
    DENSE,
    DIAGONAL,
    DIRECT,
    FEATURIZER_CHANNEL_MIXING,
    FEATURIZER_TOKEN_MIXING,
    GELU,
    GROUPED,
    INPUT_DEPENDENT,
    LINEAR,
    LOW_RANK,
    MAXIMUM_FACTOR,
    NO_SPARSITY,
    NONLINEARITY,
    PARAMETRISATION,
    PER_CHANNEL,
    RELU,
    REPARAMETRISED,
    SEMI_SEPARABLE,
    SILU,
    SPARSITY,
    TOEPLITZ,
    TOKEN_MIXING,
    GroupGenome,
    OperatorGenome,
)

Groups = Mapping[str, GroupGenome]

# The feature groups of each token mixing, in the order in which their genes are read: a gene may depend on those of groups before it.
GROUPS_OF: dict[int, tuple[str, ...]] = {
    DIAGONAL: ("v", "gate"),
    LOW_RANK: ("v", "k", "q"),
    TOEPLITZ: ("v", "B", "C", "kernel"),
    SEMI_SEPARABLE: ("v", "B", "C", "A", "gate"),
}
# Groups that a later token must remember, in the order of the feature strategy digits; A and B only where the input makes them.
CONTEXT_ORDER = ("A", "B", "k", "v")

_FACTORS = tuple(range(1, MAXIMUM_FACTOR + 1))
_POINTWISE = (LINEAR, RELU, SILU, GELU)


@dataclass(frozen=True, slots=True)
class GeneProblem:
    """One gene that does not go with those read before it: its name, its value and the values that would; no value for a missing group."""

    gene: str
    value: int | None
    legal: tuple[int, ...]
    meaning: str
    reason: str

    @property
    def sentence(self) -> str:
        """What stands there, why it cannot, and what can."""
        if self.value is None:
            return f"{self.gene} {self.reason}"
        meaning = f" ({self.meaning})" if self.meaning else ""
        return f"{self.gene} {self.value}{meaning} {self.reason}; allowed: {ranges(self.legal)}"


def ranges(values: tuple[int, ...]) -> str:
    """Return values as people write them: `1 to 5`, or a list."""
    if len(values) > 2 and values == tuple(range(values[0], values[-1] + 1)):
        return f"{values[0]} to {values[-1]}"
    return ", ".join(map(str, values))


def operator_legal(operator: OperatorGenome, differential: bool) -> Iterator[tuple[str, int, tuple[int, ...], Mapping[int, str]]]:
    """Yield (gene, value, legal values given the genes before it, meanings) of an operator genome, its first digit aside."""
    mixing = operator.token_mixing
    yield "token mixing", mixing, tuple(TOKEN_MIXING), TOKEN_MIXING
    sparsities = (NO_SPARSITY, BANDED, BLOCK_DIAGONAL) if mixing == LOW_RANK else (NO_SPARSITY,)
    yield "sparsity", operator.sparsity, sparsities, SPARSITY
    nonlinearities = {DIAGONAL: _POINTWISE, LOW_RANK: tuple(NONLINEARITY)}.get(mixing, (LINEAR,))
    yield "nonlinearity", operator.nonlinearity, nonlinearities, NONLINEARITY
    channels = {DIAGONAL: (PER_CHANNEL, DENSE, GROUPED), LOW_RANK: (GROUPED,)}.get(mixing, (PER_CHANNEL, GROUPED))
    yield "channel mixing", operator.channel_mixing, channels, CHANNEL_MIXING
    yield "differential", int(differential), (0,) if mixing == DIAGONAL else (0, 1), {0: "no", 1: "yes"}


def group_legal(
    operator: OperatorGenome, differential: bool, groups: Groups, name: str
) -> Iterator[tuple[str, int, tuple[int, ...], Mapping[int, str]]]:
    """Yield (gene, value, legal values, meanings) of one feature group, given the operator and the groups before it in `GROUPS_OF`.

    The parametrisation is read first: it says whether the group is made from x at all.
    """
    group = groups[name]
    yield "parametrisation", group.parametrisation, _parametrisations(operator, groups, name), PARAMETRISATION
    made_from_x = group.parametrisation == INPUT_DEPENDENT
    mixings: tuple[int, ...] = (TOEPLITZ,) if name == "kernel" else (DIAGONAL,)
    if made_from_x and operator.token_mixing != DIAGONAL and name != "A":
        mixings = (DIAGONAL, TOEPLITZ)
    yield "token mixing", group.token_mixing, mixings, FEATURIZER_TOKEN_MIXING
    yield "repeat", group.repeat, _repeats(operator, groups, name), {}
    yield "expansion", group.expansion, _expansions(operator, differential, groups, name), {}
    yield "channel mixing", group.channel_mixing, _channel_mixings(operator, groups, name), FEATURIZER_CHANNEL_MIXING


def class_problems(operator: OperatorGenome, differential: bool, groups: Groups) -> list[GeneProblem]:
    """Return every gene that does not go with those before it; empty for a class that can be built."""
    known = operator.token_mixing in TOKEN_MIXING
    mixing = f"does not go with token mixing {operator.token_mixing}, {TOKEN_MIXING[operator.token_mixing]}" if known else "is unknown"
    found = _problems(operator_legal(operator, differential), "", mixing)
    if found:
        return found
    for name in GROUPS_OF[operator.token_mixing]:
        if name not in groups:
            reason = f"is missing: token mixing {operator.token_mixing} needs {', '.join(GROUPS_OF[operator.token_mixing])}"
            return [*found, GeneProblem(f"feature group {name}", None, (), "", reason)]
        found += _problems(group_legal(operator, differential, groups, name), f"{name} ", "does not fit this operator")
    for name in groups.keys() - set(GROUPS_OF[operator.token_mixing]):
        reason = f"is not read: token mixing {operator.token_mixing} has {', '.join(GROUPS_OF[operator.token_mixing])}"
        found.append(GeneProblem(f"feature group {name}", None, (), "", reason))
    return found


def _problems(genes: Iterator[tuple[str, int, tuple[int, ...], Mapping[int, str]]], prefix: str, reason: str) -> list[GeneProblem]:
    return [
        GeneProblem(f"{prefix}{gene}", value, legal, meanings.get(value, ""), reason)
        for gene, value, legal, meanings in genes
        if value not in legal
    ]


def _parametrisations(operator: OperatorGenome, groups: Groups, name: str) -> tuple[int, ...]:
    if name == "kernel":
        return (DIRECT, REPARAMETRISED)
    if operator.token_mixing == SEMI_SEPARABLE and name in "ABC":
        if name == "A":
            return (REPARAMETRISED, INPUT_DEPENDENT)
        if name == "C":
            return (groups["B"].parametrisation,)
        # Per head, direct B and C would make every state of a head the same.
        return (INPUT_DEPENDENT,) if operator.channel_mixing == GROUPED else (DIRECT, INPUT_DEPENDENT)
    return (INPUT_DEPENDENT,)


def _repeats(operator: OperatorGenome, groups: Groups, name: str) -> tuple[int, ...]:
    if operator.token_mixing != LOW_RANK or name == "q":
        return (1,)
    return (groups["v"].repeat,) if name == "k" else _FACTORS


def _expansions(operator: OperatorGenome, differential: bool, groups: Groups, name: str) -> tuple[int, ...]:
    if operator.token_mixing == LOW_RANK and name in "kq":
        return (groups["k"].expansion,) if name == "q" else _FACTORS
    if operator.token_mixing != SEMI_SEPARABLE or name not in "ABC":
        return (1,)
    if name == "B":
        return tuple(factor for factor in _FACTORS if not (differential and factor % 2))
    state_size = groups["B"].expansion
    if name == "C":
        return (state_size,)
    if operator.channel_mixing == GROUPED:
        return (1,)
    # One decay for all the states of a channel would make them the same where B and C are direct.
    return (state_size,) if groups["B"].parametrisation == DIRECT else tuple(dict.fromkeys((1, state_size)))


def _channel_mixings(operator: OperatorGenome, groups: Groups, name: str) -> tuple[int, ...]:
    group = groups[name]
    if group.parametrisation != INPUT_DEPENDENT:
        return (PER_CHANNEL,)
    if operator.token_mixing == DIAGONAL and operator.channel_mixing == DENSE:
        return (DENSE,)
    grouped = operator.channel_mixing == GROUPED
    if operator.token_mixing == SEMI_SEPARABLE and name in "BC" and not grouped:
        return (DENSE,)  # one B and C for all channels
    per_head = grouped and (name == "A" or (name in ("B", "C", "gate") and operator.token_mixing != LOW_RANK))
    per_head = per_head and not (name == "gate" and operator.token_mixing == SEMI_SEPARABLE)
    return (DENSE, GROUPED) if per_head or group.repeat > 1 else (PER_CHANNEL, DENSE, GROUPED)


def context_names(groups: Groups) -> tuple[str, ...]:
    """Return the context groups of an operator that mixes tokens, in the order of their strategy digits."""
    return tuple(name for name in CONTEXT_ORDER if name in groups and groups[name].parametrisation == INPUT_DEPENDENT)


def default_fields(operator: OperatorGenome, groups: Groups) -> dict[str, Any]:
    """Return what the digits leave open, where a class does not say otherwise."""
    if operator.token_mixing == DIAGONAL:
        return {"inner_ratio": [8, 3], "inner_multiple": 64} if operator.channel_mixing == DENSE else {}
    if operator.token_mixing == LOW_RANK:
        span = {BANDED: {"window": 256}, BLOCK_DIAGONAL: {"block": 256}}.get(operator.sparsity, {})
        return span | ({} if operator.nonlinearity == LINEAR else {"rotary": True})
    if operator.token_mixing == TOEPLITZ:
        return {"kernel_length": 3} if groups["kernel"].parametrisation == DIRECT else {}
    convolved = any(group.token_mixing == TOEPLITZ for group in groups.values())
    return {"convolution_activation": "silu"} if convolved else {}


def field_misfit(name: str, operator: OperatorGenome, groups: Groups) -> str:
    """Return what a field is for, where that is not this operator; empty where it is."""
    mixing, sparsity, channels = operator.token_mixing, operator.sparsity, operator.channel_mixing
    direct = mixing == SEMI_SEPARABLE and groups["B"].parametrisation == DIRECT
    uses = {
        "rotary": (mixing == LOW_RANK, "token mixing 2"),
        "window": (sparsity == BANDED, "sparsity 2"),
        "block": (sparsity == BLOCK_DIAGONAL, "sparsity 3"),
        "kernel_length": (mixing == TOEPLITZ and groups["kernel"].parametrisation == DIRECT, "token mixing 3 with a direct kernel"),
        "inner_ratio": (mixing == DIAGONAL and channels == DENSE, "token mixing 1 with channel mixing 2"),
        "inner_multiple": (mixing == DIAGONAL and channels == DENSE, "token mixing 1 with channel mixing 2"),
        "convolution_activation": (any(each.token_mixing == TOEPLITZ for each in groups.values()), "featurizers with token mixing 3"),
        "decay": (direct and groups["A"].parametrisation == INPUT_DEPENDENT, "token mixing 4 with A from the input and B, C direct"),
        "dense": (mixing == SEMI_SEPARABLE and groups["v"].channel_mixing == DENSE, "token mixing 4 with a dense v"),
    }
    fits, purpose = uses[name]
    return "" if fits else purpose
