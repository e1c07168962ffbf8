"""A folder that brings its code: it loads where star-search is not installed, and computes the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from export.hand_made import EVERY_CLASS, OWN_CLASSES, WHOLE_SPACE, configuration, lively_model, record_of
from star_search.export.standalone import standalone_files
from star_search.genome.catalogue import load_catalogue

WITHOUT_US = """
import sys, torch
class Missing:
    def find_spec(self, name, *rest):
        if name.partition(".")[0] in ("star_search", "pymoo", "pydantic"):
            raise ImportError(f"{name} is not installed here")
sys.meta_path.insert(0, Missing())
from transformers import AutoModelForCausalLM
models = [AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True) for folder in sys.argv[1:-1]]
models[-1].save_pretrained("again")
models.append(AutoModelForCausalLM.from_pretrained("again", trust_remote_code=True))
tokens = torch.arange(20).reshape(2, 10)
with torch.no_grad():
    logits = [model(tokens).logits for model in models]
text = models[0].generate(tokens, attention_mask=(tokens > 2).long(), max_new_tokens=5, do_sample=False)
torch.save({"logits": logits, "text": text}, sys.argv[-1])
"""


def test_it_loads_without_star_search_and_computes_the_same(make_run, export, tmp_path):
    pytest.importorskip("transformers")
    natives, folders = [], []
    for name, genome, space in (("plain", EVERY_CLASS, {}), ("own", OWN_CLASSES, WHOLE_SPACE)):
        config = configuration(9, space=space)
        record = record_of(0, genome, config, 5.0)
        make_run(config, [record], front=[0], name=name)
        natives.append(lively_model(record.canonical, config))
        folders.append(export(f"runs/{name}", "--standalone")["folder"])
    environment = os.environ | {"PYTHONPATH": "", "HF_HOME": str(tmp_path / "hub")}
    command = [sys.executable, "-c", WITHOUT_US, *folders, "found.pt"]
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = torch.load("found.pt")
    tokens = torch.arange(20).reshape(2, 10)
    with torch.no_grad():
        for native, logits in zip([*natives, natives[-1]], found["logits"], strict=True):
            torch.testing.assert_close(logits, native(tokens), rtol=0, atol=1e-5)
    assert found["text"].shape == (2, 15)


def test_the_folder_says_what_it_needs(sizes_run, export):
    folder = Path(export("--standalone")["folder"])
    assert "torch and transformers alone" in (folder / "README.md").read_text()
    assert json.loads((folder / "config.json").read_text())["catalogue"]["name"] == "star"
    imports = pytest.importorskip("transformers.dynamic_module_utils").get_imports
    for path in folder.glob("*.py"):
        # What transformers asks for before it runs the code; numpy and PyYAML come with it.
        assert set(imports(path)) - sys.stdlib_module_names <= {"torch", "transformers", "numpy", "yaml"}
        assert "import star_search" not in path.read_text() and "from star_search" not in path.read_text()


def test_the_sources_are_ours_but_for_their_imports():
    files = standalone_files()
    assert {"modeling_star.py", "configuration_star.py", "liv_reference.py", "liv_kernels_triton_scan.py"} <= files.keys()
    source = (Path(__file__).parents[2] / "star_search" / "liv" / "recurrence.py").read_text()
    kept = [line for line in source.splitlines() if "import" not in line]
    assert [line for line in files["liv_recurrence.py"].splitlines()[1:] if "import" not in line] == kept
    assert "star_search::" not in "".join(files.values())


@pytest.mark.parametrize("name", ["star", "paper"])
def test_a_catalogue_is_read_again_from_what_it_holds(name):
    catalogue = load_catalogue(name)
    # transformers sorts the keys of a configuration that it saves, as text.
    again = load_catalogue(json.loads(json.dumps(catalogue.self_contained, sort_keys=True)))
    assert again == catalogue and not any(isinstance(again.data.get(key), str) for key in ("base", "extends"))
