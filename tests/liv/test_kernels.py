"""Kernels on a GPU against reference forms, output and gradients, at lengths that are no multiple of a tile and at some that are."""

import pytest
import torch

from helpers import relative
from star_search.genome import genes
from star_search.liv import reference
from star_search.liv.attention import rotary_table, rotate
from star_search.liv.kernels.gated import gated_product
from star_search.liv.kernels.head_scan import head_scan
from star_search.liv.kernels.modal_scan import modal_scan
from star_search.liv.kernels.rotary import rotated_parts
from star_search.liv.kernels.scan import scan
from star_search.liv.kernels.toeplitz import toeplitz
from star_search.liv.kernels.window import windowed_attention
from star_search.liv.memoryless import ACTIVATIONS
from star_search.training import loss

pytestmark = pytest.mark.gpu


def holds(fast, plain, inputs, tolerance):
    """Hold a fast form against a plain one in fp64, output and all gradients."""
    precise = [each.detach().double().requires_grad_() for each in inputs]
    expected, value = plain(*precise), fast(*inputs)
    noise = torch.randn_like(expected)
    there = torch.autograd.grad(expected, precise, noise)
    here = torch.autograd.grad(value, inputs, noise.to(value.dtype))
    assert relative(value, expected) < tolerance
    for mine, other in zip(here, there, strict=True):
        assert relative(mine, other) < tolerance


def leaves(*shapes, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(*shape, generator=generator).to("cuda", dtype).requires_grad_() for shape in shapes]


@pytest.mark.parametrize(("decay", "values"), [((1, 40), (3, 40)), ((5, 40), (5, 40)), ((4, 1, 1), (4, 3, 5)), ((33,), (33,))])
def test_scan(decay, values):
    a, v = leaves((2, 130, *decay), (2, 130, *values))
    holds(lambda a, v: scan(a.sigmoid(), v), lambda a, v: reference.scan(a.sigmoid().expand_as(v), v), [a, v], 1e-5)


@pytest.mark.parametrize(
    ("length", "heads", "state", "width"),
    [(70, 3, 16, 16), (130, 2, 8, 48), (64, 1, 16, 64), (2, 1, 4, 8), (130, 2, 64, 64), (70, 1, 32, 1)],
)
def test_head_scan(length, heads, state, width):
    inputs = leaves((2, length, heads), (2, length, heads, state), (2, length, heads, state), (2, length, heads, width))
    holds(
        lambda a, B, C, u: head_scan(-a.square(), B, C, u)[0],
        lambda a, B, C, u: reference.head_recurrence((-a.square()).exp(), B, C, u),
        inputs,
        1e-5,
    )


@pytest.mark.parametrize(("length", "state", "channels"), [(70, 4, 24), (130, 3, 40), (32, 1, 70), (5, 16, 7), (1, 2, 3)])
def test_modal_scan(length, state, channels):
    def plain(z, B, C, v):
        states = reference.scan((-z.square()).exp(), -torch.expm1(-z.square()) * B * v.unsqueeze(-2))
        return (C * states).sum(-2)

    inputs = leaves((2, length, state, channels), (state, channels), (state, channels), (2, length, channels))
    with torch.no_grad():
        inputs[0][:, ::3] *= 1e-2  # Where 1 - exp(z) cancels.
    holds(lambda z, B, C, v: modal_scan(-z.square(), B, C, v)[0], plain, inputs, 1e-5)


# In bf16 by other tiles than in fp32.
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 1e-2)])
@pytest.mark.parametrize(("rows", "length", "channels"), [(2, 200, 2), (3, 64, 1), (1, 1, 1), (5, 130, 2), (8, 1024, 2), (9, 1030, 3)])
def test_toeplitz(rows, length, channels, dtype, tolerance):
    inputs = leaves((rows, channels, length), (channels, length), dtype=dtype)
    holds(toeplitz, lambda x, kernel: reference.convolution(kernel, x.transpose(1, 2)).transpose(1, 2), inputs, tolerance)


@pytest.mark.parametrize("activation", ["LINEAR", "RELU", "SILU", "GELU"])
@pytest.mark.parametrize(("width", "padding", "gate_first"), [(40, 0, True), (300, 8, False)])
def test_gated_product(activation, width, padding, gate_first):
    code = getattr(genes, activation)

    def plain(x):
        first, second = x[..., :width], x[..., width : 2 * width]
        gate, value = (first, second) if gate_first else (second, first)
        return ACTIVATIONS[code](gate) * value

    holds(lambda x: gated_product(x, width, gate_first, code), plain, leaves((2, 9, 2 * width + padding)), 1e-6)


def test_windowed_attention():
    inputs = leaves((2, 4, 700, 64), (2, 2, 700, 64), (2, 2, 700, 64), dtype=torch.bfloat16)
    holds(
        lambda q, k, v: windowed_attention(q, k, None, v, 100),
        lambda q, k, v: reference.softmax_attention(q, k, v, window=100),
        inputs,
        1e-2,
    )


@pytest.mark.parametrize(("width", "widths", "turned"), [(8, [16, 16, 32], [1, 0, 1]), (12, [24, 12], [1, 1]), (64, [128], [0])])
def test_rotated_parts(width, widths, turned):
    (whole,) = leaves((2, 37, sum(widths)))

    def plain(x):
        parts = zip(x.split(widths, -1), turned, strict=True)
        return torch.cat([rotate(part, width) if turn else part for part, turn in parts], -1)

    table = rotary_table(37, width, whole)
    holds(lambda x: torch.cat(rotated_parts(x, widths, [bool(turn) for turn in turned], table), -1), plain, [whole], 1e-5)


def test_chunked_loss_in_half_precision(monkeypatch):
    monkeypatch.setattr(loss, "CHUNK_LOGIT_BYTES", 2 * 4096 * 32)
    hidden, weight = leaves((2, 50, 32), (4096, 32), dtype=torch.bfloat16)
    weight.data /= 8
    targets = torch.randint(4096, (2, 50)).cuda()
    precise = [each.detach().float().requires_grad_() for each in (hidden, weight)]
    expected = torch.nn.functional.cross_entropy((precise[0] @ precise[1].T).flatten(0, 1), targets.flatten())
    value = loss.chunked_cross_entropy(hidden, precise[1], targets)
    assert relative(value, expected) < 1e-3
    here, there = torch.autograd.grad(value, (hidden, precise[1])), torch.autograd.grad(expected, precise)
    assert here[1].dtype == torch.float32
    assert all(relative(mine, other) < 1e-2 for mine, other in zip(here, there, strict=True))


# A logit hundreds higher than any before overflows the sum that is relative to those.
@pytest.mark.parametrize(("vocabulary", "steep"), [(97, False), (4096, False), (50_304, False), (50_304, True)])
def test_chunked_loss(vocabulary, steep):
    hidden, weight = leaves((2, 50, 32), (vocabulary, 32))
    if steep:
        weight.data[45_000] *= 100
    targets = torch.randint(vocabulary, (2, 50)).cuda()
    torch.backends.cuda.matmul.allow_tf32 = False
    precise = [each.detach().double().requires_grad_() for each in (hidden, weight)]
    expected = torch.nn.functional.cross_entropy((precise[0] @ precise[1].T).flatten(0, 1), targets.flatten()) / 3
    value = loss.chunked_cross_entropy(hidden, weight, targets, 1 / 3)
    assert relative(value, expected) < 1e-5
    here, there = torch.autograd.grad(value, (hidden, weight)), torch.autograd.grad(expected, precise)
    assert all(relative(mine, other) < 1e-5 for mine, other in zip(here, there, strict=True))
