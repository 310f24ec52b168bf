"""What can go wrong is said in one sentence, and what the cache holds still opens."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from safelight.errors import BadInput
from safelight.weights.hub import fetch, refresh
from weights.hub.conftest import ID
from weights.hub.server import Hub


def test_an_unknown_model(hub: Hub) -> None:
    with pytest.raises(BadInput, match=f"'studio/nothing' is not on {hub.url}, or is private.*HF_TOKEN"):
        fetch("studio/nothing")


def test_an_unknown_revision(hub: Hub) -> None:
    with pytest.raises(BadInput, match="'studio/tiny' has no revision 'never'"):
        fetch(f"{ID}@never")


def test_a_private_model_wants_a_token(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.repositories[ID].token = "hf_right"
    with pytest.raises(BadInput, match=r"or is private.*HF_TOKEN"):
        fetch(ID)
    monkeypatch.setenv("HF_TOKEN", "hf_right")
    fetch(ID)


def test_a_gated_model_wants_its_terms_accepted(hub: Hub) -> None:
    hub.repositories[ID].token, hub.repositories[ID].refuses = "hf_right", "GatedRepo"
    with pytest.raises(BadInput, match=f"is gated: accept its terms at {hub.url}/{ID}, then set HF_TOKEN"):
        fetch(ID)


@pytest.mark.parametrize("status", [401, 403])
def test_a_hub_that_gives_no_reason(hub: Hub, status: int) -> None:
    hub.fails["unet/config.json"] = [status] * 20
    with pytest.raises(BadInput, match=rf"\(HTTP {status}\)|is private"):
        fetch(ID)


def test_no_network_and_nothing_in_the_cache(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(BadInput, match=f"{ID!r} could not be downloaded from http://127.0.0.1:9"):
        fetch(ID)


def test_no_network_and_all_in_the_cache(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fetch(ID)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    assert fetch(ID) == folder
    assert refresh(ID) == folder


def test_no_network_and_half_in_the_cache(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    (fetch(ID) / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(BadInput, match="could not be downloaded"):
        fetch(ID)


def test_one_file_in_the_cache_opens_without_the_network(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.repositories[ID].commit({"lora.safetensors": b"lora"})
    file = fetch(ID)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    assert fetch(ID) == file


def test_a_network_that_wants_a_login_first(hub: Hub) -> None:
    hub.portal = b"<html>Welcome to our hotel</html>"
    with pytest.raises(BadInput, match=f"{hub.url} does not answer like a hub .*check HF_ENDPOINT and the network"):
        fetch(ID)


def test_a_server_that_is_no_hub(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"{hub.url}/elsewhere")
    with pytest.raises(BadInput, match=r"answered HTTP 404 for 'studio/tiny', and not like a hub; check HF_ENDPOINT"):
        fetch(ID)


def test_an_address_that_is_no_hub(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "nonsense")
    with pytest.raises(BadInput, match="nonsense"):
        fetch(ID)


def test_a_link_to_a_blob_that_is_gone_is_fetched_again(hub: Hub, cache: Path) -> None:
    name = "unet/diffusion_pytorch_model.safetensors"
    (fetch(ID) / name).resolve().unlink()
    hub.log.clear()
    assert (fetch(ID) / name).is_file()
    assert hub.fetched() == [name]


def test_the_disk_is_checked_before_the_download(hub: Hub, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(BadInput, match=r"'studio/tiny' needs 0\.0 GB more, and '.*cache' has 0\.0 GB free; make room"):
        fetch(ID)
    assert hub.fetched() == ["model_index.json"]


def test_a_disk_that_fills_up(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BadInput, match="is full; what arrived of 'studio/tiny' is kept"):
        fetch(ID)


def test_a_cache_that_cannot_be_written(hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def closed(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    folder = fetch(ID)
    monkeypatch.setattr(Path, "mkdir", closed)
    monkeypatch.setattr(os, "makedirs", closed)
    assert fetch(ID) == folder  # reading needs no writing
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "other"))
    with pytest.raises(BadInput, match=r"is not writable .*HF_HUB_CACHE"):
        fetch(ID)


def test_without_the_library_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(BadInput, match=r'pip install "safelight\[hub\]"'):
        fetch(ID)
