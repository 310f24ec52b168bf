"""How much memory opening a model takes, in a process of its own: what Linux counts, mapped files included."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_model import tiny_parts

from safelight.configs import UNetConfig
from safelight.unet import UNet
from safelight.weights import save_folder

pytestmark = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="asks Linux what is in memory")

CODE = """
import gc, json, sys
from pathlib import Path
import torch, safelight.pipeline
from safelight.weights import open_folder

torch.set_num_threads(1)
folder = sys.argv[1]

def memory(field):
    [line] = [line for line in open("/proc/self/status") if line.startswith(field + ":")]
    return int(line.split()[1]) * 1024

def use(model):
    networks = [model.text_encoder, model.unet, model.autoencoder]
    [tensor.sum() for network in networks for tensor in network.state_dict().values()]
    return sum(tensor.nbytes for network in networks for tensor in network.state_dict().values())

def draw(dtype):
    pipe = safelight.load(folder, device="cpu", dtype=dtype)
    with torch.inference_mode():
        x = torch.zeros(1, 4, 8, 8), torch.tensor(1), torch.zeros(1, 2, 32)
        pipe.unet(*(one.to(pipe.unet.conv_in.weight.dtype) for one in x))
    return pipe

WAYS = {
    "open": lambda: open_folder(folder),
    "open in bfloat16": lambda: open_folder(folder, torch.bfloat16),
    "load": lambda: safelight.load(folder, device="cpu"),
    "load in bfloat16": lambda: safelight.load(folder, device="cpu", dtype="bfloat16"),
    "load and draw": lambda: draw("float32"),
}
peaks, after = {}, {}
for turn in range(2):  # in the first, the libraries allocate what they keep for good
    for name, make in WAYS.items():
        gc.collect()
        Path("/proc/self/clear_refs").write_text("5")
        before = memory("VmRSS")
        model = make()
        size = use(model)
        peaks[name] = (memory("VmHWM") - before) / size
        del model
for dtype in ("float32", "bfloat16"):
    for _ in range(20 if dtype == "float32" else 6):
        model = safelight.load(folder, device="cpu", dtype=dtype)
        size = use(model)
        after.setdefault(dtype, []).append(memory("VmRSS") / size)
maps = sum(folder in line for line in open("/proc/self/maps"))
print(json.dumps({"peaks": peaks, "after": after, "maps": maps}))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of about 80 MB, nearly all of it in the UNet."""
    parts = tiny_parts()
    config = UNetConfig(
        channels=(192, 384),
        blocks_per_level=1,
        attention=("cross", "none"),
        heads=(4, 4),
        context_width=32,
        sample_size=8,
    )
    with torch.device("meta"):
        unet = UNet(config)
    parts.unet = unet.to_empty(device="cpu")
    for parameter in parts.unet.parameters():
        parameter.data.fill_(0.01)
    save_folder(path := tmp_path_factory.mktemp("model") / "folder", parts)
    return path


@pytest.fixture(scope="module")
def found(folder: Path) -> dict[str, Any]:
    """All figures, as multiples of the weights' size."""
    keeping_nothing = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}  # what is freed goes back to the system
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(folder)], check=True, stdout=subprocess.PIPE, text=True, env=keeping_nothing
    )
    return json.loads(done.stdout)  # type: ignore[no-any-return]


@pytest.mark.parametrize("way", ["open", "open in bfloat16", "load", "load in bfloat16", "load and draw"])
def test_opening_a_model_takes_its_size_in_memory_and_little_more(way: str, found: dict[str, Any]) -> None:
    assert 0.9 < found["peaks"][way] <= 1.15


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_switching_models_does_not_grow_memory(dtype: str, found: dict[str, Any]) -> None:
    after = found["after"][dtype]
    assert max(after[3:]) <= after[2] + 0.2


def test_files_of_models_that_are_gone_are_closed(found: dict[str, Any]) -> None:
    assert found["maps"] == 0  # the model in hand was converted
