"""The model as a chain of compiled blocks, one per kind of LIV or made of parts, shared by every candidate in the life of a process.

Shapes: B batch, T tokens, D width.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import FunctionType
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional

from star_search.liv.functional import Function, LIVKind, Weights, function_by_parts, function_of, inputs_beside_weights
from star_search.liv.operator import LIV, NORM_EPSILON
from star_search.model.language_model import EMBEDDING_SCALE, LanguageModel
from star_search.training.loss import TiedGradient

# One entry per shape and gradient mode that a block meets; torch's default of 8 is for code that is called in one way.
SHAPES_PER_BLOCK = 64

# In place of a backend: blocks are not compiled.
PLAIN = "plain"

# (x, y, norm, scale, weights, shared) -> (x + y, scaled LIV output, features handed on)
Block = Callable[[Tensor, Tensor, Tensor, Tensor | None, Weights, list[Tensor]], tuple[Tensor, Tensor, list[Tensor]]]

# Of the norm, whose weights stay in fp32: what is compiled fuses it all the same.
warnings.filterwarnings("ignore", "Mismatch dtype between input and weight")

_blocks: dict[tuple[LIVKind, str, bool], Block] = {}
_parts: dict[tuple[object, str], Callable[..., Any]] = {}


def compiled(function: Callable[..., Any], name: str, backend: str) -> Callable[..., Any]:
    """Compile a function for the shapes that it is called with.

    With the backend `PLAIN` it stays as it is. Compiled, it gets code of its own: torch keeps compiled forms by code object, so closures
    made from one `def` would crowd each other out.
    """
    if backend == PLAIN:
        return function
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, SHAPES_PER_BLOCK)
    plain = cast(FunctionType, function)
    own = FunctionType(plain.__code__.replace(co_name=name), plain.__globals__, name, plain.__defaults__, plain.__closure__)
    # Written in place of one pointwise kernel with a masked branch for every part.
    options: dict[str, str | int | bool | Callable[..., Any]] | None = {"max_pointwise_cat_inputs": 0} if backend == "inductor" else None
    return torch.compile(own, fullgraph=True, dynamic=False, backend=backend, options=options)


def block_of(liv: LIV, kind: LIVKind, dropout: float, backend: str, by_parts: bool = False) -> Block:
    """Return the block of a kind: the residual sum before it, its norm, the LIV; compiled as a whole or part by part, once in a process."""
    if (kind, backend, by_parts) not in _blocks:
        if by_parts:
            part = partial(_part, backend)
            block = _block(part("opening", _opening, "opening"), function_by_parts(liv, kind, dropout, part))
        else:
            block = compiled(_block(_opening, function_of(liv, kind, dropout)), f"block_{_identifier(liv.sizes.liv_class.name)}", backend)
        _blocks[kind, backend, by_parts] = block
    return _blocks[kind, backend, by_parts]


def _part(backend: str, key: object, function: Callable[..., Any], name: str) -> Callable[..., Any]:
    if (key, backend) not in _parts:
        _parts[key, backend] = compiled(function, f"part_{_identifier(name)}", backend)
    return _parts[key, backend]


def _block(opening: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]], function: Function) -> Block:
    def block(
        x_BTD: Tensor, y_BTD: Tensor, norm_D: Tensor, scale: Tensor | None, weights: Weights, shared: list[Tensor]
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        x_BTD, normed_BTD = opening(x_BTD, y_BTD, norm_D)
        out_BTD, handed_on = function(normed_BTD, weights, shared)
        return x_BTD, (out_BTD if scale is None else out_BTD * scale).to(x_BTD.dtype), handed_on

    return block


def _identifier(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name)


def _opening(x_BTD: Tensor, y_BTD: Tensor, norm_D: Tensor) -> tuple[Tensor, Tensor]:
    x_BTD = x_BTD + y_BTD
    return x_BTD, _normed(x_BTD, norm_D)


def _normed(x_BTD: Tensor, norm_D: Tensor) -> Tensor:
    return functional.rms_norm(x_BTD, norm_D.shape, norm_D, NORM_EPSILON)


def _final(x_BTD: Tensor, y_BTD: Tensor, norm_D: Tensor) -> Tensor:
    return _normed(x_BTD + y_BTD, norm_D)


class _Halves(torch.autograd.Function):
    """The embedded tokens as two halves of which the first block makes the sum, as every other block does of two parts: one compiled form
    serves all places."""

    @staticmethod
    def forward(ctx: Any, weight_VD: Tensor, tokens_BT: Tensor, dtype: torch.dtype, tied: TiedGradient) -> tuple[Tensor, Tensor]:
        half = functional.embedding(tokens_BT, weight_VD).to(dtype) * (EMBEDDING_SCALE / 2)
        ctx.save_for_backward(tokens_BT)
        ctx.vocabulary_size, ctx.tied = len(weight_VD), tied
        # Not one object twice, which would be compiled for itself.
        return half, half.view_as(half)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        # Both are the gradient of the sum.
        (tokens_BT,), gradient_BTD, of_head = ctx.saved_tensors, gradients[0], ctx.tied.take()
        if gradient_BTD.dtype == torch.float32 or torch.are_deterministic_algorithms_enabled():
            scaled = gradient_BTD.float() * EMBEDDING_SCALE
            to_weight = torch.ops.aten.embedding_dense_backward(scaled, tokens_BT, ctx.vocabulary_size, -1, False)
            return to_weight if of_head is None else of_head.add_(to_weight), None, None, None
        # Summed on a GPU in any order, which in half precision other sums are as well.
        rows_ND = gradient_BTD.flatten(0, -2).float()
        to_weight = rows_ND.new_zeros(ctx.vocabulary_size, rows_ND.shape[1]) if of_head is None else of_head
        return to_weight.index_add_(0, tokens_BT.flatten(), rows_ND, alpha=EMBEDDING_SCALE), None, None, None


@dataclass
class _Place:
    """One LIV of the chain."""

    block: Block
    weights: Weights
    source: int | None
    kind: LIVKind
    position: int


class CompiledModel:
    """A language model's hidden states by compiled blocks; weights are the model's own.

    The sum of the residual stream with a block's output is left to the next block, where it is one kernel with the norm. LIVs in
    parallel are combined by the model's own module, operation by operation. The stream is held in `stream_dtype`. Dropout follows
    the model's mode at the time this is made.
    """

    def __init__(
        self, model: LanguageModel, length: int, stream_dtype: torch.dtype, backend: str = "inductor", by_parts: bool = False
    ) -> None:
        self.model, self.stream_dtype, self.length, self.by_parts = model, stream_dtype, length, by_parts
        self._norms, self._scales = model.backbone.norms, model.backbone.scales
        livs = [cast(LIV, liv) for liv in model.backbone.livs]
        self._places = [self._place(position, liv, livs, backend) for position, liv in enumerate(livs)]
        if ("final", backend) not in _finals:
            _finals["final", backend] = compiled(_final, "final_norm", backend)
        self._final = _finals["final", backend]

    def _place(self, position: int, liv: LIV, livs: list[LIV], backend: str) -> _Place:
        readers = [other for other in livs if other.feature_source == position]
        wanted = {name for other in readers for name in other.sources.features_from if name not in other.computed}
        dropout = liv.dropout if liv.training else 0.0
        kind = LIVKind.of(liv, [name for name in liv.sources.features_from if name in wanted], dropout)
        like = torch.empty(0, dtype=self.stream_dtype, device=self.model.embedding.device)
        weights = liv.weights() | inputs_beside_weights(liv, self.length, like)
        return _Place(block_of(liv, kind, dropout, backend, self.by_parts), weights, liv.feature_source, kind, position)

    def hidden(self, tokens_BT: Tensor, tied: TiedGradient | None = None) -> Tensor:
        """Return what the output head reads, [B, T, D]; in the backward pass the embedding's gradient is added to what a head left in
        `tied`."""
        tied = tied or TiedGradient()
        x_BTD, y_BTD = _Halves.apply(self.model.embedding, tokens_BT, self.stream_dtype, tied)  # type: ignore[no-untyped-call]
        features: dict[int | None, dict[str, Tensor]] = {}
        for parallel in self.model.backbone.blocks:
            # LIVs in parallel each add the same two parts: they run the compiled forms of LIVs in sequence.
            sums, outputs = zip(
                *(self._run(self._places[position], x_BTD, y_BTD, features) for position in parallel.positions), strict=True
            )
            x_BTD, y_BTD = sums[0], self.model.backbone.combined(parallel, sums[0], outputs)
        return self._final(x_BTD, y_BTD, self._norms[-1])

    def _run(self, place: _Place, x_BTD: Tensor, y_BTD: Tensor, features: dict[int | None, dict[str, Tensor]]) -> tuple[Tensor, Tensor]:
        """Return x + y and the output of one LIV that reads it; puts the features that it hands on into `features`."""
        scale = None if self._scales is None else self._scales[place.position]
        shared = [features[place.source][name] for name in place.kind.taken]
        x_BTD, y_BTD, handed_on = place.block(x_BTD, y_BTD, self._norms[place.position], scale, place.weights, shared)
        features[place.position] = dict(zip(place.kind.handed_on, handed_on, strict=True))
        return x_BTD, y_BTD


_finals: dict[tuple[str, str], Callable[..., Tensor]] = {}
