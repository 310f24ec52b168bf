"""A model's networks with adapters on them: which are there, and how they come and go."""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from safelight.adapters import (
    Attachment,
    Control,
    ControlNet,
    attach_embedding,
    merge_lora,
    open_controlnet,
    open_embedding,
    open_lora,
)
from safelight.adapters.control_attach import Controls, check_control
from safelight.autoencoder import Autoencoder, WithTinyDecoder
from safelight.errors import BadInput
from safelight.images import scaled, to_tensor
from safelight.networks import Networks
from safelight.placement import Placement, use_fast_layout
from safelight.run import Run
from safelight.weights import Parts
from safelight.weights.parts import AnyAutoencoder
from safelight.weights.tiny_autoencoder import load_tiny_decoder

FEW_STEPS_SAMPLER = "lcm"
Kind = Literal["lora", "embedding", "controlnet", "few_steps"]


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """One adapter that is on. file: where it was opened. weight: how strongly it works; 1 is as it was trained.

    What the model has beside it for few steps is its own and has no file.
    """

    kind: Kind
    file: str = ""
    weight: float = 1.0
    word: str = ""
    start: float = 0.0
    end: float = 1.0

    def as_text(self) -> dict[str, str]:
        """What a recipe says of it: all that is not as by default."""
        return {name: str(value) for name, value in asdict(self).items() if value != getattr(Adapter, name, None)}


class Adapted(Networks):
    """Networks that LoRAs, learnt words and ControlNets can be added to.

    Each `add_` returns an attachment, whose `detach` leaves the model as it was before, to the last bit.
    """

    def __init__(self, parts: Parts, placement: Placement) -> None:
        super().__init__(parts, placement)
        self._adapters: list[Adapter] = []
        self._controls: list[tuple[Adapter, ControlNet]] = []

    @property
    def adapters(self) -> list[Adapter]:
        """Those that are on, in the order in which they came."""
        return list(self._adapters)

    def add_lora(self, file: str | os.PathLike[str], weight: float = 1.0) -> Attachment:
        """Add a LoRA to the weights; raises BadCheckpoint that lists every key which does not fit."""
        adapter = Adapter(kind="lora", file=os.fspath(file), weight=float(weight))
        return self._remembered(adapter, merge_lora(self, [(open_lora(Path(file), self.unet.config), weight)]))

    def add_few_steps(self) -> Attachment:
        """Draw with what the model has beside it for that: a LoRA for few steps, then the default, a tiny decoder.

        Raises BadInput for a model that has neither.
        """
        before = self.few_steps, self.tiny_decoder, self.sampler
        if any(adapter.kind == "few_steps" for adapter in self._adapters):
            raise BadInput("What this model has for few steps is on already; `detach` what was added before.")
        if self.few_steps is None and self.tiny_decoder is None:
            raise BadInput(
                "This model has no LoRA for few steps beside it; `safelight train distill` with distill.learner "
                '"lora" makes one.'
            )
        own, decoding = self.autoencoder, self._decoding_fast()
        undo = []
        if self.few_steps is not None:
            undo.append(merge_lora(self, [(open_lora(self.few_steps, self.unet.config), 1.0)]).detach)
            self.sampler = FEW_STEPS_SAMPLER

        def back() -> None:
            if decoding is not own:
                if self.autoencoder is not decoding:
                    raise BadInput("The autoencoder was replaced while a tiny decoder was on; detach that before.")
                self.autoencoder = own
            self.few_steps, self.tiny_decoder, self.sampler = before

        self.few_steps, self.tiny_decoder, self.autoencoder = None, None, decoding
        return self._remembered(Adapter(kind="few_steps"), Attachment(*undo, back))

    def add_embedding(self, file: str | os.PathLike[str], word: str | None = None) -> Attachment:
        """Teach the model a word of textual inversion: as the file calls it, or as `word` does."""
        embedding = open_embedding(Path(file), word)
        adapter = Adapter(kind="embedding", file=os.fspath(file), word=embedding.word)
        return self._remembered(adapter, attach_embedding(self, [embedding]))

    def add_controlnet(
        self, model: str | os.PathLike[str], weight: float = 1.0, *, start: float = 0.0, end: float = 1.0
    ) -> Attachment:
        """Let a ControlNet steer every run that is given a control_image, during a share of its steps."""
        # An inpainting UNet's mask and picture are not for it: it reads the latent alone.
        alone = replace(self.unet.config, in_channels=self.unet.config.out_channels)
        network = open_controlnet(Path(model), alone).to(self.placement.device, self.placement.dtype).eval()
        adapter = Adapter(kind="controlnet", file=os.fspath(model), weight=float(weight), start=start, end=end)
        return self.steered_by(network, adapter)

    def steered_by(self, network: ControlNet, adapter: Adapter | None = None) -> Attachment:
        """The same with a ControlNet that is open already, and stays in its own precision."""
        check_control(network, self.unet)
        adapter = adapter or Adapter(kind="controlnet", file="")
        entry = (adapter, network)
        self._controls.append(entry)
        return self._remembered(adapter, Attachment(lambda: self._controls.remove(entry)))

    def controlled(self, run: Run) -> Networks:
        """These networks for one run, in which the ControlNets see its control images."""
        hints = run.control_images
        if not self._controls and not hints:
            return self
        if len(hints) != len(self._controls):
            raise BadInput(
                f"control_image gives {len(hints)} pictures; this model has {len(self._controls)} ControlNets, and "
                "needs one for each."
            )
        controls = [
            Control(
                network=network,
                hint=(to_tensor(scaled(hint, run.width, run.height))[None] + 1) / 2,
                strength=adapter.weight,
                start=adapter.start,
                end=adapter.end,
            )
            for (adapter, network), hint in zip(self._controls, hints, strict=True)
        ]
        steered = copy.copy(self)
        steered.controls = Controls(controls, visited(run))
        return steered

    def _decoding_fast(self) -> AnyAutoencoder:
        """The autoencoder with the tiny decoder that the model has beside it, or as it is."""
        if self.tiny_decoder is None or not isinstance(self.autoencoder, Autoencoder):
            return self.autoencoder
        like = next(self.autoencoder.parameters())
        tiny = load_tiny_decoder(self.tiny_decoder).to(like.device, like.dtype).eval()
        return WithTinyDecoder(self.autoencoder, use_fast_layout(tiny))

    def _remembered(self, adapter: Adapter, attachment: Attachment) -> Attachment:
        self._adapters.append(adapter)
        return Attachment(lambda: self._adapters.remove(adapter), attachment.detach)


def visited(run: Run) -> Sequence[float]:
    """The timestep at the start of each step of a run."""
    return run.plan.timestep_of(run.plan.sigmas[run.first_step : -1]).tolist()
