"""The perceptual terms: zero for equal pictures, as they are defined, and with a gradient for the autoencoder alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Generator, Tensor
from torch.nn import functional

from safelight.configs import ClassifierConfig
from safelight.errors import BadCheckpoint, BadInput
from safelight.evaluation.classifier import Classifier, save_classifier
from safelight.evaluation.fidelity import structural_distance
from safelight.training.autoencoder.perceptual import PERCEPTUAL, FeatureDistance
from safelight.training.autoencoder.settings import AutoencoderLossConfig


def classifier() -> Classifier:
    torch.manual_seed(0)
    config = ClassifierConfig(size=32, channels=(8, 16), blocks_per_level=1, groups=4)
    return Classifier(config, {"concept": ("a", "b")})


def picture(seed: int) -> Tensor:
    return torch.rand(2, 3, 24, 24, generator=Generator().manual_seed(seed)) * 2 - 1


@pytest.fixture
def run(tmp_path: Path) -> Path:
    save_classifier(tmp_path / "judge" / "classifier", classifier())
    return tmp_path / "judge"


@pytest.mark.parametrize("name", list(PERCEPTUAL))
def test_equal_pictures_are_at_no_distance_and_others_are(name: str, run: Path) -> None:
    distance = PERCEPTUAL[name](AutoencoderLossConfig(perceptual=name, features=str(run)))
    assert float(distance(picture(0), picture(0))) == pytest.approx(0, abs=1e-6)
    made = picture(1).requires_grad_()
    found = distance(made, picture(0))
    assert found.shape == ()
    if name != "none":
        assert found > 0.1
        found.backward()
        assert made.grad is not None
        assert made.grad.abs().sum() > 0


def test_ms_ssim_is_the_mean_over_the_pictures() -> None:
    distance = PERCEPTUAL["ms_ssim"](AutoencoderLossConfig(perceptual="ms_ssim"))
    torch.testing.assert_close(distance(picture(1), picture(0)), structural_distance(picture(1), picture(0)).mean())


def test_features_are_compared_in_every_layer_by_their_direction() -> None:
    """Equation 1 of Zhang et al. 2018 with weights of 1, each position by hand."""
    network = classifier()
    one, other = network.stem(picture(1)), network.stem(picture(0))
    distances = []
    for block in network.blocks:
        one, other = block(one).detach(), block(other).detach()
        total = sum(
            float((functional.normalize(x, dim=0) - functional.normalize(y, dim=0)).square().sum())
            for x, y in zip(one.movedim(1, -1).flatten(0, 2), other.movedim(1, -1).flatten(0, 2), strict=True)
        )
        distances.append(total / (one.shape[0] * one.shape[2] * one.shape[3]))
    assert len(distances) == 2
    found = FeatureDistance(network)(picture(1), picture(0))
    assert float(found) == pytest.approx(sum(distances) / 2, rel=1e-4)


def test_the_classifier_does_not_learn() -> None:
    network = classifier()
    made = picture(1).requires_grad_()
    FeatureDistance(network)(made, picture(0)).backward()
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in network.parameters())


def test_features_must_be_those_of_a_classifier(tmp_path: Path) -> None:
    with pytest.raises((BadInput, BadCheckpoint), match="nowhere"):
        PERCEPTUAL["features"](AutoencoderLossConfig(perceptual="features", features=str(tmp_path / "nowhere")))
