"""The tiny autoencoder against diffusers', and against TAESD's own row of layers, with the same random weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy
import pytest
import torch
from diffusers import AutoencoderTiny
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional
from weights.references import TOLERANCE, noise, relative_error, scrambled

from safelight.autoencoder import Autoencoder, TinyAutoencoder, WithTinyDecoder
from safelight.autoencoder.tiny import from_unit_range, to_unit_range
from safelight.configs import TinyAutoencoderConfig
from safelight.errors import BadCheckpoint, BadInput
from safelight.pipeline import Pipeline
from safelight.weights import (
    load_tiny_autoencoder,
    load_tiny_decoder,
    load_tiny_encoder,
    load_tiny_halves,
    save_tiny_autoencoder,
    save_tiny_halves,
)

ENCODER, DECODER = "taesd_encoder.safetensors", "taesd_decoder.safetensors"


def reference(width: int = 8, **more: object) -> AutoencoderTiny:
    widths = (width,) * 4
    return scrambled(AutoencoderTiny(encoder_block_out_channels=widths, decoder_block_out_channels=widths, **more))


@pytest.fixture
def theirs(tmp_path: Path) -> AutoencoderTiny:
    """In tmp_path / "theirs" as well."""
    made = reference()
    made.save_pretrained(tmp_path / "theirs")
    return made


@pytest.fixture
def halves(theirs: AutoencoderTiny, tmp_path: Path) -> Path:
    """A folder with its halves as the author numbers them: his decoder has one layer more in front."""
    for half, file, more in (("encoder", ENCODER, 0), ("decoder", DECODER, 1)):
        tensors = {}
        for name, tensor in getattr(theirs, half).layers.state_dict().items():
            number, _, rest = name.partition(".")
            tensors[f"{int(number) + more}.{rest}"] = tensor.clone()
        save_file(tensors, tmp_path / file)
    return tmp_path


@pytest.mark.parametrize(
    "more", [{}, {"latent_channels": 16}, {"num_encoder_blocks": (2, 1, 3, 1), "num_decoder_blocks": (1, 2, 1, 3)}]
)
def test_the_same_latents_and_pictures_as_diffusers(more: dict[str, object], tmp_path: Path) -> None:
    theirs = reference(**more)
    theirs.save_pretrained(tmp_path)
    ours = load_tiny_autoencoder(tmp_path)
    image, latent = noise(2, 3, 32, 48), 3 * noise(2, theirs.config.latent_channels, 4, 6)
    with torch.no_grad():
        assert relative_error(ours.encode(image).mean, theirs.encode(image).latents) <= TOLERANCE
        assert relative_error(ours.decode(latent), theirs.decode(latent).sample) <= TOLERANCE
    assert torch.equal(ours.encode(image).sample(), ours.encode(image).mean)
    assert relative_error(to_unit_range(latent), theirs.scale_latents(latent)) <= TOLERANCE
    inside = latent.clamp(-3, 3)
    assert relative_error(from_unit_range(to_unit_range(inside)), inside) <= TOLERANCE
    assert ours.config.factor == 8


def test_diffusers_opens_what_we_write(theirs: AutoencoderTiny, tmp_path: Path) -> None:
    save_tiny_autoencoder(tmp_path / "ours", load_tiny_autoencoder(tmp_path / "theirs"))
    again, report = AutoencoderTiny.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not any(report.values())
    expected = theirs.state_dict()
    assert again.state_dict().keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in again.state_dict().items())


def walk(tensors: dict[str, Tensor], x: Tensor, layers: list[str]) -> Tensor:
    """TAESD's halves as its author writes them down: a row of layers, each with its number (taesd.py)."""

    def conv(name: str, x: Tensor, stride: int = 1) -> Tensor:
        return functional.conv2d(x, tensors[f"{name}.weight"], tensors.get(f"{name}.bias"), stride, padding=1)

    steps: dict[str, Callable[[str, Tensor], Tensor]] = {
        "clamp": lambda _, x: torch.tanh(x / 3) * 3,
        "conv": conv,
        "halve": lambda name, x: conv(name, x, 2),
        "relu": lambda _, x: x.relu(),
        "double": lambda _, x: functional.interpolate(x, scale_factor=2.0),
        "block": lambda n, x: (
            conv(f"{n}.conv.4", conv(f"{n}.conv.2", conv(f"{n}.conv.0", x).relu()).relu()) + x
        ).relu(),
    }
    for number, layer in enumerate(layers):
        x = steps[layer](str(number), x)
    return x


def test_the_halves_of_the_author_are_read_each_from_its_file(halves: Path) -> None:
    down = ["halve", "block", "block", "block"]
    up = ["block", "block", "block", "double", "conv"]
    ours = load_tiny_halves(halves / ENCODER, halves / DECODER)
    image, latent = noise(1, 3, 32, 32), 3 * noise(1, 4, 4, 4)
    with torch.no_grad():
        expected = walk(load_file(halves / ENCODER), (image + 1) / 2, ["conv", "block", *down * 3, "conv"])
        assert relative_error(ours.encode(image).mean, expected) <= TOLERANCE
        expected = walk(load_file(halves / DECODER), latent, ["clamp", "conv", "relu", *up * 3, "block", "conv"])
        assert relative_error(ours.decode(latent), 2 * expected - 1) <= TOLERANCE
    assert ours.config == TinyAutoencoderConfig(width=8)
    assert load_tiny_encoder(halves / ENCODER).config == load_tiny_decoder(halves / DECODER).config == ours.config


