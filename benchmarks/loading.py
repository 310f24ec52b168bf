"""Opening a model of Stable Diffusion 1.4's size, ours beside diffusers': time, and memory at its highest.

Every load runs in a process of its own, in turn. Memory is the most that Linux counted as resident (VmHWM), mapped
pages of files included, above what the process had before the call, as a multiple of the weights' size in memory.
"used" goes on until every weight has been read once, since a file that was only mapped costs nothing until then.
"of processor" is the part of the first figure that does not depend on what else the machine does. In parentheses: ours
divided by diffusers'.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import nn

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
CASES = (("float32", "float32"), ("float32", "bfloat16"), ("bfloat16", "bfloat16"), ("bfloat16", "float32"))


def parts_of(folder: Path, dtype: torch.dtype) -> list[nn.Module]:
    from safelight.weights import open_folder

    parts = open_folder(folder, dtype)
    return [parts.text_encoder, parts.unet, parts.autoencoder]


def pipeline_of(folder: Path, dtype: torch.dtype) -> list[nn.Module]:
    import safelight

    pipe = safelight.load(folder, dtype=dtype, device="cpu")
    return [pipe.text_encoder, pipe.unet, pipe.autoencoder]


def their_pipeline(folder: Path, dtype: torch.dtype) -> list[nn.Module]:
    from diffusers import StableDiffusionPipeline

    pipe = StableDiffusionPipeline.from_pretrained(folder, torch_dtype=dtype, safety_checker=None)
    return [pipe.text_encoder, pipe.unet, pipe.vae]


WAYS: dict[str, Callable[[Path, torch.dtype], list[nn.Module]]] = {
    "open_folder": parts_of,
    "load": pipeline_of,
    "diffusers": their_pipeline,
}


def import_ours() -> None:
    import safelight.pipeline  # noqa: F401


def import_theirs() -> None:
    from diffusers import StableDiffusionPipeline  # noqa: F401
    from transformers import CLIPTextModel, CLIPTokenizer  # noqa: F401


IMPORTS = {"open_folder": import_ours, "load": import_ours, "diffusers": import_theirs}


def memory(field: str) -> int:
    """VmRSS, now, or VmHWM, at its highest: bytes of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"no {field}")


def weights(networks: Iterable[nn.Module]) -> list[torch.Tensor]:
    return [tensor for network in networks for tensor in network.state_dict().values()]


def measure(way: str, folder: Path, dtype: torch.dtype) -> dict[str, float]:
    """Load once, in this process, where the library is imported and nothing is loaded yet."""
    IMPORTS[way]()
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # forget the highest value so far
    before, started, worked = memory("VmRSS"), time.perf_counter(), time.process_time()
    networks = WAYS[way](folder, dtype)
    loaded, done, peak = time.perf_counter(), time.process_time(), memory("VmHWM")
    for tensor in weights(networks):
        tensor.sum()
    size = sum(tensor.nbytes for tensor in weights(networks))
    return {
        "seconds": loaded - started,
        "of processor": done - worked,
        "seconds used": time.perf_counter() - started,
        "memory": (peak - before) / size,
        "memory used": (memory("VmHWM") - before) / size,
    }


def switch(folder: Path, dtype: torch.dtype, times: int) -> list[float]:
    """Megabytes that the process has after each of many loads of which only the last is kept."""
    import safelight

    found = []
    for _ in range(times):
        pipe = safelight.load(folder, dtype=dtype, device="cpu")
        for tensor in weights([pipe.text_encoder, pipe.unet, pipe.autoencoder]):
            tensor.sum()
        found.append(memory("VmRSS") / 2**20)
    return found


def write_model(folder: Path, dtype: torch.dtype) -> Path:
    """Stable Diffusion 1.4 with random weights."""
    from safelight.autoencoder import Autoencoder
    from safelight.catalog import published
    from safelight.opening import BUNDLED
    from safelight.text import TextEncoder, Tokenizer
    from safelight.unet import UNet
    from safelight.weights import Parts, save_folder

    model = published("sd-1.4")
    with torch.device("meta"):
        networks = TextEncoder(model.text_encoder), UNet(model.unet), Autoencoder(model.autoencoder)
    generator = torch.Generator().manual_seed(0)
    for network in networks:
        network.to(dtype).to_empty(device="cpu")
        for parameter in network.parameters():
            parameter.data.normal_(0, 0.02, generator=generator)
    text_encoder, unet, autoencoder = networks
    tokenizer = Tokenizer.load(BUNDLED / "tokenizer")  # smaller than the model's own, which cannot be made up
    save_folder(
        folder,
        Parts(
            tokenizer=tokenizer,
            text_encoder=text_encoder,
            unet=unet,
            autoencoder=autoencoder,
            schedule=model.schedule,
        ),
    )
    return folder


def fresh(*words: str) -> Any:
    """What this script prints in a process of its own."""
    done = subprocess.run([sys.executable, __file__, *words], check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Print both."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=3, help="(default: %(default)s)")
    arguments.add_argument("--switches", type=int, default=20, help="(default: %(default)s)")
    arguments.add_argument("--folder", type=Path, help="where the models are kept, or made (default: a new one)")
    arguments.add_argument("--measure", nargs=3, metavar=("WAY", "FOLDER", "DTYPE"), help=argparse.SUPPRESS)
    arguments.add_argument("--switch", nargs=2, metavar=("FOLDER", "DTYPE"), help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    if chosen.measure:
        way, folder, dtype = chosen.measure
        print(json.dumps(measure(way, Path(folder), DTYPES[dtype])))
    elif chosen.switch:
        folder, dtype = chosen.switch
        print(json.dumps(switch(Path(folder), DTYPES[dtype], chosen.switches)))
    else:
        with tempfile.TemporaryDirectory() as made:
            compare(chosen.folder or Path(made), chosen.rounds, chosen.switches)


def compare(home: Path, rounds: int, switches: int) -> None:
    """Every case, ours and theirs in turn, and what many loads leave behind."""
    folders = {name: home / name for name in DTYPES}
    for name, folder in folders.items():
        if not folder.is_dir():
            write_model(folder, DTYPES[name])
    for stored, wanted in CASES:
        runs: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
        for _ in range(rounds + 1):
            for way in WAYS:
                runs[way].append(fresh("--measure", way, str(folders[stored]), wanted))
        print(f"{stored} file as {wanted}", flush=True)
        report({way: medians(found[1:]) for way, found in runs.items()})  # the first round warms up
    held = fresh("--switch", str(folders["bfloat16"]), "bfloat16", "--switches", str(switches))
    print(f"resident after each of {switches} loads of the bfloat16 file: first {held[0]:.0f} MB, ", end="")
    print(f"second {held[1]:.0f} MB, last {held[-1]:.0f} MB, highest {max(held):.0f} MB")


def medians(runs: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def report(found: dict[str, dict[str, float]]) -> None:
    theirs = found["diffusers"]
    for way, figures in found.items():
        cells = "   ".join(f"{name} {value:5.2f} ({value / theirs[name]:4.2f})" for name, value in figures.items())
        print(f"  {way:12} {cells}", flush=True)


if __name__ == "__main__":
    main()
