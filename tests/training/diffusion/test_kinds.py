"""Every kind of model: what it is shown while it learns is what it is shown when it draws, and it learns by it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import default_collate

from safelight.training.diffusion.kinds import KINDS
from safelight.training.diffusion.objective import Question
from tests.training.diffusion.tiny_kinds import RECIPES, kind_task, write_runs


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_runs(tmp_path_factory.mktemp("runs"))


class Watched:
    """The last row of everything that a UNet is called with, at its first call."""

    def __init__(self, unet: Any, latent: int) -> None:
        self.seen: dict[str, Tensor] = {}
        self.latent = latent
        self.hook = unet.register_forward_pre_hook(self)

    def __call__(self, unet: Any, arguments: tuple[Any, ...]) -> None:
        if not self.seen:
            x, _, context, label, *_ = arguments
            found = {"beside": x[:, self.latent :], "context": context, "label": label}
            self.seen = {name: tensor[-1].detach().float() for name, tensor in found.items() if tensor is not None}


def test_every_kind_is_tried() -> None:
    assert set(RECIPES) == set(KINDS)


@pytest.mark.parametrize("kind", RECIPES)
def test_it_is_shown_alike_while_it_learns_and_when_it_draws(kind: str, runs: Path, tmp_path: Path) -> None:
    task = kind_task(kind, runs, tmp_path)
    assert task.learner.parts.task == kind
    view, latent, unet = task.seen.views[3], task.seen[3], task.learner.parts.unet
    watched = Watched(unet, len(latent))
    with torch.no_grad():
        batch = {"latent": latent[None], **default_collate([task.shown.fixed_entries(view)])}
        task._errors(batch, Question(torch.tensor([500]), torch.randn(1, *latent.shape)))
    watched.hook.remove()
    drawing = Watched(unet, len(latent))
    with torch.no_grad():
        task.pipeline()(**task.shown.request(view), seed=0, num_inference_steps=1)
    drawing.hook.remove()
    assert watched.seen.keys() == drawing.seen.keys()
    for name, tensor in watched.seen.items():
        # the text is kept in bfloat16, and the small picture of an upscaler has noise of its own
        tolerance = {"context": 0.05, "beside": 0.5 if kind == "upscaling" else 1e-4, "label": 0.0}[name]
        assert tensor.shape == drawing.seen[name].shape
        assert float((tensor - drawing.seen[name]).abs().max() if tensor.numel() else 0.0) <= tolerance, name
