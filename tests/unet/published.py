"""The settings of the latent-diffusion paper's UNets, as published, by their names in the catalogue.

From models/ldm/*/config.yaml and configs/latent-diffusion/*.yaml of CompVis/latent-diffusion and
CompVis/stable-diffusion: `unet_config.params`.
"""

from __future__ import annotations

from unet.original import Settings

FACES = Settings(
    in_channels=3,
    out_channels=3,
    model_channels=224,
    attention_resolutions=(8, 4, 2),
    channel_mult=(1, 2, 3, 4),
    num_head_channels=32,
)

SETTINGS: dict[str, Settings] = {
    "ldm-celebahq": FACES,
    "ldm-ffhq": FACES,
    "ldm-lsun-bedrooms": FACES,
    "ldm-lsun-churches": Settings(
        in_channels=4,
        out_channels=4,
        model_channels=192,
        attention_resolutions=(1, 2, 4, 8),
        channel_mult=(1, 2, 2, 4, 4),
        num_heads=8,
        use_scale_shift_norm=True,
        resblock_updown=True,
    ),
    "ldm-inpainting": Settings(
        in_channels=7,
        out_channels=3,
        model_channels=256,
        attention_resolutions=(8, 4, 2),
        channel_mult=(1, 2, 3, 4),
        num_heads=8,
        resblock_updown=True,
    ),
    "ldm-imagenet": Settings(
        in_channels=3,
        out_channels=3,
        model_channels=192,
        attention_resolutions=(8, 4, 2),
        channel_mult=(1, 2, 3, 5),
        num_heads=1,
        context_dim=512,
    ),
    "ldm-layout": Settings(
        in_channels=3,
        out_channels=3,
        model_channels=128,
        attention_resolutions=(8, 4, 2),
        channel_mult=(1, 2, 3, 4),
        num_head_channels=32,
        transformer_depth=3,
        context_dim=512,
    ),
    "ldm-semantic": Settings(
        in_channels=6,
        out_channels=3,
        model_channels=128,
        attention_resolutions=(32, 16, 8),
        channel_mult=(1, 4, 8),
        num_heads=8,
    ),
    "ldm-super-resolution": Settings(
        in_channels=6,
        out_channels=3,
        model_channels=160,
        attention_resolutions=(16, 8),
        channel_mult=(1, 2, 2, 4),
        num_head_channels=32,
    ),
    "ldm-text2img-large": Settings(
        in_channels=4,
        out_channels=4,
        model_channels=320,
        attention_resolutions=(4, 2, 1),
        channel_mult=(1, 2, 4, 4),
        num_heads=8,
        context_dim=1280,
    ),
}
