"""ScheduleConfig to and from diffusers' scheduler_config.json.

A diffusers "scheduler" is a noise law, a grid and a sampler in one. The law is read, whatever class wrote it; grid and
sampler are the caller's choice here. What is written asks diffusers for our default sampler and grid.
"""

from __future__ import annotations

from typing import Any

from safelight.configs import Law, Prediction, ScheduleConfig
from safelight.weights.fields import Fields

PREDICTIONS: dict[str, Prediction] = {"epsilon": "epsilon", "v_prediction": "v", "sample": "x0"}
LAWS: dict[str, Law] = {"scaled_linear": "scaled_linear", "linear": "linear", "squaredcos_cap_v2": "cosine"}

# (beta_start, beta_end, law) that a class means where its file is silent.
_ORIGINAL = (0.0001, 0.02, "linear")
_K_DIFFUSION = (0.00085, 0.012, "linear")
_CONSISTENCY = (0.00085, 0.012, "scaled_linear")
DEFAULTS: dict[str, tuple[float, float, str]] = {
    "DDIMScheduler": _ORIGINAL,
    "DDPMScheduler": _ORIGINAL,
    "DEISMultistepScheduler": _ORIGINAL,
    "DPMSolverMultistepScheduler": _ORIGINAL,
    "DPMSolverSDEScheduler": _K_DIFFUSION,
    "DPMSolverSinglestepScheduler": _ORIGINAL,
    "EulerAncestralDiscreteScheduler": _ORIGINAL,
    "EulerDiscreteScheduler": _ORIGINAL,
    "HeunDiscreteScheduler": _K_DIFFUSION,
    "KDPM2AncestralDiscreteScheduler": _K_DIFFUSION,
    "KDPM2DiscreteScheduler": _K_DIFFUSION,
    "LCMScheduler": _CONSISTENCY,
    "LMSDiscreteScheduler": _ORIGINAL,
    "PNDMScheduler": _ORIGINAL,
    "SASolverScheduler": _ORIGINAL,
    "TCDScheduler": _CONSISTENCY,
    "UniPCMultistepScheduler": _ORIGINAL,
}
CLASS = "DPMSolverMultistepScheduler"
# The class that stands for a sampler without which a distilled model does not draw.
DISTILLED: dict[str, str] = {"lcm": "LCMScheduler"}

_LAW = ("beta_end", "beta_schedule", "beta_start", "num_train_timesteps", "prediction_type", "trained_betas")


def read_schedule_config(fields: Fields) -> ScheduleConfig:
    """The noise law that a scheduler_config.json holds; raises BadCheckpoint for one that we do not have."""
    start, end, law = fields.choice("_class_name", "PNDMScheduler", DEFAULTS)
    fields.only({"trained_betas": (None,)})
    return fields.build(
        ScheduleConfig,
        levels=fields.integer("num_train_timesteps", 1000),
        law=fields.choice("beta_schedule", law, LAWS),
        beta_start=fields.number("beta_start", start),
        beta_end=fields.number("beta_end", end),
        prediction=fields.choice("prediction_type", "epsilon", PREDICTIONS),
        zero_terminal_snr=fields.choice("rescale_betas_zero_snr", False, {False: False, True: True}),
    )


def write_schedule_config(config: ScheduleConfig) -> dict[str, Any]:
    """The scheduler_config.json that diffusers reads.

    The last fields belong to its other classes, which take them over when a user changes the sampler there: latents
    are never clipped, and the first step stands one level above 0.
    """
    return {
        "_class_name": CLASS,
        "algorithm_type": "dpmsolver++",
        "beta_end": config.beta_end,
        "beta_schedule": next(name for name, law in LAWS.items() if law == config.law),
        "beta_start": config.beta_start,
        "num_train_timesteps": config.levels,
        "prediction_type": next(name for name, prediction in PREDICTIONS.items() if prediction == config.prediction),
        "rescale_betas_zero_snr": config.zero_terminal_snr,
        "solver_order": 2,
        "timestep_spacing": "trailing" if config.zero_terminal_snr else "leading",
        "trained_betas": None,
        "use_karras_sigmas": not config.zero_terminal_snr,
        "clip_sample": False,
        "set_alpha_to_one": False,
        "skip_prk_steps": True,
        "steps_offset": 1,
    }


def write_distilled_config(config: ScheduleConfig, sampler: str) -> dict[str, Any]:
    """The scheduler_config.json of a model that was distilled for `sampler`, one of `DISTILLED`."""
    wanted = (*_LAW, "rescale_betas_zero_snr", "clip_sample", "set_alpha_to_one", "steps_offset")
    law = write_schedule_config(config)
    return {"_class_name": DISTILLED[sampler], **{name: law[name] for name in wanted}, "original_inference_steps": 50}


def write_noise_config(config: ScheduleConfig) -> dict[str, Any]:
    """The scheduler_config.json of one that only adds noise: to an upscaler's picture, to a picture's vector."""
    law = write_schedule_config(config)
    return {"_class_name": "DDPMScheduler", **{name: law[name] for name in _LAW}, "clip_sample": False}
