"""Scaled Toeplitz token mixing: `y = C * conv(B * v)`.

Shapes: B batch, T tokens, D width, L kernel length.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from star_search.liv import reference
from star_search.liv.featurizers import convolve_window, keep_last, short_convolution
from star_search.liv.kernels import has_kernels, lowered
from star_search.liv.kernels.toeplitz import toeplitz
from star_search.liv.padding import Place
from star_search.liv.token_mixing import Allocate, Features, State, TokenMixing

LONGEST_SHIFTED = 32


class GatedConvolution(TokenMixing):
    """`y = C * conv(B * v)`, gates and kernel per channel, or one for all channels of a head where channel mixing is grouped."""

    branch_dims: ClassVar = {"kernel": 0}
    repeated = ("B", "C", "kernel")

    def products(self, features: Features) -> Tensor:
        """Return B * v, what the kernel acts on."""
        return self.by_channel(features["B"]) * features["v"]

    def kernel(self, features: Features) -> Tensor:
        """Return the kernel of every channel, [D, L]."""
        return self.by_channel(features["kernel"], 0)

    def reference(self, features: Features) -> Tensor:
        """Return [B, T, D] by the explicit Toeplitz matrix."""
        return self.by_channel(features["C"]) * reference.convolution(self.kernel(features), self.products(features))


class ShortConvolution(GatedConvolution):
    """A gated convolution with an explicit kernel (LFM2's short convolution), whose taps are all that decoding remembers."""

    def mix(self, features: Features) -> Tensor:
        """Return [B, T, D] by shifted sums, or by FFT where that many shifts would cost more."""
        kernel, products = self.kernel(features), self.products(features)
        convolve = short_convolution if kernel.shape[1] <= LONGEST_SHIFTED else causal_fft_convolution
        return self.by_channel(features["C"]) * convolve(products, kernel)

    def allocate(self, allocate: Allocate, max_length: int, forms: tuple[str, ...]) -> State:
        """Return the last products, one fewer than the kernel has taps."""
        taps = int(self.sizes.liv_class.fields["kernel_length"])
        return {"tail": allocate(taps - 1, self.sizes.width)} if forms else {}

    def write(self, features: Features, state: State) -> None:
        """Keep the prompt's last products."""
        if state:
            keep_last(self.products(features), state["tail"])

    def update(self, token: Features, state: State, place: Place, shared: Features) -> State:
        """Return the window that ends in the token's product."""
        if not state:
            return dict(shared)
        window = torch.cat((state["tail"], self.products(token).unsqueeze(1)), dim=1)
        state["tail"].copy_(window[:, 1:])
        return {"window": window}

    def read(self, token: Features, context: State) -> Tensor:
        """Return [B, D]."""
        return self.by_channel(token["C"]) * convolve_window(context["window"], self.kernel(token))


class LongConvolution(GatedConvolution):
    """A gated convolution with a kernel as long as the sequence (Hyena, section 3)."""

    def mix(self, features: Features) -> Tensor:
        """Return [B, T, D] by FFT over twice the length, in fp32 at least."""
        return self.by_channel(features["C"]) * causal_fft_convolution(self.products(features), self.kernel(features))

    def difference(self, features: Features, half: Callable[[int], Features]) -> Tensor:
        """Return [B, T, D] by one convolution: a branch's kernel acts on a pair of channels (of heads, where they are grouped), whose
        channels it takes as rows."""
        kernel, v = features["kernel"], features["v"]
        B, C = (features[name].unflatten(-1, (2, -1)).unsqueeze(-1) for name in "BC")
        products = B * v.unflatten(-1, (B.shape[-2], -1)).unsqueeze(-3)
        rows = products.movedim(-1, 0).flatten(3).flatten(0, 1)
        mixed = causal_fft_convolution(rows, kernel).unflatten(0, (-1, len(v))).movedim(0, -1).unflatten(-2, (2, -1))
        one, two = (C * mixed).unbind(2)
        return (one - features["lambda"] * two).flatten(-2)

    def allocate(self, allocate: Allocate, max_length: int, forms: tuple[str, ...]) -> State:
        """Return every product to come."""
        return {"products": allocate(max_length, self.sizes.width)} if forms else {}

    def write(self, features: Features, state: State) -> None:
        """Keep the prompt's products."""
        if state:
            state["products"][:, : features["v"].shape[1]] = self.products(features)

    def update(self, token: Features, state: State, place: Place, shared: Features) -> State:
        """Append the token's product; the context is all so far, and how far back each lies."""
        if not state:
            return dict(shared)
        products, position = state["products"], place.position
        place.put(products, self.products(token))
        if isinstance(position, int):
            return {"products": products[:, : position + 1], "lags": torch.arange(position, -1, -1, device=products.device)}
        # What no token has filled yet is zero, whatever the kernel there.
        return {"products": products, "lags": (position - torch.arange(products.shape[1], device=products.device)).clamp(min=0)}

    def read(self, token: Features, context: State) -> Tensor:
        """Return [B, D]."""
        # Rows of the kernel's transpose, which lies in memory that way; a product by einsum would be many short ones, 13 times as slow.
        kernel_TD = self.kernel(token).T[context["lags"]]
        return self.by_channel(token["C"]) * (context["products"] * kernel_TD).sum(1)


def causal_fft_convolution(x_BTD: Tensor, kernel_DL: Tensor) -> Tensor:
    """Return the causal convolution [B, T, D] with a kernel of any length, by FFT over twice the length of x, in fp32 at least.

    In half precision on a GPU, by products with the Toeplitz matrix in tiles: there the FFT, in fp32, is bound by memory.
    """
    if has_kernels(x_BTD) and lowered(x_BTD).dtype != torch.float32:
        x_BDT = lowered(x_BTD).transpose(1, 2)
        kernel_DT = functional.pad(kernel_DL, (0, x_BDT.shape[2] - kernel_DL.shape[1]))
        return toeplitz(x_BDT, kernel_DT.to(x_BDT.dtype)).transpose(1, 2)
    length, precise = x_BTD.shape[1], torch.promote_types(x_BTD.dtype, torch.float32)
    x = torch.fft.rfft(x_BTD.transpose(1, 2).to(precise), 2 * length)
    mixed = torch.fft.irfft(_product(x, torch.fft.rfft(kernel_DL[:, :length].to(precise), 2 * length)), 2 * length)
    return mixed[..., :length].transpose(1, 2).to(x_BTD.dtype)


def _product(x: Tensor, y: Tensor) -> Tensor:
    """Return the product of two complex tensors; in compiled code by real parts, since Inductor's GPU kernels have no complex numbers."""
    if not torch.compiler.is_compiling():
        return x * y
    (a, b), (c, d) = (torch.view_as_real(each).unbind(-1) for each in (x, y))
    return torch.view_as_complex(torch.stack((a * c - b * d, a * d + b * c), -1))
