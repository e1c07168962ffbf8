"""The public surface of DESIGN section 5, as a user would type it."""

import copy
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional

from helpers import relative, sharing_genomes
from star_search import Genome, LanguageModel
from star_search.errors import InputError

TEXT = "21211-31112-21221-32112"


def surface_model(**options: object) -> LanguageModel:
    return LanguageModel.from_genome(Genome.parse(TEXT), width=64, vocabulary_size=256, catalogue="star", seed=0, **options)


def tokens(rows: int, length: int, vocabulary: int = 256) -> torch.Tensor:
    return torch.randint(vocabulary, (rows, length), generator=torch.Generator().manual_seed(0))


def test_genome_surface() -> None:
    genome = Genome.parse(TEXT)
    assert genome.format() == TEXT
    assert genome.canonical("star").format() == "21211-31112-21211-31112"
    assert genome.repair("star", np.random.default_rng(0)) == genome
    assert [(group.kind, group.members) for group in genome.sharing("star").groups] == [("featurizer", (0, 2)), ("features", (1, 3))]
    with pytest.raises(InputError, match="LIV 1: class 99"):
        LanguageModel.from_genome(Genome.parse("(99)1111"), width=64, vocabulary_size=256)
    assert Genome.parse("(99)1111").repair("star", np.random.default_rng(0)).livs[0].liv_class in range(1, 28)


def test_model_surface() -> None:
    model = surface_model()
    tokens_BT = tokens(2, 128)
    logits_BTV = model(tokens_BT)
    assert logits_BTV.shape == (2, 128, 256)
    cache = model.init_cache(batch_size=2, max_length=128)
    decoded = []
    for tokens_B in tokens_BT.unbind(1):
        logits_BV, cache = model.step(tokens_B, cache)
        decoded.append(logits_BV)
    assert relative(torch.stack(decoded, 1), logits_BTV) < 1e-4
    assert cache.nbytes * 2 / 4 / 2 == model.cache_bytes(length=128)
    # LIVs 1 and 3 hold a state of 64 * 16 + 64 each; LIVs 2 and 4 hold one k and v of 64 / 4 for every token.
    assert model.cache_bytes(length=128) == 2 * (2 * (64 * 16 + 64) + 2 * 16 * 128)
    # LIV 3 owns its output map alone, LIV 4 its q and output map; five norms.
    assert model.parameter_count() == 4 * 64**2 + 5 * 64**2 // 2 + 64**2 + 2 * 64**2 + 5 * 64


def test_prefill_gives_the_logits_of_the_prompt() -> None:
    model, tokens_BT = surface_model(), tokens(1, 40)
    logits, cache = model.prefill(tokens_BT[:, :39], model.init_cache(batch_size=1, max_length=40))
    last, cache = model.step(tokens_BT[:, 39], cache)
    assert relative(torch.cat((logits, last.unsqueeze(1)), 1), model(tokens_BT)) < 1e-4
    assert cache.length == 40


def test_materialize_surface() -> None:
    model = surface_model().double()
    x_TD = torch.randn(6, 64, dtype=torch.float64)
    livs = model.backbone.livs
    T_ijab = livs[0].materialize(x_TD)
    assert relative(torch.einsum("ijab,jb->ia", T_ijab, x_TD), livs[0](x_TD.unsqueeze(0))[0][0]) < 1e-12
    _, features = livs[1](x_TD.unsqueeze(0))
    expected = livs[3](x_TD.unsqueeze(0), features)[0][0]
    for shared in (features, {name: tensor[0] for name, tensor in features.items()}):
        T_ijab = livs[3].materialize(x_TD, shared=shared)
        assert relative(torch.einsum("ijab,jb->ia", T_ijab, features["v"][0]), expected) < 1e-12
    with pytest.raises(ValueError, match="shared="):
        livs[3].materialize(x_TD)


def test_a_genome_may_be_text_and_the_catalogue_by_name() -> None:
    first, second = (LanguageModel.from_genome(each, 64, 16, seed=0) for each in (TEXT, Genome.parse(TEXT)))
    assert torch.equal(first(tokens(1, 5, 16)), second(tokens(1, 5, 16)))
    paper = LanguageModel.from_genome("11111-91111", 64, 16, catalogue="paper", seed=0)
    assert paper.backbone.catalogue.name == "paper"
    assert paper.backbone.catalogue[2].name == "SA-Conv"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("11111-91112", "LIV 2: feature strategy 2 is not legal for GMemless"),
        ("11113-11114", "LIV 2: feature strategy 4 differs from 3"),
        ("11111-13111", "LIV 2: featurizer group 3"),
        ("11111-(40)1111", "LIV 2: class 40 is not in catalogue star"),
    ],
)
def test_an_illegal_genome_is_refused_naming_the_gene(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as error:
        LanguageModel.from_genome(text, width=64, vocabulary_size=16)
    assert text in str(error.value)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"vocabulary_size": 0}, "vocabulary_size must be a whole number of at least 1, got 0"),
        ({"vocabulary_size": 16.0}, "vocabulary_size must be a whole number of at least 1, got 16.0"),
        ({"width": 64.0}, "width must be a whole number of at least 1, got 64.0"),
        ({"dropout": 2.0}, "dropout must be a number of at least 0 and below 1, got 2.0"),
        ({"dropout": "a"}, "dropout must be a number of at least 0 and below 1, got 'a'"),
        ({"router_top_k": "a"}, "router_top_k must be a whole number of at least 1, got 'a'"),
        ({"router_top_k": 1.5}, "router_top_k must be a whole number of at least 1, got 1.5"),
        ({"initialisation": None}, "unknown initialisation 'None'"),
    ],
)
def test_an_option_out_of_its_bounds_is_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(sentence)}"):
        LanguageModel.from_genome("11111", **{"width": 64, "vocabulary_size": 16} | options)


