"""The command line: one thin file per command."""

import errno
import io
import os
import sys

# What a name or a permission of the user's is the cause of, wherever it is met.
_OF_THE_USER = (errno.EACCES, errno.EPERM, errno.ENAMETOOLONG)


def main() -> None:
    """Run `star-search`; errors that a user can mend are one sentence and exit code 2, work that failed exits 1."""
    from star_search.analysis.plain_text import printable
    from star_search.cli.app import app
    from star_search.errors import InputError, StarSearchError, is_disk_failure

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Where output is not UTF-8, a letter that it lacks becomes a question mark and ends nothing.
            stream.reconfigure(errors="replace")
    try:
        code = app(standalone_mode=False)
        sys.stdout.flush()
    except StarSearchError as error:
        print(f"star-search: {printable(str(error))}", file=sys.stderr)
        code = 2 if isinstance(error, InputError) else 1
    except BrokenPipeError:
        code = 1
        _forget_output()
    except OSError as error:
        if error.filename is not None and error.errno in _OF_THE_USER:
            print(f"star-search: {printable(str(error.filename))} cannot be used: {error.strerror}", file=sys.stderr)
            code = 2
        elif error.filename is not None or not is_disk_failure(error):  # Not of what was printed.
            raise
        else:
            print(f"star-search: the output cannot be written: {error.strerror or error}", file=sys.stderr)
            code = 1
            _forget_output()
    except Exception as error:
        # What Typer raises for a bad option; its own class for that differs between its versions.
        if not hasattr(error, "format_message"):
            raise
        if type(error).__name__ != "NoArgsIsHelpError":
            asked = getattr(getattr(error, "ctx", None), "command_path", "star-search")
            print(f"star-search: {error.format_message().rstrip('.')}; '{asked} --help' shows what is allowed", file=sys.stderr)
        code = 2
    raise SystemExit(code)


def _forget_output() -> None:
    """Let what could not be printed go nowhere: Python would try once more at its end, and complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
