"""Scaled Toeplitz token mixing: `y = C * conv(B * v)`.

Shapes: B batch, T tokens, D width, L kernel length.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from star_search.liv import reference
from star_search.liv.featurizers import convolve_window, keep_last, short_convolution
from star_search.liv.kernels import has_kernels, lowered
from star_search.liv.kernels.toeplitz import toeplitz
from star_search.liv.token_mixing import Allocate, Features, State, TokenMixing


class ShortConvolution(TokenMixing):
    """A gated convolution with an explicit kernel of a few taps (LFM2's short convolution)."""

    branch_dims: ClassVar = {"kernel": 0}
    repeated = ("B", "C", "kernel")

    def mix(self, features: Features) -> Tensor:
        """Return [B, T, D] by shifted sums."""
        return features["C"] * short_convolution(features["B"] * features["v"], features["kernel"])

    def reference(self, features: Features) -> Tensor:
        """Return [B, T, D] by the explicit Toeplitz matrix."""
        return features["C"] * reference.convolution(features["kernel"], features["B"] * features["v"])

    def allocate(self, allocate: Allocate, max_length: int, forms: tuple[str, ...]) -> State:
        """Return the last products, one fewer than the kernel has taps."""
        taps = int(self.sizes.liv_class.fields["kernel_length"])
        return {"tail": allocate(taps - 1, self.sizes.width)} if forms else {}

    def write(self, features: Features, state: State) -> None:
        """Keep the prompt's last products."""
        if state:
            keep_last(features["B"] * features["v"], state["tail"])

    def update(self, token: Features, state: State, position: int, shared: Features) -> State:
        """Return the window that ends in the token's product."""
        if not state:
            return dict(shared)
        window = torch.cat((state["tail"], (token["B"] * token["v"]).unsqueeze(1)), dim=1)
        state["tail"].copy_(window[:, 1:])
        return {"window": window}

    def read(self, token: Features, context: State) -> Tensor:
        """Return [B, D]."""
        return token["C"] * convolve_window(context["window"], token["kernel"])


class LongConvolution(TokenMixing):
    """A gated convolution with a kernel as long as the sequence (Hyena, section 3)."""

    branch_dims: ClassVar = {"kernel": 0}
    repeated = ("B", "C", "kernel")

    def mix(self, features: Features) -> Tensor:
        """Return [B, T, D] by FFT over twice the length, in fp32 at least."""
        return features["C"] * causal_fft_convolution(features["B"] * features["v"], features["kernel"])

    def reference(self, features: Features) -> Tensor:
        """Return [B, T, D] by the explicit Toeplitz matrix."""
        return features["C"] * reference.convolution(features["kernel"], features["B"] * features["v"])

    def allocate(self, allocate: Allocate, max_length: int, forms: tuple[str, ...]) -> State:
        """Return every product to come."""
        return {"products": allocate(max_length, self.sizes.width)} if forms else {}

    def write(self, features: Features, state: State) -> None:
        """Keep the prompt's products."""
        if state:
            state["products"][:, : features["v"].shape[1]] = features["B"] * features["v"]

    def update(self, token: Features, state: State, position: int, shared: Features) -> State:
        """Append the token's product; the context is all so far."""
        if not state:
            return dict(shared)
        state["products"][:, position] = token["B"] * token["v"]
        return {"products": state["products"][:, : position + 1]}

    def read(self, token: Features, context: State) -> Tensor:
        """Return [B, D]."""
        products = context["products"]
        kernel = token["kernel"][:, : products.shape[1]].flip(1)
        return token["C"] * torch.einsum("btd,dt->bd", products, kernel)


def causal_fft_convolution(x_BTD: Tensor, kernel_DT: Tensor) -> Tensor:
    """Return the causal convolution [B, T, D] with a kernel of the same length, by FFT over twice the length, in fp32 at least.

    In half precision on a GPU, by products with the Toeplitz matrix in tiles: there the FFT, in fp32, is bound by memory.
    """
    if has_kernels(x_BTD) and lowered(x_BTD).dtype != torch.float32:
        x_BDT = lowered(x_BTD).transpose(1, 2)
        return toeplitz(x_BDT, kernel_DT.to(x_BDT.dtype)).transpose(1, 2)
    length, precise = x_BTD.shape[1], torch.promote_types(x_BTD.dtype, torch.float32)
    x = torch.fft.rfft(x_BTD.transpose(1, 2).to(precise), 2 * length)
    mixed = torch.fft.irfft(x * torch.fft.rfft(kernel_DT.to(precise), 2 * length), 2 * length)
    return mixed[..., :length].transpose(1, 2).to(x_BTD.dtype)
