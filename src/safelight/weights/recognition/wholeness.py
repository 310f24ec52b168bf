"""Whether a file holds a whole model, and nothing that is not known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from pathlib import Path

from safelight.errors import BadCheckpoint
from safelight.weights.recognition.contents import Contents

LISTED = 40
ADAPTERS = {
    "lora": "a LoRA, which is attached to a model",
    "embedding": "a textual-inversion embedding, which is attached to a model",
    "controlnet": "a ControlNet, which is attached to a model",
}


def check_whole(contents: Contents, path: Path, given: Collection[str]) -> None:
    """Raise BadCheckpoint that names every part that is missing or there twice, and every tensor that is unknown.

    given: the slots that the caller fills himself.
    """
    kinds = Counter(part.kind for part in contents.found)
    if contents.foreign:
        raise BadCheckpoint(
            f"{str(path)!r} is of {contents.foreign}; Safelight opens Stable Diffusion 1 and 2 and the models of the "
            "latent-diffusion paper."
        )
    if "unet" not in kinds and (adapter := next((kind for kind in kinds if kind in ADAPTERS), None)):
        raise BadCheckpoint(f"{str(path)!r} is {ADAPTERS[adapter]}; it is no model.")
    faults = [f"{kind} is there {count} times" for kind, count in kinds.items() if count > 1]
    missing = [slot for slot in needed(contents) if slot not in kinds and slot not in given]
    if missing:
        there = ", ".join(kinds) or "no part that is known"
        faults.append(f"a whole model also needs {', '.join(missing)} (the file holds {there})")
    faults += [part.fault for part in contents.found if part.fault and part.kind not in given]
    if contents.unknown:
        rest = f", and {len(contents.unknown) - LISTED} more" if len(contents.unknown) > LISTED else ""
        listed = "; ".join(contents.unknown[:LISTED])
        faults.append(f"{len(contents.unknown)} tensors belong to no part: {listed}{rest}")
    if faults:
        raise BadCheckpoint(f"{str(path)!r} is no whole model: {'. '.join(faults)}.")


def needed(contents: Contents) -> tuple[str, ...]:
    """The slots of Parts that a model with this UNet must fill."""
    unet = contents.part("unet")
    slots: tuple[str, ...] = ("unet", "autoencoder")
    if unet is None or unet.config is None:
        return slots
    if unet.config.reads_context and contents.part("class_embedder") is None:
        slots += ("text_encoder",)
    if unet.config.class_vector:
        slots += ("image_encoder", "embedding_statistics")
    return slots
