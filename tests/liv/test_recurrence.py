"""Recurrences against Mamba-2 of transformers and their written equations."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from helpers import lively_liv, noise, relative
from star_search.genome.accounting import head_count
from star_search.liv.operator import LIV, NORM_EPSILON

WIDTH, STATE = 128, 16


def mamba2(liv: LIV) -> torch.nn.Module:
    """Return transformers' Mamba-2 mixer with the weights of Rec-1: B and C per head, no skip, one norm over the width."""
    pytest.importorskip("transformers")
    from transformers.models.mamba2.modeling_mamba2 import Mamba2Config, Mamba2Mixer, MambaRMSNormGated

    heads = head_count(WIDTH)
    config = Mamba2Config(
        hidden_size=WIDTH,
        num_heads=heads,
        head_dim=WIDTH // heads,
        state_size=STATE,
        n_groups=heads,
        expand=1,
        conv_kernel=3,
        use_conv_bias=False,
        use_bias=False,
        chunk_size=8,
        num_hidden_layers=1,
        layer_norm_epsilon=NORM_EPSILON,
    )
    mixer = Mamba2Mixer(config, layer_idx=0).eval()
    try:
        mixer.norm = MambaRMSNormGated(WIDTH, group_size=WIDTH, eps=NORM_EPSILON)
    except TypeError:
        mixer.norm = MambaRMSNormGated(WIDTH, eps=NORM_EPSILON)
    groups = {name: liv.featurizer[name] for name in ("gate", "v", "B", "C", "A")}
    kernels = torch.cat([groups[name].kernel for name in "vBC"])
    mixer.load_state_dict(
        {
            "dt_bias": groups["A"].bias,
            "A_log": groups["A"].rate,
            "D": torch.zeros(heads),
            "conv1d.weight": kernels.flip(1).unsqueeze(1),
            "in_proj.weight": torch.cat([groups[name].weight for name in ("gate", "v", "B", "C", "A")]),
            "norm.weight": liv.norm,
            "out_proj.weight": liv.output.weight,
        }
    )
    return mixer


@pytest.mark.parametrize("length", [1, 37, 130])
def test_head_recurrence_is_mamba_2(length: int) -> None:
    liv, x = lively_liv(5, WIDTH), noise(2, length, WIDTH)
    with torch.no_grad():
        assert relative(liv(x)[0], mamba2(liv)(x)) < 1e-5


def readout(liv: LIV, mixed: np.ndarray, x_TD: Tensor) -> Tensor:
    """Return the gated norm and output map of a recurrence."""
    gated = torch.from_numpy(mixed) * functional.silu(x_TD @ liv.featurizer["gate"].weight.T)
    return gated / (gated.square().mean(-1, keepdim=True) + NORM_EPSILON).sqrt() * liv.norm @ liv.output.weight.T


def test_channel_recurrence_is_its_equation() -> None:
    """`h[n, d] = exp(-step_d rate_d) h[n, d] + step_d B_n v_d`, `y_d = sum_n C_n h[n, d]`, in numpy."""
    liv, x = lively_liv(6, WIDTH, torch.float64), noise(1, 25, WIDTH, dtype=torch.float64)
    B, C, v, A = ((x[0] @ liv.featurizer[name].weight.T).detach().numpy() for name in "BCvA")
    step = np.log1p(np.exp(A + liv.featurizer["A"].bias.detach().numpy()))
    rate = np.exp(liv.featurizer["A"].rate.detach().numpy())
    state, mixed = np.zeros((2, WIDTH)), np.zeros((25, WIDTH))
    for t in range(25):
        state = np.exp(-step[t] * rate) * state + np.outer(B[t], step[t] * v[t])
        mixed[t] = C[t] @ state
    assert relative(liv(x)[0][0], readout(liv, mixed, x[0])) < 1e-13


@pytest.mark.parametrize("class_id", [5, 6])
def test_the_state_forgets_at_the_rate_of_the_decay(class_id: int) -> None:
    """With decays of almost one the first token is remembered after a thousand; with decays of almost zero it is not after one."""
    liv, x = lively_liv(class_id, 64, torch.float64), noise(1, 1000, 64, dtype=torch.float64)
    changed = torch.cat((x[:, :1] + 1, x[:, 1:]), dim=1)
    with torch.no_grad():
        seen = []
        for rate in (-20.0, 20.0):
            liv.featurizer["A"].rate.fill_(rate)
            # Short convolutions see two tokens back, hence four tokens after the first.
            seen.append(float((liv(x)[0] - liv(changed)[0])[0, 4:].abs().amax(-1)[[0, -1]].min()))
    assert seen[0] > 1e-9
    assert seen[1] == 0
