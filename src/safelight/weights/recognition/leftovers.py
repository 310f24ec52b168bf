"""Tensors of original checkpoints that make no picture, and the families that are not ours."""

from __future__ import annotations

# How a name begins -> what that is. Read elsewhere or of no use; never an error.
LEFTOVERS: dict[str, str] = {
    "model_ema.": "averaged weights",
    "betas": "the noise law",
    "alphas_cumprod": "the noise law",
    "sqrt_": "the noise law",
    "log_one_minus_alphas_cumprod": "the noise law",
    "posterior_": "the noise law",
    "logvar": "the noise law",
    "cond_ids": "the noise law",
    "lvlb_weights": "the noise law",
    "scale_factor": "the scale of the latents",
    "noise_augmentor.": "the law of the noise on a picture's meaning",
    "low_scale_model.": "the law of the noise on the small picture",
    "first_stage_model.loss.": "the autoencoder's training losses",
    "loss.": "the autoencoder's training losses",
    "cond_stage_model.logit_scale": "CLIP's temperature",
    "cond_stage_model.model.": "of CLIP, beside the text encoder",
    "embedder.": "of CLIP, beside the image encoder",
    "depth_model.": "MiDaS, which measures the depth of pictures",
    "safety_checker.": "the safety checker",
    "v_pred": "a mark of v-prediction",
    "ztsnr": "a mark of zero terminal signal-to-noise ratio",
    "edm_": "a mark of another noise law",
}
STARTS = tuple(LEFTOVERS)

# A tensor's beginning that tells a family which is not Stable Diffusion 1 or 2, nor the paper's.
FOREIGN: dict[str, str] = {
    "conditioner.embedders.": "Stable Diffusion XL",
    "model.diffusion_model.joint_blocks.": "Stable Diffusion 3",
    "model.diffusion_model.double_blocks.": "Flux",
    "double_blocks.": "Flux",
    "add_embedding.linear_": "Stable Diffusion XL",
    "model.diffusion_model.caption_projection.": "PixArt",
    "image_adapter.": "an IP-adapter",
    "ip_adapter.": "an IP-adapter",
}
FOREIGN_STARTS = tuple(FOREIGN)


def family(name: str) -> str | None:
    """The family, not ours, that a tensor tells."""
    return next((what for start, what in FOREIGN.items() if name.startswith(start)), None)
