"""State spaces against their closed forms, in numpy."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from helpers import lively_backbone, lively_liv, noise, relative
from star_search.genome.encoding import Genome
from star_search.liv.operator import LIV, NORM_EPSILON
from star_search.liv.state_space import DiagonalStateSpace
from star_search.model.backbone import Backbone

WIDTH, LENGTH = 64, 70


def numbers(liv: LIV) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return S4D's complex A, B, C [N, D] and its step [D]."""
    poles = liv.group("A")
    A = -np.exp(poles.log_real.detach().numpy()) + 1j * poles.imaginary.detach().numpy()
    B, C = (features[0] + 1j * features[1] for features in (liv.group(name).features.detach().numpy() for name in "BC"))
    return A, B, C, np.exp(poles.log_step.detach().numpy())


def readout(liv: LIV, mixed: np.ndarray, x_TD: Tensor) -> Tensor:
    """Return the gated norm and output map."""
    gated = torch.from_numpy(mixed) * functional.silu(x_TD @ liv.featurizer["gate"].weight.T)
    return liv.output(gated / (gated.square().mean(-1, keepdim=True) + NORM_EPSILON).sqrt() * liv.norm)


@pytest.mark.parametrize("class_id", [18, 21])
@pytest.mark.parametrize("length", [1, 2, 63, 64, 65, 200])
def test_the_kernel_is_its_closed_form(class_id: int, length: int) -> None:
    """`K[l] = 2 Re sum_n C B (exp(step A) - 1) / A exp(step A l)` (S4D, equations 2 and 6, zero-order hold)."""
    liv = lively_liv(class_id, WIDTH, torch.float64)
    A, B, C, step = numbers(liv)
    lags = np.arange(length)[:, None, None]
    expected = 2 * (C * B * (np.exp(step * A) - 1) / A * np.exp(step * A * lags)).sum(1).real.T
    mixing = liv.token_mixing
    assert isinstance(mixing, DiagonalStateSpace)
    found = mixing.kernel(liv.featurize(noise(1, 1, WIDTH, dtype=torch.float64)), length)
    assert relative(found, torch.from_numpy(expected)) < 1e-12


@pytest.mark.parametrize("class_id", [18, 21])
def test_s4d_is_its_recurrence(class_id: int) -> None:
    """`h' = A h + B v` held over a step: `h_t = exp(step A) h_{t-1} + (exp(step A) - 1) / A B v_t`, `y_t = 2 Re C h_t`."""
    liv, x = lively_liv(class_id, WIDTH, torch.float64), noise(1, LENGTH, WIDTH, dtype=torch.float64)
    A, B, C, step = numbers(liv)
    v = liv.group("v")(x[0]).detach().numpy()
    state, mixed = np.zeros_like(A), np.zeros((LENGTH, WIDTH))
    for t in range(LENGTH):
        state = np.exp(step * A) * state + (np.exp(step * A) - 1) / A * B * v[t]
        mixed[t] = 2 * (C * state).sum(0).real
    assert relative(liv(x)[0][0], readout(liv, mixed, x[0])) < 1e-12


def test_liquid_s4_is_its_recurrence() -> None:
    """`h_t = a_t h_{t-1} + (1 - a_t) B v_t`, `a_t = exp(-delta (1 / tau + softplus(f(x_t))))`, `y_t = C h_t`."""
    liv, x = lively_liv(19, WIDTH, torch.float64), noise(1, LENGTH, WIDTH, dtype=torch.float64)
    group = liv.group("A")
    B, C = (liv.group(name).features.detach().numpy() for name in "BC")
    tau, delta = (np.exp(each.detach().numpy()) for each in (group.log_tau, group.log_delta))
    f = (x[0] @ group.weight.T + group.bias).detach().numpy()
    v = liv.group("v")(x[0]).detach().numpy()
    state, mixed = np.zeros((4, WIDTH)), np.zeros((LENGTH, WIDTH))
    for t in range(LENGTH):
        decay = np.exp(-delta * (1 / tau + np.log1p(np.exp(f[t]))))
        state = decay * state + (1 - decay) * B * v[t]
        mixed[t] = (C * state).sum(0)
    assert relative(liv(x)[0][0], readout(liv, mixed, x[0])) < 1e-12


