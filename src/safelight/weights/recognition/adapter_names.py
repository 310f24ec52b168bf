"""Adapters told by the names of their tensors; adapters/ opens them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from torch import Tensor

from safelight.weights.recognition.forms import Kind, Layout

LORA_ENDINGS = (
    ".lora_down.weight",
    ".lora_up.weight",
    ".lora_mid.weight",
    ".lora_A.weight",
    ".lora_B.weight",
    ".lora.down.weight",
    ".lora.up.weight",
    "_lora.down.weight",
    "_lora.up.weight",
    ".hada_w1_a",
    ".hada_w1_b",
    ".hada_w2_a",
    ".hada_w2_b",
    ".lokr_w1",
    ".lokr_w2",
    ".dora_scale",
    ".alpha",
    ".diff",
)
LORA_STYLES: tuple[tuple[str, Layout], ...] = (
    ("lora_unet_", "kohya"),
    ("lora_te", "kohya"),
    ("base_model.model.", "peft"),
)
CONTROLNETS: tuple[tuple[str, Layout], ...] = (
    ("input_hint_block.0.weight", "original"),
    ("controlnet_cond_embedding.conv_in.weight", "diffusers"),
)
EMBEDDINGS: tuple[tuple[str, Layout], ...] = (
    ("string_to_param.*", "webui"),
    ("emb_params", "webui"),
    ("clip_l", "webui"),
    ("clip_g", "webui"),
)
FEW = 8  # words in one file
TEXT_WIDTHS = (768, 1024, 1280)


def controlnet_prefix(names: Collection[str]) -> tuple[str, Layout] | None:
    """The prefix and layout of a ControlNet among the names."""
    for landmark, layout in CONTROLNETS:
        for prefix in ("control_model.", ""):
            if prefix + landmark in names:
                return prefix, layout
    return None


def adapter(tensors: Mapping[str, Tensor]) -> tuple[Kind, Layout] | None:
    """What kind of adapter, in which style, a file with these tensors is as a whole, or None."""
    if any(name.endswith(LORA_ENDINGS) for name in tensors):
        return "lora", next((layout for start, layout in LORA_STYLES if any(map(_starts(start), tensors))), "diffusers")
    for landmark, layout in EMBEDDINGS:
        if landmark in tensors:
            return "embedding", layout
    words = 0 < len(tensors) <= FEW and all(_is_word(name, tensor) for name, tensor in tensors.items())
    return ("embedding", "diffusers") if words else None


def _is_word(name: str, tensor: Tensor) -> bool:
    """Whether a tensor is a word's vectors under the word itself."""
    vectors = tensor.ndim in (1, 2) and tensor.shape[-1] in TEXT_WIDTHS
    return name.startswith("<") or (vectors and "." not in name)


def _starts(start: str) -> Callable[[str], bool]:
    return lambda name: name.startswith(start)
