"""The language model as a Hugging Face model; the one module that needs transformers.

Shapes: B batch, T tokens, V vocabulary.
"""

# mypy: allow-untyped-calls
# Parts of transformers are untyped, and it need not be installed.

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal

import torch
from torch import Tensor

from star_search.genome.catalogue import Catalogue, load_catalogue
from star_search.model.cache import DecodingCache
from star_search.model.language_model import LanguageModel

try:
    from transformers import AutoConfig, AutoModelForCausalLM, GenerationMixin, PretrainedConfig, PreTrainedModel
    from transformers.modeling_outputs import CausalLMOutputWithPast
except ImportError as error:
    raise ImportError("star_search.export.huggingface needs transformers: pip install 'star-search[huggingface]'") from error

FIRST_CACHE_LENGTH = 64
# From transformers 5.24 on, what was `past_key_values` is `cache`.
CACHE_NAME = "cache" if "cache" in {each.name for each in fields(CausalLMOutputWithPast)} else "past_key_values"


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


@dataclass
class StarCache:
    """A decoding cache that grows, as `generate` hands it from step to step."""

    model: LanguageModel
    held: DecodingCache

    @classmethod
    def empty(cls, model: LanguageModel, batch_size: int, length: int) -> StarCache:
        """Return a cache with room for a prompt of `length` tokens and some more."""
        return cls(model, model.init_cache(batch_size, max(FIRST_CACHE_LENGTH, 2 * length)))

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Return how many tokens it has read."""
        return self.held.length

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Let row b go on as row beam_idx[b] did: beam search drops and doubles beams."""
        for state in self.held.states:
            for name, tensor in state.items():
                state[name] = tensor.index_select(0, beam_idx.to(tensor.device))

    def read(self, tokens_BT: Tensor) -> Tensor:
        """Read tokens and return the logits [B, T, V] of those that follow each."""
        batch_size, count = tokens_BT.shape
        if self.held.length == 0 and count:
            if self.held.max_length < count:
                self.held = self.model.init_cache(batch_size, 2 * count)
            return self.model.prefill(tokens_BT, self.held)[0]
        self._reserve(batch_size, self.held.length + count)
        return torch.stack([self.model.step(tokens_B, self.held)[0] for tokens_B in tokens_BT.unbind(1)], dim=1)

    def _reserve(self, batch_size: int, length: int) -> None:
        """Move to a cache of at least twice the size when this one is too short."""
        if length <= self.held.max_length:
            return
        larger = self.model.init_cache(batch_size, 2 * length)
        larger.length = self.held.length
        for old, new in zip(self.held.tensors(), larger.tensors(), strict=True):
            new[tuple(slice(size) for size in old.shape)] = old
        self.held = larger


class StarForCausalLM(PreTrainedModel, GenerationMixin):
    """A `LanguageModel` under the interface of transformers. Embedding and head are one tensor inside of it, so nothing is left to tie."""

    config_class = StarConfig
    base_model_prefix = "model"
    _is_stateful = True  # recurrent states cannot be rolled back, which assisted generation would do

    def __init__(self, config: StarConfig) -> None:
        super().__init__(config)
        catalogue = _catalogue(config)
        self.model = LanguageModel.from_genome(
            config.genome, config.width, config.vocab_size, catalogue, config.residual, router_top_k=config.router_top_k
        )
        self.post_init()

    def _init_weights(self, module: torch.nn.Module) -> None:
        """Leave what the language model drew for itself."""

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        return False

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        past_key_values: StarCache | None = None,
        use_cache: bool | None = None,
        return_dict: bool | None = None,
        cache: StarCache | None = None,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast | tuple[Any, ...]:
        """Return logits [B, T, V], and the mean loss of the next token where `labels` are given (-100 is not counted).

        With a cache, `input_ids` holds only the tokens that it has not read, and no gradient flows.

        Raises:
            ValueError: for padding that would change what real tokens see, or embeddings in place of tokens.
        """
        if kwargs.get("inputs_embeds") is not None:
            raise ValueError("StarForCausalLM reads input_ids, not inputs_embeds")
        if past_key_values is None:
            past_key_values = cache
        cached = use_cache or past_key_values is not None
        _refuse_padding(attention_mask, while_decoding=bool(cached))
        if cached and past_key_values is None:
            past_key_values = StarCache.empty(self.model, *input_ids.shape)
        logits_BTV = self.model(input_ids) if past_key_values is None else past_key_values.read(input_ids)
        loss = None
        if labels is not None:
            items = kwargs.get("num_items_in_batch")
            loss = self.loss_function(logits=logits_BTV, labels=labels, vocab_size=self.config.vocab_size, num_items_in_batch=items)
        outputs: dict[str, Any] = {"loss": loss, "logits": logits_BTV, CACHE_NAME: past_key_values}
        output = CausalLMOutputWithPast(**outputs)
        as_dictionary = self.config.return_dict if return_dict is None else return_dict
        return output if as_dictionary else output.to_tuple()


def _catalogue(config: StarConfig) -> Catalogue:
    """Return the catalogue; refuse one older than that the genome was written with; ids are only ever added."""
    catalogue = load_catalogue(config.catalogue)
    if catalogue.version < config.catalogue_version:
        raise ValueError(
            f"the model needs version {config.catalogue_version} of catalogue {catalogue.name} and the installed star-search has "
            f"version {catalogue.version}: upgrade star-search"
        )
    return catalogue


def _refuse_padding(attention_mask: Tensor | None, while_decoding: bool) -> None:
    """A causal model's real tokens never see padding on their right; every other padding enters recurrences and caches."""
    if attention_mask is None or bool(attention_mask.all()):
        return
    if while_decoding:
        raise ValueError("StarForCausalLM cannot generate after padding: give generate prompts of one length, or one prompt at a time")
    if bool((attention_mask[:, 1:] > attention_mask[:, :-1]).any()):
        raise ValueError("StarForCausalLM cannot read padding before a token: pad on the right (tokenizer.padding_side = 'right')")


# Once this is imported, the automatic classes need no code from the folder and AutoTokenizer asks for no trust in it.
AutoConfig.register(StarConfig.model_type, StarConfig, exist_ok=True)
AutoModelForCausalLM.register(StarConfig, StarForCausalLM, exist_ok=True)
