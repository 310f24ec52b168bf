"""The UNets of the latent-diffusion paper: their published settings, and the same as our configuration.

Settings: models/ldm/*/config.yaml and configs/latent-diffusion/*.yaml of CompVis/latent-diffusion and
CompVis/stable-diffusion. `image_size` there is `sample_size` here.
"""

from __future__ import annotations

from dataclasses import dataclass

from safelight.configs import UNetConfig
from unet.original import Settings


@dataclass(frozen=True)
class Published:
    """One network. parameters: in millions, as its training log prints or the paper's appendix E tabulates them.

    None where the paper counts the network together with its conditioning.
    """

    settings: Settings
    config: UNetConfig
    parameters: float | None


FACES = Published(  # celeba256, ffhq256, lsun_beds256
    Settings(
        in_channels=3,
        out_channels=3,
        model_channels=224,
        attention_resolutions=(8, 4, 2),
        channel_mult=(1, 2, 3, 4),
        num_head_channels=32,
    ),
    UNetConfig(
        in_channels=3,
        out_channels=3,
        channels=(224, 448, 672, 896),
        attention=("none", "self", "self", "self"),
        middle_attention="self",
        heads=(7, 14, 21, 28),
    ),
    274.06,
)
CHURCHES = Published(  # lsun_churches256
    Settings(
        in_channels=4,
        out_channels=4,
        model_channels=192,
        attention_resolutions=(1, 2, 4, 8),
        channel_mult=(1, 2, 2, 4, 4),
        num_heads=8,
        use_scale_shift_norm=True,
        resblock_updown=True,
    ),
    UNetConfig(
        channels=(192, 384, 384, 768, 768),
        attention=("self", "self", "self", "self", "none"),
        middle_attention="self",
        heads=(8, 8, 8, 8, 8),
        modulation="scale_and_shift",
        resampling="residual",
        sample_size=32,
    ),
    294,
)
INPAINTING = Published(  # inpainting_big
    Settings(
        in_channels=7,
        out_channels=3,
        model_channels=256,
        attention_resolutions=(8, 4, 2),
        channel_mult=(1, 2, 3, 4),
        num_heads=8,
        resblock_updown=True,
    ),
    UNetConfig(
        in_channels=7,
        out_channels=3,
        channels=(256, 512, 768, 1024),
        attention=("none", "self", "self", "self"),
        middle_attention="self",
        heads=(8, 8, 8, 8),
        resampling="residual",
    ),
    387.25,
)
CLASSES = Published(  # cin256-v2
    Settings(
        in_channels=3,
        out_channels=3,
        model_channels=192,
        attention_resolutions=(8, 4, 2),
        channel_mult=(1, 2, 3, 5),
        num_heads=1,
        context_dim=512,
    ),
    UNetConfig(
        in_channels=3,
        out_channels=3,
        channels=(192, 384, 576, 960),
        attention=("none", "cross", "cross", "cross"),
        heads=(1, 1, 1, 1),
        context_width=512,
    ),
    400.92,
)
CLASSES_F8 = Published(  # cin256
    Settings(
        in_channels=4,
        out_channels=4,
        model_channels=256,
        attention_resolutions=(4, 2, 1),
        channel_mult=(1, 2, 4),
        num_head_channels=32,
        context_dim=512,
    ),
    UNetConfig(
        channels=(256, 512, 1024),
        attention=("cross", "cross", "cross"),
        heads=(8, 16, 32),
        context_width=512,
        sample_size=32,
    ),
    395,
)
LAYOUT = Published(  # layout2img-openimages256
    Settings(
        in_channels=3,
        out_channels=3,
        model_channels=128,
        attention_resolutions=(8, 4, 2),
        channel_mult=(1, 2, 3, 4),
        num_head_channels=32,
        transformer_depth=3,
        context_dim=512,
    ),
    UNetConfig(
        in_channels=3,
        out_channels=3,
        channels=(128, 256, 384, 512),
        attention=("none", "cross", "cross", "cross"),
        heads=(4, 8, 12, 16),
        transformer_depth=3,
        context_width=512,
    ),
    None,
)
SEMANTIC = Published(  # semantic_synthesis256; 512 differs in image_size alone
    Settings(
        in_channels=6,
        out_channels=3,
        model_channels=128,
        attention_resolutions=(32, 16, 8),
        channel_mult=(1, 4, 8),
        num_heads=8,
    ),
    UNetConfig(
        in_channels=6,
        out_channels=3,
        channels=(128, 512, 1024),
        attention=("none", "none", "none"),
        middle_attention="self",
        heads=(1, 4, 8),
    ),
    215,
)
SUPER_RESOLUTION = Published(  # bsr_sr
    Settings(
        in_channels=6,
        out_channels=3,
        model_channels=160,
        attention_resolutions=(16, 8),
        channel_mult=(1, 2, 2, 4),
        num_head_channels=32,
    ),
    UNetConfig(
        in_channels=6,
        out_channels=3,
        channels=(160, 320, 320, 640),
        attention=("none", "none", "none", "self"),
        middle_attention="self",
        heads=(5, 10, 10, 20),
    ),
    113.62,
)
TEXT_LARGE = Published(  # txt2img-1p4B-eval
    Settings(
        in_channels=4,
        out_channels=4,
        model_channels=320,
        attention_resolutions=(4, 2, 1),
        channel_mult=(1, 2, 4, 4),
        num_heads=8,
        context_dim=1280,
    ),
    UNetConfig(context_width=1280, sample_size=32),
    872.30,
)
TEXT_F4 = Published(  # text2img256
    Settings(
        in_channels=3,
        out_channels=3,
        model_channels=192,
        attention_resolutions=(8, 4, 2),
        channel_mult=(1, 2, 3, 5),
        num_head_channels=32,
        context_dim=640,
    ),
    UNetConfig(
        in_channels=3,
        out_channels=3,
        channels=(192, 384, 576, 960),
        attention=("none", "cross", "cross", "cross"),
        heads=(6, 12, 18, 30),
        context_width=640,
    ),
    None,
)
