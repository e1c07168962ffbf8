"""The configuration of an exported model under transformers."""

# mypy: allow-untyped-calls
# Parts of transformers are untyped, and it need not be installed.

from __future__ import annotations

from typing import Any, Literal

from transformers import PretrainedConfig


class StarConfig(PretrainedConfig):
    """Everything that makes a `LanguageModel`, and what it was trained on."""

    model_type = "star"
    attribute_map = {"hidden_size": "width", "num_hidden_layers": "depth"}  # noqa: RUF012 - transformers' own form

    def __init__(
        self,
        genome: str = "11111-91111",
        catalogue: str | dict[str, Any] = "star",
        catalogue_version: int = 1,
        width: int = 64,
        residual: Literal["plain", "scaled"] = "plain",
        router_top_k: int | None = None,
        vocab_size: int = 257,
        training_sequence_length: int | None = None,
        star_search_version: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.genome = genome
        self.catalogue = catalogue
        self.catalogue_version = catalogue_version
        self.width = width
        self.depth = kwargs.pop("depth", genome.count("-") + 1)
        self.residual = residual
        self.router_top_k = router_top_k
        self.vocab_size = vocab_size
        self.training_sequence_length = training_sequence_length
        self.star_search_version = star_search_version
        super().__init__(**kwargs)
