"""A catalogue of the user's, from `genes` over `evolve` to an export, and after its file has changed or gone."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from cli.conftest import run_command, write_configuration
from star_search.runs.directory import RunDirectory

CATALOGUE = """
name: mine
version: 3
extends: star
classes:
  60: {name: ReLU-Attention, like: 3, operator: "e2133"}
  61: {name: Mamba-Modes, operator: "g4111",
       context: {A: [1, 2, 4, 1, 3], B: [3, 2, 4, 1, 3], v: [3, 2, 1, 1, 3]}, readout: {C: [3, 2, 4, 1, 3], gate: [1, 2, 1, 1, 3]}}
"""


@pytest.fixture(scope="module")
def mine_once(tmp_path_factory: pytest.TempPathFactory, source: Path) -> Path:
    """Return a folder with a catalogue, a configuration that names it by a relative path, and a finished run."""
    folder = tmp_path_factory.mktemp("mine")
    (folder / "mine.yaml").write_text(CATALOGUE)
    space = {"catalogue": "mine.yaml", "classes": ["ReLU-Attention", "Mamba-Modes", 9]}
    write_configuration(folder, source, space=space, algorithm={"population": 4, "generations": 1})
    ended = run_command("evolve", "--config", folder / "small.yaml", "--run-dir", folder / "run", "--quiet")
    assert ended.code == 0, ended
    return folder


@pytest.fixture
def mine(mine_once: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(mine_once, tmp_path / "mine"))


def test_genes_and_decode_read_the_file(command, mine):
    table = json.loads(command("genes", "--json", "--catalogue", mine / "mine.yaml").out)
    assert table["catalogue"] == {"name": "mine", "version": 3}
    assert {row["id"]: row["name"] for row in table["classes"]}[61] == "Mamba-Modes"
    decoded = json.loads(command("decode", "(61)1111-(60)1112-(60)1112", "--width", "64", "--json", "--catalogue", mine / "mine.yaml").out)
    assert [liv["name"] for liv in decoded["livs"]] == ["Mamba-Modes", "ReLU-Attention", "ReLU-Attention"]
    assert decoded["sharing"] == [{"kind": "features", "members": [2, 3], "groups": ["k", "v"]}]


def test_the_run_keeps_the_catalogue(mine):
    run = RunDirectory.open(mine / "run")
    kept = yaml.safe_load(run.config_yaml)["space"]["catalogue"]
    assert kept["classes"]["61"]["name"] == "Mamba-Modes"
    assert run.provenance["catalogue"] == {"name": "mine", "version": 3}
    assert {digit for record in run.read_candidates()[0] for digit in record.canonical.split("-")[0][:4]} <= set("(60)1291")


def test_without_the_file_a_run_is_inspected_extended_and_exported(command, mine):
    (mine / "mine.yaml").unlink()
    assert json.loads(command("inspect", mine / "run", "--json").out)["generation"] == 1
    ended = command("evolve", "--resume", "--run-dir", mine / "run", "--set", "algorithm.generations=2", "--quiet")
    assert (ended.code, ended.err) == (0, "")
    assert RunDirectory.open(mine / "run").generation_numbers() == [0, 1, 2]
    ended = command("export-best", mine / "run", "--out", "found")
    assert (ended.code, ended.err) == (0, "")
    config = json.loads(Path("found/config.json").read_text())
    assert config["catalogue"]["classes"]["60"] == {"name": "ReLU-Attention", "like": 3, "operator": "e2133"}
    assert "`mine`" in Path("found/README.md").read_text()


def test_a_changed_catalogue_is_refused_and_the_same_one_resumes(command, mine):
    resume = ("evolve", "--config", mine / "small.yaml", "--run-dir", mine / "run", "--resume", "--quiet")
    assert command(*resume).code == 0
    (mine / "mine.yaml").write_text(CATALOGUE.replace("e2133", "e2143"))
    sentence = command(*resume).sentence()
    assert sentence.startswith(f"space.catalogue.classes.60.operator of {mine / 'run'} is e2133 and cannot become e2143; what may change")
    (mine / "mine.yaml").write_text(CATALOGUE + '  62: {name: SiLU-Attention, like: 3, operator: "e2143"}\n')
    added = f"space.catalogue.classes.62 of {mine / 'run'} is absent and cannot become "
    assert command(*resume).sentence().startswith(added)
    (mine / "mine.yaml").unlink()
    assert command(*resume).sentence().startswith(f"catalogue file {mine / 'mine.yaml'} does not exist")


def test_the_model_card_holds_a_configuration_that_runs_elsewhere(command, mine):
    assert command("export-best", mine / "run", "--out", "found").code == 0
    shown = Path("found/README.md").read_text().rsplit("```yaml\n", 1)[1].removesuffix("```\n")
    Path("search.yaml").write_text(shown)
    shutil.rmtree(mine)
    ended = command("evolve", "--config", "search.yaml", "--dry-run")
    assert (ended.code, ended.err) == (0, "")


def test_an_export_loads_where_the_file_never_was(command, mine):
    transformers = pytest.importorskip("transformers")
    assert command("export-best", mine / "run", "--out", "found").code == 0
    shutil.rmtree(mine)
    loaded = transformers.AutoModelForCausalLM.from_pretrained("found", trust_remote_code=True)
    genome = loaded.config.genome
    assert loaded.model.backbone.genome.format() == genome
    loaded.save_pretrained("again")
    assert transformers.AutoModelForCausalLM.from_pretrained("again", trust_remote_code=True).config.catalogue == loaded.config.catalogue


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("space.catalogue=gone.yaml", "catalogue file {here}/gone.yaml does not exist"),
        ("space.catalogue=7", "small.yaml: space.catalogue must be text or values by name, got 7"),
        ("space.catalogue={name: own}", "catalogue own: version must be a whole number of at least 1, got None"),
    ],
)
def test_what_is_no_catalogue_is_refused(command, configuration, here, change, sentence):
    found = command("evolve", "--config", configuration, "--set", change, "--dry-run").sentence()
    assert found.removeprefix(f"{configuration.parent}/") == sentence.format(here=here)
