"""Semi-separable token mixing with complex states: S4D, whose operator the input does not change.

Shapes: B batch, T tokens, D width, N modes, L chunk length.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor

from star_search.liv import reference
from star_search.liv.convolution import causal_fft_convolution
from star_search.liv.padding import Place
from star_search.liv.token_mixing import Allocate, Features, State, TokenMixing

CHUNK = 64


class DiagonalStateSpace(TokenMixing):
    """`h_t = exp(z) h_{t-1} + step (exp(z) - 1) / z B v_t`, `y_t = 2 Re sum_n C h_t`, z = step A (S4D, sections 3 and 4)."""

    branch_dims: ClassVar = {"A": 1, "B": 1, "C": 1}

    def mix(self, features: Features) -> Tensor:
        """Return [B, T, D] by FFT, with the kernel of `kernel`."""
        return causal_fft_convolution(features["v"], self.kernel(features, features["v"].shape[1]))

    def difference(self, features: Features, half: Callable[[int], Features]) -> Tensor:
        """Return [B, T, D] by one convolution: of two fixed kernels over one value, the difference is a kernel."""
        first, second = (self.kernel(half(index), features["v"].shape[1]) for index in (0, 1))
        return causal_fft_convolution(features["v"], first - features["lambda"] * second)

    def reference(self, features: Features) -> Tensor:
        """Return [B, T, D] by the recurrence."""
        z, inputs, outputs = self._complex_modes(features)
        return reference.diagonal_state_space(z.exp(), inputs, outputs, features["v"]).to(features["v"].dtype)

    def kernel(self, features: Features, length: int) -> Tensor:
        """Return [D, length]: `2 Re sum_n C B (exp(z) - 1) / A exp(z lag)`, lags split into chunks so that T x N x D is never held."""
        z, inputs, outputs = self._modes(features)
        within = torch.arange(CHUNK, device=z.device)[:, None, None]
        starts = torch.arange(0, length, CHUNK, device=z.device)[:, None, None]
        real, imaginary = _product(_product(inputs, outputs).unsqueeze(1), _powers(z, starts))
        left = torch.cat((real, -imaginary), 1).permute(2, 0, 1)
        right = torch.cat(_powers(z, within).unbind(), 1).permute(2, 1, 0)
        with torch.autocast(z.device.type, enabled=False):  # Modes cancel each other.
            return 2 * (left @ right).flatten(1)[:, :length]

    @staticmethod
    def _modes(features: Features) -> tuple[Tensor, Tensor, Tensor]:
        """Return z, the weight of an input and of the output, each [2, N, D]: real and imaginary parts, which compile where complex
        numbers do not."""
        precise = torch.promote_types(features["A"].dtype, torch.float32)
        real, imaginary, step = features["A"].to(precise)
        z, (B, C) = torch.stack((real, imaginary)), (features[name].to(precise) for name in "BC")
        less_one = torch.stack((real.expm1() * imaginary.cos() - 2 * (imaginary / 2).sin().square(), real.exp() * imaginary.sin()))
        ratio = _product(less_one, torch.stack((real, -imaginary))) / z.square().sum(0)
        return z, _product(step * ratio, B), C

    def _complex_modes(self, features: Features) -> tuple[Tensor, Tensor, Tensor]:
        """Return z, the weight of an input and of the output, each complex [N, D]."""
        z, inputs, outputs = (torch.complex(*each) for each in self._modes(features))
        return z, inputs, outputs

    def allocate(self, allocate: Allocate, max_length: int, forms: tuple[str, ...]) -> State:
        """Return the state [N, D, 2], real and imaginary part."""
        size = self.sizes.liv_class.groups["A"].expansion // self.sizes.liv_class.branches
        return {"state": allocate(size, self.sizes.width, 2)} if forms else {}

    def write(self, features: Features, state: State) -> None:
        """Run through the prompt, a chunk at a time."""
        if state:
            z, inputs, _ = self._complex_modes(features)
            held = torch.zeros_like(features["v"][:, 0, None] * inputs)
            for v in features["v"].split(CHUNK, 1):
                left = torch.arange(v.shape[1] - 1, -1, -1, device=z.device)
                held = (z * v.shape[1]).exp() * held + torch.einsum("tnd,btd->bnd", (z * left[:, None, None]).exp(), v.to(z.dtype)) * inputs
            state["state"].copy_(torch.view_as_real(held))

    def update(self, token: Features, state: State, place: Place, shared: Features) -> State:
        """Decay the state and add the token."""
        if not state:
            return dict(shared)
        z, inputs, _ = self._complex_modes(token)
        held = z.exp() * _complex(state["state"]) + inputs * token["v"].unsqueeze(1)
        state["state"].copy_(torch.view_as_real(held))
        return state

    def read(self, token: Features, context: State) -> Tensor:
        """Return [B, D]."""
        return 2 * (self._complex_modes(token)[2] * _complex(context["state"])).sum(1).real.to(token["v"].dtype)


def _complex(state: Tensor) -> Tensor:
    return torch.view_as_complex(state.to(torch.promote_types(state.dtype, torch.float32)).contiguous())


def _product(x: Tensor, y: Tensor) -> Tensor:
    """Return the product of complex numbers whose real and imaginary parts are the first dimension."""
    (a, b), (c, d) = x, y
    return torch.stack((a * c - b * d, a * d + b * c))


def _powers(z: Tensor, lags: Tensor) -> Tensor:
    """Return exp(z lag), [2, lags, N, D]."""
    size, angle = (z[0] * lags).exp(), z[1] * lags
    return torch.stack((size * angle.cos(), size * angle.sin()))
