"""Objectives of the user's own: found, kept whole, called with a candidate, and refused or recorded when they fail."""

from hashlib import sha256
from importlib.metadata import EntryPoint

import pytest
import torch
from safetensors.torch import load_file

from evolution.small_search import small_config, write_text_source
from star_search.config import parse_configuration
from star_search.errors import InputError
from star_search.objectives import own
from star_search.objectives.assessment import Assessor
from star_search.objectives.assignment import Assignment
from star_search.objectives.own import load_own, refuse_changed, with_sources
from star_search.objectives.racing import check_racing
from star_search.objectives.registry import KINDS, Criteria
from star_search.runs.records import Outcome

GENOME = "11111-71111"
CODE = '''
from dataclasses import dataclass

@dataclass
class Share:
    calls: int = 0
    worst = 2.0
    trains_itself = True

    def __call__(self, candidate):
        self.calls += 1
        assert candidate.model is None
        return self.calls / candidate.genome.depth

class NeedsMore:
    def __init__(self, more):
        pass

def spoil(candidate):
    """Return the embedding's size, and leave nothing of the model as it was."""
    size = candidate.model.embedding.numel()
    for parameter in candidate.model.parameters():
        parameter.data.zero_()
    return size

def backbone_sum(candidate):
    return sum(parameter.abs().sum().item() for parameter in candidate.backbone().parameters())

backbone_sum.trains_itself = True
number, not_finite, negative, text = 3, lambda candidate: float("nan"), lambda candidate: -0.5, lambda candidate: "good"
infinite_worst = lambda candidate: 0.0
infinite_worst.worst = float("inf")

def breaks(candidate):
    raise RuntimeError("no luck")
'''


@pytest.fixture
def code(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(CODE)
    return path


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write_text_source(tmp_path_factory.mktemp("text"))


def config_of(*objectives, **sections):
    return with_sources(parse_configuration({"objectives": list(objectives), **sections}))


@pytest.fixture
def assess(source, code, tmp_path):
    def call(*names, **changes):
        config = with_sources(
            small_config(source, objectives=[f"{code}:{name}" if name not in KINDS else name for name in names], **changes)
        )
        assignment = Assignment(0, 0, GENOME, GENOME, str(tmp_path / "w.safetensors"))
        return Assessor(config, "cpu")(assignment)

    return call


class TestSources:
    def test_a_file_is_kept_whole_under_a_short_name(self, code):
        config = config_of(f"{code}:Share", "cache_bytes")
        assert config.objectives == ["mine.py:Share", "cache_bytes"]
        kept = config.own_objectives["mine.py:Share"]
        assert (kept.origin, kept.source) == (str(code), CODE)
        assert kept.sha256 == sha256(CODE.encode()).hexdigest()
        again = parse_configuration(config.model_dump(mode="json"))
        assert with_sources(again) == config

    def test_it_is_run_as_it_was_kept(self, code):
        config = config_of(f"{code}:Share")
        code.write_text("raise SystemExit")
        found = load_own(config, "mine.py:Share")
        assert (found.worst, found.trains_itself) == (2.0, True)

    def test_a_constraint_may_name_it(self, code):
        config = config_of(f"{code}:Share", constraints=["mine.py:Share <= 0.5"])
        (constraint,) = Criteria.from_config(config).constraints
        assert constraint.sentence(0.75) == "mine.py:Share 0.75 is above 0.5"

    def test_a_constraint_may_name_its_file_by_path_and_without_an_objective(self, code):
        for objectives in (["perplexity"], [f"{code}:Share"]):
            config = config_of(*objectives, constraints=[f"{code}:Share<=5e-1", "parameters <= 1e9"])
            assert config.constraints == ["mine.py:Share <= 5e-1", "parameters <= 1e9"]
            assert (load_own(config, "mine.py:Share").worst, Criteria.from_config(config).constraints[0].bound) == (2.0, 0.5)
            assert with_sources(parse_configuration(config.model_dump(mode="json"))) == config

    def test_a_constraint_on_another_file_of_its_name(self, code, tmp_path):
        (tmp_path / "other").mkdir()
        (tmp_path / "other" / "mine.py").write_text(CODE + "\n")
        with pytest.raises(InputError, match=r"^constraints names two files mine\.py that differ; rename one$"):
            config_of(f"{code}:Share", constraints=[f"{tmp_path}/other/mine.py:Share <= 1"])

    def test_two_files_of_one_name(self, code, tmp_path):
        (tmp_path / "other").mkdir()
        (tmp_path / "other" / "mine.py").write_text(CODE + "\n")
        with pytest.raises(InputError, match=r"^objectives names two files mine\.py that differ; rename one$"):
            config_of(f"{code}:Share", f"{tmp_path}/other/mine.py:Share")

    @pytest.mark.parametrize(
        ("objective", "sentence"),
        [
            ("{folder}/none.py:error", "objective {folder}/none.py:error: {folder}/none.py cannot be read: No such file or directory"),
            ("{folder}/latin.py:error", "objective {folder}/latin.py:error: {folder}/latin.py is not UTF-8"),
            ("perplexty", "unknown objective 'perplexty'; did you mean 'perplexity'?"),
            ("mine:error", "unknown objective 'mine:error'"),
        ],
    )
    def test_what_cannot_be_found(self, tmp_path, objective, sentence):
        (tmp_path / "latin.py").write_bytes("# é".encode("latin-1"))
        with pytest.raises(InputError) as error:
            config_of(objective.format(folder=tmp_path))
        assert str(error.value).startswith(sentence.format(folder=tmp_path))

    def test_an_entry_point_is_known_by_its_name_and_the_hash_of_its_module(self, code, monkeypatch):
        monkeypatch.syspath_prepend(code.parent)
        monkeypatch.setattr(own, "entry_points", lambda group: [EntryPoint("luck", "mine:Share", group)])
        config = config_of("luck")
        assert config.own_objectives["luck"].origin == "mine:Share"
        assert config.own_objectives["luck"].sha256 == sha256(CODE.encode()).hexdigest()
        assert load_own(config, "luck").worst == 2.0
        with pytest.raises(InputError, match=r"^unknown objective 'luk'; did you mean 'luck'\?$"):
            config_of("luk")
        monkeypatch.setattr(own, "entry_points", lambda group: [])
        with pytest.raises(InputError, match=r"^objective luck \(mine:Share\) came with a package that is not installed$"):
            refuse_changed("run", config, config)


class TestChanges:
    def test_a_changed_file_is_refused_and_one_that_is_gone_is_not_missed(self, code):
        config = config_of(f"{code}:Share")
        assert refuse_changed("run", config, config) == config
        code.write_text(CODE + "\n# changed\n")
        with pytest.raises(
            InputError, match=rf"^objective mine\.py:Share of run has changed: the sha256 of {code} was [0-9a-f]{{12}} and is now "
        ):
            refuse_changed("run", config, config)
        code.unlink()
        assert refuse_changed("run", config, config) == config

    def test_a_request_with_another_text_is_refused(self, code, tmp_path):
        config = config_of(f"{code}:Share")
        (tmp_path / "new").mkdir()
        moved = tmp_path / "new" / "mine.py"
        moved.write_text(CODE)
        assert refuse_changed("run", config, config_of(f"{moved}:Share")) == config
        moved.write_text(CODE + "\n")
        with pytest.raises(InputError, match="has changed"):
            refuse_changed("run", config, config_of(f"{moved}:Share"))


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("Shre", "has no 'Shre'; did you mean 'Share'?"),
        ("number", "objective mine.py:number must be a function, or a class whose instances can be called, got int"),
        ("NeedsMore", "objective mine.py:NeedsMore: NeedsMore cannot be run: TypeError: "),
        ("infinite_worst", "objective mine.py:infinite_worst: worst must be a finite number above 0, got inf"),
    ],
)
def test_what_is_no_objective(code, name, sentence):
    with pytest.raises(InputError) as error:
        load_own(config_of(f"{code}:{name}"), f"mine.py:{name}")
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("def error(:\n", "SyntaxError: invalid syntax"), ("import nothing_of_that_name\n", "ModuleNotFoundError: No module named")],
)
def test_a_file_that_does_not_run(code, text, sentence):
    code.write_text(text)
    with pytest.raises(InputError) as error:
        load_own(config_of(f"{code}:error"), "mine.py:error")
    assert str(error.value).startswith(f"objective mine.py:error: {code} cannot be run: {sentence}")


