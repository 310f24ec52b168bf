"""Samplers by name: each walks a grid of sigmas from noise to picture, yielding after each step."""

from __future__ import annotations

from safelight.diffusion.samplers.ddim import ddim
from safelight.diffusion.samplers.ddpm import ddpm
from safelight.diffusion.samplers.dpm2 import dpm2
from safelight.diffusion.samplers.dpmpp_2m import dpmpp_2m
from safelight.diffusion.samplers.dpmpp_2m_sde import dpmpp_2m_sde
from safelight.diffusion.samplers.dpmpp_2s_ancestral import dpmpp_2s_ancestral
from safelight.diffusion.samplers.dpmpp_3m_sde import dpmpp_3m_sde
from safelight.diffusion.samplers.dpmpp_sde import dpmpp_sde
from safelight.diffusion.samplers.euler import euler
from safelight.diffusion.samplers.euler_ancestral import euler_ancestral
from safelight.diffusion.samplers.heun import heun
from safelight.diffusion.samplers.lcm import lcm
from safelight.diffusion.samplers.lms import lms
from safelight.diffusion.samplers.plms import plms
from safelight.diffusion.samplers.pndm import pndm
from safelight.diffusion.samplers.step import Sampler, Step
from safelight.diffusion.samplers.unipc import unipc

SAMPLERS: dict[str, Sampler] = {
    "ddpm": ddpm,
    "ddim": ddim,
    "pndm": pndm,
    "plms": plms,
    "lms": lms,
    "heun": heun,
    "euler": euler,
    "euler_ancestral": euler_ancestral,
    "dpm2": dpm2,
    "dpmpp_2m": dpmpp_2m,
    "dpmpp_2s_ancestral": dpmpp_2s_ancestral,
    "dpmpp_sde": dpmpp_sde,
    "dpmpp_2m_sde": dpmpp_2m_sde,
    "dpmpp_3m_sde": dpmpp_3m_sde,
    "unipc": unipc,
    "lcm": lcm,
}

__all__ = ["SAMPLERS", "Sampler", "Step"]
