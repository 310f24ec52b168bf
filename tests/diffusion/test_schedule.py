"""The tables of the schedule, forward diffusion, and the way between sigmas and timesteps."""

from __future__ import annotations

from typing import Any

import diffusers
import pytest
import torch

from safelight.configs import ScheduleConfig
from safelight.diffusion.schedule import Schedule
from safelight.errors import BadInput

LAWS = {"scaled_linear": "scaled_linear", "linear": "linear", "cosine": "squaredcos_cap_v2"}


@pytest.mark.parametrize("zero", [False, True])
@pytest.mark.parametrize("law", LAWS)
def test_tables_are_those_of_diffusers(law: Any, zero: bool) -> None:
    ours = Schedule(ScheduleConfig(law=law, zero_terminal_snr=zero))
    theirs = diffusers.DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule=LAWS[law], rescale_betas_zero_snr=zero
    )
    torch.testing.assert_close(ours.alpha_bar, theirs.alphas_cumprod, rtol=1e-5, atol=1e-9)


def test_published_sigmas() -> None:
    sigmas = Schedule(ScheduleConfig()).sigmas
    assert sigmas.shape == (1000,)
    assert float(sigmas[0]) == pytest.approx(0.0292, abs=1e-4)
    assert float(sigmas[-1]) == pytest.approx(14.6146, abs=1e-3)
    assert bool((sigmas.diff() > 0).all())


def test_zero_terminal_snr_ends_without_signal_and_keeps_the_start() -> None:
    plain = Schedule(ScheduleConfig())
    zero = Schedule(ScheduleConfig(zero_terminal_snr=True))
    assert float(zero.alpha_bar[-1]) == 0
    assert float(zero.sigmas[-1]) == pytest.approx(4096, rel=1e-6)
    assert float(zero.alpha_bar[0]) == pytest.approx(float(plain.alpha_bar[0]), rel=1e-6)
    assert bool((zero.sigmas.diff() > 0).all())


def test_sigma_interpolates_linearly(schedule: Schedule) -> None:
    between = schedule.sigma(torch.tensor([10.25]))
    assert float(between) == pytest.approx(0.75 * float(schedule.sigmas[10]) + 0.25 * float(schedule.sigmas[11]))
    assert float(schedule.sigma(torch.tensor(999.0))) == float(schedule.sigmas[999])


def test_timestep_undoes_sigma(schedule: Schedule) -> None:
    levels = torch.arange(1000)
    assert torch.allclose(schedule.timestep(schedule.sigmas), levels.double(), atol=1e-6)
    assert torch.equal(schedule.nearest(schedule.sigmas * 1.001), levels.double())
    middle = (schedule.sigmas[40] * schedule.sigmas[41]).sqrt()
    assert float(schedule.timestep(middle)) == pytest.approx(40.5, abs=1e-4)


def test_sigmas_beyond_the_table_get_its_ends(schedule: Schedule) -> None:
    assert schedule.timestep(torch.tensor([0.0, 1e-3, 15.0, 1e4])).tolist() == [0, 0, 999, 999]


def test_halfway_counts_levels(schedule: Schedule) -> None:
    assert float(schedule.halfway(schedule.sigmas[901], schedule.sigmas[801])) == float(schedule.sigmas[851])
    assert float(schedule.halfway(schedule.sigmas[34], schedule.sigmas[1])) == float(schedule.sigmas[18])


def test_forward_diffusion_is_that_of_diffusers(schedule: Schedule) -> None:
    theirs = diffusers.DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    latent, noise = torch.randn(3, 4, 8, 8), torch.randn(3, 4, 8, 8)
    timestep = torch.tensor([0, 500, 999])
    torch.testing.assert_close(schedule.add_noise(latent, noise, timestep), theirs.add_noise(latent, noise, timestep))
    torch.testing.assert_close(schedule.velocity(latent, noise, timestep), theirs.get_velocity(latent, noise, timestep))
    one = schedule.add_noise(latent, noise, torch.tensor(500))
    torch.testing.assert_close(one[1], schedule.add_noise(latent, noise, timestep)[1])


def test_forward_diffusion_at_zero_snr_is_noise_alone() -> None:
    schedule = Schedule(ScheduleConfig(zero_terminal_snr=True))
    latent, noise = torch.randn(1, 4, 8, 8), torch.randn(1, 4, 8, 8)
    assert torch.equal(schedule.add_noise(latent, noise, torch.tensor([999])), noise)


@pytest.mark.parametrize("prediction", ["epsilon", "v", "x0"])
def test_targets(prediction: Any) -> None:
    schedule = Schedule(ScheduleConfig(prediction=prediction))
    latent, noise, timestep = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8), torch.tensor([5, 700])
    expected = {"epsilon": noise, "x0": latent, "v": schedule.velocity(latent, noise, timestep)}[prediction]
    assert torch.equal(schedule.target(latent, noise, timestep), expected)


@pytest.mark.parametrize("timestep", [torch.tensor([1000]), torch.tensor([-1]), torch.tensor([0.5])])
def test_bad_timesteps(schedule: Schedule, timestep: torch.Tensor) -> None:
    with pytest.raises(BadInput, match="from 0 to 999"):
        schedule.add_noise(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2), timestep)


def test_a_schedule_needs_two_levels() -> None:
    with pytest.raises(BadInput, match="at least 2"):
        Schedule(ScheduleConfig(levels=1))
