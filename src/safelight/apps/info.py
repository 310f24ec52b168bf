"""`safelight info MODEL`: what a model is made of."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from safelight.apps.terminal import add_json_argument, answer


def add_to(commands: Any) -> None:
    """The arguments of the command."""
    command = commands.add_parser("info", help="say what a model is: its parts, sizes and noise law")
    command.add_argument("model", nargs="?", help="a folder in the diffusers layout (default: the bundled model)")
    add_json_argument(command)
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Open the model and describe each part."""
    from safelight.opening import open_model

    parts, name = open_model(arguments.model)
    networks: dict[str, Any] = {
        "text_encoder": parts.text_encoder,
        "unet": parts.unet,
        "autoencoder": parts.autoencoder,
    }
    facts: dict[str, Any] = {
        "model": name,
        "tokens": len(parts.tokenizer.vocabulary),
        "schedule": asdict(parts.schedule),
    }
    sentences = [f"{name}: {len(parts.tokenizer.vocabulary):,} tokens, {parts.schedule.prediction} prediction"]
    for part, network in networks.items():
        weights = list(network.parameters())
        count = sum(weight.numel() for weight in weights)
        dtypes = sorted({str(weight.dtype).removeprefix("torch.") for weight in weights})
        facts[part] = {"parameters": count, "dtypes": dtypes, "config": asdict(network.config)}
        sentences.append(f"  {part:13} {count:>13,} parameters, {', '.join(dtypes)}")
    size = parts.unet.config.sample_size * parts.autoencoder.config.factor
    facts["size"] = size
    answer(arguments, facts, [*sentences, f"  draws {size} x {size} pixels by default"])