def test_a_width_that_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="width 60 must be a multiple of 8"):
        LanguageModel.from_genome("11111", width=60, vocabulary_size=16)


def test_the_residual_stream_begins_16_times_the_embedding_and_logits_with_half_a_standard_deviation() -> None:
    model = LanguageModel.from_genome("11111-91111", width=128, vocabulary_size=256, seed=0)
    with torch.no_grad():
        data = tokens(8, 65)
        assert float(model.embed(data).std()) == pytest.approx(16 * 0.5 / 128**0.5, rel=0.02)
        others = torch.arange(256) != data.unsqueeze(-1)
        assert float(model(data)[others].std()) == pytest.approx(0.5, rel=0.1)


def test_a_seed_is_independent_of_the_global_generator() -> None:
    genome = "-".join(f"{class_id}1111" for class_id in range(1, 10))

    def weights(global_seed: int, seed: int | None) -> torch.Tensor:
        torch.manual_seed(global_seed)
        torch.rand(global_seed)
        model = LanguageModel.from_genome(genome, width=64, vocabulary_size=16, seed=seed)
        return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])

    assert torch.equal(weights(1, 0), weights(2, 0))
    assert not torch.equal(weights(1, 0), weights(1, 1))
    assert not torch.equal(weights(1, None), weights(2, None))
    assert torch.equal(weights(1, None), weights(1, None))


def test_dropout_acts_in_training_mode_only() -> None:
    plain, dropped = surface_model(), surface_model(dropout=0.5)
    data = tokens(2, 20)
    assert not torch.equal(dropped.train()(data), dropped(data))
    assert torch.equal(dropped.eval()(data), dropped(data))
    assert torch.equal(dropped.eval()(data), plain(data))
    assert torch.equal(plain.train()(data), plain.eval()(data))


@pytest.mark.parametrize("genome", [TEXT, *sharing_genomes()[::3]])
def test_a_state_dict_holds_every_tensor_once_and_goes_through_safetensors(genome: str, tmp_path: Path) -> None:
    model, other = (LanguageModel.from_genome(genome, 64, 16, residual="scaled", seed=seed) for seed in (0, 1))
    state = model.state_dict()
    assert len({tensor.data_ptr() for tensor in state.values()}) == len(state) == len(list(model.parameters()))
    assert sum(tensor.numel() for tensor in state.values()) == model.parameter_count() + 16 * 64
    save_file(state, tmp_path / "model.safetensors")
    data = tokens(1, 9, 16)
    assert not torch.equal(other(data), model(data))
    other.load_state_dict(load_file(tmp_path / "model.safetensors"))
    assert torch.equal(other(data), model(data))


@pytest.mark.parametrize("genome", [TEXT, "51114-51214-51211", "81211-81112-81212"])
def test_tied_weights_stay_tied_in_a_copy_and_are_not_those_of_the_original(genome: str) -> None:
    model, data = LanguageModel.from_genome(genome, 64, 16, seed=0), tokens(1, 9, 16)
    before = model(data).detach()
    twin = copy.deepcopy(model)
    assert torch.equal(twin(data), before)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.mul_(1.5)
    for source, liv in zip(model.backbone.livs, twin.backbone.livs, strict=True):
        for name in liv.computed:
            for mine, theirs in zip(liv.group(name).parameters(), source.group(name).parameters(), strict=True):
                assert torch.equal(mine, 1.5 * theirs)
    assert torch.equal(model(data), before)


def test_a_model_built_on_meta_takes_weights_by_assignment() -> None:
    model, data = surface_model(), tokens(1, 9)
    with torch.device("meta"):
        hollow = surface_model()
    hollow.load_state_dict(model.state_dict(), assign=True)
    assert torch.equal(hollow(data), model(data))


def test_a_model_keeps_its_ties_in_another_precision() -> None:
    model, data = surface_model(), tokens(1, 9)
    assert relative(model.double()(data), surface_model()(data)) < 1e-5
    assert model.double()(data).dtype == torch.float64
    assert model.init_cache(1, 4).tensors()[0].dtype == torch.float64


def test_training_lowers_the_loss() -> None:
    """A repeating pattern is learnt by every class at once."""
    model = LanguageModel.from_genome("11111-51111-71111-91111", width=32, vocabulary_size=8, seed=0)
    data = torch.arange(65).remainder(8).repeat(4, 1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(40):
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(data[:, :-1]).flatten(0, 1), data[:, 1:].flatten())
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.05


def test_greedy_decoding_takes_the_best_of_every_forward_pass():
    model = LanguageModel.from_genome("11111-71111", 16, 32, seed=0)
    tokens = torch.tensor([3, 1, 4])
    found = model.greedy(tokens, 5)
    for _ in range(5):
        tokens = torch.cat((tokens, model(tokens[None])[0, -1:].argmax(-1)))
    assert found.tolist() == tokens[3:].tolist()
