"""The gated linear unit against Llama's."""

import pytest
import torch

from helpers import lively_liv, noise, relative


@pytest.mark.parametrize(("width", "inner"), [(64, 192), (128, 384), (768, 2048)])
def test_memoryless_is_the_mlp_of_llama(width: int, inner: int) -> None:
    pytest.importorskip("transformers")
    from transformers.models.llama.modeling_llama import LlamaConfig, LlamaMLP

    liv, x = lively_liv(9, width, torch.float64), noise(2, 5, width, dtype=torch.float64)
    mlp = LlamaMLP(LlamaConfig(hidden_size=width, intermediate_size=inner)).double()
    pairs = {"gate_proj": liv.featurizer["gate"], "up_proj": liv.featurizer["v"], "down_proj": liv.output}
    mlp.load_state_dict({f"{name}.weight": module.weight for name, module in pairs.items()})
    assert relative(liv(x)[0], mlp(x)) < 1e-13
