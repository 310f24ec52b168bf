"""The question that a noise predictor is asked, and how its errors count."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from safelight.configs import ScheduleConfig
from safelight.diffusion.schedule import Schedule
from safelight.errors import BadInput
from safelight.training.diffusion.objective import Objective, Question
from safelight.training.diffusion.settings import ObjectiveConfig
from safelight.training.engine.noise import SampleNoise


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


@pytest.mark.parametrize("prediction", ["v", "x0"])
def test_weights_stay_finite_at_zero_terminal_snr(prediction: Any) -> None:
    objective = Objective(ScheduleConfig(prediction=prediction, zero_terminal_snr=True), ObjectiveConfig())
    assert torch.isfinite(objective.weight(torch.arange(1000))).all()


@pytest.mark.parametrize("prediction", ["epsilon", "v", "x0"])
def test_each_target_is_what_its_paper_says(prediction: Any) -> None:
    # alpha² + sigma² = 1; v = alpha noise - sigma x0 (Salimans & Ho 2022, appendix D)
    schedule = Schedule(ScheduleConfig(prediction=prediction))
    objective = Objective(schedule.config, ObjectiveConfig(weighting="plain"))
    latent, noise = torch.randn(3, 2, 4, 4), torch.randn(3, 2, 4, 4)
    timestep = torch.tensor([0, 400, 999])
    alpha_bar = schedule.alpha_bar.double()[timestep][:, None, None, None]
    alpha, sigma = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
    target = {"epsilon": noise, "v": alpha * noise - sigma * latent, "x0": latent}[prediction]
    seen: list[torch.Tensor] = []

    def zero(noisy: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
        seen.append(noisy)
        return torch.zeros_like(noisy)

    errors = objective.errors(zero, latent, Question(timestep, noise))
    torch.testing.assert_close(errors.double(), target.double().square().flatten(1).mean(1), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(seen[0].double(), alpha * latent + sigma * noise, rtol=1e-5, atol=1e-5)


def test_epsilon_is_refused_where_the_last_level_is_noise_alone() -> None:
    with pytest.raises(BadInput, match=r'schedule.prediction is "epsilon" with schedule.zero_terminal_snr.*"v", "x0"'):
        Objective(ScheduleConfig(zero_terminal_snr=True), ObjectiveConfig())


def test_offset_noise_moves_whole_channels_and_leaves_the_rest_as_it_was() -> None:
    # Guttenberg 2023: noise + offset * (one number for each channel)
    source, shape = SampleNoise(0, range(2000)), torch.Size([2000, 3, 4, 4])
    plain = Objective(ScheduleConfig(), ObjectiveConfig()).question(source, shape)
    offset = Objective(ScheduleConfig(), ObjectiveConfig(noise_offset=0.5)).question(SampleNoise(0, range(2000)), shape)
    assert torch.equal(plain.timestep, offset.timestep)
    moved = offset.noise - plain.noise
    assert float(moved.std(dim=(2, 3)).max()) < 1e-5
    assert float(moved[:, :, 0, 0].std()) == pytest.approx(0.5, abs=0.02)
    assert abs(float(torch.corrcoef(moved[:, :, 0, 0].T)[0, 1])) < 0.07


def test_what_is_drawn_for_a_sample_depends_on_nobody_else() -> None:
    objective = Objective(ScheduleConfig(), ObjectiveConfig(levels="lognormal", noise_offset=0.1))
    together = objective.question(SampleNoise(3, range(5, 9)), torch.Size([4, 2, 4, 4]))
    alone = objective.question(SampleNoise(3, [7]), torch.Size([1, 2, 4, 4]))
    assert torch.equal(together.timestep[2:3], alone.timestep)
    assert torch.equal(together.noise[2:3], alone.noise)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("snr_limit", -1.0),
        ("level_skew", 0.0),
        ("sigma_mean", 100.0),
        ("sigma_spread", 0.0),
        ("data_spread", 0.0),
        ("noise_offset", -0.1),
    ],
)
def test_wrong_settings_are_named(field: str, value: float) -> None:
    with pytest.raises(BadInput, match=rf"objective.{field} is {value}; it must be (from|at least)"):
        ObjectiveConfig(**{field: value})
