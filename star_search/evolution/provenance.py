"""What a run was made with: enough to make it again."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from star_search.config import SearchConfig
from star_search.data.store import TokenStore
from star_search.genome.catalogue import load_catalogue

PACKAGES = ("star-search", "torch", "pymoo", "numpy", "datasets", "tokenizers", "safetensors")


def provenance(
    config: SearchConfig, store: TokenStore, devices: list[str], unigram_loss: float, reference_point: list[float]
) -> dict[str, Any]:
    """Return versions, machine, seeds, threads, data fingerprint, and the point that hypervolumes are measured from."""
    catalogue = load_catalogue(config.space.catalogue)
    return {
        "versions": {"python": platform.python_version()} | {name: package_version(name) for name in PACKAGES},
        "machine": {"system": platform.system(), "architecture": platform.machine(), "cores": os.cpu_count()},
        "devices": devices,
        "threads_per_candidate": config.workers.threads,
        "seed": config.algorithm.seed,
        "catalogue": {"name": catalogue.name, "version": catalogue.version},
        "data": {
            "fingerprint": store.fingerprint,
            "tokenizer": store.tokenizer.name,
            "tokenizer_fingerprint": store.tokenizer.fingerprint,
            "vocabulary_size": store.vocabulary_size,
            "splits": store.index["splits"],
        },
        "unigram_loss": unigram_loss,
        "reference_point": reference_point,
    }


def package_version(name: str) -> str:
    """Return the version of an installed package, `unknown` where it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"
