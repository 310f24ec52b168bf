"""A file is what its bytes say; what is none of ours is named."""

import gzip
import io
import os
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from safelight.errors import BadCheckpoint
from safelight.weights.formats import Format, read_file, read_tree


def picture(kind: str) -> bytes:
    Image.new("RGB", (8, 8)).save(buffer := io.BytesIO(), kind)
    return buffer.getvalue()


def tar() -> bytes:
    with tarfile.open(fileobj=(buffer := io.BytesIO()), mode="w") as archive:
        archive.addfile(tarfile.TarInfo("weights"))
    return buffer.getvalue()


def array(save: object) -> bytes:
    save(buffer := io.BytesIO(), np.zeros(3))  # type: ignore[operator]
    return buffer.getvalue()


OTHERS = {
    "empty": (b"", "it is empty"),
    "page": (b"<!DOCTYPE html><html><title>Sign in</title></html>", "HTML page"),
    "page in capitals": (b"\n <HTML lang=en>", "HTML page"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4265380512\n", "Git LFS pointer"),
    "png": (picture("PNG"), "PNG picture"),
    "jpeg": (picture("JPEG"), "JPEG picture"),
    "webp": (picture("WEBP"), "WebP picture"),
    "tar": (tar(), "tar archive"),
    "gzip": (gzip.compress(b"weights"), "gzip archive"),
    "numpy": (array(np.save), "NumPy array"),
    "npz": (array(np.savez), "zip archive with 0 data.pkl"),
    "json": (b'{"_class_name": "UNet2DConditionModel"}', "JSON document"),
    "gguf": (b"GGUF\x03\0\0\0" * 9, "GGUF file"),
    "zeros": (bytes(4096), "zeros"),
    "text": (b"Access to this model is restricted.", "begins with the text 'Access to this model is '"),
    "noise": (b"\xff" * 64, "begins with the bytes ff ff"),
    "one byte": (b"\x80", "begins with the bytes 80"),
    "empty zip": (b"PK\x05\x06" + bytes(18), "zip archive with 0 data.pkl"),
    "cut zip": (b"PK\x03\x04 a download that ended early" * 10, "cut short"),
    "a pickle of Python's": (b"\x80\x02}q\x00X\x01\x00\x00\x00aK\x01s.", "a pickle that PyTorch did not write"),
}


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("suffix", [".safetensors", ".ckpt"])
def test_what_is_no_file_of_weights_is_named(suffix: str, name: str, tmp_path: Path) -> None:
    content, words = OTHERS[name]
    (file := tmp_path / f"model{suffix}").write_bytes(content)
    for read in (read_file, read_tree):
        with pytest.raises(BadCheckpoint) as raised:
            read(file)
        kind = "safetensors file" if suffix == ".safetensors" else "file of weights"
        assert str(raised.value).startswith(f"{str(file)!r} is no whole {kind}: ")
        assert words in str(raised.value)


@pytest.mark.parametrize("name", ["model.safetensors", "model.ckpt", "model.bin", "model.png", "model"])
def test_the_name_does_not_matter(name: str, tmp_path: Path) -> None:
    tensors = {"weight": torch.arange(6.0).reshape(2, 3)}
    for found, write in (
        (Format.SAFETENSORS, save_file),
        (Format.ZIP, torch.save),
        (Format.LEGACY, lambda tree, path: torch.save(tree, path, _use_new_zipfile_serialization=False)),
    ):
        write(tensors, tmp_path / name)
        file = read_file(tmp_path / name)
        assert file.format is found
        assert torch.equal(file.tensors["weight"], tensors["weight"])


def test_what_is_no_plain_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, words in (("nowhere", "no such file"), (".", "a folder"), ("pipe", "no such file")):
        with pytest.raises(BadCheckpoint, match=words):
            read_file(tmp_path / name)


def test_a_zip_of_another_program_is_named_by_what_it_holds(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model.ckpt", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(BadCheckpoint, match=r"0 data\.pkl; needed: one\. It holds 'readme\.txt'"):
        read_file(tmp_path / "model.ckpt")
