"""Gated convolutions against LFM2 of transformers, torch's convolution and numpy's."""

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck
from torch.nn import functional

from helpers import lively_liv, noise, relative
from star_search.liv import reference
from star_search.liv.featurizers import convolve_window, keep_last, short_convolution

WIDTH = 64


def test_short_gated_convolution_is_that_of_lfm2() -> None:
    pytest.importorskip("transformers", minversion="4.54")
    from transformers.models.lfm2.modeling_lfm2 import Lfm2Config, Lfm2ShortConv

    liv, x = lively_liv(7, WIDTH, torch.float64), noise(2, 21, WIDTH, dtype=torch.float64)
    config = Lfm2Config(hidden_size=WIDTH, conv_L_cache=3, conv_bias=False, num_hidden_layers=1, layer_types=["conv"])
    module = Lfm2ShortConv(config, layer_idx=0).double().eval()
    module.load_state_dict(
        {
            "conv.weight": liv.featurizer["kernel"].features.flip(1).unsqueeze(1),
            "in_proj.weight": torch.cat([liv.featurizer[name].weight for name in "BCv"]),
            "out_proj.weight": liv.output.weight,
        }
    )
    with torch.no_grad():
        assert relative(liv(x)[0], module(x)) < 1e-12


@pytest.mark.parametrize("length", [1, 2, 3, 50])
def test_long_gated_convolution_is_numpys(length: int) -> None:
    liv, x = lively_liv(8, WIDTH, torch.float64), noise(1, length, WIDTH, dtype=torch.float64)
    B, C, v = ((x[0] @ liv.featurizer[name].weight.T).detach().numpy() for name in "BCv")
    kernel = liv.featurizer["kernel"](x).detach().numpy()
    mixed = np.stack([C[:, d] * np.convolve(kernel[d], B[:, d] * v[:, d])[:length] for d in range(WIDTH)], axis=1)
    assert relative(liv(x)[0][0], torch.from_numpy(mixed) @ liv.output.weight.T) < 1e-12


@pytest.mark.parametrize("length", [1, 2, 3, 17])
@pytest.mark.parametrize("taps", [1, 3, 5])
def test_short_and_reference_convolutions_are_torchs(length: int, taps: int) -> None:
    x, kernel = noise(2, length, 6, dtype=torch.float64), noise(6, taps, seed=1, dtype=torch.float64)
    padded = functional.pad(x.transpose(1, 2), (taps - 1, 0))
    expected = functional.conv1d(padded, kernel.flip(1).unsqueeze(1), groups=6).transpose(1, 2)
    assert relative(short_convolution(x, kernel), expected) < 1e-14
    assert relative(reference.convolution(kernel, x), expected) < 1e-14
    if length >= taps:
        assert relative(convolve_window(x[:, -taps:], kernel), expected[:, -1]) < 1e-14


@pytest.mark.parametrize("length", [1, 2, 3, 17])
@pytest.mark.parametrize("taps", [1, 3, 5])
def test_gradients_of_the_short_convolution_are_those_of_finite_differences(length: int, taps: int) -> None:
    x, kernel = noise(2, length, 3, dtype=torch.float64), noise(3, taps, seed=1, dtype=torch.float64)
    assert gradcheck(short_convolution, (x.requires_grad_(), kernel.requires_grad_()))
    assert gradcheck(short_convolution, (x.transpose(0, 1).contiguous().transpose(0, 1), kernel))
    assert gradcheck(lambda kernel: short_convolution(x.detach(), kernel), (kernel,))


def test_the_short_convolution_leaves_its_input_alone() -> None:
    x, kernel = noise(2, 9, 3), noise(3, 3, seed=1)
    before = x.clone()
    short_convolution(x, kernel)
    assert torch.equal(x, before)


@pytest.mark.parametrize("length", [1, 2, 5])
def test_keep_last_writes_zeros_before_the_beginning(length: int) -> None:
    values, tail = noise(2, length, 4), torch.full((2, 2, 4), 9.0)
    keep_last(values, tail)
    assert torch.equal(tail, torch.cat((torch.zeros(2, 2, 4), values), 1)[:, -2:])
