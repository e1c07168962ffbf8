"""Benchmarks through the real harness on local items: the accuracies are those that the native model's own likelihoods give."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from evaluation.conftest import GENOME
from export.hand_made import configuration, lively_model

pytest.importorskip("lm_eval")
pytest.importorskip("accelerate")

from lm_eval.tasks import TaskManager

from star_search.evaluation.tasks import Wanted, known_names

WORDS = ["red", "a green one", "blue as the sea", "of no colour at all", "dark"]
QUESTIONS = [f"Which of these is number {number}?" for number in range(12)]


def arc_items() -> list[dict[str, object]]:
    """Return questions with three to five choices, as the hub has them."""
    sizes = [3 + number % 3 for number in range(len(QUESTIONS))]
    return [
        {
            "id": str(number),
            "question": question,
            "choices": {"text": WORDS[:size], "label": list("ABCDE"[:size])},
            "answerKey": "ABCDE"[number % size],
        }
        for number, (question, size) in enumerate(zip(QUESTIONS, sizes, strict=True))
    ]


ITEMS = {
    "arc_easy": arc_items(),
    "arc_challenge": arc_items(),
    "hellaswag": [
        {"ctx_a": "He sits.", "ctx_b": "he", "activity_label": "Sitting", "endings": WORDS[:4], "label": str(number % 4)}
        for number in range(3)
    ],
    "winogrande": [{"sentence": "The sea is as _ as ink.", "option1": "blue", "option2": "red", "answer": "1"}] * 3,
    "piqa": [{"goal": "Paint a wall", "sol1": "with paint", "sol2": "with a wall", "label": number % 2} for number in range(3)],
    "sciq": [
        {
            "question": "What is blue?",
            "support": "The sea is blue.",
            "correct_answer": "sea",
            "distractor1": "ink",
            "distractor2": "sand",
            "distractor3": "air",
        }
    ]
    * 3,
}


@pytest.fixture
def items(folder: Path) -> Path:
    """Return ./items, which lies in a folder that YAML would read otherwise, with a file for each of the six tasks."""
    Path("a: b # c").mkdir()
    Path("items").symlink_to("a: b # c")
    for name, rows in ITEMS.items():
        Path(f"items/{name}.validation.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Path("items")


@torch.no_grad()
def log_likelihood(model, context: str, ending: str) -> float:
    tokens = Tensor(list((context + ending).encode())).long()
    losses = model(tokens[None, :-1])[0].log_softmax(-1).gather(1, tokens[1:, None])
    return float(losses[-len(ending.encode()) :].sum())


def expected_accuracies() -> tuple[float, float]:
    """Return accuracy by likelihood, and by likelihood a byte, of the ARC items under the prompt that the task has."""
    model, right = lively_model(GENOME, configuration(3)), [0, 0]
    for item in ITEMS["arc_easy"]:
        texts, answer = item["choices"]["text"], item["choices"]["label"].index(item["answerKey"])
        found = [log_likelihood(model, f"Question: {item['question']}\nAnswer:", f" {text}") for text in texts]
        by_byte = [each / len(text) for each, text in zip(found, texts, strict=True)]
        right = [count + (values.index(max(values)) == answer) for count, values in zip(right, (found, by_byte), strict=True)]
    return right[0] / len(QUESTIONS), right[1] / len(QUESTIONS)


def test_the_six_from_local_files(items, command):
    code, out, err = command("model", "--downstream", "--task-data", "items", "--keep-tasks", "kept", "--device", "cpu", "--json")
    assert code == 0, err
    scores = {(each["task"], each["metric"]): each for each in json.loads(out)["tasks"]}
    assert {task for task, _ in scores} == {f"{name}_local" for name in ITEMS}
    for metric, expected in zip(("acc", "acc_norm"), expected_accuracies(), strict=True):
        found = scores["arc_easy_local", metric]
        assert (found["value"], found["items"]) == (pytest.approx(expected), len(QUESTIONS))
        assert found["lower"] < found["value"] < found["upper"] or found["value"] in (0, 1)
        assert found["chance"] == pytest.approx((1 / 3 + 1 / 4 + 1 / 5) / 3)
    assert scores["winogrande_local", "acc"]["chance"] == 0.5
    assert {path.name for path in Path("kept").iterdir()} == {f"{name}_local.yaml" for name in ITEMS}


def test_a_table_of_a_task_in_a_file_of_the_user_s(items, command):
    command("model", "--task", "piqa", "--task-data", "items", "--keep-tasks", "kept", "--device", "cpu")
    code, out, err = command("model", "--task", "kept/piqa_local.yaml", "--limit", "2", "--device", "cpu")
    assert code == 0, err
    assert re.search(r"^piqa_local +acc +[01]\.\d{4} .* 0\.5000 +2$", out, re.MULTILINE)


def test_what_the_user_keeps_is_not_overwritten(items, command):
    Path("kept").mkdir()
    Path("kept/piqa_local.yaml").write_text("mine")
    code, out, err = command("model", "--task", "piqa", "--task-data", "items", "--keep-tasks", "kept")
    assert (code, out) == (2, "")
    assert err.startswith("star-search: kept/piqa_local.yaml exists already and says something else") and err.count("\n") == 1
    assert Path("kept/piqa_local.yaml").read_text() == "mine"
    code, _, err = command("model", "--task", "piqa", "--task-data", "items", "--keep-tasks", "items/piqa.validation.jsonl")
    assert code == 2 and err.startswith("star-search: items/piqa.validation.jsonl/piqa_local.yaml cannot be written: ")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--task", "helaswag"], "lm_eval has no task helaswag; did you mean hellaswag"),
        (["--task", "mine.yaml"], "task file mine.yaml does not exist"),
        (["--downstream", "--task-data", "run"], "--task-data run has no hellaswag.validation.jsonl"),
        (["--task", "lambada", "--task-data", "run"], "--task-data is for hellaswag, arc_easy"),
        (["--task", "list.yaml"], "task file list.yaml defines no task: it has none of the keys task, group and include"),
        (["--task", "open.yaml"], "task file open.yaml is no YAML that can be read"),
        (["--task", "bare.yaml", "--device", "cpu"], "bare.yaml cannot be scored: "),
        (["--task", "piqa", "--task-data", "nothing"], "nothing/piqa.validation.jsonl has no items"),
        (["--task", "piqa", "--task-data", "brace"], "brace/piqa.validation.jsonl cannot be read: it is not JSON, an item a line"),
        (["--task", "piqa", "--task-data", "other"], "line 1 of other/piqa.validation.jsonl is no item of the task: it has no goal"),
        (["--downstream", "--keep-tasks", "kept"], "--keep-tasks keeps what --task-data defines; give both"),
    ],
)
def test_bad_input_is_one_sentence(command, arguments, sentence):
    for name, text in {"list": "- mine\n", "open": "foo: [", "bare": "task: mine\n"}.items():
        Path(f"{name}.yaml").write_text(text)
    for name, text in {"nothing": "\n", "brace": "{\n", "other": '{"a": 1}\n'}.items():
        Path(name).mkdir()
        Path(name, "piqa.validation.jsonl").write_text(text)
    code, out, err = command("model", *arguments)
    assert (code, out) == (2, "")
    said = [line for line in err.splitlines() if line.startswith("star-search: ")]
    assert len(said) == 1 and said[0].startswith(f"star-search: {sentence}") and "Traceback" not in err


@pytest.mark.parametrize("damage", ["missing", "truncated", "genome", "tokenizer"])
def test_a_damaged_model_is_not_scored(items, command, change, damage):
    weights = Path("model/model.safetensors")
    if damage == "missing":
        held = load_file(weights)
        save_file({name: tensor for name, tensor in held.items() if name != "model.embedding"}, weights, {"format": "pt"})
    elif damage == "truncated":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif damage == "genome":
        change(genome=f"{GENOME}-91111")
    else:
        Path("model/tokenizer.json").write_text("[]")
    code, out, err = command("model", "--task", "piqa", "--task-data", "items", "--device", "cpu")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(
        "star-search: " + ("model has no tokenizer.json that can be read" if damage == "tokenizer" else "the weights of model cannot")
    )


def test_a_pattern_is_all_tasks_that_it_fits(items, command):
    command("model", "--downstream", "--task-data", "items", "--keep-tasks", "kept", "--limit", "1", "--device", "cpu")
    wanted = Wanted(("arc_*_local",), Path("kept"))
    assert known_names(wanted, TaskManager(include_path="kept")) == ["arc_challenge_local", "arc_easy_local"]
