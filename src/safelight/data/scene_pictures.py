"""Pictures of scenes, derived from a collection of cut-out things: two or three of one style, with words for where.

They are cut out as well, so that a scene may be laid over any colour. Where training lays scenes out of latents instead
(`training.diffusion.scenes`), each sample is a new one, but what is between its things is never quite what an
autoencoder makes of a whole picture.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterator, Sequence
from random import Random

from PIL import Image, ImageOps

from safelight.data.colour_names import dominant_colours
from safelight.data.record import Record
from safelight.data.scenes import LAYOUTS, Scene, scene_with
from safelight.data.shard_writing import NewSample, webp
from safelight.data.styles import Styles
from safelight.data.variations import Skipped, cut_out, derived

OF_ONE_THING = ("concept", "label", "tags", "group", "subgroup")  # what is known of a thing, and untrue of a scene
NOTHING = (255, 255, 255, 0)
UNNAMED = Styles({}, {})  # captions name no style; a recipe's wordings do


def companions(records: Sequence[Record]) -> dict[tuple[object, str], list[Record]]:
    """The records by what the things of a scene have in common: style and split."""
    alike: dict[tuple[object, str], list[Record]] = defaultdict(list)
    for record in records:
        alike[what_joins(record)].append(record)
    return alike


def what_joins(record: Record) -> tuple[object, str]:
    """What a record has in common with those that may stand beside it."""
    return record.fields.get("style"), record.split


def scenes(record: Record, alike: Sequence[Record], count: int) -> Iterator[NewSample | Skipped]:
    """So many scenes of a thing, with one of those `alike` or with more of it.

    A hash of the key decides which, so that a larger count only adds pictures.
    """
    thing = cut_out(record)
    if isinstance(thing, Skipped):
        yield thing
        return
    random = Random(f"{record.key} scenes")
    others = [other for other in alike if other.key != record.key]
    for number in range(1, count + 1):
        yield _scene(record, thing, others, number, random)


def laid_out(scene: Scene, things: Sequence[Image.Image], side: int) -> Image.Image:
    """The cut-out things of a scene in the middle of their places: RGBA, so many pixels wide and high."""
    picture = Image.new("RGBA", (side, side), NOTHING)
    for thing, place in zip(things, LAYOUTS[scene.layout].places, strict=True):
        size = side * place.size // 16
        small = ImageOps.pad(thing, (size, size), Image.Resampling.LANCZOS, NOTHING)
        picture.alpha_composite(small, (side * place.left // 16, side * place.top // 16))
    return picture


def _scene(
    record: Record, thing: Image.Image, others: list[Record], number: int, random: Random
) -> NewSample | Skipped:
    """One of them; of the others those that are no cut-out things are taken out."""
    while others:
        scene = scene_with(record, others, UNNAMED, random)
        other = next((each for each in scene.things if each is not record), record)
        beside = thing if other is record else cut_out(other)
        if isinstance(beside, Skipped):
            others.remove(other)
            continue
        picture = laid_out(scene, [thing if each is record else beside for each in scene.things], max(thing.size))
        phrase = record.fields.get("style_phrase")
        whole = {name: said for name, said in record.fields.items() if name not in OF_ONE_THING}
        owed = ("source", "licence") if other is not record else ()  # to the one beside it
        return derived(
            dataclasses.replace(record, fields=whole),
            f"scene-{number}",
            webp(picture),
            captions=[scene.caption, *([f"{scene.caption}, {phrase}"] if phrase else [])],
            colors=dominant_colours(picture),
            beside=[each.key for each in scene.things[1:]],
            **{f"beside_{name}": other.fields[name] for name in owed if other.fields.get(name)},
        )
    return Skipped("nothing of its style beside it")
