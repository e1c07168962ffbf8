"""`star-search export-best`: placeholder while being written."""


def export_best() -> None:
    """Export."""
