"""Objectives over the generations: fronts, progress, and the distribution of scores."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from star_search.analysis.figures.style import ACCENT, COLUMN, INK, MUTED, ORDERED, PALE, label, new_figure, over_generations, plain
from star_search.analysis.run_view import RunView
from star_search.runs.records import CandidateRecord, GenerationRecord, Outcome

FRONTS_DRAWN = 5
DOTS_DRAWN = 1500
LINES = ("solid", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (2, 1)), (0, (1, 1)))
MARKERS = ("o", "s", "^", "D", "v")


def draw_fronts(view: RunView) -> Figure:
    """Return all `ok` candidates over the first objective and the next, or the parameters, and the front of up to five generations."""
    down, across = view.names[0], view.names[1] if len(view.names) > 1 else "parameters"
    figure, axes = new_figure()
    done = [record for record in view.records if record.outcome == Outcome.ok]
    axes.scatter(*_points(done, across, down), color=PALE, s=7, linewidths=0, label="candidates")
    drawn = _spread(view.generations, FRONTS_DRAWN)
    for turn, generation in enumerate(drawn):
        members = [view.by_id[number] for number in generation.front if number in view.by_id]
        # A staircase is the border of what is dominated only where the two axes are all the objectives.
        axes.plot(
            *_points(sorted(members, key=lambda record: record.objectives[across]), across, down),
            drawstyle="steps-post" if len(view.names) == 2 else "default",
            linestyle=LINES[-1 - turn] if generation is not drawn[-1] else "solid",
            linewidth=1.1 if len(view.names) == 2 else 0,
            marker=MARKERS[turn],
            # Earlier ones larger and hollow, so that a candidate that stays is seen in every front that it is in.
            markersize=3.0 + 1.1 * (len(drawn) - 1 - turn),
            markerfacecolor=None if generation is drawn[-1] else "none",
            color=ORDERED((turn + 1) / len(drawn)),
            label=f"generation {generation.generation}",
        )
    axes.set_xlabel(label(across))
    axes.set_ylabel(label(down))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    figure.legend(loc="outside upper center", frameon=False, ncols=3, columnspacing=1, handletextpad=0.5)
    return figure


def draw_progress(view: RunView) -> Figure:
    """Return best and median of the first objective, and the hypervolume, over the generations."""
    figure = Figure(figsize=(COLUMN, 3.2), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    for name, colour, mark, title in (("median", MUTED, "s", "median of the generation"), ("best", ACCENT, "o", "best so far")):
        points = [(entry.generation, getattr(entry, name)) for entry in view.progress if getattr(entry, name) is not None]
        upper.plot([x for x, _ in points], [y for _, y in points], marker=mark, markersize=3, color=colour, label=title)
    upper.set_ylabel(label(view.names[0]))
    figure.legend(loc="outside upper center", frameon=False, ncols=2)
    lower.plot(
        *zip(*((entry.generation, entry.hypervolume) for entry in view.progress), strict=True), marker="o", markersize=3, color=ACCENT
    )
    lower.set_ylabel("hypervolume\n(share of the box)")
    over_generations(lower, [entry.generation for entry in view.progress])
    for axes in (upper, lower):
        plain(axes)
    return figure


def draw_scores(view: RunView) -> Figure:
    """Return the first objective per generation (STAR figure 5.3): offspring as dots, the population as box, median and whiskers."""
    name = view.names[0]
    figure, axes = new_figure()
    # Of more dots than a column has room for every n-th is drawn, and small; of more boxes than that the lines are thin.
    every = max(1, round(sum(len(each.offspring) for each in view.generations) / DOTS_DRAWN))
    size, thin = (5, 0.7) if len(view.generations) <= 40 and every == 1 else (1.5, 0.3)
    for generation in view.generations:
        place = generation.generation
        offspring = _values(view, generation.offspring, name)[::every]
        # Side by side in the order asked, so that equal scores stay apart and the picture is the same every time.
        steps = [0.28 * (2 * (index + 0.5) / len(offspring) - 1) for index in range(len(offspring))]
        axes.scatter([place + step for step in steps], offspring, s=size, color=ACCENT, linewidths=0, zorder=2)
        population = _values(view, generation.population, name)
        if population:
            lines = {"color": INK, "linewidth": thin}
            axes.boxplot(
                [population], positions=[place], widths=0.72, whis=(0, 100), manage_ticks=False, boxprops=lines, whiskerprops=lines,
                capprops=lines, medianprops={"color": INK, "linewidth": 2.3 * thin},
            )  # fmt: skip
    axes.scatter([], [], s=5, color=ACCENT, label="offspring" if every == 1 else f"offspring (1 in {every})")
    axes.plot([], [], color=INK, linewidth=1.6, label="population: median, quartiles, range")
    over_generations(axes, [each.generation for each in view.generations])
    axes.set_ylabel(label(name))
    figure.legend(loc="outside upper center", frameon=False, ncols=2)
    return figure


def _points(records: list[CandidateRecord], across: str, down: str) -> tuple[list[float], list[float]]:
    return [record.objectives[across] for record in records], [record.objectives[down] for record in records]


def _values(view: RunView, ids: list[int], name: str) -> list[float]:
    records = (view.by_id[number] for number in ids if number in view.by_id)
    return [record.objectives[name] for record in records if record.outcome == Outcome.ok]


def _spread(generations: list[GenerationRecord], count: int) -> list[GenerationRecord]:
    """Return up to `count` generations, the first and the last among them, evenly spread."""
    if len(generations) <= count:
        return generations
    return [generations[round(place * (len(generations) - 1) / (count - 1))] for place in range(count)]
