"""The language model of a genome under a search's configuration."""

from __future__ import annotations

from star_search.config import SearchConfig
from star_search.genome.catalogue import load_catalogue
from star_search.model.language_model import LanguageModel


def candidate_model(config: SearchConfig, canonical: str, vocabulary_size: int, seed: int) -> LanguageModel:
    """Return the untrained model, its weights drawn from the seed alone."""
    space, backbone = config.space, config.backbone
    return LanguageModel.from_genome(
        canonical,
        space.width,
        vocabulary_size,
        load_catalogue(space.catalogue),
        backbone.residual,
        config.training.dropout,
        backbone.initialisation,
        seed,
        backbone.router_top_k,
    )
