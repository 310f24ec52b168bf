"""The denoiser gives back the clean latent from a perfect network, whatever that network predicts."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from safelight.configs import ScheduleConfig
from safelight.diffusion.denoiser import as_denoiser
from safelight.diffusion.schedule import Schedule


@pytest.mark.parametrize("prediction", ["epsilon", "v", "x0"])
def test_a_perfect_network_gives_the_clean_latent(prediction: Any) -> None:
    schedule = Schedule(ScheduleConfig(prediction=prediction))
    latent, noise = torch.randn(3, 4, 8, 8), torch.randn(3, 4, 8, 8)
    timestep = torch.tensor([3, 400, 999])
    seen: list[Tensor] = []

    def network(noisy: Tensor, told: Tensor) -> Tensor:
        seen.extend((noisy, told))
        return schedule.target(latent, noise, timestep)

    sigma = schedule.sigmas[timestep]
    x = latent + sigma.reshape(-1, 1, 1, 1) * noise
    denoised = as_denoiser(network, schedule)(x, sigma)
    torch.testing.assert_close(denoised, latent, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(seen[0], schedule.add_noise(latent, noise, timestep))
    torch.testing.assert_close(seen[1], timestep.float())


def test_one_sigma_for_all_is_the_same_as_one_for_each(schedule: Schedule) -> None:
    denoiser = as_denoiser(lambda latent, timestep: latent * timestep.reshape(-1, 1, 1, 1) / 1000, schedule)
    x = torch.randn(2, 4, 8, 8)
    assert torch.equal(denoiser(x, torch.tensor(2.5)), denoiser(x, torch.tensor([2.5, 2.5])))


def test_the_network_is_told_what_the_strategy_says(schedule: Schedule) -> None:
    told: list[Tensor] = []

    def network(latent: Tensor, timestep: Tensor) -> Tensor:
        told.append(timestep)
        return latent

    as_denoiser(network, schedule, schedule.nearest)(torch.zeros(2, 4, 8, 8), schedule.sigmas[700] * 1.0005)
    assert told[0].tolist() == [700, 700]
    assert told[0].dtype == torch.float32


def test_half_precision_predictions_are_joined_in_the_precision_of_x(schedule: Schedule) -> None:
    denoiser = as_denoiser(lambda latent, timestep: latent.half(), schedule)
    assert denoiser(torch.randn(1, 4, 8, 8), torch.tensor(3.0)).dtype == torch.float32


def test_gradients_reach_the_network(schedule: Schedule) -> None:
    weight = torch.ones((), requires_grad=True)
    denoiser = as_denoiser(lambda latent, timestep: weight * latent, schedule)
    denoiser(torch.randn(2, 4, 8, 8), torch.tensor([1.0, 2.0])).square().mean().backward()
    assert weight.grad is not None
    assert float(weight.grad) != 0
