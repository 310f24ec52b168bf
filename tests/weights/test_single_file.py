"""A whole model in one file: every architecture there and back, and every way in which a file can be wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from safelight.catalog import PublishedModel, published
from safelight.errors import BadCheckpoint, BadInput
from safelight.text import TextEncoder
from safelight.weights import Parts, open_folder, save_folder
from safelight.weights.autoencoder_keys import AUTOENCODER_KEYS
from safelight.weights.formats import read_file
from safelight.weights.single_file import Given, open_part, open_single_file, save_single_file
from safelight.weights.strict import foreign_tensors
from weights.family import ARCHITECTURES, TOKENIZER, assert_equal, networks, small_parts

SD1, SD2 = published("sd-1.4"), published("sd-2.1")


@pytest.fixture(scope="module")
def sd1() -> Parts:
    return small_parts(SD1)


@pytest.fixture(scope="module")
def whole(sd1: Parts, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tensor]:
    """The tensors of a file of SD 1's architecture."""
    save_single_file(path := tmp_path_factory.mktemp("whole") / "model.safetensors", sd1)
    return load_file(path)


def written(tmp_path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> Path:
    save_file(tensors, path := tmp_path / "changed.safetensors", metadata)
    return path


# The heads of these are not as wide on every level, which diffusers' UNet2DModel cannot say: they have no folder.
NO_FOLDER = ("ldm-lsun-churches", "ldm-inpainting")


@pytest.mark.parametrize("row", ARCHITECTURES, ids=lambda row: row.name)
def test_every_architecture_goes_from_file_to_file_bit_equal(row: PublishedModel, tmp_path: Path) -> None:
    parts = small_parts(row)
    save_single_file(tmp_path / "first.safetensors", parts)
    opened = open_single_file(tmp_path / "first.safetensors")
    assert_equal(opened, parts)
    assert opened.task == row.task or row.vocabulary == "bert"
    save_single_file(tmp_path / "second.safetensors", opened)
    first, second = (read_file(tmp_path / f"{name}.safetensors") for name in ("first", "second"))
    assert first.metadata == second.metadata
    assert first.tensors.keys() == second.tensors.keys()
    assert all(torch.equal(tensor, second.tensors[name]) for name, tensor in first.tensors.items())


@pytest.mark.parametrize("row", [row for row in ARCHITECTURES if row.name not in NO_FOLDER], ids=lambda row: row.name)
def test_every_architecture_goes_from_folder_to_file_and_back_bit_equal(row: PublishedModel, tmp_path: Path) -> None:
    save_folder(tmp_path / "first", small_parts(row))
    save_single_file(tmp_path / "model.safetensors", open_folder(tmp_path / "first"))
    save_folder(tmp_path / "second", open_single_file(tmp_path / "model.safetensors"))
    files = [file for file in (tmp_path / "first").rglob("*") if file.is_file()]
    assert len(files) >= 6
    for file in files:
        assert file.read_bytes() == (tmp_path / "second" / file.relative_to(tmp_path / "first")).read_bytes(), file


@pytest.mark.parametrize("row", [SD1, SD2, published("ldm-imagenet")], ids=lambda row: row.name)
def test_without_our_metadata_the_weights_are_the_same(row: PublishedModel, tmp_path: Path) -> None:
    parts = small_parts(row)
    save_single_file(path := tmp_path / "model.safetensors", parts)
    path = written(tmp_path, load_file(path))
    opened = open_single_file(path, prediction="v", given=Given(tokenizer=parts.tokenizer))
    for name, network in networks(parts).items():
        for key, tensor in network.state_dict().items():
            assert torch.equal(tensor, networks(opened)[name].state_dict()[key])
    assert opened.schedule == replace(row.schedule, prediction="v")
    assert opened.autoencoder.config.scale == pytest.approx(row.autoencoder.scale, rel=1e-3)


def test_a_pickle_as_lightning_writes_it_in_half_precision(
    sd1: Parts, whole: dict[str, Tensor], tmp_path: Path
) -> None:
    half = {name: tensor.half() for name, tensor in whole.items()}
    torch.save({"state_dict": half, "global_step": 470000, "epoch": 3}, path := tmp_path / "model.ckpt")
    opened = open_single_file(path, given=Given(tokenizer=TOKENIZER))
    assert {parameter.dtype for parameter in opened.unet.parameters()} == {torch.float16}
    for key, tensor in sd1.unet.state_dict().items():
        assert torch.equal(tensor.half(), opened.unet.state_dict()[key])
    assert opened.schedule == sd1.schedule
    converted = open_single_file(path, torch.float32, given=Given(tokenizer=TOKENIZER))
    assert {parameter.dtype for parameter in converted.autoencoder.parameters()} == {torch.float32}


def test_averaged_weights_are_taken_unless_the_raw_ones_are_asked_for(
    sd1: Parts, whole: dict[str, Tensor], tmp_path: Path
) -> None:
    averaged = {
        "model_ema." + name.removeprefix("model.").replace(".", ""): tensor + 1
        for name, tensor in whole.items()
        if name.startswith("model.diffusion_model.")
    }
    marks = {"model_ema.decay": torch.tensor(0.9999), "model_ema.num_updates": torch.tensor(5)}
    path = written(tmp_path, {**whole, **averaged, **marks})
    given = Given(tokenizer=TOKENIZER)
    expected = sd1.unet.state_dict()
    for weights, more in (("averaged", 1.0), ("raw", 0.0)):
        opened = open_single_file(path, weights=weights, given=given).unet.state_dict()
        assert all(torch.equal(opened[name], expected[name] + more) for name in expected)
    averaged.popitem()
    path = written(tmp_path, {**whole, **averaged, **marks})
    with pytest.raises(BadCheckpoint, match="have a moving average"):
        open_single_file(path, given=given)
    open_single_file(path, weights="raw", given=given)


def test_parts_of_two_families_are_refused_with_the_dimension(whole: dict[str, Tensor], tmp_path: Path) -> None:
    other = small_parts(SD2)
    other.text_encoder = TextEncoder(replace(other.text_encoder.config, width=64, heads=2, projection_width=64))
    mixed = {name: tensor for name, tensor in whole.items() if not name.startswith("cond_stage_model.")}
    from safelight.weights.original import open_clip_text_keys

    table = open_clip_text_keys(other.text_encoder.config, 2)
    mixed |= {f"cond_stage_model.model.{name}": t for name, t in foreign_tensors(other.text_encoder, table).items()}
    with pytest.raises(BadCheckpoint, match="the text encoder is 64 wide, the UNet reads vectors 48 wide"):
        open_single_file(written(tmp_path, mixed), given=Given(tokenizer=TOKENIZER))


@pytest.mark.parametrize(
    ("kept", "missing"),
    [
        ("model.diffusion_model.", "autoencoder, text_encoder"),
        ("first_stage_model.", "unet"),
        ("cond_stage_model.", "unet, autoencoder"),
    ],
)
def test_half_a_model_says_what_is_missing(kept: str, missing: str, whole: dict[str, Tensor], tmp_path: Path) -> None:
    half = {name: tensor for name, tensor in whole.items() if name.startswith(kept)}
    with pytest.raises(BadCheckpoint, match=f"also needs {missing} "):
        open_single_file(written(tmp_path, half))


def test_all_faults_of_all_parts_are_listed(whole: dict[str, Tensor], tmp_path: Path) -> None:
    spoilt = dict(whole)
    del spoilt["model.diffusion_model.out.2.bias"]
    spoilt["model.diffusion_model.out.0.weight"] = torch.zeros(7)
    spoilt["model.diffusion_model.out.9.weight"] = torch.zeros(7)
    del spoilt["first_stage_model.decoder.mid.attn_1.q.weight"]
    spoilt["first_stage_model.encoder.mid.attn_1.k.weight"] = torch.zeros(64, 64)
    with pytest.raises(BadCheckpoint) as error:
        open_single_file(written(tmp_path, spoilt))
    message = str(error.value)
    for fault in (
        "unet: ",
        "1 missing: out.2.bias",
        "1 extra: out.9.weight",
        "out.0.weight is 7, expected 32",
        "autoencoder: ",
        "1 missing: decoder.mid.attn_1.q.weight",
        "encoder.mid.attn_1.k.weight is 64x64, expected 64x64x1x1",
    ):
        assert fault in message


def test_tensors_of_no_part_are_listed(whole: dict[str, Tensor], tmp_path: Path) -> None:
    path = written(tmp_path, {**whole, "strange.weight": torch.zeros(1), "odd": torch.zeros(1)})
    with pytest.raises(BadCheckpoint, match=r"2 tensors belong to no part: (odd; strange|strange.weight; odd)"):
        open_single_file(path)


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["lora_unet_mid_block_attentions_0_proj_in.lora_down.weight"], "is a LoRA"),
        (["<cat>"], "is a textual-inversion embedding"),
        (["control_model.input_hint_block.0.weight"], "is a ControlNet"),
        (["conditioner.embedders.0.transformer.weight"], "is of Stable Diffusion XL"),
        (["nonsense"], "holds no part that is known"),
    ],
)
def test_what_is_no_model_is_named(names: list[str], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(BadCheckpoint, match=sentence):
        open_single_file(written(tmp_path, {name: torch.zeros(2, 2) for name in names}))


def test_given_parts_take_the_place_of_the_files(sd1: Parts, whole: dict[str, Tensor], tmp_path: Path) -> None:
    unet = {name: tensor for name, tensor in whole.items() if name.startswith("model.")}
    given = Given(tokenizer=TOKENIZER, text_encoder=sd1.text_encoder, autoencoder=sd1.autoencoder)
    opened = open_single_file(written(tmp_path, unet), given=given)
    assert opened.text_encoder is sd1.text_encoder
    assert torch.equal(opened.unet.conv_in.weight, sd1.unet.conv_in.weight)


def test_a_note_that_the_shapes_deny_is_refused(sd1: Parts, whole: dict[str, Tensor], tmp_path: Path) -> None:
    from safelight.weights.recognition.notes import write_notes

    other = replace(sd1, unet=nn.Module())
    other.unet.config = replace(sd1.unet.config, blocks_per_level=2)
    with pytest.raises(BadCheckpoint, match="metadata describes another unet"):
        open_single_file(written(tmp_path, whole, write_notes(other)))
    with pytest.raises(BadCheckpoint, match="metadata 'safelight'"):
        open_single_file(written(tmp_path, whole, {"safelight": '{"unet": {"is": "os.system"}}'}))


def test_an_unknown_noise_law_is_refused(whole: dict[str, Tensor], tmp_path: Path) -> None:
    law = torch.linspace(0.9, 0.1, 1000)
    with pytest.raises(BadCheckpoint, match="noise law in 'alphas_cumprod' is unknown"):
        open_single_file(written(tmp_path, {**whole, "alphas_cumprod": law}), given=Given(tokenizer=TOKENIZER))


def test_a_mark_of_zero_terminal_snr_stands_above_the_buffers(whole: dict[str, Tensor], tmp_path: Path) -> None:
    given = Given(tokenizer=TOKENIZER)
    laws = [
        open_single_file(written(tmp_path, {**whole, **mark}), given=given).schedule
        for mark in ({}, {"ztsnr": torch.zeros(0)})
    ]
    assert [law.zero_terminal_snr for law in laws] == [False, True]
    assert replace(laws[1], zero_terminal_snr=False) == laws[0]


def test_a_file_notes_what_suits_its_model(sd1: Parts, tmp_path: Path) -> None:
    path, usual = tmp_path / "model.safetensors", {"num_inference_steps": 3, "grid": None}
    save_single_file(path, replace(sd1, sampler="lcm", usual=usual))
    again = open_single_file(path, given=Given(tokenizer=TOKENIZER))
    assert (again.sampler, again.usual) == ("lcm", usual)
    for noted in ({"sampler": "fast"}, {"usual": {"speed": 1}}):
        with pytest.raises(BadCheckpoint, match="metadata 'safelight' of the file cannot be read"):
            open_single_file(written(tmp_path, load_file(path), {"safelight": json.dumps(noted)}))


def test_what_no_mark_tells_is_probed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts, given = small_parts(SD2), Given(tokenizer=TOKENIZER)
    with torch.no_grad():
        parts.unet.conv_out.weight.zero_()  # its answer holds nothing of the noise
        parts.unet.conv_out.bias.zero_()
    save_single_file(path := tmp_path / "model.safetensors", parts)
    path = written(tmp_path, load_file(path))
    assert open_single_file(path, given=given).schedule.prediction == "v"
    assert open_single_file(path, given=given, prediction="x0").schedule.prediction == "x0"
    assert open_single_file(written(tmp_path, load_file(path), {"modelspec.prediction_type": "epsilon"}),
                            given=given).schedule.prediction == "epsilon"  # fmt: skip
    monkeypatch.setattr("safelight.weights.single_file.probed_prediction", lambda *_: None)
    with pytest.raises(BadCheckpoint, match="epsilon or v cannot be told from its weights; pass prediction="):
        open_single_file(written(tmp_path, load_file(path)), given=given)


@pytest.mark.parametrize("kind", ["unet", "autoencoder", "text_encoder"])
def test_a_part_comes_out_of_a_whole_file_alone(
    kind: str, sd1: Parts, whole: dict[str, Tensor], tmp_path: Path
) -> None:
    found, network = open_part(written(tmp_path, whole), kind=kind)
    expected = getattr(sd1, kind).state_dict()
    assert found == kind
    assert all(torch.equal(tensor, expected[name]) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize("prefix", ["", "first_stage_model."])
def test_an_autoencoder_alone_with_and_without_its_prefix(
    prefix: str, sd1: Parts, whole: dict[str, Tensor], tmp_path: Path
) -> None:
    start = "first_stage_model."
    own = {prefix + name.removeprefix(start): tensor for name, tensor in whole.items() if name.startswith(start)}
    own["loss.logvar" if not prefix else "first_stage_model.loss.logvar"] = torch.zeros(())
    kind, network = open_part(written(tmp_path, own))
    assert kind == "autoencoder"
    assert torch.equal(network.decoder.conv_in.weight, sd1.autoencoder.decoder.conv_in.weight)


def test_an_autoencoder_alone_in_the_diffusers_layout(sd1: Parts, tmp_path: Path) -> None:
    _, network = open_part(written(tmp_path, foreign_tensors(sd1.autoencoder, AUTOENCODER_KEYS)))
    assert network.config == sd1.autoencoder.config


def test_a_file_with_several_parts_asks_which(whole: dict[str, Tensor], tmp_path: Path) -> None:
    with pytest.raises(BadCheckpoint, match="holds unet, autoencoder, text_encoder; needed: one network"):
        open_part(written(tmp_path, whole))


def test_what_cannot_be_written_is_refused_before_anything_is(sd1: Parts, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"written as \.safetensors"):
        save_single_file(tmp_path / "model.ckpt", sd1)
    from safelight.autoencoder import Pixels

    pixels = small_parts(published("ldm-celebahq"))
    with pytest.raises(BadInput, match="is a Pixels"):
        save_single_file(tmp_path / "model.safetensors", replace(pixels, autoencoder=Pixels()))
    assert not list(tmp_path.iterdir())
