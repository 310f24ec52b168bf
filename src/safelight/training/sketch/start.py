"""What the sketch stage starts from and leaves: a CLIP, which a new UNet is to read, or a whole model."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from safelight.data.record import Record
from safelight.errors import BadInput
from safelight.placement import placement_for
from safelight.text import CLIP, TextEncoder, Tokenizer
from safelight.training.clip.task import as_it_sees
from safelight.training.diffusion.views import framed, framing_of
from safelight.training.finetuning.start import check_draws_from_text, check_same_start, open_start
from safelight.training.sketch.deepening import deepen
from safelight.training.sketch.task import SketchTask
from safelight.weights import load_autoencoder, load_clip, save_clip, save_folder
from safelight.weights.files import write_json
from safelight.weights.whole_folder import whole_folder

if TYPE_CHECKING:
    from safelight.training.recipe import SketchRecipe
    from safelight.training.stages import Inputs


def sketch_task_of(autoencoder: Path, clip: Path, recipe: SketchRecipe, records: list[Record], out: Path) -> SketchTask:
    """The task over what the first two stages left in the folders of their runs, on the device of training."""
    tokenizer = Tokenizer.load(clip / "tokenizer")
    whole = load_clip(clip / "clip", torch.float32)
    deepen(whole.text, recipe.sketch.new_layers)
    place = placement_for(recipe.loop.device, None).device
    frozen = load_autoencoder(autoencoder / "vae", torch.float32).to(place).eval()
    framing = framed(recipe.data, [(recipe.sketch.size, recipe.sketch.size)])
    own = recipe.sketch.cells, framing, recipe.data, records, out
    return SketchTask(frozen, tokenizer, whole.text, *own, partial(leave_clip, tokenizer, whole))


def from_model(inputs: Inputs, model: str, recipe: SketchRecipe, records: list[Record]) -> SketchTask:
    """The task over the text encoder of a whole model, which foretells pictures already and learns on.

    Raises BadInput for a model that draws from something else than text, or whose text is not read by one CLIP.
    """
    start = open_start(model, recipe.loop.device)
    check_draws_from_text(start, "a sketch")
    tokenizer, encoder = start.parts.reader
    if not isinstance(encoder, TextEncoder):
        raise BadInput(f"The model {start.name!r} has no text encoder of CLIP, which a sketch is learnt by.")
    inputs.begin()
    check_same_start(inputs.out, start)
    deepen(encoder, recipe.sketch.new_layers)

    def leave(folder: Path) -> None:
        save_folder(folder / "model", start.parts)

    own = recipe.sketch.cells, framing_of(start.parts, recipe.data), recipe.data, records, inputs.out
    return SketchTask(start.parts.autoencoder, tokenizer, encoder, *own, leave, known=True)


def leave_clip(tokenizer: Tokenizer, clip: CLIP, folder: Path) -> None:
    """Write both as the stage `clip` does; the image encoder is as it was, and fits the text encoder no longer."""
    with whole_folder(folder / "tokenizer", mark="vocab.json") as partial:
        tokenizer.save(partial)
    save_clip(folder / "clip", clip)
    write_json(folder / "clip" / "preprocessor_config.json", as_it_sees(clip.image.config.size))
