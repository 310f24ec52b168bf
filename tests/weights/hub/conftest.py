"""A hub on loopback with one tiny model, an empty cache, and no way to any other machine."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from weights.hub.server import Hub, Repository, serving

ID = "studio/tiny"
NEEDED = [  # of the model, by a reader of safetensors
    "model_index.json",
    "scheduler/scheduler_config.json",
    "text_encoder/config.json",
    "text_encoder/model.safetensors",
    "tokenizer/merges.txt",
    "tokenizer/tokenizer_config.json",
    "tokenizer/vocab.json",
    "unet/config.json",
    "unet/diffusion_pytorch_model.safetensors",
    "vae/config.json",
    "vae/diffusion_pytorch_model.safetensors",
]
OTHERS = [  # what published repositories hold besides
    "README.md",
    ".gitattributes",
    "v1-5-pruned.ckpt",
    "v1-5-pruned.safetensors",
    "feature_extractor/preprocessor_config.json",
    "safety_checker/config.json",
    "safety_checker/model.safetensors",
    "text_encoder/pytorch_model.bin",
    "text_encoder/model.fp16.safetensors",
    "text_encoder/flax_model.msgpack",
    "unet/diffusion_pytorch_model.bin",
    "unet/diffusion_pytorch_model.fp16.safetensors",
    "unet/model.onnx",
    "vae/diffusion_pytorch_model.fp16.safetensors",
]


@pytest.fixture(scope="session")
def model_files(model_folder: Path) -> dict[str, bytes]:
    """Name -> content: what `save` writes."""
    found = {file.relative_to(model_folder).as_posix(): file for file in model_folder.rglob("*") if file.is_file()}
    return {name: file.read_bytes() for name, file in found.items()}


@pytest.fixture
def published(model_files: dict[str, bytes]) -> dict[str, bytes]:
    """The same among all that is usually published with it; the half-precision files are copies."""
    other = {name: b"not needed: " + name.encode() for name in OTHERS}
    other |= {name: model_files[name.replace(".fp16", "")] for name in OTHERS if ".fp16" in name}
    return {**model_files, **other}


@pytest.fixture
def hub(published: dict[str, bytes], cache: Path) -> Iterator[Hub]:
    """The server, which this process takes for the hub."""
    with serving() as hub, pytest.MonkeyPatch.context() as patch:
        patch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
        template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        patch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
        hub.repositories[ID] = Repository()
        hub.repositories[ID].commit(published)
        patch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1000)  # what arrives is written in such pieces
        yield hub


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache; no token and no setting of whoever runs the tests counts."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    folder = tmp_path / "cache"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder))
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    return folder


@pytest.fixture(autouse=True)
def _no_other_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    look_up = socket.getaddrinfo

    def only_here(host: Any, *rest: Any, **named: Any) -> Any:
        assert host in ("127.0.0.1", b"127.0.0.1"), f"a test asked for {host}"
        return look_up(host, *rest, **named)

    monkeypatch.setattr(socket, "getaddrinfo", only_here)
