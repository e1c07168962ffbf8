"""Measure greedy decoding of genomes against Hugging Face's Llama of the same depth, width and vocabulary, all uncompiled, batch 1.

    python scripts/measure_decoding.py --run runs/quickstart --out decoding.json
    python scripts/measure_decoding.py --genome 71111-91111-11111-91111 --times 6 --width 768 --vocabulary 50304

Llama runs without cuDNN's attention, which is slow where lengths change. Of a genome, `plain` calls a step from Python as `generate` does
for Llama, `static` runs the same operations on the same memory for every token, on a GPU as one CUDA graph. Weights are random: time does
not depend on them. A process of its own for every model; the peak is what tensors held at most on a GPU, and by how much the process grew
on a CPU. Tokens of the two ways must agree, and the cache held must be the declared one.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from star_search.analysis.run_view import RunView
from star_search.benchmark.huggingface import build as build_llama
from star_search.benchmark.models import ModelSetting, synchronise
from star_search.benchmark.models_report import environment
from star_search.data.tokenizer import load_tokenizer
from star_search.model.cuda_graph import graph_stream
from star_search.model.language_model import LanguageModel
from star_search.model.static_decoding import greedy_tokens
from star_search.objectives.measurement import held_cache_bytes
from star_search.processes import peak_memory_bytes
from star_search.runs.atomic import write_json
from star_search.runs.locate import locate

PROMPT, AGREEING = 64, 64
WAYS = ("plain", "static")
LLAMA = "Hugging Face Llama"
Decode = Callable[[int], Tensor]


@dataclass(frozen=True)
class Decoding:
    """One model decoded in one way: a genome, or none for Llama."""

    name: str
    genome: str | None
    way: str


@torch.no_grad()
def ways(setting: ModelSetting, decoding: Decoding, layers: int) -> tuple[Decode, int]:
    """Return what decodes so many tokens, and the weights in bytes."""
    torch.set_num_threads(1)
    dtype = getattr(torch, setting.precision)
    prompt_T = torch.arange(PROMPT, device=setting.device) % setting.vocabulary_size
    if decoding.genome is None:
        # It would plan every length of the cache anew: a token of twelve layers took an H200 over 35 ms.
        torch.backends.cuda.enable_cudnn_sdp(False)
        llama: Any = build_llama("llama", setting, layers).to(setting.device, dtype).eval()
        options: dict[str, Any] = {"do_sample": False, "use_cache": True, "pad_token_id": 0, "eos_token_id": None}
        return lambda count: llama.generate(prompt_T[None], max_new_tokens=count, **options)[0, PROMPT:], held(llama)
    model = LanguageModel.from_genome(decoding.genome, setting.width, setting.vocabulary_size, setting.catalogue, seed=0)
    model = model.to(setting.device, dtype).eval()
    with graph_stream(prompt_T.device):
        held_bytes = held_cache_bytes(model, PROMPT)
    if held_bytes != model.cache_bytes(PROMPT):
        raise SystemExit(f"{decoding.name}: the cache held is not the declared one")
    way = by_steps if decoding.way == "plain" else greedy_tokens
    if not torch.equal(way(model, prompt_T, AGREEING), by_steps(model, prompt_T, AGREEING)):
        raise SystemExit(f"{decoding.name}: the two ways give other tokens; what is wrong is not timed")
    return lambda count: way(model, prompt_T, count), held(model)


def by_steps(model: LanguageModel, prompt_T: Tensor, count: int) -> Tensor:
    """Return the tokens [count] that greedy decoding adds to a prompt, each by a call of the model's step."""
    # One stream for both ways, as for Llama, since cuBLAS keeps a workspace for each.
    with graph_stream(prompt_T.device):
        logits_B1V, cache = model.prefill(prompt_T[None], model.init_cache(1, len(prompt_T) + count), last_only=True)
        found_B = [logits_B1V[:, 0].argmax(-1)]
        while len(found_B) < count:
            found_B.append(model.step(found_B[-1], cache)[0].argmax(-1))
        return torch.cat(found_B)


def held(model: torch.nn.Module) -> int:
    """Return the bytes of a model's weights."""
    return sum(weight.numel() * weight.element_size() for weight in model.parameters())


