"""The autoencoder against diffusers', with the same random weights, through the files that both read."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file
from weights.references import TOLERANCE, noise, relative_error, scrambled

from safelight.weights import load_autoencoder, save_autoencoder


def reference(widths: tuple[int, ...], latent_channels: int = 4, **more: Any) -> AutoencoderKL:
    return scrambled(
        AutoencoderKL(
            block_out_channels=widths,
            down_block_types=("DownEncoderBlock2D",) * len(widths),
            up_block_types=("UpDecoderBlock2D",) * len(widths),
            norm_num_groups=8,
            latent_channels=latent_channels,
            **more,
        )
    )


@pytest.mark.parametrize(
    ("widths", "channels", "blocks", "size"),
    [((8, 16, 16), 3, 1, (32, 48)), ((8, 16, 16, 16), 4, 2, (64, 40))],
    ids=["f4", "f8"],
)
def test_the_same_latents_and_pictures_as_diffusers(
    widths: tuple[int, ...], channels: int, blocks: int, size: tuple[int, int], tmp_path: Path
) -> None:
    theirs = reference(widths, channels, layers_per_block=blocks)
    theirs.save_pretrained(tmp_path)
    ours = load_autoencoder(tmp_path)
    image = noise(2, 3, *size)
    with torch.no_grad():
        expected, distribution = theirs.encode(image).latent_dist, ours.encode(image)
        assert relative_error(distribution.mean, expected.mean) <= TOLERANCE
        assert relative_error(distribution.log_variance, expected.logvar) <= TOLERANCE
        draws = [d.sample(torch.Generator().manual_seed(3)) for d in (distribution, expected)]
        assert relative_error(*draws) <= TOLERANCE
        assert relative_error(ours.decode(expected.mean), theirs.decode(expected.mean).sample) <= TOLERANCE
    assert ours.config.factor == 2 ** (len(widths) - 1)


def test_diffusers_opens_what_we_write(tmp_path: Path) -> None:
    theirs = reference((8, 16), scaling_factor=0.08333)
    theirs.save_pretrained(tmp_path / "theirs")
    ours = load_autoencoder(tmp_path / "theirs")
    save_autoencoder(tmp_path / "ours", ours)
    again = AutoencoderKL.from_pretrained(tmp_path / "ours").eval()
    assert again.config.scaling_factor == ours.config.scale == 0.08333
    expected = theirs.state_dict()
    assert again.state_dict().keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in again.state_dict().items())
    with torch.no_grad():
        assert torch.equal(again.decode(noise(1, 4, 4, 4)).sample, theirs.decode(noise(1, 4, 4, 4)).sample)


def test_the_attention_names_of_old_files_are_read(tmp_path: Path) -> None:
    reference((8, 16)).save_pretrained(tmp_path)
    expected = load_autoencoder(tmp_path).state_dict()
    file = tmp_path / "diffusion_pytorch_model.safetensors"
    tensors = load_file(file)
    for today, before in (("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn")):
        tensors = {name.replace(f".{today}.", f".{before}."): tensor for name, tensor in tensors.items()}
    assert sum("proj_attn" in name for name in tensors) == 4
    save_file(tensors, file)
    found = load_autoencoder(tmp_path).state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in found.items())
