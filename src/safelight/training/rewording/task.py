"""The reword stage: a text encoder learns to read what people say as it reads its own captions.

A text encoder that was taught a few wordings is at a loss with all others: "snow" stands in none of its captions, and
what its states tell the UNet of "a red fox in the snow" is noise. But what would have been the right answer is known
without a picture, for the same model gives it when asked in its own words: "a red fox". So the text encoder is its own
teacher, as it was; it reads what is meant, and the one that learns reads what is said and has to come to the same
states, all of them (near to the distillation of Hinton et al. 2015; what a UNet reads stays what it has learnt to
read, so that it need not learn again). No picture is looked at and no UNet runs. One that has been through this learns
on from the model that it began as: `rewording.teacher`.
"""

from __future__ import annotations

import copy
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch import Tensor, nn

from safelight.data.collection import check_captions, fingerprint, split_up
from safelight.data.record import Record
from safelight.data.styles import styles_of
from safelight.errors import BadInput
from safelight.images import grid
from safelight.pipeline import Pipeline
from safelight.placement import placement_for
from safelight.text import TextEncoder
from safelight.training.captions import with_caption
from safelight.training.diffusion.settings import DiffusionDataConfig
from safelight.training.engine.noise import SampleNoise
from safelight.training.finetuning.start import Start, check_draws_from_text, check_same_start, open_start
from safelight.training.rewording.phrasebook import Pair, Phrasebook
from safelight.training.rewording.settings import RewordingConfig
from safelight.weights import save_folder

if TYPE_CHECKING:
    from safelight.training.recipe import RewordRecipe
    from safelight.training.stages import Inputs

MEASURED = 256  # pairs of each figure
AT_ONCE = 32
WHOLE = 4  # of so many steps one looks at all states, where the others look at the first


