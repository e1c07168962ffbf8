"""Genomes: integers only, without torch."""

from star_search.genome.catalogue import Catalogue, load_catalogue
from star_search.genome.encoding import Genome, LIVGenes
from star_search.genome.liv_class import LIVClass
from star_search.genome.space import SearchSpace

__all__ = ["Catalogue", "Genome", "LIVClass", "LIVGenes", "SearchSpace", "load_catalogue"]
