"""A model comes from the hub once, and only what is needed of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from safelight.errors import BadCheckpoint, BadInput
from safelight.weights import open_folder
from safelight.weights.hub import fetch, refresh
from weights.hub.conftest import ID, NEEDED
from weights.hub.server import Hub, Repository


def test_only_what_is_needed_is_fetched_once(hub: Hub, model_folder: Path) -> None:
    folder = fetch(ID)
    assert sorted(hub.fetched()) == NEEDED
    ours, theirs = open_folder(folder).unet.state_dict(), open_folder(model_folder).unet.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    hub.log.clear()
    assert fetch(ID) == folder
    assert hub.log == []  # not even a question


def test_what_suits_a_model_and_its_few_steps_are_fetched_with_it(hub: Hub, published: dict[str, bytes]) -> None:
    files = {"fast/pytorch_lora_weights.safetensors": b"few steps", "fast/taesd_decoder.safetensors": b"tiny"}
    beside = {"usual.json": b'{"num_inference_steps": 3}', **files}
    hub.repositories[ID].commit({**published, **beside})
    parts = open_folder(fetch(ID))
    assert sorted(hub.fetched()) == sorted([*NEEDED, *beside])
    assert parts.usual == {"num_inference_steps": 3}
    assert parts.few_steps is not None
    assert parts.few_steps.read_bytes() == b"few steps"
    assert parts.tiny_decoder is not None
    assert parts.tiny_decoder.read_bytes() == b"tiny"


def test_the_cache_is_the_one_that_others_use(hub: Hub, cache: Path) -> None:
    from huggingface_hub import hf_hub_download, scan_cache_dir

    folder = fetch(ID)
    assert hf_hub_download(ID, NEEDED[-1], local_files_only=True) == str(folder / NEEDED[-1])
    assert scan_cache_dir(cache).warnings == []


def test_what_others_downloaded_is_taken(hub: Hub) -> None:
    from huggingface_hub import snapshot_download

    folder = snapshot_download(ID, allow_patterns=NEEDED)
    hub.log.clear()
    assert fetch(ID) == Path(folder)
    assert hub.log == []


def test_weights_come_last(hub: Hub) -> None:
    fetch(ID)
    kinds = ["safetensors" in name for name in hub.fetched()]
    assert kinds == sorted(kinds)


def test_a_variant_is_another_set_of_weights(hub: Hub) -> None:
    folder = fetch(ID, variant="fp16")
    weights = [name for name in hub.fetched() if "model." in name]
    assert weights
    assert all(".fp16." in name for name in weights)
    open_folder(folder, variant="fp16")
    fetch(ID)  # the cached variant is not taken for the other
    open_folder(folder)


def test_a_variant_that_is_not_there_is_refused_before_the_download(hub: Hub) -> None:
    with pytest.raises(BadInput, match=r"no weights of variant 'bf16' in 'text_encoder'.*model\.fp16\.safetensors"):
        fetch(ID, variant="bf16")
    assert hub.fetched() == ["model_index.json"]


def test_pickles_are_taken_where_there_is_nothing_else(hub: Hub, model_files: dict[str, bytes]) -> None:
    files = {name.replace("/model.safetensors", "/pytorch_model.bin"): content for name, content in model_files.items()}
    files = {name.replace("model.safetensors", "model.bin"): content for name, content in files.items()}
    hub.repositories[ID].commit(files)
    folder = fetch(ID)
    assert (folder / "unet" / "diffusion_pytorch_model.bin").is_file()
    assert (folder / "text_encoder" / "pytorch_model.bin").is_file()


def shards(files: dict[str, bytes], *names: str) -> dict[str, bytes]:
    """The files with the UNet's weights under those names, and an index of them."""
    index = json.dumps({"weight_map": {f"tensor{number}": name for number, name in enumerate(names)}})
    left = {name: content for name, content in files.items() if "unet/diffusion" not in name}
    left["unet/diffusion_pytorch_model.safetensors.index.json"] = index.encode()
    return left | {f"unet/{name}": name.encode() for name in names}


def test_shards_are_found_through_their_index(hub: Hub, model_files: dict[str, bytes]) -> None:
    hub.repositories[ID].commit(shards(model_files, "a-of-2.safetensors", "b-of-2.safetensors"))
    folder = fetch(ID)
    assert (folder / "unet" / "b-of-2.safetensors").read_bytes() == b"b-of-2.safetensors"


def test_a_shard_that_the_repository_lacks_is_named_before_the_download(hub: Hub, published: dict[str, bytes]) -> None:
    files = shards(published, "a-of-2.safetensors", "b-of-2.safetensors")
    del files["unet/b-of-2.safetensors"]
    hub.repositories[ID].commit(files)
    with pytest.raises(BadInput, match=r"no 'unet/b-of-2\.safetensors'"):
        fetch(ID)
    assert not any(name.endswith(".safetensors") for name in hub.fetched())