def test_s4d_starts_at_its_initialisation_and_liquid_s4_at_real_modes() -> None:
    """S4D-Lin: `A_n = -1/2 + i pi n`, B of ones, steps between 0.001 and 0.1; time constants 1 / (n + 1)."""
    livs = Backbone(Genome.parse("i1111-j1111"), 256, generator=torch.Generator().manual_seed(0)).livs
    poles, liquid = livs[0].group("A"), livs[1].group("A")
    assert torch.allclose(poles.log_real.exp(), torch.tensor(0.5))
    assert torch.allclose(poles.imaginary[:, 7], math.pi * torch.arange(16))
    assert torch.equal(livs[0].group("B").features[:, :, 7], torch.stack((torch.ones(16), torch.zeros(16))))
    assert float(livs[0].group("C").features.detach().square().sum((0, 1)).mean()) == pytest.approx(1, rel=0.05)
    assert torch.allclose(liquid.log_tau.exp()[:, 7], 1 / torch.arange(1, 5))
    for log_step in (poles.log_step, liquid.log_delta):
        steps = log_step.detach().exp()
        assert 1e-3 <= float(steps.min()) < 2e-3 < 0.05 < float(steps.max()) <= 0.1


def test_angles_are_exact_in_bf16() -> None:
    """An angle of many turns keeps its fraction: the kernel of weights in bf16 is that of the same weights in fp64."""
    stored = lively_liv(18).bfloat16()
    kernels = []
    for dtype in (torch.bfloat16, torch.float64):
        liv = stored.to(dtype)
        kernels.append(liv.token_mixing.kernel({name: liv.group(name)(noise(1, 1, WIDTH)) for name in "ABC"}, 300))
    assert relative(kernels[0], kernels[1]) < 1e-4


def test_a_kernel_is_no_less_precise_where_products_are_in_bf16() -> None:
    liv, x = lively_liv(18), noise(1, 1, WIDTH)
    features = {name: liv.group(name)(x) for name in "ABC"}
    with torch.autocast("cpu", torch.bfloat16):
        lowered = liv.token_mixing.kernel(features, 300)
    assert torch.equal(lowered, liv.token_mixing.kernel(features, 300))


@pytest.mark.parametrize(
    ("genome", "forms"),
    [
        ("i1112-i1112", ("A", "B")),
        ("i1211-i1211", ("v", "A", "B")),
        ("i1212-i1212", ()),
        ("j1112-j1112", ("B",)),
        ("j1212-j1212", ()),
        ("j1213-j1213", ("v",)),
        ("j1214-j1214", ("A",)),
        ("k1212-k1212", ()),
        ("l1112-l1112", ("A", "B")),
    ],
)
def test_a_state_is_shared_when_all_that_forms_it_is(genome: str, forms: tuple[str, ...]) -> None:
    """The value, and poles and input weights that no input makes: then the second LIV holds nothing and reads the first one's state."""
    backbone = lively_backbone(genome)
    assert backbone.accounting.sharing.livs[1].forms == forms
    first, second = backbone.init_cache(1, 9).states
    assert bool(second) == bool(forms)
    assert backbone.accounting.liv_cache_elements(9)[1] == sum(tensor.numel() for tensor in second.values())
    assert set(second) <= set(first)


def test_the_state_forgets_at_the_rate_of_the_decay() -> None:
    """A tenfold real part forgets within a few tokens what a small one remembers."""
    x = noise(1, 200, WIDTH, dtype=torch.float64)
    changed = torch.cat((x[:, :1] + 1, x[:, 1:]), dim=1)
    for class_id, name, slow, fast in ((18, "log_real", -20.0, 9.0), (19, "log_delta", -9.0, 9.0)):
        liv = lively_liv(class_id, WIDTH, torch.float64)
        seen = []
        for rate in (slow, fast):
            with torch.no_grad():
                getattr(liv.group("A"), name).fill_(rate)
                seen.append(float((liv(x, use_reference=True)[0] - liv(changed, use_reference=True)[0])[0, -1].abs().max()))
        assert seen[0] > 1e-6
        assert seen[1] < 1e-12
