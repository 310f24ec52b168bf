"""Pickles that would run code: refused by the name of what they would run, before anything runs."""

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from safelight.errors import BadCheckpoint
from safelight.weights.formats import read_file, read_tree
from weights.formats.containers import CONTAINERS, legacy, zipped
from weights.formats.hostile import INSTRUCTIONS, REDUCERS, Call

PROTOCOL = 2  # the one that PyTorch writes
CASES: dict[str, tuple[Callable[[str], bytes], str]] = {
    **{
        name: (lambda canary, make=make: pickle.dumps(make(canary), PROTOCOL), refused)
        for name, (make, refused) in REDUCERS.items()
    },
    **INSTRUCTIONS,
}
# Those among the instructions that Python's own unpickler would not run either.
HARMLESS = {"instantiate_from_config", "function of a known package"} | {
    name
    for name in INSTRUCTIONS
    if name.startswith(("BUILD", "calling", "EXT", "PERSID", "NEXT", "storage of", "name that", "unknown", "another"))
    or name in ("NEWOBJ", "NEWOBJ_EX", "dotted name in a known package")
}


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home" / "canary"


def test_there_are_enough() -> None:
    assert len(CASES) - len(HARMLESS) >= 45


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("read", [read_file, read_tree])
@pytest.mark.parametrize("container", CONTAINERS)
def test_nothing_runs_and_the_refusal_names_it(
    container: str, read: Callable[[Path], object], name: str, canary: Path, tmp_path: Path
) -> None:
    make, refused = CASES[name]
    file = CONTAINERS[container](tmp_path / "model.ckpt", make(str(canary)))
    before = set(canary.parent.iterdir())
    with pytest.raises(BadCheckpoint) as raised:
        read(file)
    message = str(raised.value)
    assert message.startswith(f"{str(file)!r} is refused: it ")
    assert refused in message
    assert "\n" not in message
    assert set(canary.parent.iterdir()) == before
    assert not canary.exists()


def test_they_are_hostile_indeed(tmp_path: Path) -> None:
    """Python's own unpickler, in another process, runs every one of them."""
    code = """
import os, pickle, sys
sys.stdout = open(os.devnull, "w")
for home in sys.argv[1:]:
    try:
        pickle.loads(open(home + "/pickle", "rb").read())
    except Exception:
        pass
"""
    homes = []
    for number, name in enumerate(name for name in CASES if name not in HARMLESS):
        (home := tmp_path / str(number)).mkdir()
        (home / "pickle").write_bytes(CASES[name][0](str(home / "canary")))
        (home / "name").write_text(name)
        homes.append(str(home))
    subprocess.run([sys.executable, "-c", code, *homes], check=True, capture_output=True)
    assert [(Path(home) / "name").read_text() for home in homes if not (Path(home) / "canary").exists()] == []


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("suffix", [".ckpt", ".safetensors", ".bin", ".png", ""])
def test_every_protocol_under_every_name(
    suffix: str, container: str, protocol: int, canary: Path, tmp_path: Path
) -> None:
    hostile = pickle.dumps(REDUCERS["os.system"][0](str(canary)), protocol)
    file = CONTAINERS[container](tmp_path / f"model{suffix}", hostile)
    with pytest.raises(BadCheckpoint, match=r"is refused: it names 'posix\.system'"):
        read_file(file)
    assert not canary.exists()


@pytest.mark.parametrize("place", range(5))
def test_each_pickle_of_an_old_file_is_guarded(place: int, canary: Path, tmp_path: Path) -> None:
    good = [pickle.dumps(value, 2) for value in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, {}, [])]
    good[place] = pickle.dumps(REDUCERS["exec"][0](str(canary)), 2)
    (file := tmp_path / "old.ckpt").write_bytes(b"".join(good))
    with pytest.raises(BadCheckpoint, match=r"'__builtin__\.exec'"):
        read_file(file)
    assert not canary.exists()


@pytest.mark.parametrize("new", [True, False])
def test_what_torch_save_writes_is_guarded(new: bool, canary: Path, tmp_path: Path) -> None:
    tree = {"state_dict": {"weight": torch.ones(2)}, "callbacks": {"x": Call(os.system, f"touch {canary}")}}
    torch.save(tree, tmp_path / "model.ckpt", _use_new_zipfile_serialization=new)
    with pytest.raises(BadCheckpoint, match=r"posix\.system"):
        read_file(tmp_path / "model.ckpt")
    assert not canary.exists()


def test_a_second_pickle_behind_the_first_is_never_read(canary: Path, tmp_path: Path) -> None:
    code = pickle.dumps({}, 2) + pickle.dumps(REDUCERS["os.system"][0](str(canary)), 2)
    assert read_file(zipped(tmp_path / "model.ckpt", code)).tensors == {}
    assert not canary.exists()
    with pytest.raises(BadCheckpoint, match=r"posix\.system"):
        read_file(legacy(tmp_path / "model.ckpt", code))


def test_a_whole_model_is_refused_by_the_name_of_its_class(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "model.pt")
    with pytest.raises(BadCheckpoint, match=r"names 'torch\.nn\.modules\.linear\.Linear'"):
        read_file(tmp_path / "model.pt")


def test_a_program_is_refused(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), str(tmp_path / "model.pt"))
    with pytest.raises(BadCheckpoint, match="is a TorchScript program"):
        read_file(tmp_path / "model.pt")
