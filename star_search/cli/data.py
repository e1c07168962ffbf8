"""`star-search data`: prepare a text, look at it, train a tokenizer on it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from star_search.errors import InputError, unwritable

data = typer.Typer(name="data", help="Prepare the text of a search, look at it, train a tokenizer on it.", no_args_is_help=True)

Config = Annotated[str, typer.Option(help="A YAML file, or the name of a configuration that ships with the package.")]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one key, as data.source=PATH; may be repeated.")]


@data.command()
def prepare(
    config: Config = "quickstart.yaml",
    set_: Set = None,
    processes: Annotated[int | None, typer.Option(min=1, help="Processes that tokenise; as many as cores and work by default.")] = None,
    refresh: Annotated[bool, typer.Option("--refresh", help="Look again at what the hub has, instead of the commit seen first.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print counts as JSON.")] = False,
) -> None:
    """Tokenise a text into the store that searches read; killed, the same command goes on where it was."""
    from star_search.cli.preparing import preparation_bar
    from star_search.cli.store_view import print_store
    from star_search.config import load_configuration
    from star_search.data.store import prepare as prepare_store

    settings = load_configuration(config, set_).data
    with preparation_bar(quiet or as_json) as report:
        store = prepare_store(settings, processes=processes, report=report, refresh=refresh)
    if as_json or not quiet:
        print_store(store, [], as_json)


@data.command()
def show(
    config: Config = "quickstart.yaml",
    set_: Set = None,
    documents: Annotated[int, typer.Option(min=0, help="How many documents to print, spread evenly over the split.")] = 3,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "train",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print what a prepared text holds: counts per subset, what was dropped or skipped, a sample of documents."""
    from star_search.cli.store_view import print_store, sample_documents
    from star_search.config import load_configuration
    from star_search.data.split import SPLITS
    from star_search.data.store import find

    if split not in SPLITS:
        raise InputError(f"--split must be one of {', '.join(SPLITS)}, got {split}")
    store = find(load_configuration(config, set_).data)
    if store is None:
        raise InputError("this text is not prepared yet; star-search data prepare with the same --config and --set prepares it")
    print_store(store, sample_documents(store, split, documents), as_json)


@data.command()
def train_tokenizer(
    output: Annotated[Path, typer.Option(help="The JSON file to write.")],
    config: Config = "quickstart.yaml",
    set_: Set = None,
    vocabulary_size: Annotated[int, typer.Option(help="Entries, the 256 bytes and the end of text among them.")] = 4096,
) -> None:
    """Train a byte-level BPE on the training documents alone, of which data.tokens takes so many bytes; data.tokenizer takes the file."""
    from star_search.config import load_configuration
    from star_search.data.files import write_new_bytes
    from star_search.data.store import default_cache_folder
    from star_search.data.tokenizer_training import train_tokenizer as train
    from star_search.data.tokenizer_training import training_texts
    from star_search.runs.output import check_new_file

    check_new_file(output, "--output")
    tokenizer = train(training_texts(load_configuration(config, set_).data, default_cache_folder()), vocabulary_size)
    try:
        write_new_bytes(output, (tokenizer.to_str(pretty=True) + "\n").encode())
    except OSError as error:
        raise unwritable(output, error) from None
    typer.echo(f"{output}: {tokenizer.get_vocab_size()} entries")
