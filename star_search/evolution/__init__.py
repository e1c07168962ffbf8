"""Evolution: pymoo operators over genomes, algorithms, workers and the search loop."""
