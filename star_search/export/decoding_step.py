"""The decoding step as one graph that `torch.export` writes: a token, its place and the cache's state in, logits and the new state out.

Shapes: B batch, V vocabulary.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from star_search.liv.padding import Padding, Place
from star_search.liv.token_mixing import State
from star_search.model.language_model import LanguageModel


class DecodingStep(nn.Module):
    """One step of decoding as a function of tensors: state is handed in and advanced in place, features that follow from the weights alone
    are buffers."""

    def __init__(self, model: LanguageModel, max_length: int) -> None:
        super().__init__()
        self.model = model
        self._constants: list[dict[str, str]] = []
        for position, constants in enumerate(model.init_cache(1, max_length).constants):
            self._constants.append({name: f"constant_{position}_{name}" for name in constants})
            for name, features in constants.items():
                self.register_buffer(f"constant_{position}_{name}", features)

    def forward(self, tokens_B: Tensor, position: Tensor, starts_B: Tensor, states: list[State]) -> Tensor:
        """Return the logits [B, V] that follow the tokens at `position` [], the padding before each row being `starts_B` places."""
        constants = [{name: self.get_buffer(buffer) for name, buffer in names.items()} for names in self._constants]
        place = Place(position, Padding(starts_B))
        return self.model.logits(self.model.backbone.step_at(self.model.embed(tokens_B), states, constants, place))


@torch.no_grad()
def export_decoding_step(model: LanguageModel, batch_size: int, max_length: int) -> ExportedProgram:
    """Return the decoding step of `batch_size` rows and caches of `max_length` tokens as a program for `torch.export.save`, AOTInductor or
    ExecuTorch. It takes what `DecodingStep.forward` takes, the states those of `model.init_cache(batch_size, max_length)`."""
    model.eval()
    tokens_B, position = torch.zeros(batch_size, dtype=torch.long), torch.zeros((), dtype=torch.long)
    given = tokens_B, position, torch.zeros_like(tokens_B), model.init_cache(batch_size, max_length).states
    device = model.embedding.device
    return torch.export.export(DecodingStep(model, max_length), (*(each.to(device) for each in given[:3]), given[3]))
