"""No class sees the future (DESIGN 6.1): by perturbing tokens, and by training on tokens that nothing but a leak can predict."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from helpers import STAR, class_parameters, lively_backbone, lively_liv, lone, noise, sharing_genomes, uses_fft
from liv.conformance import VOCABULARY, assert_past_unchanged, fresh_loss, perturbed
from star_search import LanguageModel

CLASSES = class_parameters()


@pytest.mark.parametrize("class_id", CLASSES)
@pytest.mark.parametrize("form", ["fast", "reference"])
@pytest.mark.parametrize(("dtype", "fft_tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)], ids=["fp32", "fp64"])
def test_a_token_changes_no_output_before_it(class_id: int, form: str, dtype: torch.dtype, fft_tolerance: float) -> None:
    liv, x = lively_liv(class_id, dtype=dtype), noise(2, 130, 64, dtype=dtype)
    tolerance = fft_tolerance if form == "fast" and uses_fft(lone(class_id)) else 0
    with torch.no_grad():
        before, _ = liv(x, use_reference=form == "reference")
        for token in (1, 2, 31, 63, 64, 100, 128):
            after, _ = liv(perturbed(x, token), use_reference=form == "reference")
            assert_past_unchanged(before, after, token, tolerance)
            changes = (after - before).norm(dim=(0, 2)) / before.norm(dim=(0, 2))
            assert changes[token] > 1e-2
            if STAR[class_id].is_mixer:
                assert changes[token + 1] > 1e-4
            else:
                assert changes[token + 1 :].max() == 0


@pytest.mark.parametrize("genome", sharing_genomes())
def test_sharing_lets_no_token_change_an_output_before_it(genome: str) -> None:
    backbone, x = lively_backbone(genome, dtype=torch.float64), noise(1, 70, 64, dtype=torch.float64)
    with torch.no_grad():
        for use_reference in (False, True):
            before = backbone(x, use_reference)
            for token in (1, 33, 64):
                after = backbone(perturbed(x, token), use_reference)
                assert_past_unchanged(before, after, token, 1e-12 if uses_fft(genome) and not use_reference else 0)
                assert not torch.equal(before[:, token], after[:, token])


class ShiftLeak(LanguageModel):
    """A model in which every position reads the token after it."""

    def embed(self, tokens: Tensor) -> Tensor:
        embedded = super().embed(tokens)
        return embedded + functional.pad(embedded[:, 1:], (0, 0, 0, 1)) @ torch.eye(embedded.shape[-1]).roll(1, 0)


@pytest.mark.parametrize("class_id", CLASSES)
def test_independent_uniform_tokens_cannot_be_predicted(class_id: int) -> None:
    model = LanguageModel.from_genome(f"{lone(class_id)}-91111", width=32, vocabulary_size=VOCABULARY, seed=0)
    assert math.log(VOCABULARY) - 0.02 <= fresh_loss(model) < math.log(VOCABULARY) + 1


def test_a_leak_is_caught_by_the_uniform_token_test() -> None:
    model = ShiftLeak.from_genome("11111-91111", width=32, vocabulary_size=VOCABULARY, seed=0)
    assert fresh_loss(model) < math.log(VOCABULARY) - 1
