"""`star-search benchmark`: measure time and memory, of operators, of decoding, or of whole trainings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Operators = Annotated[bool, typer.Option("--operators", help="Forward and backward of each LIV class over sequence length.")]
Decoding = Annotated[bool, typer.Option("--decoding", help="Cache, time and memory of decoding over the length of the prompt.")]
Models = Annotated[bool, typer.Option("--models", help="Whole trainings: of genomes, and of Hugging Face's models.")]
Width = Annotated[int, typer.Option(help="Width of the residual stream.")]
Classes = Annotated[
    str | None, typer.Option(help="Class ids or names, joined by commas. Operators: all by default; models: each in turn with GMemless.")
]
CatalogueName = Annotated[str, typer.Option(help="Name of the catalogue.")]
Threads = Annotated[int | None, typer.Option(help="CPU threads; as many as there are cores by default.")]
Repeats = Annotated[int, typer.Option(help="Timed passes at each length; models: timed repeats of --steps steps.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Out = Annotated[Path | None, typer.Option(metavar="FOLDER", help="Write what was measured into this folder: .json, .md, .svg.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Lengths = Annotated[
    str | None, typer.Option(help="Operators, decoding: lengths, joined by commas; from 512 to 4096 and to 32768 by default.")
]
Batch = Annotated[int, typer.Option(help="Operators, decoding: sequences at a time.")]
Genomes = Annotated[list[str] | None, typer.Option(metavar="[NAME=]GENOME", help="Decoding, models: a genome or a baseline; repeatable.")]
Searched = Annotated[Path | None, typer.Option("--run", help="Decoding: the front of this run, at its width and vocabulary.")]
Times = Annotated[int, typer.Option(help="Models: how often each genome is repeated in depth.")]
HuggingFace = Annotated[list[str] | None, typer.Option(help="Models: llama, mamba2 or lfm2 of transformers; repeatable.")]
Layers = Annotated[int | None, typer.Option(help="Models: layers of Hugging Face's, two LIVs each; --times by default.")]
Eager = Annotated[bool, typer.Option("--eager", help="Models: Hugging Face's without torch.compile, which a CPU never gets.")]
Vocabulary = Annotated[int, typer.Option(help="Decoding, models: ids.")]
Length = Annotated[int, typer.Option(help="Models: tokens of a sequence.")]
BatchTokens = Annotated[int, typer.Option(help="Models: tokens of a step.")]
Steps = Annotated[int, typer.Option(help="Models: steps of a repeat.")]
Precision = Annotated[str | None, typer.Option(help="Decoding, models: bfloat16 or float32; bfloat16 on a GPU by default.")]


def benchmark(
    operators: Operators = False,
    decoding: Decoding = False,
    models: Models = False,
    width: Width = 256,
    classes: Classes = None,
    catalogue: CatalogueName = "star",
    threads: Threads = None,
    repeats: Repeats = 7,
    device: Device = "auto",
    out: Out = None,
    json_: AsJson = False,
    lengths: Lengths = None,
    batch: Batch = 1,
    genome: Genomes = None,
    searched: Searched = None,
    times: Times = 1,
    huggingface: HuggingFace = None,
    layers: Layers = None,
    eager: Eager = False,
    vocabulary: Vocabulary = 4096,
    length: Length = 1024,
    batch_tokens: BatchTokens = 8192,
    steps: Steps = 50,
    precision: Precision = None,
) -> None:
    """Measure time and peak memory of operators over sequence length, of decoding after prompts, or of whole trainings.

    Nothing is timed whose outputs are wrong: fast forms are held against reference forms, first steps against eager ones in fp32, decoding
    caches against the declared ones.
    """
    from star_search.cli import benchmark_decoding, benchmark_models, benchmark_operators

    place, threads = _where(operators + decoding + models, device, width, threads, repeats)
    if operators:
        setting = benchmark_operators.setting(catalogue, width, batch, lengths or benchmark_operators.LENGTHS, threads, repeats, place)
        benchmark_operators.run(setting, class_ids(catalogue, classes, width), out, json_)
    elif decoding:
        measurement = benchmark_decoding.measurement(batch, repeats, precision, place)
        given = benchmark_decoding.given(searched, genome or [], catalogue, width, times, vocabulary, measurement)
        benchmark_decoding.run(given, benchmark_decoding.numbers(lengths), place, threads, out, json_)
    else:
        asked = benchmark_models.Asked(catalogue, width, tuple(genome or ()), classes, tuple(huggingface or ()), times, layers)
        sizes = benchmark_models.Sizes(vocabulary, length, batch_tokens, steps, repeats)
        benchmark_models.measure(asked, sizes, precision, place, eager, threads, out, json_)


def _where(kinds: int, device: str, width: int, threads: int | None, repeats: int) -> tuple[str, int]:
    """Return the device and how many threads to use, refusing numbers below 1 and anything but one kind of benchmark."""
    import os

    from star_search.errors import InputError
    from star_search.evolution.workers import devices

    if kinds != 1:
        raise InputError("benchmark measures one of three things: give --operators, --decoding or --models")
    threads = threads if threads is not None else os.cpu_count() or 1
    check_positive({"--width": width, "--threads": threads, "--repeats": repeats})
    return devices(device, "--device")[0], threads


def check_positive(values: dict[str, int]) -> None:
    """Refuse an option below 1."""
    from star_search.errors import InputError

    for option, value in values.items():
        if value < 1:
            raise InputError(f"{option} must be at least 1, got {value}")


def read_lengths(text: str, fewest: str) -> tuple[int, ...]:
    """Return the numbers of `--lengths`, rising; `fewest` is one or two.

    Raises:
        InputError: for anything that is no list of whole numbers, or too few of them.
    """
    from star_search.errors import InputError

    parts = [part.strip() for part in text.split(",")]
    digits = [part.isascii() and part.isdigit() for part in parts]
    numbers = sorted({int(part) for part, fits in zip(parts, digits, strict=True) if fits})
    if not all(digits) or len(numbers) < ("one", "two").index(fewest) + 1 or numbers[0] < 1:
        raise InputError(f"--lengths must be {fewest} or more whole numbers from 1, joined by commas, got {text}")
    return tuple(numbers)


def class_ids(catalogue: str, classes: str | None, width: int) -> list[int]:
    """Return the ids of the classes asked for, refusing a width that one of them does not fit."""
    from star_search.genome.accounting import Dimensions
    from star_search.genome.catalogue import load_catalogue

    table = load_catalogue(catalogue)
    ids = table.ids if classes is None else [table.find(key.strip()).id for key in classes.split(",")]
    for class_id in ids:
        Dimensions(table[class_id], width)
    return list(dict.fromkeys(ids))
