"""One run from its recipe to its card: a generator over the loop's steps."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from safelight.data.collection import open_collection
from safelight.training.captions import all_of_few
from safelight.training.card import RunFacts, last_figures, write_card
from safelight.training.engine.loop import Progress, train
from safelight.training.engine.processes import ALONE, Processes
from safelight.training.recipe_file import to_toml
from safelight.training.stages import STAGES, Inputs, check_inputs, task_of
from safelight.weights.files import beside


def run_stage(name: str, inputs: Inputs, recipe: Any, processes: Processes = ALONE) -> Generator[Progress, None, None]:
    """Train the stage of that name in `inputs.out`, from where it was left: a generator that yields after each step.

    recipe: that stage's, as in `Recipe`. processes: those that train together; `inputs.claim` is theirs. Closing the
    generator earlier saves a checkpoint. What `Stage.leaves` names is there at the end, with a card. Raises BadInput
    and BadCheckpoint at once, before the first step.
    """
    check_inputs(name, inputs, recipe)
    assert inputs.data is not None
    found = open_collection(inputs.data, recipe.where)
    records = all_of_few(found) if STAGES[name].of_few else found
    here = replace(recipe, loop=processes.placed(recipe.loop))
    with processes.main_first():
        task = task_of(name, inputs, here, records)
    inputs.begin()
    steps = train(task, here.loop, inputs.out, inputs.claim, processes)
    written = to_toml(recipe, name)
    if processes.main:
        with beside(inputs.out / "recipe.toml") as partial:
            partial.write_text(written, "utf-8")

    def to_its_card() -> Generator[Progress, None, None]:
        with closing(steps):
            yield from steps
        if not processes.main:
            return
        facts = RunFacts(
            stage=name,
            does=STAGES[name].does,
            recipe=written,
            records=records,
            device=recipe.loop.device,
            steps=recipe.loop.steps,
            figures=last_figures(inputs.out / "log.jsonl"),
        )
        left = left_by(name, inputs.out)
        write_card(left if left.is_dir() else inputs.out, facts)

    return to_its_card()


def left_by(name: str, run: Path) -> Path:
    """What the stage of that name has left in the folder of its run."""
    whole = run / "model"
    return whole if STAGES[name].or_model and whole.is_dir() else run / STAGES[name].leaves
