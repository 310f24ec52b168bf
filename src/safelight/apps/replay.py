"""`safelight replay picture.png`: make the same picture again, and say whether it is the same to the last byte."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safelight.apps.generate import draw
from safelight.apps.terminal import add_json_argument, answer, prediction_of
from safelight.errors import BadInput
from safelight.paths import is_there
from safelight.request import Request

if TYPE_CHECKING:
    from safelight.conditioning import Box
    from safelight.pipeline import Pipeline
    from safelight.recipe import Recipe


PARTS = {"vae": "autoencoder", "text-encoder": "text_encoder", "unet": "unet"}  # flag -> the argument of `load`
MAPS = {"depth_map": "depth", "semantic_map": "map"}  # the request's name of a picture -> the flag that gives it


def add_to(commands: Any) -> None:
    """The arguments of the command."""
    command = commands.add_parser("replay", help="make a picture again from the recipe that it carries")
    command.add_argument("picture", type=Path, help="a PNG that Safelight wrote")
    command.add_argument("--model", metavar="M", help="where the model is now (default: where the recipe says)")
    for flag, part in PARTS.items():
        command.add_argument(f"--{flag}", metavar="M", help=f"where the {part.replace('_', ' ')} of another model is")
    command.add_argument("--image", metavar="F", help="the picture that it started from, if it did")
    command.add_argument("--mask", metavar="F", help="the mask, if there was one")
    command.add_argument("--depth", metavar="F", help="the depth map, if there was one")
    command.add_argument("--map", metavar="F", help="the map of labels, if there was one")
    command.add_argument(
        "--control-image", action="append", metavar="F", help="what each ControlNet was shown, if there was one"
    )
    command.add_argument("--device", metavar="D", help="cpu, cuda, ...")
    command.add_argument("--out", type=Path, metavar="F", help="also write the new picture into this file")
    add_json_argument(command)
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Read the recipe, draw, compare."""
    from safelight.images import check_writable, read_picture, write_picture
    from safelight.pipeline import load
    from safelight.recipe import read_recipe
    from safelight.source import digest

    picture = read_picture(arguments.picture)
    recipe = read_recipe(picture, str(arguments.picture))
    check_recipe(recipe, arguments)
    if arguments.out:
        check_writable(arguments.out)
    model = arguments.model or recipe.model
    pipeline = load(model, dtype=recipe.dtype, device=arguments.device, **opened_as(recipe, arguments))
    with readable(arguments.picture):
        put_on(pipeline, recipe)
        request = request_of(recipe, arguments)
    prepared = pipeline.prepare(request)
    for number, hint in enumerate(prepared.control_images, 1):
        check_digest("--control-image", recipe.inputs.get(f"control_image {number}"), digest(hint))
    for name, flag in MAPS.items():
        if name in prepared.maps:
            check_digest(f"--{flag}", recipe.inputs.get(name), digest(prepared.maps[name]))
    if prepared.source:
        check_digest("--image", recipe.image, digest(prepared.source.picture))
        check_digest("--mask", recipe.mask, digest(prepared.source.mask))
    result = draw(pipeline, prepared)
    again = result.images[0]
    same = again.size == picture.size and again.tobytes() == picture.convert("RGB").tobytes()
    same_model = result.recipes[0].fingerprint == recipe.fingerprint
    if arguments.out:
        write_picture(again, arguments.out)
    verdict = "the same, byte for byte" if same else "not the same"
    reason = "" if same_model else "; the model's weights are not those of the recipe"
    answer(arguments, {"same": same, "same_model": same_model, "seed": recipe.seed}, [f"{verdict}{reason}"])


def check_recipe(recipe: Recipe, arguments: argparse.Namespace) -> None:
    """Raise BadInput where a recipe cannot be followed with what was given."""
    if recipe.own_latents:
        raise BadInput(
            f"{str(arguments.picture)!r} was drawn from start noise that its caller gave; no seed brings it back."
        )
    check_sources(recipe.image, arguments.image, "--image")
    check_sources(recipe.mask, arguments.mask, "--mask")
    for name, flag in MAPS.items():
        check_sources(recipe.inputs.get(name), getattr(arguments, flag), f"--{flag}")
    if arguments.model is None and recipe.model != "bundled" and not is_there(Path(recipe.model or "?")):
        raise BadInput(f"The model {recipe.model!r} of this picture is not here; say with --model where it is.")


