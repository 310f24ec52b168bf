"""Adapters of kinds that Safelight does not have, known by the names of their tensors, so that an error can say so."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from safelight.errors import BadCheckpoint

KINDS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        ("a DoRA (weight-decomposed LoRA)", r"\.dora_scale$|lora_magnitude_vector"),
        ("a LoHa (Hadamard product)", r"\.hada_"),
        ("a LoKr (Kronecker product)", r"\.lokr_"),
        ("a GLoRA", r"\.[ab][12]\.weight$"),
        ("an OFT or BOFT (orthogonal fine-tuning)", r"\.oft_|\.boft_"),
        ("an (IA)^3", r"\.on_input$|\.ia3_l"),
        ("a set of full weight differences", r"\.diff(_b)?$|\.w_norm$|\.b_norm$|\.set_weight$"),
        ("a LoRA with biases", r"\.lora_(B|up)(\.\w+)?\.bias$|\.lora\.up\.bias$"),
        ("a LoRA of an embedding table", r"\.lora_embedding_[AB]"),
        ("a LoRA for SDXL", r"^lora_te[12]_|^text_encoder_2\.|^lora_unet_(add_embedding|label_emb)"),
        (
            "an adapter for a diffusion transformer",
            r"^lora_unet_(double|single|joint)_|^transformer\.|^lora_te3_",
        ),
        ("a ControlNet as a LoRA", r"^lora_controlnet$"),
        ("a ControlNet as a difference from its UNet", r"^difference$"),
        ("a ControlNet-LLLite", r"^lllite_"),
        ("an IP-Adapter", r"^(ip_adapter|image_proj|ip_adapter_layers)\."),
        ("a T2I-Adapter", r"^(adapter\.)?body\.\d|^fuser\."),
        ("a hypernetwork", r"^\d+\.\d+\.linear(\.\d+)?\.(weight|bias)$|^(768|1024|320|640|1280)(\.\d+)+\."),
        ("an embedding for SDXL", r"^clip_[lg]$"),
    )
)
ACCEPTED = (
    "LoRAs, textual-inversion embeddings and ControlNets, as kohya's scripts, diffusers, PEFT and others write them"
)


def refuse_other_kinds(path: Path, names: Iterable[str]) -> None:
    """Raise BadCheckpoint that names the kind, where one of a file's tensors belongs to an adapter of another kind."""
    for name in names:
        for kind, pattern in KINDS:
            if pattern.search(name):
                raise BadCheckpoint(
                    f"{str(path)!r} is {kind} (it holds {name!r}), which is not supported; supported are {ACCEPTED}."
                )
