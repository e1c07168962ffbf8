"""Candidates for TensorBoard: read back by TensorBoard itself, one file a candidate, whatever was killed."""

from dataclasses import replace

import pytest

from star_search.analysis.run_view import RunView
from star_search.runs.records import Outcome
from stored_run import store_run

accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")

from star_search.analysis.tensorboard import CandidateEvents  # noqa: E402


@pytest.fixture(scope="module")
def view(tmp_path_factory):
    return RunView.read(store_run(tmp_path_factory.mktemp("shown") / "run"))


@pytest.fixture(scope="module")
def events(view):
    made = CandidateEvents(view.run, view.config)
    assert made.write_missing(view.records) == len(view.records) == 30
    return made


def read(events, record):
    found = accumulator.EventAccumulator(str(events.folder / f"{record.id:05d}"))
    found.Reload()
    return found


def files(events):
    return {path.relative_to(events.folder): path.read_bytes() for path in events.folder.rglob("*") if path.is_file()}


def test_scalars_stand_over_tokens(events, view):
    record = view.front[0]
    found = read(events, record)
    assert set(found.Tags()["scalars"]) == {"training/loss", "validation/loss", "measured/seconds"} | {
        f"objectives/{name}" for name in ("perplexity", "bits_per_byte", "parameters", "cache_bytes")
    }
    curve = [(each.step, pytest.approx(each.value)) for each in found.Scalars("training/loss")]
    assert curve == [(step * 100, loss) for step, loss in record.details["curve"]]
    for tag, value in (
        ("validation/loss", record.details["validation_loss"]),
        ("objectives/perplexity", record.objectives["perplexity"]),
        ("objectives/cache_bytes", record.objectives["cache_bytes"]),
    ):
        (point,) = found.Scalars(tag)
        assert (point.step, point.value) == (record.tokens, pytest.approx(value))


def test_a_failure_has_its_sizes_and_its_outcome(events, view):
    record = next(each for each in view.records if each.outcome == Outcome.crashed)
    found = read(events, record)
    assert set(found.Tags()["scalars"]) == {"objectives/parameters", "objectives/cache_bytes", "measured/seconds"}
    assert events.hyperparameters(record)["outcome"] == "crashed"


def test_the_plugin_for_hyperparameters_lists_every_candidate(events, view):
    from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
    from tensorboard.context import RequestContext
    from tensorboard.plugins.base_plugin import TBContext
    from tensorboard.plugins.hparams import api_pb2, backend_context, list_session_groups

    # The folder that a person names is the run's.
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(view.run.path))
    multiplexer.Reload()
    provider = MultiplexerDataProvider(multiplexer, str(view.run.path))
    backend = backend_context.Context(TBContext(data_provider=provider, logdir=str(view.run.path)))
    statuses = [api_pb2.STATUS_SUCCESS, api_pb2.STATUS_FAILURE]
    request = api_pb2.ListSessionGroupsRequest(allowed_statuses=statuses, slice_size=100)
    groups = list_session_groups.Handler(RequestContext(), backend, "", request).run().session_groups
    assert sorted(group.name for group in groups) == [f"run/{record.id:05d}" for record in view.records]
    for group in groups:
        record = view.by_id[int(group.name[4:])]
        shown = {name: value.string_value or value.number_value for name, value in group.hparams.items()}
        assert shown == events.hyperparameters(record)
        (session,) = group.sessions
        assert session.status == statuses[record.outcome != Outcome.ok]


def test_what_a_candidate_is(events, view):
    record = replace(view.records[0], genome="11112-71111-11112-91111", canonical="11112-71111-11112-91111")
    found = events.hyperparameters(record)
    assert (found["LIVs"], found["LIVs of SA-1"], found["LIVs of GConv-1"], found["LIVs of Rec-1"]) == ("ACAM", 2, 1, 0)
    assert (found["links of featurizer"], found["links of features"]) == (0, 1)
    assert sum(count for name, count in found.items() if name.startswith("LIVs of ")) == 4
    assert found["parameters"] == record.objectives["parameters"]


def test_text_is_shown_as_text_and_lost_tokens_count(view, tmp_path):
    from tensorboard.plugins.hparams import metadata

    run = store_run(tmp_path / "r\x1b[31m\u202e**b**")
    events = CandidateEvents(run, view.config)
    record = replace(view.records[0], genome="1\x1b[2J", measured={"lost_tokens": 7})
    events.write(record)
    start = read(events, record).summary_metadata[metadata.SESSION_START_INFO_TAG].plugin_data.content
    found = metadata.parse_session_start_info_plugin_data(start)
    assert found.group_name == f"r\\x1b[31m\\u202e**b**/{record.id:05d}"
    assert found.hparams["genome"].string_value == "1\\x1b[2J"
    assert found.hparams["tokens"].number_value == record.tokens + 7


def test_an_illegal_genome_has_no_sizes(events, view):
    record = replace(view.records[0], id=99, outcome=Outcome.rejected, objectives={}, details={}, canonical="11212-11213-11111-11111")
    assert set(events.hyperparameters(record)) == {"genome", "canonical", "generation", "outcome", "tokens"}


def test_after_a_kill_nothing_is_doubled_and_nothing_lost(events, view):
    before = files(events)
    assert len(before) == 30
    (events.folder / "00003" / "events.out.tfevents.candidate").unlink()
    (events.folder / "00003" / f".events.out.tfevents.candidate.{'0' * 32}.tmp").write_bytes(b"half")
    (events.folder / "00007" / "events.out.tfevents.candidate").unlink()
    (events.folder / "00007").rmdir()
    again = CandidateEvents(view.run, view.config)
    assert again.write_missing(view.records) == 2
    assert again.write_missing(view.records) == 0
    assert files(events) == before
