"""Measure how far the losses of graphs and compiled blocks stray from eager steps, against the noise of the precision itself.

    python scripts/measure_agreement.py --steps 200

The noise is eager steps against eager steps with two rows at once: equal but for rounding. Prints the largest and the mean difference of
the loss, in means over a tenth of the steps.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from star_search.benchmark.models_report import environment
from star_search.config import DataConfig, TrainingConfig
from star_search.data.store import prepare
from star_search.data.stream import TokenStream
from star_search.model.language_model import LanguageModel
from star_search.training.trainer import train

GENOME = "11111-91111-51111-91111-71111-91111-61111-81111"
ROWS, MEAN = 8, 5


def curve(stream: TokenStream, options: argparse.Namespace, precision: str, engine: str, micro: int | None = None) -> list[float]:
    """Return the loss in means over a tenth of the steps."""
    model = LanguageModel.from_genome(GENOME, options.width, stream.store.vocabulary_size, seed=0).to(options.device)
    batch_tokens = ROWS * options.length
    config = TrainingConfig.model_validate(
        {
            "tokens": options.steps * batch_tokens,
            "sequence_length": options.length,
            "batch_tokens": batch_tokens,
            "learning_rate": 2e-3,
            "precision": precision,
            "engine": engine,
            "micro_batch_rows": micro,
        }
    )
    losses = [loss for _, loss in train(model, stream, config, 9.0).curve]
    return [sum(losses[start : start + MEAN]) / MEAN for start in range(0, len(losses), MEAN)]


def main() -> None:
    """Print one line a comparison and, with --out, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("steps", 200), ("width", 256), ("length", 512)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--engines", default="compiled,graph", help="joined by commas; a graph needs a GPU")
    parser.add_argument("--out", type=Path, help="JSON file")
    options = parser.parse_args()
    stream = TokenStream(prepare(DataConfig(tokenizer="embedded-bpe-4096")), options.length, ROWS, 0)
    engines: list[tuple[str, str, int | None]] = [("noise", "eager", 2)]
    engines += [(engine, engine, None) for engine in filter(None, options.engines.split(","))]
    engines += [("graph by 2", "graph", 2)] if "graph" in options.engines else []
    found = {}
    for precision in ("bfloat16", "float32"):
        found[f"{precision} eager"] = eager = curve(stream, options, precision, "eager")
        print(f"{precision} eager: {eager[0]:.4f} to {eager[-1]:.4f}", flush=True)
        for name, engine, micro in engines:
            found[f"{precision} {name}"] = mine = curve(stream, options, precision, engine, micro)
            gaps = [abs(loss - other) for loss, other in zip(mine, eager, strict=True)]
            print(f"{precision} {name}: largest {max(gaps):.4f}, mean {sum(gaps) / len(gaps):.4f} nats", flush=True)
    if options.out:
        options.out.write_text(
            json.dumps({"environment": environment(options.device), **vars(options), "losses": found}, indent=1, default=str)
        )


if __name__ == "__main__":
    main()
