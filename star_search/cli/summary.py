"""What `evolve` prints when it ends."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from star_search.analysis.plain_text import shell_word
from star_search.analysis.run_view import RunView
from star_search.analysis.timing import split_wall_time
from star_search.cli.console import candidate_table, console, format_seconds, print_failures, print_legend, print_whole
from star_search.runs.directory import RunDirectory

if TYPE_CHECKING:
    from star_search.evolution.search import Search


def print_end(run: RunDirectory, search: Search, finished: bool, seconds: float, resume_command: str) -> None:
    """Print the front, what it took, and the next command to type."""
    from star_search.evolution.search import EXHAUSTED

    view = RunView.read(run)
    console.print()
    console.print(candidate_table("Front", view.front, view.names, view.catalogue, console.width))
    console.print()
    print_legend()
    print_failures(view.records)
    if view.progress:
        first, last = view.progress[0], view.progress[-1]
        grown = f"hypervolume {first.hypervolume:.4f} in gen00, {last.hypervolume:.4f} in gen{last.generation:02d}"
        console.print(f"\n{grown} · unigram perplexity of the same text {math.exp(view.provenance['unigram_loss']):.2f}")
    if search.trained:
        split = split_wall_time([view.by_id[number] for number in search.trained if number in view.by_id], seconds)
        console.print(
            f"{format_seconds(seconds)}: candidates in training or evaluation {split.busy_share:.1%} of it, everything else "
            f"{1 - split.busy_share:.1%}; the {split.workers} workers busy {split.worker_share:.0%} of the time"
        )
    exhausted = search.stopped_by == EXHAUSTED
    if exhausted:
        # A resumed search replays this one, and so ends where it did.
        ended = f"ended after {len(view.records):,} of {search.config.algorithm.candidates:,} candidates: {EXHAUSTED}"
        print_whole(f"\n{ended}; to continue this run would not change that")
    path = shell_word(str(run.path))
    if (finished or exhausted) and view.front:
        export = f"\n      star-search export-best {path}" if "perplexity" in view.front[0].objectives else ""
        print_whole(f"\nNext: star-search inspect {path}{export}")
    elif finished or exhausted:
        console.print("\nNo candidate is ok and keeps every constraint: the front is empty, and there is nothing to export.")
        print_whole(f"Next: star-search inspect {path}")
    else:
        print_whole(f"\nstopped after {search.stopped_by}. Continue with:\n  {resume_command}")
