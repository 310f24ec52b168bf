"""What a task is, and whether a request brings what it needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Generator

from safelight.diffusion.denoiser import Network
from safelight.errors import BadInput
from safelight.networks import Networks
from safelight.request import Request
from safelight.run import Run

# The fields of a request that only some models take, as an error names them.
INPUTS = {
    "image": "a picture",
    "mask_image": "a mask, white where the picture is to be redrawn",
    "depth_map": "a picture that is lighter where things are nearer",
    "semantic_map": "a grey picture of which each pixel is the number of a label",
    "class_label": "the number of a class",
    "boxes": "labelled boxes",
    "noise_level": "a number",
}


@dataclass(frozen=True)
class Drawing:
    """One picture of a run: its prompt and its own source of noise."""

    prompt: str
    generator: Generator


Bind = Callable[[Networks, Run, Drawing], Network]


@dataclass(frozen=True, kw_only=True)
class Task:
    """One kind of model.

    does: the end of the sentence "This model ...". bind: shows a drawing's inputs to the networks. needs, takes: fields
    of the request that it cannot, and can, do without. reads_text: whether it has a use for a prompt. strength: how
    much of the picture it starts from is redrawn by default; None: it always starts from noise.
    guides: whether it can be steered by guidance. enlarges: whether it draws larger than the picture it is shown.
    keeps_size: whether it draws as large as that picture where no size is asked for.
    """

    does: str
    bind: Bind
    needs: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    reads_text: bool = True
    strength: float | None = None
    guides: bool = True
    enlarges: bool = False
    keeps_size: bool = True


def check_inputs(task: Task, request: Request, networks: Networks) -> None:
    """Raise BadInput that names an input which is missing, or which this model has no use for."""
    channels, latent = networks.unet.config.in_channels, networks.autoencoder.config.latent_channels
    model = "This model" if channels == latent else f"This model (its UNet takes {channels} channels, not {latent})"
    missing = [f"{name} ({INPUTS[name]})" for name in task.needs if getattr(request, name) is None]
    if missing:
        raise BadInput(f"{model} {task.does}: it needs {' and '.join(missing)}.")
    for name, what in INPUTS.items():
        if getattr(request, name) is not None and name not in (*task.needs, *task.takes):
            raise BadInput(f"{model} {task.does}: it has no use for {name}, {what}.")
    if request.strength is not None and task.strength is None:
        raise BadInput(f"{model} {task.does}: it starts from noise; leave out strength (got {request.strength}).")
    if not task.reads_text and any(request.prompts):
        raise BadInput(f"{model} {task.does}: it reads no text; leave the prompt empty (got {request.prompts[0]!r}).")
