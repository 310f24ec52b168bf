"""The models of the latent-diffusion paper (Rombach et al. 2022, section 4; parameters: tables 12 to 15).

Shapes and noise laws: the files named in `source`, of CompVis/latent-diffusion. Its "linear" law is linear in the
square root. Its VQ autoencoders do not scale their latents; where a checkpoint holds a measured scale, that one counts.
"""

from __future__ import annotations

from dataclasses import replace

from safelight.catalog.published_model import PublishedModel
from safelight.configs import (
    AutoencoderConfig,
    BertConfig,
    ClassEmbedderConfig,
    RescalerConfig,
    ScheduleConfig,
    UNetConfig,
)

CODE_LICENCE = "MIT (the repository's; the weights name none of their own)"
APACHE = "Apache 2.0"
FILES = "https://ommer-lab.com/files/latent-diffusion"

VQ_F4 = AutoencoderConfig(latent_channels=3, channels=(128, 256, 512), codes=8192, scale=1.0)
VQ_F4_PARAMETERS = 55_322_782
VQ_F4_PLAIN = replace(VQ_F4, middle_attention=False)
KL_F8 = AutoencoderConfig()
KL_F8_PARAMETERS = 83_653_863

FACES = UNetConfig(
    in_channels=3,
    out_channels=3,
    channels=(224, 448, 672, 896),
    attention=("none", "self", "self", "self"),
    middle_attention="self",
    heads=(7, 14, 21, 28),
)
CHURCHES = UNetConfig(
    channels=(192, 384, 384, 768, 768),
    attention=("self", "self", "self", "self", "none"),
    middle_attention="self",
    heads=(8, 8, 8, 8, 8),
    modulation="scale_and_shift",
    resampling="residual",
    sample_size=32,
)
CLASSES = UNetConfig(
    in_channels=3,
    out_channels=3,
    channels=(192, 384, 576, 960),
    attention=("none", "cross", "cross", "cross"),
    heads=(1, 1, 1, 1),
    context_width=512,
)
LAYOUT = UNetConfig(
    in_channels=3,
    out_channels=3,
    channels=(128, 256, 384, 512),
    attention=("none", "cross", "cross", "cross"),
    heads=(4, 8, 12, 16),
    transformer_depth=3,
    context_width=512,
)
SEMANTIC = UNetConfig(
    in_channels=6,
    out_channels=3,
    channels=(128, 512, 1024),
    attention=("none", "none", "none"),
    middle_attention="self",
    heads=(1, 4, 8),
)
SUPER_RESOLUTION = UNetConfig(
    in_channels=6,
    out_channels=3,
    channels=(160, 320, 320, 640),
    attention=("none", "none", "none", "self"),
    middle_attention="self",
    heads=(5, 10, 10, 20),
)
INPAINTING = UNetConfig(
    in_channels=7,
    out_channels=3,
    channels=(256, 512, 768, 1024),
    attention=("none", "self", "self", "self"),
    middle_attention="self",
    heads=(8, 8, 8, 8),
    resampling="residual",
)


def _law(beta_end: float) -> ScheduleConfig:
    return ScheduleConfig(beta_start=0.0015, beta_end=beta_end)


def _faces(
    name: str, what: str, folder: str, archive: str, *, hub: str = "", licence: str = CODE_LICENCE
) -> PublishedModel:
    return PublishedModel(
        name=name,
        what=what,
        task="unconditional",
        size=256,
        licence=licence,
        hub=hub,
        where=f"{FILES}/{archive}.zip",
        source=f"models/ldm/{folder}/config.yaml",
        unet=FACES,
        unet_parameters=274_056_163,
        schedule=_law(0.0195),
        autoencoder=VQ_F4,
        autoencoder_parameters=VQ_F4_PARAMETERS,
    )


