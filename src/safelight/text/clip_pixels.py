"""A picture as CLIP's image encoder wants it (Radford et al. 2021; `preprocess` of the published code)."""

from __future__ import annotations

import numpy
import torch
from PIL import Image
from torch import Tensor

from safelight.errors import BadInput

# Mean and standard deviation of red, green and blue in CLIP's training pictures, of values in [0, 1].
MEAN = (0.48145466, 0.4578275, 0.40821073)
DEVIATION = (0.26862954, 0.26130258, 0.27577711)


def clip_pixels(picture: Image.Image, size: int = 224) -> Tensor:
    """A picture -> (3, size, size) float32, of about mean 0 and variance 1.

    The shorter side is brought to `size`, bicubically, and the middle is cut out; transparency is laid over white.
    Raises BadInput for a picture so long and thin that this would need gigabytes.
    """
    width, height = picture.size
    short = min(width, height)
    if max(width, height) > 100 * short:
        raise BadInput(f"The picture is {width} x {height} pixels; one side may be 100 times as long as the other.")
    width, height = int(size * width / short), int(size * height / short)
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    resized = picture.convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - size) // 2, (height - size) // 2
    pixels = numpy.asarray(resized.crop((left, top, left + size, top + size)), dtype="float32") / 255
    normalised = (torch.from_numpy(pixels) - torch.tensor(MEAN)) / torch.tensor(DEVIATION)
    return normalised.permute(2, 0, 1).contiguous()
