"""Lineages: every gene of every candidate follows from its parents, cuts and changes, back to generation 0."""

from dataclasses import replace

from star_search.analysis.lineage import place_sentence, trace
from star_search.analysis.run_view import RunView
from star_search.genome.encoding import Genome


def genes(record):
    return Genome.parse(record.genome).integers()


def test_a_front_member_is_traced_back_to_generation_0(stored_run):
    view = RunView.read(stored_run)
    number = view.front[0].id
    assert view.by_id[number].generation > 1
    lineage = trace(view.by_id, number)
    assert lineage.missing == []
    assert lineage.ancestors[0].record.id == number
    drawn = [each for each in lineage.ancestors if not each.parents]
    assert drawn and all(each.record.generation == 0 and each.segments == [] for each in drawn)
    known = {each.record.id for each in lineage.ancestors}
    assert all(set(each.parents) <= known for each in lineage.ancestors)


def test_segments_and_changes_rebuild_every_genome(stored_run):
    view = RunView.read(stored_run)
    for record in view.records[6:]:
        ancestor = trace(view.by_id, record.id).ancestors[0]
        rebuilt = [gene for each in ancestor.segments for gene in genes(view.by_id[each.parent])[each.start : each.stop]]
        for change in ancestor.changes:
            assert rebuilt[change.index] == change.before
            rebuilt[change.index] = change.after
        assert rebuilt == genes(record)


def test_a_written_example(stored_run):
    """Candidate 25: `72122-...` of 7 up to gene 1, 16 from there to gene 6, then 7 again; mutated at 2, 4, 15, repaired at 19."""
    view = RunView.read(stored_run)
    described = trace(view.by_id, 25).as_json()["ancestors"][0]
    assert described["parents"] == [7, 16]
    assert [(each["parent"], each["first"], each["last"]) for each in described["segments"]] == [
        (7, {"liv": 1, "gene": "class"}, {"liv": 1, "gene": "class"}),
        (16, {"liv": 1, "gene": "featurizer group"}, {"liv": 2, "gene": "class"}),
        (7, {"liv": 2, "gene": "featurizer group"}, {"liv": 4, "gene": "feature strategy"}),
    ]
    assert described["changes"][-1] == {"liv": 4, "gene": "feature strategy", "from": 3, "to": 1, "cause": "repair"}
    assert {each["cause"] for each in described["changes"][:-1]} == {"mutation"}
    assert place_sentence(view.by_id[25], 6) == "LIV 2 featurizer group"


def test_records_of_other_versions_and_missing_parents_are_no_obstacle(stored_run):
    records = RunView.read(stored_run).by_id
    odd = [{"parents": [0, 1]}, {"parents": [3, 99]}, {"parents": "x", "points": [1.5]}, {"parents": [True], "mutated": [10**9]}, {}]
    for lineage in odd:
        changed = {**records, 25: replace(records[25], lineage=lineage)}
        assert trace(changed, 25).ancestors[0].changes == []
    del records[7]
    assert trace(records, 25).missing == [7]


def test_a_firefly_moves_from_itself():
    from runs.conftest import CANDIDATE

    own = replace(CANDIDATE, id=0, genome="11111-91111", lineage={})
    other = replace(CANDIDATE, id=1, genome="51111-71111", lineage={})
    moved = replace(CANDIDATE, id=2, genome="51111-91211", lineage={"parents": [0, 1], "moved": [0], "mutated": [7], "repaired": []})
    found = trace({0: own, 1: other, 2: moved}, 2).ancestors[0]
    assert [(each.parent, each.start, each.stop) for each in found.segments] == [(0, 0, 10)]
    assert [(each.index, each.before, each.after, each.cause) for each in found.changes] == [(0, 1, 5, "move"), (7, 1, 2, "mutation")]
