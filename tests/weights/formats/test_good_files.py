"""What PyTorch and Lightning write, in both of their formats and in every protocol, is read as torch.load reads it."""

import argparse
import pathlib
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from safelight.errors import BadCheckpoint
from safelight.weights.formats import read_file, read_tree

Save = Callable[[object, Path], None]
WRITERS: dict[str, Save] = {
    f"{'zip' if new else 'legacy'}, protocol {protocol}": lambda tree, path, protocol=protocol, new=new: torch.save(
        tree, path, pickle_protocol=protocol, _use_new_zipfile_serialization=new
    )
    for protocol in (2, 3, 4, 5)
    for new in (True, False)
}
TYPES = (
    torch.float64,
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.float8_e4m3fn,
    torch.float8_e5m2,
    torch.int64,
    torch.int32,
    torch.int16,
    torch.int8,
    torch.uint8,
    torch.uint16,
    torch.bool,
    torch.complex64,
)


@pytest.fixture(params=WRITERS)
def save(request: pytest.FixtureRequest) -> Save:
    return WRITERS[request.param]


def same(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> bool:
    """Whether names, their order, types, shapes and every bit agree."""
    return list(ours) == list(theirs) and all(
        mine.dtype == peer.dtype
        and mine.shape == peer.shape
        and torch.equal(mine.contiguous().view(torch.uint8), peer.detach().contiguous().view(torch.uint8))
        if peer.dim()
        else mine.dtype == peer.dtype and mine.item() == peer.item()
        for mine, peer in zip(ours.values(), theirs.values(), strict=True)
    )


def test_every_type_of_number(save: Save, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    tensors = {str(dtype): (torch.rand(5, 3, generator=generator) * 100).to(dtype) for dtype in TYPES}
    save(tensors, tmp_path / "model.pt")
    assert same(read_file(tmp_path / "model.pt").tensors, tensors)


def test_views_parameters_and_shared_storages(save: Save, tmp_path: Path) -> None:
    base = torch.arange(64.0)
    tagged = nn.Parameter(torch.ones(3))
    tagged.tag = "kept by the trainer"  # type: ignore[attr-defined]
    tensors = {
        "base": base,
        "part": base[4:10],
        "turned": base[:6].reshape(2, 3).T,
        "strided": base[1::2],
        "fourfold": base.reshape(2, 2, 4, 4).to(memory_format=torch.channels_last),
        "parameter": nn.Parameter(base[:4]),
        "tagged": tagged,
        "scalar": torch.tensor(3),
        "none": torch.empty(0, 3),
        "one row": torch.arange(7).expand(1, -1),
    }
    save(tensors, tmp_path / "model.pt")
    found = read_file(tmp_path / "model.pt").tensors
    assert same(found, tensors)
    assert found["turned"].stride() == tensors["turned"].stride()
    assert found["part"].data_ptr() == found["base"].data_ptr() + 16
    assert not any(tensor.requires_grad for tensor in found.values())


def test_the_state_of_a_module(save: Save, tmp_path: Path) -> None:
    """Its OrderedDict carries an attribute, and its counters are integers."""
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    save(network.state_dict(), tmp_path / "model.pt")
    assert same(read_file(tmp_path / "model.pt").tensors, dict(network.state_dict()))


class ModelCheckpoint:
    """Stands for Lightning's callback, which is not installed: its name is all that a file has of it."""


ModelCheckpoint.__module__ = "pytorch_lightning.callbacks.model_checkpoint"


def test_a_checkpoint_of_lightning(save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys
    import types

    for name in ("pytorch_lightning", "pytorch_lightning.callbacks", ModelCheckpoint.__module__):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    sys.modules[ModelCheckpoint.__module__].ModelCheckpoint = ModelCheckpoint  # type: ignore[attr-defined]
    weights = OrderedDict(
        {"model.diffusion_model.out.2.bias": torch.ones(4).half(), "model_ema.decay": torch.tensor(0.9999)}
    )
    moments = {"step": 7, "exp_avg": torch.zeros(3)}
    save(
        {
            "epoch": 12,
            "global_step": 470000,
            "pytorch-lightning_version": "1.4.2",
            "callbacks": {ModelCheckpoint: {"best_model_score": torch.tensor(1.0), "path": pathlib.PosixPath("/a")}},
            "optimizer_states": [{"state": {0: moments}, "param_groups": [{"lr": 1e-4, "betas": (0.9, 0.999)}]}],
            "lr_schedulers": [],
            "hyper_parameters": argparse.Namespace(lr=np.float64(1e-4), noise=np.ones(2), kind=Counter("ab")),
            "loops": defaultdict(int, {"a": 1}),
            "callback": ModelCheckpoint(),
            "state_dict": weights,
        },
        tmp_path / "model.ckpt",
    )
    found = read_file(tmp_path / "model.ckpt")
    assert same(found.tensors, dict(weights))
    assert found.other == {
        "epoch": "12",
        "global_step": "470000",
        "pytorch-lightning_version": "1.4.2",
        "callbacks": "dictionary of 1",
        "optimizer_states": "list of 1",
        "lr_schedulers": "list of 0",
        "hyper_parameters": "argparse.Namespace, left out",
        "loops": "dictionary of 1",
        "callback": "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint, left out",
    }


def test_dictionaries_in_dictionaries_get_dotted_names(save: Save, tmp_path: Path) -> None:
    save({"unet": {"a": {"weight": torch.ones(2)}, "steps": 3}, "b": torch.zeros(1), "note": "x" * 999}, tmp_path / "f")
    found = read_file(tmp_path / "f")
    assert found.tensors.keys() == {"unet.a.weight", "b"}
    assert found.other == {"unet.steps": "3", "note": "x" * 200 + "…"}


def test_names_that_meet_after_dotting_are_refused(tmp_path: Path) -> None:
    torch.save({"a": {"b": torch.ones(1)}, "a.b": torch.zeros(1)}, tmp_path / "f")
    with pytest.raises(BadCheckpoint, match=r"has 'a\.b' twice"):
        read_file(tmp_path / "f")


def test_a_file_without_names_is_refused_as_weights_and_read_as_a_tree(tmp_path: Path) -> None:
    torch.save([torch.ones(2), 3], tmp_path / "f")
    with pytest.raises(BadCheckpoint, match="holds a list of 2; needed is a dictionary of tensors"):
        read_file(tmp_path / "f")
    assert read_tree(tmp_path / "f")[1] == 3


def test_the_tree_of_an_embedding(save: Save, tmp_path: Path) -> None:
    """As the program of the textual-inversion paper saves it, with a ParameterDict."""
    vectors = torch.arange(6.0).reshape(2, 3)
    save(
        {
            "string_to_token": {"*": 265},
            "string_to_param": nn.ParameterDict({"*": nn.Parameter(vectors)}),
            "name": "fox",
            "step": None,
            "shape": torch.Size([2, 3]),
            "where": torch.device("cpu"),
        },
        tmp_path / "fox.pt",
    )
    tree = read_tree(tmp_path / "fox.pt")
    assert torch.equal(tree["string_to_param"].pop("*"), vectors)
    assert tree == {
        "string_to_token": {"*": 265},
        "string_to_param": {},
        "name": "fox",
        "step": None,
        "shape": [2, 3],
        "where": "torch.device, left out",
    }


def test_reading_draws_nothing_at_random_and_changes_no_file(tmp_path: Path) -> None:
    torch.save({"weight": torch.ones(5000)}, tmp_path / "f")
    before, state = (tmp_path / "f").read_bytes(), torch.get_rng_state()
    tensor = read_file(tmp_path / "f").tensors["weight"]
    tensor.fill_(7)
    nn.Parameter(tensor).data.mul_(2)
    assert tensor.unique().item() == 14
    assert (tmp_path / "f").read_bytes() == before
    assert torch.equal(torch.get_rng_state(), state)
