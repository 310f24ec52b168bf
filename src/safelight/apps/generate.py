"""`safelight generate`: a prompt becomes pictures."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safelight.apps.inputs import (
    LEFT_TO_THE_MODEL,
    add_adapter_arguments,
    add_adapters,
    add_input_arguments,
    add_sampling_arguments,
    check_given,
    read_boxes,
)
from safelight.apps.terminal import add_json_argument, add_model_arguments, answer, pipeline_of, progress
from safelight.errors import BadInput
from safelight.request import Request

if TYPE_CHECKING:
    from safelight.pipeline import Pipeline, Result
    from safelight.run import Run


def add_to(commands: Any) -> None:
    """The arguments of the command."""
    command = commands.add_parser("generate", help="draw pictures from a prompt")
    prompt = command.add_argument("prompt", nargs="+", help="what to draw; several words need no quotes")
    prompt.required = False  # some models read no text; "*" would lose a prompt that follows options
    add_model_arguments(command)
    command.add_argument("--negative", default="", metavar="T", help="what to stay away from")
    command.add_argument("--seed", type=int, metavar="N", help="of the first picture (default: drawn at random)")
    add_sampling_arguments(command)
    command.add_argument("--width", type=int, metavar="W", help="pixels, a multiple of 8")
    command.add_argument("--height", type=int, metavar="H", help="pixels, a multiple of 8")
    command.add_argument("--count", type=int, default=1, metavar="N", help="pictures (default: %(default)s)")
    command.add_argument("--image", metavar="F", help="a picture to start from")
    command.add_argument(
        "--strength", type=float, metavar="S", help="0 keeps --image, 1 next to nothing of it (default: 0.75)"
    )
    command.add_argument("--mask", metavar="F", help="white where --image is to be redrawn")
    add_input_arguments(command)
    add_adapter_arguments(command)
    command.add_argument("--out", type=Path, metavar="F", help="file of the picture; several are numbered")
    command.add_argument("--sheet", type=Path, metavar="F", help="also write all pictures side by side into this file")
    add_json_argument(command)
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Draw, write, and say where."""
    request_of(arguments)  # what cannot be meant is refused before a model is opened
    files = output_files(arguments.out, arguments.count)
    from safelight.images import check_writable, grid, write_picture

    for file in (*files, *([arguments.sheet] if arguments.sheet else [])):
        check_writable(file)
    if arguments.sheet and arguments.sheet.resolve() in {file.resolve() for file in files}:
        raise BadInput(f"--sheet is {str(arguments.sheet)!r}, the name of one of the pictures; give it another.")
    started = time.perf_counter()
    pipeline = pipeline_of(arguments)
    request = request_of(arguments, pipeline.usual)
    check_given(pipeline, request, arguments.prompt)
    add_adapters(pipeline, arguments)
    result = draw(pipeline, pipeline.prepare(request))
    taken = free_files(arguments.count) if arguments.out is None else []
    files = taken or files
    try:
        for picture, file in zip(result.images, files, strict=True):
            write_picture(picture, file)
    finally:
        for file in taken:
            if not file.stat().st_size:
                file.unlink()
    if arguments.sheet:
        write_picture(grid(result.images), arguments.sheet)
    seconds = round(time.perf_counter() - started, 2)
    pictures = [
        {"file": str(file), "seed": recipe.seed, "width": recipe.width, "height": recipe.height}
        for file, recipe in zip(files, result.recipes, strict=True)
    ]
    sentences = [f"{picture['file']}  seed {picture['seed']}" for picture in pictures]
    answer(arguments, {"pictures": pictures, "seconds": seconds, "model": pipeline.name}, sentences)


def draw(pipeline: Pipeline, prepared: Run) -> Result:
    """A run of the pipeline with a progress bar; raises BadInput where it needs more memory than there is."""
    import torch

    latent = None
    try:
        for step in progress(pipeline.steps(prepared), prepared.total, "step"):
            latent = step.latent
        return pipeline.finish(prepared, latent)
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, MemoryError | torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error):
            count, dtype = len(prepared.request.picture_prompts), pipeline.placement.dtype_name
            coarser = ", or less precise numbers (--dtype bfloat16)" if dtype == "float32" else ""
            raise BadInput(
                f"There is not enough memory for {count} x {prepared.width} x {prepared.height} pixels in {dtype}; ask "
                f"for fewer (--count) or smaller ones (--width, --height){coarser}."
            ) from error
        raise


def request_of(arguments: argparse.Namespace, usual: Mapping[str, Any] | None = None) -> Request:
    """What the words on the command line ask for; `usual` are the defaults that are the model's own."""
    if arguments.strength is not None and arguments.image is None:
        raise BadInput(f"--strength {arguments.strength:g} was given without --image, of which it keeps a part.")
    given = {name: getattr(arguments, word) for word, name in LEFT_TO_THE_MODEL.items()}
    settled = {**(usual or {}), **{name: value for name, value in given.items() if value is not None}}
    return Request(
        **settled,
        prompt=" ".join(arguments.prompt or []),
        negative_prompt=arguments.negative,
        image=arguments.image,
        mask_image=arguments.mask,
        strength=arguments.strength,
        height=arguments.height,
        width=arguments.width,
        seed=arguments.seed,
        num_images=arguments.count,
        depth_map=arguments.depth,
        semantic_map=arguments.map,
        class_label=arguments.class_label,
        boxes=None if arguments.boxes is None else read_boxes(arguments.boxes),
        noise_level=arguments.noise_level,
        image_guidance_scale=arguments.image_guidance,
        control_image=arguments.control_image,
    )


def output_files(out: Path | None, count: int) -> list[Path]:
    """One file for each picture. A file that was named may be replaced; without a name, nothing is."""
    if out is None:
        number = 1
        while any(file.exists() for file in numbered(Path(f"picture-{number}.png"), count)):
            number += 1
        return numbered(Path(f"picture-{number}.png"), count)
    return numbered(out, count)


def free_files(count: int) -> list[Path]:
    """The first names that nobody has, taken with empty files: another run may ask at the same moment."""
    while True:
        files, taken = output_files(None, count), []
        try:
            for file in files:
                file.touch(exist_ok=False)
                taken.append(file)
            return files
        except FileExistsError:
            for file in taken:
                file.unlink()


def numbered(file: Path, count: int) -> list[Path]:
    """The file itself for one picture, else the same name with -1, -2, ... before its ending."""
    if not file.name:
        raise BadInput(f"--out is {str(file)!r}; it must name a file.")
    if count == 1:
        return [file]
    return [file.with_name(f"{file.stem}-{i + 1}{file.suffix}") for i in range(count)]
