"""The tables of names: every tensor has one, and each leads back."""

import pytest
import torch

from safelight.autoencoder import Autoencoder
from safelight.configs import AutoencoderConfig, ImageEncoderConfig, TextEncoderConfig, UNetConfig
from safelight.text import CLIP, ImageEncoder, TextEncoder
from safelight.unet import UNet
from safelight.weights.autoencoder_keys import AUTOENCODER_KEYS
from safelight.weights.clip_keys import CLIP_KEYS, IMAGE_ENCODER_KEYS, TEXT_ENCODER_KEYS
from safelight.weights.key_table import KeyTable, under
from safelight.weights.unet_keys import unet_keys

MIXED = UNetConfig(attention=("cross", "self", "none", "only_cross"), classes=3)
RESIZED = UNetConfig(
    resampling="residual", modulation="scale_and_shift", class_vector=5, guidance_width=8, pooling_heads=8
)


@pytest.mark.parametrize(
    ("build", "table"),
    [
        (lambda: UNet(UNetConfig()), unet_keys(UNetConfig())),
        (lambda: UNet(MIXED), unet_keys(MIXED)),
        (lambda: UNet(RESIZED), unet_keys(RESIZED)),
        (lambda: Autoencoder(AutoencoderConfig()), AUTOENCODER_KEYS),
        (lambda: TextEncoder(TextEncoderConfig()), TEXT_ENCODER_KEYS),
        (lambda: ImageEncoder(ImageEncoderConfig()), IMAGE_ENCODER_KEYS),
        (lambda: CLIP(TextEncoderConfig(), ImageEncoderConfig()), CLIP_KEYS),
    ],
    ids=["unet", "mixed unet", "unet of residual blocks", "autoencoder", "text", "image", "clip"],
)
def test_every_name_goes_there_and_back(build, table: KeyTable) -> None:  # type: ignore[no-untyped-def]
    with torch.device("meta"):
        names = list(build().state_dict())
    foreign = [table.theirs(name) for name in names]
    assert len(set(foreign)) == len(names)
    assert [table.ours(name) for name in foreign] == names


def test_numbers_keep_their_places() -> None:
    table = KeyTable(rows=under("up.#", "up_blocks.#", (("block.#.a", "resnet.#.0.b"),)), ignored=("ids.#",))
    assert table.theirs("up.12.block.3.a.weight") == "up_blocks.12.resnet.3.0.b.weight"
    assert table.ours("up_blocks.12.resnet.3.0.b.bias") == "up.12.block.3.a.bias"
    assert table.ours("up_blocks.12.resnet.3.1.b.bias") is None
    assert table.ours("x.up_blocks.12.resnet.3.0.b") is None
    assert table.ignores("ids.4")
    assert not table.ignores("ids.4.more")


def test_a_hole_in_a_table_is_found() -> None:
    with pytest.raises(KeyError):
        KeyTable(rows=()).theirs("conv.weight")
