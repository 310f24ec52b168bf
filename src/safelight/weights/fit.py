"""Whether the parts of a model fit together."""

from __future__ import annotations

from safelight.errors import BadCheckpoint
from safelight.weights.parts import Parts


def check_fit(parts: Parts) -> None:
    """Raise BadCheckpoint that names every dimension in which the parts do not meet."""
    unet, text, latent = parts.unet.config, parts.text_encoder.config, parts.autoencoder.config.latent_channels
    highest = max(parts.tokenizer.vocabulary.values())
    faults = []
    if highest >= text.vocabulary:
        faults.append(f"the tokenizer has token ids up to {highest}, the text encoder knows {text.vocabulary} tokens")
    if parts.tokenizer.length > text.length:
        faults.append(
            f"the tokenizer pads to {parts.tokenizer.length} tokens, the text encoder has {text.length} positions"
        )
    if unet.reads_context and text.width != unet.context_width:
        faults.append(f"the text encoder is {text.width} wide, the UNet reads vectors {unet.context_width} wide")
    if unet.out_channels != latent:
        faults.append(f"the UNet gives {unet.out_channels} channels, the autoencoder's latents have {latent}")
    if unet.in_channels < latent:
        faults.append(f"the UNet takes {unet.in_channels} channels, the autoencoder's latents have {latent}")
    if faults:
        raise BadCheckpoint(f"The parts of this model do not fit together: {'; '.join(faults)}.")
