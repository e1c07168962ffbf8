"""Every class of catalogue `star` under transformers: native logits, and greedy text of one prompt and of a padded batch."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from helpers import STAR, class_parameters, lively_backbone, lone
from star_search.model.language_model import LanguageModel

pytest.importorskip("transformers")
EVERY_CLASS = pytest.mark.parametrize("class_id", class_parameters())
LENGTHS = (9, 1, 6, 4)


def native_and_exported(genome: str, dtype: torch.dtype):
    """Return a model, and the same weights under transformers."""
    from star_search.export.huggingface import StarConfig, StarForCausalLM

    native = LanguageModel(lively_backbone(genome), 128).to(dtype).eval()
    exported = StarForCausalLM(StarConfig(genome, width=64, vocab_size=128)).to(dtype).eval()
    exported.load_state_dict({f"model.{name}": tensor for name, tensor in native.state_dict().items()})
    return native, exported


def prompts() -> list[Tensor]:
    return [torch.randint(0, 128, (length,), generator=torch.Generator().manual_seed(length)) for length in LENGTHS]


def assert_greedy_text_is_native(genome: str, count: int) -> None:
    # In fp64: between fp32 logits closer than rounding, greedy decoding is a draw.
    native, exported = native_and_exported(genome, torch.float64)
    expected = [native.greedy(prompt, count).tolist() for prompt in prompts()]
    padded = [functional.pad(torch.stack((each, torch.ones_like(each))), (max(LENGTHS) - len(each), 0)) for each in prompts()]
    ids, mask = torch.stack(padded, 1)
    options = {"max_new_tokens": count, "min_new_tokens": count, "do_sample": False, "pad_token_id": 0}
    together = exported.generate(ids, attention_mask=mask, **options)
    alone = exported.generate(prompts()[0][None], **options)
    assert together[:, max(LENGTHS) :].tolist() == expected
    assert alone[0, LENGTHS[0] :].tolist() == expected[0]


@EVERY_CLASS
def test_logits_and_greedy_text_are_native(class_id: int) -> None:
    genome = f"{lone(class_id)}-91111"
    native, exported = native_and_exported(genome, torch.float32)
    tokens = torch.stack([prompts()[0]] * 2)
    with torch.no_grad():
        torch.testing.assert_close(exported(tokens).logits, native(tokens), rtol=0, atol=1e-5)
    assert_greedy_text_is_native(genome, 10)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(3))
def test_200_tokens_of_greedy_text_are_native(first: int) -> None:
    """A third of the classes in one model; scripts/check_export.py takes each alone, in fp32 (docs/results/export.md)."""
    assert_greedy_text_is_native("-".join(lone(class_id) for class_id in STAR.ids[first::3]), 200)
