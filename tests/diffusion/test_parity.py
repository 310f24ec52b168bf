"""Whole runs against the diffusers schedulers, with the same small network on both sides."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

import diffusers
import numpy
import pytest
import torch
from torch import Tensor

from safelight.configs import ScheduleConfig
from safelight.diffusion.denoiser import Network, as_denoiser
from safelight.diffusion.noise import generators, noise_source
from safelight.diffusion.plan import CONVENTIONS, plan
from safelight.diffusion.samplers import SAMPLERS
from safelight.diffusion.schedule import Schedule

SHAPE = (4, 8, 8)
SEED = 1024
STABLE_DIFFUSION = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
}
PREDICTIONS = {"epsilon": "epsilon", "v": "v_prediction", "x0": "sample"}

# Sampler -> diffusers class and the settings with which Stable Diffusion's configuration reaches it.
COUNTERPARTS: dict[str, tuple[str, dict[str, Any]]] = {
    "ddpm": ("DDPMScheduler", {"steps_offset": 1, "clip_sample": False}),
    "ddim": ("DDIMScheduler", {"steps_offset": 1, "clip_sample": False, "set_alpha_to_one": False}),
    "pndm": ("PNDMScheduler", {"steps_offset": 1, "set_alpha_to_one": False, "skip_prk_steps": False}),
    "plms": ("PNDMScheduler", {"steps_offset": 1, "set_alpha_to_one": False, "skip_prk_steps": True}),
    "lms": ("LMSDiscreteScheduler", {"steps_offset": 1}),
    "heun": ("HeunDiscreteScheduler", {"steps_offset": 1}),
    "euler": ("EulerDiscreteScheduler", {"steps_offset": 1}),
    "euler_ancestral": ("EulerAncestralDiscreteScheduler", {"steps_offset": 1}),
    "dpm2": ("KDPM2DiscreteScheduler", {"steps_offset": 1}),
    "dpmpp_2m": ("DPMSolverMultistepScheduler", {"steps_offset": 1}),
    "dpmpp_sde": ("DPMSolverSDEScheduler", {"steps_offset": 1}),
    "dpmpp_2m_sde": ("DPMSolverMultistepScheduler", {"steps_offset": 1, "algorithm_type": "sde-dpmsolver++"}),
    "dpmpp_3m_sde": (
        "DPMSolverMultistepScheduler",
        {"steps_offset": 1, "algorithm_type": "sde-dpmsolver++", "solver_order": 3},
    ),
    "unipc": ("UniPCMultistepScheduler", {"steps_offset": 1}),
    "lcm": ("LCMScheduler", {"set_alpha_to_one": False}),
}
WITH_SIGMA_GRIDS = (
    "lms", "heun", "euler", "dpm2", "dpmpp_2m", "dpmpp_sde", "dpmpp_2m_sde", "dpmpp_3m_sde", "unipc",
)  # fmt: skip


def small_network() -> Network:
    """A smooth random network that feels the timestep strongly: a whole level matters at the fifth decimal or more."""
    generator = torch.Generator().manual_seed(0)
    kernel = torch.randn(8, 4, 3, 3, generator=generator) / 6
    out = torch.randn(4, 8, 3, 3, generator=generator) / 9
    into = torch.randn(8, 8, generator=generator) / 3
    frequencies = torch.tensor([1.0, 0.1, 0.01, 0.001])

    def network(latent: Tensor, timestep: Tensor) -> Tensor:
        angles = timestep.float().reshape(-1, 1) * frequencies
        waves = torch.cat([angles.sin(), angles.cos()], dim=1) @ into
        hidden = torch.tanh(torch.conv2d(latent, kernel, padding=1) + waves[:, :, None, None])
        return 0.7 * latent + torch.conv2d(hidden, out, padding=1)

    return network


class ExactIntegral:
    """Stands in for scipy.integrate, which need not be installed: Gauss's rule with eight points."""

    @staticmethod
    def quad(function: Callable[[float], float], start: Tensor, end: Tensor, epsrel: float) -> tuple[float, float]:
        nodes, weights = numpy.polynomial.legendre.leggauss(8)
        centre, half = (float(start) + float(end)) / 2, (float(end) - float(start)) / 2
        return half * sum(w * float(function(centre + half * n)) for n, w in zip(nodes, weights, strict=True)), 0.0


