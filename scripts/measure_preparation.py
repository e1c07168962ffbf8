"""Measure the preparation of a text: its speed against `tokenizers` itself on the same cores, its memory at 1x and 10x.

    python scripts/measure_preparation.py shared/corpus --tokenizer tokenizer.json --speed --memory 1 10

Speed: `encode_batch_fast` of `tokenizers` with its own threads over texts that are in memory already, against `prepare` from files to
store, one after the other. Memory: the largest sum of proportional set sizes of the process and its children, sampled every 50 ms;
copies of the corpus beyond the first have a line put before each text, so that none is a duplicate.
"""

import argparse
import json
import multiprocessing
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import zstandard

from star_search.config import DataConfig
from star_search.data.corpus import read_documents
from star_search.data.store import prepare
from star_search.data.tokenizer import load_tokenizer


def tokenizers_alone(config: DataConfig) -> tuple[float, int]:
    """Return bytes of text a second of `tokenizers` alone, and the tokens."""
    import tokenizers

    backend = tokenizers.Tokenizer.from_str(load_tokenizer(config.tokenizer).to_json())
    texts = [document.text for document, _ in read_documents(config, Path())]
    start, tokens = time.perf_counter(), 0
    for first in range(0, len(texts), 256):
        tokens += sum(len(each.ids) for each in backend.encode_batch_fast(texts[first : first + 256], add_special_tokens=False))
    return sum(len(text.encode()) for text in texts) / (time.perf_counter() - start), tokens


def prepared(config: DataConfig, processes: int | None) -> tuple[float, dict[str, object]]:
    """Return bytes of text a second from files to store, and the counts of the store."""
    with tempfile.TemporaryDirectory() as cache:
        start = time.perf_counter()
        store = prepare(config, Path(cache), processes)
        seconds = time.perf_counter() - start
    splits = store.index["splits"]
    return sum(counts["bytes"] for counts in splits.values()) / seconds, {name: counts["tokens"] for name, counts in splits.items()}


def peak_memory(config: DataConfig, processes: int | None) -> int:
    """Return the most bytes that a preparation, in a process of its own with its children, held at once."""
    process = multiprocessing.get_context("spawn").Process(target=prepared, args=(config, processes))
    process.start()
    peak, over = 0, threading.Event()
    while process.is_alive() and not over.wait(0.05):
        peak = max(peak, sum(_proportional_bytes(pid) for pid in _family(process.pid or 0)))
    process.join()
    if process.exitcode:
        raise SystemExit(f"the preparation ended with exit code {process.exitcode}")
    return peak


def _family(pid: int) -> Iterator[int]:
    yield pid
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return
    for child in children:
        yield from _family(int(child))


def _proportional_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def multiplied(source: Path, factor: int, folder: Path) -> Path:
    """Write `factor` copies of each file, all of different texts, and return the folder."""
    for file in sorted(source.glob("*.zst")):
        lines = zstandard.ZstdDecompressor().stream_reader(file.open("rb"), read_across_frames=True).read().splitlines()
        for copy in range(factor):
            name = file.name.replace("_sample", f"_{copy}_sample" if copy else "_sample")
            with zstandard.open(folder / name, "wb", zstandard.ZstdCompressor(level=1)) as stream:
                for line in lines:
                    record = json.loads(line)
                    stream.write(
                        json.dumps(record | {"text": f"copy {copy}\n{record['text']}" if copy else record["text"]}).encode() + b"\n"
                    )
    return folder


def main() -> None:
    """Measure what is asked for and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, help="the folder that holds proxy/train and proxy/validation")
    parser.add_argument("--tokenizer", default="embedded-bpe-4096")
    parser.add_argument("--processes", type=int)
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--memory", type=int, nargs="*", default=[], metavar="FACTOR")
    arguments = parser.parse_args()
    held_out = str(arguments.corpus / "proxy" / "validation")
    base = {"held_out_source": held_out, "tokenizer": arguments.tokenizer}
    train = arguments.corpus / "proxy" / "train"
    print(f"{len(os.sched_getaffinity(0))} cores, tokenizer {arguments.tokenizer}", flush=True)
    for _ in range(arguments.repeats if arguments.speed else 0):
        config = DataConfig(source=str(train), **base)
        alone, tokens = tokenizers_alone(config)
        ours, counts = prepared(config, arguments.processes)
        print(
            f"tokenizers {alone / 1e6:.2f} MB/s ({tokens:,} tokens), prepare {ours / 1e6:.2f} MB/s ({counts}), ratio {ours / alone:.3f}",
            flush=True,
        )
    for factor in arguments.memory:
        with tempfile.TemporaryDirectory() as folder:
            source = multiplied(train, factor, Path(folder))
            peak = peak_memory(DataConfig(source=str(source), **base), arguments.processes)
            print(f"{factor}x: peak {peak / 1e6:,.0f} MB", flush=True)


if __name__ == "__main__":
    main()
