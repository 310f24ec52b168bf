"""The usual environment variables, in processes of their own: huggingface_hub reads them when it is imported."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from safelight.weights.hub import fetch
from weights.hub.conftest import ID, NEEDED
from weights.hub.server import Hub

UNET = "unet/diffusion_pytorch_model.safetensors"
SCRIPT = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests in the background has it ignored
from safelight.errors import BadInput
from safelight.weights.hub import fetch
print("huggingface_hub" in sys.modules)
for token in sys.argv[1:]:
    os.environ["HF_TOKEN"] = token
    try:
        print(fetch("studio/tiny"))
    except BadInput as error:
        print(error)
"""


def start(*tokens: str, **variables: str) -> subprocess.Popen[str]:
    """A process that fetches the model once with each token."""
    ours = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING"))}
    ours |= {"OMP_NUM_THREADS": "1", **variables}
    command = [sys.executable, "-c", SCRIPT, *tokens]
    return subprocess.Popen(command, env=ours, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def said(process: subprocess.Popen[str]) -> list[str]:
    """The lines on its standard output."""
    lines, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return lines.splitlines()


def test_endpoint_home_and_token(hub: Hub, tmp_path: Path) -> None:
    hub.repositories[ID].token = "hf_mine"
    imported, refused, folder = said(start("hf_wrong", "hf_mine", HF_ENDPOINT=hub.url, HF_HOME=str(tmp_path / "home")))
    assert imported == "False"  # before a model is asked for
    assert refused.startswith(f"'studio/tiny' is not on {hub.url}, or is private")
    assert Path(folder).is_relative_to(tmp_path / "home" / "hub" / "models--studio--tiny" / "snapshots")
    assert sorted(hub.fetched()) == NEEDED


def test_cache_and_offline(hub: Hub, cache: Path) -> None:
    folder = fetch(ID)
    hub.log.clear()
    variables = {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(cache)}
    process = start("hf_mine", **variables)
    empty = start("hf_mine", **{**variables, "HF_HUB_CACHE": str(cache.with_name("empty"))})
    assert said(process)[1] == str(folder)
    assert said(empty)[1] == f"{ID!r} is not in {str(cache.with_name('empty'))!r}, and HF_HUB_OFFLINE forbids a call."
    assert hub.log == []


@pytest.mark.skipif(os.name == "nt", reason="sends a signal")
def largest_part(cache: Path) -> int:
    """The size in bytes of the largest file that has not arrived whole; one that arrives meanwhile is none."""
    sizes = [0]
    for file in cache.rglob("*.incomplete"):
        with suppress(FileNotFoundError):
            sizes.append(file.stat().st_size)
    return max(sizes)


def test_interrupted_from_the_keyboard_it_goes_on_next_time(hub: Hub, cache: Path, published: dict[str, bytes]) -> None:
    content = os.urandom(30_000_000)  # huggingface_hub writes in pieces of ten million bytes
    hub.repositories[ID].commit({**published, UNET: content})
    hub.stalls[UNET] = 25_000_000
    process = start("", HF_ENDPOINT=hub.url, HF_HUB_CACHE=str(cache))
    waited = time.monotonic() + 60
    while largest_part(cache) < 1_000_000:  # the small files are through
        assert time.monotonic() < waited, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in process.communicate(timeout=60)[1]
    hub.stalls.clear()
    (partial,) = cache.rglob("*.incomplete")
    size = partial.stat().st_size
    assert content.startswith(partial.read_bytes())
    assert not list(cache.rglob(UNET))
    hub.log.clear()
    assert (fetch(ID) / UNET).read_bytes() == content
    ranges = [asked.headers.get("range") for asked in hub.log if asked.method == "GET" and asked.name == UNET]
    assert ranges == [f"bytes={size}-"]
