"""The networks of a model on one device, in one precision: how the rest of the program calls them.

Each call brings its input into the network's precision and its result back to float32, and survives an overflow of
half precision. Whoever replaces a network here replaces it for every task.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from safelight.autoencoder import DiagonalGaussian, Distribution, Point
from safelight.diffusion.conditioning import Conditioning
from safelight.diffusion.schedule import Schedule
from safelight.errors import BadInput
from safelight.placement import Placement, run_in_half, use_fast_layout
from safelight.text.prompt import encode_prompts
from safelight.unet.unet import Residuals
from safelight.weights import Parts, check_fit


class Steering(Protocol):
    """What ControlNets are to a UNet: adapters/control_attach.py."""

    def residuals(self, latent: Tensor, timestep: Tensor, context: Tensor | None) -> Residuals | None:
        """What is added to the skip connections and to the middle."""


class Networks:
    """All parts of a model, each of which can be called, replaced or wrapped by its user."""

    def __init__(self, parts: Parts, placement: Placement) -> None:
        check_fit(parts)
        self.placement = placement
        device, dtype = placement.device, placement.dtype
        self.tokenizer = parts.tokenizer
        self.text_encoder = None if parts.text_encoder is None else parts.text_encoder.to(device, dtype).eval()
        self.unet = use_fast_layout(parts.unet.to(device, dtype).eval())
        self.autoencoder = use_fast_layout(parts.autoencoder.to(device, dtype).eval())
        self.class_embedder = None if parts.class_embedder is None else parts.class_embedder.to(device, dtype)
        self.rescaler = None if parts.rescaler is None else parts.rescaler.to(device, dtype)
        self.image_encoder = None if parts.image_encoder is None else parts.image_encoder.to(device, dtype).eval()
        self.embedding_statistics = parts.embedding_statistics
        self.schedule = Schedule(parts.schedule)
        self.sampler = parts.sampler
        self.few_steps, self.tiny_decoder = parts.few_steps, parts.tiny_decoder
        self.suits = dict(parts.usual)
        self.noise_schedule = None if parts.noise_schedule is None else Schedule(parts.noise_schedule)
        self.controls: Steering | None = None

    def parts(self) -> Parts:
        """The parts as they are now."""
        return Parts(
            unet=self.unet,
            schedule=self.schedule.config,
            autoencoder=self.autoencoder,
            tokenizer=self.tokenizer,
            text_encoder=self.text_encoder,
            class_embedder=self.class_embedder,
            rescaler=self.rescaler,
            image_encoder=self.image_encoder,
            embedding_statistics=self.embedding_statistics,
            noise_schedule=None if self.noise_schedule is None else self.noise_schedule.config,
            sampler=self.sampler,
            few_steps=self.few_steps,
            tiny_decoder=self.tiny_decoder,
            usual=self.suits,
        )

    def contexts(self, prompt: str, negative_prompt: str) -> tuple[Tensor, Tensor]:
        """The vectors of the prompt and of the negative prompt, (1, n, d) each."""
        tokenizer, encoder = self.parts().reader
        both = run_in_half(
            encoder, lambda: encode_prompts([prompt, negative_prompt], tokenizer, encoder), "text encoder"
        )
        return both[:1], both[1:]

    def predict(self, latent: Tensor, timestep: Tensor, conditioning: Tensor | Conditioning) -> Tensor:
        """What the UNet predicts: (b, c, h, w) float32."""
        shown = Conditioning(context=conditioning) if isinstance(conditioning, Tensor) else conditioning

        def call() -> Tensor:
            dtype = self.unet.conv_in.weight.dtype
            x = latent if shown.beside is None else torch.cat([latent, shown.beside.to(latent)], dim=1)
            context = None if shown.context is None else shown.context.to(dtype)
            label = (
                shown.label.to(dtype) if shown.label is not None and shown.label.is_floating_point() else shown.label
            )
            x = x.to(dtype).contiguous(memory_format=torch.channels_last)
            residuals = None if self.controls is None else self.controls.residuals(x, timestep, context)
            return self.unet(x, timestep, context, label, residuals, shown.guidance)

        return run_in_half(self.unet, call, "UNet").float()

    def decoded(self, latent: Tensor) -> Tensor:
        """Unscaled latent (b, c, h, w) -> image (b, 3, H, W) float32, about in [-1, 1]."""
        return run_in_half(
            self.autoencoder, lambda: self.autoencoder.decode(latent.to(self._picture_dtype)), "autoencoder"
        ).float()

    def encoded(self, image: Tensor) -> Distribution:
        """Image (1, 3, H, W) in [-1, 1] -> the distribution of its unscaled latent, float32."""

        def moments() -> Tensor:
            found = self.autoencoder.encode(image.to(self.placement.device, self._picture_dtype))
            return torch.stack([found.mean] if isinstance(found, Point) else [found.mean, found.log_variance])

        found = run_in_half(self.autoencoder, moments, "autoencoder").float()
        return Point(found[0]) if len(found) == 1 else DiagonalGaussian(found[0], found[1])

    def embedded(self, image: Tensor) -> Tensor:
        """Image (1, 3, s, s), normalised for the image encoder -> its vector (1, d) float32."""
        encoder = self.image_encoder
        if encoder is None:
            raise BadInput("This model has no image encoder.")
        dtype = next(encoder.parameters()).dtype
        return run_in_half(encoder, lambda: encoder(image.to(self.placement.device, dtype)), "image encoder").float()

    def sample_noise(self, shape: Sequence[int], generator: torch.Generator) -> Tensor:
        """The next unit-variance noise of one picture's generator, on the model's device."""
        return torch.randn(tuple(shape), generator=generator, dtype=torch.float32).to(self.placement.device)

    @property
    def _picture_dtype(self) -> torch.dtype:
        return next((p.dtype for p in self.autoencoder.parameters()), torch.float32)
