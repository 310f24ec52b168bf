"""The student: a UNet of its own, or a LoRA beside the teacher's."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from safelight.adapters.lora_file import open_lora, save_lora
from safelight.diffusion.conditioning import Conditioning
from safelight.errors import BadInput
from safelight.training.diffusion.learner import WholeUNet
from safelight.training.finetuning.lora import LearntLoRA
from safelight.training.finetuning.settings import LoRAConfig
from safelight.unet import UNet
from safelight.weights import Parts, save_folder
from safelight.weights.folder import FEW_STEPS


class Student(Protocol):
    """What learns from the teacher.

    parts: the model as it draws then. network: what learns of it. frozen: what does not, but passes gradients on.
    """

    @property
    def parts(self) -> Parts: ...
    @property
    def network(self) -> nn.Module: ...
    @property
    def frozen(self) -> Sequence[nn.Module]: ...

    def answer(self, latent: Tensor, timestep: Tensor, context: Tensor, guidance: Tensor) -> Tensor:
        """What it predicts for captions (b, n, d) at those guidance scales (b,): (b, c, h, w) float32."""
        ...

    def export(self, folder: Path) -> None:
        """Write the whole model into `folder/model`."""
        ...


class OwnUNet(WholeUNet):
    """A UNet that starts as the teacher's and is told the guidance scale."""

    def __init__(self, teacher: Parts, guidance_width: int, sampler: str | None) -> None:
        super().__init__(student_of(teacher, guidance_width, sampler))

    def answer(self, latent: Tensor, timestep: Tensor, context: Tensor, guidance: Tensor) -> Tensor:
        """What the UNet predicts."""
        return self.predict(latent, timestep, Conditioning(context=context, guidance=guidance)).float()


class BesideTeacher(LearntLoRA):
    """A LoRA that makes the teacher its own student, with one guidance scale inside (Luo et al. 2023, LCM-LoRA).

    go_on: begin with the one that the teacher has; raises BadInput where it has none, or one of other layers or of a
    higher rank.
    """

    def __init__(
        self,
        teacher: Parts,
        settings: LoRAConfig,
        sampler: str | None,
        notes: Mapping[str, str],
        go_on: bool = False,
    ) -> None:
        unet = copy.deepcopy(teacher.unet).requires_grad_(False)
        super().__init__(replace(teacher, unet=unet, sampler=sampler), settings, notes)
        self.teacher = teacher
        if go_on:
            self._begin_with_own()
        self.network.to(next(unet.parameters()).device)

    def answer(self, latent: Tensor, timestep: Tensor, context: Tensor, guidance: Tensor) -> Tensor:
        """What the UNet predicts with the LoRA; the scale is the one that it was taught."""
        return self.predict(latent, timestep, Conditioning(context=context)).float()

    def export(self, folder: Path) -> None:
        """The teacher's model with the LoRA beside it, for `safelight.load(fast=True)`."""
        lora, file = self.lora(), folder / FEW_STEPS.name
        half = {name: replace(one, down=one.down.half(), up=one.up.half()) for name, one in lora.unet.items()}
        save_lora(file, replace(lora, unet=half), "diffusers", self.teacher.unet.config)
        save_folder(folder / "model", replace(self.teacher, few_steps=file))

    @torch.no_grad()
    def _begin_with_own(self) -> None:
        file = self.teacher.few_steps
        if file is None:
            raise BadInput("distill.go_on is true, but this model has no LoRA for few steps beside it.")
        known = open_lora(file, self.teacher.unet.config).unet
        for (_, name), pair in self.pairs.items():
            rank = known[name].rank if name in known else 0
            if not 1 <= rank <= len(pair.down):
                raise BadInput(
                    f"distill.go_on is true, but in the model's LoRA for few steps {name!r} has rank {rank}; "
                    f"adapter.rank is {len(pair.down)}, and must be as much at least."
                )
            pair.begin_with(known[name])


def student_of(parts: Parts, guidance_width: int, sampler: str | None = None) -> Parts:
    """The same model with a UNet of its own that is told a guidance scale, and so far makes nothing of it.

    sampler: the only one that it will draw with. The LoRA for few steps that the teacher may have beside it is left.

    Its weights are the teacher's; those that read the scale are zero (Meng et al. 2023, section 3.1), unless the
    teacher has such weights already.
    """
    teacher = parts.unet
    unet = UNet(replace(teacher.config, guidance_width=teacher.config.guidance_width or guidance_width))
    weights = unet.state_dict()
    assert unet.guidance_projection is not None
    torch.nn.init.zeros_(unet.guidance_projection.weight)
    unet.load_state_dict({**weights, **teacher.state_dict()})
    return replace(parts, unet=unet.to(next(teacher.parameters()).device), sampler=sampler, few_steps=None)
