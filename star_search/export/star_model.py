"""The language model as a model of transformers.

Shapes: B batch, T tokens, D width, V vocabulary.
"""

# mypy: allow-untyped-calls
# Parts of transformers are untyped, and it need not be installed.

from __future__ import annotations

from dataclasses import fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import GenerationMixin, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast

from star_search.export.star_cache import StarCache
from star_search.export.star_config import StarConfig
from star_search.genome.catalogue import Catalogue, load_catalogue
from star_search.liv.padding import Padding
from star_search.model.language_model import EMBEDDING_SCALE, LanguageModel

# From transformers 5.24 on, what was `past_key_values` is `cache`.
CACHE_NAME = "cache" if "cache" in {each.name for each in fields(CausalLMOutputWithPast)} else "past_key_values"


class TokenEmbedding(nn.Module):
    """The language model's embedding as a module without weights of its own, which is what transformers and adapters ask for."""

    def __init__(self, model: LanguageModel) -> None:
        super().__init__()
        self._owner = (model,)  # in a tuple, or its weights would stand in the state dict twice

    @property
    def weight(self) -> Tensor:
        """The embedding [V, D], which the head shares."""
        return self._owner[0].embedding

    def forward(self, tokens: Tensor) -> Tensor:
        """Return [..., D]."""
        return functional.embedding(tokens, self.weight)


class StarForCausalLM(PreTrainedModel, GenerationMixin):
    """A `LanguageModel` under the interface of transformers. Embedding and head are one tensor inside of it, so nothing is left to tie."""

    config_class = StarConfig
    base_model_prefix = "model"
    supports_gradient_checkpointing = True
    _is_stateful = True  # recurrent states cannot be rolled back, which assisted generation would do

    def __init__(self, config: StarConfig) -> None:
        super().__init__(config)
        catalogue = _catalogue(config)
        self.model = LanguageModel.from_genome(
            config.genome, config.width, config.vocab_size, catalogue, config.residual, router_top_k=config.router_top_k
        )
        self.embed_tokens = TokenEmbedding(self.model)
        self.gradient_checkpointing = False
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Leave what the language model drew for itself."""

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        return False

    def get_input_embeddings(self) -> TokenEmbedding:
        """Return the embedding, whose weight the head shares."""
        return self.embed_tokens

    def resize_token_embeddings(  # type: ignore[override]  # theirs is an nn.Embedding, which would own the weight a second time
        self, new_num_tokens: int | None = None, pad_to_multiple_of: int | None = None, mean_resizing: bool = True
    ) -> TokenEmbedding:
        """Keep the first rows of the embedding; new ones begin at the mean of the old."""
        old_VD, multiple = self.model.embedding.data, pad_to_multiple_of or 1
        size = -(-(new_num_tokens or len(old_VD)) // multiple) * multiple
        added = old_VD.mean(0, keepdim=True).expand(max(0, size - len(old_VD)), -1)
        self.model.embedding = nn.Parameter(torch.cat((old_VD[:size], added)))
        self.model.vocabulary_size = self.config.vocab_size = size
        return self.embed_tokens

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        past_key_values: StarCache | None = None,
        use_cache: bool | None = None,
        return_dict: bool | None = None,
        cache: StarCache | None = None,
        inputs_embeds: Tensor | None = None,
        logits_to_keep: int | Tensor = 0,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast | tuple[Any, ...]:
        """Return logits [B, T, V], and the mean loss of the next token where `labels` are given (-100 is not counted).

        With a cache, `input_ids` holds only the tokens that it has not read, and no gradient flows. What `attention_mask` hides, before a
        row's tokens or after them, changes nothing; before them, its own logits are zero. `logits_to_keep` asks for the last ones alone.

        Raises:
            ValueError: for a mask with a gap, or padding after tokens that a cache is to remember; for both ids and embeddings, or none.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("StarForCausalLM reads input_ids or inputs_embeds, one of the two")
        embedded_BTD = self.embed_tokens(input_ids) if inputs_embeds is None else inputs_embeds
        cache = past_key_values if cache is None else cache
        if cache is None and use_cache:
            cache = StarCache.empty(self.model.backbone, *embedded_BTD.shape[:2])
        hidden_BTD = self._hidden(embedded_BTD * EMBEDDING_SCALE, attention_mask, cache)
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits_BTV = self.model.logits(hidden_BTD[:, kept])
        outputs: dict[str, Any] = {"loss": self._loss(logits_BTV, labels, kwargs), "logits": logits_BTV, CACHE_NAME: cache}
        output = CausalLMOutputWithPast(**outputs)
        as_dictionary = self.config.return_dict if return_dict is None else return_dict
        return output if as_dictionary else output.to_tuple()

    def _hidden(self, x_BTD: Tensor, attention_mask: Tensor | None, cache: StarCache | None) -> Tensor:
        padding = _padding(attention_mask, cache)
        if cache is not None:
            return cache.read(x_BTD, padding)
        checkpoint = self._gradient_checkpointing_func if self.gradient_checkpointing and self.training else None
        return self.model.backbone(x_BTD, padding=padding, checkpoint=checkpoint)

    def _loss(self, logits_BTV: Tensor, labels: Tensor | None, options: dict[str, Any]) -> Tensor | None:
        if labels is None:
            return None
        items = options.get("num_items_in_batch")
        return self.loss_function(logits=logits_BTV, labels=labels, vocab_size=self.config.vocab_size, num_items_in_batch=items)


def _catalogue(config: StarConfig) -> Catalogue:
    """Return the catalogue; refuse one older than that the genome was written with; ids are only ever added."""
    catalogue = load_catalogue(config.catalogue)
    if catalogue.version < config.catalogue_version:
        raise ValueError(
            f"the model needs version {config.catalogue_version} of catalogue {catalogue.name} and the installed star-search has "
            f"version {catalogue.version}: upgrade star-search"
        )
    return catalogue


def _padding(attention_mask: Tensor | None, cache: StarCache | None) -> Padding | None:
    """Return the padding before the first tokens, if there is any; a causal model's tokens never see what stands after them."""
    if attention_mask is None or bool(attention_mask.all()):
        return None
    if attention_mask.dim() != 2:
        raise ValueError(f"StarForCausalLM reads an attention_mask of shape [batch, tokens], not {list(attention_mask.shape)}")
    seen_BT = attention_mask.bool()
    begins_BT = seen_BT & ~functional.pad(seen_BT, (1, 0))[:, :-1]
    if bool((begins_BT.sum(1) > 1).any()):
        raise ValueError("StarForCausalLM cannot read an attention_mask with a gap: it may hide what stands before a row's tokens or after")
    starts_B = (seen_BT.cumsum(1) == 0).sum(1)
    if cache is not None:
        if not bool(seen_BT[:, -1].all()):
            raise ValueError("StarForCausalLM cannot generate after padding: pad on the left (tokenizer.padding_side = 'left')")
        held = cache.held.padding
        if cache.held.length and (held is None or not torch.equal(held.starts_B, starts_B)):
            raise ValueError("the cache was filled under another attention_mask than this one")
    return Padding(starts_B) if bool(starts_B.any()) else None
