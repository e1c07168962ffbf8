"""What every LIV class is held to: how errors, causality, decoding, operators and gradients are measured."""

from unittest import mock

import torch
from torch import Tensor
from torch.nn import functional

from helpers import STAR, lively_liv, noise, relative
from star_search import LanguageModel
from star_search.genome.catalogue import Catalogue
from star_search.liv.operator import LIV
from star_search.model.backbone import Backbone
from star_search.model.cache import DecodingCache

VOCABULARY, LENGTH, ROWS = 64, 32, 8


def outputs_and_gradients(module: LIV | Backbone, x: Tensor, weights: Tensor, use_reference: bool) -> dict[str, Tensor]:
    """Return the output, the input's gradient and every parameter's, in fp64."""
    module.zero_grad()
    x = x.clone().requires_grad_()
    y = module(x, use_reference=use_reference)
    y = y[0] if isinstance(y, tuple) else y
    (y * weights).sum().backward()
    found = {"output": y, "input": x.grad, **{name: parameter.grad for name, parameter in module.named_parameters()}}
    return {name: tensor.detach().to(torch.float64, copy=True) for name, tensor in found.items()}


def scales(module: LIV | Backbone, length: int, exact: dict[str, Tensor]) -> dict[str, float]:
    """Return the size that each tensor's error is held against; `exact` are those of the fp64 reference form.

    It is the norm of the tensor, or that of its gradient with the statistics of the norms on the value path held still, if larger.
    A norm undoes every change of scale: its gradient is the direct part plus the part through the statistic, and where a
    parameter does little but scale (lambda and decays, while few tokens are seen), the two cancel. Then the gradient is their rounding
    error, about 1e-7 of either, which no form can avoid. Where they do not cancel this is the relative error. What is zero either way
    (q and k of a single token) is held against the largest.
    """
    inverse_rms = LIV._inverse_rms
    with mock.patch.object(LIV, "_inverse_rms", staticmethod(lambda x: inverse_rms(x).detach())):
        direct = in_precision(module, length, torch.float64, use_reference=True)
    found = {name: max(float(tensor.norm()), float(direct[name].norm())) for name, tensor in exact.items()}
    largest = max(found.values())
    return {name: size if size > 1e-12 * largest else largest for name, size in found.items()}


def errors(value: dict[str, Tensor], truth: dict[str, Tensor], sizes: dict[str, float]) -> dict[str, float]:
    """Return the norm of every tensor's error over the size it is held against."""
    return {name: float((value[name] - tensor).norm()) / sizes[name] for name, tensor in truth.items()}


def in_precision(module: LIV | Backbone, length: int, dtype: torch.dtype, use_reference: bool) -> dict[str, Tensor]:
    """Return outputs and gradients of a module in a precision; the weights come from fp64."""
    width = module.sizes.width if isinstance(module, LIV) else module.width
    x, weights = noise(2, length, width, seed=1, dtype=dtype), noise(2, length, width, seed=2, dtype=dtype)
    return outputs_and_gradients(module.to(dtype), x, weights, use_reference)


def bf16_errors(
    class_id: int, autocast: bool, catalogue: Catalogue = STAR, seeds: int = 3, lengths: tuple[int, ...] = (2, 65, 100)
) -> tuple[dict[str, float], dict[str, float]]:
    """Return the root mean square error of every tensor against the fp64 reference, of the reference form and of the fast form.

    Pooled over models and lengths, since a tensor of four numbers meets rounding by luck.
    """
    squares: tuple[dict[str, float], dict[str, float]] = ({}, {})
    for seed in range(seeds):
        for length in lengths:
            stored = (
                lively_liv(class_id, seed=seed, catalogue=catalogue)
                if autocast
                else lively_liv(class_id, seed=seed, catalogue=catalogue).bfloat16()
            )
            exact = in_precision(stored.double(), length, torch.float64, use_reference=True)
            sizes = scales(stored, length, exact)
            for pooled, use_reference in zip(squares, (True, False), strict=True):
                liv = lively_liv(class_id, seed=seed, catalogue=catalogue)
                with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                    found = in_precision(liv, length, torch.float32 if autocast else torch.bfloat16, use_reference)
                for name, error in errors(found, exact, sizes).items():
                    pooled[name] = pooled.get(name, 0.0) + error**2 / (seeds * len(lengths))
    plain, fast = ({name: square**0.5 for name, square in pooled.items()} for pooled in squares)
    return plain, fast


def captured(backbone: Backbone, x_BTD: Tensor) -> list[tuple[LIV, Tensor, dict[str, Tensor] | None, Tensor]]:
    """Run the backbone and return each LIV with its input, the features it took and its output."""
    calls: list[tuple[LIV, Tensor, dict[str, Tensor] | None, Tensor]] = []
    hooks = [liv.register_forward_hook(lambda liv, given, out: calls.append((liv, given[0], given[1], out[0]))) for liv in backbone.livs]
    with torch.no_grad():
        backbone(x_BTD)
    for hook in hooks:
        hook.remove()
    return calls


