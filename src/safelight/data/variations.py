"""Pictures derived from a collection of cut-out things: painted in another colour, and laid over one of its skies.

Nobody draws a blue fox, or a fox under the stars, and yet a model should know what such words mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy
from PIL import Image

from safelight.data.backdrop import is_cut_out, to_square
from safelight.data.colour_names import OPAQUE, dominant_colours
from safelight.data.decoding import decoded
from safelight.data.fields import CAPTION_FIELDS
from safelight.data.oklab import to_oklab
from safelight.data.painting import PAINTS, painted
from safelight.data.record import BadSample, Record
from safelight.data.shard_writing import NewSample, webp
from safelight.data.variation_captions import BACKDROP, before_sky, coloured, names_a_colour, sky_names, words

PEOPLE_GROUP = "people-body"
FACES = "face-"  # how the subgroups of faces begin
PEOPLE = {"person", "people", "man", "men", "woman", "women", "boy", "girl", "child", "children", "human"}
COLOURLESS = {"white", "black", "gray"}
LEAST_CONTRAST = 0.12  # between the mean colours of a thing and its sky, in OKLab, where black to white is 1
SMALL = 32  # pixels of the side at which they are compared


@dataclass(frozen=True)
class Skipped:
    """A picture that is not made, and why: the same few words for the same reason."""

    why: str


def paintings(record: Record, count: int) -> Iterator[NewSample | Skipped]:
    """So many pictures of a thing, each of another colour that it then really has; none where that would be odd.

    A hash of the key orders the colours, so that a larger count only adds pictures. People are left out, and things
    whose name says their colour.
    """
    thing = Skipped(why) if (why := _unpaintable(record)) else cut_out(record)
    if isinstance(thing, Skipped):
        yield thing
        return
    own = dominant_colours(thing)
    colours = [colour for colour in PAINTS if colour not in own] if own else []
    Random(f"{record.key} paintings").shuffle(colours)
    for colour in colours:
        if count == 0:
            return
        content = webp(painted(thing, colour))
        measured = dominant_colours(decoded(content))
        if measured[:1] == [colour] and COLOURLESS.issuperset(measured[1:]):
            count -= 1
            yield derived(record, f"painted-{colour}", content, captions=coloured(record, colour), colors=measured)
    yield from [Skipped("no other colour suits it")] * count


def under_skies(record: Record, skies: Sequence[Record], count: int) -> Iterator[NewSample | Skipped]:
    """A thing over so many of the skies from which it stands out, of its own split.

    A hash of the key orders the skies, so that a larger count only adds pictures.
    """
    thing = cut_out(record)
    if isinstance(thing, Skipped):
        yield thing
        return
    random = Random(f"{record.key} skies")
    own = [sky for sky in skies if sky.split == record.split]
    made = 0
    for sky in random.sample(own, len(own)):
        if made == count:
            return
        try:
            backdrop = to_square(sky.picture(), max(thing.size))
        except BadSample:
            continue
        if contrast(thing, backdrop) < LEAST_CONTRAST:
            continue
        made += 1
        about = {f"backdrop_{name}": sky.fields[name] for name in ("source", "licence") if name in sky.fields}
        yield derived(
            record,
            f"sky-{made}",
            webp(over(thing, backdrop)),
            captions=before_sky(record, sky, random),
            colors=dominant_colours(thing),
            backdrop=sky.key,
            **about,
        )
    yield from [Skipped("no sky suits it")] * (count - made)


def skies_among(records: Sequence[Record]) -> list[Record]:
    """The backdrops of a collection whose captions can be said of what is behind a thing."""
    return [record for record in records if _is_backdrop(record) and sky_names(record)]


def over(thing: Image.Image, backdrop: Image.Image) -> Image.Image:
    """A cut-out thing in the middle of a backdrop that is no smaller, as RGB."""
    result = backdrop.convert("RGBA")
    result.alpha_composite(thing, ((result.width - thing.width) // 2, (result.height - thing.height) // 2))
    return result.convert("RGB")


def contrast(thing: Image.Image, backdrop: Image.Image) -> float:
    """How far the mean colours of a thing and of what is behind it lie apart in OKLab; 0 where nothing is opaque."""
    pixels = numpy.asarray(thing.resize((SMALL, SMALL), Image.Resampling.BOX)).reshape(-1, 4)
    pixels = pixels[pixels[:, 3] >= OPAQUE, :3]
    behind = numpy.asarray(backdrop.convert("RGB").resize((SMALL, SMALL), Image.Resampling.BOX)).reshape(-1, 3)
    return float(numpy.linalg.norm(to_oklab(pixels).mean(0) - to_oklab(behind).mean(0))) if len(pixels) else 0.0


def in_group_of_people(record: Record) -> bool:
    """Whether a sample's fields say that it shows people or faces."""
    return record.fields.get("group") == PEOPLE_GROUP or str(record.fields.get("subgroup")).startswith(FACES)


def cut_out(record: Record) -> Image.Image | Skipped:
    """The picture of a thing without a background, or why there is none."""
    if _is_backdrop(record) or "derived_from" in record.fields:
        return Skipped("a background" if _is_backdrop(record) else "derived itself")
    if not record.captions:
        return Skipped("no caption")
    try:
        picture = record.picture()
    except BadSample:
        return Skipped("unreadable")
    return picture if is_cut_out(picture) else Skipped("not cut out")


def derived(record: Record, what: str, content: bytes, **about: Any) -> NewSample:
    """What is made of a record has its fields, and above all its split, but for what is said about it here."""
    kept = {name: value for name, value in record.fields.items() if name not in CAPTION_FIELDS}
    fields = {**kept, "split": record.split, "derived_from": record.key, **about}
    return NewSample(f"{record.key}-{what}", content, fields)


def _unpaintable(record: Record) -> str:
    """Why a record is not to be painted, or nothing."""
    fields, name = record.fields, record.captions[0] if record.captions else ""
    if in_group_of_people(record) or not PEOPLE.isdisjoint(words(name)):
        return "people"
    return "a colour in its name" if names_a_colour(f"{name} {fields.get('style_phrase', '')}") else ""


def _is_backdrop(record: Record) -> bool:
    return record.fields.get("style") == BACKDROP