class TestAssessment:
    def test_where_nothing_needs_a_language_model_none_is_trained(self, assess, tmp_path):
        record = assess("Share", "cache_bytes").record
        assert (record.outcome, record.tokens) == (Outcome.ok, 0)
        assert record.objectives["mine.py:Share"] == 0.5
        assert "perplexity" not in record.objectives
        assert not (tmp_path / "w.safetensors").exists()

    def test_beside_perplexity_it_is_called_with_a_copy_of_the_trained_model(self, assess, tmp_path):
        record = assess("perplexity", "spoil").record
        weights = load_file(tmp_path / "w.safetensors")
        assert record.objectives["mine.py:spoil"] == weights["embedding"].numel()
        assert all(bool(value.any()) for value in weights.values())
        assert record.objectives["perplexity"] == assess("perplexity").record.objectives["perplexity"]

    def test_a_backbone_of_the_candidate_follows_from_its_seed(self, assess):
        first = assess("backbone_sum").record.objectives["mine.py:backbone_sum"]
        torch.manual_seed(99)
        assert assess("backbone_sum").record.objectives["mine.py:backbone_sum"] == first > 0

    @pytest.mark.parametrize(
        ("name", "outcome", "reason"),
        [
            ("not_finite", Outcome.unstable, "objective mine.py:not_finite is nan"),
            ("negative", Outcome.crashed, "ValueError: objective mine.py:negative must return at least 0, got -0.5"),
            ("text", Outcome.crashed, "TypeError: objective mine.py:text must return a number, got str"),
            ("breaks", Outcome.crashed, "RuntimeError: no luck"),
        ],
    )
    def test_what_goes_wrong_is_an_outcome(self, assess, tmp_path, name, outcome, reason):
        assessed = assess(name)
        assert (assessed.record.outcome, assessed.record.reason) == (outcome, reason)
        assert f"mine.py:{name}" not in assessed.record.objectives
        assert not (tmp_path / "w.safetensors").exists()
        assert bool(assessed.traceback) == (outcome == Outcome.crashed)


def test_no_race_runs_on_it(code):
    config = config_of(f"{code}:Share", racing={"rungs": [0.5]})
    with pytest.raises(
        InputError, match=r"^racing needs objectives that are known before training or follow from the loss, got mine\.py:Share$"
    ):
        check_racing(config, Criteria.from_config(config))
