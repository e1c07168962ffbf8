"""Decoding is the parallel forward, and its cache is what was declared (DESIGN 6.3, 6.4)."""

import pytest
import torch

from helpers import class_parameters, lively_backbone, lone, noise, sharing_genomes
from liv.conformance import declared_elements, decoded, worst_token

CLASSES = class_parameters()
PRECISIONS = pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-10)], ids=["fp32", "fp64"])


@pytest.mark.parametrize("class_id", CLASSES)
@PRECISIONS
def test_decoding_is_the_forward(class_id: int, dtype: torch.dtype, tolerance: float) -> None:
    backbone, x = lively_backbone(lone(class_id), dtype=dtype), noise(2, 130, 64, dtype=dtype)
    with torch.no_grad():
        assert worst_token(decoded(backbone, x, backbone.init_cache(2, 130)), backbone(x)) <= tolerance


@pytest.mark.parametrize("class_id", CLASSES)
@pytest.mark.parametrize("prompt", [1, 2, 63, 64, 65])
@PRECISIONS
def test_prefill_then_decoding_is_the_forward(class_id: int, prompt: int, dtype: torch.dtype, tolerance: float) -> None:
    backbone, x = lively_backbone(lone(class_id), dtype=dtype), noise(2, prompt + 6, 64, dtype=dtype)
    cache = backbone.init_cache(2, prompt + 6)
    with torch.no_grad():
        read = backbone.prefill(x[:, :prompt], cache)
        assert worst_token(torch.cat((read, decoded(backbone, x[:, prompt:], cache)), 1), backbone(x)) <= tolerance


@pytest.mark.parametrize("genome", sharing_genomes())
@pytest.mark.parametrize("prompt", [0, 2, 65])
def test_sharing_keeps_decoding_the_forward(genome: str, prompt: int) -> None:
    backbone, x = lively_backbone(genome, dtype=torch.float64), noise(2, prompt + 5, 64, dtype=torch.float64)
    cache = backbone.init_cache(2, prompt + 5)
    with torch.no_grad():
        read = backbone.prefill(x[:, :prompt], cache) if prompt else x[:, :0]
        assert worst_token(torch.cat((read, decoded(backbone, x[:, prompt:], cache)), 1), backbone(x)) <= 1e-10


@pytest.mark.parametrize("genome", [lone(class_id.values[0]) for class_id in CLASSES] + sharing_genomes())
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=["fp32", "fp64", "bf16"])
def test_the_declared_cache_is_held_and_never_grows(genome: str, dtype: torch.dtype) -> None:
    backbone = lively_backbone(genome, dtype=dtype)
    for batch_size, length in ((1, 1), (3, 7), (2, 600)):
        cache = backbone.init_cache(batch_size, length)
        assert 2 * declared_elements(cache, batch_size) == backbone.accounting.cache_bytes(length)
        decoded(backbone, noise(batch_size, min(length, 7), 64, dtype=dtype), cache)
        assert 2 * declared_elements(cache, batch_size) == backbone.accounting.cache_bytes(length)
        assert {tensor.dtype for tensor in cache.tensors()} <= {dtype}


@pytest.mark.parametrize("genome", [lone(class_id.values[0]) for class_id in CLASSES] + sharing_genomes())
def test_prefill_keeps_the_cache_at_its_size(genome: str) -> None:
    backbone = lively_backbone(genome)
    cache = backbone.init_cache(2, 70)
    held = cache.nbytes
    backbone.prefill(noise(2, 66, 64), cache)
    decoded(backbone, noise(2, 4, 64), cache)
    assert cache.nbytes == held == 2 * 4 * backbone.accounting.cache_bytes(70) / 2


@pytest.mark.parametrize("genome", [lone(class_id.values[0]) for class_id in CLASSES] + sharing_genomes())
def test_declared_parameters_are_counted(genome: str) -> None:
    backbone = lively_backbone(genome)
    counted = sum(parameter.numel() for parameter in backbone.parameters())
    assert counted == backbone.accounting.parameters
    assert [sum(p.numel() for p in liv.parameters()) for liv in backbone.livs] == backbone.accounting.liv_parameters()


@pytest.mark.parametrize("class_id", CLASSES)
def test_decoding_follows_weights_that_changed(class_id: int) -> None:
    """What decoding keeps of the weights, such as an implicit kernel, is computed anew after an optimizer step."""
    backbone, x = lively_backbone(lone(class_id), dtype=torch.float64), noise(1, 6, 64, dtype=torch.float64)
    decoded(backbone, x, backbone.init_cache(1, 6))
    optimizer = torch.optim.AdamW(backbone.parameters(), lr=0.1)
    backbone(x).square().sum().backward()
    optimizer.step()
    with torch.no_grad():
        assert worst_token(decoded(backbone, x, backbone.init_cache(1, 6)), backbone(x)) <= 1e-10


@pytest.mark.parametrize("class_id", CLASSES)
def test_a_new_cache_follows_weights_written_behind_autograds_back(class_id: int) -> None:
    """Writes through `.data`, like the replay of a CUDA graph, leave a tensor's version as it was."""
    backbone, x = lively_backbone(lone(class_id), dtype=torch.float64), noise(1, 6, 64, dtype=torch.float64)
    decoded(backbone, x, backbone.init_cache(1, 6))
    for parameter in backbone.parameters():
        parameter.data.mul_(1.5)
    with torch.no_grad():
        assert worst_token(decoded(backbone, x, backbone.init_cache(1, 6)), backbone(x)) <= 1e-10


@pytest.mark.parametrize("class_id", CLASSES)
def test_two_caches_of_different_length_do_not_disturb_each_other(class_id: int) -> None:
    backbone, x = lively_backbone(lone(class_id), dtype=torch.float64), noise(1, 8, 64, dtype=torch.float64)
    first = backbone.init_cache(1, 8)
    with torch.no_grad():
        outputs = [backbone.step(x[:, 0], first)]
        decoded(backbone, noise(1, 20, 64, seed=5, dtype=torch.float64), backbone.init_cache(1, 20))
        decoded(backbone, noise(1, 3, 64, seed=6, dtype=torch.float64), backbone.init_cache(1, 3))
        outputs += [backbone.step(x[:, position], first) for position in range(1, 8)]
        assert worst_token(torch.stack(outputs, 1), backbone(x)) <= 1e-10
