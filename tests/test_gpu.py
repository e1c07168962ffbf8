"""What only a GPU can show: every class there as on the CPU, engines and micro-batches, and a small search."""

import json

import pytest

from engines import CATALOGUE, Job, compare_all
from helpers import lone, whole_space_genome

pytestmark = pytest.mark.gpu


def catalogue():
    """Return the shipped classes and those of the grid's tests."""
    from star_search.genome.catalogue import load_catalogue

    return load_catalogue(str(CATALOGUE))


# LIVs in parallel by weights and by routers, features shared within a block and across; classes of the genome's own.
COMPOSED = [
    "11112-71111-11112-91111|1213",
    "51112-71211-51112-71211|1313",
    "21111-61111-i1111-91111-f1111|12223",
    *(whole_space_genome(4, seed).format() for seed in range(3)),
]
JOBS = [Job(genome, precision) for genome in [*COMPOSED, *map(lone, catalogue().ids)] for precision in ("float32", "bfloat16")]


@pytest.fixture(scope="module", autouse=True)
def comparisons(request):
    """Begin the comparisons that were asked for; the other tests run meanwhile."""
    import torch

    asked = [item.callspec.params["job"] for item in request.session.items if "job" in getattr(item, "fixturenames", ())]
    if not asked or not torch.cuda.is_available():
        yield {}
        return
    from star_search.config import DataConfig
    from star_search.data.store import prepare

    prepare(DataConfig())
    pool, futures = compare_all(asked)
    yield futures
    pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("class_id", catalogue().ids)
def test_a_model_on_the_gpu_computes_what_it_computes_on_the_cpu(class_id):
    import torch

    from star_search import LanguageModel

    torch.backends.cuda.matmul.allow_tf32 = False
    model = LanguageModel.from_genome(f"({class_id})1111-91111", 64, 64, catalogue(), seed=0)
    tokens = torch.randint(0, 64, (2, 150))
    expected = model(tokens).detach()
    model.cuda()
    logits = model(tokens.cuda())
    assert float((logits.cpu() - expected).norm() / expected.norm()) < 1e-5
    logits.square().mean().backward()
    with torch.autocast("cuda", torch.bfloat16):
        model(tokens.cuda()).square().mean().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())
    cache, steps, decoded = model.init_cache(2, 150), [], expected[:, :70]
    for token in tokens[:, :70].cuda().unbind(1):
        out, cache = model.step(token, cache)
        steps.append(out)
    assert float((torch.stack(steps, 1).cpu() - decoded).norm() / decoded.norm()) < 1e-4


@pytest.mark.parametrize("genome", [*COMPOSED, *map(lone, catalogue().ids)])
def test_decoding_by_a_graph_is_plain_decoding(genome):
    import torch

    from star_search import LanguageModel

    model = LanguageModel.from_genome(genome, 64, 64, catalogue(), router_top_k=1, seed=0).double().cuda().eval()
    prompt = torch.arange(9, device="cuda") * 7
    logits, cache = model.prefill(prompt[None], model.init_cache(1, 9 + 60), last_only=True)
    plain = [logits[:, 0].argmax(-1)]
    while len(plain) < 60:
        plain.append(model.step(plain[-1], cache)[0].argmax(-1))
    assert torch.equal(model.greedy(prompt, 60), torch.cat(plain))


def held_after(work):
    """Return the bytes of tensors and workspaces that stay when a piece of work is over."""
    import gc

    import torch

    work()
    gc.collect()
    torch.cuda.synchronize()
    return torch.cuda.memory_allocated()


def test_every_decoding_by_a_graph_leaves_the_memory_of_the_first():
    import torch

    from star_search import LanguageModel

    def decode():
        model = LanguageModel.from_genome("11111-91111", 64, 64, seed=0).bfloat16().cuda().eval()
        model.greedy(torch.arange(9, device="cuda"), 20)

    first = held_after(decode)
    assert [held_after(decode) for _ in range(3)] == [first] * 3


