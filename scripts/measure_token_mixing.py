"""Measure the token mixing of every class, and its whole LIV, forward and backward, against SDPA attention of the same width.

    python scripts/measure_token_mixing.py --out mixing.json

Both are compiled and, on a GPU, recorded in a graph, as in training. A class's fast form is held against its reference form in fp32
first; one that differs is not timed.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional

from star_search.benchmark.models import peak_flops, synchronise
from star_search.benchmark.models_report import environment
from star_search.genome.accounting import head_count
from star_search.genome.catalogue import load_catalogue
from star_search.genome.encoding import Genome, LIVGenes
from star_search.genome.genes import DIAGONAL
from star_search.liv.functional import LIVKind, function_of, inputs_beside_weights
from star_search.liv.operator import LIV
from star_search.model.backbone import Backbone
from star_search.training.compilation import compiled
from star_search.training.precision import autocast

CHECK_LENGTH = 300
# Of bf16 against the reference form in fp32.
TOLERANCE = 3e-2

Run = Callable[[], Tensor]


def main() -> None:
    """Print a line a class and, with --out, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("width", 768), ("length", 4096), ("rows", 8), ("repeats", 30)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--classes", help="names or ids, joined by commas; all that mix tokens by default")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--backend", default="inductor", help="of torch.compile")
    parser.add_argument("--out", type=Path, help="JSON file")
    options = parser.parse_args()
    if options.device.startswith("cuda"):
        peak_flops(options.device, "bfloat16")  # Clocks go up.
    heads = head_count(options.width)
    results = {"SDPA": {"mixing_ms": milliseconds(*attention(options, heads), options)}}
    table = load_catalogue("star")
    keys = options.classes.split(",") if options.classes else [each.name for each in table.classes.values() if mixes_tokens(each.id)]
    print(
        f"{'class':>14} {'mixing ms':>10} {'of SDPA':>8} {'LIV ms':>8} {'error':>8}\n{'SDPA':>14} {results['SDPA']['mixing_ms']:10.3f}",
        flush=True,
    )
    for key in keys:
        liv_class = table.find(key)
        results[liv_class.name] = result = measure(liv_class.id, options)
        share = result["mixing_ms"] / results["SDPA"]["mixing_ms"]
        print(f"{liv_class.name:>14} {result['mixing_ms']:10.3f} {share:8.2f} {result['liv_ms']:8.3f} {result['error']:8.1e}", flush=True)
    if options.out:
        sizes = {name: getattr(options, name) for name in ("width", "length", "rows", "repeats")}
        report = {"environment": environment(options.device), **sizes, "classes": results}
        options.out.write_text(json.dumps(report, indent=1) + "\n")


def mixes_tokens(class_id: int) -> bool:
    """Return whether a class is more than a function of each token."""
    return load_catalogue("star")[class_id].operator.token_mixing != DIAGONAL


def attention(options: argparse.Namespace, heads: int) -> tuple[Run, list[Tensor]]:
    """Return SDPA on q, k and v of the width, as torch dispatches it, and what gets gradients."""
    shape = (options.rows, heads, options.length, options.width // heads)
    q, k, v = (torch.randn(shape, device=options.device, dtype=torch.bfloat16, requires_grad=True) for _ in range(3))
    return lambda: functional.scaled_dot_product_attention(q, k, v, is_causal=True), [q, k, v]


def measure(class_id: int, options: argparse.Namespace) -> dict[str, float]:
    """Return the milliseconds of a class's token mixing and of its whole LIV, and the error of its fast form."""
    torch.manual_seed(0)
    liv = build(class_id, options)
    error = form_error(liv, options)
    if not error <= TOLERANCE:
        raise SystemExit(f"the fast form of class {class_id} differs from its reference form by {error:.1e}; wrong outputs are not timed")
    x_BTD = torch.randn(options.rows, options.length, options.width, device=options.device, dtype=torch.bfloat16, requires_grad=True)
    with torch.no_grad(), autocast(options.device, "bfloat16"):
        made = liv.featurize(x_BTD)
    features = {name: feature.detach().requires_grad_() for name, feature in made.items()}

    def mix_features(given: dict[str, Tensor]) -> Tensor:
        return liv.token_mixing.mix(given)

    mix = compiled(mix_features, f"mix_{class_id}", options.backend)
    mixing = milliseconds(lambda: mix(features), list(features.values()), options)
    kind = LIVKind.of(liv, [], 0.0)
    whole = compiled(function_of(liv, kind, 0.0), f"liv_{class_id}", options.backend)
    weights = liv.weights() | inputs_beside_weights(liv, options.length, x_BTD)
    leaves = [x_BTD, *liv.weights().values()]
    return {"mixing_ms": mixing, "liv_ms": milliseconds(lambda: whole(x_BTD, weights, [])[0], leaves, options), "error": error}


def build(class_id: int, options: argparse.Namespace) -> LIV:
    """Return a lone LIV of a class on the device."""
    genome = Genome((LIVGenes(class_id, 1, 1, 1, 1),))
    return cast(LIV, Backbone(genome, options.width, generator=torch.Generator().manual_seed(0)).livs[0]).to(options.device)


@torch.no_grad()
def form_error(liv: LIV, options: argparse.Namespace) -> float:
    """Return the error of the LIV's output in bf16 against its reference form in fp32."""
    x_BTD = torch.randn(2, min(CHECK_LENGTH, options.length), options.width, device=options.device)
    with autocast(options.device, "bfloat16"):
        fast = liv(x_BTD)[0]
    plain = liv(x_BTD, use_reference=True)[0]
    return float((fast - plain).norm() / plain.norm())


def recorded(run: Callable[[], None]) -> Callable[[], None]:
    """Return the replay of a graph of what a function does, without the time to launch it piece by piece."""
    stream, graph = torch.cuda.Stream(), torch.cuda.CUDAGraph()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            run()
    torch.cuda.current_stream().wait_stream(stream)
    with torch.cuda.graph(graph, stream=stream):
        run()
    return cast(Callable[[], None], graph.replay)


def milliseconds(run: Run, leaves: list[Tensor], options: argparse.Namespace) -> float:
    """Return the median time of forward and backward."""
    with autocast(options.device, "bfloat16"):
        gradient = torch.randn_like(run())

    def both() -> None:
        with autocast(options.device, "bfloat16"):
            out = run()
        torch.autograd.grad(out, leaves, gradient, allow_unused=True)

    if options.device.startswith("cuda"):
        from triton.testing import do_bench

        return float(do_bench(recorded(both), warmup=50, rep=10 * options.repeats, return_mode="median"))
    both()
    seconds = []
    for _ in range(options.repeats):
        synchronise(options.device)
        start = time.perf_counter()
        both()
        seconds.append(time.perf_counter() - start)
    return 1e3 * median(seconds)


if __name__ == "__main__":
    main()
