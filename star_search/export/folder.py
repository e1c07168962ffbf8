"""The folder that transformers loads, written without transformers; it appears whole or not at all."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from star_search import __version__
from star_search.analysis.run_view import RunView
from star_search.config import SearchConfig
from star_search.data.tokenizer import END_OF_TEXT, Tokenizer, load_tokenizer
from star_search.errors import InputError, StarSearchError, unwritable
from star_search.export.card import model_card
from star_search.export.standalone import standalone_files
from star_search.genome.catalogue import load_catalogue
from star_search.runs.atomic import write_bytes, write_json, write_text
from star_search.runs.output import check_folder
from star_search.runs.records import CandidateRecord

if TYPE_CHECKING:
    from torch import Tensor

CONFIGURATION_FILE = '''"""Configuration of a model that star-search found: pip install 'star-search[huggingface]'."""

from star_search.export.huggingface import StarConfig as _StarConfig


class StarConfig(_StarConfig):
    """See star_search.export.huggingface.StarConfig."""
'''

MODELING_FILE = '''"""A model that star-search found: pip install 'star-search[huggingface]'."""

from star_search.export.huggingface import StarForCausalLM as _StarForCausalLM

from .configuration_star import StarConfig


class StarForCausalLM(_StarForCausalLM):
    """See star_search.export.huggingface.StarForCausalLM."""

    config_class = StarConfig
'''

IMPORTING_FILES = {"configuration_star.py": CONFIGURATION_FILE, "modeling_star.py": MODELING_FILE}


@dataclass(frozen=True)
class Exportable:
    """What a folder is made of: a genome, the configuration it was trained with, its weights as safetensors, the text of its model card,
    and whether the folder brings the code that it needs."""

    genome: str
    config: SearchConfig
    weights: Path
    card: str
    standalone: bool = False


def exported_candidate(view: RunView, record: CandidateRecord, weights: Path, retrained: str = "", standalone: bool = False) -> Exportable:
    """Return a candidate of a run to be exported; `retrained` says how its weights were had again where the run had not kept them."""
    return Exportable(record.canonical, view.config, weights, model_card(view, record, retrained, standalone), standalone)


def check_target(folder: Path) -> None:
    """Refuse a target that holds anything or cannot be written.

    Raises:
        InputError: when it is a file or a folder that is not empty, or no folder can be made there.
    """
    try:
        occupied = folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir())))
    except OSError as error:
        raise InputError(f"{folder} cannot be read: {error.strerror}") from error
    if occupied:
        raise InputError(f"{folder} exists already; nothing is overwritten: give a new or empty folder with --out")
    check_folder(folder, "--out")


def write_folder(exported: Exportable, folder: Path) -> None:
    """Write the export into a temporary folder beside the target and rename it.

    Raises:
        InputError: when the target holds anything or cannot be written, or the run's tokenizer is gone.
        StarSearchError: when the weights are not those of the genome, or the disk fails.
    """
    check_target(folder)
    target = folder.absolute()
    staging = target.parent / f".{target.name}.{uuid4().hex}.tmp"
    try:
        staging.mkdir(parents=True)
        _write_files(exported, staging)
        staging.rename(target)
    except OSError as error:
        raise unwritable(folder, error) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _write_files(exported: Exportable, folder: Path) -> None:
    from safetensors.torch import save

    tokenizer = load_tokenizer(exported.config.data.tokenizer)
    weights = {f"model.{name}": tensor for name, tensor in _weights(exported, tokenizer).items()}
    write_bytes(folder / "model.safetensors", save(weights, metadata={"format": "pt"}))
    write_json(folder / "config.json", _config(exported, tokenizer))
    write_json(folder / "generation_config.json", _special_tokens(tokenizer) | {"pad_token_id": tokenizer.end_of_text})
    write_text(folder / "tokenizer.json", tokenizer_definition(tokenizer))
    write_json(folder / "tokenizer_config.json", _tokenizer_config())
    for name, text in (standalone_files() if exported.standalone else IMPORTING_FILES).items():
        write_text(folder / name, text)
    write_text(folder / "README.md", exported.card)


def _weights(exported: Exportable, tokenizer: Tokenizer) -> dict[str, Tensor]:
    """Return the weights in fp32, once they are known to fit the genome."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from star_search.model.language_model import LanguageModel

    config = exported.config
    try:
        state = load_file(exported.weights)
    except (SafetensorError, OSError) as error:
        raise StarSearchError(f"{exported.weights} cannot be read ({error}); without that file, the candidate is retrained") from error
    with torch.device("meta"):
        space = config.space
        model = LanguageModel.from_genome(
            exported.genome,
            space.width,
            tokenizer.vocabulary_size,
            load_catalogue(exported.config.space.catalogue),
            config.backbone.residual,
        )
    expected, found = ({name: tuple(tensor.shape) for name, tensor in tensors.items()} for tensors in (model.state_dict(), state))
    wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if wrong:
        raise StarSearchError(
            f"{exported.weights} does not hold the weights of {exported.genome}: {wrong[0]} is {found.get(wrong[0], 'missing')} "
            f"and should be {expected.get(wrong[0], 'absent')}"
        )
    return {name: tensor.to(torch.float32).contiguous() for name, tensor in state.items()}


def _config(exported: Exportable, tokenizer: Tokenizer) -> dict[str, Any]:
    config, catalogue = exported.config, load_catalogue(exported.config.space.catalogue)
    return {
        "architectures": ["StarForCausalLM"],
        "auto_map": {"AutoConfig": "configuration_star.StarConfig", "AutoModelForCausalLM": "modeling_star.StarForCausalLM"},
        "model_type": "star",
        "dtype": "float32",
        "genome": exported.genome,
        "catalogue": catalogue.self_contained if exported.standalone else catalogue.source,
        "catalogue_version": catalogue.version,
        "width": config.space.width,
        "depth": config.space.depth,
        "residual": config.backbone.residual,
        "router_top_k": config.backbone.router_top_k,
        "vocab_size": tokenizer.vocabulary_size,
        **_special_tokens(tokenizer),
        "data": config.data.model_dump(mode="json", exclude_defaults=True),
        "training_sequence_length": config.training.sequence_length,
        "training_precision": config.training.precision,
        "star_search_version": __version__,
    }


def _special_tokens(tokenizer: Tokenizer) -> dict[str, int]:
    """The end of one document is the beginning of the next."""
    return {"bos_token_id": tokenizer.end_of_text, "eos_token_id": tokenizer.end_of_text}


def tokenizer_definition(tokenizer: Tokenizer) -> str:
    """Return the definition without what training did not do: cutting, padding, and tokens put around a text."""
    definition = json.loads(tokenizer.to_json()) | {"truncation": None, "padding": None}
    if (definition.get("post_processor") or {}).get("type") != "ByteLevel":
        definition["post_processor"] = None
    return json.dumps(definition, ensure_ascii=False, indent=1) + "\n"


def _tokenizer_config() -> dict[str, Any]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": END_OF_TEXT,
        "eos_token": END_OF_TEXT,
        "pad_token": END_OF_TEXT,
        "padding_side": "left",
        "clean_up_tokenization_spaces": False,
        "model_input_names": ["input_ids", "attention_mask"],
    }