def first_row(liv: LIV, shared: dict[str, Tensor] | None) -> dict[str, Tensor] | None:
    """Return the context features of the first sequence that are shared, without the batch dimension."""
    return shared and {name: shared[name][0] for name in liv.sizes.liv_class.context if name in shared}


def assert_is_operator(T_ijab: Tensor, value_TG: Tensor, y_TD: Tensor) -> None:
    assert T_ijab.shape == (len(y_TD), len(y_TD), y_TD.shape[1], value_TG.shape[1])
    assert relative(torch.einsum("ijab,jb->ia", T_ijab, value_TG), y_TD) < 1e-10
    future = torch.ones(len(y_TD), len(y_TD), dtype=torch.bool).triu(1)
    assert T_ijab[future].abs().max() <= 1e-14 * T_ijab.abs().max()


def assert_past_unchanged(before: Tensor, after: Tensor, token: int, tolerance: float) -> None:
    """Hold the outputs before `token` to be equal, bit for bit where the tolerance is zero."""
    if tolerance == 0:
        assert torch.equal(before[:, :token], after[:, :token])
    else:
        error = (before[:, :token] - after[:, :token]).abs().max()
        assert error <= tolerance * before[:, :token].abs().max()


def perturbed(x_BTD: Tensor, token: int) -> Tensor:
    return torch.cat((x_BTD[:, :token], x_BTD[:, token : token + 1] + 3, x_BTD[:, token + 1 :]), dim=1)


def uniform_tokens(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    tokens = torch.randint(VOCABULARY, (ROWS, LENGTH + 1), generator=generator)
    return tokens[:, :-1], tokens[:, 1:]


def fresh_loss(model: LanguageModel, steps: int = 100) -> float:
    """Train on fresh independent uniform tokens and return the mean loss on 8,192 more of them."""
    generator = torch.Generator().manual_seed(1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)

    def loss() -> Tensor:
        inputs, targets = uniform_tokens(generator)
        return functional.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())

    for _ in range(steps):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    with torch.no_grad():
        return sum(float(loss()) for _ in range(32)) / 32


def worst_token(value_BTD: Tensor, truth_BTD: Tensor) -> float:
    """Return the largest relative error of a single token's output."""
    return float(((value_BTD - truth_BTD).norm(dim=-1) / truth_BTD.norm(dim=-1)).max())


def decoded(backbone: Backbone, x_BTD: Tensor, cache: DecodingCache) -> Tensor:
    """Feed the tokens one at a time."""
    return torch.stack([backbone.step(x_BD, cache) for x_BD in x_BTD.unbind(1)], 1)


def declared_elements(cache: DecodingCache, batch_size: int) -> float:
    """Return the elements of one sequence, after making sure that no tensor is a view of something larger."""
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in cache.tensors()}
    assert sum(storages.values()) == cache.nbytes
    sizes = {tensor.element_size() for tensor in cache.tensors()}
    return cache.nbytes / batch_size / sizes.pop() if sizes else 0


def assert_no_parameter_is_dead(model: LanguageModel) -> None:
    """Not one number of one tensor: each moves the loss at the initialisation, but for what moves it from the second step on.

    S4D starts its first mode without rotation and its input weights as ones: this mode's state is real, and the imaginary part of
    the weight that reads it does nothing until rotation or input weight have moved.
    """
    model = model.double()
    tokens = torch.randint(model.vocabulary_size, (4, 40), generator=torch.Generator().manual_seed(0))
    still = gradients(model, tokens)
    for liv in model.backbone.livs:
        if liv.sizes.liv_class.is_complex and "C" in liv.featurizer:
            still[f"backbone.livs.{liv.position}.featurizer.C.features"][1, 0] = 1.0
    with torch.no_grad():
        for parameter in model.parameters():
            parameter -= 1e-2 * parameter.grad
    for found in (still, gradients(model, tokens)):
        for name, gradient in found.items():
            assert gradient.isfinite().all(), name
            assert gradient.count_nonzero() == gradient.numel(), name
            assert gradient.norm() > 1e-9, name


def gradients(model: LanguageModel, tokens: Tensor) -> dict[str, Tensor]:
    """Return the gradient of every parameter."""
    model.zero_grad()
    functional.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten()).backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


def liv_gradient_norms(genome: str, catalogue: Catalogue = STAR) -> list[float]:
    """Return the norm of the gradient of each LIV's own parameters at the initialisation."""
    model = LanguageModel.from_genome(genome, width=32, vocabulary_size=64, catalogue=catalogue, seed=0)
    tokens = torch.randint(64, (2, 33), generator=torch.Generator().manual_seed(0))
    functional.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten()).backward()
    return [float(torch.cat([p.grad.flatten() for p in liv.parameters()]).norm()) for liv in model.backbone.livs]


def assert_bounded(norms: list[float], ratio: float) -> None:
    assert all(0 < norm < float("inf") for norm in norms)
    assert max(norms) / min(norms) < ratio, f"largest over smallest gradient norm: {max(norms) / min(norms):.3g}"