class RewordTask:
    """The text encoder of a whole model, and its teacher; see `training.engine.task.Task`.

    Raises BadInput for a model that draws from something else than text, or whose text is not read by one CLIP, for a
    teacher that does not read as it does, and for a phrasebook without sentences.
    """

    def __init__(
        self,
        start: Start,
        rewording: RewordingConfig,
        data: DiffusionDataConfig,
        records: list[Record],
        teacher: Start | None = None,
    ) -> None:
        check_draws_from_text(start, "rewording")
        tokenizer, encoder = start.parts.reader
        if not isinstance(encoder, TextEncoder):
            raise BadInput(f"The model {start.name!r} has no text encoder of CLIP, which learns other words.")
        records = with_caption(records, data.caption)
        check_captions(records)
        training, _ = split_up(records)
        self.start = start
        self.data = data
        self.tokenizer = tokenizer
        self.encoder = encoder.requires_grad_(True)
        self.teacher = copy.deepcopy(encoder) if teacher is None else encoder_like(start, teacher)
        self.teacher.requires_grad_(False).eval()
        self.first_states = rewording.first_states or encoder.config.length
        self.fingerprint = f"{fingerprint(training)} {(teacher or start).fingerprint}"
        pieces = [piece.removesuffix("</w>") for piece in tokenizer.vocabulary]
        pieces = [piece for piece in pieces if len(piece) > 1 and piece.isascii() and piece.isalpha()]
        styles = styles_of(training, data.styles)
        self.phrasebook = Phrasebook(rewording, training, styles, data, pieces)
        if not self.phrasebook.entries:
            raise BadInput(
                "rewording.phrasebook has no sentence that suits the things of this data; give some, or --recipe "
                "bundled, which has."
            )
        self.size = len(training)
        self.sets = self._measured()
        self.spread = self._spread()
        if self.spread == 0:
            raise BadInput(f"All {len(training)} samples have one caption; there are no other words for it to learn.")

    @property
    def network(self) -> nn.Module:
        """The text encoder."""
        return self.encoder

    @property
    def frozen(self) -> list[nn.Module]:
        """Its teacher: the text encoder as it was, or that of another model."""
        return [self.teacher]

    def sample(self, index: int, random: Random) -> dict[str, Any]:
        """What is said, and what is meant; whichever picture's turn it is."""
        pair = self.phrasebook.pair(random)
        return {"said": pair.said, "meant": pair.meant}

    def loss(self, batch: dict[str, Any], noise: SampleNoise) -> dict[str, Tensor]:
        """The square error of the states, of their spread; nothing is drawn at random."""
        states = None if noise.step % WHOLE == 0 else self.first_states
        return {"loss": self._errors(batch["said"], batch["meant"], states).mean()}

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """The error for its own words, the phrasebook's, other names alone, and sentences that it is not taught."""
        return {
            name: float(
                torch.cat(
                    [
                        self._errors([pair.said for pair in part], [pair.meant for pair in part])
                        for part in (pairs[first : first + AT_ONCE] for first in range(0, len(pairs), AT_ONCE))
                    ]
                ).mean()
            )
            for name, pairs in self.sets.items()
        }

    def sheet(self) -> Image.Image | None:
        """What the whole model draws of the configuration's prompts."""
        if not self.data.prompts:
            return None
        place = placement_for(str(next(self.encoder.parameters()).device), None)
        pipeline = Pipeline(parts=self.start.parts, placement=place)
        return grid([pipeline(prompt, seed=seed).images[0] for seed, prompt in enumerate(self.data.prompts)])

    def export(self, folder: Path) -> None:
        """Write the whole model."""
        save_folder(folder / "model", self.start.parts)

    def _errors(self, said: list[str], meant: list[str], states: int | None = None) -> Tensor:
        """The mean square error (b,) of the states (b, length, width) that UNets read, where their variance is 1.

        states: of the first so many alone, which do not depend on the others.
        """
        device = next(self.encoder.parameters()).device
        with torch.no_grad():
            wanted = self.teacher(self.tokenizer(meant).ids[:, :states].to(device)).float()
        found = self.encoder(self.tokenizer(said).ids[:, :states].to(device)).float()
        return (found - wanted).square().mean((1, 2)) / self.spread

    def _measured(self) -> dict[str, list[Pair]]:
        random = Random(0)
        own = [self.phrasebook.own_words(random) for _ in range(MEASURED)]
        sets = {
            "loss_own": [Pair(said, said) for said in own],
            "loss_reworded": [self.phrasebook.reworded(random) for _ in range(MEASURED)],
        }
        if self.phrasebook.config.unseen:
            sets["loss_unseen"] = [self.phrasebook.unseen(random) for _ in range(MEASURED)]
        if self.phrasebook.renamed:
            sets["loss_names"] = [self.phrasebook.other_name(random) for _ in range(MEASURED)]
        return sets

    @torch.no_grad()
    def _spread(self) -> float:
        """The mean variance of the states over captions."""
        captions = [pair.meant for pair in self.sets["loss_own"]]
        device = next(self.teacher.parameters()).device
        parts = [captions[first : first + AT_ONCE] for first in range(0, len(captions), AT_ONCE)]
        states = torch.cat([self.teacher(self.tokenizer(part).ids.to(device)).float() for part in parts])
        return float(states.var(0).mean())


def encoder_like(start: Start, teacher: Start) -> TextEncoder:
    """The text encoder of a teacher; raises BadInput where it does not take the same tokens to states as wide."""
    (tokenizer, encoder), (other_tokenizer, other) = start.parts.reader, teacher.parts.reader
    same_tokens = tokenizer.vocabulary == other_tokenizer.vocabulary and tokenizer.pad == other_tokenizer.pad
    same_states = (other.config.width, other.config.length) == (encoder.config.width, encoder.config.length)
    if not (isinstance(other, TextEncoder) and same_tokens and same_states):
        raise BadInput(
            f"rewording.teacher is {teacher.name!r}, which does not read as {start.name!r} does; it must have the same "
            "tokenizer, and a text encoder of the same width and length."
        )
    return other


def reword_task(inputs: Inputs, recipe: RewordRecipe, records: list[Record]) -> RewordTask:
    """The task over a whole model."""
    assert inputs.model is not None
    start = open_start(inputs.model, recipe.loop.device)
    teacher = open_start(recipe.rewording.teacher, recipe.loop.device) if recipe.rewording.teacher else None
    task = RewordTask(start, recipe.rewording, recipe.data, records, teacher)
    inputs.begin()
    check_same_start(inputs.out, start)
    return task
