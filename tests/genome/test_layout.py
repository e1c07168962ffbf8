"""Where genes stand in the integer form."""

from star_search.genome.layout import Layout


def test_a_plain_layout_has_five_genes_per_liv() -> None:
    layout = Layout(3)
    assert (layout.size, layout.units, layout.unit_starts) == (15, 3, [0, 5, 10])
    assert layout.locate(7) == (1, 2)
    assert {layout.segment_of(index) for index in range(15)} == {"backbone"}


def test_composition_digits_stand_last_in_their_liv_and_classes_after_all_livs() -> None:
    layout = Layout(2, composition=True, evolved=2, featurizers=True)
    assert (layout.size, layout.unit_starts) == (12 + 62, [0, 6, 12, 43])
    segments = [layout.segment_of(index) for index in range(layout.size)]
    assert [index for index, segment in enumerate(segments) if segment == "composition"] == [5, 11]
    assert [index for index, segment in enumerate(segments) if segment == "operator"] == [*range(12, 18), *range(43, 49)]
    assert segments.count("featurizer") == 50
    assert layout.locate(43) == (3, 0)
    assert layout.unit_slice(3) == slice(43, 74)


def test_classes_may_bring_operator_genes_alone() -> None:
    assert Layout(1, evolved=1).size == 11
