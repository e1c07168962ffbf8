"""star-search: find sequence-model architectures for a budget (STAR, arXiv 2411.17800)."""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from star_search.genome.encoding import Genome
    from star_search.genome.space import SearchSpace
    from star_search.model.language_model import LanguageModel
    from star_search.model.liv_config import ChannelMixingStructure, LIVConfig, TokenMixingStructure
    from star_search.model.star_backbone import Featurizer, STARBackbone

try:
    __version__ = version("star-search")
except PackageNotFoundError:
    __version__ = "0.0.0"

__all__ = [
    "ChannelMixingStructure",
    "Featurizer",
    "Genome",
    "LIVConfig",
    "LanguageModel",
    "STARBackbone",
    "SearchSpace",
    "TokenMixingStructure",
]

# Loaded when asked for, so that the command line and genome tools start without torch.
_HOMES = {
    "Genome": "star_search.genome.encoding",
    "SearchSpace": "star_search.genome.space",
    "LanguageModel": "star_search.model.language_model",
    "STARBackbone": "star_search.model.star_backbone",
    "Featurizer": "star_search.model.star_backbone",
    "LIVConfig": "star_search.model.liv_config",
    "TokenMixingStructure": "star_search.model.liv_config",
    "ChannelMixingStructure": "star_search.model.liv_config",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'star_search' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
