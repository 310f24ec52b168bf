"""Fine-tunings of the tiny model on a few coloured shapes, by the names of their stages."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from safelight.data.collection import Record
from safelight.training.captions import all_of_few
from safelight.training.engine.lock import Claim
from safelight.training.recipe import Recipe
from safelight.training.stages import STAGES, Inputs
from tests.data.shapes import records
from tests.training.tiny_tasks import loop_config

TEXT = "a red apple"

# Kind -> the stage and its tables; the rate at which one batch is learnt by heart, and how much of the loss remains.
KINDS: dict[str, tuple[str, dict[str, Any], float, float]] = {
    "finetune": ("finetune", {}, 3e-3, 0.5),
    "with text": ("finetune", {"model": {"text_encoder": True}}, 3e-3, 0.5),
    "lora": ("lora", {"adapter": {"rank": 4}}, 1e-2, 0.9),
    "lora of all": (
        "lora",
        {"adapter": {"rank": 4, "layers": ("transformer", "convs", "text_encoder"), "form": "kohya"}},
        1e-2,
        0.6,
    ),
    "lora beside bf16": ("lora", {"adapter": {"rank": 4, "frozen": "bf16"}}, 1e-2, 0.9),
    "word": ("embedding", {"word": {"like": "red apple", "vectors": 4}}, 5e-1, 0.995),
    "controlnet": ("controlnet", {"data": {"drawn": 1}}, 3e-3, 0.7),
    "prior": ("lora", {"prior": {"prompt": "a table", "count": 2, "steps": 2}}, 1e-2, 0.9),
}


def few(count: int = 4) -> list[Record]:
    """That many pictures without a caption, and without a split."""
    return [Record(record.key, (), {}, record.read) for record in records()[:count]]


def recipe_of(stage: str, **tables: Any) -> Any:
    """The stage's recipe with these tables; one loop of few steps, and a caption for all pictures."""
    recipe = getattr(Recipe(), stage)
    tables = dict(tables)
    data = replace(recipe.data, **{"caption": TEXT, **tables.pop("data", {})})
    loop = loop_config(**{"batch_size": 2, "save_every": 100, **tables.pop("loop", {})})
    changed = {name: replace(getattr(recipe, name), **values) for name, values in tables.items()}
    return replace(recipe, data=data, loop=loop, **changed)


def task_of(stage: str, model: Path | str, run: Path, found: list[Record] | None = None, /, **tables: Any) -> Any:
    """The task of a fine-tuning that starts from the model there, in the folder `run`."""
    torch.manual_seed(0)
    with Claim(run) as claim:
        inputs = Inputs(out=run, claim=claim, model=str(model))
        return STAGES[stage].task(inputs, recipe_of(stage, **tables), all_of_few(few() if found is None else found))


def weights(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A copy of all weights."""
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """Whether all are equal, bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def task_in(kind: str, model: Path, folder: Path) -> Any:
    """The task of one of `KINDS`."""
    stage, tables, _, _ = KINDS[kind]
    return task_of(stage, model, folder, **tables)