LATENT_DIFFUSION: tuple[PublishedModel, ...] = (
    PublishedModel(
        name="ldm-text2img-large",
        what="text to image at 256 pixels, with BERT",
        task="text",
        size=256,
        licence=APACHE,
        hub="CompVis/ldm-text2im-large-256",
        where=f"{FILES}/nitro/txt2img-f8-large/model.ckpt",
        source="configs/latent-diffusion/txt2img-1p4B-eval.yaml",
        unet=UNetConfig(context_width=1280, sample_size=32),
        unet_parameters=872_300_484,
        schedule=ScheduleConfig(),
        autoencoder=KL_F8,
        autoencoder_parameters=KL_F8_PARAMETERS,
        text_encoder=BertConfig(),
        text_encoder_parameters=581_994_042,
        vocabulary="bert",
        pad="[PAD]",
    ),
    _faces(
        "ldm-celebahq", "faces of celebrities", "celeba256", "celeba", hub="CompVis/ldm-celebahq-256", licence=APACHE
    ),
    _faces("ldm-ffhq", "faces", "ffhq256", "ffhq"),
    _faces("ldm-lsun-bedrooms", "bedrooms", "lsun_beds256", "lsun_bedrooms"),
    PublishedModel(
        name="ldm-lsun-churches",
        what="churches",
        task="unconditional",
        size=256,
        licence=CODE_LICENCE,
        where=f"{FILES}/lsun_churches.zip",
        source="models/ldm/lsun_churches256/config.yaml",
        unet=CHURCHES,
        unet_parameters=294_966_916,
        schedule=_law(0.0155),
        autoencoder=KL_F8,
        autoencoder_parameters=KL_F8_PARAMETERS,
    ),
    PublishedModel(
        name="ldm-imagenet",
        what="one of ImageNet's 1000 classes",
        task="class",
        size=256,
        licence=CODE_LICENCE,
        where=f"{FILES}/nitro/cin/model.ckpt",
        source="configs/latent-diffusion/cin256-v2.yaml",
        unet=CLASSES,
        unet_parameters=400_920_579,
        schedule=_law(0.0195),
        autoencoder=VQ_F4,
        autoencoder_parameters=VQ_F4_PARAMETERS,
        class_embedder=ClassEmbedderConfig(),
    ),
    PublishedModel(
        name="ldm-layout",
        what="labelled boxes to image",
        task="layout",
        size=256,
        licence=CODE_LICENCE,
        where=f"{FILES}/layout2img_model.zip",
        source="models/ldm/layout2img-openimages256/config.yaml",
        unet=LAYOUT,
        unet_parameters=246_277_379,
        schedule=_law(0.0205),
        autoencoder=VQ_F4,
        autoencoder_parameters=VQ_F4_PARAMETERS,
        text_encoder=BertConfig(vocabulary=8192, length=92, width=512, layers=16),
        text_encoder_parameters=58_858_496,
    ),
    PublishedModel(
        name="ldm-semantic",
        what="a map of labels to image",
        task="semantic",
        size=256,
        licence=CODE_LICENCE,
        where=f"{FILES}/semantic_synthesis256.zip",
        source="models/ldm/semantic_synthesis256/config.yaml",
        unet=SEMANTIC,
        unet_parameters=215_229_315,
        schedule=_law(0.0205),
        autoencoder=VQ_F4,
        autoencoder_parameters=VQ_F4_PARAMETERS,
        rescaler=RescalerConfig(),
    ),
    PublishedModel(
        name="ldm-super-resolution",
        what="a small picture to one four times as large (bsr_sr)",
        task="restoration",
        size=256,
        licence=APACHE,
        hub="CompVis/ldm-super-resolution-4x-openimages",
        where=f"{FILES}/sr_bsr.zip",
        source="models/ldm/bsr_sr/config.yaml",
        unet=SUPER_RESOLUTION,
        unet_parameters=113_622_563,
        schedule=_law(0.0155),
        autoencoder=VQ_F4,
        autoencoder_parameters=VQ_F4_PARAMETERS,
    ),
    PublishedModel(
        name="ldm-inpainting",
        what="picture and mask to image (inpainting_big)",
        task="filling",
        size=256,
        licence=CODE_LICENCE,
        where="https://heibox.uni-heidelberg.de/f/4d9ac7ea40c64582b7c9/?dl=1",
        source="models/ldm/inpainting_big/config.yaml",
        unet=INPAINTING,
        unet_parameters=387_245_827,
        schedule=_law(0.0205),
        autoencoder=VQ_F4_PLAIN,
        autoencoder_parameters=53_219_486,
    ),
)
