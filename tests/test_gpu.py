"""What only a GPU can show: every class there as on the CPU, and a small search from end to end."""

import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def gpu():
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no NVIDIA GPU here")


def catalogue():
    """Return the shipped classes and those of the grid's tests."""
    from star_search.genome.catalogue import load_catalogue

    return load_catalogue(str(Path(__file__).parent / "liv" / "grid.yaml"))


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
    cache, steps = model.init_cache(2, 150), []
    for token in tokens.cuda().unbind(1):
        out, cache = model.step(token, cache)
        steps.append(out)
    assert float((torch.stack(steps, 1).cpu() - expected).norm() / expected.norm()) < 1e-4


def test_a_search_on_the_gpu_ends_with_a_front(tmp_path, monkeypatch, capsys):
    from star_search.cli import main

    monkeypatch.chdir(tmp_path)
    arguments = ["evolve", "--device", "cuda", "--set", "algorithm.generations=1", "--set", "algorithm.population=4"]
    for command in (arguments, ["inspect", "--json"]):
        capsys.readouterr()
        monkeypatch.setattr("sys.argv", ["star-search", *command])
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code
    shown = json.loads(capsys.readouterr().out)
    assert len(shown["candidates"]) == 8 and shown["front"]
    assert all(each["outcome"] == "ok" for each in shown["candidates"])
