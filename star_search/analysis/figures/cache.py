"""How caches grow with the sequence (STAR figure 5.4, right)."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure

from star_search.analysis.figures.style import BEST_DARK, INK, explain_front, front_scale, new_figure, text
from star_search.analysis.run_view import RunView
from star_search.errors import InputError
from star_search.genome.accounting import Accounting
from star_search.genome.encoding import Genome
from star_search.genome.rules import Rules

LENGTHS = [2**power for power in range(7, 17)]
DASHES = ((0, (4, 1.5)), (0, (1, 1)), (0, (4, 1, 1, 1)), (0, (8, 2)))


def baseline_accounts(view: RunView, baselines: Mapping[str, str]) -> dict[str, Accounting]:
    """Return the accounts of baselines, given as genomes by name, at the run's width; Transformer++ alone where none is given.

    Raises:
        InputError: for a genome that cannot be read, is illegal, or does not fit the width.
    """
    if not baselines:
        return _transformer(view)
    found = {}
    for name, genome_text in baselines.items():
        try:
            genome = Genome.parse(genome_text)
            Rules.of(view.catalogue, genome.layout).check(genome)
            found[name] = Accounting.of(genome, view.config.space.width, view.catalogue, view.config.backbone.residual)
            _ = found[name].dimensions
        except InputError as error:
            raise InputError(f"--baseline {name}: {error}") from None
    return found


def _transformer(view: RunView) -> dict[str, Accounting]:
    """Return Transformer++ of the run's depth, where its catalogue holds the two classes and the depth is even."""
    names = {each.name: each.id for each in view.catalogue.classes.values()}
    depth, space = view.config.space.depth, view.config.space
    if depth % 2 or not {"SA-1", "GMemless"} <= names.keys():
        return {}
    pair = Genome.from_integers([names["SA-1"], 1, 1, 1, 1, names["GMemless"], 1, 1, 1, 1])
    account = Accounting.of(Genome(pair.livs * (depth // 2)), space.width, view.catalogue, view.config.backbone.residual)
    return {"Transformer++": account}


def draw_cache(view: RunView, baselines: Mapping[str, Accounting]) -> Figure:
    """Return the cache in bytes over the length in tokens: the front, darker the better its first objective, and baselines in dashes."""
    figure, axes = new_figure()
    scale = front_scale(view)
    for record in view.front:
        account = view.account(record)
        assert account is not None
        colour = BEST_DARK(scale(record.objectives[view.names[0]]))
        axes.plot(LENGTHS, [account.cache_bytes(length) for length in LENGTHS], color=colour, gid=f"candidate {record.id}")
    for turn, (name, account) in enumerate(baselines.items()):
        sizes = [account.cache_bytes(length) for length in LENGTHS]
        axes.plot(LENGTHS, sizes, color=INK, linestyle=DASHES[turn % len(DASHES)], linewidth=1.6, label=text(name))
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xlabel("sequence length (tokens)")
    axes.set_ylabel("cache of one sequence (bytes)")
    explain_front(figure, axes, view)
    if axes.get_legend_handles_labels()[1]:
        axes.legend(frameon=False, loc="upper left")
    return figure