@pytest.mark.parametrize("task", ["in-context-recall", "compression"])
def test_mad_by_a_graph_learns_as_step_by_step(task):
    import torch

    from star_search.config import parse_configuration
    from star_search.config_objectives import MADConfig
    from star_search.objectives.mad.objective import _model
    from star_search.objectives.mad.tasks import examples
    from star_search.objectives.mad.training import _Steps

    torch.backends.cuda.matmul.allow_tf32 = False
    found = examples(task, 72, 16, 0)
    inputs, targets = (torch.from_numpy(array).cuda() for array in (found.inputs, found.targets))

    def losses(replayed):
        torch.manual_seed(0)
        config = parse_configuration({"space": {"width": 64}})
        steps = _Steps(_model(config, TestEngines.GENOME, task, 0).cuda().train(), MADConfig(), torch.device("cuda"))
        for _ in range(10):
            for rows in torch.arange(72).split(16):  # The last eight are no batch of the graph.
                steps._rate.fill_(1e-3)
                take = (lambda *batch: steps.take(*batch, 1e-3)) if replayed else steps._take
                yield take(inputs[rows], targets[rows]).item()

    expected = list(losses(False))
    assert expected[-1] < expected[0]
    assert list(losses(True)) == pytest.approx(expected, rel=5e-3)


def test_a_search_on_the_gpu_ends_with_a_front(tmp_path, monkeypatch, capsys):
    from star_search.cli import main

    monkeypatch.chdir(tmp_path)
    # Few kinds of LIV: each is compiled for seconds when the cache is empty.
    small = [
        "algorithm.generations=1",
        "algorithm.population=4",
        "space.classes=[1, 5, 7, 9]",
        "space.sharing=false",
        "training.tokens=65536",
    ]
    arguments = ["evolve", "--device", "cuda", *(word for each in small for word in ("--set", each))]
    for command in (arguments, ["inspect", "--json"]):
        capsys.readouterr()
        monkeypatch.setattr("sys.argv", ["star-search", *command])
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code
    shown = json.loads(capsys.readouterr().out)
    assert len(shown["candidates"]) == 8 and shown["front"]
    assert all(each["outcome"] == "ok" for each in shown["candidates"])


@pytest.fixture(scope="module")
def stream():
    from star_search.config import DataConfig
    from star_search.data.store import prepare
    from star_search.data.stream import TokenStream

    return TokenStream(prepare(DataConfig()), 256, 8, 0)


class TestEngines:
    """Graphs and compiled blocks train as eager steps do."""

    GENOME = "11212-91111-51111-91111-71111-61111-11212-81111"
    EVERY_CLASS = "-".join(map(lone, range(1, 28)))

    def curve(self, stream, genome=GENOME, **changes):
        from star_search import LanguageModel
        from star_search.config import TrainingConfig
        from star_search.training.trainer import train

        values = {"tokens": 2048 * 50, "sequence_length": 256, "batch_tokens": 2048, "warmup_steps": 10, **changes}
        model = LanguageModel.from_genome(genome, 128, stream.store.vocabulary_size, seed=0).cuda()
        return [loss for _, loss in train(model, stream, TrainingConfig(**values), 9.0).curve]

    @pytest.mark.parametrize("engine", ["compiled", "captured", "parts", "graph"])
    def test_losses_are_those_of_eager_steps(self, stream, engine):
        expected = self.curve(stream, engine="eager")
        assert expected[-1] < expected[0] - 1
        assert self.curve(stream, engine=engine) == pytest.approx(expected, abs=5e-3)

    @pytest.mark.parametrize("engine", ["captured", "parts", "graph"])
    def test_half_precision_stays_within_its_noise(self, stream, engine):
        expected = self.curve(stream, engine="eager", precision="bfloat16")
        assert self.curve(stream, engine=engine, precision="bfloat16") == pytest.approx(expected, abs=5e-2)

    @pytest.mark.parametrize("engine", ["compiled", "captured", "parts", "graph"])
    def test_candidates_are_judged_as_by_whole_logits(self, stream, engine):
        from star_search import LanguageModel
        from star_search.config import TrainingConfig
        from star_search.training.trainer import compiled_judge, evaluate

        model = LanguageModel.from_genome(self.GENOME, 128, stream.store.vocabulary_size, seed=0).cuda()
        batches = stream.validation_batches(256 * 83, 8)  # The last of ten and a part.
        judge = compiled_judge(model, TrainingConfig(sequence_length=256, batch_tokens=2048, engine=engine), 8, engine)
        expected, found = evaluate(model, batches), evaluate(model, batches, judge=judge)
        assert found.loss == pytest.approx(expected.loss, rel=1e-5) and found.tokens == 256 * 83
        assert [each.loss for each in found.subsets.values()] == pytest.approx([e.loss for e in expected.subsets.values()], rel=1e-5)

    @pytest.mark.parametrize(
        ("engine", "genome"),
        [
            ("eager", EVERY_CLASS),
            ("captured", EVERY_CLASS),
            ("parts", GENOME),
            ("graph", GENOME),
        ],
    )
    def test_a_deterministic_training_repeats_itself_bit_for_bit(self, engine, genome):
        from star_search.config import DataConfig
        from star_search.data.store import prepare
        from star_search.data.stream import TokenStream

        stream = TokenStream(prepare(DataConfig()), 1024, 4, 0)
        changes = {"tokens": 4096 * 20, "sequence_length": 1024, "batch_tokens": 4096, "precision": "bfloat16", "deterministic": True}
        first = self.curve(stream, genome, engine=engine, **changes)
        assert len(first) == 20 and self.curve(stream, genome, engine=engine, **changes) == first

    def test_every_training_by_a_graph_leaves_the_memory_of_the_first(self, stream):
        first = held_after(lambda: self.curve(stream, engine="captured"))
        assert [held_after(lambda: self.curve(stream, engine="captured")) for _ in range(3)] == [first] * 3

    def test_micro_batches_change_nothing_beyond_rounding(self, stream):
        assert self.curve(stream, micro_batch_rows=2) == pytest.approx(self.curve(stream), abs=5e-3)

    def test_a_captured_training_that_diverges_is_unstable(self, stream):
        from star_search.runs.records import Outcome
        from star_search.training.stability import Unhealthy

        with pytest.raises(Unhealthy) as error:
            self.curve(stream, learning_rate=1e6, gradient_clip=1e9)
        assert error.value.outcome == Outcome.unstable
        assert error.value.tokens <= 2048 * 50

    def test_rows_are_halved_when_a_capture_runs_out_of_memory(self, stream):
        import torch

        from star_search import LanguageModel
        from star_search.config import TrainingConfig
        from star_search.training.engine import _graph_steps
        from star_search.training.loss import cross_entropy

        model = LanguageModel.from_genome("11111-91111", 128, stream.store.vocabulary_size, seed=0).cuda().train()

        def loss_of(inputs, targets, share):
            if len(inputs) > 2:
                torch.empty(2**45, dtype=torch.uint8, device="cuda")
            return share * cross_entropy(model, inputs, targets, "float32")

        training = TrainingConfig(tokens=4096, sequence_length=256, batch_tokens=2048)
        steps = _graph_steps(model, stream, training, loss_of, 8)
        assert steps.at_once == 2
        steps.run(0)
        (loss, norm), *_ = steps.mark()()
        assert 4 < loss < 8 and norm > 0


