"""Hold one corpus in four containers against each other: plain JSON lines, zst, Parquet, and a stand-in of the hub on loopback.

    python scripts/check_sources.py shared/corpus

For each it prepares the proxy corpus, trains the same small model for a few steps, and prints the fingerprint and the validation loss.
Then it reads every document of the prepared text back, and counts by sha256 how many of train stand in validation or test too.
"""

import argparse
import json
import os
import sys
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import zstandard

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from data.hub import Hub, serve

NAME = "someone/RedPajama-Data-1T-Sample"
CONTAINERS = ("zst", "jsonl", "parquet", "hub")


def containers(corpus: Path, folder: Path, hub: Hub, wanted: list[str]) -> dict[str, tuple[str, str]]:
    """Write train and held-out files in each container, and return both sources of those wanted."""
    import pyarrow
    import pyarrow.parquet

    found = {"zst": (str(corpus / "proxy/train"), str(corpus / "proxy/validation"))}
    for part in ("train", "validation") if set(wanted) - {"zst"} else ():
        served = hub.repositories.setdefault(f"{NAME}-{part}", {})
        for file in sorted((corpus / "proxy" / part).glob("*.zst")):
            lines = zstandard.ZstdDecompressor().stream_reader(file.open("rb"), read_across_frames=True).read()
            name = file.name.removesuffix(".zst")
            for kind in ("jsonl", "parquet"):
                (folder / kind / part).mkdir(parents=True, exist_ok=True)
            (folder / "jsonl" / part / name).write_bytes(lines)
            served[name] = lines
            table = pyarrow.Table.from_pylist([json.loads(line) for line in lines.split(b"\n") if line])
            pyarrow.parquet.write_table(table, folder / "parquet" / part / name.replace(".jsonl", ".parquet"), row_group_size=1000)
    for kind in ("jsonl", "parquet"):
        found[kind] = (str(folder / kind / "train"), str(folder / kind / "validation"))
    found["hub"] = (f"hf://datasets/{NAME}-train", f"hf://datasets/{NAME}-validation")
    return {kind: found[kind] for kind in wanted}


def validation_loss(store: Any, steps: int) -> float:
    """Return the validation loss of a model trained for a few steps on the store's first batches."""
    import torch

    from star_search.config import TrainingConfig
    from star_search.data.stream import TokenStream
    from star_search.data.unigram import unigram_loss
    from star_search.model.language_model import LanguageModel
    from star_search.training.trainer import evaluate, train

    torch.set_num_threads(1)
    config = TrainingConfig(tokens=512 * steps, learning_rate=5e-3, warmup_steps=5)
    stream = TokenStream(store, config.sequence_length, config.rows, seed=0)
    batches = stream.validation_batches(65_536, 16)
    model = LanguageModel.from_genome("71111-91111-11111-91111", width=64, vocabulary_size=store.vocabulary_size, seed=0)
    train(model, stream, config, unigram_loss(batches.targets, store.vocabulary_size))
    return evaluate(model, batches).loss


def digests(store: Any, split: str) -> set[bytes]:
    """Return the sha256 of every document's text, as its tokens give it back."""
    tokens, ends = store.split(split), store.split(split).documents()["end"].astype(int).tolist()
    starts = [0, *ends[:-1]]
    return {sha256(tokens[start : end - 1].astype("uint8").tobytes()).digest() for start, end in zip(starts, ends, strict=True)}


def main() -> None:
    """Prepare, train and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, help="the folder that holds proxy/train and proxy/validation")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--containers", nargs="+", choices=CONTAINERS, default=CONTAINERS, metavar="NAME", help=", ".join(CONTAINERS))
    arguments = parser.parse_args()
    with serve() as hub, tempfile.TemporaryDirectory() as folder:
        # Read when the clients are imported.
        os.environ |= hub.environment(Path(folder))
        from star_search.config import DataConfig
        from star_search.data.store import prepare

        losses = {}
        for kind, (source, held_out) in containers(arguments.corpus, Path(folder), hub, arguments.containers).items():
            store = prepare(DataConfig(source=source, held_out_source=held_out), Path(folder) / "cache" / kind)
            losses[kind] = validation_loss(store, arguments.steps)
            print(f"{kind:8} fingerprint {store.fingerprint[:16]}  validation loss {losses[kind]:.12f}", flush=True)
        found = {split: digests(store, split) for split in ("train", "validation", "test")}
        print(f"largest difference {max(losses.values()) - min(losses.values()):.3g}")
        leaked, both = len(found["train"] & (found["validation"] | found["test"])), len(found["validation"] & found["test"])
        print("documents", {split: len(each) for split, each in found.items()})
        print(f"of train in validation or test: {leaked}; of validation in test: {both}")


if __name__ == "__main__":
    main()
