"""The text encoder foretells pictures: it learns to, resumes exactly, and leaves what the diffusion stage reads."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch

from safelight.autoencoder import Autoencoder
from safelight.errors import BadInput
from safelight.text import CLIP, Tokenizer
from safelight.training.diffusion.new_model import new_parts
from safelight.training.diffusion.settings import DiffusionDataConfig
from safelight.training.diffusion.views import framed
from safelight.training.recipe import DiffusionRecipe
from safelight.training.sketch.pairs import usual_pairs
from safelight.training.sketch.sketcher import KeptMap
from safelight.training.sketch.start import leave_clip
from safelight.training.sketch.task import SketchTask
from safelight.weights import save_autoencoder
from tests.data.shapes import SIDE, records
from tests.training.overfitting import losses_of_one_batch
from tests.training.tiny_tasks import AUTOENCODER, IMAGE, TEXT, UNET, check_resumes, loop_config, tokenizer

CELLS = 2  # four of the twelve places


def sketch_task(folder: Path, cells: int = CELLS, known: bool = False, **data: Any) -> SketchTask:
    torch.manual_seed(0)
    words = tokenizer()
    clip = CLIP(replace(TEXT, vocabulary=len(words.vocabulary)), IMAGE)
    seen = DiffusionDataConfig(**{"colours": ("white", "blue"), **data})
    settings = cells, framed(seen, [(SIDE, SIDE)]), seen
    given = Autoencoder(AUTOENCODER).eval(), words, clip.text, *settings, records("none"), folder
    return SketchTask(*given, partial(leave_clip, words, clip), known)


def test_it_overfits_one_batch(tmp_path: Path) -> None:
    losses = losses_of_one_batch(sketch_task(tmp_path, caption_dropout=0.0), range(4), steps=150, rate=1e-2)
    assert losses[-1] < losses[0] / 5


def test_pictures_of_several_shapes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"data\.shapes is 'buckets'"):
        sketch_task(tmp_path, shapes="buckets")


def test_each_of_the_last_places_foretells_its_own_square(tmp_path: Path) -> None:
    sketcher = sketch_task(tmp_path).sketcher
    states: list[torch.Tensor] = []
    sketcher.text_encoder.register_forward_hook(lambda module, given, hidden: states.append(hidden))
    with torch.no_grad():
        sketch = sketcher(["a red circle"])
        squares = sketcher.head(states[0][0, -4:])
    half = SIDE // 4
    for number, square in enumerate(squares):
        y, x = divmod(number, CELLS)
        own = sketch[0, :, y * half : (y + 1) * half, x * half : (x + 1) * half]
        assert torch.equal(own, square.reshape(own.shape))


def test_a_run_that_was_interrupted_ends_as_one_that_was_not(tmp_path: Path) -> None:
    check_resumes(sketch_task, loop_config(steps=6, workers=2), tmp_path, stop=3)


def test_diffusion_reads_what_it_leaves(tmp_path: Path) -> None:
    task = sketch_task(tmp_path / "sketch")
    losses_of_one_batch(task, range(4), steps=2, rate=1e-2)
    task.export(tmp_path / "sketch")
    save_autoencoder(tmp_path / "autoencoder" / "vae", task.autoencoder)
    made = new_parts(
        DiffusionRecipe(network=replace(UNET, in_channels=4)), tmp_path / "autoencoder", tmp_path / "sketch"
    )
    words, encoder = made.reader
    assert words.vocabulary == Tokenizer.load(tmp_path / "sketch" / "tokenizer").vocabulary == tokenizer().vocabulary
    learnt = task.sketcher.text_encoder.state_dict()
    assert all(torch.equal(tensor, learnt[name]) for name, tensor in encoder.state_dict().items())


def test_a_text_encoder_that_knows_pictures_keeps_its_map(tmp_path: Path) -> None:
    """The map is the best one at the start; the text encoder learns, and a run that goes on has the same map."""
    task = sketch_task(tmp_path / "known", known=True, caption_dropout=0.0)
    captions, latents = usual_pairs(task.seen)
    with torch.no_grad():
        best = (task.sketcher(captions) - latents).square().mean()
        assert isinstance(task.sketcher.head, KeptMap)
        for shift in (0.01, -0.01):
            task.sketcher.head.bias += shift
            assert (task.sketcher(captions) - latents).square().mean() > best
            task.sketcher.head.bias -= shift
    before = task.sketcher.head.weight.clone()
    losses = losses_of_one_batch(task, range(4), steps=100, rate=1e-2)
    assert losses[-1] < losses[0] / 2
    assert torch.equal(task.sketcher.head.weight, before)
    assert not any(name.startswith("head") for name, _ in task.sketcher.named_parameters())
    check_resumes(partial(sketch_task, known=True), loop_config(steps=6), tmp_path, stop=3)


def test_figures_and_sheet_are_of_the_sketches(tmp_path: Path) -> None:
    task = sketch_task(tmp_path, prompts=("a red circle", "a blue square"))
    with torch.no_grad():
        figures = task.evaluate()
        assert figures.keys() == {"loss_seen", "loss_unseen"}
        assert figures == task.evaluate()
        sheet = task.sheet()
    assert sheet is not None
    assert sheet.size == (2 * SIDE, SIDE)


@pytest.mark.parametrize("cells", [3, 4])
def test_cells_that_cannot_be_are_refused(cells: int, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=f"sketch.cells, or following.cells, is {cells}; it must divide .* below 12"):
        sketch_task(tmp_path, cells=cells)


def test_captions_are_said_in_other_words(tmp_path: Path) -> None:
    words = ("see {caption}", "no {name}")
    task = sketch_task(tmp_path, wordings=words, wording_share=0.5, caption_dropout=0.2, white_share=0.5)
    said = [task.sample(0, Random(seed))["caption"] for seed in range(400)]
    first = task.seen.views[0].record.captions[0]
    bare = first.removeprefix("a ")
    for sentence in (f"see {first}", f"no {bare}"):
        assert 35 < said.count(sentence) < 90  # of 60
        assert 8 < said.count(f"{sentence} on a blue background") < 40  # of 20
    assert 50 < said.count("") < 115


@pytest.mark.parametrize("sentence", ["nothing", "{caption} {other}", "{caption", "{}"])
def test_wordings_without_a_place_for_the_caption_are_refused(sentence: str) -> None:
    with pytest.raises(BadInput, match=r"data.wordings has .*; each must hold \{caption\} or \{name\}"):
        DiffusionDataConfig(wordings=(sentence,))