def test_the_halves_come_back_bit_equal(halves: Path) -> None:
    (halves / "again").mkdir()
    save_tiny_halves(halves / "again" / ENCODER, halves / "again" / DECODER, load_tiny_autoencoder(halves / "theirs"))
    for file in (ENCODER, DECODER):
        expected, found = load_file(halves / file), load_file(halves / "again" / file)
        assert found.keys() == expected.keys()
        assert all(torch.equal(tensor, expected[name]) for name, tensor in found.items())


def test_a_pickled_half_is_read(halves: Path) -> None:
    torch.save(load_file(halves / DECODER), halves / "taesd_decoder.pth")
    found = load_tiny_decoder(halves / "taesd_decoder.pth").state_dict()
    expected = load_tiny_decoder(halves / DECODER).state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in found.items())


def test_halves_that_are_none_or_do_not_match_are_refused(halves: Path, tmp_path: Path) -> None:
    with pytest.raises(BadCheckpoint, match=r"tiny decoder: the tensors of .*taesd_encoder"):
        load_tiny_decoder(halves / ENCODER)
    with pytest.raises(BadCheckpoint, match="is no half of a tiny autoencoder"):
        load_tiny_encoder(halves / "theirs" / "diffusion_pytorch_model.safetensors")
    reference(latent_channels=16).save_pretrained(tmp_path / "wide")
    save_tiny_halves(tmp_path / "e", tmp_path / "d", load_tiny_autoencoder(tmp_path / "wide"))
    with pytest.raises(BadCheckpoint, match="latent_channels is 4, the tiny decoder's 16"):
        load_tiny_halves(halves / ENCODER, tmp_path / "d")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("act_fn", "gelu"),
        ("upsample_fn", "bilinear"),
        ("upsampling_scaling_factor", 4),
        ("latent_magnitude", 1),
        ("shift_factor", 0.1),
        ("out_channels", 4),
        ("decoder_block_out_channels", [8, 8, 8, 16]),
        ("encoder_block_out_channels", [64, 64, 64, 32]),
        ("num_encoder_blocks", [1, 3, 3]),
        ("num_encoder_blocks", [1, 3, 3, 10**6]),
        ("_class_name", "AutoencoderKL"),
    ],
)
def test_what_our_tiny_autoencoder_does_not_have_is_refused(
    field: str, value: object, theirs: AutoencoderTiny, tmp_path: Path
) -> None:
    file = tmp_path / "theirs" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), field: value}))
    with pytest.raises(BadCheckpoint, match=r"encoder_block" if field == "num_encoder_blocks" else field):
        load_tiny_autoencoder(tmp_path / "theirs")


def test_it_takes_the_place_of_a_models_autoencoder(model_folder: Path) -> None:
    from safelight.pipeline import load

    pipe = load(model_folder, device="cpu")
    pipe.autoencoder = TinyAutoencoder(TinyAutoencoderConfig(width=8)).eval()
    latent = noise(1, 4, 8, 8)
    with torch.no_grad():
        expected = ((pipe.autoencoder.decoder(latent)[0].clamp(-1, 1) + 1) * 127.5).round()
    drawn = torch.from_numpy(numpy.asarray(pipe.decode(latent)[0]).copy()).permute(2, 0, 1)
    assert torch.equal(drawn.float(), expected)  # scaled latents are its own
    result = pipe("a red apple", num_inference_steps=2, seed=1)
    assert result.images[0].size == (64, 64)
    assert isinstance(pipe, Pipeline)


def test_a_decoder_alone_decodes_for_a_models_autoencoder(model_folder: Path, halves: Path) -> None:
    from safelight.pipeline import load

    pipe = load(model_folder, device="cpu")
    large, decoder = pipe.autoencoder, load_tiny_decoder(halves / DECODER).eval()
    pipe.autoencoder = WithTinyDecoder(large, decoder)
    latent, image = noise(1, 4, 8, 8), noise(1, 3, 64, 64)
    with torch.no_grad():
        assert relative_error(pipe.decoded(latent / large.config.scale), decoder(latent)) <= TOLERANCE
        assert torch.equal(pipe.encoded(image).mean, large.encode(image).mean)
    assert pipe("a red apple", num_inference_steps=2, seed=1).images[0].size == (64, 64)
    with pytest.raises(BadInput, match="autoencoder's latent_channels is 3, the tiny decoder's 4"):
        WithTinyDecoder(Autoencoder(replace(large.config, latent_channels=3)), decoder)


def test_the_published_one_has_its_size() -> None:
    def count(network: torch.nn.Module) -> int:
        return sum(parameter.numel() for parameter in network.parameters())

    with torch.device("meta"):
        ours, theirs = TinyAutoencoder(TinyAutoencoderConfig()), AutoencoderTiny()
    assert (count(ours.encoder), count(ours.decoder)) == (count(theirs.encoder), count(theirs.decoder))
    assert count(ours) == 2_445_063
