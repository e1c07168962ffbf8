"""What a training is: everything that its weights follow from, and how it is told from another."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from star_search.config import PLACES, SearchConfig, parse_configuration
from star_search.errors import InputError
from star_search.finalists.source import Source
from star_search.genome.catalogue import load_catalogue
from star_search.runs.reading import needed, read_json

SCHEMA = 1


@dataclass(frozen=True)
class Plan:
    """One training: model, data, budget and seed; `parallel` says how several processes divide it."""

    label: str
    genome: str
    seed: int
    parallel: str
    weights: str | None
    config: dict[str, Any]

    @classmethod
    def of(cls, source: Source, seed: int, parallel: str) -> Plan:
        """Return the plan of training a source."""
        weights = None if source.weights is None else str(source.weights.resolve())
        return cls(source.label, source.genome.format(), seed, parallel, weights, source.config.model_dump(mode="json"))

    @property
    def search(self) -> SearchConfig:
        """The configuration."""
        return parse_configuration(self.config)

    @property
    def digest(self) -> str:
        """What checkpoints of this training carry: differs wherever its numbers could."""
        return sha256(json.dumps(self._decisive(self.config), sort_keys=True).encode()).hexdigest()[:16]

    def as_json(self) -> dict[str, Any]:
        """Return plain data that `read` gives back."""
        return {"schema": SCHEMA, **asdict(self), "catalogue": self.catalogue}

    @property
    def catalogue(self) -> str:
        """The genome's catalogue, by name and version."""
        found = load_catalogue(self.search.space.catalogue)
        return f"{found.name}, version {found.version}"

    @classmethod
    def read(cls, path: Path) -> Plan:
        """Read a plan.

        Raises:
            InputError: when the file is damaged or another version's.
        """
        values = needed(read_json, path)
        if values.get("schema") != SCHEMA:
            raise InputError(f"{path} has schema version {values.get('schema')!r}, this star-search reads version {SCHEMA}")
        try:
            return cls(**{key: values[key] for key in cls.__dataclass_fields__})
        except KeyError as error:
            raise InputError(f"{path} is damaged: {error.args[0]} is missing") from None

    def difference(self, other: Plan) -> str:
        """Return the first thing in which another plan would train differently, empty when there is none.

        What one of them does not know, as it is older than the key, is what it is by default.
        """
        mine, others = (dict(_leaves(plan._decisive(plan.search.model_dump(mode="json")))) for plan in (self, other))
        for key in mine | others:
            if mine.get(key) != others.get(key):
                return f"{key} is {mine.get(key)} there and {others.get(key)} here"
        return ""

    def _decisive(self, config: dict[str, Any]) -> dict[str, Any]:
        sections = ("space", "backbone", "training", "data")
        kept: dict[str, Any] = {key: config[key] for key in sections}
        kept["data"] = {key: value for key, value in kept["data"].items() if key not in PLACES}
        return {"genome": self.genome, "seed": self.seed, "parallel": self.parallel, "weights": self.weights, **kept}


def _leaves(values: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in values.items():
        found += _leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else [(f"{prefix}{key}", value)]
    return found
