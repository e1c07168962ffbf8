"""`evolve --dry-run`: the resolved search and its bill."""

from __future__ import annotations

from star_search.cli.console import as_text, console, format_bytes
from star_search.cli.session import check_search
from star_search.config import SearchConfig
from star_search.genome.accounting import Accounting
from star_search.genome.baselines import baseline

TRAINING_FLOPS_PER_PARAMETER = 6
PROBE_SECONDS = 10.0
MODEL_FLOPS_PER_SECOND = {"one H200 at 40 % of its bf16 peak": 0.4 * 790e12, "one CPU core at 20 GFLOP/s": 20e9}


def print_bill(config: SearchConfig) -> None:
    """Print the configuration, the token, FLOP and time bill, and Transformer++ at this scale."""
    space, criteria = check_search(config)
    algorithm, candidates = config.algorithm, config.algorithm.candidates
    tokens = candidates * config.training.steps * config.training.batch_tokens
    depth, width = config.space.depth, config.space.width
    account = Accounting.of(baseline("transformer++", depth), width, "star", config.backbone.residual)
    flops = TRAINING_FLOPS_PER_PARAMETER * account.parameters * tokens
    length = config.training.sequence_length
    console.print(config.to_yaml(), markup=False)
    console.print(f"classes      {as_text(', '.join(space.rules.catalogue[each].name for each in space.rules.classes))}")
    console.print(f"objectives   {as_text(', '.join(criteria.names))}")
    later = f"{algorithm.brood:,} in each of {algorithm.generations:,} more"
    console.print(f"candidates   at most {candidates:,}: {algorithm.population:,} in gen00 and {later}")
    console.print(f"tokens       {config.training.steps:,} steps of {config.training.batch_tokens:,}: {tokens:,} in all")
    console.print(f"FLOPs        about {flops:.3g}, at 6 per parameter and token of a Transformer++ without its head")
    for device, speed in MODEL_FLOPS_PER_SECOND.items():
        console.print(f"time         about {flops / speed / 3600:,.3g} hours on {device}")
    _print_probe(config)
    limit = config.workers.timeout
    console.print(
        f"time limit   {'none (workers.timeout): a candidate that hangs holds its worker' if limit is None else f'{limit:g} s a candidate'}"
    )
    if criteria.own:
        console.print(f"not counted  what {as_text(', '.join(each.name for each in criteria.own))} takes by itself")
    console.print(
        f"Transformer++ at {depth} x {width}: {account.operator_parameters:,} operator parameters "
        f"({account.parameters:,} with norms), cache {account.cache_bytes(length):,} bytes ({format_bytes(account.cache_bytes(length))}) "
        f"after {length:,} tokens"
    )


def _print_probe(config: SearchConfig) -> None:
    """Print what a probe of this machine predicts; nothing where the probe is switched off."""
    if not PROBE_SECONDS:
        return
    from star_search.evolution.workers import devices, worker_count
    from star_search.objectives.probe import obstacle, probe

    available = devices(config.workers.device)
    reason = obstacle(config, available[0], PROBE_SECONDS)
    if reason:
        console.print(f"probe        none: {as_text(reason)}")
        return
    found = probe(config, available, max(1, worker_count(config, available)), PROBE_SECONDS)
    console.print(
        f"probe        {found.genomes} genomes, {found.step_seconds * 1000:,.3g} ms a step: about {found.hours:,.3g} hours on "
        f"{found.workers} workers of this machine, {format_bytes(found.peak_bytes)} of memory each"
    )
