"""What an autoencoder gives back, judged where the answer is known."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from safelight.evaluation.features import FeatureNetwork, open_features
from safelight.evaluation.pictures import Pictures, on_white
from safelight.evaluation.reconstruction import judge_reconstruction
from safelight.evaluation.report import Report
from tests.data.shapes import draw
from tests.evaluation.tiny_judges import clip_run, record


@pytest.fixture
def originals() -> Pictures:
    found = [record(shape, draw("red", shape), style="photo" if shape == "bar" else "noto") for shape in
             ("circle", "square", "bar", "cross")]  # fmt: skip
    return Pictures(found, on_white, 32)


def told(originals: Pictures, back: object, network: FeatureNetwork | None = None, fewest: int = 2000) -> Report:
    report = Report({})
    judge_reconstruction(report, originals, back, network, fewest, lambda items, *_: items)  # type: ignore[arg-type]
    return report


def test_a_little_darker(originals: Pictures) -> None:
    """Ten of 255 darker everywhere it can be: PSNR is 20 log10(255 / 10)."""
    report = told(originals, lambda image: (image - 20 / 255).clamp(-1, 1))
    figures = {figure.name: figure for figure in report.figures}
    assert figures.keys() == {
        f"{name} of {kind}" for name in ("PSNR", "SSIM") for kind in ("photographs", "illustrations")
    }
    assert figures["PSNR of photographs"].interval.value == pytest.approx(28.13, abs=0.3)
    assert (figures["PSNR of illustrations"].pictures, figures["PSNR of photographs"].pictures) == (3, 1)
    assert report.left_out == ["rKID and rFID need a network: give --features or --clip."]


def test_distances_of_the_whole_set(originals: Pictures, tmp_path: Path) -> None:
    network = open_features(clip_run(tmp_path), torch.device("cpu"))
    report = told(originals, lambda image: image, network, fewest=4)
    figures = {figure.name: figure for figure in report.figures}
    assert figures["SSIM of illustrations"].interval.value == pytest.approx(1)
    assert figures["rFID"].interval.value == pytest.approx(0, abs=1e-6)
    assert figures["rKID"].interval.value == pytest.approx(0, abs=1e-9)
    assert (figures["rKID"].judge, figures["rKID"].pictures, figures["rKID"].real) == (network.name, 4, 4)
    few = told(originals, lambda image: image, network)
    assert "rFID" not in {figure.name for figure in few.figures}
    assert "FID is not told of 4 drawn" in few.left_out[0]
