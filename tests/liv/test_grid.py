"""Classes that no shipped catalogue has: those of grid.yaml and drawn ones are held to what must always hold (DESIGN 6.1 to 6.6)."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from helpers import class_parameters, lively_backbone, lone, noise, relative, uses_fft
from liv.conformance import (
    VOCABULARY,
    assert_bounded,
    assert_is_operator,
    assert_no_parameter_is_dead,
    assert_past_unchanged,
    bf16_errors,
    captured,
    declared_elements,
    decoded,
    errors,
    first_row,
    fresh_loss,
    in_precision,
    liv_gradient_norms,
    outputs_and_gradients,
    perturbed,
    scales,
    worst_token,
)
from liv.grid_draws import alone, drawn_class, neighbour_of
from star_search import Genome, LanguageModel
from star_search.genome.accounting import Accounting
from star_search.genome.catalogue import Catalogue, load_catalogue
from star_search.genome.genes import (
    CHANNEL_MIXING,
    FEATURIZER_CHANNEL_MIXING,
    FEATURIZER_TOKEN_MIXING,
    NONLINEARITY,
    PARAMETRISATION,
    SPARSITY,
    TOKEN_MIXING,
)
from star_search.genome.liv_class import LIVClass
from star_search.liv.attention import QUERY_CHUNK
from star_search.model.backbone import Backbone

GRID = load_catalogue(str(Path(__file__).with_name("grid.yaml")))
CLASSES = class_parameters(GRID)
SHARED = [
    pytest.param(f"({i})111{s}-91111-({i})121{s}-({i})1211", id=f"{GRID[i].name}-{s}")
    for i in GRID.ids
    if i > 27
    for s in GRID[i].feature_strategies[-1:]
]


def assert_causal(backbone: Backbone, length: int, catalogue: Catalogue) -> None:
    x = noise(1, length, backbone.width, dtype=torch.float64)
    with torch.no_grad():
        for use_reference in (False, True):
            tolerance = 1e-12 if uses_fft(backbone.genome, catalogue) and not use_reference else 0
            before = backbone(x, use_reference)
            for token in (1, 8, length // 2, length - 1):
                after = backbone(perturbed(x, token), use_reference)
                assert_past_unchanged(before, after, token, tolerance)
                assert not torch.equal(before[:, token], after[:, token])


def assert_decodes(backbone: Backbone, length: int, prompts: tuple[int, ...], tolerance: float) -> None:
    x = noise(2, length, backbone.width, dtype=backbone.norms[0].dtype)
    with torch.no_grad():
        expected = backbone(x)
        for prompt in prompts:
            cache = backbone.init_cache(2, length)
            assert 2 * declared_elements(cache, 2) == backbone.accounting.cache_bytes(length)
            read = backbone.prefill(x[:, :prompt], cache) if prompt else x[:, :0]
            assert worst_token(torch.cat((read, decoded(backbone, x[:, prompt:], cache)), 1), expected) <= tolerance
            assert 2 * declared_elements(cache, 2) == backbone.accounting.cache_bytes(length)


def assert_fast_is_reference(backbone: Backbone, length: int) -> None:
    fast, truth = (in_precision(backbone, length, torch.float64, use_reference) for use_reference in (False, True))
    assert max(errors(fast, truth, scales(backbone, length, truth)).values()) <= 1e-10


def assert_counted(genome: str, catalogue: Catalogue, width: int) -> None:
    with torch.device("meta"):
        model = LanguageModel.from_genome(genome, width, vocabulary_size=2, catalogue=catalogue)
    account = model.backbone.accounting
    assert model.parameter_count() == account.parameters, (genome, catalogue.classes.get(1))
    assert [sum(parameter.numel() for parameter in liv.parameters()) for liv in model.backbone.livs] == account.liv_parameters()
    for length in (1, 50):
        with torch.device("meta"):
            cache = model.init_cache(1, length)
        assert 2 * sum(tensor.numel() for tensor in cache.tensors()) == account.cache_bytes(length)


def test_the_grid_has_every_value_of_every_gene() -> None:
    classes = [each for class_id, each in GRID.classes.items() if class_id > 27]
    operators = {each.operator for each in classes}
    groups = [group for each in classes for group in each.groups.values()]
    for index, table in enumerate((TOKEN_MIXING, SPARSITY, NONLINEARITY, CHANNEL_MIXING), 1):
        assert {operator[index] for operator in operators} == set(table)
    assert {group.token_mixing for group in groups} == set(FEATURIZER_TOKEN_MIXING)
    assert {group.channel_mixing for group in groups} == set(FEATURIZER_CHANNEL_MIXING)
    assert {group.parametrisation for group in groups} == set(PARAMETRISATION)
    assert {1, 2, 4} <= {group.repeat for group in groups}


@pytest.mark.parametrize("class_id", CLASSES)
def test_no_output_sees_a_later_token(class_id: int) -> None:
    assert_causal(lively_backbone(lone(class_id), dtype=torch.float64, catalogue=GRID), 130, GRID)


@pytest.mark.slow
def test_independent_uniform_tokens_cannot_be_predicted_by_a_stack_of_all() -> None:
    genome = "-".join(lone(class_id) for class_id in GRID.ids if class_id > 27)
    model = LanguageModel.from_genome(genome, 32, VOCABULARY, GRID, seed=0)
    assert math.log(VOCABULARY) - 0.02 <= fresh_loss(model, steps=40) < math.log(VOCABULARY) + 1


@pytest.mark.parametrize("class_id", CLASSES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)], ids=["fp32", "fp64"])
def test_fast_form_is_the_reference_form(class_id: int, dtype: torch.dtype, tolerance: float) -> None:
    for length in (1, 2, 130):
        liv = lively_backbone(lone(class_id), catalogue=GRID).livs[0]
        fast, truth = (in_precision(liv, length, dtype, use_reference) for use_reference in (False, True))
        sizes = scales(liv, length, in_precision(liv, length, torch.float64, use_reference=True))
        wrong = {name: error for name, error in errors(fast, truth, sizes).items() if not error <= tolerance}
        assert not wrong, f"length {length}: {wrong}"


@pytest.mark.parametrize("class_id", CLASSES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-10)], ids=["fp32", "fp64"])
def test_decoding_is_the_forward(class_id: int, dtype: torch.dtype, tolerance: float) -> None:
    assert_decodes(lively_backbone(lone(class_id), dtype=dtype, catalogue=GRID), 40, (0, 1, 17), tolerance)


@pytest.mark.parametrize("class_id", CLASSES)
def test_decoding_in_bf16_keeps_state_in_bf16(class_id: int) -> None:
    backbone = lively_backbone(lone(class_id), dtype=torch.bfloat16, catalogue=GRID)
    cache, x = backbone.init_cache(1, 12), noise(1, 12, 64, dtype=torch.bfloat16)
    with torch.no_grad():
        read = torch.cat((backbone.prefill(x[:, :5], cache), decoded(backbone, x[:, 5:], cache)), 1)
        assert relative(read, backbone(x)) < 0.03
    assert {tensor.dtype for tensor in cache.tensors()} <= {torch.bfloat16}


@pytest.mark.parametrize("class_id", CLASSES)
@pytest.mark.parametrize("autocast", [False, True], ids=["bf16", "autocast"])
def test_fast_form_errs_in_bf16_at_most_twice_as_much_as_the_reference_form(class_id: int, autocast: bool) -> None:
    """Under autocast, factors per channel stay in fp32 where projections are in bf16: forms meet both in one operator."""
    plain, fast = bf16_errors(class_id, autocast, GRID, seeds=4, lengths=(40, 130))
    wrong = {name: (error, plain[name]) for name, error in fast.items() if not error <= 2 * plain[name]}
    assert not wrong, f"(fast form's error, reference form's error): {wrong}"


@pytest.mark.parametrize("class_id", CLASSES)
@pytest.mark.parametrize("width", [64, 128, 768])
def test_it_is_counted_as_declared(class_id: int, width: int) -> None:
    assert_counted(lone(class_id), GRID, width)


@pytest.mark.parametrize("class_id", CLASSES)
def test_materialize_is_the_forward(class_id: int) -> None:
    width = 8 * GRID[class_id].branches
    liv, x = lively_backbone(lone(class_id), width, torch.float64, catalogue=GRID).livs[0], noise(19, width, dtype=torch.float64)
    T_ijab = liv.materialize(x)
    assert_is_operator(T_ijab, x, liv(x.unsqueeze(0))[0][0])
    assert (T_ijab[1, 0].abs().max() > 1e-6) == GRID[class_id].is_mixer


@pytest.mark.parametrize("class_id", CLASSES)
def test_no_parameter_is_dead(class_id: int) -> None:
    assert_no_parameter_is_dead(LanguageModel.from_genome(lone(class_id), 32, 16, GRID, "scaled", seed=0))


@pytest.mark.parametrize("scheme", ["residual_scaled", "xavier", "kaiming"])
def test_every_parameter_is_drawn_from_the_generator(scheme: str) -> None:
    genome = "-".join(lone(class_id) for class_id in GRID.ids if class_id > 27)
    first, second = (LanguageModel.from_genome(genome, 64, 4, GRID, initialisation=scheme, seed=0) for _ in range(2))  # type: ignore[arg-type]
    for (name, parameter), again in zip(first.named_parameters(), second.parameters(), strict=True):
        assert parameter.isfinite().all(), name
        assert torch.equal(parameter, again), name


def test_gradients_are_bounded_in_a_stack_of_all() -> None:
    assert_bounded(liv_gradient_norms("-".join(lone(class_id) for class_id in GRID.ids if class_id > 27), GRID), 1000)


@pytest.mark.parametrize("class_id", [41, 43, 44], ids=lambda each: GRID[each].name)
def test_no_scores_are_kept_for_the_backward_pass(class_id: int) -> None:
    """Beyond a chunk of queries: what autograd keeps is as long as the sequence, not as its square."""
    length, kept = 600, []
    liv, x = lively_backbone(lone(class_id), catalogue=GRID).livs[0], noise(1, length, 64)

    def pack(tensor: Tensor) -> Tensor:
        kept.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        liv(x)[0].sum().backward()
    assert max(kept) <= 2 * length * 64 < 4 * QUERY_CHUNK * length < 4 * length * length


@pytest.mark.parametrize("genome", SHARED)
def test_sharing_keeps_all_of_it(genome: str) -> None:
    backbone = lively_backbone(genome, dtype=torch.float64, catalogue=GRID)
    assert_decodes(backbone, 21, (0, 9), 1e-10)
    assert_fast_is_reference(backbone, 21)
    assert_causal(backbone, 21, GRID)
    assert_counted(genome, GRID, 64)
    small = lively_backbone(genome, 16, torch.float64, catalogue=GRID)
    for liv, x, shared, y in captured(small, noise(1, 9, 16, dtype=torch.float64)):
        value = x[0] if "v" in liv.computed else shared["v"][0]
        assert_is_operator(liv.materialize(x[0], shared=first_row(liv, shared)), value, y[0])


def test_drawn_classes_are_counted_as_declared() -> None:
    for seed in range(300):
        liv_class = drawn_class(seed)
        strategy = liv_class.feature_strategies[-1]
        assert_counted(f"1111{strategy}-1121{strategy}-11211", alone(liv_class), 64)


@pytest.mark.parametrize("seed", range(40))
def test_a_drawn_class_keeps_what_must_hold(seed: int) -> None:
    catalogue = alone(drawn_class(1000 + seed))
    backbone = lively_backbone("11111", 16, torch.float64, catalogue=catalogue)
    assert_fast_is_reference(backbone, 35)
    assert_causal(backbone, 35, catalogue)
    assert_decodes(backbone, 20, (0, 11), 1e-10)
    x: Tensor = noise(9, 16, dtype=torch.float64)
    assert_is_operator(backbone.livs[0].materialize(x), x, backbone.livs[0](x.unsqueeze(0))[0][0])
    found = outputs_and_gradients(backbone, noise(2, 40, 16, dtype=torch.float64), noise(2, 40, 16, seed=2, dtype=torch.float64), False)
    assert all(float(tensor.norm()) > 1e-9 for tensor in found.values()), {n: float(t.norm()) for n, t in found.items()}


def decoded_class(liv_class: LIVClass) -> tuple[list[tuple[str, torch.Size]], int, Tensor]:
    """Return what can differ between two models of one seed: parameters, cache, outputs."""
    model = LanguageModel.from_genome("11111", 16, 11, alone(liv_class), seed=0).double()
    tokens = torch.randint(11, (1, 12), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return [(name, p.shape) for name, p in model.named_parameters()], model.cache_bytes(12), model(tokens)


def test_every_gene_of_a_class_matters() -> None:
    """Another legal value of any gene that a class has is another model; genes that must change together are left alone."""
    changed = set()
    for seed in range(120):
        liv_class = drawn_class(2000 + seed)
        parameters, cache_bytes, outputs = decoded_class(liv_class)
        gene, neighbour = neighbour_of(liv_class, seed)
        other = decoded_class(neighbour)
        assert other[:2] != (parameters, cache_bytes) or not torch.equal(other[2], outputs), (liv_class, gene)
        changed.add(gene)
    assert {"differential", "operator sparsity", "operator nonlinearity", "operator channel_mixing"} <= changed
    assert {"v token_mixing", "v channel_mixing", "A expansion", "A parametrisation", "kernel parametrisation"} <= changed


def test_sizes_are_those_written_out_by_hand() -> None:
    """Width 64 with 4 heads of 16; the output map has d^2 parameters."""
    d, H, P, T = 64, 4, 16, 50
    parameters = {
        41: d * d + 2 * d * d // 2 + d * d,  # q; k and v for half the heads
        42: 2 * d + (d * P + 3 * d) + 2 * d * P + d * d,  # two factors a channel; v a head and its convolution; q a head, twice as wide
        45: d * d + d * d // 4 + d * d // 4 + d * d + 4 * P // 2,  # a matrix for the one key head is dense; lambda
        49: (H * d + 3 * H) + d * P + d + 5 * H + d * d,  # B with its convolution; v; C; the kernel
        51: d + (d + 3 * d) + d * P + 33 * d + d * d,
        53: (4 * d + 3 * 4) + d * d + 4 * d + 4 * d + (d + 3 * d) + d * d + d + 4 * P // 2,  # B, v, A, C, gate, output, norm, lambda
        54: (d * P + d + 4 * d) + 2 * (4 * d + 3 * 4) + (d * d + 3 * d) + d * d + d * d + d,
        56: 3 * d + H * 3 * d + d * d + H + d * d + d * d + d,
        62: d + d * P + d * d,
        63: d * P + H * d + d * d,
    }
    cache = {41: 2 * (d // 2) * 8, 42: 8 * (2 * d + d) + 2 * d, 46: d // 2 * (P + 1) + 2 * d // 4, 49: 4 * d + 2 * H, 51: 32 * d + 2 * d}
    for class_id, expected in parameters.items():
        assert Accounting.of(Genome.parse(lone(class_id)), d, GRID).operator_parameters == expected, GRID[class_id].name
    for class_id, expected in cache.items():
        assert Accounting.of(Genome.parse(lone(class_id)), d, GRID).cache_bytes(T) == 2 * expected, GRID[class_id].name
