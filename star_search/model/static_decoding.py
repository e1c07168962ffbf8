"""Greedy decoding whose every step runs the same operations on the same memory, so that a GPU can replay it as one CUDA graph.

Shapes: B rows.
"""

from __future__ import annotations

import torch
from torch import Tensor

from star_search.liv.padding import Place
from star_search.model.cache import DecodingCache
from star_search.model.cuda_graph import captured, graph_stream
from star_search.model.language_model import LanguageModel


class StaticDecoding:
    """Goes on from tokens [B] that follow what a cache has read. The position is a tensor, and what depends on it is masked, not cut:
    attention looks at the whole cache, as long as it was made.

    On a GPU a step is captured after the first, without compilation, and later ones replay it: a small model's step is then as long as
    its kernels and not as Python's calls of them.
    """

    def __init__(self, model: LanguageModel, tokens_B: Tensor, cache: DecodingCache) -> None:
        self.model, self.cache, self.tokens_B = model, cache, tokens_B.clone()
        self._position = torch.tensor(cache.length, device=tokens_B.device)
        self._graph: torch.cuda.CUDAGraph | None = None

    def step(self) -> Tensor:
        """Read the last tokens and return those that follow, [B], in memory that the next step writes.

        Raises:
            InputError: past the cache's length.
        """
        self.cache.advance(1)
        if self._graph is not None:
            self._graph.replay()
        elif self.tokens_B.is_cuda:
            self._graph = captured(self._advance, self._advance, self.tokens_B.device)
        else:
            self._advance()
        return self.tokens_B

    @torch.no_grad()
    def _advance(self) -> None:
        place = Place(self._position, self.cache.padding)
        backbone = self.model.backbone
        hidden_BD = backbone.step_at(self.model.embed(self.tokens_B), self.cache.states, self.cache.constants, place)
        self.tokens_B.copy_(self.model.logits(hidden_BD).argmax(-1))
        self._position += 1


@torch.no_grad()
def greedy_tokens(model: LanguageModel, prompt_T: Tensor, count: int) -> Tensor:
    """Return the `count` tokens [count] that greedy decoding adds to a prompt, as `LanguageModel.greedy` does."""
    with graph_stream(prompt_T.device):
        logits_B1V, cache = model.prefill(prompt_T[None], model.init_cache(1, len(prompt_T) + count), last_only=True)
        first_B = logits_B1V[:, 0].argmax(-1)
        if count == 1:
            return first_B
        decoding, found_T = StaticDecoding(model, first_B, cache), first_B.new_empty(count)
        found_T[0] = first_B[0]
        for index in range(1, count):
            found_T[index] = decoding.step()[0]
        return found_T
