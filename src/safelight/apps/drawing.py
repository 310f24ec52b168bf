"""The pictures of an evaluation, drawn into their folder; what is there already stays."""

from __future__ import annotations

import argparse
import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safelight.apps.inputs import LEFT_TO_THE_MODEL, add_sampling_arguments
from safelight.apps.terminal import progress
from safelight.request import Request

if TYPE_CHECKING:
    from safelight.data.collection import Record
    from safelight.evaluation.drawn_folder import DrawnFolder
    from safelight.evaluation.prompts import Prompt
    from safelight.pipeline import Pipeline

AT_ONCE = 8  # pictures of one call


def add_drawing_arguments(command: argparse.ArgumentParser) -> None:
    """How the pictures are drawn."""
    command.add_argument("--seed", type=int, default=0, metavar="N", help="of the first picture (default: %(default)s)")
    add_sampling_arguments(command)


def drawn_folder(pipeline: Pipeline, prompts: Sequence[Prompt], folder: Path, asked: argparse.Namespace) -> DrawnFolder:
    """The folder for these prompts, with all of them drawn; raises BadInput where it was drawn in another way."""
    from safelight.evaluation.drawn_folder import DrawnFolder
    from safelight.opening import fingerprint

    usual = pipeline.usual
    settings: dict[str, Any] = {
        "model": pipeline.name,
        "fingerprint": fingerprint(pipeline.parts()),
        "seed": asked.seed,
        **{
            word: getattr(asked, word) if getattr(asked, word) is not None else usual.get(name, getattr(Request, name))
            for word, name in LEFT_TO_THE_MODEL.items()
        },
        "dtype": pipeline.placement.dtype_name,
    }
    drawn = DrawnFolder(folder, prompts, asked.seed, settings)
    pipeline.prepare(request_of(drawn, [0]))  # what is wrong is refused before anything is written
    drawn.begin()
    missing = drawn.missing()
    for _ in progress(draw(pipeline, drawn, missing), len(missing), "picture"):
        pass
    return drawn


def draw(pipeline: Pipeline, folder: DrawnFolder, missing: Sequence[int]) -> Iterator[int]:
    """Draw these pictures; yields the number of each once it is kept."""
    for batch in batches(missing):
        run = pipeline.prepare(request_of(folder, batch))
        latent = None
        for step in pipeline.steps(run):
            latent = step.latent
        for number, picture in zip(batch, pipeline.finish(run, latent).images, strict=True):
            folder.write(number, picture)
            yield number


def request_of(folder: DrawnFolder, numbers: Sequence[int]) -> Request:
    """Some pictures in a row, as one call."""
    return Request(
        prompt=[folder.prompts[number].text for number in numbers],
        seed=folder.seed + numbers[0],
        **{name: folder.settings[word] for word, name in LEFT_TO_THE_MODEL.items()},
    )


def prompted(records: Sequence[Record]) -> list[Record]:
    """The same samples; those without a caption have the prompt of the recipe in their PNG, where they have that."""
    return [record if record.captions else _with_recipe(record) for record in records]


def _with_recipe(record: Record) -> Record:
    from PIL import Image

    from safelight.recipe import read_recipe

    try:
        with Image.open(io.BytesIO(record.read())) as picture:
            prompt = read_recipe(picture, record.key).prompt
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # BadInput is a ValueError
        return record
    return replace(record, captions=(prompt,) if prompt else ())


def batches(numbers: Sequence[int]) -> Iterator[list[int]]:
    """Numbers in their order, a few at a time; those of a batch follow each other, for so do its seeds."""
    batch: list[int] = []
    for number in numbers:
        if batch and (len(batch) == AT_ONCE or number != batch[-1] + 1):
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch
