"""The decoding step as an exported program: it decodes what the model decodes, padding included, from a file too."""

from __future__ import annotations

import pytest
import torch

from export.hand_made import EVERY_CLASS, OWN_CLASSES, WHOLE_SPACE, configuration, lively_model
from star_search.export.decoding_step import export_decoding_step
from star_search.liv.padding import Padding

LENGTH, PROMPT = 24, 6


@pytest.mark.parametrize(("genome", "space"), [(EVERY_CLASS, {}), (OWN_CLASSES, WHOLE_SPACE)], ids=["every class", "own classes"])
def test_the_program_decodes_what_the_model_decodes(genome, space, tmp_path):
    model = lively_model(genome, configuration(9, space=space)).double()
    tokens = torch.randint(0, 256, (2, LENGTH), generator=torch.Generator().manual_seed(0))
    starts = torch.tensor([0, 4])
    program = export_decoding_step(model, batch_size=2, max_length=LENGTH)
    torch.export.save(program, tmp_path / "step.pt2")
    step = torch.export.load(tmp_path / "step.pt2").module()
    caches = [model.init_cache(2, LENGTH) for _ in range(2)]
    for cache in caches:
        model.prefill(tokens[:, :PROMPT], cache, Padding(starts))
    for position in range(PROMPT, LENGTH):
        expected = model.step(tokens[:, position], caches[0])[0]
        found = step(tokens[:, position], torch.tensor(position), starts, caches[1].states)
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    for expected, found in zip(caches[0].tensors(), caches[1].tensors(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
