"""Whether the parts of a model fit together."""

from __future__ import annotations

from safelight.errors import BadCheckpoint
from safelight.weights.parts import Parts


def check_fit(parts: Parts, whose: str = "this model") -> None:
    """Raise BadCheckpoint that names every dimension in which the parts do not meet, and whose parts they are."""
    unet, latent = parts.unet.config, parts.autoencoder.config.latent_channels
    faults = _text_faults(parts)
    if unet.out_channels != latent:
        faults.append(f"the UNet gives {unet.out_channels} channels, the autoencoder's latents have {latent}")
    if unet.in_channels < latent:
        faults.append(f"the UNet takes {unet.in_channels} channels, the autoencoder's latents have {latent}")
    if unet.reads_context and _context_width(parts) is None:
        faults.append(f"the UNet reads vectors {unet.context_width} wide, and no part gives any")
    if unet.class_vector and parts.image_encoder is not None:
        width = 2 * parts.image_encoder.config.projection_width
        if unet.class_vector != width:
            faults.append(f"the image encoder's vectors fill {width} numbers, the UNet reads {unet.class_vector}")
    if faults:
        raise BadCheckpoint(f"The parts of {whose} do not fit together: {'; '.join(faults)}.")


def _context_width(parts: Parts) -> int | None:
    """The width of the vectors that cross-attention gets."""
    source = parts.text_encoder or parts.class_embedder
    return None if source is None else source.config.width


def _text_faults(parts: Parts) -> list[str]:
    faults = []
    unet, text, width = parts.unet.config, parts.text_encoder, _context_width(parts)
    if text is not None and parts.tokenizer is not None:
        highest = max(parts.tokenizer.vocabulary.values())
        if highest >= text.config.vocabulary:
            faults.append(
                f"the tokenizer has token ids up to {highest}, the text encoder knows {text.config.vocabulary} tokens"
            )
        if parts.tokenizer.length > text.config.length:
            faults.append(
                f"the tokenizer pads to {parts.tokenizer.length} tokens, "
                f"the text encoder has {text.config.length} positions"
            )
    if unet.reads_context and width is not None and width != unet.context_width:
        giver = "text encoder" if text is not None else "class embedder"
        faults.append(f"the {giver} is {width} wide, the UNet reads vectors {unet.context_width} wide")
    return faults
