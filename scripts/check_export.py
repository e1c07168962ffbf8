"""Does transformers compute and write what the native model does? Every class of a catalogue, and the front of a run.

    python scripts/check_export.py --run runs/quickstart --tokens 200

For each class, a model of that LIV and a memoryless one at width 64, its weights far from their start; for each member of the run's front,
the folder that `export-best` writes, read back. In fp32: the largest difference of logits, and whether greedy `generate` writes the tokens
of native decoding, for one prompt and for four of several lengths padded on the left. Prints a Markdown table; ends with 1 where one
differs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from safetensors.torch import load_file
from torch.nn import functional
from transformers import AutoModelForCausalLM

from star_search.analysis.run_view import RunView
from star_search.export.folder import exported_candidate, write_folder
from star_search.export.huggingface import StarConfig, StarForCausalLM
from star_search.genome.catalogue import load_catalogue
from star_search.genome.encoding import format_digit
from star_search.model.language_model import LanguageModel
from star_search.runs.locate import locate

LENGTHS = (33, 1, 20, 7)
TOLERANCE = 1e-5


@dataclass(frozen=True)
class Comparison:
    """What came of one model: the largest difference of logits, and of how many tokens all that greedy decoding wrote is equal."""

    name: str
    logits: float
    alone: bool
    padded: bool

    @property
    def holds(self) -> bool:
        return self.logits <= TOLERANCE and self.alone and self.padded


@torch.no_grad()
def compare(name: str, native: LanguageModel, exported: Any, count: int) -> Comparison:
    """Hold an exported model against the native one of the same weights."""
    size = native.vocabulary_size
    prompts = [torch.randint(0, size, (length,), generator=torch.Generator().manual_seed(length)) for length in LENGTHS]
    expected = [native.greedy(prompt, count).tolist() for prompt in prompts]
    padded = [functional.pad(torch.stack((each, torch.ones_like(each))), (max(LENGTHS) - len(each), 0)) for each in prompts]
    ids, mask = torch.stack(padded, 1)
    options = {"max_new_tokens": count, "min_new_tokens": count, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}
    together = exported.generate(ids, attention_mask=mask, **options)[:, max(LENGTHS) :].tolist()
    alone = exported.generate(prompts[0][None], attention_mask=torch.ones(1, LENGTHS[0]), **options)[0, LENGTHS[0] :].tolist()
    difference = (exported(prompts[0][None]).logits - native(prompts[0][None])).abs().max()
    return Comparison(name, float(difference), alone == expected[0], together == expected)


def classes(catalogue_name: str, count: int) -> Iterator[Comparison]:
    """Compare a model of every class of a catalogue."""
    catalogue = load_catalogue(catalogue_name)
    for class_id in catalogue.ids:
        genome = f"{format_digit(class_id)}1111-91111"
        native = LanguageModel.from_genome(genome, 64, 256, catalogue, seed=class_id).eval()
        generator = torch.Generator().manual_seed(class_id)
        with torch.no_grad():
            for parameter in native.parameters():
                parameter.mul_(1 + 0.3 * torch.randn(parameter.shape, generator=generator))
        exported = StarForCausalLM(StarConfig(genome, catalogue_name, catalogue.version, 64, vocab_size=256)).eval()
        exported.load_state_dict({f"model.{name}": tensor for name, tensor in native.state_dict().items()})
        yield compare(catalogue[class_id].name, native, exported, count)


def front(run: Path, count: int) -> Iterator[Comparison]:
    """Compare every member of a run's front with the folder that it exports to."""
    view = RunView.read(*locate(run))
    for record in view.front:
        weights = view.run.weights_path(record.id)
        with TemporaryDirectory() as temporary:
            folder = Path(temporary) / "model"
            write_folder(exported_candidate(view, record, weights), folder)
            exported = AutoModelForCausalLM.from_pretrained(folder)
        native = LanguageModel.from_genome(
            record.canonical, view.config.space.width, exported.config.vocab_size, view.catalogue, view.config.backbone.residual
        )
        native.load_state_dict(load_file(weights))
        yield compare(f"`{record.canonical}`", native.eval(), exported, count)


def main() -> int:
    """Print the table; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--catalogue", default="star")
    parser.add_argument("--tokens", type=int, default=200)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    headings = "model", "largest difference of logits", f"{arguments.tokens} tokens equal", f"also {len(LENGTHS)} padded prompts"
    print(f"| {' | '.join(headings)} |\n|---|---|---|---|")
    compared = [
        *classes(arguments.catalogue, arguments.tokens),
        *(front(arguments.run, arguments.tokens) if arguments.run else []),
    ]
    for each in compared:
        print(f"| {each.name} | {each.logits:.1e} | {'yes' if each.alone else 'no'} | {'yes' if each.padded else 'no'} |")
    return 0 if all(each.holds for each in compared) else 1


if __name__ == "__main__":
    sys.exit(main())
