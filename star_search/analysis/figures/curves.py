"""Loss curves of a run's candidates."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from star_search.analysis.candidate import loss_curve
from star_search.analysis.figures.style import BEST_DARK, INK, PALE, explain_front, front_scale, new_figure
from star_search.analysis.run_view import RunView


def draw_curves(view: RunView) -> Figure:
    """Return training losses over tokens: the front, darker the better its first objective, all others in grey, the unigram's dashed."""
    figure, axes = new_figure()
    batch, name = view.config.training.batch_tokens, view.names[0]
    ids = {record.id for record in view.front}
    others = [record for record in view.records if record.id not in ids and loss_curve(record)]
    for record in others:
        title = "other candidates" if record is others[0] else None
        axes.plot(*_points(loss_curve(record), batch), color=PALE, linewidth=0.5, zorder=1, label=title)
    for record in view.front:
        colour = BEST_DARK(front_scale(view)(record.objectives[name]))
        axes.plot(*_points(loss_curve(record), batch), color=colour, linewidth=1, zorder=3, gid=f"candidate {record.id}")
    if "unigram_loss" in view.provenance:
        axes.axhline(view.provenance["unigram_loss"], color=INK, linestyle=(0, (4, 2)), linewidth=0.8, label="unigram")
    axes.set_xlabel("tokens")
    axes.set_ylabel("training loss (nats per token)")
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    if view.front:
        explain_front(figure, axes, view)
    figure.legend(loc="outside upper center", frameon=False, ncols=2)
    return figure


def _points(curve: list[tuple[float, float]], batch: int) -> tuple[list[float], list[float]]:
    return [step * batch for step, _ in curve], [loss for _, loss in curve]
