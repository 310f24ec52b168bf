"""From pictures and captions to a model that draws: all stages, one after the other, in one folder.

RUN/autoencoder, RUN/clip, RUN/diffusion   the run of each stage
RUN/sketch                                 that of the sketch, where the recipe includes it
RUN/classifier                             the run of the judge, where samples name a concept
RUN/model                                  what came of it: a whole model, which `safelight generate --model RUN` opens
"""

from __future__ import annotations

import shutil
from collections.abc import Generator
from pathlib import Path

from safelight.data.collection import open_collection
from safelight.opening import OF_A_RUN
from safelight.training.engine.disk import writing
from safelight.training.engine.processes import ALONE, Processes
from safelight.training.examination import FIELD, Marks, examine
from safelight.training.recipe import Recipe
from safelight.training.running import left_by
from safelight.training.stages import Inputs
from safelight.weights.files import beside
from safelight.weights.model_index import NAME
from safelight.weights.whole_folder import whole_folder

SKETCH = "sketch"
JUDGE = "classifier"
SHEET = "examination.png"


def stages_for(data: Path, recipe: Recipe) -> tuple[str, ...]:
    """The stages in their order.

    The sketch is among them where the recipe includes it, the judge where the samples name at least two concepts.
    """
    sketch = (SKETCH,) if recipe.sketch.sketch.included else ()
    stages = ("autoencoder", "clip", *sketch, "diffusion")
    records = open_collection(data, recipe.classifier.where)
    concepts = {str(record.fields.get(FIELD) or "") for record in records if record.split == "train"}
    judged = len(concepts) > 1 and "" not in concepts and FIELD in recipe.classifier.data.labels
    return (*stages, JUDGE) if judged else stages


def inputs_of(name: str, run: Path, data: Path, recipe: Recipe, processes: Processes = ALONE) -> Inputs:
    """What one of the stages is given in the folder `run` of them all."""
    return Inputs(
        out=run / name,
        claim=processes.claim(run / name),
        data=data,
        autoencoder=run / "autoencoder",
        clip=run / (SKETCH if name == "diffusion" and recipe.sketch.sketch.included else "clip"),
    )


def examined(run: Path, data: Path, recipe: Recipe) -> Generator[int, None, Marks]:
    """`examine` the model of all stages by their judge; a sheet of what it drew is left in the folder."""
    records = open_collection(data, recipe.classifier.where)
    marks = yield from examine(
        run / OF_A_RUN, left_by(JUDGE, run / JUDGE), records, device=recipe.diffusion.loop.device
    )
    with writing(run / SHEET), beside(run / SHEET) as partial:
        marks.sheet.save(partial, "PNG")
    return marks


def put_together(run: Path) -> Path:
    """Copy the finished model to where `safelight generate --model RUN` finds it; returns its folder."""
    made, target = left_by("diffusion", run / "diffusion"), run / OF_A_RUN
    with writing(target), whole_folder(target, mark=NAME) as partial:
        shutil.copytree(made, partial, dirs_exist_ok=True)
    return target
