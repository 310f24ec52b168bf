"""What the UNet asks for, and what a ControlNet adds to it."""

import pytest
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor
from weights.references import TOLERANCE, noise, relative_error, scrambled

from safelight.configs import UNetConfig
from safelight.errors import BadInput
from safelight.unet import Residuals, UNet
from safelight.weights import load_unet

SMALL = UNetConfig(
    channels=(8, 16), blocks_per_level=1, attention=("none", "cross"), heads=(2, 2), groups=4, context_width=6
)
SKIPS = ((8, 8, 8), (8, 8, 8), (8, 4, 4), (16, 4, 4))  # (c, h, w): the first convolution, a block, a halving, a block


def small(**changes: object) -> UNet:
    return scrambled(UNet(UNetConfig(**{**vars(SMALL), **changes})))


def added(scale: float = 1.0) -> tuple[list[Tensor], Tensor]:
    return [scale * noise(2, *shape, seed=i) for i, shape in enumerate(SKIPS)], scale * noise(2, 16, 4, 4, seed=9)


def test_residuals_go_where_a_controlnet_puts_them(tmp_path) -> None:  # type: ignore[no-untyped-def]
    theirs = scrambled(
        UNet2DConditionModel(
            block_out_channels=(8, 16),
            layers_per_block=1,
            norm_num_groups=4,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=6,
            attention_head_dim=2,
        )
    )
    theirs.save_pretrained(tmp_path)
    ours, latent, context = load_unet(tmp_path), noise(2, 4, 8, 8), noise(2, 3, 6, seed=2)
    skips, middle = added()
    with torch.no_grad():
        expected = theirs(
            latent, 5, context, down_block_additional_residuals=tuple(skips), mid_block_additional_residual=middle
        ).sample
        assert relative_error(ours(latent, 5, context, residuals=(skips, middle)), expected) <= TOLERANCE
        assert relative_error(ours(latent, 5, context), expected) > 0.01
        nothing = Residuals(*added(scale=0.0))
        assert torch.equal(ours(latent, 5, context, residuals=nothing), ours(latent, 5, context))


def test_residuals_of_another_unet_are_refused() -> None:
    skips, middle = added()
    with pytest.raises(BadInput, match="3 tensors for 4 skip connections"):
        small()(noise(2, 4, 8, 8), 5, noise(2, 3, 6), residuals=(skips[1:], middle))
    with pytest.raises(BadInput, match=r"residuals.*\(2, 8, 4, 4\).*\(2, 8, 8, 8\)"):
        small()(noise(2, 4, 8, 8), 5, noise(2, 3, 6), residuals=([skips[2], *skips[1:]], middle))


@pytest.mark.parametrize(
    ("changes", "given", "message"),
    [
        ({"classes": 5}, {}, "knows 5 classes: it needs `class_label` .* got None"),
        ({"classes": 5}, {"class_label": noise(1, 5)}, r"5 classes.*got float32 \(1, 5\)"),
        ({"class_vector": 3}, {}, r"needs `class_label` \(b, 3\) of floats, got None"),
        ({"class_vector": 3}, {"class_label": torch.tensor([1])}, r"\(b, 3\) of floats, got int64 \(1,\)"),
        ({"guidance_width": 8}, {}, "needs `guidance`"),
        ({}, {"context": None}, "needs `context`"),
    ],
)
def test_it_says_what_it_needs(changes: dict[str, int], given: dict[str, Tensor | None], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        small(**changes)(noise(1, 4, 8, 8), 3, **{"context": noise(1, 7, 6), **given})


def test_guidance_changes_what_a_distilled_unet_predicts() -> None:
    unet, latent, context = small(guidance_width=8), noise(2, 4, 8, 8), noise(2, 7, 6)
    with torch.no_grad():
        weak, strong, both = (unet(latent, 3, context, guidance=g) for g in (1.0, 8.0, torch.tensor([1.0, 8.0])))
    assert torch.allclose(both, torch.stack([weak[0], strong[1]]), atol=1e-6)
    assert not torch.allclose(weak, strong, atol=1e-4)


def test_a_pooled_text_reaches_the_finest_level() -> None:
    unet, latent = small(pooling_heads=2), noise(1, 4, 8, 8)
    with torch.no_grad():
        apple, fox = (unet.embed(latent, 3, context=noise(1, 7, 6, seed=seed)) for seed in (1, 2))
    assert not torch.allclose(apple, fox, atol=1e-4)


@pytest.mark.parametrize("size", [(8, 8), (7, 9), (13, 6)])
def test_residual_resampling_gives_odd_sizes_back(size: tuple[int, int]) -> None:
    unet = small(resampling="residual", modulation="scale_and_shift")
    with torch.no_grad():
        assert unet(noise(1, 4, *size), 3, noise(1, 7, 6)).shape == (1, 4, *size)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": 5, "class_vector": 3}, "one of them must be 0"),
        ({"guidance_width": 7}, "even"),
        ({"guidance_width": 2}, "an even number from 4"),
        ({"guidance_width": -2}, "an even number from 4"),
        ({"classes": -1}, "classes is -1"),
        ({"class_vector": -1}, "class_vector is -1"),
        ({"pooling_heads": 4}, "pooling_heads is 4; it must divide 6"),
        (
            {"pooling_heads": 2, "attention": ("none",) * 2, "middle_attention": "self"},
            "reads no context",
        ),
    ],
)
def test_a_shape_that_cannot_be_is_refused(changes: dict[str, int], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        UNetConfig(**{**vars(SMALL), **changes})
