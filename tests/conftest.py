"""One tiny random model for all tests that need a whole one: built, saved and opened once."""

from __future__ import annotations

from pathlib import Path

import numpy
import pytest
import torch
from PIL import Image
from tiny_model import tiny_parts

from safelight.pipeline import Pipeline, load

torch.set_num_threads(1)  # networks this small are slower on several


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `pipe.save` writes."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    Pipeline(tiny_parts()).save(folder)
    return folder


@pytest.fixture(scope="session")
def pipe(model_folder: Path) -> Pipeline:
    """The model of that folder, in float32 on the CPU; leave it as you found it."""
    return load(model_folder, device="cpu")


@pytest.fixture
def picture() -> Image.Image:
    """64 x 64 pixels of soft random colours."""
    pixels = numpy.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=numpy.uint8)
    return Image.fromarray(pixels).resize((64, 64), Image.Resampling.BICUBIC)
