"""Assessment: a genome becomes objective values or an outcome, and nothing else."""

import math

import pytest
import torch
from safetensors.torch import load_file

from evolution.small_search import small_config, write_text_source
from star_search.genome.encoding import Genome
from star_search.model.language_model import LanguageModel
from star_search.objectives import assessment
from star_search.objectives.assessment import Assessor
from star_search.objectives.assignment import Assignment
from star_search.objectives.registry import account_of
from star_search.runs.records import Outcome
from star_search.training.trainer import evaluate

GENOME, CANONICAL = "12121-91111-13121", "11121-91111-11121"


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write_text_source(tmp_path_factory.mktemp("text"))


@pytest.fixture
def assess(source, tmp_path):
    """Return an assessor of one genome; keyword arguments change the training."""

    def call(canonical=CANONICAL, report=lambda progress: None, **training):
        config = small_config(source, space={"depth": 3}, training=training)
        assignment = Assignment(4, 1, GENOME, canonical, str(tmp_path / "weights" / "00004.safetensors"), {"parents": [0, 1]})
        return Assessor(config, "cpu")(assignment, report)

    return call


@pytest.fixture
def weights(tmp_path):
    return tmp_path / "weights" / "00004.safetensors"


class TestOk:
    def test_the_record_is_complete(self, assess, source):
        record = assess().record
        assert (record.id, record.generation, record.genome, record.canonical) == (4, 1, GENOME, CANONICAL)
        assert (record.outcome, record.reason, record.tokens, record.lineage) == (Outcome.ok, "", 2048, {"parents": [0, 1]})
        account = account_of(small_config(source, space={"depth": 3}), Genome.parse(CANONICAL))
        assert record.objectives["parameters"] == account.parameters
        assert record.objectives["cache_bytes"] == account.cache_bytes(32)
        assert record.objectives["perplexity"] == pytest.approx(math.exp(record.details["validation_loss"]))
        assert record.details["steps"] == 32 == record.details["curve"][-1][0]
        assert record.details["validation_tokens"] == 256
        assert record.details["subsets"] == {
            "sentences": {"tokens": 256, **{name: record.objectives[name] for name in ("perplexity", "bits_per_byte")}}
        }
        assert record.measured["seconds"] >= record.measured["training_seconds"] > 0
        assert record.measured["tokens_per_second"] == pytest.approx(2048 / record.measured["training_seconds"])

    def test_the_weights_load_into_a_model_of_the_recorded_perplexity(self, assess, weights, source):
        record = assess().record
        assessor = Assessor(small_config(source), "cpu")
        model = LanguageModel.from_genome(record.canonical, 16, assessor.store.vocabulary_size, seed=99)
        assert evaluate(model, assessor.validation).perplexity != record.objectives["perplexity"]
        model.load_state_dict(load_file(weights))
        result = evaluate(model, assessor.validation)
        assert result.perplexity == record.objectives["perplexity"]
        assert result.bits_per_byte == record.objectives["bits_per_byte"]

    @pytest.mark.parametrize("dropout", [0.0, 0.1])
    def test_assessing_again_gives_the_same_record_whatever_was_drawn_between(self, assess, dropout):
        first = assess(dropout=dropout).record
        torch.manual_seed(12345)
        torch.rand(100)
        assert assess(dropout=dropout).record.comparable() == first.comparable()

    def test_progress_is_reported(self, assess):
        seen = []
        assess(report=seen.append)
        assert [progress.step for progress in seen] == [10, 20, 30, 32]


