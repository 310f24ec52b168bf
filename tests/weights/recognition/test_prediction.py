"""Epsilon or v: what the marks, the catalogue and the probe tell. The probe is held against a trained network."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

import safelight
from safelight.catalog import CATALOG, PublishedModel, published
from safelight.configs import ScheduleConfig
from safelight.diffusion.schedule import Schedule
from safelight.unet import UNet
from safelight.weights import Parts, open_folder
from safelight.weights.recognition import recognise
from safelight.weights.recognition.prediction import probed_prediction, share_of_noise, told_prediction
from weights.recognition.test_contents import meta_tensors

LEFT = float(Schedule(ScheduleConfig()).alpha_bar[-1])  # of the picture, at the last level


@pytest.fixture(scope="module")
def trained() -> Parts:
    """The bundled model, which was trained to predict v."""
    return open_folder(Path(safelight.__file__).parent / "bundled")


class Epsilon(UNet):
    """The same network, answering with the noise: epsilon = sqrt(abar) v + sqrt(1 - abar) x (Salimans & Ho 2022)."""

    def forward(self, latent: Tensor, timestep: float, *rest: object) -> Tensor:  # type: ignore[override]
        return math.sqrt(LEFT) * super().forward(latent, timestep, *rest) + math.sqrt(1 - LEFT) * latent


def test_a_trained_network_answers_as_the_formulas_say(trained: Parts) -> None:
    assert trained.schedule.prediction == "v"
    assert share_of_noise(trained.unet, trained.text_encoder) == pytest.approx(math.sqrt(LEFT), abs=0.1)
    assert probed_prediction(trained.unet, trained.text_encoder) == "v"
    assert probed_prediction(trained.unet, None) == "v"
    other = Epsilon(trained.unet.config)
    other.load_state_dict(trained.unet.state_dict())
    assert share_of_noise(other, trained.text_encoder) == pytest.approx(1.0, abs=0.05)
    assert probed_prediction(other, trained.text_encoder) == "epsilon"


def test_an_answer_between_the_two_is_no_answer(trained: Parts) -> None:
    class Between(UNet):
        def forward(self, latent: Tensor, *rest: object) -> Tensor:  # type: ignore[override]
            return self.conv_in.weight.new_tensor(self.share) * latent

    network = Between(trained.unet.config)
    answers = {}
    for network.share in (0.1, 0.5, 1.0, math.nan):
        answers[network.share] = probed_prediction(network, None)
    assert list(answers.values()) == ["v", None, "epsilon", None]


@pytest.mark.parametrize("row", CATALOG, ids=lambda row: row.name)
def test_the_catalogue_decides_where_it_can(row: PublishedModel) -> None:
    tensors = meta_tensors(row)
    open_question = row.name in {"sd-2.0-base", "sd-2.0", "sd-2.1-base", "sd-2.1"}
    assert told_prediction(recognise(tensors), tensors, {}) == (None if open_question else row.schedule.prediction)


def test_the_marks_of_a_file_come_first() -> None:
    tensors = meta_tensors(published("sd-2.1"))
    contents = recognise(tensors)
    for said, expected in (("epsilon", "epsilon"), ("v", "v"), ("V_Prediction", "v"), ("nonsense", None)):
        assert told_prediction(contents, tensors, {"modelspec.prediction_type": said}) == expected
    assert told_prediction(contents, {**tensors, "v_pred": torch.zeros(0)}, {}) == "v"
    sd1 = meta_tensors(published("sd-1.4"))
    assert told_prediction(recognise(sd1), {**sd1, "v_pred": torch.zeros(0)}, {}) == "v"
