"""Who shares which weights and which features with whom."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from star_search.genome.catalogue import Catalogue
from star_search.genome.encoding import Genome, LIVGenes
from star_search.genome.evolved import catalogue_for
from star_search.genome.liv_class import LIVClass

Kind = Literal["featurizer", "features"]


@dataclass(frozen=True, slots=True)
class SharingGroup:
    """LIVs (positions from 0, in depth order) that share the named feature groups with the first of them."""

    kind: Kind
    liv_class: int
    number: int
    strategy: int
    members: tuple[int, ...]
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LIVSources:
    """For one LIV: the position that computes each feature group, the one that owns the weights of each group computed here, and
    the groups that make its memory its own; with none of them, it reads the memory of the LIV that its features come from."""

    features_from: dict[str, int]
    weights_from: dict[str, int]
    forms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sharing:
    """The sharing structure of a legal genome."""

    groups: tuple[SharingGroup, ...]
    livs: tuple[LIVSources, ...]

    def owned(self, position: int) -> list[str]:
        """Return the feature groups whose weights this LIV owns."""
        return [name for name, owner in self.livs[position].weights_from.items() if owner == position]

    def computed(self, position: int) -> list[str]:
        """Return the feature groups that this LIV computes itself."""
        return list(self.livs[position].weights_from)


def membership(genes: LIVGenes, kind: Kind) -> tuple[int, int]:
    """Return (group, strategy) of one kind of sharing."""
    if kind == "featurizer":
        return genes.featurizer_group, genes.featurizer_strategy
    return genes.feature_group, genes.feature_strategy


def members_by_group(genome: Genome, kind: Kind) -> dict[tuple[int, int], list[int]]:
    """Return {(class, group): positions} of the members, those with a strategy of 2 or more, in order of first appearance."""
    found: dict[tuple[int, int], list[int]] = defaultdict(list)
    for position, genes in enumerate(genome.livs):
        group, strategy = membership(genes, kind)
        if strategy >= 2:
            found[genes.liv_class, group].append(position)
    return found


def resolve_sharing(genome: Genome, catalogue: Catalogue) -> Sharing:
    """Return the sharing structure of a legal genome; groups with a lone member share nothing and are left out."""
    catalogue = catalogue_for(genome, catalogue)
    feature_groups = list(_groups(genome, catalogue, "features"))
    features_from: list[dict[str, int]] = [dict.fromkeys(catalogue[liv.liv_class].groups, i) for i, liv in enumerate(genome.livs)]
    for group in feature_groups:
        for position in group.members[1:]:
            features_from[position].update(dict.fromkeys(group.groups, group.members[0]))
    weights_from = [{name: i for name, source in sources.items() if source == i} for i, sources in enumerate(features_from)]
    featurizer_groups = [_tie(group, weights_from) for group in _groups(genome, catalogue, "featurizer")]
    livs = tuple(
        LIVSources(features_from[i], weights_from[i], _forms(catalogue[genes.liv_class], i, features_from, weights_from))
        for i, genes in enumerate(genome.livs)
    )
    return Sharing(tuple(group for group in featurizer_groups if group.members) + tuple(feature_groups), livs)


def _groups(genome: Genome, catalogue: Catalogue, kind: Kind) -> Iterator[SharingGroup]:
    for (class_id, number), members in members_by_group(genome, kind).items():
        if len(members) > 1:
            strategy = membership(genome.livs[members[0]], kind)[1]
            liv_class = catalogue[class_id]
            names = liv_class.groups if kind == "featurizer" else liv_class.shared_groups(strategy)
            yield SharingGroup(kind, class_id, number, strategy, tuple(members), tuple(names))


def _tie(group: SharingGroup, weights_from: list[dict[str, int]]) -> SharingGroup:
    """Point every member's weights at the first member that computes the group; keep only members that tie something."""
    tied: set[int] = set()
    names = []
    for name in group.groups:
        computing = [position for position in group.members if name in weights_from[position]]
        if len(computing) > 1:
            names.append(name)
            tied.update(computing)
        for position in computing:
            weights_from[position][name] = computing[0]
    return SharingGroup(group.kind, group.liv_class, group.number, group.strategy, tuple(sorted(tied)), tuple(names))


def _forms(liv_class: LIVClass, position: int, features_from: list[dict[str, int]], weights_from: list[dict[str, int]]) -> tuple[str, ...]:
    """Return the forming groups that differ from those of the LIV whose features are used.

    Context groups differ when they are computed here; groups that no input makes differ when their weights are this LIV's own.
    """
    source = next((first for first in features_from[position].values() if first != position), position)
    if source == position:
        return tuple(liv_class.forming)
    own = weights_from[position]
    return tuple(
        name for name in liv_class.forming if name in own and (name in liv_class.context or own[name] != weights_from[source].get(name))
    )