class TestFailures:
    def check(self, assessed, weights, outcome):
        record = assessed.record
        assert record.outcome == outcome
        assert record.reason
        assert "\n" not in record.reason
        # What is exact is known of a failure too; nothing measured is.
        assert set(record.objectives) == {"parameters", "cache_bytes"}
        assert record.objectives["parameters"] > 0
        assert record.details == {}
        assert not weights.exists()
        return record

    @pytest.mark.parametrize(
        ("canonical", "rate", "reason"),
        [
            (CANONICAL, 10.0, "the loss rose from "),
            (CANONICAL, 1e6, "the gradient norm is nan at step "),
            ("51111-61111-91111", 1e4, "the loss is nan at step "),
        ],
    )
    def test_a_wild_learning_rate_is_unstable(self, assess, weights, canonical, rate, reason):
        record = self.check(assess(canonical, learning_rate=rate), weights, Outcome.unstable)
        assert record.reason.startswith(reason)
        assert record.tokens < 2048

    def test_a_tiny_learning_rate_never_learns(self, assess, weights):
        record = self.check(assess(learning_rate=1e-9), weights, Outcome.degenerate)
        assert record.reason.startswith("after 2,048 tokens the validation loss is ")
        assert "not under the unigram's " in record.reason
        assert record.tokens == 2048

    def test_with_a_deadline_it_ends_early(self, assess, weights):
        record = self.check(assess(learning_rate=1e-9, unigram_deadline_tokens=640), weights, Outcome.degenerate)
        assert record.reason.startswith("after 640 tokens the loss is ")
        assert record.tokens < 2048

    @pytest.mark.parametrize(
        ("error", "reason"),
        [
            (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB\nmore"), "CUDA out of memory. Tried to allocate 2 GiB"),
            (MemoryError(), "no message"),
            (
                RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory: you tried 8 bytes"),
                "[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory: you tried 8 bytes",
            ),
        ],
    )
    def test_memory_that_runs_out_is_an_outcome_of_its_own(self, assess, weights, monkeypatch, error, reason):
        self.fail_with(monkeypatch, error)
        assessed = assess()
        assert self.check(assessed, weights, Outcome.out_of_memory).reason == reason
        assert assessed.traceback == ""

    def test_any_other_error_is_a_crash_with_its_traceback(self, assess, weights, monkeypatch):
        self.fail_with(monkeypatch, ValueError("shapes do not fit\nat all"))
        assessed = assess()
        assert self.check(assessed, weights, Outcome.crashed).reason == "ValueError: shapes do not fit"
        assert assessed.traceback.startswith("Traceback (most recent call last):")
        assert "in fail" in assessed.traceback
        assert assessed.traceback.rstrip().endswith("ValueError: shapes do not fit\nat all")

    def test_tokens_count_what_was_trained_before_the_end(self, assess, weights, monkeypatch):
        def fail(model, stream, config, unigram, report):
            train(model, stream, config.model_copy(update={"tokens": 1280}), unigram, report)
            raise ValueError("late")

        train = assessment.train
        monkeypatch.setattr(assessment, "train", fail)
        assert self.check(assess(), weights, Outcome.crashed).tokens == 1280

    @pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
    def test_ctrl_c_is_no_outcome(self, assess, monkeypatch, error):
        self.fail_with(monkeypatch, error())
        with pytest.raises(error):
            assess()

    def test_the_next_candidate_is_not_touched_by_a_failure(self, source, tmp_path, monkeypatch):
        assessor = Assessor(small_config(source), "cpu")
        good = Assignment(0, 0, "11111-91111", "11111-91111", str(tmp_path / "w" / "0.safetensors"))
        before = assessor(good).record
        with monkeypatch.context() as patch:
            self.fail_with(patch, ValueError("once"))
            assert assessor(good).record.outcome == Outcome.crashed
        assert assessor(good).record.comparable() == before.comparable()

    @staticmethod
    def fail_with(monkeypatch, error):
        def fail(*arguments):
            raise error

        monkeypatch.setattr(assessment, "train", fail)


class TestSeed:
    def seed(self, run_seed=3, **changes):
        values = {"id": 4, "generation": 1, "genome": GENOME, "canonical": CANONICAL, "weights_path": "w", "lineage": {}}
        return Assignment(**values | changes).seed(run_seed)

    def test_depends_on_the_architecture_and_the_seed_of_the_run_alone(self):
        assert self.seed(id=9, generation=7, genome="91111", weights_path="x", lineage={"parents": [1, 2]}) == self.seed()
        assert self.seed(run_seed=4) != self.seed()
        assert self.seed(canonical="91111") != self.seed()

    def test_is_stored_in_the_record_and_fits_every_generator(self):
        record = Assignment(4, 1, GENOME, CANONICAL, "w").record(3, Outcome.crashed, "", {})
        assert record.seed == self.seed() < 2**48

    def test_is_frozen(self):
        """sha256("3:11121-91111-11121"), its first six bytes: runs on disk depend on it."""
        assert self.seed() == 0x74EFA014AED4
