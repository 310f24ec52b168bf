"""Settings of stage one that cannot be meant are refused in one sentence."""

from __future__ import annotations

from typing import Any

import pytest

from safelight.errors import BadInput
from safelight.evaluation.fidelity import WINDOW
from safelight.training.autoencoder.settings import SMALLEST_STRUCTURE, AutoencoderLossConfig, DiscriminatorConfig


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"crop": 512}, "loss.crop is 512; it must be at most loss.size, the whole picture's 256"),
        ({"absolute_weight": -1.0}, "loss.absolute_weight is -1.0; it must be at least 0"),
        ({"absolute_weight": 0.0, "square_weight": 0.0}, "loss.absolute_weight and loss.square_weight are both 0"),
        ({"perceptual_weight": -0.5}, "loss.perceptual_weight is -0.5"),
        ({"codebook_weight": -0.5}, "loss.codebook_weight is -0.5"),
        ({"perceptual": "ms_ssim", "crop": 8}, 'loss.crop is 8; loss.perceptual = "ms_ssim" needs at least 11'),
        ({"perceptual": "features"}, "loss.features is empty"),
        (
            {"discriminator": DiscriminatorConfig(weight=0.5), "crop": 16},
            "loss.crop is 16; a discriminator of 3 levels needs at least 24",
        ),
    ],
)
def test_a_loss_that_cannot_be_is_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(BadInput) as caught:
        AutoencoderLossConfig(**changes)
    assert told in str(caught.value)
    assert str(caught.value).count(". ") == 0


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"levels": 0}, "loss.discriminator.levels is 0; it must be from 1 to 6"),
        ({"weight": -1.0}, "loss.discriminator.weight is -1.0; it must be at least 0"),
        ({"start": -5}, "loss.discriminator.start is -5; it must be at least 0"),
    ],
)
def test_a_discriminator_that_cannot_be_is_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(BadInput) as caught:
        DiscriminatorConfig(**changes)
    assert told in str(caught.value)


def test_the_smallest_crop_is_that_of_the_window() -> None:
    assert SMALLEST_STRUCTURE == WINDOW
