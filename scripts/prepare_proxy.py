"""Prepare the proxy corpus for runs at 20M to 60M tokens: its train folder to train on, its validation folder held out.

    python scripts/prepare_proxy.py shared/corpus --configuration runs/proxy.yaml

Writes the section `data` of a search's configuration, then prepares its tokens. The held-out folder is split by hash into validation
and test. Texts and tokenizer together take 55 MB: they can be carried to another machine, and prepared there by the same command.
"""

import argparse
from pathlib import Path

import yaml

from star_search.cli.preparing import preparation_bar
from star_search.cli.store_view import print_store
from star_search.config import DataConfig, parse_configuration
from star_search.data.store import prepare
from star_search.errors import StarSearchError


def proxy_data(corpus: Path, tokenizer: str, subsets: str | None, validation_tokens: int) -> DataConfig:
    """Return the data section for the corpus in a folder."""
    values = {
        "source": str(corpus.absolute() / "proxy" / "train"),
        "held_out_source": str(corpus.absolute() / "proxy" / "validation"),
        "validation_fraction": 0.01,
        "test_fraction": 0.01,
        "validation_tokens": validation_tokens,
        "tokenizer": tokenizer,
        "subsets": subsets,
    }
    return parse_configuration({"data": values}).data


def main() -> None:
    """Write the section and prepare the tokens."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, help="the folder that holds proxy/train and proxy/validation")
    parser.add_argument("--configuration", type=Path, required=True, help="the YAML file to write")
    parser.add_argument("--tokenizer", default="embedded-bpe-4096", help="as data.tokenizer")
    parser.add_argument("--subsets", help="redpajama or llama; the corpus's own shares by default")
    parser.add_argument("--validation-tokens", type=int, default=524_288)
    parser.add_argument("--processes", type=int)
    arguments = parser.parse_args()
    data = proxy_data(arguments.corpus, arguments.tokenizer, arguments.subsets, arguments.validation_tokens)
    if arguments.configuration.exists():
        parser.error(f"--configuration {arguments.configuration} exists already; give another name")
    if not arguments.configuration.absolute().parent.is_dir():
        parser.error(f"--configuration {arguments.configuration}: its folder does not exist")
    try:
        with preparation_bar(quiet=False) as report:
            store = prepare(data, processes=arguments.processes, report=report)
    except StarSearchError as error:
        parser.error(str(error))
    with arguments.configuration.open("x", encoding="utf-8") as stream:
        yaml.safe_dump({"data": data.model_dump(mode="json", exclude_defaults=True)}, stream, sort_keys=False)
    print_store(store, [], as_json=False)


if __name__ == "__main__":
    main()
