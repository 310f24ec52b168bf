"""Where networks run and in which precision: decided here, once, for all of them."""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from weakref import WeakSet

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from safelight.errors import BadInput, unknown_name

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
PROCESSORS = Path("/proc/cpuinfo")  # of Linux
SHORT_NAMES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}

log = logging.getLogger(__name__)
LAID_OUT: WeakSet[nn.Module] = WeakSet()  # modules whose weights must stay as they lie
OVERFLOWED: WeakSet[nn.Module] = WeakSet()  # networks of which the user has been told
Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class Placement:
    """A device and a number format."""

    device: torch.device
    dtype: torch.dtype

    @property
    def dtype_name(self) -> str:
        """The format's name, as users write it."""
        return str(self.dtype).removeprefix("torch.")


def placement_for(device: str | torch.device | None, dtype: str | torch.dtype | None) -> Placement:
    """The device and dtype of those names; None means the CPU (a GPU where there is one) and float32.

    Raises BadInput for a device that is absent and a dtype that is unknown.
    """
    place = torch.device("cuda" if torch.cuda.is_available() else "cpu") if device is None else _device(device)
    name = "float32" if dtype is None else str(dtype).removeprefix("torch.")
    name = SHORT_NAMES.get(name, name)
    if name == "auto":
        name = fastest_dtype(place)
    if name not in DTYPES:
        raise unknown_name("dtype", name, [*DTYPES, "auto"])
    return Placement(place, DTYPES[name])


def fastest_dtype(device: torch.device) -> str:
    """bfloat16 where the device multiplies in it much faster than in float32, else float32.

    Matrix units do, and so do AMD's vector instructions (AVX512-BF16, since Zen 4): a picture of the bundled model took
    0.7 times as long with them as in float32. On another processor that had such instructions and no matrix units it
    took 1.18 times as long, so that those of other makers do not count.
    """
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float16"
    if device.type == "cpu":
        vectors = torch.cpu._is_avx512_bf16_supported() and maker_of_processor() == "AuthenticAMD"
        return "bfloat16" if torch.cpu._is_amx_tile_supported() or vectors else "float32"
    return "float32"


def maker_of_processor() -> str:
    """The vendor's name as the processor itself tells it (CPUID): "AuthenticAMD", "GenuineIntel"; "" where unknown."""
    try:
        told = PROCESSORS.read_text("utf-8", "replace").splitlines()
    except OSError:
        return platform.processor().rpartition(", ")[2]  # of Windows: "AMD64 Family 25 Model 17 ..., AuthenticAMD"
    pairs = (line.partition(":") for line in told)
    return next((said.strip() for name, _, said in pairs if name.strip() == "vendor_id"), "")


def channels_last(network: Network) -> Network:
    """Store the weights of its convolutions channels-last, at once: for a network that is to learn."""
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in its stubs


def use_fast_layout(network: Network) -> Network:
    """Let each convolution store its weight channels-last, the layout in which it runs fastest, once it first runs.

    Until then a weight that lies in a file stays there: opening a model copies nothing.
    """
    for module in network.modules():
        if module not in LAID_OUT and any(weight.dim() == 4 for weight in module.parameters(recurse=False)):
            once = _LayOutOnce()
            once.handle = module.register_forward_pre_hook(once)
    return network


def keep_layout(network: nn.Module) -> None:
    """Let its weights lie as they do, whatever `use_fast_layout` has asked or will ask: others share their memory."""
    for module in network.modules():
        LAID_OUT.add(module)
        for hook in list(module._forward_pre_hooks.values()):
            if isinstance(hook, _LayOutOnce):
                hook.handle.remove()


class _LayOutOnce:
    """A hook before a module's first call; an object, so that networks can still be copied and pickled."""

    handle: RemovableHandle

    def __call__(self, module: nn.Module, _: object) -> None:
        for weight in module.parameters(recurse=False):
            if weight.dim() == 4:
                with torch.inference_mode(weight.is_inference()):  # its new data must be of its own kind
                    weight.data = weight.data.contiguous(memory_format=torch.channels_last)
        self.handle.remove()


def run_in_half(network: nn.Module, call: Callable[[], Tensor], name: str) -> Tensor:
    """`call`, which runs `network`; where half precision overflows in it, that one call is made again in float32.

    The network returns to half precision afterwards: a picture must not depend on what was drawn before it.
    """
    result = call()
    half = next((parameter.dtype for parameter in network.parameters()), torch.float32)
    if half == torch.float32 or bool(torch.isfinite(result).all()):
        return result
    if network not in OVERFLOWED:
        OVERFLOWED.add(network)
        log.warning("The %s overflows in %s; where it does, it runs again in float32, which takes longer.", name, half)
    try:
        _convert(network, torch.float32)
        return call()
    finally:
        _convert(network, half)


def _convert(network: nn.Module, dtype: torch.dtype) -> None:
    with torch.inference_mode(False):  # parameters made in inference mode could never be trained again
        network.to(dtype)


def _device(name: str | torch.device) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(0, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        available = [
            "cpu",
            *(["cuda"] if torch.cuda.is_available() else []),
            *(["mps"] if torch.backends.mps.is_available() else []),
        ]
        raise BadInput(f"device {str(name)!r} is not available; this machine has: {', '.join(available)}.") from error
    return device
