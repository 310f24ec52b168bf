"""What a person waits for: the import, the help, and a first picture in a fresh process."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from timing import seconds

import safelight

DIFFUSERS = """
import sys, torch
from diffusers import StableDiffusionPipeline, DPMSolverMultistepScheduler
pipe = StableDiffusionPipeline.from_pretrained(sys.argv[1], torch_dtype=torch.bfloat16, safety_checker=None)
pipe.scheduler = DPMSolverMultistepScheduler.from_config(pipe.scheduler.config, use_karras_sigmas=True)
pipe.set_progress_bar_config(disable=True)
pipe("a red apple", num_inference_steps=25).images[0].save(sys.argv[2])
"""


def median(what: str, words: list[str], rounds: int) -> float:
    """Run a command several times in fresh processes and print its median time."""
    times = [seconds(lambda: subprocess.run(words, check=True, capture_output=True)) for _ in range(rounds)]
    print(f"{what:52} {statistics.median(times):7.3f} s", flush=True)
    return statistics.median(times)


def main() -> None:
    """Time all four."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=5, help="(default: %(default)s)")
    rounds = arguments.parse_args().rounds
    python = sys.executable
    bare = median("python, doing nothing", [python, "-c", ""], rounds)
    imported = median("import safelight", [python, "-c", "import safelight"], rounds)
    print(f"{'  of which safelight':52} {imported - bare:7.3f} s")
    median("safelight --help", [python, "-m", "safelight", "--help"], rounds)
    with tempfile.TemporaryDirectory() as folder:
        out = str(Path(folder) / "apple.png")
        ours = median(
            "safelight generate, fresh process",
            [python, "-m", "safelight", "generate", "a red apple", "--out", out],
            rounds,
        )
        plain = str(Path(folder) / "plain")
        safelight.load(device="cpu", dtype="float16").save(plain)  # diffusers reads no weights in eight bits
        theirs = median("diffusers, same model, fresh process", [python, "-c", DIFFUSERS, plain, out], rounds)
    print(f"{'  ratio':52} {ours / theirs:7.2f}")


if __name__ == "__main__":
    main()