@pytest.mark.parametrize("job", JOBS, ids="-".join)
def test_a_graph_trains_as_eager_steps_do(comparisons, job):
    problem = comparisons[job].result()
    if problem:
        pytest.fail(problem, pytrace=False)


@pytest.mark.parametrize("dropout", ["0", "0.1"])
def test_a_training_by_graph_goes_on_from_a_checkpoint_bit_for_bit(tmp_path, dropout):
    import shutil
    import subprocess
    import sys

    def run(*arguments):
        command = [sys.executable, "-m", "star_search.cli", "train", *arguments, "--device", "cuda:0", "--quiet"]
        subprocess.run(command, cwd=tmp_path, check=True, timeout=300)

    model = ("striped-mamba", "--depth", "8", "--tokens", "16384", "--checkpoint-steps", "16", "--set", f"training.dropout={dropout}")
    run(*model, "--out", "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "cut")
    for left in ("result.json", "checkpoints/step-00000032.safetensors"):
        (tmp_path / "cut" / left).unlink()
    shutil.rmtree(tmp_path / "cut" / "export")
    run("--resume", "--out", "cut")
    results = [json.loads((tmp_path / name / "result.json").read_text()) for name in ("whole", "cut")]
    assert results[0]["curve"] == results[1]["curve"]
    assert results[0]["validation"] == results[1]["validation"]


@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_two_gpus_train_what_one_trains(tmp_path, parallel):
    import subprocess
    import sys

    import torch

    if torch.cuda.device_count() < 2:
        pytest.skip("one GPU here")
    model = ("striped-mamba", "--depth", "8", "--tokens", "16384", "--quiet")
    for name, several in (("one", ()), ("two", ("--devices", "2", "--parallel", parallel))):
        command = [sys.executable, "-m", "star_search.cli", "train", *model, "--device", "cuda", *several, "--out", name]
        subprocess.run(command, cwd=tmp_path, check=True, timeout=600)
    one, two = (json.loads((tmp_path / name / "result.json").read_text()) for name in ("one", "two"))
    assert two["measured"]["processes"] == 2
    for (_, loss), (_, expected) in zip(two["curve"], one["curve"], strict=True):
        assert loss == pytest.approx(expected, rel=1e-3)
