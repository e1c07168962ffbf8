"""MAD (Poli et al. 2024, arXiv 2403.17844): six synthetic tasks that tell architectures apart in minutes."""
