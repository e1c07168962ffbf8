"""The typed configuration: what a search is, checked where it is made."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BeforeValidator, Field, ValidationError, model_validator

from star_search.config_base import Betas, Count, Factor, Fraction, Integer, Positive, Section, Weight
from star_search.config_objectives import CONSTRAINT, OWN_OBJECTIVE, MADConfig, MeasurementConfig, ObjectiveSource, short_name
from star_search.config_sentences import first_sentence
from star_search.errors import InputError, did_you_mean
from star_search.paths import expanded
from star_search.yaml_loading import parse_yaml, read_yaml_mapping

CONFIG_FOLDER = Path(__file__).parent / "configs"


LEVELS = ["backbone", "operator", "featurizer"]


class SpaceConfig(Section):
    """Which genomes may be sampled."""

    depth: Positive = 8
    width: Annotated[Integer, Field(ge=4)] = 64
    catalogue: str | dict[str, Any] = "star"
    classes: list[int | str] | None = None
    minimum_mixers: Count = 1
    groups: Positive | None = None
    sharing: bool = True
    composition: bool = False
    levels: Annotated[list[Literal["backbone", "operator", "featurizer"]], Field(min_length=1)] = ["backbone"]
    evolved_classes: Count = 0
    expansions: Annotated[list[Factor], Field(min_length=1)] = [1, 2, 4, 8, 16]
    repeats: Annotated[list[Factor], Field(min_length=1)] = [1, 2, 4]

    @model_validator(mode="after")
    def _levels_fit(self) -> SpaceConfig:
        if self.levels not in (LEVELS[:1], LEVELS[:2], LEVELS):
            allowed = ", ".join(f"[{', '.join(LEVELS[:count])}]" for count in (1, 2, 3))
            raise ValueError(f"space.levels must be one of {allowed}, got [{', '.join(self.levels)}]")
        if (len(self.levels) > 1) != (self.evolved_classes > 0):
            raise ValueError(
                f"space.evolved_classes must be {'at least 1' if len(self.levels) > 1 else '0'} with space.levels "
                f"[{', '.join(self.levels)}], got {self.evolved_classes}"
            )
        return self


class BackboneConfig(Section):
    """How LIVs are joined into a model."""

    residual: Literal["plain", "scaled"] = "plain"
    initialisation: Literal["residual_scaled", "xavier", "kaiming"] = "residual_scaled"
    router_top_k: Positive | None = None


def _off(value: object) -> object:
    """Let an unquoted `off`, which YAML reads as false, stand for itself."""
    return "off" if value is False else value


def _off_is_none(value: object) -> object:
    """Let `off` stand for a section that is left out."""
    return None if value is False or value == "off" else value


Segment = Literal["backbone", "composition", "operator", "featurizer"]


class AlgorithmConfig(Section):
    """The evolutionary algorithm and its operators; keys that only some algorithms take are None where their default holds."""

    name: str = "nsga2"
    population: Annotated[Integer, Field(ge=2, le=100_000)] = 16
    generations: Count = 18
    offspring: Positive | None = None
    tournament: Annotated[Integer, Field(ge=1)] = 2
    crossover_points: Positive = 2
    crossover_boundary: Literal["gene", "liv"] = "gene"
    crossover_probability: Fraction = 1.0
    mutation: Literal["per_gene", "per_genome"] = "per_gene"
    mutation_probability: Fraction = 0.1
    segment_mutation: dict[Segment, Fraction] = {}
    constrained_mutation: bool = True
    repair: Annotated[Literal["resample", "reinitialise", "off"], BeforeValidator(_off)] = "resample"
    initial_genomes: str | list[str] | None = None
    asynchronous: bool = False
    max_pending: Positive | None = None
    seed: Count = 0
    crowding: Literal["cd", "pcd", "ce", "mnn", "2nn"] | None = None
    elites: Count | None = None
    weights: list[Weight] | None = None
    partitions: Positive | None = None
    penalty_exponent: Annotated[float, Field(gt=0)] | None = None
    adaptation_frequency: Annotated[float, Field(gt=0, le=1)] | None = None
    horizon: Positive | None = None
    reference_margin: Annotated[float, Field(gt=0)] | None = None
    normalise: bool | None = None
    attractiveness: Annotated[float, Field(gt=0, le=1)] | None = None
    absorption: Annotated[float, Field(ge=0)] | None = None

    @property
    def brood(self) -> int:
        """Offspring of one generation."""
        return self.offspring or self.population

    @property
    def pending(self) -> int:
        """The most candidates that can be in training at once, on as many workers."""
        later = (self.max_pending or self.population) if self.asynchronous else self.brood
        return max(self.population, later if self.generations else 0)

    @property
    def candidates(self) -> int:
        """Candidates of a whole run, gen00 included."""
        return self.population + self.generations * self.brood


class TrainingConfig(Section):
    """The proxy training that every candidate gets."""

    tokens: Positive = 131_072
    sequence_length: Annotated[Integer, Field(ge=2)] = 128
    batch_tokens: Positive = 512
    learning_rate: Annotated[float, Field(gt=0)] = 8e-4
    final_learning_rate_fraction: Fraction = 0.1
    betas: Betas = (0.9, 0.95)
    weight_decay: Annotated[float, Field(ge=0)] = 0.1
    gradient_clip: Annotated[float, Field(gt=0)] = 1.0
    warmup_steps: Count = 20
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    precision: Literal["float32", "bfloat16"] = "float32"
    unigram_deadline_tokens: Positive | None = None
    engine: Literal["auto", "eager", "compiled", "captured", "parts", "graph"] = "auto"
    micro_batch_rows: Positive | None = None
    deterministic: bool = False

    def check_device(self, device: str) -> None:
        """Refuse an engine that a device cannot have: `cpu`, or a GPU's name.

        Raises:
            InputError: for a graph without a GPU.
        """
        if device == "cpu" and self.engine in ("captured", "parts", "graph"):
            raise InputError(f"training.engine {self.engine} needs a GPU, and this training runs on cpu; take auto, eager or compiled")

    @property
    def steps(self) -> int:
        """Optimizer steps within the token budget, rounded up."""
        return -(-self.tokens // self.batch_tokens)

    @property
    def rows(self) -> int:
        """Sequences in one step."""
        return self.batch_tokens // self.sequence_length

    @model_validator(mode="after")
    def _whole_rows(self) -> TrainingConfig:
        if self.batch_tokens % self.sequence_length:
            raise ValueError(
                f"training.batch_tokens must be a multiple of training.sequence_length ({self.sequence_length}), got {self.batch_tokens}"
            )
        if self.unigram_deadline_tokens is not None and self.unigram_deadline_tokens > self.tokens:
            raise ValueError(
                f"training.unigram_deadline_tokens must be at most training.tokens ({self.tokens}), got {self.unigram_deadline_tokens}"
            )
        return self


Policy = Literal["refuse", "skip"]


def _weights(value: object) -> object:
    """Name the subset whose weight is none; a union would name the first of its members instead."""
    for name, weight in value.items() if isinstance(value, dict) else ():
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < math.inf:
            raise ValueError(f"data.subsets.{name} must be a finite number greater than 0, got {weight!r}")
    return value


Subsets = Annotated[str | list[str] | dict[str, float], BeforeValidator(_weights)]


class DamageConfig(Section):
    """What to do with input that is not as it should be: refuse all of it, or skip that part and count it."""

    unreadable: Policy = "refuse"
    other_schema: Policy = "refuse"
    not_utf8: Policy = "refuse"
    not_json: Policy = "refuse"
    no_text: Policy = "refuse"
    too_long: Policy = "refuse"
    empty: Policy = "skip"


def _each_kind(value: object) -> object:
    """Let one word stand for every kind of damage."""
    return dict.fromkeys(DamageConfig.model_fields, value) if isinstance(value, str) else value


# Where the text lies, as keys of `data`; that it is the same is seen by its fingerprint once it is prepared.
PLACES = ("source", "held_out_source", "store")


class DataConfig(Section):
    """The text, its tokenizer and its split."""

    source: str = "embedded"
    held_out_source: str | None = None
    text_field: str = "text"
    subsets: Subsets | None = None
    tokens: Positive | None = None
    tokenizer: str = "bytes"
    store: str | None = None
    validation_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.025
    test_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.025
    validation_tokens: Positive = 65_536
    longest_document_bytes: Positive = 64_000_000
    damaged: Annotated[DamageConfig, BeforeValidator(_each_kind)] = DamageConfig()
    seed: Count = 0

    @model_validator(mode="after")
    def _something_to_train_on(self) -> DataConfig:
        if self.validation_fraction + self.test_fraction >= 1:
            raise ValueError(
                f"data.test_fraction must be less than 1 - data.validation_fraction ({1 - self.validation_fraction:g}), "
                f"got {self.test_fraction:g}"
            )
        return self


class WorkersConfig(Section):
    """Where candidates are trained."""

    count: Annotated[Integer, Field(ge=0, le=4096)] | Literal["auto"] = "auto"
    threads: Annotated[Integer, Field(ge=1, le=1024)] = 1
    device: str = "auto"
    per_device: Annotated[Integer, Field(ge=1, le=64)] = 1
    mps: bool = False
    timeout: Annotated[float, Field(gt=0)] | None = None
    disk_timeout: Annotated[float, Field(ge=0)] = 60.0
    backend: Literal["processes", "dask"] = "processes"
    scheduler: str | None = None


class RacingConfig(Section):
    """When candidates stop early: at which shares of the budget they are judged, and how optimistic the judgement is."""

    rungs: Annotated[list[Annotated[float, Field(gt=0, lt=1)]], Field(min_length=1)] = [0.25, 0.5]
    margin: Annotated[float, Field(ge=0)] = 0.1
    minimum_finished: Positive = 8

    @model_validator(mode="after")
    def _in_order(self) -> RacingConfig:
        if sorted(set(self.rungs)) != self.rungs:
            raise ValueError(f"racing.rungs must rise, got {self.rungs}")
        return self


class SearchConfig(Section):
    """One search, complete."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] = "search"
    objectives: Annotated[list[str], Field(min_length=1, max_length=3)] = ["perplexity", "cache_bytes"]
    constraints: list[str] = []
    space: SpaceConfig = SpaceConfig()
    backbone: BackboneConfig = BackboneConfig()
    algorithm: AlgorithmConfig = AlgorithmConfig()
    training: TrainingConfig = TrainingConfig()
    data: DataConfig = DataConfig()
    workers: WorkersConfig = WorkersConfig()
    racing: Annotated[RacingConfig | None, BeforeValidator(_off_is_none)] = None
    measurement: MeasurementConfig = MeasurementConfig()
    mad: MADConfig = MADConfig()
    own_objectives: dict[str, ObjectiveSource] = {}

    def to_yaml(self) -> str:
        """Return the resolved configuration as YAML that `SearchConfig` reads back unchanged."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)


def shipped_configurations() -> list[str]:
    """Return the names of the configurations that ship with the package."""
    return sorted(path.name for path in CONFIG_FOLDER.glob("*.yaml"))


def find_configuration(name: str) -> Path:
    """Return the file that `name` means: a path when it exists, else a configuration shipped with the package."""
    path = Path(name)
    if path.is_file():
        return path
    if path.is_dir():
        raise InputError(f"--config {name} is a folder; give a YAML file or one of: {', '.join(shipped_configurations())}")
    shipped = CONFIG_FOLDER / (name if name.endswith(".yaml") else f"{name}.yaml")
    if path.parent == Path() and shipped.is_file():
        return shipped
    raise InputError(f"--config {name} is neither a file nor a shipped configuration{did_you_mean(name, shipped_configurations())}")


def load_configuration(name: str, overrides: list[str] | None = None) -> SearchConfig:
    """Read a configuration by path or shipped name and apply `key=value` overrides, later ones winning.

    Raises:
        InputError: naming the key, what it got and what is allowed.
    """
    path = find_configuration(name)
    values = read_yaml_mapping(path)
    _anchor_paths(values, path.parent)
    return parse_configuration(values, overrides or [], default_name=path.stem, where=str(name))


def parse_configuration(
    values: dict[str, Any], overrides: list[str] | None = None, default_name: str = "search", where: str = "the configuration"
) -> SearchConfig:
    """Build a configuration from plain values; `where` names their origin in error messages."""
    values = {"name": default_name, **values}
    for override in overrides or []:
        _apply_override(values, override)
    _anchor_paths(values, Path.cwd())
    try:
        return SearchConfig.model_validate(values)
    except ValidationError as error:
        raise InputError(f"{where}: {first_sentence(error, SearchConfig)}") from None


def _is_file_source(text: str) -> bool:
    return text != "embedded" and "://" not in text


def _is_catalogue_file(text: str) -> bool:
    return text.endswith((".yaml", ".yml")) or Path(text).name != text


_PATHS: dict[tuple[str, str], Callable[[str], bool]] = {
    ("space", "catalogue"): _is_catalogue_file,
    ("data", "source"): _is_file_source,
    ("data", "held_out_source"): _is_file_source,
    ("data", "tokenizer"): lambda text: text.endswith(".json") or text.startswith((".", "/", "~")),
    ("data", "store"): lambda text: True,
    ("algorithm", "initial_genomes"): lambda text: True,
}


def _anchor_paths(values: dict[str, Any], folder: Path) -> None:
    """Make paths to files absolute: those of a file count from its folder, those of the command line from here."""
    for (section, key), is_path in _PATHS.items():
        inner = values.get(section)
        text = inner.get(key) if isinstance(inner, dict) else None
        if isinstance(inner, dict) and isinstance(text, str) and text and is_path(text):
            values[section] = {**inner, key: str(folder / expanded(text))}
    known = set(values.get("own_objectives") or {})
    if isinstance(values.get("objectives"), list):
        values["objectives"] = [_anchored_objective(text, folder, known) for text in values["objectives"]]
        # A constraint may name an objective's file without its folder.
        known |= {short_name(text) for text in values["objectives"] if isinstance(text, str)}
    if isinstance(values.get("constraints"), list):
        values["constraints"] = [_anchored_constraint(text, folder, known) for text in values["constraints"]]


def _anchored_objective(text: object, folder: Path, known: Collection[str]) -> object:
    match = OWN_OBJECTIVE.fullmatch(text) if isinstance(text, str) and text not in known else None
    return f"{folder / expanded(match['file'])}:{match['attribute']}" if match else text


def _anchored_constraint(text: object, folder: Path, known: Collection[str]) -> object:
    match = CONSTRAINT.fullmatch(text) if isinstance(text, str) else None
    return f"{_anchored_objective(match['name'], folder, known)} {match['sign']} {match['bound']}" if match else text


def _apply_override(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise InputError(f"--set {override} must read key=value, for example training.tokens=200000")
    *sections, last = key.strip().split(".")
    for section in sections:
        inner = values.get(section) or {}
        if not isinstance(inner, dict):
            raise InputError(f"--set {override}: {section} is a value, not a section")
        values[section] = values = dict(inner)
    values[last] = parse_yaml(text, f"--set {override}")
