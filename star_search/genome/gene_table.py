"""The gene table as data, made from the catalogue and the rules, so that it cannot drift from either."""

from __future__ import annotations

from typing import Any

from star_search.genome.catalogue import Catalogue
from star_search.genome.encoding import format_digit
from star_search.genome.genes import (
    CHANNEL_MIXING,
    FEATURIZER_CHANNEL_MIXING,
    FEATURIZER_TOKEN_MIXING,
    NONLINEARITY,
    PARAMETRISATION,
    SPARSITY,
    TOKEN_MIXING,
)
from star_search.genome.liv_class import LIVClass


def gene_table(catalogue: Catalogue) -> dict[str, Any]:
    """Return every gene, its allowed values and what they mean."""
    return {
        "catalogue": {"name": catalogue.name, "version": catalogue.version},
        "backbone": [
            {"gene": "class", "meaning": f"a LIV class of the catalogue, {catalogue.span()}"},
            {"gene": "featurizer group", "meaning": "1 to the depth; groups count per class"},
            {"gene": "featurizer strategy", "meaning": "1 shares nothing; 2 shares all featurizer weights with the group"},
            {"gene": "feature group", "meaning": "1 to the depth; groups count per class"},
            {
                "gene": "feature strategy",
                "meaning": "1 shares nothing; 2 shares all context groups; 2+k shares the k-th alone, where there are several",
            },
        ],
        "operator": [
            {"gene": "featurizer class", "values": {"1-9, a-z": "names the featurizer genome; one per class"}},
            {"gene": "token mixing", "values": _texts(TOKEN_MIXING)},
            {"gene": "sparsity", "values": _texts(SPARSITY)},
            {"gene": "nonlinearity on T", "values": _texts(NONLINEARITY)},
            {"gene": "channel mixing", "values": _texts(CHANNEL_MIXING)},
        ],
        "featurizer": [
            {"gene": "token mixing", "values": _texts(FEATURIZER_TOKEN_MIXING)},
            {"gene": "channel mixing", "values": _texts(FEATURIZER_CHANNEL_MIXING)},
            {"gene": "expansion factor", "meaning": "features per channel or head, for example the state size"},
            {"gene": "repeat factor", "meaning": "how many heads read the same features"},
            {"gene": "parametrisation", "values": _texts(PARAMETRISATION)},
        ],
        "classes": [_class_row(liv_class) for liv_class in catalogue.classes.values()],
    }


def _texts(values: dict[int, str]) -> dict[str, str]:
    return {str(value): meaning for value, meaning in values.items()}


def _class_row(liv_class: LIVClass) -> dict[str, Any]:
    return {
        "id": liv_class.id,
        "name": liv_class.name,
        "family": liv_class.family,
        "operator": liv_class.operator.format(),
        "differential": liv_class.differential,
        "context": {name: "".join(format_digit(gene) for gene in group) for name, group in liv_class.context.items()},
        "readout": {name: "".join(format_digit(gene) for gene in group) for name, group in liv_class.readout.items()},
        "featurizer_strategies": {"1": "nothing", "2": "all weights"},
        "feature_strategies": {
            str(value): ", ".join(liv_class.shared_groups(value)) or "nothing" for value in liv_class.feature_strategies
        },
        "fields": dict(liv_class.fields),
    }
