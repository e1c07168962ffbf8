"""Measure how far the losses of graphs and compiled blocks stray from eager steps, against the noise of the precision itself.

    python scripts/measure_agreement.py --steps 200

The noise is eager steps against eager steps with two rows at once: equal but for rounding. Prints the largest and the mean difference of
the loss, in means over a tenth of the steps.
"""

from __future__ import annotations

import argparse

from star_search.config import DataConfig, TrainingConfig
from star_search.data.store import prepare
from star_search.data.stream import TokenStream
from star_search.model.language_model import LanguageModel
from star_search.training.trainer import train

GENOME = "11111-91111-51111-91111-71111-91111-61111-81111"
WIDTH, LENGTH, ROWS, MEAN = 256, 512, 8, 5


def curve(stream: TokenStream, steps: int, precision: str, engine: str, micro: int | None = None) -> list[float]:
    """Return the loss in means over a tenth of the steps."""
    model = LanguageModel.from_genome(GENOME, WIDTH, stream.store.vocabulary_size, seed=0).to("cuda")
    config = TrainingConfig.model_validate(
        {
            "tokens": steps * ROWS * LENGTH,
            "sequence_length": LENGTH,
            "batch_tokens": ROWS * LENGTH,
            "learning_rate": 2e-3,
            "precision": precision,
            "engine": engine,
            "micro_batch_rows": micro,
        }
    )
    losses = [loss for _, loss in train(model, stream, config, 9.0).curve]
    return [sum(losses[start : start + MEAN]) / MEAN for start in range(0, len(losses), MEAN)]


def main() -> None:
    """Print one line a comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=200)
    options = parser.parse_args()
    stream = TokenStream(prepare(DataConfig(tokenizer="embedded-bpe-4096")), LENGTH, ROWS, 0)
    for precision in ("bfloat16", "float32"):
        eager = curve(stream, options.steps, precision, "eager")
        print(f"{precision} eager: {eager[0]:.4f} to {eager[-1]:.4f}", flush=True)
        for name, engine, micro in (
            ("noise", "eager", 2),
            ("compiled", "compiled", None),
            ("graph", "graph", None),
            ("graph by 2", "graph", 2),
        ):
            gaps = [abs(mine - other) for mine, other in zip(curve(stream, options.steps, precision, engine, micro), eager, strict=True)]
            print(f"{precision} {name}: largest {max(gaps):.4f}, mean {sum(gaps) / len(gaps):.4f} nats", flush=True)


if __name__ == "__main__":
    main()