def measure(setting: ModelSetting, decoding: Decoding, layers: int, count: int, results: Any) -> None:
    """Put down tokens per second of every repeat, the weights and the peak in bytes."""
    decode, weights = ways(setting, decoding, layers)
    decode(AGREEING)
    gc.collect()
    before, on_gpu = peak_memory_bytes(), setting.device.startswith("cuda")
    if on_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    speeds = []
    for _ in range(setting.repeats):
        synchronise(setting.device)
        start = time.perf_counter()
        found = decode(count)
        synchronise(setting.device)
        assert len(found) == count
        speeds.append(count / (time.perf_counter() - start))
    peak = torch.cuda.max_memory_allocated() if on_gpu else weights + peak_memory_bytes() - before
    results.put((speeds, weights, peak))


def measured(setting: ModelSetting, decodings: list[Decoding], layers: int, count: int) -> Iterator[tuple[Decoding, dict[str, Any]]]:
    """Yield what each process of its own measured."""
    context = multiprocessing.get_context("spawn")
    for decoding in decodings:
        results = context.SimpleQueue()
        process = context.Process(target=measure, args=(setting, decoding, layers, count, results))
        process.start()
        process.join()
        if process.exitcode:
            raise SystemExit(f"{decoding.name}, {decoding.way}, failed; see above")
        speeds, weights, peak = results.get()
        yield decoding, {"tokens_per_second": speeds, "weight_bytes": weights, "peak_bytes": peak}


def main() -> None:
    """Print a table and, with --out, write JSON after each row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, help="the front of this run, at its width and vocabulary")
    parser.add_argument("--genome", action="append", default=[], help="repeatable")
    for name, value in (("times", 1), ("width", 256), ("vocabulary", 4096), ("tokens", 4096), ("repeats", 3), ("members", 8)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--ways", default=",".join(WAYS), help="joined by commas")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path, help="JSON file")
    options = parser.parse_args()
    asked = options.ways.split(",")
    if unknown := [way for way in asked if way not in WAYS]:
        parser.error(f"unknown way {unknown[0]!r}; allowed: {', '.join(WAYS)}")
    genomes = {genome[:23]: "-".join([genome] * options.times) for genome in options.genome}
    width, vocabulary, catalogue = options.width, options.vocabulary, "star"
    if options.run:
        view = RunView.read(*locate(options.run))
        width, vocabulary = view.config.space.width, load_tokenizer(view.config.data.tokenizer).vocabulary_size
        catalogue = view.config.space.catalogue
        if not isinstance(catalogue, str):
            parser.error(f"{options.run} has a catalogue of its own")
        genomes |= {f"candidate {record.id}": record.canonical for record in view.front[: options.members]}
    if not genomes:
        parser.error("give --run or --genome")
    layers = max(genome.count("-") + 1 for genome in genomes.values()) // 2
    precision = "float32" if options.device == "cpu" else "bfloat16"
    sizes = (width, vocabulary, PROMPT + options.tokens, 0, 0, options.repeats)
    setting = ModelSetting(*sizes, options.device, precision, catalogue=catalogue)
    decodings = [Decoding(LLAMA, None, "generate"), *(Decoding(n, g, way) for way in asked for n, g in genomes.items())]
    report = {"environment": environment(options.device), "setting": asdict(setting), "tokens": options.tokens}
    rows, llama = [], 0.0
    print(f"{'model':>24}  {'way':>8}  {'tokens/s':>8}  {'range':>16}  {'of Llama':>8}  {'weights MB':>10}  {'peak MB':>8}")
    for decoding, found in measured(setting, decodings, layers, options.tokens):
        speeds = found["tokens_per_second"]
        llama = llama or median(speeds)
        spread = f"{min(speeds):,.0f} to {max(speeds):,.0f}"
        sizes = f"{found['weight_bytes'] / 1e6:10.1f}  {found['peak_bytes'] / 1e6:8.1f}"
        print(
            f"{decoding.name:>24}  {decoding.way:>8}  {median(speeds):8,.0f}  {spread:>16}  {median(speeds) / llama:8.2f}  {sizes}",
            flush=True,
        )
        rows.append(asdict(decoding) | found)
        if options.out:
            write_json(options.out, {**report, "rows": rows})


if __name__ == "__main__":
    main()
