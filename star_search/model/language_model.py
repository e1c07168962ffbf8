"""The language model: embedding, backbone, tied output head.

Shapes: B batch, T tokens, D width, V vocabulary.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from star_search.errors import check_whole
from star_search.genome.accounting import Residual
from star_search.genome.catalogue import Catalogue
from star_search.genome.encoding import Genome
from star_search.liv.drawing import draw_normal
from star_search.liv.initialisation import Scheme
from star_search.liv.padding import Padding
from star_search.model.backbone import Backbone
from star_search.model.cache import DecodingCache

LOGIT_STD = 0.5
# Embeddings enter the residual stream this much larger than the tied head reads them: it begins at about unit size at width 64, and
# the logit of a token at its own position stays near 5 at every width (docs/LOG.md, 2026-11-23).
EMBEDDING_SCALE = 16.0


class LanguageModel(nn.Module):
    """A causal language model over a backbone, the output head tied to the embedding."""

    def __init__(self, backbone: Backbone, vocabulary_size: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.backbone = backbone
        self.vocabulary_size = check_whole(vocabulary_size, "vocabulary_size", 1)
        self.embedding = nn.Parameter(torch.empty(vocabulary_size, backbone.width))
        draw_normal(self.embedding, LOGIT_STD / backbone.width**0.5, generator)

    @classmethod
    def from_genome(
        cls,
        genome: Genome | str,
        width: int,
        vocabulary_size: int,
        catalogue: Catalogue | str = "star",
        residual: Residual = "plain",
        dropout: float = 0.0,
        initialisation: Scheme = "residual_scaled",
        seed: int | None = None,
        router_top_k: int | None = None,
    ) -> LanguageModel:
        """Decode a genome into a model; with `seed`, its weights do not depend on torch's global generator.

        Raises:
            InputError: for an illegal genome, naming the gene, a width that its classes do not fit, or an option out of its bounds.
        """
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        genome = Genome.parse(genome) if isinstance(genome, str) else genome
        backbone = Backbone(genome, width, catalogue, residual, dropout, initialisation, generator, router_top_k)
        return cls(backbone, vocabulary_size, generator)

    def forward(self, tokens_BT: Tensor, use_reference: bool = False) -> Tensor:
        """Return logits [B, T, V]."""
        return self.logits(self.hidden(tokens_BT, use_reference))

    def hidden(self, tokens_BT: Tensor, use_reference: bool = False) -> Tensor:
        """Return what the output head reads, [B, T, D]."""
        return self.backbone(self.embed(tokens_BT), use_reference)

    def embed(self, tokens: Tensor) -> Tensor:
        """Return what enters the residual stream, [..., D]."""
        return functional.embedding(tokens, self.embedding) * EMBEDDING_SCALE

    def logits(self, hidden: Tensor) -> Tensor:
        """Return logits [..., V] of what leaves the backbone."""
        return functional.linear(hidden, self.embedding)

    def init_cache(self, batch_size: int, max_length: int) -> DecodingCache:
        """Return an empty decoding cache in the model's dtype."""
        return self.backbone.init_cache(batch_size, max_length)

    @torch.no_grad()
    def prefill(
        self, tokens_BT: Tensor, cache: DecodingCache, padding: Padding | None = None, last_only: bool = False
    ) -> tuple[Tensor, DecodingCache]:
        """Read a prompt into an empty cache and return its logits [B, T, V], or [B, 1, V] with `last_only`, and the cache.

        `padding` stands before shorter prompts.
        """
        hidden_BTD = self.backbone.prefill(self.embed(tokens_BT), cache, padding)
        return self.logits(hidden_BTD[:, -1:] if last_only else hidden_BTD), cache

    @torch.no_grad()
    def step(self, tokens_B: Tensor, cache: DecodingCache) -> tuple[Tensor, DecodingCache]:
        """Read one token of every sequence and return the logits [B, V] of the next and the cache, advanced in place."""
        return self.logits(self.backbone.step(self.embed(tokens_B), cache)), cache

    @torch.no_grad()
    def greedy(self, prompt_T: Tensor, count: int) -> Tensor:
        """Return the `count` tokens [count] that greedy decoding adds to a prompt; on a GPU by one CUDA graph.

        Raises:
            InputError: for a count below 1.
        """
        check_whole(count, "count", 1)
        if prompt_T.is_cuda:
            from star_search.model.static_decoding import greedy_tokens

            return greedy_tokens(self, prompt_T, count)
        logits_B1V, cache = self.prefill(prompt_T[None], self.init_cache(1, len(prompt_T) + count), last_only=True)
        found_B = [logits_B1V[:, 0].argmax(-1)]
        while len(found_B) < count:
            found_B.append(self.step(found_B[-1], cache)[0].argmax(-1))
        return torch.cat(found_B)

    def parameter_count(self) -> int:
        """Return every parameter but embedding and head, shared ones once; counted, not declared."""
        return sum(parameter.numel() for parameter in self.backbone.parameters())

    def cache_bytes(self, length: int) -> int:
        """Return the declared cache of one sequence after `length` tokens, at 2 bytes an element."""
        return self.backbone.accounting.cache_bytes(length)
