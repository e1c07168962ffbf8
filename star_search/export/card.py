"""The model card: what the model is, where it came from, and what it is not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import yaml

from star_search import __version__
from star_search.analysis.run_view import RunView
from star_search.genome.description import describe
from star_search.genome.encoding import Genome
from star_search.genome.evolved import catalogue_for
from star_search.genome.genes import CHANNEL_MIXING, NONLINEARITY, SPARSITY, TOKEN_MIXING
from star_search.genome.liv_class import LIVClass
from star_search.objectives.registry import account_of, parse_objective
from star_search.runs.records import CandidateRecord

FRONT_MATTER = {
    "library_name": "transformers",
    "pipeline_tag": "text-generation",
    "tags": ["star-search", "star", "neural-architecture-search", "custom_code"],
}

USE = """```python
from transformers import AutoModelForCausalLM, AutoTokenizer

folder = "."  # where this file lies
model = AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True)
tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
prompt = tokenizer("The", return_tensors="pt")
print(tokenizer.decode(model.generate(**prompt, max_new_tokens=40)[0]))
```"""

NEEDS = "It needs `pip install 'star-search[huggingface]'`; the code that it trusts does nothing but import from there."
STANDALONE_NEEDS = "It needs torch and transformers alone; the code that it trusts is star-search's own, in this folder."


def model_card(view: RunView, record: CandidateRecord, retrained: str = "", standalone: bool = False) -> str:
    """Return the README of an export; `retrained` says how the weights were had again where they were not kept, `standalone` whether
    the code lies in the folder."""
    described = describe(account_of(view.config, Genome.parse(record.canonical)), view.config.training.sequence_length)
    parts = [
        f"---\n{yaml.safe_dump(FRONT_MATTER, sort_keys=False)}---",
        f"# Candidate {record.id} of {view.run.path.resolve().name}",
        _summary(view, record),
        "## Load and generate",
        STANDALONE_NEEDS if standalone else NEEDS,
        USE,
        "The tokenizer pads prompts of several lengths on the left. In a text, a literal `<|endoftext|>` becomes the special token.",
        "## Architecture",
        _genome(view, record, described),
        _liv_table(view, described),
        _sharing(described["sharing"]),
        "## Objectives",
        _objectives(view, record),
        "## Training",
        _training(view, record, retrained),
        "## Provenance",
        _provenance(view, record),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _summary(view: RunView, record: CandidateRecord) -> str:
    return (
        "A sequence-model architecture that [STAR](https://arxiv.org/abs/2411.17800), run by star-search, found by evolution.\n\n"
        f"**This is not a useful language model.** It was trained on {record.tokens:,} tokens, a proxy budget that ranks architectures; "
        "its text will be poor and may be anything. Its worth is the architecture: train that for longer before you use it."
    )


def _genome(view: RunView, record: CandidateRecord, described: dict[str, Any]) -> str:
    catalogue = described["catalogue"]
    evolved = "" if record.genome == record.canonical else f"\n\nIt evolved as `{record.genome}`, which is the same architecture."
    return (
        f"```\n{record.canonical}\n```\n\n{described['depth']} LIVs of width {described['width']} from version {catalogue['version']} of "
        f"catalogue `{catalogue['name']}`, {view.config.backbone.residual} residual connections, embedding and head tied.{evolved}"
    )


def _liv_table(view: RunView, described: dict[str, Any]) -> str:
    complete = catalogue_for(Genome.parse(described["canonical"]), view.catalogue)
    headings = ["LIV", "class", "what it is", "parameters", f"cache bytes after {described['length']:,} tokens", "takes from"]
    rows = [
        [
            liv["position"],
            f"{liv['class']} {liv['name']} (`{liv['operator']}`)",
            _what_it_is(complete[liv["class"]]),
            f"{liv['parameters']:,}",
            f"{liv['cache_bytes']:,}",
            _takes_from(liv),
        ]
        for liv in described["livs"]
    ]
    return _table(headings, rows)


def _what_it_is(liv_class: LIVClass) -> str:
    operator = liv_class.operator
    parts = [liv_class.family, f"token mixing {TOKEN_MIXING[operator.token_mixing]}"]
    parts += [f"sparsity {SPARSITY[operator.sparsity]}"] if operator.sparsity != 1 else []
    parts += [f"nonlinearity {NONLINEARITY[operator.nonlinearity]}"] if operator.nonlinearity != 1 else []
    parts += [f"channel mixing {CHANNEL_MIXING[operator.channel_mixing]}"]
    parts += ["differential"] if liv_class.differential else []
    return ", ".join(parts)


def _takes_from(liv: dict[str, Any]) -> str:
    weights = [f"weights of {name} from LIV {source}" for name, source in liv["weights_from"].items()]
    return ", ".join(weights + [f"{name} from LIV {source}" for name, source in liv["features_from"].items()])


def _sharing(groups: list[dict[str, Any]]) -> str:
    if not groups:
        return "No LIV shares anything with another."
    kinds = {"featurizer": "featurizer weights", "features": "features"}
    return "\n".join(
        f"- LIVs {', '.join(map(str, group['members']))} share {kinds[group['kind']]}: {', '.join(group['groups'])}" for group in groups
    )


def _objectives(view: RunView, record: CandidateRecord) -> str:
    length = view.config.training.sequence_length
    rows = []
    for name, value in record.objectives.items():
        objective = parse_objective(name, length)
        what = objective.kind.description + (f", after {objective.length:,} tokens" if objective.kind.takes_length else "")
        rows.append([name, f"{value:,.10g}", "yes" if name in view.names else "", what])
    tokens = record.details.get("validation_tokens")
    held_out = f"\n\nMeasured on {tokens:,} validation tokens that training never saw." if tokens else ""
    return _table(["objective", "value", "searched for", "what it is"], rows) + held_out


def _training(view: RunView, record: CandidateRecord, retrained: str) -> str:
    training, data = view.config.training, view.config.data
    schedule = f"peak learning rate {training.learning_rate:g}, {training.warmup_steps} warm-up steps, {training.schedule} schedule"
    lines = [
        f"- {record.tokens:,} tokens in {training.precision}, {training.batch_tokens:,} a step, sequences of {training.sequence_length:,}",
        f"- AdamW, {schedule}, weight decay {training.weight_decay:g}",
        f"- text `{data.source}`, tokenizer `{data.tokenizer}`",
        f"- {retrained}" if retrained else "",
    ]
    return "\n".join(line for line in lines if line)


def _provenance(view: RunView, record: CandidateRecord) -> str:
    found = view.provenance
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    lines = [
        f"- run `{view.run.path.resolve().name}`, candidate {record.id}, born in generation {record.generation}",
        f"- seed of the run {view.config.algorithm.seed}, of the candidate {record.seed}",
        f"- fingerprint of the text `{found['data']['fingerprint']}`",
        f"- versions in the run: {versions}",
        f"- machine: {', '.join(map(str, found['machine'].values()))} cores; devices {', '.join(found['devices'])}; "
        f"{found['threads_per_candidate']} threads a candidate",
        f"- exported by star-search {__version__}",
    ]
    return (
        "\n".join(lines)
        + "\n\nThe search ran, and runs again, with this configuration in `search.yaml`:\n\n"
        + "```\nstar-search evolve --config search.yaml\n"
        + f"star-search export-best --candidate {record.id}\n```\n\n"
        + f"```yaml\n{view.config.to_yaml()}```"
    )


def _table(headings: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)
