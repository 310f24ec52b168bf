"""Files of weights that are damaged or do not fit: one error that says all, and never half a network."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from safelight.errors import BadCheckpoint, BadInput
from safelight.weights import load_text_encoder, load_unet
from safelight.weights.files import read_weights, write_tensors
from safelight.weights.strict import LISTED

FILE = "diffusion_pytorch_model.safetensors"


def changed(folder: Path, change: Callable[[dict[str, Tensor]], object]) -> Path:
    """The UNet's folder, after its tensors went through `change`."""
    tensors = {name: tensor.clone() for name, tensor in load_file(folder / "unet" / FILE).items()}
    change(tensors)
    save_file(tensors, folder / "unet" / FILE)
    return folder / "unet"


@pytest.mark.parametrize("kept", [0, 4, 8, 100, 0.5, 0.99, -1])
def test_a_truncated_file_is_refused(kept: float, folder: Path) -> None:
    file = folder / "unet" / FILE
    whole = file.read_bytes()
    file.write_bytes(whole[: int(kept * len(whole)) if isinstance(kept, float) else kept])
    with pytest.raises(BadCheckpoint, match=r"unet/diffusion_pytorch_model\.safetensors' is no whole safetensors file"):
        load_unet(folder / "unet")


@pytest.mark.parametrize(
    "content",
    [
        b"\xff" * 64,
        (10**15).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"[]",
        (64).to_bytes(8, "little") + b'{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,4]}}'.ljust(64) + b"1234",
        (64).to_bytes(8, "little") + b'{"a":{"dtype":"F9","shape":[1],"data_offsets":[0,4]}}'.ljust(64) + b"1234",
        b"PK\x03\x04 a renamed pickle" * 10,
    ],
    ids=["noise", "endless header", "list", "lying shape", "unknown type", "zip"],
)
def test_a_file_that_lies_is_refused(content: bytes, folder: Path) -> None:
    (folder / "unet" / FILE).write_bytes(content)
    with pytest.raises(BadCheckpoint, match="is no whole safetensors file"):
        load_unet(folder / "unet")


def test_everything_that_is_wrong_is_listed_at_once(folder: Path) -> None:
    def spoil(tensors: dict[str, Tensor]) -> None:
        del tensors["conv_in.weight"], tensors["mid_block.attentions.0.norm.bias"]
        tensors["conv_out.bias"] = torch.zeros(9)
        tensors["conv_out.weight"] = tensors["conv_out.weight"][..., 0].contiguous()
        tensors["down_blocks.7.resnets.0.conv1.weight"] = torch.zeros(2)
        tensors["lora.weight"] = torch.zeros(2)
        tensors["time_embedding.linear_1.bias"] = torch.zeros(64, dtype=torch.int64)

    with pytest.raises(BadCheckpoint) as raised:
        load_unet(changed(folder, spoil))
    message = str(raised.value)
    assert message.startswith("unet: the tensors of ")
    assert "2 missing: conv_in.weight; mid_block.attentions.0.norm.bias." in message
    assert "2 extra: down_blocks.7.resnets.0.conv1.weight; lora.weight." in message
    assert "2 misshapen: conv_out.bias is 9, expected 4; conv_out.weight is 4x16x3, expected 4x16x3x3." in message
    assert "1 of a wrong type: time_embedding.linear_1.bias is int64." in message


def test_a_long_list_is_cut_and_counted(folder: Path) -> None:
    def rename(tensors: dict[str, Tensor]) -> None:
        names = list(tensors)
        tensors.update({f"model.{name}": tensors.pop(name) for name in names})

    with pytest.raises(BadCheckpoint) as raised:
        load_unet(changed(folder, rename))
    total = len(load_file(folder / "unet" / FILE))
    assert f"{total} missing: " in str(raised.value)
    assert f"{total} extra: " in str(raised.value)
    assert str(raised.value).count(f", and {total - LISTED} more") == 2


def test_a_tensor_under_two_names_is_refused(folder: Path) -> None:
    file = folder / "text_encoder" / "model.safetensors"
    tensors = load_file(file)
    bare = {name.removeprefix("text_model."): tensor for name, tensor in tensors.items()}
    save_file({**bare, "text_model.final_layer_norm.bias": torch.zeros(24)}, file)
    with pytest.raises(BadCheckpoint, match=r"text encoder: .* 1 extra: .*final_layer_norm\.bias"):
        load_text_encoder(folder / "text_encoder")


