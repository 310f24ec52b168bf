"""A model in the original layout: where each part lies in the one file, and under which names."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from safelight.autoencoder import Autoencoder
from safelight.configs import TextEncoderConfig
from safelight.errors import BadInput
from safelight.text import BertEncoder, TextEncoder
from safelight.weights.clip_keys import TEXT_ENCODER_KEYS
from safelight.weights.conditioners import CLASS_EMBEDDER_KEYS, RESCALER_KEYS
from safelight.weights.key_table import KeyTable
from safelight.weights.original.autoencoder_keys import original_autoencoder_keys
from safelight.weights.original.bert_keys import original_bert_keys
from safelight.weights.original.noise_law import write_law
from safelight.weights.original.open_clip_keys import IMAGE_KEYS, STATISTICS_KEYS, open_clip_text_keys
from safelight.weights.original.unet_keys import original_unet_keys
from safelight.weights.parts import Parts
from safelight.weights.strict import foreign_tensors

SHOWN = "cond_stage_model."  # what the UNet is shown
SCALE = "scale_factor"  # of the latents, a number beside the weights


def original_tensors(parts: Parts) -> dict[str, Tensor]:
    """All tensors of a model under their original names; raises BadInput for a part that the layout does not have.

    Its text encoder of OpenCLIP has one layer more, which nobody reads; it is not made up.
    """
    if not isinstance(parts.autoencoder, Autoencoder):
        raise BadInput(
            f"The autoencoder is a {type(parts.autoencoder).__name__}; the original layout has KL and VQ ones only."
        )
    named: list[tuple[str, nn.Module | None, KeyTable | None]] = [
        ("model.diffusion_model.", parts.unet, original_unet_keys(parts.unet.config)),
        ("first_stage_model.", parts.autoencoder, original_autoencoder_keys(parts.autoencoder.config)),
        _text(parts),
        (SHOWN, parts.class_embedder, CLASS_EMBEDDER_KEYS),
        (SHOWN, parts.rescaler, RESCALER_KEYS),
        ("embedder.model.visual.", parts.image_encoder, IMAGE_KEYS),
        ("noise_augmentor.", parts.embedding_statistics, STATISTICS_KEYS),
    ]
    tensors = {
        f"{prefix}{name}": tensor
        for prefix, network, table in named
        if network is not None and table is not None
        for name, tensor in foreign_tensors(network, table).items()
    }
    tensors |= write_law(parts.schedule, "")
    if parts.noise_schedule is not None:
        tensors |= write_law(parts.noise_schedule, noise_prefix(parts.unet.config.class_vector))
    tensors[SCALE] = torch.tensor(parts.autoencoder.config.scale)
    return tensors


def noise_prefix(class_vector: int) -> str:
    """Where the law of the noise on what the UNet is shown lies: a picture's meaning, or a small picture."""
    return "noise_augmentor." if class_vector else "low_scale_model."


def _text(parts: Parts) -> tuple[str, nn.Module | None, KeyTable | None]:
    encoder = parts.text_encoder
    if isinstance(encoder, BertEncoder):
        return SHOWN, encoder, original_bert_keys(encoder.config)
    if isinstance(encoder, TextEncoder) and reads_openai(encoder.config):
        return f"{SHOWN}transformer.", encoder, TEXT_ENCODER_KEYS
    if isinstance(encoder, TextEncoder):
        return f"{SHOWN}model.", encoder, open_clip_text_keys(encoder.config, encoder.config.layers)
    return SHOWN, None, None


def reads_openai(config: TextEncoderConfig) -> bool:
    """Whether a text encoder is of OpenAI's kind (SD 1) rather than of OpenCLIP's (SD 2)."""
    return config.activation == "quick_gelu"
