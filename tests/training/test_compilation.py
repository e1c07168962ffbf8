"""The chain of compiled blocks computes what the model does, and a kind of LIV is compiled once."""

from types import SimpleNamespace

import pytest
import torch

from helpers import noise, relative, whole_space_genome
from star_search.config import TrainingConfig
from star_search.errors import InputError
from star_search.model.language_model import LanguageModel
from star_search.training import compilation, distributed, engine
from star_search.training.compilation import PLAIN, CompiledModel
from star_search.training.engine import CompiledLoss, dtype_of, engine_of
from star_search.training.loss import cross_entropy

# Traced like a compiled model, run operation by operation: what Inductor makes of it is for the GPU tests.
BACKEND = "eager"


def gradients(model, hidden):
    model.zero_grad()
    (hidden * noise(*hidden.shape)).sum().backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize(
    ("genome", "residual"),
    [
        ("11212-91111-11212-a1211-a1211", "plain"),
        ("71111-51111-91111", "scaled"),
        ("11112-71111-11112-91111|1213", "scaled"),
        (whole_space_genome(4, 1).format(), "plain"),
    ],
)
@pytest.mark.parametrize(("backend", "by_parts"), [(BACKEND, False), (BACKEND, True), (PLAIN, False)])
def test_hidden_states_and_gradients_are_the_models(genome, residual, backend, by_parts):
    model = LanguageModel.from_genome(genome, 64, 31, residual=residual, seed=0).train()
    tokens = torch.arange(2 * 33).reshape(2, 33) % 31
    expected = model.backbone(model.embed(tokens))
    there = gradients(model, expected)
    hidden = CompiledModel(model, 33, torch.float32, backend, by_parts).hidden(tokens)
    assert relative(hidden, expected) < 1e-5
    for name, gradient in gradients(model, hidden).items():
        assert float((gradient - there[name]).norm()) <= 1e-4 * max(1.0, float(there[name].norm())), name


@pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight")
def test_in_half_precision_the_embedding_gets_its_gradient():
    model = LanguageModel.from_genome("71111-91111", 64, 31, seed=0).train()
    tokens = torch.arange(2 * 33).reshape(2, 33) % 7
    there = gradients(model, model.backbone(model.embed(tokens)))["embedding"]
    with torch.autocast("cpu", torch.bfloat16):
        hidden = CompiledModel(model, 33, torch.bfloat16, PLAIN).hidden(tokens)
    here = gradients(model, hidden.float())["embedding"]
    assert here.dtype == torch.float32 and relative(here, there) < 2e-2
    assert torch.equal(here[7:], torch.zeros(24, 64))


@pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight")
@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-5), ("bfloat16", 3e-2)])
def test_head_and_embedding_share_a_gradient_which_later_parts_add_to(precision, tolerance):
    model = LanguageModel.from_genome("71111-91111", 64, 31, seed=0).train()
    tokens = torch.arange(4 * 33).reshape(4, 33) % 29
    targets = (tokens + 1) % 29
    cross_entropy(model, tokens, targets, "float32").backward()
    there = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    model.zero_grad()
    training = TrainingConfig(precision=precision)
    loss_of = CompiledLoss(CompiledModel(model, 33, dtype_of(training), PLAIN), training)
    for part in (slice(0, 2), slice(2, 4)):
        loss_of(tokens[part], targets[part], 0.5).backward()
    assert {name for name, gradient in there.items() if not relative(model.get_parameter(name).grad, gradient) < tolerance} == set()


def test_a_kind_is_compiled_once_whatever_the_model(monkeypatch):
    monkeypatch.setattr(compilation, "_blocks", {})
    for genome in ("11111-91111-11111-91111", "91111-11111", "11111-91111-71111"):
        CompiledModel(LanguageModel.from_genome(genome, 64, 31, seed=0), 33, torch.float32, BACKEND)
    assert len(compilation._blocks) == 3
    # Handing features on is another output, hence another kind; so is taking them.
    CompiledModel(LanguageModel.from_genome("11112-11112", 64, 31, seed=0), 33, torch.float32, BACKEND)
    assert len(compilation._blocks) == 5


def test_parts_serve_every_way_of_sharing_and_every_class_that_has_them(monkeypatch):
    monkeypatch.setattr(compilation, "_blocks", {})
    monkeypatch.setattr(compilation, "_parts", {})

    def parts_after(*genomes):
        for genome in genomes:
            CompiledModel(LanguageModel.from_genome(genome, 64, 31, seed=0), 33, torch.float32, BACKEND, by_parts=True)
        return len(compilation._parts)

    # The opening; q and k, which rotate; v; what follows from them.
    assert parts_after("11111-11111") == 4
    assert parts_after("11112-11112", "11113-11113", "11114-11114") == 4
    # GMemless has wider projections, both alike.
    assert parts_after("91111") == 6


@pytest.mark.parametrize(
    ("engine", "device", "kind"), [("auto", "cpu", "eager"), ("auto", "cuda", "graph"), ("compiled", "cpu", "compiled")]
)
def test_auto_is_a_graph_on_a_gpu_and_eager_on_a_cpu(engine, device, kind):
    assert engine_of(TrainingConfig(engine=engine), torch.device(device)) == kind


@pytest.mark.parametrize("engine", ["captured", "parts", "graph"])
def test_a_graph_without_a_gpu_is_refused(engine):
    sentence = rf"training\.engine {engine} needs a GPU, and this training runs on cpu; take auto, eager or compiled"
    with pytest.raises(InputError, match=sentence):
        engine_of(TrainingConfig(engine=engine), torch.device("cpu"))


@pytest.mark.parametrize(
    ("kind", "compiled", "by_parts"),
    [("eager", False, None), ("captured", False, None), ("compiled", True, False), ("graph", True, False), ("parts", True, True)],
)
def test_several_processes_run_an_engine_without_its_graph(monkeypatch, kind, compiled, by_parts):
    made = []
    monkeypatch.setattr(engine, "engine_of", lambda config, device: kind)
    monkeypatch.setattr(distributed, "DistributedSteps", lambda *arguments: made.append(arguments[3]))
    world = SimpleNamespace(is_alone=False, parallel="ddp", share=lambda rows: slice(0, rows // 2))
    model = LanguageModel.from_genome("11111-91111", 64, 31, seed=0)
    engine.build_steps(model, None, TrainingConfig(sequence_length=16, batch_tokens=64), world)
    assert isinstance(made[0], engine.CompiledLoss) == compiled
    if compiled:
        assert made[0].model.by_parts == by_parts
