"""The command line: one thin file per command."""

import sys


def main() -> None:
    """Run `star-search`; errors that a user can mend are one sentence and exit code 2, work that failed exits 1."""
    from star_search.cli.app import app
    from star_search.errors import InputError, StarSearchError

    try:
        app()
    except StarSearchError as error:
        print(f"star-search: {error}", file=sys.stderr)
        raise SystemExit(2 if isinstance(error, InputError) else 1) from None
    except BrokenPipeError:
        raise SystemExit(1) from None
