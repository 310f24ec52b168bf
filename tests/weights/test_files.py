"""Which file of a folder is read: safetensors before .bin, one file before shards, and the variant asked for."""

import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from safelight.errors import BadCheckpoint
from safelight.weights import load_text_encoder, load_unet, open_folder
from safelight.weights.files import read_weights
from weights.formats.hostile import REDUCERS

STEM = "diffusion_pytorch_model"


def as_bin(home: Path, safetensors: str, name: str) -> dict[str, Tensor]:
    """Replace a safetensors file by a .bin of the same tensors."""
    tensors = load_file(home / safetensors)
    (home / safetensors).unlink()
    torch.save(tensors, home / name)
    return tensors


def same(folder: Path, theirs: Path, **options: str) -> bool:
    ours, expected = load_unet(folder, **options).state_dict(), load_unet(theirs).state_dict()
    return ours.keys() == expected.keys() and all(torch.equal(ours[name], expected[name]) for name in ours)


def test_a_whole_folder_of_bin_files_opens(theirs: Path, folder: Path) -> None:
    as_bin(folder / "unet", f"{STEM}.safetensors", f"{STEM}.bin")
    as_bin(folder / "vae", f"{STEM}.safetensors", f"{STEM}.bin")
    as_bin(folder / "text_encoder", "model.safetensors", "pytorch_model.bin")
    ours, expected = open_folder(folder), open_folder(theirs)
    for name in ("unet", "autoencoder", "text_encoder"):
        mine, peer = getattr(ours, name).state_dict(), getattr(expected, name).state_dict()
        assert mine.keys() == peer.keys()
        assert all(torch.equal(mine[key], peer[key]) for key in mine)


def test_safetensors_come_first(folder: Path, theirs: Path) -> None:
    torch.save({"conv_in.weight": torch.zeros(1)}, folder / "unet" / f"{STEM}.bin")
    assert same(folder / "unet", theirs / "unet")


@pytest.mark.parametrize("ending", ["safetensors", "bin"])
def test_a_variant_is_another_file(ending: str, folder: Path, theirs: Path) -> None:
    home = folder / "unet"
    if ending == "bin":
        as_bin(home, f"{STEM}.safetensors", f"{STEM}.fp16.bin")
    else:
        (home / f"{STEM}.safetensors").rename(home / f"{STEM}.fp16.safetensors")
    assert same(home, theirs / "unet", variant="fp16")
    with pytest.raises(BadCheckpoint, match=r"safetensors' is missing\. Another variant is there; .* one of: fp16\."):
        load_unet(home)
    with pytest.raises(BadCheckpoint, match=r"model\.bf16\.safetensors' is missing\. Another variant .* fp16\."):
        load_unet(home, variant="bf16")


def test_a_variant_of_the_text_encoder_keeps_its_old_name(folder: Path) -> None:
    home = folder / "text_encoder"
    as_bin(home, "model.safetensors", "pytorch_model.fp16.bin")
    load_text_encoder(home, variant="fp16")
    with pytest.raises(BadCheckpoint, match="one of: fp16"):
        load_text_encoder(home)


@pytest.mark.parametrize("variant", [None, "fp16"])
def test_shards_of_bin_files_are_put_together(variant: str | None, folder: Path, theirs: Path) -> None:
    home = folder / "unet"
    tensors = load_file(home / f"{STEM}.safetensors")
    (home / f"{STEM}.safetensors").unlink()
    places: dict[str, str] = {}
    for number in (1, 2):
        file = f"{STEM}-{number:05d}-of-00002.bin"
        part = {name: tensors[name] for name in sorted(tensors)[number - 1 :: 2]}
        torch.save(part, home / file)
        places.update(dict.fromkeys(part, file))
    index = home / f"{STEM}.bin.index{f'.{variant}' if variant else ''}.json"
    index.write_text(json.dumps({"weight_map": places}))
    assert same(home, theirs / "unet", **({"variant": variant} if variant else {}))
    index.write_text(json.dumps({"weight_map": {**places, "conv_in.weight": f"{STEM}.safetensors"}}))
    with pytest.raises(BadCheckpoint, match=r"allowed: \*\.bin beside it"):
        load_unet(home, **({"variant": variant} if variant else {}))


def test_a_hostile_bin_is_refused_and_leaves_no_trace(folder: Path, tmp_path: Path) -> None:
    canary, home = tmp_path / "canary", folder / "unet"
    (home / f"{STEM}.safetensors").unlink()
    hostile = {"conv_in.weight": torch.ones(1), "extra": REDUCERS["os.system"][0](str(canary))}
    torch.save(hostile, home / f"{STEM}.bin")
    with pytest.raises(BadCheckpoint, match=r"model\.bin' is refused: it names 'posix\.system'"):
        load_unet(home)
    (home / f"{STEM}.bin").rename(home / f"{STEM}.safetensors")
    with pytest.raises(BadCheckpoint, match=r"model\.safetensors' is refused: it names 'posix\.system'"):
        load_unet(home)
    (home / f"{STEM}.safetensors").write_bytes(pickle.dumps(hostile["extra"]))
    with pytest.raises(BadCheckpoint, match=r"is refused: it names 'posix\.system'"):
        load_unet(home)
    assert not canary.exists()


def test_the_format_is_told_by_content_in_a_folder_too(folder: Path, theirs: Path) -> None:
    home = folder / "unet"
    (home / f"{STEM}.safetensors").rename(home / f"{STEM}.bin")
    assert same(home, theirs / "unet")


def test_an_empty_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(BadCheckpoint, match=r"'.*/model\.safetensors' is missing\. The folder holds: nothing\."):
        read_weights(tmp_path, "model")
    save_file({"a": torch.ones(1)}, tmp_path / "other.safetensors")
    with pytest.raises(BadCheckpoint, match=r"The folder holds: other\.safetensors\."):
        read_weights(tmp_path, "model")
