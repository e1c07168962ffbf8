"""The exported folder under transformers: the same logits, the same text."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from export.hand_made import EVERY_CLASS, OWN_CLASSES, SHARING, WHOLE_SPACE, configuration, lively_model, record_of
from star_search.data.tokenizer import load_tokenizer
from star_search.export.loading import ExportedModel
from star_search.genome.catalogue import load_catalogue
from star_search.model.backbone import Backbone
from star_search.model.language_model import LanguageModel

transformers = pytest.importorskip("transformers")

GENOMES = {"every class": (EVERY_CLASS, {}), "sharing": (SHARING, {}), "own classes": (OWN_CLASSES, WHOLE_SPACE)}


@pytest.fixture(params=GENOMES)
def pair(request, make_run, export):
    """A native model, and the folder that its run exports to."""
    genome, space = GENOMES[request.param]
    config = configuration(9, backbone={"residual": "scaled"}, space=space)
    record = record_of(0, genome, config, 5.0)
    make_run(config, [record], front=[0])
    found = export()
    assert found == {
        "candidate": 0,
        "genome": record.canonical,
        "objectives": record.objectives,
        "folder": "export/tiny-0",
        "retrained": False,
    }
    return lively_model(record.canonical, config), Path(found["folder"])


@pytest.fixture
def folder(make_run, export):
    """A folder of one genome, for what does not depend on the classes."""
    config = configuration(9)
    make_run(config, [record_of(0, SHARING, config, 5.0)], front=[0])
    return Path(export()["folder"])


def load(folder: Path, **options: object):
    return transformers.AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True, **options)


def tokens(rows: int, length: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (rows, length), generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def greedy(model: LanguageModel, prompt_BT: Tensor, count: int) -> Tensor:
    """Return the prompt and `count` tokens, each the likeliest under the parallel forward."""
    for _ in range(count):
        prompt_BT = torch.cat((prompt_BT, model(prompt_BT)[:, -1].argmax(-1, keepdim=True)), dim=1)
    return prompt_BT


def test_every_built_class_is_among_the_genomes():
    assert {int(liv[0], 36) for liv in EVERY_CLASS.split("-")} >= set(load_catalogue("star").ids) & set(range(10))


def test_logits_are_the_native_ones(pair):
    native, folder = pair
    loaded = load(folder)
    inputs = tokens(2, 33)
    with torch.no_grad():
        expected, got = native(inputs), loaded(inputs).logits
    assert expected.std() > 0.1
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-6)


def test_it_generates_what_the_native_model_decodes(pair):
    native, folder = pair
    loaded = load(folder)
    prompt = tokens(2, 7)
    # 7 + 70 tokens outgrow the first cache.
    expected = greedy(native, prompt, 70)
    ends = (expected == loaded.config.eos_token_id).any()
    assert not ends
    for use_cache in (True, False):
        got = loaded.generate(prompt, max_new_tokens=70, do_sample=False, use_cache=use_cache)
        assert torch.equal(got, expected)


def test_generation_reads_every_token_once(folder, monkeypatch):
    read = []
    for name in ("forward", "prefill", "step"):
        original = getattr(Backbone, name)
        monkeypatch.setattr(
            Backbone, name, lambda self, x, *rest, name=name, original=original: read.append(name) or original(self, x, *rest)
        )
    for options in ({"do_sample": False}, {"do_sample": False, "num_beams": 3}):
        read.clear()
        load(folder).generate(tokens(2, 5), max_new_tokens=4, min_new_tokens=4, **options)
        assert read == ["prefill", "step", "step", "step"]


def test_sampling_and_beams_generate_the_same_with_and_without_a_cache(pair):
    _, folder = pair
    loaded = load(folder)
    prompt = tokens(2, 5)
    for options in ({"do_sample": True, "top_k": 20}, {"do_sample": False, "num_beams": 3}):
        texts = []
        for use_cache in (True, False):
            torch.manual_seed(1)
            texts.append(loaded.generate(prompt, max_new_tokens=20, use_cache=use_cache, **options))
        assert texts[0].shape[1] > 5
        assert torch.equal(*texts)


def test_generation_goes_on_from_a_cache(pair):
    _, folder = pair
    loaded = load(folder)
    inputs = tokens(2, 12)
    with torch.no_grad():
        whole = loaded(inputs).logits
        first = loaded(inputs[:, :5], use_cache=True)
        rest = loaded(inputs[:, 5:], past_key_values=first.past_key_values)
    assert rest.past_key_values.get_seq_length() == 12
    torch.testing.assert_close(torch.cat((first.logits, rest.logits), 1), whole, rtol=1e-4, atol=1e-4)


def test_the_loss_is_of_the_next_token_and_trains_every_weight(pair):
    _, folder = pair
    loaded = load(folder)
    inputs = tokens(2, 9)
    labels = inputs.clone()
    labels[0, 4:] = -100
    output = loaded(inputs, labels=labels)
    losses = functional.cross_entropy(output.logits[:, :-1].transpose(1, 2), inputs[:, 1:], reduction="none")
    counted = torch.cat((losses[0, :3], losses[1]))
    torch.testing.assert_close(output.loss, counted.mean())
    output.loss.backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in loaded.parameters())


def test_it_saves_and_loads_again(pair, tmp_path):
    _, folder = pair
    loaded = load(folder)
    loaded.save_pretrained(tmp_path / "again")
    again = load(tmp_path / "again")
    first, second = load_file(folder / "model.safetensors"), load_file(tmp_path / "again" / "model.safetensors")
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert torch.equal(again(tokens(1, 8)).logits, loaded(tokens(1, 8)).logits)


def left_padded(prompts: list[Tensor]) -> dict[str, Tensor]:
    """Return one batch of prompts of several lengths, as a tokenizer that pads on the left would."""
    length = max(len(prompt) for prompt in prompts)
    rows = [functional.pad(torch.stack((prompt, torch.ones_like(prompt))), (length - len(prompt), 0)) for prompt in prompts]
    ids, masks = torch.stack(rows, 1)
    return {"input_ids": ids, "attention_mask": masks}


def test_padding_on_either_side_is_harmless(pair):
    _, folder = pair
    loaded = load(folder)
    inputs, mask = tokens(2, 6), torch.ones(2, 6, dtype=torch.long)
    mask[0, 4:] = 0
    with torch.no_grad():
        alone = loaded(inputs[:1, :4]).logits[0]
        right = loaded(inputs, attention_mask=mask).logits[0, :4]
        left = loaded(**left_padded([inputs[0, :4], inputs[1]]), logits_to_keep=4).logits[0]
    for padded in (right, left):
        torch.testing.assert_close(padded, alone, rtol=1e-4, atol=1e-4)


def test_what_padding_cannot_be(folder):
    loaded = load(folder)
    inputs, mask = tokens(2, 6), torch.ones(2, 6, dtype=torch.long)
    mask[0, 2] = 0
    with pytest.raises(ValueError, match="with a gap"):
        loaded(inputs, attention_mask=mask)
    mask[0, 3:] = 0
    with pytest.raises(ValueError, match="pad on the left"):
        loaded.generate(inputs, attention_mask=mask, max_new_tokens=2)
    with pytest.raises(ValueError, match="under another attention_mask"):
        loaded(inputs[:, :1], attention_mask=mask.flip(1), past_key_values=loaded(inputs[:, :5], use_cache=True).past_key_values)
    with pytest.raises(ValueError, match="one of the two"):
        loaded()


def test_left_padded_prompts_generate_what_each_alone_does(pair):
    _, folder = pair
    loaded = load(folder).double()
    prompts = [tokens(1, length, seed)[0] for seed, length in enumerate((9, 2, 5, 1))]
    for options in ({}, {"num_beams": 3}):
        together = loaded.generate(**left_padded(prompts), max_new_tokens=12, do_sample=False, **options)
        uncached = loaded.generate(**left_padded(prompts), max_new_tokens=12, do_sample=False, use_cache=False, **options)
        assert torch.equal(together, uncached)
        for row, prompt in zip(together, prompts, strict=True):
            alone = loaded.generate(prompt[None], max_new_tokens=12, do_sample=False, **options)[0, len(prompt) :]
            assert torch.equal(row[9 : 9 + len(alone)], alone)


def test_embeddings_in_place_of_tokens(folder):
    loaded = load(folder)
    inputs = tokens(2, 6)
    embedded = loaded.get_input_embeddings()(inputs)
    assert torch.equal(loaded(inputs_embeds=embedded).logits, loaded(inputs).logits)
    assert not any("embed_tokens" in name for name in loaded.state_dict())


def test_the_vocabulary_grows_and_keeps_its_rows(folder, tmp_path):
    loaded, inputs = load(folder), tokens(2, 6)
    before = loaded(inputs).logits
    loaded.resize_token_embeddings(260, pad_to_multiple_of=8)
    after = loaded(inputs).logits
    assert after.shape[-1] == loaded.config.vocab_size == 264
    torch.testing.assert_close(after[..., :257], before, rtol=1e-5, atol=1e-5)
    loaded.save_pretrained(tmp_path / "grown")
    assert torch.equal(load(tmp_path / "grown")(inputs).logits, after)


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_gradient_checkpointing_gives_the_same_gradients(pair, use_reentrant):
    loaded = load(pair[1]).train()
    batch = left_padded([tokens(1, 9)[0], tokens(1, 4)[0]])
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    gradients = []
    for checkpointed in (False, True):
        if checkpointed:
            loaded._set_gradient_checkpointing(True, partial(checkpoint, use_reentrant=use_reentrant))
        loaded.zero_grad()
        loaded(**batch, labels=labels).loss.backward()
        gradients.append([parameter.grad.clone() for parameter in loaded.parameters()])
    assert all(torch.equal(before, after) for before, after in zip(*gradients, strict=True))


def test_the_text_generation_pipeline(folder):
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    generate = transformers.pipeline("text-generation", model=load(folder), tokenizer=tokenizer)
    texts = ["The quick brown fox", "A"]
    options = {"max_new_tokens": 6, "do_sample": False, "return_full_text": False}
    together = [found[0]["generated_text"] for found in generate(texts, batch_size=2, **options)]
    assert together == [generate(text, **options)[0]["generated_text"] for text in texts]


def test_the_trainer_lowers_the_loss(folder, tmp_path):
    pytest.importorskip("accelerate")
    loaded = load(folder)
    rows = [{"input_ids": row, "labels": row} for row in tokens(1, 24).repeat(8, 1)]
    arguments = transformers.TrainingArguments(
        str(tmp_path / "tuned"),
        max_steps=6,
        per_device_train_batch_size=4,
        learning_rate=3e-3,
        logging_steps=1,
        report_to=[],
        use_cpu=True,
        gradient_checkpointing=True,
    )
    trainer = transformers.Trainer(loaded, arguments, train_dataset=rows)
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert losses[-1] < losses[0] - 0.3
    trainer.save_model()
    assert torch.equal(load(tmp_path / "tuned")(tokens(1, 8)).logits, loaded.eval()(tokens(1, 8)).logits)


def test_it_loads_in_bfloat16(make_run, export):
    config = configuration(9)
    make_run(config, [record_of(0, SHARING, config, 5.0)], front=[0])
    loaded = load(Path(export()["folder"]), dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.bfloat16}
    assert loaded.generate(tokens(1, 4), max_new_tokens=5).shape[1] == 9


def test_a_tuple_comes_back_when_asked_for(pair):
    loaded = load(pair[1])
    (logits,) = loaded(tokens(1, 3), return_dict=False)
    assert logits.shape == (1, 3, 257)


def test_a_new_model_of_a_configuration_is_drawn_as_ours(pair):
    _, folder = pair
    config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=True)
    assert (config.hidden_size, config.num_hidden_layers) == (32, 9)
    torch.manual_seed(3)
    drawn = transformers.AutoModelForCausalLM.from_config(config, trust_remote_code=True)
    torch.manual_seed(3)
    ours = LanguageModel.from_genome(config.genome, 32, 257, residual="scaled")
    assert all(torch.equal(drawn.state_dict()[f"model.{name}"], tensor) for name, tensor in ours.state_dict().items())


def test_a_newer_catalogue_is_asked_for(pair):
    values = json.loads((pair[1] / "config.json").read_text())
    (pair[1] / "config.json").write_text(json.dumps(values | {"catalogue_version": 99}))
    with pytest.raises(ValueError, match=r"needs version 99 of catalogue star .* upgrade star-search"):
        load(pair[1])


def test_with_ours_imported_no_code_of_the_folder_is_needed(pair, monkeypatch):
    from star_search.export.huggingface import StarForCausalLM

    native, folder = pair
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asks for trust"))
    loaded = transformers.AutoModelForCausalLM.from_pretrained(folder)
    assert type(loaded) is StarForCausalLM
    assert torch.equal(loaded(tokens(1, 8)).logits, native(tokens(1, 8)))


@pytest.mark.parametrize("name", ["bytes", "embedded-bpe-4096"])
def test_the_tokenizer_gives_our_ids(name, make_run, export, monkeypatch):
    import star_search.export.huggingface  # noqa: F401 - the folder's code is known then

    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asks for trust"))
    config = configuration(2, data={"tokenizer": name})
    make_run(config, [record_of(0, "11111-91111", config, 5.0)], front=[0])
    tokenizer, ours = transformers.AutoTokenizer.from_pretrained(export()["folder"]), load_tokenizer(name)
    for text in ("The quick brown fox.", "  two  spaces\n\tand é, 漢字, 🙂 'don't'", ""):
        ids = ours.encode_batch([text])[0].tolist()
        assert tokenizer(text)["input_ids"] == ids
        assert tokenizer.decode(ids) == text
    assert tokenizer.eos_token_id == ours.end_of_text
    assert len(tokenizer) == ours.vocabulary_size
    assert tokenizer("a<|endoftext|>")["input_ids"][-1] == ours.end_of_text
    assert set(tokenizer(["a", "abc"], padding=True)) == {"input_ids", "attention_mask"}


@pytest.mark.parametrize("name", ["bytes", "embedded-bpe-4096"])
def test_a_tokenizer_that_transformers_saved_again_is_the_same(name, make_run, export):
    config = configuration(2, data={"tokenizer": name})
    make_run(config, [record_of(0, "71111-91111", config, 5)], front=[0])
    folder = Path(export()["folder"])
    transformers.AutoTokenizer.from_pretrained(folder).save_pretrained("again")
    for saved in (folder, Path("again")):
        exported = ExportedModel(saved, {})
        assert exported.has_tokenizer(name)
        assert not exported.has_tokenizer({"bytes": "embedded-bpe-4096", "embedded-bpe-4096": "bytes"}[name])


def test_without_transformers_the_message_says_what_to_install():
    code = "import sys; sys.modules['transformers'] = None; import star_search.export.huggingface"
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == (
        "ImportError: star_search.export.huggingface needs transformers: pip install 'star-search[huggingface]'"
    )
