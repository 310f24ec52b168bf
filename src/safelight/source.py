"""The picture that a run starts from, and the mask that says where it may change."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass

from PIL import Image
from torch import Tensor
from torch.nn import functional

from safelight.errors import BadInput
from safelight.images import mask_to_tensor, read_picture, scaled, to_tensor


@dataclass(frozen=True)
class Source:
    """A picture of the run's size, and perhaps a mask: L mode, 255 where it is to be redrawn, else 0."""

    picture: Image.Image
    mask: Image.Image | None

    @property
    def image(self) -> Tensor:
        """(1, 3, H, W) in [-1, 1]."""
        return to_tensor(self.picture)[None]

    @property
    def mask_tensor(self) -> Tensor:
        """(1, 1, H, W): 1 where it is to be redrawn, else 0."""
        if self.mask is None:
            raise BadInput("This picture has no mask.")
        return mask_to_tensor(self.mask)[None]

    def latent_mask(self, factor: int) -> Tensor:
        """(1, 1, H / factor, W / factor): 1 wherever any pixel is to be redrawn."""
        return functional.max_pool2d(self.mask_tensor, factor)

    def paste(self, drawn: Image.Image) -> Image.Image:
        """`drawn` where the mask is white, the source's own pixels elsewhere."""
        if self.mask is None:
            return drawn
        return Image.composite(drawn, self.picture, self.mask)


def open_source(
    image: str | os.PathLike[str] | Image.Image | None,
    mask: str | os.PathLike[str] | Image.Image | None,
    width: int,
    height: int,
) -> Source | None:
    """Read picture and mask and bring them to the run's size; raises BadInput where the mask is of another size."""
    if image is None:
        return None
    picture = read_picture(image)
    if mask is None:
        return Source(scaled(picture, width, height), None)
    masking = read_picture(mask)
    if masking.size != picture.size:
        raise BadInput(
            f"mask_image is {masking.width} x {masking.height} pixels, image is {picture.width} x {picture.height}; "
            "both must be of one size."
        )
    check_opaque(masking)
    masked = black_or_white(scaled(masking, width, height))
    if masked.getbbox() is None and masking.getbbox() is not None:
        raise BadInput(
            f"mask_image, a picture in {masking.mode}, is nowhere white, though not all black; what is to be redrawn "
            "must be white (128 to 255 of 255)."
        )
    return Source(scaled(picture, width, height), masked)


def check_opaque(mask: Image.Image) -> None:
    """Raise BadInput for a mask that lets anything through: some mean by that to keep a place, others to redraw it."""
    if mask.mode in ("RGBA", "LA", "PA") or "transparency" in mask.info:
        alpha = mask.convert("RGBA").getchannel("A")
        if alpha.point(lambda value: value < 255).getbbox() is not None:
            raise BadInput("mask_image has transparent places; it must be white where image is redrawn, else black.")


def black_or_white(mask: Image.Image) -> Image.Image:
    """L mode: 255 where the mask is nearer to white than to black, else 0."""
    return mask.convert("L").point(lambda value: 255 if value >= 128 else 0)


def open_map(name: str, source: str | os.PathLike[str] | Image.Image, width: int, height: int) -> Image.Image:
    """A picture whose values are numbers, not colours: grey or with a palette, its pixels repeated, never mixed.

    Raises BadInput for one in colours.
    """
    found = read_picture(source)
    fractions = ("F",) if name == "depth_map" else ()
    if found.mode not in ("L", "P", "I;16", "I", "1", *fractions):
        raise BadInput(
            f"{name} is a picture in {found.mode}; it must be grey (or with a palette): numbers, no colours."
        )
    return found if found.size == (width, height) else found.resize((width, height), Image.Resampling.NEAREST)


def picture_size(image: str | os.PathLike[str] | Image.Image | None, native: int, multiple: int = 8) -> tuple[int, int]:
    """Width and height of a run that names none: the picture's, cut down to multiples, or the model's own."""
    if image is None:
        return native, native
    picture = read_picture(image)
    width, height = (max(side // multiple, 1) * multiple for side in picture.size)
    return width, height


def digest(picture: Image.Image | None) -> str | None:
    """SHA-256 of a picture's pixels, by which a recipe knows its source again."""
    if picture is None:
        return None
    return hashlib.sha256(f"{picture.mode}{picture.size}".encode() + picture.tobytes()).hexdigest()
