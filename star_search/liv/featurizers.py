"""Feature groups: modules that compute the tensors which modulate a LIV.

Shapes: B batch, T tokens, D width, G channels of the group, H heads, L kernel length.
"""

from __future__ import annotations

import math
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from star_search.genome.accounting import FILTER_FREQUENCIES, FILTER_HIDDEN, SHORT_CONVOLUTION, Dimensions, monarch_blocks
from star_search.genome.genes import DIRECT, REPARAMETRISED, TOEPLITZ


class FeatureGroup(nn.Module):
    """A feature group computed from x: `x_BTD -> features`, and one token at a time with `step`."""

    tail_width = 0

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Return the group's features for a whole sequence."""
        raise NotImplementedError

    def dense_weight(self) -> Tensor | None:
        """Return the weight [G, D] of the dense projection of x that the features are made from, if they are."""
        return None

    def finish(self, projected_BTG: Tensor) -> Tensor:
        """Return the features from the dense projection of x by `dense_weight`."""
        raise NotImplementedError

    def step(self, x_BD: Tensor, tail: Tensor | None) -> Tensor:
        """Return the features of one token, advancing `tail` in place when the group has one."""
        return self.forward(x_BD.unsqueeze(1)).squeeze(1)

    def constant(self, max_length: int) -> Tensor | None:
        """Return the features when they follow from the weights alone, for decoding up to `max_length` tokens."""
        return None

    def linear(self, value_BTD: Tensor, x_BTD: Tensor) -> Tensor:
        """Return the features as a map linear in `value`, every multiplicative statistic frozen at x."""
        return self.forward(value_BTD)

    def write_tail(self, x_BTD: Tensor, tail: Tensor) -> None:
        """Fill `tail` from a prompt."""


class Projection(FeatureGroup):
    """A map of channels without bias, [B, T, G]. Its weights are a matrix [G, D], a matrix per head [H, G / H, D / H], or a factor
    per channel [G]: then G is D, or e D where every channel of x gives e features, next to each other."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(*shape))

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Return [..., G]."""
        return map_channels(x_BTD, self.weight)

    def step(self, x_BD: Tensor, tail: Tensor | None) -> Tensor:
        """Return [B, G]."""
        return map_channels(x_BD, self.weight)

    def dense_weight(self) -> Tensor | None:
        """Return the weight, where it is a matrix."""
        return _matrix(self.weight)

    def finish(self, projected_BTG: Tensor) -> Tensor:
        """Return the projection as it is."""
        return projected_BTG


def _matrix(weight: Tensor) -> Tensor | None:
    """Return weights that map all channels to all: those per head or per channel join no common product."""
    return weight if weight.dim() == 2 else None


