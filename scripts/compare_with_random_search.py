"""Hold an algorithm against random search at the same token budget, over several seeds.

    python scripts/compare_with_random_search.py --seeds 5 --runs runs/against_random

Every search is a run folder below --runs; one that is finished is read, one that was cut off is resumed. Prints a Markdown table of
final hypervolumes (share of the box between zero and the reference point that the front dominates), the mean difference with its 95 %
interval, and an exact one-sided sign-flip test on the paired differences.
"""

import argparse
import statistics
import subprocess
import sys
from itertools import product
from pathlib import Path

from star_search.analysis.run_view import RunView
from star_search.runs.directory import RunDirectory

STUDENT_T_975 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262}


def search(config: str, algorithm: str, seed: int, folder: Path) -> RunView:
    """Run one search to its end, or read it when it is there, and return it."""
    command = [sys.executable, "-m", "star_search.cli", "evolve", "--quiet", "--resume", "--config", config, "--run-dir", str(folder)]
    subprocess.run([*command, "--seed", str(seed), "--set", f"algorithm.name={algorithm}"], check=True)
    return RunView.read(RunDirectory.open(folder))


def sign_flip_p_value(differences: list[float]) -> float:
    """Return the share of sign assignments whose mean is at least the one seen."""
    seen = statistics.fmean(differences)
    means = [
        statistics.fmean(sign * each for sign, each in zip(signs, differences, strict=True))
        for signs in product((1, -1), repeat=len(differences))
    ]
    return sum(mean >= seen - 1e-15 for mean in means) / len(means)


def main() -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="quickstart.yaml")
    parser.add_argument("--algorithm", default="nsga2")
    parser.add_argument("--seeds", type=int, default=5, choices=sorted(STUDENT_T_975), metavar="2..10")
    parser.add_argument("--runs", type=Path, default=Path("runs/against_random"))
    arguments = parser.parse_args()
    arguments.runs.mkdir(parents=True, exist_ok=True)
    differences = []
    name = arguments.algorithm
    print(f"| seed | {name}: hypervolume | random: hypervolume | {name}: best perplexity | random: best perplexity |")
    print("|---|---|---|---|---|")
    for seed in range(arguments.seeds):
        ours, theirs = (search(arguments.config, each, seed, arguments.runs / f"{each}-{seed}") for each in (arguments.algorithm, "random"))
        last = [view.progress[-1] for view in (ours, theirs)]
        differences.append(last[0].hypervolume - last[1].hypervolume)
        best = [min(record.objectives.get("perplexity", float("inf")) for record in view.records) for view in (ours, theirs)]
        print(f"| {seed} | {last[0].hypervolume:.4f} | {last[1].hypervolume:.4f} | {best[0]:.2f} | {best[1]:.2f} |", flush=True)
    mean = statistics.fmean(differences)
    half = STUDENT_T_975[len(differences)] * statistics.stdev(differences) / len(differences) ** 0.5
    print(f"\nMean difference in hypervolume {mean:+.4f}, 95 % interval {mean - half:+.4f} to {mean + half:+.4f};", end=" ")
    print(f"one-sided sign-flip test p = {sign_flip_p_value(differences):.3f} ({len(differences)} pairs).")


if __name__ == "__main__":
    main()
