"""`python -m star_search.cli`."""

from star_search.cli import main

main()
