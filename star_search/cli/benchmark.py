"""`star-search benchmark`: measure time and memory, of operators or of whole models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def benchmark(
    operators: Annotated[bool, typer.Option("--operators", help="Forward and backward of each LIV class over sequence length.")] = False,
    models: Annotated[bool, typer.Option("--models", help="Whole trainings: of genomes, and of Hugging Face's models.")] = False,
    width: Annotated[int, typer.Option(help="Width of the residual stream.")] = 256,
    classes: Annotated[
        str | None,
        typer.Option(help="Class ids or names, joined by commas. Operators: all by default; models: each in turn with GMemless."),
    ] = None,
    catalogue: Annotated[str, typer.Option(help="Name of the catalogue.")] = "star",
    threads: Annotated[int | None, typer.Option(help="CPU threads; as many as there are cores by default.")] = None,
    repeats: Annotated[int, typer.Option(help="Operators: timed passes at each length; models: timed repeats of --steps steps.")] = 7,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    out: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Write what was measured into this folder: .json, .md, .svg.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    lengths: Annotated[str, typer.Option(help="Operators: sequence lengths, joined by commas.")] = "512,1024,2048,4096",
    batch: Annotated[int, typer.Option(help="Operators: sequences at a time.")] = 1,
    genome: Annotated[list[str] | None, typer.Option(metavar="[NAME=]GENOME", help="Models: a genome; repeatable.")] = None,
    times: Annotated[int, typer.Option(help="Models: how often each genome is repeated in depth.")] = 1,
    huggingface: Annotated[list[str] | None, typer.Option(help="Models: llama, mamba2 or lfm2 of transformers; repeatable.")] = None,
    layers: Annotated[int | None, typer.Option(help="Models: layers of Hugging Face's, two LIVs each; --times by default.")] = None,
    eager: Annotated[bool, typer.Option("--eager", help="Models: Hugging Face's without torch.compile, which a CPU never gets.")] = False,
    vocabulary: Annotated[int, typer.Option(help="Models: ids.")] = 4096,
    length: Annotated[int, typer.Option(help="Models: tokens of a sequence.")] = 1024,
    batch_tokens: Annotated[int, typer.Option(help="Models: tokens of a step.")] = 8192,
    steps: Annotated[int, typer.Option(help="Models: steps of a repeat.")] = 50,
    precision: Annotated[str | None, typer.Option(help="Models: bfloat16 or float32; bfloat16 on a GPU by default.")] = None,
) -> None:
    """Measure time and peak memory of operators over sequence length, or of whole trainings.

    Nothing is timed whose outputs are wrong: fast forms are held against reference forms, first steps against eager ones in fp32.
    """
    import os

    from star_search.cli import benchmark_models, benchmark_operators
    from star_search.errors import InputError
    from star_search.evolution.workers import devices

    if operators == models:
        raise InputError("benchmark measures one of two things: give --operators or --models")
    threads = threads if threads is not None else os.cpu_count() or 1
    check_positive({"--width": width, "--threads": threads, "--repeats": repeats})
    place = devices(device)[0]
    if operators:
        setting = benchmark_operators.setting(catalogue, width, batch, lengths, threads, repeats, place)
        benchmark_operators.run(setting, class_ids(catalogue, classes, width), out, json_)
        return
    check_positive({"--times": times, "--layers": times if layers is None else layers})
    mixers = class_ids(catalogue, classes, width) if classes is not None else []
    genomes = benchmark_models.genomes(catalogue, width, genome or [], mixers, times, default=not huggingface)
    sizes = benchmark_models.Sizes(vocabulary, length, batch_tokens, steps, repeats)
    model_setting = benchmark_models.setting(catalogue, width, sizes, place, precision)
    rivals = benchmark_models.Rivals.of(huggingface or [], times if layers is None else layers, eager or place == "cpu")
    benchmark_models.run(model_setting, genomes, rivals, threads, out, json_)


def check_positive(values: dict[str, int]) -> None:
    """Refuse an option below 1."""
    from star_search.errors import InputError

    for option, value in values.items():
        if value < 1:
            raise InputError(f"{option} must be at least 1, got {value}")


def class_ids(catalogue: str, classes: str | None, width: int) -> list[int]:
    """Return the ids of the classes asked for, refusing a width that one of them does not fit."""
    from star_search.genome.accounting import Dimensions
    from star_search.genome.catalogue import load_catalogue

    table = load_catalogue(catalogue)
    ids = table.ids if classes is None else [table.find(key.strip()).id for key in classes.split(",")]
    for class_id in ids:
        Dimensions(table[class_id], width)
    return list(dict.fromkeys(ids))
