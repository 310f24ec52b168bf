"""The question that a noise predictor is asked, and how its errors count."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from safelight.configs import ScheduleConfig
from safelight.diffusion.schedule import Schedule
from safelight.training.diffusion.objective import Objective
from safelight.training.diffusion.settings import ObjectiveConfig


@pytest.mark.parametrize("prediction", ["epsilon", "v", "x0"])
def test_min_snr_weights_the_clean_estimate(prediction: Any) -> None:
    # Hang et al. 2023: whatever the network predicts, the error of x0 counts min(SNR, 5) times. So a prediction that is
    # off by d, turned into a clean estimate, must weigh the same as the weight of the loss says.
    config = ScheduleConfig(prediction=prediction)
    objective, schedule = Objective(config, ObjectiveConfig(snr_limit=5.0)), Schedule(config)
    timestep = torch.tensor([0, 10, 200, 500, 999])
    alpha_bar = schedule.alpha_bar[timestep].double()
    snr = alpha_bar / (1 - alpha_bar)
    error_of_clean = {  # d(x0) / d(prediction), squared, from noisy = sqrt(abar) x0 + sqrt(1 - abar) noise
        "epsilon": (1 - alpha_bar) / alpha_bar,
        "v": 1 - alpha_bar,
        "x0": torch.ones_like(alpha_bar),
    }[prediction]
    expected = snr.clamp(max=5.0) * error_of_clean
    torch.testing.assert_close(objective.weight(timestep).double(), expected, rtol=1e-3, atol=1e-6)
    unweighted = Objective(config, ObjectiveConfig(snr_limit=0.0))
    assert unweighted.weight(timestep).tolist() == [1.0] * 5


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
def test_weights_stay_finite_at_zero_terminal_snr(prediction: Any) -> None:
    objective = Objective(ScheduleConfig(prediction=prediction, zero_terminal_snr=True), ObjectiveConfig())
    assert torch.isfinite(objective.weight(torch.arange(1000))).all()