def map_channels(x_BTD: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return x mapped by a matrix [G, D], a matrix per head [H, G / H, D / H] or a factor per channel [G], plus a bias [G]."""
    if weight.dim() == 2:
        return functional.linear(x_BTD, weight, bias)
    if weight.dim() == 3:
        mapped = torch.einsum("...hd,hgd->...hg", x_BTD.unflatten(-1, (weight.shape[0], -1)), weight).flatten(-2)
    else:
        mapped = (x_BTD.unsqueeze(-1) * weight.unflatten(0, (x_BTD.shape[-1], -1))).flatten(-2)
    return mapped if bias is None else mapped + bias


class MonarchMap(FeatureGroup):
    """A square Monarch matrix: block-diagonal, permutation, block-diagonal, permutation (Dao et al. 2022, definition 3.1)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        blocks, block_width = monarch_blocks(width)
        self.first = nn.Parameter(torch.empty(blocks, block_width, block_width))
        self.second = nn.Parameter(torch.empty(block_width, blocks, blocks))

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Return [..., D]; on a GPU, where small blocks are bound by memory, many tokens by the matrix that the blocks make."""
        if x_BTD.is_cuda and x_BTD.numel() > x_BTD.shape[-1] ** 2:
            return functional.linear(x_BTD, self.dense())
        within = torch.einsum("...ki,kji->...jk", x_BTD.unflatten(-1, self.first.shape[:2]), self.first)
        return torch.einsum("...jk,jlk->...lj", within, self.second).flatten(-2)

    def dense(self) -> Tensor:
        """Return the matrix [D, D] that the blocks make."""
        return (self.second.transpose(0, 1).unsqueeze(-1) * self.first.transpose(0, 1)).flatten(2).flatten(0, 1)


class Convolved(FeatureGroup):
    """A map of channels, then a causal depthwise convolution of length 3, and SiLU where the class asks for it.

    Comes before the map among the bases of a class, so that `super().forward` is the map.
    """

    def __init__(self, map_shape: tuple[int, ...], group_width: int, activation: bool) -> None:
        super().__init__(*map_shape)
        self.tail_width = group_width
        self.activation = activation
        self.kernel = nn.Parameter(torch.empty(group_width, SHORT_CONVOLUTION))

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Return [B, T, G]."""
        return self.finish(super().forward(x_BTD))

    def finish(self, projected_BTG: Tensor) -> Tensor:
        """Convolve and activate."""
        return self._activate(short_convolution(projected_BTG, self.kernel))

    def step(self, x_BD: Tensor, tail: Tensor | None) -> Tensor:
        """Return [B, G]; `tail` [B, 2, G] holds the last two tokens, mapped."""
        assert tail is not None
        window = torch.cat((tail, super().forward(x_BD).unsqueeze(1)), dim=1)
        tail.copy_(window[:, 1:])
        return self._activate(convolve_window(window, self.kernel))

    def linear(self, value_BTD: Tensor, x_BTD: Tensor) -> Tensor:
        """Return `value` mapped and convolved, with SiLU's gate computed from x."""
        convolved = short_convolution(super().forward(value_BTD), self.kernel)
        return convolved * torch.sigmoid(short_convolution(super().forward(x_BTD), self.kernel)) if self.activation else convolved

    def write_tail(self, x_BTD: Tensor, tail: Tensor) -> None:
        """Keep the last two tokens of a prompt, mapped."""
        keep_last(super().forward(x_BTD[:, -tail.shape[1] :]), tail)

    def _activate(self, features: Tensor) -> Tensor:
        return functional.silu(features) if self.activation else features


class ConvolvedProjection(Convolved, Projection):
    """A projection and a short convolution."""


class ConvolvedMonarch(Convolved, MonarchMap):
    """A Monarch matrix and a short convolution."""


class Decay(FeatureGroup):
    """Input-varying decay (Mamba-2, section 2): step = softplus(x W + b), log decay = -step * exp(rate), a rate per mode (Mamba)."""

    def __init__(self, weight_shape: tuple[int, ...], modes: int) -> None:
        super().__init__()
        group_width = prod(weight_shape[:-1] or weight_shape)
        self.weight = nn.Parameter(torch.empty(*weight_shape))
        self.bias = nn.Parameter(torch.empty(group_width))
        self.rate = nn.Parameter(torch.empty(*((modes,) if modes > 1 else ()), group_width))

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Return [B, T, 1 + modes, G]: the step, and the logarithm of the decay of every mode."""
        return self._decay(map_channels(x_BTD, self.weight, self.bias))

    def dense_weight(self) -> Tensor | None:
        """Return the projection's weight, where it is a matrix."""
        return _matrix(self.weight)

    def finish(self, projected_BTG: Tensor) -> Tensor:
        """Add the bias and return [B, T, 1 + modes, G]."""
        return self._decay(projected_BTG + self.bias)

    def _decay(self, biased_BTG: Tensor) -> Tensor:
        step = functional.softplus(biased_BTG).unsqueeze(-2)
        return torch.cat((step, -step * self.rate.exp()), dim=-2)


class LiquidDecay(FeatureGroup):
    """Decay of a liquid time constant: log decay = -delta (1 / tau + softplus(x W + b)), one tau per mode and channel (Liquid-S4)."""

    def __init__(self, weight_shape: tuple[int, ...], modes: int) -> None:
        super().__init__()
        group_width = prod(weight_shape[:-1] or weight_shape)
        self.weight = nn.Parameter(torch.empty(*weight_shape))
        self.bias = nn.Parameter(torch.empty(group_width))
        self.log_delta = nn.Parameter(torch.empty(group_width))
        self.log_tau = nn.Parameter(torch.empty(modes, group_width))

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Return [B, T, modes, G], the logarithm of the decay."""
        return self._decay(map_channels(x_BTD, self.weight, self.bias))

    def dense_weight(self) -> Tensor | None:
        """Return the projection's weight, where it is a matrix."""
        return _matrix(self.weight)

    def finish(self, projected_BTG: Tensor) -> Tensor:
        """Add the bias and return [B, T, modes, G]."""
        return self._decay(projected_BTG + self.bias)

    def _decay(self, biased_BTG: Tensor) -> Tensor:
        speed = functional.softplus(biased_BTG).unsqueeze(-2) + torch.exp(-self.log_tau)
        return -self.log_delta.exp() * speed


class FixedDecay(FeatureGroup):
    """A decay that the input does not change: log decay = -softplus(speed), [modes, G]."""

    def __init__(self, modes: int, group_width: int) -> None:
        super().__init__()
        self.speed = nn.Parameter(torch.empty(modes, group_width))

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Return [modes, G], in fp32 at least: in bf16, decays close to one are one."""
        return -functional.softplus(self.speed.to(torch.promote_types(self.speed.dtype, torch.float32)))

    def constant(self, max_length: int) -> Tensor:
        """Return [modes, G]."""
        return self.forward(self.speed)


class Poles(FeatureGroup):
    """Complex poles of S4D, `A = -exp(real) + i imaginary`, and a step per channel: [3, N, D] of step A and step."""

    def __init__(self, width: int, modes: int) -> None:
        super().__init__()
        self.log_real = nn.Parameter(torch.empty(modes, width))
        self.imaginary = nn.Parameter(torch.empty(modes, width))
        self.log_step = nn.Parameter(torch.empty(width))

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Return [3, N, D]: real and imaginary part of step A, and the step, in fp32 at least: an angle grows with every token."""
        precise = torch.promote_types(self.log_step.dtype, torch.float32)
        log_step, log_real, imaginary = (each.to(precise) for each in (self.log_step, self.log_real, self.imaginary))
        step = log_step.exp().expand_as(log_real)
        return torch.stack((-step * log_real.exp(), step * imaginary, step))

    def constant(self, max_length: int) -> Tensor:
        """Return [3, N, D]."""
        return self.forward(self.log_step)


class DirectFeatures(FeatureGroup):
    """A learned tensor that the input does not change."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.features = nn.Parameter(torch.empty(*shape))

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Return the tensor."""
        return self.features

    def constant(self, max_length: int) -> Tensor:
        """Return the tensor."""
        return self.features


class ImplicitKernel(FeatureGroup):
    """A long kernel [D, T] computed from positions: sine layers and exponential decay (Hyena, section 3.3).

    Positions are embedded by sines and cosines of fixed periods, so that the kernel at one lag is the same for every length.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        embedding = 2 * FILTER_FREQUENCIES + 1
        self.first = nn.Linear(embedding, FILTER_HIDDEN)
        self.second = nn.Linear(FILTER_HIDDEN, FILTER_HIDDEN)
        self.last = nn.Linear(FILTER_HIDDEN, width, bias=False)
        self.decay = nn.Parameter(torch.empty(width))

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Return [D, T] for the length of x."""
        return self.kernel(x_BTD.shape[1])

    def constant(self, max_length: int) -> Tensor:
        """Return the kernel [D, max_length]."""
        return self.kernel(max_length)

    def kernel(self, length: int) -> Tensor:
        """Return the kernel [D, length]."""
        lags = torch.arange(length, device=self.decay.device, dtype=torch.float64)
        periods = torch.logspace(1, 12, FILTER_FREQUENCIES, base=2, device=lags.device, dtype=torch.float64)
        angles = 2 * math.pi * lags[:, None] / periods
        embedding = torch.cat((torch.log1p(lags)[:, None] / 8, angles.sin(), angles.cos()), dim=1).to(self.decay.dtype)
        weight = self.first.weight
        if weight.is_cuda:
            # Rows of 16 bytes: products of other widths take a GPU's slow kernels.
            embedding, weight = (functional.pad(each, (0, -each.shape[1] % 8)) for each in (embedding, weight))
        hidden = torch.sin(self.second(torch.sin(functional.linear(embedding, weight, self.first.bias))))
        window = torch.exp(-lags[:, None].to(self.decay.dtype) * functional.softplus(self.decay))
        return (self.last(hidden) * window).T


def short_convolution(x_BTG: Tensor, kernel_GL: Tensor) -> Tensor:
    """Return the causal depthwise convolution of x with a short kernel; kernel[:, j] weighs the token j steps back.

    On a GPU it is in x's dtype: an fp32 kernel would make whatever follows work on fp32 tiles.
    """
    return _ShortConvolution.apply(x_BTG, kernel_GL.to(x_BTG.dtype) if x_BTG.is_cuda else kernel_GL)  # type: ignore[no-untyped-call]


class _ShortConvolution(torch.autograd.Function):
    """Shifted sums in place: a third of the tensors that padded shifts would make, and bit-identical wherever they run."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor) -> Tensor:
        ctx.save_for_backward(x, kernel)
        out = x * kernel[:, 0]
        for lag in range(1, min(kernel.shape[1], x.shape[1])):
            out[:, lag:].addcmul_(x[:, :-lag], kernel[:, lag])
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        (gradient,), (x, kernel) = gradients, ctx.saved_tensors
        to_x, to_kernel = gradient * kernel[:, 0], torch.zeros_like(kernel)
        to_kernel[:, 0] = (gradient * x).sum((0, 1))
        for lag in range(1, min(kernel.shape[1], x.shape[1])):
            to_x[:, :-lag].addcmul_(gradient[:, lag:], kernel[:, lag])
            to_kernel[:, lag] = _lagged_product(gradient, x, lag)
        return to_x, to_kernel


def _lagged_product(later_BTG: Tensor, earlier_BTG: Tensor, lag: int) -> Tensor:
    """Return the sum over tokens of each channel times itself `lag` tokens before, [G].

    In compiled code it is a sum over all T tokens, with zeros: Inductor fuses the sums of a block and fails where they differ in length.
    """
    if torch.compiler.is_compiling():
        earlier_BTG = functional.pad(earlier_BTG, (0, 0, lag, 0))[:, :-lag]
        return (later_BTG * earlier_BTG).sum((0, 1))
    return (later_BTG[:, lag:] * earlier_BTG[:, :-lag]).sum((0, 1))


def convolve_window(window_BLG: Tensor, kernel_GL: Tensor) -> Tensor:
    """Return the convolution's output for the last token of a window as long as the kernel, [B, G]."""
    return (window_BLG * kernel_GL.T.flip(0)).sum(dim=1)


def keep_last(values_BTG: Tensor, tail: Tensor) -> None:
    """Write the last tokens of `values` into `tail`, zeros before the beginning."""
    count = min(values_BTG.shape[1], tail.shape[1])
    tail.zero_()
    tail[:, tail.shape[1] - count :] = values_BTG[:, values_BTG.shape[1] - count :]


def build_group(sizes: Dimensions, name: str) -> FeatureGroup:
    """Return the module that computes a feature group of a LIV class."""
    group, fields, width = sizes.liv_class.groups[name], sizes.liv_class.fields, sizes.group_width(name)
    if name == "kernel":
        return DirectFeatures(width, int(fields["kernel_length"])) if group.parametrisation == DIRECT else ImplicitKernel(width)
    if group.parametrisation == REPARAMETRISED:
        return Poles(width, group.expansion) if sizes.liv_class.is_complex else FixedDecay(group.expansion, width)
    if group.parametrisation == DIRECT:
        return DirectFeatures(*([2] if sizes.liv_class.is_complex else []), group.expansion, sizes.width)
    if name == "A":
        decay = LiquidDecay if fields.get("decay") == "liquid" else Decay
        return decay(sizes.weight_shape(name), group.expansion)
    is_monarch, activation = name == "v" and sizes.has_monarch_maps, fields.get("convolution_activation") == "silu"
    shape = (sizes.width,) if is_monarch else sizes.weight_shape(name)
    if group.token_mixing == TOEPLITZ:
        return (ConvolvedMonarch if is_monarch else ConvolvedProjection)(shape, width, activation)
    return (MonarchMap if is_monarch else Projection)(*shape)
