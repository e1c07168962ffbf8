"""What a terminal shows of a search while it runs, after Ctrl-C and at the end, and of `inspect`: recorded in tmux, held to its width.

    python scripts/record_terminal.py --out docs/screens

It runs the quickstart, shortened, in panes of 80 x 24 and 140 x 40, and fails where a line wraps, the view moves, or anything of it stays.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

SIZES = ((80, 24), (140, 40))
SEARCH = (
    "evolve",
    *(f"--set={key}" for key in ("training.tokens=28672", "algorithm.population=4", "algorithm.generations=2")),
    "--run-dir",
)
SOCKET = "star-search-screens"
SETTINGS = "set -g status off\nset -g remain-on-exit on\nset -g remain-on-exit-format ''\nset -g history-limit 10000\n"
HEAD = re.compile(r"\d+ of \d+ candidates · generation \d+ of \d+$")
TITLES = ("Workers", "Front so far")
PAUSE_SECONDS, LIMIT_SECONDS = 0.4, 300.0


class Pane:
    """A command in a tmux pane of its own."""

    def __init__(self, folder: Path, width: int, height: int) -> None:
        self.folder, self.width, self.height = folder, width, height

    def tmux(self, *arguments: str) -> str:
        """Return what a tmux command prints."""
        settings = self.folder / "tmux.conf"
        settings.write_text(SETTINGS)
        command = ["tmux", "-u", "-L", SOCKET, "-f", str(settings), *arguments]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=True).stdout

    @contextmanager
    def running(self, *arguments: str) -> Iterator[None]:
        """Run `star-search` in the pane."""
        command = [sys.executable, "-m", "star_search.cli", *arguments]
        self.tmux("new-session", "-d", "-x", str(self.width), "-y", str(self.height), *command)
        try:
            yield
        finally:
            self.tmux("kill-server")

    @property
    def ended(self) -> bool:
        """Whether the command has ended."""
        return self.tmux("list-panes", "-F", "#{pane_dead}").strip() == "1"

    def screen(self) -> list[str]:
        """Return what the pane shows and what scrolled out of it, and refuse a line that wrapped: joined, it is wider than the pane."""
        lines = [line.rstrip() for line in self.tmux("capture-pane", "-p", "-J", "-S", "-").splitlines()]
        wrapped = [line for line in lines if len(line) > self.width]
        if wrapped:
            raise SystemExit(f"wrapped at {self.width} columns: {wrapped[0]!r}")
        return lines

    def finished(self, *arguments: str) -> list[str]:
        """Return the screen of a command that ends by itself."""
        with self.running(*arguments):
            wait_until(lambda: self.ended)
            return trimmed(self.screen())


def wait_until(true: Callable[[], bool]) -> None:
    """Wait until a function returns true."""
    start = time.monotonic()
    while not true():
        if time.monotonic() - start > LIMIT_SECONDS:
            raise SystemExit(f"nothing came within {LIMIT_SECONDS:g} seconds")
        time.sleep(PAUSE_SECONDS)


def trimmed(lines: list[str]) -> list[str]:
    """Return the lines without the blank ones at the end."""
    return "\n".join(lines).rstrip().splitlines()


def places(lines: list[str]) -> tuple[int, ...] | None:
    """Return where the titles of the view stand below its head, None where there is no view; one that is there twice is refused."""
    heads = [place for place, line in enumerate(lines) if HEAD.search(line)]
    if not heads:
        return None
    found = [place - heads[0] for place, line in enumerate(lines) if line.startswith(TITLES)]
    if len(heads) != 1 or len(found) != len(TITLES):
        raise SystemExit("the view is on the screen twice, or in part:\n" + "\n".join(lines))
    return tuple(found)


def watch_search(pane: Pane, run: str) -> tuple[list[list[str]], int]:
    """Run a search and return four screens, the last from its end, and how many were looked at; refuse a view that moves or stays."""
    views, seen = [], set()
    with pane.running(*SEARCH, run):
        while not pane.ended:
            lines = pane.screen()
            if (found := places(lines)) is not None:
                views.append(lines)
                seen.add(found)
            time.sleep(PAUSE_SECONDS)
        last = trimmed(pane.screen())
    if len(seen) != 1 or places(last) is not None:
        raise SystemExit(f"the view moved or stayed: {sorted(seen)}, at the end {places(last)}")
    return [*(trimmed(views[len(views) * part // 10]) for part in (2, 5, 9)), last], len(views)


def is_training(lines: list[str]) -> bool:
    """Return whether the view is there and a worker tells how far it is."""
    return places(lines) is not None and any("%" in line for line in lines)


def interrupted(pane: Pane, run: str) -> list[str]:
    """Return the screen after Ctrl-C in the middle of a search."""
    with pane.running(*SEARCH, run):
        wait_until(lambda: is_training(pane.screen()))
        pane.tmux("send-keys", "C-c")
        wait_until(lambda: pane.ended)
        lines = trimmed(pane.screen())
    if places(lines) is not None or not any("--resume" in line for line in lines):
        raise SystemExit("after Ctrl-C the view stays, or the command that continues is missing:\n" + "\n".join(lines))
    return lines


def youngest_of_front(lines: list[str]) -> str:
    """Return the largest number in the front that the end of a search shows: the one with the longest lineage."""
    rows = lines[lines.index("Front") + 2 :]
    return max((row.split()[0] for row in rows[: rows.index("")]), key=int)


def record(width: int, height: int, out: Path) -> None:
    """Record one size into `terminal_WIDTH.txt`."""
    with tempfile.TemporaryDirectory() as folder:
        pane = Pane(Path(folder), width, height)
        views, looks = watch_search(pane, "runs/screens")
        shell = "star-search " + " ".join(SEARCH)
        parts = [(f"{shell} runs/screens    ({place})", view) for place, view in zip(("early", "later", "late", "end"), views, strict=True)]
        parts.append((f"{shell} runs/cut    (after Ctrl-C)", interrupted(pane, "runs/cut")))
        one = ("inspect", "runs/screens", "--candidate", youngest_of_front(views[-1]))
        for arguments in (one[:2], one, (*one, "--candidate", "0")):
            parts.append((f"star-search {' '.join(arguments)}", pane.finished(*arguments)))
    text = "\n\n".join("\n".join([f"$ {command}", "=" * width, *lines, "=" * width]) for command, lines in parts)
    (out / f"terminal_{width}.txt").write_text(text + "\n", encoding="utf-8")
    print(f"{width} x {height}: {looks} looks at the live view, none wrapped, moved or left anything")


def main() -> None:
    """Record every size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/screens"))
    out = parser.parse_args().out.resolve()
    for width, height in SIZES:
        record(width, height, out)


if __name__ == "__main__":
    main()
