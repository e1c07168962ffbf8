"""An exported folder read back: its configuration, looked at before anything is loaded, and the native model of its weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from star_search.data.tokenizer import load_tokenizer
from star_search.errors import InputError, check_whole
from star_search.genome.catalogue import Catalogue, load_catalogue, shipped_catalogues
from star_search.genome.catalogue_rows import check_text

if TYPE_CHECKING:
    from star_search.model.language_model import LanguageModel

WEIGHTS = "model*.safetensors"
PREFIX, EMBEDDING = "model.", "model.embedding"


@dataclass(frozen=True)
class ExportedModel:
    """A folder that `export-best` wrote, or that transformers saved again."""

    folder: Path
    config: dict[str, Any]

    @classmethod
    def read(cls, folder: Path) -> ExportedModel:
        """Read its configuration.

        Raises:
            InputError: when the folder holds no such model, or one of a catalogue that this version does not know.
        """
        exported = cls(folder, _read_config(folder))
        if not any(folder.glob(WEIGHTS)):
            raise InputError(f"{folder} holds no weights: it has no model.safetensors")
        wanted, known = exported.config.get("catalogue_version", 1), exported.catalogue
        if known.name in shipped_catalogues():  # Also where it is kept whole: what its classes do is this star-search's code.
            wanted, known = max(wanted, known.version), load_catalogue(known.name)
        if wanted > known.version:
            raise InputError(
                f"{folder} was exported with version {wanted} of catalogue {known.name}, and this star-search has version "
                f"{known.version}: upgrade star-search"
            )
        return exported

    @property
    def catalogue(self) -> Catalogue:
        """The catalogue of its genome."""
        return load_catalogue(self.config.get("catalogue", "star"))

    def has_tokenizer(self, name: str) -> bool:
        """Return whether token ids mean the same to a tokenizer and to the model: both are one model over one vocabulary, however their
        files are laid out.

        Raises:
            InputError: when the folder has no tokenizer that can be read.
        """
        return bool(_model_of(load_tokenizer(name).to_json()) == self.tokenizer_model())

    def tokenizer_model(self) -> Any:
        """Return the model of its tokenizer: vocabulary, merges and the like, every key there.

        Raises:
            InputError: when the folder has no tokenizer that can be read.
        """
        try:
            return _model_of((self.folder / "tokenizer.json").read_text(encoding="utf-8"))
        except Exception:  # The library raises no narrower one.
            raise InputError(f"{self.folder} has no tokenizer.json that can be read") from None

    def native(self) -> LanguageModel:
        """Return the model, on the CPU in the dtype of its weights.

        Raises:
            InputError: when the weights cannot be read, or are not those of its genome.
        """
        from star_search.model.language_model import LanguageModel

        config = self.config
        self._check_sizes()
        model = LanguageModel.from_genome(
            config["genome"], config["width"], config["vocab_size"], self.catalogue, config["residual"], router_top_k=config["router_top_k"]
        )
        self.load_into(model, assign=True)
        return model.eval()

    def _check_sizes(self) -> None:
        """Refuse weights of another vocabulary or width, before a model is made as large as the configuration says."""
        from safetensors import SafetensorError, safe_open

        said = [self.config["vocab_size"], self.config["width"]]
        try:
            for path in self.folder.glob(WEIGHTS):
                with safe_open(path, "pt") as file:
                    held = file.get_slice(EMBEDDING).get_shape() if EMBEDDING in file.keys() else said  # noqa: SIM118 - it is no mapping
                if held != said:
                    sizes = f"they are of {held[0]:,} ids and width {held[-1]:,}, config.json says {said[0]:,} and {said[1]:,}"
                    raise InputError(f"the weights of {self.folder} cannot be loaded: {sizes}")
        except (SafetensorError, OSError) as error:
            raise self._unloadable(error) from error

    def _unloadable(self, error: Exception) -> InputError:
        return InputError(f"the weights of {self.folder} cannot be loaded: {str(error).splitlines()[-1].strip()}")

    def load_into(self, model: LanguageModel, assign: bool = False) -> None:
        """Give a model of the same genome and width these weights, in its own dtype or, with `assign`, in theirs.

        Raises:
            InputError: when the weights cannot be read, or are another model's.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            state = {name: tensor for path in sorted(self.folder.glob(WEIGHTS)) for name, tensor in load_file(path).items()}
            model.load_state_dict({name.removeprefix(PREFIX): tensor for name, tensor in state.items()}, assign=assign)
        except (SafetensorError, OSError, RuntimeError) as error:
            raise self._unloadable(error) from error


def _model_of(definition: str) -> Any:
    import tokenizers

    return json.loads(tokenizers.Tokenizer.from_str(definition).to_str())["model"]


def _read_config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{folder} holds no model: it has no config.json; star-search export-best writes one") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{folder / 'config.json'} cannot be read: {getattr(error, 'strerror', None) or 'it is not JSON'}") from None
    kind = config.get("model_type") if isinstance(config, dict) else None
    needed = ("genome", "width", "vocab_size", "residual", "router_top_k")
    missing = [key for key in needed if kind == "star" and key not in config]
    if kind != "star" or missing:
        found = f"its config.json has no {missing[0]}" if missing else f"its model_type is {kind!r} and not 'star'"
        raise InputError(f"{folder} holds no model that star-search exported: {found}")
    _check_values(config, f"{folder / 'config.json'}: ")
    return dict(config)


def _check_values(config: dict[str, Any], where: str) -> None:
    """Refuse what a genome, a catalogue or a size cannot be."""
    check_text(config["genome"], f"{where}genome")
    if not isinstance(catalogue := config.get("catalogue", "star"), Mapping):
        check_text(catalogue, f"{where}catalogue")
    for key in ("width", "vocab_size", "catalogue_version"):
        check_whole(config.get(key, 1), f"{where}{key}", 1)
