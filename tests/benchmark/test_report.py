"""What is said of measured operators: who keeps the promise of linear time, and whether the machine was quiet."""

from star_search.benchmark.operators import ClassCost, Duration, Point, Setting
from star_search.benchmark.report import draw, markdown, verdict

SETTING = Setting("star", width=256, batch=1, lengths=(512, 1024), threads=2, repeats=5, device="cpu")


def cost(name: str, power: float, linear: bool = True, spread: float = 0.05) -> ClassCost:
    durations = [Duration(seconds, seconds * (1 - spread), seconds * (1 + spread)) for seconds in (0.01, 0.01 * 2**power)]
    points = [Point(length, each, each, each, length * 1000) for length, each in zip((512, 1024), durations, strict=True)]
    return ClassCost(1, name, "attention", linear, tuple(points))


def test_a_class_above_the_exponent_is_named() -> None:
    costs = [cost("SA-2", 1.0), cost("Rec-1", 1.2), cost("SA-1", 2.0, linear=False)]
    expected = "1 of 2 classes that claim linear time grow with an exponent of at most 1.15; above it: Rec-1 (1.20)."
    assert verdict(costs) == expected
    assert verdict(costs[:1]).endswith("above it: none.")


def test_a_restless_machine_is_told() -> None:
    assert verdict([cost("SA-2", 1.0, spread=0.3)]).endswith("Spread above 20% in SA-2: the machine was not quiet, measure again.")


def test_the_table_holds_medians_spread_and_exponents() -> None:
    row = markdown(SETTING, [cost("SA-2-Diff", 1.0)]).splitlines()[2]
    assert row == "| SA-2-Diff | T | 10.0 | 20.0 | 5% | 1.00 | 1 | 1.00 |"


def test_the_figure_has_a_column_for_each_family_and_dashes_for_differential_classes() -> None:
    figure = draw(SETTING, [cost("SA-1", 2.0), cost("SA-1-Diff", 2.0)])
    time, memory = figure.axes
    assert time.get_title() == "attention"
    drawn = {line.get_label(): line for line in memory.get_lines()}
    assert (drawn["SA-1"].get_linestyle(), drawn["SA-1-Diff"].get_linestyle()) == ("-", "--")
    assert drawn["SA-1"].get_color() == drawn["SA-1-Diff"].get_color()
    assert list(drawn["SA-1"].get_ydata()) == [0.512, 1.024]