def opened_as(recipe: Recipe, arguments: argparse.Namespace) -> dict[str, Any]:
    """How the recipe's model was opened, with the parts that are elsewhere now; raises BadInput."""
    opened, picture = dict(recipe.opened), str(arguments.picture)
    if strange := opened.keys() - {"variant", "prediction", "weights", *PARTS.values()}:
        raise BadInput(f"The recipe in {picture!r} is damaged: no model is opened by {', '.join(sorted(strange))}.")
    if opened.get("weights", "raw") != "raw":
        raise BadInput(f"The recipe in {picture!r} is damaged: opened.weights is {opened['weights']!r}.")
    prediction_of(opened.get("prediction"))
    if arguments.model is not None:
        opened.pop("variant", None)  # of the files that the model was in
    for flag, part in PARTS.items():
        given = getattr(arguments, flag.replace("-", "_"))
        if given is not None and part not in opened:
            raise BadInput(f"--{flag} {given!r} was given, but this picture was made with the model's own.")
        if given is not None:
            opened[part] = given
        elif opened.get(part, "bundled") != "bundled" and not is_there(Path(opened[part])):  # it is not fetched either
            what = f"The {part.replace('_', ' ')} {opened[part]!r} of this picture"
            raise BadInput(f"{what} is not here; say with --{flag} where it is.")
    return opened


def check_sources(digest: str | None, file: str | None, name: str) -> None:
    """Raise BadInput where a source is missing or was given for nothing."""
    if digest is not None and file is None:
        raise BadInput(f"This picture was made from another one; give it with {name}.")
    if digest is None and file is not None:
        raise BadInput(f"{name} {file!r} was given, but this picture was made without one.")


def check_digest(name: str, before: str | None, now: str | None) -> None:
    """Raise BadInput where a source is not the one that the recipe was made with."""
    if before != now:
        raise BadInput(f"{name} is not the picture that the recipe was made with; its digest differs.")


@contextmanager
def readable(picture: str) -> Iterator[None]:
    """Turn what a recipe's texts cannot be read as into one sentence."""
    try:
        yield
    except BadInput:
        raise
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadInput(f"The recipe in {str(picture)!r} is damaged: {error}.") from error


def request_of(recipe: Recipe, arguments: argparse.Namespace) -> Request:
    """The call that a recipe stands for, with the pictures that it was shown."""
    shown = recipe.inputs
    label, level = shown.get("class_label"), shown.get("noise_level")
    return Request(
        prompt=recipe.prompt,
        negative_prompt=recipe.negative_prompt,
        image=arguments.image,
        mask_image=arguments.mask,
        strength=recipe.strength,
        height=recipe.height,
        width=recipe.width,
        num_inference_steps=recipe.num_inference_steps,
        guidance_scale=recipe.guidance_scale,
        guidance_rescale=recipe.guidance_rescale,
        guidance_start=recipe.guidance_start,
        guidance_end=recipe.guidance_end,
        sampler=recipe.sampler,
        grid=recipe.grid,
        seed=recipe.seed,
        depth_map=arguments.depth,
        semantic_map=arguments.map,
        class_label=None if label is None else int(label),
        boxes=boxes_of(shown["boxes"]) if "boxes" in shown else None,
        noise_level=None if level is None else int(level),
        image_guidance_scale=float(shown.get("image_guidance_scale", 1.5)),
        control_image=arguments.control_image,
    )


def put_on(pipeline: Pipeline, recipe: Recipe) -> None:
    """Add the adapters that the recipe names, from the files that it names."""
    for adapter in json.loads(recipe.inputs.get("adapters", "[]")):
        kind, file, weight = adapter["kind"], adapter.get("file", ""), float(adapter.get("weight", 1))
        if kind == "few_steps":
            pipeline.add_few_steps()
            continue
        if not is_there(Path(file)):
            raise BadInput(f"This picture was drawn with the {kind} {file!r}, which is not there.")
        if kind == "lora":
            pipeline.add_lora(file, weight)
        elif kind == "embedding":
            pipeline.add_embedding(file, adapter["word"])
        else:
            share = {name: float(adapter[name]) for name in ("start", "end") if name in adapter}
            pipeline.add_controlnet(file, weight, **share)


def boxes_of(text: str) -> list[Box]:
    """The boxes that a recipe holds."""
    from safelight.conditioning import Box

    return [Box(**each) for each in json.loads(text)]
