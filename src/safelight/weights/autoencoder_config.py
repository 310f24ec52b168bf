"""AutoencoderConfig to and from the config.json of diffusers' AutoencoderKL and VQModel."""

from __future__ import annotations

from typing import Any

from safelight.configs import AutoencoderConfig
from safelight.errors import BadInput
from safelight.weights.fields import MOST, Fields

KL, VQ = "AutoencoderKL", "VQModel"
DOWN = {False: "DownEncoderBlock2D", True: "AttnDownEncoderBlock2D"}  # without and with self-attention
UP = {False: "UpDecoderBlock2D", True: "AttnUpDecoderBlock2D"}
IMAGE_SIZE = 512  # pixels: where diffusers begins to tile; it changes no result below that
EITHER: dict[Any, bool] = {True: True, False: False}

ONLY: dict[str, tuple[Any, ...]] = {
    "act_fn": ("silu", "swish"),
    "shift_factor": (None, 0),
    "latents_mean": (None,),
    "latents_std": (None,),
}
ONLY_VQ: dict[str, tuple[Any, ...]] = {
    "act_fn": ("silu", "swish"),
    "norm_type": ("group",),
    "lookup_from_codebook": (False,),
}


def read_autoencoder_config(fields: Fields) -> AutoencoderConfig:
    """The configuration that a config.json describes; raises BadCheckpoint for what we do not have."""
    kind = fields.choice("_class_name", KL, {KL: _kl, VQ: _vq})
    channels = fields.integers("block_out_channels", (64,))
    image_channels = fields.integer("in_channels", 3)
    if fields.integer("out_channels", 3) != image_channels:
        raise fields.wrong("out_channels", f"it must equal in_channels, {image_channels}")
    return fields.build(
        AutoencoderConfig,
        image_channels=image_channels,
        channels=channels,
        blocks_per_level=fields.integer("layers_per_block", 1, most=MOST),
        attention=_attention(fields, len(channels)),
        middle_attention=fields.choice("mid_block_add_attention", True, EITHER),
        groups=fields.integer("norm_num_groups", 32),
        **kind(fields),
    )


def _kl(fields: Fields) -> dict[str, Any]:
    fields.only(ONLY)
    latent_convs = fields.choice("use_quant_conv", True, EITHER)
    if fields.choice("use_post_quant_conv", True, EITHER) != latent_convs:
        raise fields.wrong("use_post_quant_conv", f"it must equal use_quant_conv, {str(latent_convs).lower()}")
    return {
        "latent_channels": fields.integer("latent_channels", 4),
        "latent_convs": latent_convs,
        "scale": fields.number("scaling_factor", 0.18215),
    }


def _vq(fields: Fields) -> dict[str, Any]:
    """A file that is silent about the scale is older than that field, and of the paper's models, whose scale is 1."""
    fields.only(ONLY_VQ)
    latent_channels = fields.integer("latent_channels", 3)
    if fields.values.get("vq_embed_dim") not in (None, latent_channels):
        raise fields.wrong("vq_embed_dim", f"it must equal latent_channels, {latent_channels}")
    return {
        "latent_channels": latent_channels,
        "codes": fields.integer("num_vq_embeddings", 256),
        "scale": fields.number("scaling_factor", 1.0),
    }


def _attention(fields: Fields, levels: int) -> tuple[bool, ...]:
    """Whether each level attends; empty where none does."""
    found = []
    for name, blocks in (("down_block_types", DOWN), ("up_block_types", UP)):
        attends = fields.choices(name, (blocks[False],), {block: attends for attends, block in blocks.items()})
        if len(attends) != levels:
            raise fields.wrong(name, f"it needs one entry for each of the {levels} levels in block_out_channels")
        found.append(attends)
    if found[0] != found[1][::-1]:
        raise fields.wrong("up_block_types", "it must attend where down_block_types does, read backwards")
    return found[0] if any(found[0]) else ()


def write_autoencoder_config(config: AutoencoderConfig) -> dict[str, Any]:
    """The config.json that diffusers reads; raises BadInput for a VQ autoencoder that it cannot describe."""
    attends = [config.attends(level) for level in range(len(config.channels))]
    return {
        "_class_name": VQ if config.codes else KL,
        "act_fn": "silu",
        "block_out_channels": list(config.channels),
        "down_block_types": [DOWN[each] for each in attends],
        "in_channels": config.image_channels,
        "latent_channels": config.latent_channels,
        "layers_per_block": config.blocks_per_level,
        "norm_num_groups": config.groups,
        "out_channels": config.image_channels,
        "sample_size": IMAGE_SIZE,
        "scaling_factor": config.scale,
        "up_block_types": [UP[each] for each in attends[::-1]],
        **({} if config.middle_attention else {"mid_block_add_attention": False}),
        **(_written_vq(config) if config.codes else _written_kl(config)),
    }


def _written_kl(config: AutoencoderConfig) -> dict[str, Any]:
    return {} if config.latent_convs else {"use_post_quant_conv": False, "use_quant_conv": False}


def _written_vq(config: AutoencoderConfig) -> dict[str, Any]:
    if not config.latent_convs:
        raise BadInput("diffusers' VQModel always has convolutions beside its latent; this autoencoder has none.")
    return {"num_vq_embeddings": config.codes, "vq_embed_dim": config.latent_channels}