def test_another_architecture_is_refused(folder: Path) -> None:
    (folder / "vae" / FILE).replace(folder / "unet" / FILE)
    with pytest.raises(BadCheckpoint, match=r"unet: .* missing: .* extra: .*decoder"):
        load_unet(folder / "unet")
    with pytest.raises(BadCheckpoint, match=r"_class_name is 'AutoencoderKL'; allowed"):
        load_unet(folder / "vae")


def test_nothing_is_left_on_the_meta_device_and_all_can_be_trained(folder: Path) -> None:
    network = load_unet(folder / "unet")
    assert {tensor.device.type for tensor in network.state_dict().values()} == {"cpu"}
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_nothing_is_drawn_at_random(folder: Path) -> None:
    before = torch.get_rng_state()
    load_unet(folder / "unet")
    assert torch.equal(torch.get_rng_state(), before)


def sharded(folder: Path) -> tuple[Path, dict[str, str]]:
    """The UNet's weights in two files and the index's map."""
    home = folder / "unet"
    tensors = load_file(home / FILE)
    (home / FILE).unlink()
    names = sorted(tensors)
    places: dict[str, str] = {}
    for number, part in enumerate((names[::2], names[1::2]), start=1):
        file = f"diffusion_pytorch_model-{number:05d}-of-00002.safetensors"
        save_file({name: tensors[name] for name in part}, home / file)
        places.update(dict.fromkeys(part, file))
    return home, places


def indexed(home: Path, places: dict[str, object]) -> Path:
    (home / f"{FILE}.index.json").write_text(json.dumps({"weight_map": places}))
    return home


def test_shards_are_put_together(theirs: Path, folder: Path) -> None:
    ours = load_unet(indexed(*sharded(folder))).state_dict()
    expected = load_unet(theirs / "unet").state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in ours.items())


def test_shards_of_a_variant_are_found(folder: Path) -> None:
    home, places = sharded(folder)
    (home / f"{FILE}.index.fp16.json").write_text(json.dumps({"weight_map": places}))
    with pytest.raises(BadCheckpoint, match="variant= one of: fp16"):
        load_unet(home)
    load_unet(home, variant="fp16")


def test_an_index_that_lies_is_refused(folder: Path) -> None:
    home, places = sharded(folder)
    with pytest.raises(BadCheckpoint, match="does not"):
        load_unet(
            indexed(home, {**places, "conv_in.weight": places["conv_in.bias"], "nowhere": places["conv_in.bias"]})
        )
    for escape in ("../vae/" + FILE, "/etc/passwd", "weights.bin", 3):
        with pytest.raises(BadCheckpoint, match="allowed: "):
            load_unet(indexed(home, {**places, "conv_in.weight": escape}))
    with pytest.raises(BadCheckpoint, match=r"model-9\.safetensors' cannot be read: there is no such file"):
        load_unet(indexed(home, {**places, "conv_in.weight": "diffusion_pytorch_model-9.safetensors"}))
    with pytest.raises(BadCheckpoint, match="weight_map is 3"):
        (home / f"{FILE}.index.json").write_text('{"weight_map": 3}')
        load_unet(home)


def test_a_missing_shard_lists_what_is_missing(folder: Path) -> None:
    home, places = sharded(folder)
    first = {name: file for name, file in places.items() if "00001" in file}
    with pytest.raises(BadCheckpoint, match=f"{len(places) - len(first)} missing"):
        load_unet(indexed(home, first))


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tensors(tmp_path / "model.safetensors", {"a": torch.ones(2)})

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(BadInput, match="No space left"):
        write_tensors(tmp_path / "model.safetensors", {"a": torch.zeros(2)})
    assert torch.equal(read_weights(tmp_path, "model")[1]["a"], torch.ones(2))
    assert [file.name for file in tmp_path.iterdir()] == ["model.safetensors"]


def test_tensors_in_another_layout_are_written_whole(tmp_path: Path) -> None:
    convolution = torch.arange(24.0).reshape(1, 2, 3, 4).to(memory_format=torch.channels_last)
    write_tensors(tmp_path / "model.safetensors", {"a": convolution, "b": torch.arange(6.0).reshape(2, 3).T})
    found = read_weights(tmp_path, "model")[1]
    assert torch.equal(found["a"], convolution)
    assert torch.equal(found["b"], torch.arange(6.0).reshape(2, 3).T)
