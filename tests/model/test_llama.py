"""Transformer++ is Llama: the whole language model with the weights of `transformers`' Llama gives its logits."""

import pytest
import torch
from torch import nn

from helpers import relative
from star_search.liv.operator import NORM_EPSILON
from star_search.model.language_model import EMBEDDING_SCALE, LanguageModel

transformers = pytest.importorskip("transformers")

WIDTH, INNER, VOCABULARY, LAYERS, HEADS = 128, 384, 50, 3, 4


def llama(key_heads: int) -> nn.Module:
    """Return a Llama far from its start, in fp64."""
    config = transformers.LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        intermediate_size=INNER,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=key_heads,
        rms_norm_eps=NORM_EPSILON,
        attn_implementation="eager",
    )
    model = transformers.LlamaForCausalLM(config).double().eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * parameter.shape[-1] ** -0.5 + (parameter.dim() == 1))
        # Here the head is tied to the embedding, which enters the stream larger.
        model.model.embed_tokens.weight.copy_(EMBEDDING_SCALE * model.lm_head.weight)
    return model


def loaded(genome: str, theirs: nn.Module) -> LanguageModel:
    """Return our model of a genome with the weights of theirs."""
    model = LanguageModel.from_genome(genome, WIDTH, VOCABULARY).double().eval()
    weights = {"embedding": theirs.lm_head.weight, "backbone.norms.6": theirs.model.norm.weight}
    for index, layer in enumerate(theirs.model.layers):
        attention, memoryless = f"backbone.livs.{2 * index}", f"backbone.livs.{2 * index + 1}"
        weights |= {
            f"backbone.norms.{2 * index}": layer.input_layernorm.weight,
            f"backbone.norms.{2 * index + 1}": layer.post_attention_layernorm.weight,
            f"{attention}.featurizer.q.weight": layer.self_attn.q_proj.weight,
            f"{attention}.featurizer.k.weight": layer.self_attn.k_proj.weight,
            f"{attention}.featurizer.v.weight": layer.self_attn.v_proj.weight,
            f"{attention}.output.weight": layer.self_attn.o_proj.weight,
            f"{memoryless}.featurizer.gate.weight": layer.mlp.gate_proj.weight,
            f"{memoryless}.featurizer.v.weight": layer.mlp.up_proj.weight,
            f"{memoryless}.output.weight": layer.mlp.down_proj.weight,
        }
    model.load_state_dict(weights)
    return model


@pytest.mark.parametrize(("attention", "key_heads"), [("11111", 4), ("31111", 1), ("41111", 2)], ids=["SA-1", "SA-3", "SA-4"])
def test_attention_and_swiglu_in_turn_are_llama(attention: str, key_heads: int) -> None:
    theirs = llama(key_heads)
    ours = loaded("-".join([attention, "91111"] * LAYERS), theirs)
    tokens_BT = torch.randint(0, VOCABULARY, (2, 41), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        # Llama computes the angles of its rotation in fp32, hence the tolerance.
        assert relative(ours(tokens_BT), theirs(tokens_BT).logits) < 1e-6