def diffusers_class(name: str) -> Any:
    """The class, from its own file where a missing package, of no use here, would make diffusers refuse it."""
    if name == "LMSDiscreteScheduler":
        return import_module("diffusers.schedulers.scheduling_lms_discrete").LMSDiscreteScheduler
    if name == "DPMSolverSDEScheduler":
        sys.modules.setdefault("torchsde", ModuleType("torchsde"))
        return import_module("diffusers.schedulers.scheduling_dpmsolver_sde").DPMSolverSDEScheduler
    return getattr(diffusers, name)


def by_diffusers(name: str, steps: int, network: Network, **settings: Any) -> Tensor:
    """(1, 4, 8, 8): the final latent that the counterpart reaches from SEED."""
    kind, usual = COUNTERPARTS[name]
    scheduler = diffusers_class(kind)(**{**STABLE_DIFFUSION, **usual, **settings})
    scheduler.set_timesteps(steps)
    generator = torch.Generator("cpu").manual_seed(SEED)
    latent = torch.randn((1, *SHAPE), generator=generator) * scheduler.init_noise_sigma
    if name == "dpmpp_sde":  # without its Brownian tree: the same independent draws as ours
        scheduler.noise_sampler = lambda sigma, next_sigma: torch.randn((1, *SHAPE), generator=generator)
    extra = {"generator": generator} if "generator" in scheduler.step.__code__.co_varnames else {}
    for timestep in scheduler.timesteps:
        prediction = network(scheduler.scale_model_input(latent, timestep), timestep.reshape(1))
        latent = scheduler.step(prediction, timestep, latent, **extra).prev_sample
    return latent


def by_safelight(name: str, steps: int, network: Network, config: ScheduleConfig, grid: str | None = None) -> Tensor:
    """(1, 4, 8, 8): the final latent that ours reaches from SEED."""
    schedule = Schedule(config)
    layout = plan(schedule, name, grid, steps)
    noise = noise_source(generators([SEED]), SHAPE)
    denoiser = as_denoiser(network, schedule, layout.timestep_of)
    *_, last = layout.sampler(denoiser, noise() * layout.start_scale, layout.sigmas, noise)
    assert last.index + 1 == last.total == steps
    return last.latent


def relative_error(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).norm() / theirs.norm())


