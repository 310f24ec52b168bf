"""The figures of reconstructions: of each kind of picture, of a codebook, and KID under its judge's name."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Generator, Tensor

from safelight.autoencoder import Autoencoder
from safelight.configs import AutoencoderConfig, ImageEncoderConfig
from safelight.evaluation.features import open_features
from safelight.evaluation.fidelity import psnr, ssim
from safelight.evaluation.kernel_distance import kid_of_pairs
from safelight.images import to_picture
from safelight.text import ImageEmbedder
from safelight.training.autoencoder.figures import codebook_figures, reconstruction_figures
from safelight.weights.clip import save_image_embedder

IMAGES = torch.rand(5, 3, 32, 32, generator=Generator().manual_seed(0)) * 2 - 1


def autoencoder(codes: int = 0) -> Autoencoder:
    torch.manual_seed(0)
    return Autoencoder(AutoencoderConfig(channels=(4, 8), blocks_per_level=1, groups=4, codes=codes)).eval()


def each(images: Tensor) -> list[Tensor]:
    return list(images.split(1))


def test_they_are_means_over_the_pictures_of_a_kind() -> None:
    network = autoencoder()
    found = reconstruction_figures(network, {"photo": each(IMAGES[:2]), "illustration": each(IMAGES[2:])}, None)
    with torch.no_grad():
        back = network(IMAGES)
    assert found == pytest.approx(
        {
            "psnr_photo": float(psnr(back, IMAGES)[:2].mean()),
            "ssim_photo": float(ssim(back, IMAGES)[:2].mean()),
            "psnr_illustration": float(psnr(back, IMAGES)[2:].mean()),
            "ssim_illustration": float(ssim(back, IMAGES)[2:].mean()),
        },
        rel=1e-4,
        abs=1e-5,
    )


def test_pictures_too_small_for_ssim_have_none() -> None:
    assert set(reconstruction_figures(autoencoder(), {"photo": each(IMAGES[..., :8, :8])}, None)) == {"psnr_photo"}


def test_a_codebook_is_used_evenly_or_not() -> None:
    assert codebook_figures(torch.arange(8).repeat(3), 8) == pytest.approx({"codes_used": 1.0, "perplexity": 8.0})
    assert codebook_figures(torch.zeros(9, dtype=torch.int64), 8) == pytest.approx(
        {"codes_used": 1 / 8, "perplexity": 1.0}
    )
    shares = torch.tensor([0.5, 0.25, 0.25])
    uneven = codebook_figures(torch.tensor([0, 0, 1, 3]), 4)
    assert uneven == pytest.approx({"codes_used": 0.75, "perplexity": float(torch.exp(-(shares * shares.log()).sum()))})


def test_a_vq_autoencoder_says_how_much_of_its_codebook_it_uses() -> None:
    network = autoencoder(codes=6)
    found = reconstruction_figures(network, {"photo": each(IMAGES[:2]), "illustration": each(IMAGES[2:])}, None)
    with torch.no_grad():
        indices = network.codebook.nearest(network.encode(IMAGES).mean)
    expected = codebook_figures(indices.flatten(), 6)
    assert {name: found[name] for name in expected} == expected


def test_kid_is_of_all_pictures_and_bears_its_judges_name(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = ImageEncoderConfig(size=32, patch=8, width=16, hidden_width=32, layers=1, heads=2, projection_width=8)
    save_image_embedder(tmp_path / "clip", ImageEmbedder(config))
    judge = open_features(tmp_path, torch.device("cpu"))
    network = autoencoder()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        pictures = {"photo": each(IMAGES[:2]), "illustration": each(IMAGES[2:])}
        found = reconstruction_figures(network, pictures, judge)
        with torch.no_grad():
            back = torch.cat([network.decode(network.encode(image).mean) for image in each(IMAGES)])
    expected = kid_of_pairs(*(judge.features([to_picture(image) for image in images]) for images in (back, IMAGES)))
    assert found["kid_" + judge.name.replace(" ", "_")] == pytest.approx(expected, rel=1e-6)
    assert not [name for name in reconstruction_figures(network, {"photo": each(IMAGES[:1])}, judge) if "kid" in name]
