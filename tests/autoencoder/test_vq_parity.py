"""VQ autoencoders, and attention where Stable Diffusion's has none, against diffusers' with the same random weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, VQModel
from safetensors.torch import load_file, save_file
from weights.references import TOLERANCE, noise, relative_error, scrambled

from safelight.autoencoder import Point
from safelight.weights import load_autoencoder, save_autoencoder


def reference(kind: Any, widths: tuple[int, ...], attends: tuple[bool, ...], **more: Any) -> Any:
    down = tuple("AttnDownEncoderBlock2D" if each else "DownEncoderBlock2D" for each in attends)
    up = tuple("AttnUpDecoderBlock2D" if each else "UpDecoderBlock2D" for each in attends[::-1])
    network = kind(block_out_channels=widths, down_block_types=down, up_block_types=up, norm_num_groups=8, **more)
    return scrambled(network)


# The shapes of the paper's first stages, narrower: (widths, attends, options).
VQ: dict[str, tuple[tuple[int, ...], tuple[bool, ...], dict[str, Any]]] = {
    "vq-f2": ((8, 16), (False, False), {"num_vq_embeddings": 40, "latent_channels": 2}),
    "vq-f4": ((8, 16, 32), (False,) * 3, {"num_vq_embeddings": 40}),
    "vq-f4-noattn": ((8, 16, 32), (False,) * 3, {"num_vq_embeddings": 40, "mid_block_add_attention": False}),
    "vq-f8": ((8, 16, 16, 32), (False, False, False, True), {"num_vq_embeddings": 40, "latent_channels": 4}),
    "vq-f16": ((8, 8, 16, 16, 32), (False,) * 4 + (True,), {"num_vq_embeddings": 40, "latent_channels": 8}),
}
KL: dict[str, tuple[tuple[int, ...], tuple[bool, ...], dict[str, Any]]] = {
    "kl-f16": ((8, 8, 16, 16, 32), (False,) * 4 + (True,), {"latent_channels": 16}),
    "kl-f32": ((8, 8, 16, 16, 32, 32), (False,) * 4 + (True,) * 2, {"latent_channels": 64}),
    "attention in the middle levels": ((8, 16, 16), (False, True, False), {}),
    "no attention at all": ((8, 16), (False, False), {"mid_block_add_attention": False}),
    "no latent convolutions": ((8, 16), (False, False), {"use_quant_conv": False, "use_post_quant_conv": False}),
}


@pytest.mark.parametrize("name", VQ)
def test_the_same_latents_codes_and_pictures_as_vqmodel(name: str, tmp_path: Path) -> None:
    widths, attends, more = VQ[name]
    theirs = reference(VQModel, widths, attends, layers_per_block=2, **more)
    theirs.save_pretrained(tmp_path)
    ours = load_autoencoder(tmp_path)
    image = noise(2, 3, 64, 32)
    with torch.no_grad():
        expected, found = theirs.encode(image).latents, ours.encode(image)
        assert isinstance(found, Point)
        assert relative_error(found.mean, expected) <= TOLERANCE
        latent = 0.02 * noise(*expected.shape)  # of the size of the codebook's entries
        assert torch.equal(ours.codebook(latent).indices.flatten(), theirs.quantize(latent)[2][2])
        assert relative_error(ours.decode(latent), theirs.decode(latent).sample) <= TOLERANCE
        quantised = ours.codebook(latent)
        terms = quantised.commitment_error + 0.25 * quantised.codebook_error
        assert relative_error(terms, theirs.quantize(latent)[1]) <= TOLERANCE
    assert ours.config.factor == 2 ** (len(widths) - 1)
    assert len(ours.codebook(noise(*expected.shape)).indices.unique()) > 1


@pytest.mark.parametrize("name", KL)
def test_the_same_distributions_and_pictures_as_autoencoderkl(name: str, tmp_path: Path) -> None:
    widths, attends, more = KL[name]
    theirs = reference(AutoencoderKL, widths, attends, **more)
    theirs.save_pretrained(tmp_path)
    ours = load_autoencoder(tmp_path)
    image = noise(2, 3, 64, 32)
    with torch.no_grad():
        expected, found = theirs.encode(image).latent_dist, ours.encode(image)
        assert relative_error(found.mean, expected.mean) <= TOLERANCE
        assert relative_error(found.log_variance, expected.logvar) <= TOLERANCE
        latent = noise(*expected.mean.shape)
        assert relative_error(ours.decode(latent), theirs.decode(latent).sample) <= TOLERANCE


@pytest.mark.parametrize("name", [*VQ, *KL])
def test_diffusers_opens_what_we_write(name: str, tmp_path: Path) -> None:
    kind, (widths, attends, more) = (VQModel, VQ[name]) if name in VQ else (AutoencoderKL, KL[name])
    theirs = reference(kind, widths, attends, scaling_factor=0.5, **more)
    theirs.save_pretrained(tmp_path / "theirs")
    save_autoencoder(tmp_path / "ours", load_autoencoder(tmp_path / "theirs"))
    again, report = kind.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not any(report.values())
    expected = theirs.state_dict()
    assert again.state_dict().keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in again.state_dict().items())
    assert load_autoencoder(tmp_path / "ours").config == load_autoencoder(tmp_path / "theirs").config
    assert again.config.scaling_factor == 0.5


def test_a_point_draws_nothing_from_the_generator() -> None:
    generator = torch.Generator().manual_seed(3)
    before = generator.get_state()
    mean = noise(2, 3, 4, 4)
    assert torch.equal(Point(mean).sample(generator), mean)
    assert torch.equal(generator.get_state(), before)
    assert torch.equal(Point(mean).kl(), torch.zeros(2))


def test_a_vqmodel_that_gives_no_scale_has_one(tmp_path: Path) -> None:
    """The paper trained its VQ models on latents as they are; diffusers' default is the KL autoencoder's number."""
    reference(VQModel, *VQ["vq-f4"][:2]).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config.pop("scaling_factor") == 0.18215
    assert load_autoencoder(tmp_path).config.scale == 0.18215
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert load_autoencoder(tmp_path).config.scale == 1


def test_the_attention_names_of_old_files_are_read_on_every_level(tmp_path: Path) -> None:
    reference(VQModel, *VQ["vq-f8"][:2]).save_pretrained(tmp_path)
    expected = load_autoencoder(tmp_path).state_dict()
    file = tmp_path / "diffusion_pytorch_model.safetensors"
    tensors = load_file(file)
    for today, before in (("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn")):
        tensors = {name.replace(f".{today}.", f".{before}."): tensor for name, tensor in tensors.items()}
    assert sum("proj_attn" in name for name in tensors) > 4
    save_file(tensors, file)
    found = load_autoencoder(tmp_path).state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in found.items())
