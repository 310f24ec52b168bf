"""Two models into one: every weight where the formula puts it, and nothing else moved."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tasks.family import FAMILY
from tiny_model import CAPTIONS, tiny_parts

import safelight
from safelight.apps.cli import main
from safelight.errors import BadInput
from safelight.merging import merge, merge_into
from safelight.text import Tokenizer
from safelight.unet import UNet
from safelight.weights import Parts, save_folder

Weights = dict[str, torch.Tensor]


def weights(parts: Parts, *names: str) -> Weights:
    """Copies of all tensors of these networks."""
    return {
        f"{name}.{key}": tensor.clone() for name in names for key, tensor in getattr(parts, name).state_dict().items()
    }


def read_and_drawn(parts: Parts) -> Weights:
    return weights(parts, "text_encoder", "unet")


def equal(one: Weights, other: Weights) -> bool:
    return one.keys() == other.keys() and all(torch.equal(tensor, other[key]) for key, tensor in one.items())


@pytest.mark.parametrize("share", [0.0, 0.25, 0.6, 1.0])
def test_the_mean(share: float) -> None:
    parts, other = tiny_parts(0), tiny_parts(1)
    own, far, autoencoder = read_and_drawn(parts), read_and_drawn(other), weights(parts, "autoencoder")
    merge_into(parts, other, share=share)
    for key, tensor in read_and_drawn(parts).items():
        assert torch.allclose(tensor, (1 - share) * own[key] + share * far[key], atol=1e-6), key
    assert equal(weights(parts, "autoencoder"), autoencoder)
    assert equal(read_and_drawn(other), far)
    if share in (0, 1):  # to the bit
        assert equal(read_and_drawn(parts), far if share else own)


def test_what_the_other_has_learnt_since_a_base() -> None:
    parts, other, base = (tiny_parts(seed) for seed in range(3))
    own, far, begun = (read_and_drawn(each) for each in (parts, other, base))
    merge_into(parts, other, base, share=0.7)
    for key, tensor in read_and_drawn(parts).items():
        assert torch.allclose(tensor, own[key] + 0.7 * (far[key] - begun[key]), atol=1e-6), key


def test_half_precision_is_summed_in_float32() -> None:
    parts, other = tiny_parts(0), tiny_parts(1)
    own, far = read_and_drawn(parts), read_and_drawn(other)
    for network in (parts.unet, parts.text_encoder):
        assert network is not None
        network.to(torch.bfloat16)
    merge_into(parts, other, share=0.5)
    for key, tensor in read_and_drawn(parts).items():
        if tensor.is_floating_point():
            assert tensor.dtype == torch.bfloat16
            assert torch.equal(tensor, own[key].bfloat16().float().lerp(far[key], 0.5).bfloat16()), key


@pytest.mark.parametrize("kind", ["unconditional", "class", "semantic"])
def test_models_without_words(kind: str) -> None:
    parts, other = FAMILY[kind](), FAMILY[kind]()
    learnt = [name for name in ("class_embedder", "rescaler", "unet") if getattr(other, name) is not None]
    with torch.no_grad():
        for name in learnt:
            for parameter in getattr(other, name).parameters():
                parameter.add_(1.0)
    own = weights(parts, *learnt)
    merge_into(parts, other, share=0.5)
    for name in learnt:
        moving = {key for key, _ in getattr(parts, name).named_parameters()}
        assert moving, name
        for key, tensor in getattr(parts, name).state_dict().items():
            moved = tensor - own[f"{name}.{key}"]
            assert torch.allclose(moved, moved.new_full((), 0.5 if key in moving else 0), atol=1e-3), (name, key)


def test_from_the_shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    beside = replace(tiny_parts(0), usual={"num_inference_steps": 3})
    save_folder(tmp_path / "a", beside)
    save_folder(tmp_path / "b", tiny_parts(1))
    words = ["merge", str(tmp_path / "a"), str(tmp_path / "b")]
    for out in ("c", "c.safetensors", "d"):
        more = ["--dtype", "int8"] if out == "d" else []
        assert main([*words, str(tmp_path / out), "--share", "0.25", *more]) == 0
        assert f"{out}: a, 0.25 of the way to b" in capsys.readouterr().out
    merge_into(beside, tiny_parts(1), share=0.25)
    folder, file, packed = (
        safelight.load(tmp_path / name, device="cpu").parts() for name in ("c", "c.safetensors", "d")
    )
    assert equal(read_and_drawn(folder), read_and_drawn(beside))
    assert equal(weights(file, "unet"), weights(beside, "unet"))
    assert folder.usual == {"num_inference_steps": 3}
    for key, tensor in read_and_drawn(packed).items():
        assert (tensor - read_and_drawn(beside)[key]).abs().max() <= 0.005 * tensor.abs().max(), key
    assert main([*words, str(tmp_path / "e"), "--base", str(tmp_path / "b")]) == 0
    assert "e: a, with 0.5 of what b has learnt since b" in capsys.readouterr().out
    assert equal(read_and_drawn(safelight.load(tmp_path / "e", device="cpu").parts()), read_and_drawn(tiny_parts(0)))


def test_what_cannot_be_merged() -> None:
    parts = tiny_parts(0)
    before = read_and_drawn(parts)
    wider = replace(tiny_parts(1), unet=UNet(replace(parts.unet.config, channels=(32, 96))))
    velocity = tiny_parts(1)
    velocity.schedule = replace(velocity.schedule, prediction="v")
    words = replace(tiny_parts(1), tokenizer=Tokenizer.train([*CAPTIONS, *["a blue fox"] * 9], size=600, length=77))
    for others, share, message in [
        ([tiny_parts(1)], 1.5, "share is 1.5; allowed: from 0"),
        ([tiny_parts(1)], float("nan"), "share is nan"),
        ([wider], 0.5, "UNets are of different shapes"),
        ([tiny_parts(1), wider], 0.5, "UNets are of different shapes"),
        ([velocity], 0.5, "predict epsilon and v"),
        ([words], 0.5, "different vocabularies"),
        ([FAMILY["unconditional"]()], 0.5, "One model has text_encoder, unet, the other unet"),
    ]:
        with pytest.raises(BadInput, match=message):
            merge_into(parts, *others, share=share)
    assert equal(read_and_drawn(parts), before)


def test_an_out_that_is_no_place(model_folder: Path, tmp_path: Path) -> None:
    for out, dtype, message in [
        (model_folder, None, "is there already"),
        (tmp_path / "x.safetensors", torch.int8, "eight bits are written in a folder"),
        (tmp_path / "x.ckpt", None, "ends in .ckpt"),
    ]:
        with pytest.raises(BadInput, match=message):
            merge(model_folder, model_folder, out, dtype=dtype)
    with pytest.raises(BadInput, match="share is 2; allowed"):  # before anything is opened
        merge(tmp_path / "absent", tmp_path / "absent", tmp_path / "x", share=2)
    assert not list(tmp_path.glob("x*"))
