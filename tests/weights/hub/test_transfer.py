"""Downloads that stop, and files that arrive damaged."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import pytest

from safelight.errors import BadInput
from safelight.weights.hub import fetch
from weights.hub.conftest import ID, NEEDED
from weights.hub.server import Hub, serving

UNET = "unet/diffusion_pytorch_model.safetensors"


def ranges(hub: Hub, name: str) -> list[str | None]:
    """The Range of each GET of a file."""
    return [asked.headers.get("range") for asked in hub.log if asked.method == "GET" and asked.name == name]


def partial_files(cache: Path) -> list[Path]:
    return list(cache.rglob("*.incomplete"))


def test_a_connection_that_breaks_is_taken_up_in_the_middle(hub: Hub, published: dict[str, bytes]) -> None:
    hub.cuts[UNET] = [5000]
    assert (fetch(ID) / UNET).read_bytes() == published[UNET]
    assert ranges(hub, UNET) == [None, "bytes=5000-"]


def test_a_later_call_goes_on_where_an_earlier_one_stopped(hub: Hub, cache: Path, published: dict[str, bytes]) -> None:
    hub.cuts[UNET], hub.fails[UNET] = [7000], [500]
    with pytest.raises(BadInput, match=r"HTTP 500.*what arrived is kept"):
        fetch(ID)
    (partial,) = partial_files(cache)
    assert partial.read_bytes() == published[UNET][:7000]
    hub.log.clear()
    assert (fetch(ID) / UNET).read_bytes() == published[UNET]
    assert ranges(hub, UNET) == ["bytes=7000-"]
    assert "vae/config.json" not in hub.fetched()  # what is there is not fetched again
    assert partial_files(cache) == []


def test_all_arrived_but_for_the_name(hub: Hub, cache: Path, published: dict[str, bytes]) -> None:
    blobs = cache / "models--studio--tiny" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{hashlib.sha256(published[UNET]).hexdigest()}.incomplete").write_bytes(published[UNET])
    fetch(ID)
    assert ranges(hub, UNET) == []


@pytest.mark.parametrize("left", [b"other bytes", b"x" * 10_000_000])
def test_a_wrong_beginning_is_thrown_away(hub: Hub, cache: Path, published: dict[str, bytes], left: bytes) -> None:
    blobs = cache / "models--studio--tiny" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{hashlib.sha256(published[UNET]).hexdigest()}.incomplete").write_bytes(left)
    assert (fetch(ID) / UNET).read_bytes() == published[UNET]


def test_a_server_that_knows_no_ranges_starts_again(hub: Hub, published: dict[str, bytes]) -> None:
    hub.ranges = False
    hub.cuts[UNET] = [5000]
    assert (fetch(ID) / UNET).read_bytes() == published[UNET]


def test_a_file_that_arrives_changed_never_counts(hub: Hub, cache: Path) -> None:
    hub.garbles.add(UNET)
    with pytest.raises(BadInput, match=f"{UNET!r} of {ID!r} arrived damaged: its SHA-256 is [0-9a-f]{{64}}, and"):
        fetch(ID)
    assert partial_files(cache) == []
    assert not list(cache.rglob(UNET))
    hub.garbles.clear()
    fetch(ID)


@pytest.mark.parametrize("name", [UNET, "vae/config.json"])
def test_a_file_that_is_listed_and_not_there_is_named(hub: Hub, name: str) -> None:
    hub.lacks.add(name)
    with pytest.raises(BadInput, match=f"^{ID!r} lists {name!r}, and the hub does not have it"):
        fetch(ID)


def test_where_no_links_can_be_made_the_disk_holds_weights_once(
    hub: Hub, cache: Path, published: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_SYMLINKS", True)
    folder = fetch(ID)
    assert not (folder / UNET).is_symlink()
    assert (folder / UNET).read_bytes() == published[UNET]
    assert [file for file in cache.rglob("*") if file.is_file() and file.read_bytes() == published[UNET]] == [
        folder / UNET
    ]
    hub.log.clear()
    assert fetch(ID) == folder
    assert hub.log == []


def test_two_at_once_fetch_each_file_once(hub: Hub) -> None:
    folders: list[Path] = []
    threads = [threading.Thread(target=lambda: folders.append(fetch(ID))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(folders) == 2
    assert hub.fetched().count(UNET) == 1


def test_the_token_does_not_go_to_the_storage_behind_the_hub(
    hub: Hub, published: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    hub.repositories[ID].token = "hf_secret"
    with serving() as storage:
        hub.storage, storage.repositories = storage, {ID: hub.repositories[ID]}
        storage.repositories[ID].token = None
        storage.cuts[UNET] = [5000]
        assert (fetch(ID) / UNET).read_bytes() == published[UNET]
        assert sorted(storage.fetched()) == sorted([*(name for name in NEEDED if "safetensors" in name), UNET])
        assert not any("authorization" in asked.headers for asked in storage.log)
        assert ranges(storage, UNET) == [None, "bytes=5000-"]
    assert all(asked.headers["authorization"] == "Bearer hf_secret" for asked in hub.log)
    assert not any("hf_secret" in asked.path for asked in hub.log)
