"""From form to form and back: the same bytes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from adapters.low_rank import kohya, layers, matrices, write
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file
from tasks.family import FAMILY, built
from tiny_model import tiny_parts

import safelight
from safelight.adapters import Embedding, open_embedding, open_lora, save_embedding
from safelight.apps.cli import main
from safelight.autoencoder import TinyAutoencoder, WithTinyDecoder
from safelight.configs import TinyAutoencoderConfig
from safelight.converting import convert
from safelight.errors import BadCheckpoint, BadInput
from safelight.opening import BUNDLED
from safelight.pipeline import Pipeline
from safelight.text import TextEncoder
from safelight.unet import UNet
from safelight.weights import Parts, open_folder, save_autoencoder, save_folder, save_tiny_halves, save_unet
from safelight.weights.folder import FEW_STEPS
from safelight.weights.formats import read_file
from safelight.weights.single_file import save_single_file


def bytes_of(folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    """Every tensor of a folder."""
    files = sorted(folder.rglob("*.safetensors"))
    assert files
    return {str(file.relative_to(folder)): load_file(file) for file in files}


def same(one: dict[str, dict[str, torch.Tensor]], other: dict[str, dict[str, torch.Tensor]]) -> bool:
    return one.keys() == other.keys() and all(
        tensors.keys() == other[name].keys()
        and all(torch.equal(t, other[name][key]) and t.dtype == other[name][key].dtype for key, t in tensors.items())
        for name, tensors in one.items()
    )


@pytest.mark.parametrize("kind", [kind for kind in FAMILY if kind != "pixels"])
def test_a_model_to_one_file_and_back(kind: str, tmp_path: Path) -> None:
    save_folder(tmp_path / "a", FAMILY[kind]())
    convert(tmp_path / "a", tmp_path / "b.safetensors")
    convert(tmp_path / "b.safetensors", tmp_path / "c")
    convert(tmp_path / "c", tmp_path / "d.safetensors")
    assert same(bytes_of(tmp_path / "a"), bytes_of(tmp_path / "c"))
    assert same(*({"": load_file(tmp_path / f"{name}.safetensors")} for name in "bd"))
    b, d = (read_file(tmp_path / f"{name}.safetensors").metadata for name in "bd")
    assert b == d
    before, after = (safelight.load(tmp_path / name, device="cpu").parts() for name in ("a", "c"))
    for part in ("unet", "autoencoder", "text_encoder"):
        assert getattr(getattr(before, part), "config", None) == getattr(getattr(after, part), "config", None)
    assert (before.schedule, before.noise_schedule) == (after.schedule, after.noise_schedule)


def test_a_file_draws_what_its_folder_draws(tmp_path: Path, pipe: Pipeline, model_folder: Path) -> None:
    convert(model_folder, tmp_path / "m.safetensors")
    options = {"num_inference_steps": 2, "seed": 1}
    again = safelight.load(tmp_path / "m.safetensors", device="cpu")
    assert again("a", **options).images[0].tobytes() == pipe("a", **options).images[0].tobytes()


def test_in_half_precision(model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "half.safetensors"
    assert main(["convert", str(model_folder), str(out), "--dtype", "fp16"]) == 0
    floats = {t.dtype for t in load_file(out).values() if t.is_floating_point() and t.ndim > 1}
    assert floats == {torch.float16}
    assert "half.safetensors: the model tiny" in capsys.readouterr().out


def test_in_eight_bits(model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "small"
    assert main(["convert", str(model_folder), str(out), "--dtype", "int8"]) == 0
    assert "small: the model tiny" in capsys.readouterr().out
    for name, tensors in bytes_of(out).items():
        matrices = [tensor for tensor in tensors.values() if tensor.ndim > 1 and tensor.numel() >= 4096]
        assert matrices, name
        assert {tensor.dtype for tensor in matrices} == {torch.int8}
    before, after = (safelight.load(folder, device="cpu").parts() for folder in (model_folder, out))
    for part in ("unet", "autoencoder", "text_encoder"):
        own = getattr(before, part).state_dict()
        for name, tensor in getattr(after, part).state_dict().items():
            assert (tensor - own[name]).abs().max() <= 0.005 * own[name].abs().max(), name
    # An ordinary model: what it saves, others read.
    safelight.load(out, device="cpu").save(tmp_path / "plain")
    UNet2DConditionModel.from_pretrained(tmp_path / "plain" / "unet")


def test_an_unknown_dtype(model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", str(model_folder), str(tmp_path / "x"), "--dtype", "int4"]) != 0
    message = capsys.readouterr().err
    assert "'int4'" in message
    assert "int8" in message


@pytest.mark.parametrize("beside", ["few_steps", "tiny_decoder"])
def test_one_file_has_no_place_for_what_is_beside_a_model(beside: str, model_folder: Path, tmp_path: Path) -> None:
    files = {beside: model_folder / "unet" / "config.json"}
    parts = replace(tiny_parts(), **files, usual={"num_inference_steps": 3})
    save_folder(tmp_path / "a", parts)
    assert "without what it has beside it for few steps" in convert(tmp_path / "a", tmp_path / "b.safetensors")
    assert safelight.load(tmp_path / "b.safetensors", device="cpu").usual == {"num_inference_steps": 3}


def test_a_part_in_eight_bits(model_folder: Path, tmp_path: Path) -> None:
    convert(model_folder / "unet", tmp_path / "unet", dtype=torch.int8)
    (tensors,) = bytes_of(tmp_path / "unet").values()
    assert torch.int8 in {tensor.dtype for tensor in tensors.values()}


@pytest.mark.parametrize("part", ["unet", "autoencoder"])
def test_a_part_alone(part: str, tmp_path: Path) -> None:
    network = getattr(tiny_parts(), part)
    {"unet": save_unet, "autoencoder": save_autoencoder}[part](tmp_path / "a", network)
    convert(tmp_path / "a", tmp_path / "b.safetensors")
    convert(tmp_path / "b.safetensors", tmp_path / "c")
    assert same(bytes_of(tmp_path / "a"), bytes_of(tmp_path / "c"))


def test_an_embedding(tmp_path: Path) -> None:
    first = Embedding(word="<moon>", vectors=torch.randn(2, 32), name="it")
    save_embedding(tmp_path / "a.safetensors", first, "diffusers")
    convert(tmp_path / "a.safetensors", tmp_path / "b.pt", style="automatic1111")
    convert(tmp_path / "b.pt", tmp_path / "c.safetensors", style="diffusers")
    assert same(*({"": load_file(tmp_path / f"{name}.safetensors")} for name in "ac"))
    assert open_embedding(tmp_path / "b.pt").word == "<moon>"


def test_what_cannot_be_converted(model_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    save_embedding(tmp_path / "a.safetensors", Embedding(word="w", vectors=torch.randn(1, 4), name="it"))
    for source, out, options, message in [
        (model_folder, "there", {}, "is there already; name a new file"),
        (model_folder, "x", {"style": "kohya"}, "only a LoRA or an embedding is written in a style"),
        (tmp_path / "a.safetensors", "x.safetensors", {}, "say with style= which form; allowed: diffusers"),
        (tmp_path / "a.safetensors", "x.safetensors", {"style": "kohya"}, "style 'kohya'"),
        (tmp_path / "a.safetensors", "x", {"style": "plain", "dtype": torch.int8}, "an adapter keeps its own numbers"),
        (model_folder, "x.safetensors", {"dtype": torch.int8}, "eight bits are written in a folder"),
        (tmp_path / "absent", "x", {}, "is no folder and no file here"),
    ]:
        with pytest.raises(BadInput, match=message):
            convert(source, tmp_path / out, **options)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.safetensors", "there"]


def test_another_autoencoder(model_folder: Path, tmp_path: Path) -> None:
    other: Parts = tiny_parts(seed=3)
    save_autoencoder(tmp_path / "folder", other.autoencoder)
    convert(tmp_path / "folder", tmp_path / "file.safetensors")
    save_single_file(tmp_path / "model.safetensors", other)
    options = {"num_inference_steps": 2, "seed": 1}
    plain = safelight.load(model_folder, device="cpu")("a", **options).images[0].tobytes()
    drawn = {
        safelight.load(model_folder, device="cpu", autoencoder=tmp_path / name)("a", **options).images[0].tobytes()
        for name in ("folder", "file.safetensors")
    }
    assert len(drawn) == 1
    assert plain not in drawn
    with pytest.raises(BadInput, match="is no autoencoder but a UNet"):
        save_unet(tmp_path / "unet", other.unet)
        safelight.load(model_folder, autoencoder=tmp_path / "unet")


def test_a_tiny_decoder(model_folder: Path, tmp_path: Path) -> None:
    tiny = TinyAutoencoder(TinyAutoencoderConfig(width=16))
    save_tiny_halves(tmp_path / "e.safetensors", tmp_path / "d.safetensors", tiny)
    pipe = safelight.load(model_folder, device="cpu", autoencoder=tmp_path / "d.safetensors")
    assert isinstance(pipe.autoencoder, WithTinyDecoder)
    assert pipe("a", num_inference_steps=1, seed=1).images[0].size == (64, 64)
    pipe.save(tmp_path / "model")
    again = safelight.load(tmp_path / "model", device="cpu", fast=True)
    assert isinstance(again.autoencoder, WithTinyDecoder)
    pictures = [each("a", num_inference_steps=1, seed=1).images[0].tobytes() for each in (pipe, again)]
    assert pictures[0] == pictures[1]


def test_a_lora_through_every_style(model_folder: Path, tmp_path: Path) -> None:
    network = UNet2DConditionModel.from_pretrained(model_folder / "unet")
    write(tmp_path / "a.safetensors", kohya(matrices(network, layers(network)), {}))
    convert(tmp_path / "a.safetensors", tmp_path / "b.safetensors", style="diffusers")
    convert(tmp_path / "b.safetensors", tmp_path / "c", style="peft")
    convert(tmp_path / "c", tmp_path / "d.safetensors", style="kohya")
    before, after = load_file(tmp_path / "a.safetensors"), load_file(tmp_path / "d.safetensors")
    assert before.keys() == after.keys()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    pictures = set()
    for name in ("a.safetensors", "b.safetensors", "c", "d.safetensors"):
        pipe = safelight.load(model_folder, device="cpu")
        pipe.add_lora(tmp_path / name)
        pictures.add(pipe("a", num_inference_steps=2, seed=1).images[0].tobytes())
    assert len(pictures) == 1


def test_another_unet_and_text_encoder(model_folder: Path, tmp_path: Path) -> None:
    other = tiny_parts(seed=3)
    save_folder(tmp_path / "other", other)
    save_single_file(tmp_path / "other.safetensors", other)
    convert(model_folder, tmp_path / "model.safetensors")
    options = {"num_inference_steps": 2, "seed": 1}
    for slot in ("unet", "text_encoder"):
        pictures = [
            safelight.load(model, device="cpu", **{slot: source})("a", **options).images[0].tobytes()
            for model in (model_folder, tmp_path / "model.safetensors")
            for source in (tmp_path / "other", tmp_path / "other" / slot, tmp_path / "other.safetensors")
        ]
        assert len(set(pictures)) == 1
        assert pictures[0] != safelight.load(model_folder, device="cpu")("a", **options).images[0].tobytes()
    with pytest.raises(BadInput, match="is no text encoder but a UNet"):
        safelight.load(model_folder, text_encoder=tmp_path / "other" / "unet")


def test_a_unet_and_the_text_encoder_that_it_reads_may_come_together(model_folder: Path, tmp_path: Path) -> None:
    convert(model_folder, tmp_path / "model.safetensors")
    wide = wider_parts()
    save_folder(tmp_path / "wide", wide)
    with pytest.raises(BadCheckpoint, match="reads vectors 48 wide"):
        safelight.load(tmp_path / "model.safetensors", unet=tmp_path / "wide")
    both = {"unet": tmp_path / "wide", "text_encoder": tmp_path / "wide"}
    pictures = {
        safelight.load(model, device="cpu", **both)("a", num_inference_steps=2, seed=1).images[0].tobytes()
        for model in (model_folder, tmp_path / "model.safetensors")
    }
    assert len(pictures) == 1


def wider_parts() -> Parts:
    """A tiny model whose text vectors are 48 wide."""
    own = tiny_parts()
    assert isinstance(own.text_encoder, TextEncoder)
    text = replace(own.text_encoder.config, width=48, hidden_width=96)
    unet = replace(own.unet.config, context_width=48)
    return replace(own, text_encoder=built(lambda: TextEncoder(text)), unet=built(lambda: UNet(unet)))


def test_a_text_encoder_alone(model_folder: Path, tmp_path: Path) -> None:
    convert(model_folder / "text_encoder", tmp_path / "text")
    assert same(bytes_of(model_folder / "text_encoder"), bytes_of(tmp_path / "text"))


def test_a_lora_for_a_model_of_another_make(tmp_path: Path) -> None:
    own = BUNDLED / FEW_STEPS
    with pytest.raises(BadCheckpoint, match="no LoRA for this kind of model"):
        convert(own, tmp_path / "a.safetensors", style="kohya")
    assert main(["convert", str(own), str(tmp_path / "a.safetensors"), "--style", "kohya", "--for", "bundled"]) == 0
    convert(tmp_path / "a.safetensors", tmp_path / "b.safetensors", style="diffusers", made_for="bundled")
    unet = open_folder(BUNDLED).unet.config
    before, after = (open_lora(path, unet).unet for path in (own, tmp_path / "b.safetensors"))
    assert before.keys() == after.keys()
    assert all(torch.allclose(update.delta(), after[name].delta()) for name, update in before.items())


def test_eight_bits_that_were_interrupted_leave_nothing(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("safelight.weights.network_folder.pack_rows", interrupted)
    with pytest.raises(KeyboardInterrupt):
        convert(model_folder, tmp_path / "small", dtype=torch.int8)
    assert list(tmp_path.iterdir()) == []
