"""One candidate in full and two side by side, as data; strips, links and sparklines."""

import json

from helpers import STAR
from star_search.analysis.candidate import candidate_json, comparison_json, differing_livs, loss_curve
from star_search.analysis.run_view import RunView
from star_search.analysis.strips import link_rows, sparkline
from star_search.genome.encoding import Genome


def test_a_candidate_in_full(stored_run):
    view = RunView.read(stored_run)
    record = view.front[0]
    found = json.loads(json.dumps(candidate_json(view, record)))
    assert found["in_front"] and found["objectives"] == record.objectives
    assert found["architecture"]["cache_bytes"] == record.objectives["cache_bytes"]
    assert found["architecture"]["parameters"] == record.objectives["parameters"]
    assert len(found["architecture"]["livs"]) == 4
    assert found["lineage"]["ancestors"][-1]["generation"] == 0
    assert loss_curve(record)[-1] == (10.0, record.details["curve"][-1][1])


def test_two_side_by_side(stored_run):
    view = RunView.read(stored_run)
    found = comparison_json(view, view.by_id[16], view.by_id[26])
    assert [each["id"] for each in found["candidates"]] == [16, 26]
    assert (found["differing_livs"], found["hamming_distance"]) == ([1], 1)
    assert 16 in found["common_ancestors"]


def test_livs_differ_by_genes_by_place_and_by_what_runs_in_parallel():
    one = Genome.parse("11111-71111-91111")
    assert differing_livs(one, one) == []
    assert differing_livs(one, Genome.parse("11111-31111")) == [2, 3]
    assert differing_livs(one, Genome.parse("11111-71111-91111|122")) == [1, 2, 3]


def test_links_stand_under_their_livs():
    assert link_rows(Genome.parse("21211-31112-21221-32112"), STAR) == [
        ("●─● ", "weights k, v, q of LIVs 1, 3"),
        (" ●─●", "features k, v of LIVs 2, 4"),
    ]


def test_a_sparkline_falls_with_the_loss_and_stands_in_the_middle_where_nothing_is_known_of_it():
    assert sparkline([], 5) == ""
    assert (sparkline([2.0, 2.0], 5), sparkline([2.0], 5)) == ("▄▄", "▄")
    assert sparkline([8, 7, 6, 5, 4, 3, 2, 1], 8) == "█▇▆▅▄▃▂▁"
    assert sparkline(list(range(100)), 4) == "▁▃▆█"
