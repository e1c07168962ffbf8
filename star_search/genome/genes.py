"""The genes of an operator and of its featurizer: their values, and what these mean."""

from __future__ import annotations

from typing import NamedTuple

DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"

DIAGONAL, LOW_RANK, TOEPLITZ, SEMI_SEPARABLE = 1, 2, 3, 4
NO_SPARSITY, BANDED, BLOCK_DIAGONAL = 1, 2, 3
LINEAR, SOFTMAX, RELU, SILU, GELU = 1, 2, 3, 4, 5
PER_CHANNEL, DENSE, GROUPED = 1, 2, 3
DIRECT, REPARAMETRISED, INPUT_DEPENDENT = 1, 2, 3

TOKEN_MIXING = {
    DIAGONAL: "diagonal (memoryless)",
    LOW_RANK: "low rank (attention)",
    TOEPLITZ: "scaled Toeplitz (gated convolution)",
    SEMI_SEPARABLE: "sequentially semi-separable (recurrence)",
}
SPARSITY = {NO_SPARSITY: "none", BANDED: "banded (sliding window)", BLOCK_DIAGONAL: "block-diagonal"}
NONLINEARITY = {LINEAR: "none", SOFTMAX: "softmax", RELU: "ReLU", SILU: "swish (SiLU)", GELU: "GELU"}
CHANNEL_MIXING = {PER_CHANNEL: "diagonal (per channel)", DENSE: "dense (through an inner width)", GROUPED: "grouped (per head)"}
PARAMETRISATION = {
    DIRECT: "direct (a learned tensor)",
    REPARAMETRISED: "reparametrised (computed from learned tensors)",
    INPUT_DEPENDENT: "input-dependent (computed from x by a featurizer)",
}
# How a featurizer mixes tokens and channels on the way from x to a feature group.
FEATURIZER_TOKEN_MIXING = {DIAGONAL: "each token alone", TOEPLITZ: "causal depthwise convolution of length 3, or a kernel"}
FEATURIZER_CHANNEL_MIXING = {
    PER_CHANNEL: "diagonal (a factor per channel)",
    DENSE: "dense (a projection)",
    GROUPED: "grouped (a projection within each head)",
}
MAXIMUM_FACTOR = 64


class OperatorGenome(NamedTuple):
    """The five integers of a LIV class (docs/design.md)."""

    featurizer: int
    token_mixing: int
    sparsity: int
    nonlinearity: int
    channel_mixing: int

    def format(self) -> str:
        """Return the five digits, for example `12123`."""
        return "".join(DIGITS[digit] for digit in self)


class GroupGenome(NamedTuple):
    """The featurizer genes of one feature group."""

    token_mixing: int
    channel_mixing: int
    expansion: int
    repeat: int
    parametrisation: int
