"""Pieces of runs made by hand, without any training."""

from __future__ import annotations

from typing import Any

import torch

from star_search.analysis.record_check import RATES
from star_search.config import SearchConfig, parse_configuration
from star_search.data.tokenizer import load_tokenizer
from star_search.genome.catalogue import load_catalogue
from star_search.genome.encoding import Genome
from star_search.model.language_model import LanguageModel
from star_search.objectives.assignment import Assignment
from star_search.objectives.registry import Criteria, account_of
from star_search.runs.records import CandidateRecord, GenerationRecord, Outcome

# Every class built first, all kinds of sharing after.
EVERY_CLASS = "11111-21111-31111-41111-51111-61111-71111-81111-91111"
SHARING = "11112-51121-11112-51121-81113-71211-81113-71211-91111"
# LIVs in parallel, by weights and by routers, and two classes of the genome's own.
OWN_CLASSES = (
    "r2111-(101)2121-31212-(102)1221-52225-(101)1124-f2112-(102)1221-e1215|123122323"
    "+031131:33113:33113:12113:31112:12842+011430:11113:13123:11843:32842:13113"
)
WHOLE_SPACE = {"composition": True, "levels": ["backbone", "operator", "featurizer"], "evolved_classes": 2}
SIZES = ["91111-91111", "21111-91111", "11111-91111", "11111-11111"]


def configuration(depth: int, **changes: Any) -> SearchConfig:
    """Return a tiny search; a section among `changes` is merged into it."""
    values: dict[str, Any] = {
        "name": "tiny",
        "objectives": ["perplexity", "cache_bytes"],
        "space": {"depth": depth, "width": 32},
        "training": {"tokens": 1024, "sequence_length": 16, "batch_tokens": 128, "warmup_steps": 2, "learning_rate": 1e-2},
        "workers": {"count": 0, "device": "cpu"},
    }
    merged = {key: values.get(key, {}) | change if isinstance(change, dict) else change for key, change in changes.items()}
    return parse_configuration(values | merged)


def generation_of(number: int, evaluated: list[int], population: list[int], front: list[int]) -> GenerationRecord:
    """Return the record of a generation that no operator made."""
    return GenerationRecord(number, evaluated, population, front, dict.fromkeys(RATES, 0.0), {}, 0, {})


def provenance(fingerprint: str = "0" * 64) -> dict[str, Any]:
    return {
        "versions": {"python": "3.12.0", "torch": "2.13.0"},
        "machine": {"system": "Linux", "architecture": "x86_64", "cores": 2},
        "devices": ["cpu"],
        "threads_per_candidate": 1,
        "seed": 0,
        "data": {"fingerprint": fingerprint, "tokenizer": "bytes", "vocabulary_size": 257, "splits": {}},
        "unigram_loss": 3.0,
        "reference_point": [20.0, 1e6],
    }


def lively_model(genome: str, config: SearchConfig, seed: int = 0) -> LanguageModel:
    """Return a model whose every weight is far from what it starts with, so that a lost one shows."""
    space, size = config.space, load_tokenizer(config.data.tokenizer).vocabulary_size
    model = LanguageModel.from_genome(genome, space.width, size, load_catalogue(space.catalogue), config.backbone.residual, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1 + 0.3 * torch.randn(parameter.shape, generator=generator))
        for liv in model.backbone.livs:
            liv.output.weight.mul_((2 * config.space.depth) ** 0.5)
    return model.eval()


def record_of(number: int, genome: str, config: SearchConfig, perplexity: float, outcome: Outcome = Outcome.ok) -> CandidateRecord:
    canonical = Genome.parse(genome).canonical(load_catalogue(config.space.catalogue)).format()
    exact = Criteria.from_config(config).exact_values(account_of(config, Genome.parse(canonical)))
    objectives = exact | ({"perplexity": perplexity, "bits_per_byte": perplexity / 4} if outcome == Outcome.ok else {})
    assignment = Assignment(number, 0, genome, canonical, "")
    return assignment.record(
        config.algorithm.seed,
        outcome,
        "" if outcome == Outcome.ok else "it diverged",
        objectives,
        tokens=1024,
        details={"validation_tokens": 512},
    )
