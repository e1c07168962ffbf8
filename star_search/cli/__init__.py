"""The command line: one thin file per command."""

import sys


def main() -> None:
    """Run `star-search`; errors that a user can mend are one sentence and exit code 2, work that failed exits 1."""
    from star_search.analysis.plain_text import printable
    from star_search.cli.app import app
    from star_search.errors import InputError, StarSearchError

    try:
        code = app(standalone_mode=False)
    except StarSearchError as error:
        print(f"star-search: {printable(str(error))}", file=sys.stderr)
        code = 2 if isinstance(error, InputError) else 1
    except BrokenPipeError:
        code = 1
    except Exception as error:
        # What Typer raises for a bad option; its own class for that differs between its versions.
        if not hasattr(error, "format_message"):
            raise
        if type(error).__name__ != "NoArgsIsHelpError":
            print(f"star-search: {error.format_message().rstrip('.')}; 'star-search --help' shows what is allowed", file=sys.stderr)
        code = 2
    raise SystemExit(code)