@pytest.mark.parametrize("name", ["../../../evil.safetensors", "/tmp/evil.safetensors", "..\\evil.safetensors", "a.py"])
def test_an_index_cannot_point_elsewhere(hub: Hub, published: dict[str, bytes], name: str) -> None:
    files = shards(published, name)
    del files[f"unet/{name}"]
    hub.repositories[ID].commit(files)
    with pytest.raises(BadCheckpoint, match="allowed: files beside it"):
        fetch(ID)


@pytest.mark.parametrize("name", ["../evil.json", "unet/../../evil", "C:evil.json", "a\\evil.json", "/etc/evil"])
def test_a_list_of_files_cannot_leave_the_folder(hub: Hub, cache: Path, name: str) -> None:
    hub.repositories[ID].commit({name: b"evil", name + ".safetensors": b"evil"})
    with pytest.raises(BadInput, match="has no model; it holds: nothing"):
        fetch(ID)
    assert hub.fetched() == []


def test_a_model_that_we_do_not_draw_with_is_refused_before_its_weights(hub: Hub, published: dict[str, bytes]) -> None:
    index = published["model_index.json"].replace(b"{", b'{"text_encoder_2": ["transformers", "CLIPTextModel"],', 1)
    hub.repositories[ID].commit({**published, "model_index.json": index})
    with pytest.raises(BadCheckpoint, match="text_encoder_2"):
        fetch(ID)
    assert hub.fetched() == ["model_index.json"]


def test_one_part_of_a_model(hub: Hub) -> None:
    folder = fetch(f"{ID}/vae")
    assert folder.name == "vae"
    assert sorted(hub.fetched()) == [name for name in NEEDED if name.startswith("vae/")]
    assert fetch(f"{ID}/tokenizer").name == "tokenizer"
    assert fetch(f"{ID}/scheduler").name == "scheduler"


def test_one_file(hub: Hub) -> None:
    assert fetch(f"{ID}/v1-5-pruned.ckpt").read_bytes() == b"not needed: v1-5-pruned.ckpt"
    assert hub.fetched() == ["v1-5-pruned.ckpt"]
    with pytest.raises(BadInput, match=r"has no model in 'nothing\.ckpt'.*v1-5-pruned\.ckpt"):
        fetch(f"{ID}/nothing.ckpt")
    with pytest.raises(BadInput, match="is one file"):
        fetch(f"{ID}/v1-5-pruned.ckpt", variant="fp16")


def publish(hub: Hub, *names: str) -> None:
    hub.repositories["studio/part"] = Repository()
    hub.repositories["studio/part"].commit({name: name.encode() for name in ("README.md", *names)})


def test_a_repository_of_one_network(hub: Hub) -> None:
    publish(hub, "config.json", "diffusion_pytorch_model.bin", "diffusion_pytorch_model.safetensors", "old.ckpt")
    folder = fetch("studio/part")
    assert {file.name for file in folder.iterdir()} == {"config.json", "diffusion_pytorch_model.safetensors"}


def test_a_repository_of_one_file(hub: Hub) -> None:
    publish(hub, "lora.ckpt", "lora.safetensors", "adapter_config.json")
    file = fetch("studio/part")
    assert file.name == "lora.safetensors"
    assert file.with_name("adapter_config.json").is_file()


def test_of_several_files_one_must_be_chosen(hub: Hub) -> None:
    publish(hub, "one.safetensors", "two.ckpt")
    with pytest.raises(BadInput, match=r"'studio/part/FILE': one\.safetensors, two\.ckpt\."):
        fetch("studio/part")
    fetch("studio/part/two.ckpt")
    with pytest.raises(BadInput, match="several files"):  # that one is in the cache does not make it the only one
        fetch("studio/part")


def test_a_revision_is_a_branch_or_a_commit(hub: Hub, published: dict[str, bytes]) -> None:
    before = hub.repositories[ID].branches["main"]
    after = hub.repositories[ID].commit({**published, "unet/config.json": published["unet/config.json"] + b" "}, "new")
    assert fetch(f"{ID}@new").name == after
    assert fetch(ID, revision=before).name == before
    assert fetch(ID).name == before
    assert hub.fetched().count("unet/diffusion_pytorch_model.safetensors") == 1  # the same blob in both


def test_refresh_asks_for_the_newest(hub: Hub, published: dict[str, bytes]) -> None:
    old = fetch(ID)
    new = hub.repositories[ID].commit({**published, "vae/config.json": published["vae/config.json"] + b" "})
    assert fetch(ID) == old
    hub.log.clear()
    assert refresh(ID).name == new
    assert hub.fetched() == ["vae/config.json"]  # the rest is what it was
    assert fetch(ID).name == new


def test_an_interrupted_refresh_leaves_the_old_commit_usable(hub: Hub, published: dict[str, bytes]) -> None:
    old = fetch(ID)
    hub.repositories[ID].commit({**published, "vae/diffusion_pytorch_model.safetensors": b"new"})
    hub.fails["vae/diffusion_pytorch_model.safetensors"] = [503]
    assert refresh(ID) == old
    assert fetch(ID) == old
