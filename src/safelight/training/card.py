"""The card of a run: what was trained, on what, how, on which machine, and what came of it; it lies beside the weights.

Mitchell et al. 2019, "Model cards for model reporting". The head is what the hub reads.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from safelight import __version__
from safelight.data.collection import Record, split_up
from safelight.data.fingerprint import content_hash
from safelight.training.engine.disk import writing
from safelight.weights.files import beside

NAME = "README.md"
TOLD = ("source", "licence", "style")  # fields of the samples whose values are counted
LISTED = 20  # values of each


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """What a card tells. does: what the stage learnt. recipe: the configuration as TOML. figures: the last ones."""

    stage: str
    does: str
    recipe: str
    records: Sequence[Record]
    device: str
    steps: int
    figures: Mapping[str, float]


def write_card(folder: Path, facts: RunFacts) -> None:
    """Write the card into the folder of the weights; raises BadInput where the disk refuses."""
    with writing(folder / NAME), beside(folder / NAME) as partial:
        partial.write_text(card(facts), "utf-8")


def card(facts: RunFacts) -> str:
    """The card as Markdown."""
    return "\n".join(
        [
            "---",
            "library_name: diffusers",
            f"tags: [safelight, {facts.stage}]",
            "---",
            "",
            f"# A run of `safelight train {facts.stage}`",
            "",
            f"What it did: {facts.does}. {facts.steps} steps.",
            "",
            "## Figures",
            "",
            *_table(("figure", "value"), [(name, f"{value:.4g}") for name, value in facts.figures.items()]),
            "",
            "Names with `held-out/` are of the last evaluation, those with `training/` of the last step. Pictures that "
            "were kept back are what an evaluation is of in the stages that have some; `seen`, `redrawn`, `prior` and "
            "`copies` are of others, and so is all that `reword` and `distill` tell, and `loss_sketch`.",
            "",
            "## Data",
            "",
            *_data(facts.records),
            "",
            "## Code and machine",
            "",
            *_table(("what", "which"), list(machine(facts.device).items())),
            "",
            "## Recipe",
            "",
            "```toml",
            facts.recipe.rstrip(),
            "```",
            "",
        ]
    )


def last_figures(log: Path) -> dict[str, float]:
    """The last value of every figure in a run's `log.jsonl`; what was no finite number is left out."""
    found: dict[str, float] = {}
    for line in log.read_text("utf-8").splitlines():
        found |= {name: value for name, value in json.loads(line).items() if name != "step" and value is not None}
    return found


def machine(device: str) -> dict[str, str]:
    """What a run's figures depend on beside its recipe and its data."""
    facts = {
        "safelight": " ".join(filter(None, (__version__, _commit()))),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads",
        "processes": os.environ.get("WORLD_SIZE", "1"),
        "device": device,
    }
    if device.startswith("cuda") and torch.cuda.is_available():
        facts["device"] = f"{device} ({torch.cuda.get_device_name(torch.device(device))})"
    return facts


def _data(records: Sequence[Record]) -> list[str]:
    training, held_out = split_up(records)
    rows = [
        ("training pictures", str(len(training))),
        ("held-out pictures", str(len(held_out))),
        ("pictures and captions, hashed", content_hash(training)),
    ]
    for field in TOLD:
        counts = Counter(str(record.fields[field]) for record in training if field in record.fields)
        if counts:
            named = ", ".join(f"{value} {count}" for value, count in counts.most_common(LISTED))
            rows.append((field, named + (", ..." if len(counts) > LISTED else "")))
    return _table(("what", "which"), rows)


def _table(head: tuple[str, str], rows: Sequence[tuple[str, str]]) -> list[str]:
    return [f"| {' | '.join(head)} |", "|---|---|", *(f"| {one} | {other} |" for one, other in rows)]


def _commit() -> str:
    """The commit of the source, where it lies in a checkout of its own."""
    home = Path(__file__).parents[3]
    if not (home / ".git").exists():
        return ""
    try:
        asked = ["git", "-C", str(home), "describe", "--always", "--dirty"]
        return f"({subprocess.run(asked, capture_output=True, text=True, timeout=10, check=True).stdout.strip()})"
    except (OSError, subprocess.SubprocessError):
        return ""