@pytest.fixture(autouse=True)
def exact_integral(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("diffusers.schedulers.scheduling_lms_discrete.integrate", ExactIntegral, raising=False)


def test_every_sampler_is_covered() -> None:
    assert SAMPLERS.keys() == CONVENTIONS.keys() == COUNTERPARTS.keys() | {"dpmpp_2s_ancestral"}


CASES = [(name, prediction) for name in COUNTERPARTS for prediction in ("epsilon", "v")]


@pytest.mark.parametrize("steps", [10, 25, 50])
@pytest.mark.parametrize(("name", "prediction"), CASES)
def test_usual_grid(name: str, prediction: Any, steps: int) -> None:
    network = small_network()
    theirs = by_diffusers(name, steps, network, prediction_type=PREDICTIONS[prediction])
    ours = by_safelight(name, steps, network, ScheduleConfig(prediction=prediction))
    assert relative_error(ours, theirs) <= 1e-4


@pytest.mark.parametrize("steps", [10, 25, 50])
@pytest.mark.parametrize("grid", ["karras", "exponential"])
@pytest.mark.parametrize("name", WITH_SIGMA_GRIDS)
@pytest.mark.parametrize("prediction", ["epsilon", "v"])
def test_sigma_grids(name: str, prediction: Any, grid: str, steps: int) -> None:
    network = small_network()
    setting = {f"use_{grid}_sigmas": True}
    theirs = by_diffusers(name, steps, network, prediction_type=PREDICTIONS[prediction], **setting)
    ours = by_safelight(name, steps, network, ScheduleConfig(prediction=prediction), grid)
    assert relative_error(ours, theirs) <= 1e-4


# On linspace, diffusers' DDIM and PNDM step by levels // steps, past or short of the next level that they visit.
SPACED = [
    (name, grid)
    for name in COUNTERPARTS.keys() - {"lcm"}
    for grid in ("leading", "trailing", "linspace")
    if not (name in ("ddim", "pndm", "plms") and grid == "linspace")
]


@pytest.mark.parametrize("steps", [4, 20])
@pytest.mark.parametrize(("name", "grid"), sorted(SPACED))
def test_spaced_grids(name: str, grid: str, steps: int) -> None:
    network = small_network()
    theirs = by_diffusers(name, steps, network, timestep_spacing=grid)
    ours = by_safelight(name, steps, network, ScheduleConfig(), grid)
    assert relative_error(ours, theirs) <= 1e-4


@pytest.mark.parametrize("name", ["ddim", "ddpm", "heun", "dpmpp_2m", "unipc", "lcm"])
def test_x0_prediction(name: str) -> None:
    network = small_network()
    theirs = by_diffusers(name, 12, network, prediction_type="sample")
    ours = by_safelight(name, 12, network, ScheduleConfig(prediction="x0"))
    assert relative_error(ours, theirs) <= 1e-4


@pytest.mark.parametrize("name", ["plms", "ddim", "ddpm", "dpmpp_2m", "dpmpp_3m_sde"])
def test_steps_that_do_not_divide_the_levels(name: str) -> None:
    network = small_network()
    ours = by_safelight(name, 30, network, ScheduleConfig())
    assert relative_error(ours, by_diffusers(name, 30, network)) <= 1e-4


@pytest.mark.parametrize("name", ["euler", "euler_ancestral", "dpmpp_2m", "unipc", "ddim"])
def test_zero_terminal_snr(name: str) -> None:
    """The four that clamp as we do agree closely; DDIM, which starts at infinity, to the size of the clamp."""
    network = small_network()
    settings = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing", "prediction_type": "v_prediction"}
    theirs = by_diffusers(name, 20, network, **settings)
    ours = by_safelight(name, 20, network, ScheduleConfig(prediction="v", zero_terminal_snr=True), "trailing")
    assert relative_error(ours, theirs) <= (1e-3 if name == "ddim" else 2e-4)


def test_ddpm_visits_every_level() -> None:
    network = small_network()
    theirs = by_diffusers("ddpm", 1000, network, steps_offset=0)
    assert relative_error(by_safelight("ddpm", 1000, network, ScheduleConfig()), theirs) <= 1e-4


@pytest.mark.parametrize("name", ["ddim", "dpmpp_2m"])
def test_a_real_unet(name: str) -> None:
    torch.manual_seed(0)
    unet = diffusers.UNet2DConditionModel(
        sample_size=8, block_out_channels=(8, 16), layers_per_block=1, cross_attention_dim=8, norm_num_groups=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        attention_head_dim=2,
    ).eval()  # fmt: skip
    context = torch.randn(1, 5, 8)

    def network(latent: Tensor, timestep: Tensor) -> Tensor:
        with torch.no_grad():
            prediction: Tensor = unet(latent, timestep, context).sample
        return prediction

    theirs = by_diffusers(name, 25, network)
    ours = by_safelight(name, 25, network, ScheduleConfig())
    assert math.isfinite(float(theirs.norm()))
    assert relative_error(ours, theirs) <= 1e-4
