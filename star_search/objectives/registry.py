"""Objectives by name, and constraints on them; all are minimised."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from star_search.config import SearchConfig
from star_search.config_objectives import CONSTRAINT
from star_search.errors import InputError, did_you_mean
from star_search.genome.accounting import Accounting, Residual
from star_search.genome.catalogue import load_catalogue
from star_search.genome.encoding import Genome
from star_search.genome.smallest import least_cache_bytes, least_parameters
from star_search.genome.space import SearchSpace

if TYPE_CHECKING:
    from star_search.objectives.measurement import DecodingCost

_LENGTH = re.compile(r"0*[1-9][0-9]{0,11}")


@dataclass(frozen=True, slots=True)
class ObjectiveKind:
    """What an objective name means.

    `exact` gives the value from the genome alone, and `least_in` a bound that no genome of a space is below; `measured` gives it from
    what decoding costs on the device of the search, both before any training; without either the value needs training. What is better
    the larger can only be a constraint. An `own` one is code that is called with the candidate.
    """

    description: str
    exact: Callable[[Accounting, int], float] | None = None
    least_in: Callable[[SearchSpace, Residual, int], float] | None = None
    takes_length: bool = False
    least: float = 0.0
    measured: Callable[[DecodingCost], float] | None = None
    larger_is_better: bool = False
    own: bool = False

    @property
    def before_training(self) -> bool:
        """Whether the value is known before any training."""
        return self.exact is not None or self.measured is not None


KINDS: dict[str, ObjectiveKind] = {
    "perplexity": ObjectiveKind("exp of the mean validation loss per token", least=1.0),
    "bits_per_byte": ObjectiveKind("bits per byte of validation text"),
    "parameters": ObjectiveKind(
        "parameters but embedding and head, shared ones once",
        lambda account, length: account.parameters,
        lambda space, residual, length: least_parameters(space, residual),
    ),
    "cache_bytes": ObjectiveKind(
        "bytes that decoding one sequence holds, 2 an element",
        lambda account, length: account.cache_bytes(length),
        lambda space, residual, length: least_cache_bytes(space, length),
        takes_length=True,
    ),
    "time_to_first_token": ObjectiveKind(
        "seconds from a prompt to the logits that follow it", takes_length=True, measured=lambda cost: cost.first_token.median
    ),
    "decode_seconds": ObjectiveKind(
        "seconds from one decoded token to the next, after a prompt", takes_length=True, measured=lambda cost: cost.decode.median
    ),
    "tokens_per_second": ObjectiveKind(
        "tokens decoded in a second, over the batch, after a prompt",
        takes_length=True,
        measured=lambda cost: cost.tokens_per_second,
        larger_is_better=True,
    ),
    "peak_bytes": ObjectiveKind(
        "weights, and the most bytes of tensors beside them while a prompt is read and a token decoded",
        takes_length=True,
        measured=lambda cost: float(cost.peak_bytes or 0),
    ),
    "mad": ObjectiveKind("one less the mean accuracy on synthetic MAD tasks, each trained by itself", own=True),
}
PEAK_MEMORY = "peak_bytes"
FROM_LOSS = ("perplexity", "bits_per_byte")


@dataclass(frozen=True, slots=True)
class Objective:
    """One objective as a configuration names it, for example `cache_bytes@8192`."""

    name: str
    kind: ObjectiveKind
    length: int

    @property
    def meaning(self) -> tuple[str, int]:
        """What is equal for two names of one thing, such as `cache_bytes` and its length in full."""
        return self.kind.description, self.length if self.kind.takes_length else 0

    def exact_value(self, account: Accounting) -> float | None:
        """Return the value when it follows from the genome alone."""
        return None if self.kind.exact is None else self.kind.exact(account, self.length)


@dataclass(frozen=True, slots=True)
class Constraint:
    """A bound on an objective."""

    objective: Objective
    sign: str
    bound: float

    def __str__(self) -> str:
        return f"{self.objective.name} {self.sign} {self.bound:g}"

    def violation(self, value: float) -> float:
        """Return how far the value is beyond the bound, relative to it; 0 or less when it holds."""
        excess = value - self.bound if self.sign == "<=" else self.bound - value
        return excess / (abs(self.bound) or 1.0)

    def sentence(self, value: float) -> str:
        """Return why a value is refused."""
        return f"{self.objective.name} {value:,.6g} is {'above' if self.sign == '<=' else 'below'} {self.bound:,.6g}"


def parse_objective(text: str, default_length: int, own: Collection[str] = ()) -> Objective:
    """Read an objective's name, with `@length` where it takes one; `own` names those of the configuration's own.

    Raises:
        InputError: for an unknown name or a length that is none.
    """
    if text in own:
        return Objective(text, ObjectiveKind(f"what {text} returns, an objective of this search's own", own=True), default_length)
    name, at, length = text.partition("@")
    if name not in KINDS:
        raise InputError(f"unknown objective '{name}'{did_you_mean(name, [*KINDS, *own])}")
    kind = KINDS[name]
    if at and not (kind.takes_length and _LENGTH.fullmatch(length)):
        allowed = "the length must be a whole number above 0 and below 1e12" if kind.takes_length else "takes no length"
        raise InputError(f"objective '{text}': {allowed}")
    return Objective(text, kind, int(length) if at else default_length)


def parse_constraint(text: str, default_length: int, own: Collection[str] = ()) -> Constraint:
    """Read `name <= number` or `name >= number`.

    Raises:
        InputError: for anything else.
    """
    match = CONSTRAINT.fullmatch(text)
    try:
        bound = float(match["bound"]) if match else math.nan
    except ValueError:
        bound = math.nan
    if match is None or not math.isfinite(bound):
        raise InputError(f"constraint '{text}' must read 'objective <= number' or 'objective >= number', for example 'parameters <= 95e6'")
    return Constraint(parse_objective(match["name"], default_length, own), match["sign"], bound)


@dataclass(frozen=True)
class Criteria:
    """The objectives and constraints of a search."""

    objectives: tuple[Objective, ...]
    constraints: tuple[Constraint, ...]

    @classmethod
    def from_config(cls, config: SearchConfig) -> Criteria:
        """Read the objectives and constraints of a configuration.

        Raises:
            InputError: for a name that is unknown or stands twice, or constraints that cannot be read or kept.
        """
        length, own = config.training.sequence_length, config.own_objectives
        objectives = tuple(parse_objective(text, length, own) for text in config.objectives)
        if len({objective.meaning for objective in objectives}) < len(objectives):
            raise InputError(f"objectives names one twice: {', '.join(objective.name for objective in objectives)}")
        if growing := [objective.name for objective in objectives if objective.kind.larger_is_better]:
            raise InputError(
                f"objectives are minimised, and {growing[0]} is better the larger; it may be a constraint: '{growing[0]} >= number'"
            )
        constraints = tuple(parse_constraint(text, length, own) for text in config.constraints)
        _check_bounds(constraints)
        return cls(objectives, constraints)

    def check_reach(self, space: SearchSpace, residual: Residual) -> None:
        """Refuse a bound on a size that no genome of the space keeps; an upper one may have to be far below, as the least is estimated.

        Raises:
            InputError: naming the constraint, and the largest or the least of the space.
        """
        for constraint in self.constraints:
            objective = constraint.objective
            if constraint.sign == ">=" and objective.kind.exact is not None:
                largest = _largest(objective, space, residual)
                if largest < constraint.bound:
                    raise InputError(f"constraint '{constraint}' cannot be kept: the largest of the space is {largest:,.0f}")
            if constraint.sign == "<=" and objective.kind.least_in is not None:
                least = objective.kind.least_in(space, residual, objective.length)
                if least > constraint.bound:
                    raise InputError(f"constraint '{constraint}' cannot be kept: none of the space has less than {least:,.0f}")

    def check_losses(self, unigram_loss: float, unigram_bits_per_byte: float) -> None:
        """Refuse a lower bound on what follows from the loss that only `degenerate` candidates keep.

        Raises:
            InputError: naming the constraint and the unigram's value.
        """
        unigram = {"perplexity": math.exp(unigram_loss), "bits_per_byte": unigram_bits_per_byte}
        for constraint in self.constraints:
            value = unigram.get(constraint.objective.name, math.inf)
            if constraint.sign == ">=" and constraint.bound > value:
                raise InputError(
                    f"constraint '{constraint}' cannot be kept: a candidate that is not under the unigram's {value:,.6g} is degenerate"
                )

    @property
    def names(self) -> list[str]:
        """Names of the objectives, in order."""
        return [objective.name for objective in self.objectives]

    def exact_values(self, account: Accounting) -> dict[str, float]:
        """Return everything known before training: parameters, cache, and exact objectives and constraints by their names."""
        always = (parse_objective(name, self.objectives[0].length) for name in ("parameters", "cache_bytes"))
        values = {objective.name: objective.exact_value(account) for objective in [*always, *self.asked]}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def measured(self) -> list[Objective]:
        """What of the objectives and constraints is measured on the device before training."""
        return [objective for objective in self.asked if objective.kind.measured is not None]

    @property
    def own(self) -> list[Objective]:
        """What of them is code that is called with the candidate."""
        return [objective for objective in self.asked if objective.kind.own]

    @property
    def asked(self) -> list[Objective]:
        """What the objectives and constraints ask for, each once."""
        every = [*self.objectives, *(constraint.objective for constraint in self.constraints)]
        return list({objective.name: objective for objective in every}.values())

    def rejection(self, values: dict[str, float]) -> str:
        """Return why these values break a constraint, empty when they break none; unknown values break none."""
        for constraint in self.constraints:
            value = values.get(constraint.objective.name)
            if value is not None and constraint.violation(value) > 0:
                return constraint.sentence(value)
        return ""

    def worst(
        self,
        space: SearchSpace,
        residual: Residual,
        unigram_loss: float,
        unigram_bits_per_byte: float,
        others: Mapping[str, float] | None = None,
    ) -> list[float]:
        """Return the reference point: no `ok` candidate of the space is worse in any objective.

        Losses are bounded by the unigram's, sizes by the largest class standing at every depth, anything else by `others`.
        """
        known = {**(others or {}), "perplexity": math.exp(unigram_loss), "bits_per_byte": unigram_bits_per_byte}
        return [
            known[objective.name] if objective.kind.exact is None else _largest(objective, space, residual) for objective in self.objectives
        ]


def _check_bounds(constraints: tuple[Constraint, ...]) -> None:
    """Refuse constraints that nothing keeps, whatever the space.

    Raises:
        InputError: naming the constraint, or the two that exclude each other.
    """
    for upper in (each for each in constraints if each.sign == "<="):
        least = upper.objective.kind.least
        if upper.bound < least:
            raise InputError(f"constraint '{upper}' cannot be kept: {upper.objective.name} is never below {least:g}")
        for lower in constraints:
            if lower.sign == ">=" and lower.objective.meaning == upper.objective.meaning and lower.bound > upper.bound:
                raise InputError(f"constraints '{lower}' and '{upper}' cannot both be kept")


def _largest(objective: Objective, space: SearchSpace, residual: Residual) -> float:
    accounts = [Accounting.of(genome, space.width, space.rules.catalogue, residual) for genome in space.largest_genomes()]
    return max(objective.exact_value(account) or 0.0 for account in accounts)


def account_of(config: SearchConfig, genome: Genome) -> Accounting:
    """Return the account of a genome under a configuration."""
    return Accounting.of(genome, config.space.width, load_catalogue(config.space.catalogue), config.backbone.residual)
