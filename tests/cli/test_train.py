"""`train`: what it trains, that a kill costs nothing but time, what it writes, and what it refuses."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from cli.conftest import write_configuration
from star_search.cli.training_session import TrainingSession
from star_search.data.tokenizer import load_tokenizer
from star_search.finalists.training_folder import TrainingFolder
from star_search.genome.catalogue import FOLDER
from star_search.yaml_loading import read_yaml_mapping

ABSENT = object()
AHEAD = {**read_yaml_mapping(FOLDER / "star.yaml"), "version": 9}
SMALL = ("--device", "cpu", "--quiet")


@pytest.fixture
def small(tmp_path, source):
    """A training of 64 steps of a model of two LIVs of width 16."""
    changes = {"data": {"test_fraction": 0.2, "validation_fraction": 0.2}, "training": {"tokens": 4096}}
    return write_configuration(tmp_path, source, **changes)


def weights(folder):
    return {name: value.tolist() for name, value in load_file(folder / "export" / "model.safetensors").items()}


def comparable(folder):
    result = TrainingFolder.open(folder).result()
    return {key: value for key, value in result.items() if key != "measured"}


def wait_until(holds, seconds):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.05)


def those_that_name(text):
    """Return the processes, those that ended but were not waited for aside, in whose command a text stands."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if text.encode() in (process / "cmdline").read_bytes():
                found.append(process.name)
    return found


class TestSources:
    def test_a_baseline_is_trained_evaluated_and_exported(self, command, here, small):
        ended = command("train", "lfm2-like", "--config", small, "--device", "cpu", "--out", "first")
        assert ended.code == 0, ended
        assert "genome 71111-91111\n" in ended.out
        assert "validation: perplexity " in ended.out and "test: perplexity " in ended.out
        folder = TrainingFolder.open(here / "first")
        result = folder.result()
        assert (result["tokens"], result["depth"], result["width"]) == (4096, 2, 16)
        assert result["curve"][-1][1] < result["curve"][0][1] - 1
        assert {"perplexity", "bits_per_byte", "subsets"} <= set(result["test"])
        steps = [event for event in folder.events() if event["event"] == "step"]
        assert [event["step"] for event in steps] == [10, 20, 30, 40, 50, 60, 64]
        assert all(event["gradient_norm"] > 0 and event["learning_rate"] > 0 for event in steps)
        config = json.loads((folder.export_path / "config.json").read_text())
        assert (config["genome"], config["width"]) == ("71111-91111", 16)
        again = command("train", "--resume", "--out", "first", "--device", "cpu")
        assert again.code == 0 and "exported to" in again.out

    def test_a_candidate_of_a_run_keeps_its_text_and_training(self, command, here, finished):
        front = json.loads(command("inspect", finished.path, "--json").out)
        record = next(each for each in front["candidates"] if each["id"] == front["front"][0])
        ended = command("train", finished.path, "--candidate", record["id"], "--json", "--device", "cpu", "--out", "kept")
        assert ended.code == 0, ended
        result = json.loads(ended.out)
        assert (result["genome"], result["label"]) == (record["canonical"], f"{finished.path.name}-{record['id']}")
        assert result["tokens"] == 2048
        assert result["validation"]["perplexity"] != record["objectives"]["perplexity"], "another seed than the search's"

    def test_a_candidate_is_made_as_wide_as_set(self, command, here, finished):
        ended = command("train", finished.path, "--candidate", "0", "--set", "space.width=32", "--dry-run", "--device", "cpu")
        assert ended.code == 0 and "2 LIVs of width 32: " in ended.out, ended

    def test_an_export_goes_on_from_its_weights_and_fresh_draws_new_ones(self, command, here, small):
        assert command("train", "11111-91111", "--config", small, *SMALL, "--out", "first").code == 0
        arguments = ("train", "first/export", "--config", small, *SMALL, "--tokens", "640")
        assert command(*arguments, "--out", "on").code == command(*arguments, "--fresh", "--out", "fresh").code == 0
        first, on, fresh = (TrainingFolder.open(here / name).result()["curve"] for name in ("first", "on", "fresh"))
        assert on[0][1] < first[-1][1] + 0.5
        assert fresh[0][1] > on[0][1] + 1

    def test_an_export_in_several_files_goes_on_as_one_in_one_file(self, command, here, small):
        arguments = ("train", "71111-91111", "--config", small, *SMALL, "--tokens", "64", "--out", "first")
        assert command(*arguments).code == 0
        shutil.copytree(here / "first" / "export", here / "shards")
        whole = load_file(here / "shards" / "model.safetensors")
        (here / "shards" / "model.safetensors").unlink()
        for number, names in enumerate((sorted(whole)[::2], sorted(whole)[1::2])):
            save_file({name: whole[name] for name in names}, here / "shards" / f"model-0000{number + 1}-of-00002.safetensors")
        for folder in ("first/export", "shards"):
            on = ("train", folder, "--config", small, *SMALL, "--tokens", "64", "--out", f"on-{Path(folder).name}")
            assert command(*on).code == 0
        assert weights(here / "on-shards") == weights(here / "on-export")
        (here / "shards" / "model-00002-of-00002.safetensors").unlink()
        refused = command("train", "shards", "--config", small, *SMALL, "--out", "without").sentence()
        assert refused.startswith("the weights of ") and "cannot be loaded: Missing key(s)" in refused
        assert not (here / "without").exists()

        refused = command("train", "first/export", "--set", "space.width=32").sentence()
        assert refused == "--set space.width does not change the model of first/export; --width does"

    def test_a_genome_is_made_as_deep_and_wide_as_asked(self, command, here, small):
        arguments = ("train", "21211-21211", "--config", small, "--depth", "4", "--width", "32", "--scale", "stretch", "--dry-run")
        ended = command(*arguments)
        assert ended.code == 0, ended
        assert "genome       21211-22211-21211-22211\n" in ended.out
        assert "4 LIVs of width 32" in ended.out


