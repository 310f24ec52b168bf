"""How well an autoencoder gives held-out pictures back: PSNR, SSIM, KID, and how much of a codebook is in use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from PIL import Image
from torch import Tensor

from safelight.autoencoder import Autoencoder
from safelight.evaluation.features import FeatureNetwork
from safelight.evaluation.fidelity import WINDOW, psnr, ssim
from safelight.evaluation.kernel_distance import kid_of_pairs
from safelight.images import to_picture


@torch.no_grad()
def reconstruction_figures(
    autoencoder: Autoencoder, pictures: Mapping[str, Iterable[Tensor]], judge: FeatureNetwork | None
) -> dict[str, float]:
    """The mean PSNR and SSIM of the pictures (1, 3, h, w) of each kind, and what is told of all of them together.

    That is the use of a codebook, and with a judge the KID, which bears its name and needs two pictures. Pictures
    smaller than the window of SSIM have none.
    """
    figures: dict[str, float] = {}
    made: list[Image.Image] = []
    real: list[Image.Image] = []
    codes: list[Tensor] = []
    for kind, images in pictures.items():
        values: dict[str, list[Tensor]] = {}
        for image in images:
            latent = autoencoder.encode(image).mean
            reconstruction = autoencoder.decode(latent).float()
            values.setdefault("psnr", []).append(psnr(reconstruction, image))
            if min(image.shape[-2:]) >= WINDOW:
                values.setdefault("ssim", []).append(ssim(reconstruction, image))
            if autoencoder.codebook is not None:
                codes.append(autoencoder.codebook.nearest(latent).flatten())
            made.append(to_picture(reconstruction[0]))
            real.append(to_picture(image[0]))
        figures |= {f"{name}_{kind}": float(torch.cat(found).mean()) for name, found in values.items()}
    if judge is not None and len(real) > 1:
        figures |= kid_figure(judge, made, real)
    if codes:
        figures |= codebook_figures(torch.cat(codes), autoencoder.config.codes)
    return figures


def kid_figure(judge: FeatureNetwork, made: list[Image.Image], real: list[Image.Image]) -> dict[str, float]:
    """The KID of reconstructions under a name that tells it from that of any other judge; in full precision."""
    with torch.autocast(judge.device.type, enabled=False):
        return {f"kid_{judge.name.replace(' ', '_')}": kid_of_pairs(judge.features(made), judge.features(real))}


def codebook_figures(indices: Tensor, codes: int) -> dict[str, float]:
    """How evenly a codebook of so many `codes` is used, by the indices (n,) that were chosen.

    codes_used: the share that is chosen at all; the others are dead. perplexity: how many equally frequent codes would
    tell as much; from 1 to `codes`.
    """
    shares = torch.bincount(indices.cpu(), minlength=codes).double() / len(indices)
    return {
        "codes_used": float((shares > 0).double().mean()),
        "perplexity": float(torch.special.entr(shares).sum().exp()),
    }
