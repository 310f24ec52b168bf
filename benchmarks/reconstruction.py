"""How well a model's autoencoder gives the whole validation split back: PSNR, illustrations and photographs apart."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from safelight.data.backdrop import COLOURS, on_colour, to_square
from safelight.data.collection import open_collection
from safelight.images import to_tensor
from safelight.pipeline import load
from safelight.training.autoencoder.task import psnr

KINDS = {"photo": "photographs", "background": "backgrounds"}  # every other style is an illustration


def main() -> None:
    """Encode, decode, compare; cut-out pictures lie on white."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--model", help="(default: the bundled model)")
    arguments.add_argument("--dtype", default="bfloat16", help="(default: %(default)s)")
    chosen = arguments.parse_args()
    pipeline = load(chosen.model, dtype=chosen.dtype)
    found: dict[str, list[float]] = {}
    with torch.inference_mode():
        for record in open_collection(chosen.data, {"split": ["val"]}):
            image = to_tensor(on_colour(to_square(record.picture(), pipeline.size), COLOURS["white"]))[None]
            back = pipeline.autoencoder(image.to(pipeline.placement.device, pipeline.placement.dtype))
            kind = KINDS.get(str(record.fields.get("style")), "illustrations")
            found.setdefault(kind, []).append(float(psnr(back.cpu(), image)))
    figures = {kind: {"pictures": len(v), "psnr": round(sum(v) / len(v), 2)} for kind, v in found.items()}
    print(json.dumps({"dtype": chosen.dtype, **figures}))


if __name__ == "__main__":
    main()