def test_a_dry_run_of_the_larger_scale_says_memory_and_speed_of_each_gpu(command, monkeypatch):
    """Twenty bytes of each of 1,214,877,696 weights, the embedding's among them."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    arguments = ("train", "transformer++", "--config", "nsga2_1b.yaml", "--set", "data.tokenizer=bytes", "--devices", "4", "--dry-run")
    ended = command(*arguments)
    assert ended.code == 0, ended
    assert "48 LIVs of width 2048: 1,214,351,360 parameters" in ended.out
    assert "on each of 4 GPUs of 141.0 GB (ddp): 24.3 GB weights, gradients and moments" in ended.out
    sharded = command(*arguments, "--parallel", "fsdp")
    assert "(fsdp): 6.1 GB weights, gradients and moments" in sharded.out


def test_a_genome_longer_than_a_file_s_name_may_be(command):
    ended = command("train", "-".join(["11111-91111"] * 24), "--width", "64", "--dry-run")
    assert ended.code == 0 and "48 LIVs of width 64" in ended.out, ended


class TestResuming:
    def test_a_kill_costs_nothing_but_time(self, command, here, small):
        arguments = ("train", "51111-91111", "--config", str(small), *SMALL, "--set", "training.dropout=0.1", "--checkpoint-steps", "7")
        assert command(*arguments, "--out", "whole").code == 0
        process = subprocess.Popen([sys.executable, "-m", "star_search.cli", *arguments, "--out", "killed"])
        end = time.monotonic() + 120
        while not list((here / "killed").glob("checkpoints/step-0000001*")) and time.monotonic() < end:
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert not (here / "killed" / "result.json").exists()
        assert command(*arguments, "--out", "killed", "--resume").code == 0
        assert comparable(here / "killed") == comparable(here / "whole")
        assert weights(here / "killed") == weights(here / "whole")
        assert len(TrainingFolder.open(here / "killed").checkpoints()) == 2
        first = [event["first_step"] for event in TrainingFolder.open(here / "killed").events() if event["event"] == "session"]
        assert first[0] == 0 and first[1] % 7 == 0 and first[1] > 0

    @pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process is not told that its parent died")
    def test_a_kill_ends_every_process_of_several(self, command, here, small):
        out = str(here / "killed")
        several = ("--device", "cpu", "--devices", "2")
        arguments = ("train", "71111-91111", "--config", str(small), *several, "--tokens", "640000", "--checkpoint-steps", "7")
        process = subprocess.Popen([sys.executable, "-m", "star_search.cli", *arguments, "--quiet", "--out", out])
        wait_until(lambda: list((here / "killed").glob("checkpoints/step-*")), 120)
        assert len(those_that_name(out)) == 4  # The command, torchrun, and two that train.
        process.kill()
        process.wait()
        wait_until(lambda: not those_that_name(out), 20)
        with TrainingFolder.open(Path(out)).writing():  # Nobody holds it.
            pass

    def test_several_processes_on_the_cpu_go_on_by_the_command_that_is_printed(self):
        assert TrainingSession(None, None, Path("out"), True, "cpu", 2).resume_command().endswith("--out out --devices 2 --device cpu")
        assert TrainingSession(None, None, Path("out"), True, "cuda", 2).resume_command().endswith("--out out --devices 2")

    def test_a_checkpoint_of_another_genome_is_refused(self, command, here, small):
        for genome, name in (("11111-91111", "one"), ("71111-91111", "other")):
            assert command("train", genome, "--config", small, *SMALL, "--tokens", "640", "--out", name).code == 0
        shutil.rmtree(here / "one" / "checkpoints")
        shutil.copytree(here / "other" / "checkpoints", here / "one" / "checkpoints")
        (here / "one" / "result.json").unlink()
        refused = command("train", "--resume", "--out", "one", "--device", "cpu").sentence()
        assert refused.endswith("belongs to another training: its genome, data or budget is not that of one")
        refused = command("train", "81111-91111", "--config", small, "--tokens", "640", "--resume", "--out", "one").sentence()
        assert refused == "one holds another training: genome is 11111-91111 there and 81111-91111 here; give another --out"

    def test_it_goes_on_where_its_text_lies_elsewhere_and_not_on_another(self, command, here, small, source):
        assert command("train", "71111-91111", "--config", small, *SMALL, "--tokens", "640", "--out", "there").code == 0
        before = comparable(here / "there")
        shutil.rmtree(here / "there" / "export")
        (here / "there" / "result.json").unlink()
        other = here / "elsewhere" / source.name
        other.parent.mkdir()
        other.write_text(source.read_text() + json.dumps({"text": "one more"}) + "\n")
        resume = ("train", "--resume", "--out", "there", *SMALL, "--set", f"data.source={other}")
        refused = command(*resume).sentence()
        assert re.fullmatch(r"the text of there has changed: its fingerprint was \w{12} and is now \w{12}", refused)
        shutil.copy(source, other)
        assert command(*resume).code == 0
        assert comparable(here / "there") == before

    def test_what_is_asked_for_beside_the_folder_is_held_against_it(self, command, here, small):
        arguments = ("train", "--resume", "--out", "there", *SMALL)
        assert command("train", "71111-91111", "--config", small, *SMALL, "--tokens", "640", "--seed", "3", "--out", "there").code == 0
        for options, sentence in [
            (["--tokens", "64"], "there holds another training: training.tokens is 640 there and 64 here; give another --out"),
            (["--seed", "0"], "there holds another training: seed is 3 there and 0 here; give another --out"),
            (["--parallel", "fsdp"], "there holds another training: parallel is ddp there and fsdp here; give another --out"),
            (["--width", "32"], "--width is for a model that is named; --resume --out FOLDER goes on with the one that is there"),
            (["--config", "quickstart.yaml"], "--config is for a model that is named; --resume --out FOLDER goes on with"),
        ]:
            assert command(*arguments, *options).sentence().startswith(sentence)
        assert command(*arguments, "--tokens", "640", "--seed", "3", "--parallel", "ddp").code == 0

    def test_a_damaged_folder_is_one_sentence(self, command, here, small):
        assert command("train", "71111-91111", "--config", small, *SMALL, "--tokens", "640", "--out", "whole").code == 0

        def refused(**files):
            shutil.rmtree(here / "hurt", ignore_errors=True)
            shutil.copytree(here / "whole", here / "hurt")
            for name, text in files.items():
                (here / "hurt" / f"{name}.json").write_text(text)
            return here / "hurt", lambda: command("train", "--resume", "--out", "hurt", *SMALL).sentence()

        assert refused(result="{}")[1]() == "hurt/result.json is damaged: tokens is missing"
        assert refused(result='{"tokens": 1}')[1]() == "hurt/result.json is damaged: fingerprint is missing"
        assert refused(result="[")[1]().startswith("hurt/result.json is damaged: no complete JSON")
        assert refused(training="[")[1]().startswith("hurt/training.json is damaged: no complete JSON")
        for change, sentence in [
            ("step", "is no checkpoint of a training that can be read (step must be"),
            ("weight", "does not hold the whole state of this training"),
        ]:
            folder, sentence_of = refused()
            (folder / "result.json").unlink()
            for path in folder.glob("checkpoints/*"):
                tensors = load_file(path)
                with safe_open(path, "pt") as file:
                    position = json.loads(file.metadata()["position"])
                if change == "step":
                    position["step"] = "many"
                else:
                    del tensors["weight.embedding"]
                save_file(tensors, path, {"position": json.dumps(position)})
            assert sentence in sentence_of()


def test_scalars_go_to_tensorboard(command, here, small):
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    ended = command("train", "71111-91111", "--config", small, *SMALL, "--tokens", "1280", "--tensorboard", "--out", "shown")
    assert ended.code == 0, ended
    found = reading.EventAccumulator(str(here / "shown" / "tensorboard"))
    found.Reload()
    assert [event.step for event in found.Scalars("loss")] == [10, 20]
    assert {"gradient_norm", "learning_rate", "tokens_per_second", "validation_perplexity"} <= set(found.Tags()["scalars"])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "give a run with --candidate, a genome, a baseline or an exported folder; or --resume --out FOLDER"),
        (["transformer"], "'transformer' is neither a genome nor a baseline; did you mean 'transformer++'?"),
        (["no/such"], "no/such does not exist; give a run, an exported folder, a genome, or one of: transformer++"),
        (["RUN"], "RUN is a run; --candidate says which of its models, for example --candidate "),
        (["RUN", "--candidate", "99"], "RUN has no candidate 99; it has 0 to 11"),
        (["."], ". holds neither a run (run.json) nor an exported model (config.json)"),
        (["11111-91111", "--depth", "3"], "the genome has 2 LIVs and is to have 3; a genome is scaled to a multiple of its depth"),
        (["11111-91111", "--width", "30"], "width 30 must be a multiple of 8"),
        (["11111-91111", "--scale", "stack-up"], "--scale stack-up is unknown; did you mean 'stack'?"),
        (["11111-91111", "--parallel", "fdsp"], "--parallel fdsp is unknown; did you mean 'fsdp'?"),
        (["11111-91111", "--device", "cuda:7"], "--device must be auto or cpu, as there is no GPU here, got 'cuda:7'"),
        (
            ["11111-91111", "--devices", "3"],
            "--devices 3 is more than the GPUs there are: 0; --device cpu trains with processes on the CPU",
        ),
        (["11111-91111", "--fresh"], "--fresh draws new weights for an exported folder; 11111-91111 is none, and its weights are new"),
        (["11111-91111", "--seed", "9223372036854775808"], "--seed must be a whole number from 0 to 9223372036854775807"),
        (["11111-91111", "--wandb", "mine", "--device", "cpu", "--out", "new"], "--wandb needs a package: pip install wandb"),
        (
            ["11111-91111", "--device", "cpu", "--devices", "3", "--out", "new"],
            "a step of 4 sequences cannot be divided among 3 processes; change training.batch_tokens",
        ),
        (["11111-91111", "--resume"], "--resume needs --out, the folder of the training that is to go on"),
        (
            ["11111-91111", "--set", "data.source=/nowhere.txt", "--out", "new", "--device", "cpu"],
            "data.source /nowhere.txt does not exist",
        ),
        (["11111-91111", "--set", "training.engine=parts", "--out", "new", "--device", "cpu"], "training.engine parts needs a GPU"),
        (["--resume", "--out", "nothing"], "give a run with --candidate, a genome, a baseline or an exported folder"),
        (["11111-91111", "--out", "full", "--device", "cpu"], "full exists already; nothing is overwritten: give a new or empty folder"),
    ],
)
def test_what_cannot_be_is_one_sentence(command, here, finished, arguments, sentence):
    (here / "full").mkdir()
    (here / "full" / "mine.txt").touch()
    given = [str(finished.path) if each == "RUN" else each for each in arguments]
    assert command("train", *given).sentence().startswith(sentence.replace("RUN", str(finished.path)))
    assert [path.name for path in here.iterdir()] == ["full"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"catalogue_version": 2}, "mine was exported with version 2 of catalogue star, and this star-search has version 1"),
        ({"catalogue": AHEAD}, "mine was exported with version 9 of catalogue star, and this star-search has version 1"),
        ({"model_type": "llama"}, "mine holds no model that star-search exported: its model_type is 'llama' and not 'star'"),
        ({"width": "wide"}, "mine/config.json: width must be a whole number of at least 1, got 'wide'"),
        ({"genome": 5}, "mine/config.json: genome must be text, got 5"),
        ({"catalogue": 7}, "mine/config.json: catalogue must be text, got 7"),
        ({"catalogue_version": True}, "mine/config.json: catalogue_version must be a whole number of at least 1, got True"),
        ({"genome": ABSENT}, "mine holds no model that star-search exported: its config.json has no genome"),
        ({}, "mine was trained with another tokenizer than data.tokenizer bytes; set data.tokenizer to its own, or --fresh"),
    ],
)
def test_exports_that_are_not_are_one_sentence(command, here, changes, sentence):
    values = {"model_type": "star", "genome": "11111-91111", "catalogue": "star", "catalogue_version": 1, "width": 16, "vocab_size": 257}
    values |= {"residual": "plain", "router_top_k": None}
    (here / "mine").mkdir()
    (here / "mine" / "config.json").write_text(json.dumps({key: each for key, each in (values | changes).items() if each is not ABSENT}))
    (here / "mine" / "model.safetensors").touch()
    (here / "mine" / "tokenizer.json").write_text(load_tokenizer("embedded-bpe-4096").to_json())
    assert command("train", "mine").sentence().startswith(sentence)


def test_what_an_export_cannot_be_asked_for_is_one_sentence_and_leaves_nothing(command, here, small):
    assert command("train", "71111-91111", "--config", small, *SMALL, "--tokens", "64", "--out", "first").code == 0
    export = here / "first" / "export"
    for arguments, sentence in [
        (["--candidate", "3"], "--candidate says which model of a run; first/export is one exported model"),
        (["--width", "32"], "first/export holds the weights of 2 LIVs of width 16; --fresh draws new ones for another size"),
        (["--depth", "4"], "first/export holds the weights of 2 LIVs of width 16; --fresh draws new ones for another size"),
    ]:
        assert command("train", "first/export", *arguments, "--out", "on").sentence() == sentence
    wider = command("train", "first/export", "--config", small, *SMALL, "--width", "32", "--fresh", "--dry-run")
    assert "2 LIVs of width 32" in wider.out
    shutil.copy(export / "config.json", here)
    for key, value, sentence in [
        ("vocab_size", 259, "first/export has 259 ids and data.tokenizer bytes 257; --fresh draws new weights"),
        ("width", 8 * 10**15, "the weights of {} cannot be loaded: they are of 257 ids and width 16, config.json says 257 and 8,000,"),
    ]:
        (export / "config.json").write_text(json.dumps(json.loads((here / "config.json").read_text()) | {key: value}))
        refused = command("train", "first/export", "--config", small, "--device", "cpu", "--out", "on").sentence()
        assert refused.startswith(sentence.format(export.resolve()))
    assert not (here / "on").exists()
