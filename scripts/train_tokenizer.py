"""Train the byte-level BPE that ships with the package, on the training documents of the embedded sample."""

import argparse
from collections.abc import Iterator
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from star_search.config import DataConfig
from star_search.data.corpus import read_documents
from star_search.data.split import document_digest, is_validation
from star_search.data.tokenizer import END_OF_TEXT, TOKENIZER_FOLDER


def training_texts(config: DataConfig) -> Iterator[str]:
    """Yield the texts that the tokenizer may see: no validation document is among them."""
    for document in read_documents(config):
        if not is_validation(document_digest(document.text), config.validation_fraction):
            yield document.text


def train(texts: Iterator[str], vocabulary_size: int) -> Tokenizer:
    """Return a byte-level BPE of exactly this many entries, the end of text among them."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=vocabulary_size, special_tokens=[END_OF_TEXT], initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def main() -> None:
    """Train and write the tokenizer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=TOKENIZER_FOLDER / "embedded-bpe-4096.json", help="where to write it")
    parser.add_argument("--vocabulary-size", type=int, default=4096)
    arguments = parser.parse_args()
    tokenizer = train(training_texts(DataConfig()), arguments.vocabulary_size)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(tokenizer.to_str(pretty=True) + "\n", encoding="utf-8")
    print(f"{arguments.output}: {tokenizer.get_vocab_size()} tokens")


if __name__ == "__main__":
    main()
