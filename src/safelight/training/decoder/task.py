"""The decoder stage: a whole model's decoder learns to paint what its UNet draws.

An autoencoder learns from its own latents, which are exact. What comes out of a UNet is not: a flat surface is a little
uneven, white is a little grey, and the decoder paints just that. Here it learns to paint the meant picture, from the
pictures' own latents and from those that the model has `redrawn`. Nothing else of the model changes: latents mean what
they meant, as with the decoders that were published after Stable Diffusion 1 (Rombach et al.'s ft-EMA and ft-MSE).

Or a tiny decoder, new or there already, learns the same beside the model's own (TAESD, Ollin Boer Bohan 2023): worse by
a little, several times faster, for pictures in few steps.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, TypeAlias

import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn
from tqdm import tqdm

from safelight.autoencoder import Autoencoder, TinyDecoder, WithTinyDecoder
from safelight.configs import TinyAutoencoderConfig
from safelight.data.collection import check_captions, fingerprint, is_one_of, some_of, split_up
from safelight.data.record import BadSample, Record
from safelight.data.styles import styles_of
from safelight.errors import BadInput
from safelight.evaluation.fidelity import psnr
from safelight.images import to_picture
from safelight.placement import channels_last
from safelight.training.autoencoder.comparison import Comparison
from safelight.training.autoencoder.settings import ComparisonConfig
from safelight.training.captions import with_caption
from safelight.training.decoder.last_layer import fitted
from safelight.training.decoder.redrawn import redrawn
from safelight.training.decoder.settings import DecoderConfig
from safelight.training.diffusion.latents import latent_set
from safelight.training.diffusion.settings import ViewsConfig
from safelight.training.diffusion.views import framing_of
from safelight.training.engine.noise import SampleNoise
from safelight.training.finetuning.start import Start, check_draws_from_text, check_same_start, open_start
from safelight.training.prepared import prepare
from safelight.weights import load_tiny_decoder, save_folder

if TYPE_CHECKING:
    from safelight.training.recipe import DecoderRecipe
    from safelight.training.stages import Inputs

HELD_OUT = 48  # pictures that figures are of, and redrawn ones as many
SHOWN = 8  # on a sheet

Both: TypeAlias = dict[str, Tensor]  # "latent", scaled, and "image", of the same part of a picture


class DecoderTask:
    """A decoder with the latents that it paints from; see `training.engine.task.Task`. folder: keeps these."""

    def __init__(
        self,
        start: Start,
        settings: DecoderConfig,
        loss: ComparisonConfig,
        data: ViewsConfig,
        records: list[Record],
        folder: Path,
    ) -> None:
        if not isinstance(start.parts.autoencoder, Autoencoder):
            raise BadInput(f"The model {start.name!r} has no autoencoder whose decoder could learn.")
        records = with_caption(records, data.caption)
        check_captions(records)
        framing = framing_of(start.parts, data)
        check_crop(loss.crop, start.parts.autoencoder.config.factor, min(map(min, framing.sizes)))
        self.tiny = tiny_decoder_for(start, start.parts.autoencoder, settings)
        training, held_out = split_up(records)
        styles = styles_of(training, data.styles)
        self.parts, self.autoencoder = start.parts, start.parts.autoencoder
        self.settings, self.white_share = settings, data.white_share
        self.cells = loss.crop // self.autoencoder.config.factor
        self.fingerprint = f"{fingerprint(training)} {start.fingerprint}"
        named = [styles.captioned(record) for record in training]
        self.own = latent_set(named, self.autoencoder, framing, folder / "latents-train.safetensors")
        self.unseen = (
            latent_set(some_of(held_out, HELD_OUT), self.autoencoder, framing, folder / "latents-val.safetensors")
            if held_out
            else None
        )
        among = [
            place
            for place, rows in enumerate(self.own.rows)
            if is_one_of(self.own.views[rows[0]].record, settings.redrawn_where)
        ]
        self.redrawn = redrawn(
            start.parts, self.own, among, data.white_share, settings, start.fingerprint, folder / "redrawn"
        )
        self.known = min(HELD_OUT, len(self.redrawn) // 2)  # redrawn ones that are not learnt from
        self.size = len(self.own.rows)
        self.comparison = Comparison(loss)
        own = nn.ModuleDict({"latent_in": self.autoencoder.latent_in, "decoder": self.autoencoder.decoder})
        painter = own if self.tiny is None else self.tiny
        if settings.fitted:
            self._fit(painter, data, folder / "last-layer")
        self.network = self.comparison.learning_with(painter.requires_grad_(True), "painter")

    def sample(self, index: int, random: Random) -> Both:
        """A part of a latent (c, n, n), and of the picture (3, f n, f n) that it is to become."""
        latent, image = self._pair(index, random)
        factor, cells = self.autoencoder.config.factor, self.cells
        top, left = (random.randint(0, side - cells) for side in latent.shape[1:])
        image = image[:, factor * top :, factor * left :]
        return {
            "latent": latent[:, top : top + cells, left : left + cells],
            "image": image[:, : factor * cells, : factor * cells],
        }

    def _pair(self, index: int, random: Random) -> tuple[Tensor, Tensor]:
        """A whole latent (c, h, w), and its picture (3, f h, f w)."""
        if self.known < len(self.redrawn) and random.random() < self.settings.redrawn_share:
            number = random.randrange(self.known, len(self.redrawn))
            row, latent = self.redrawn.rows[number], self.redrawn.latents[number]
        else:
            row = self.own.choose(index, self.white_share, random)
            latent = self.own[row]
        return latent.float(), self.own.views[row].image()

    def loss(self, batch: Both, noise: SampleNoise) -> dict[str, Tensor]:
        """Both (b, ...) -> the terms of the loss; those of the discriminator once it has begun."""
        image = batch["image"].contiguous(memory_format=torch.channels_last)
        return self.comparison.terms(self._painted(batch["latent"]), image, self._last_layer.weight, noise.step)

    def evaluate(self) -> dict[str, float]:
        """The mean PSNR of held-out pictures from their own latents, and of redrawn ones that were not learnt from."""
        sets: dict[str, list[tuple[Tensor, Tensor]]] = {
            "psnr_own": []
            if self.unseen is None
            else [(self.unseen[rows[0]], self.unseen.views[rows[0]].image()) for rows in self.unseen.rows],
            "psnr_redrawn": self._known_pairs(),
        }
        return {
            name: float(
                torch.cat([psnr(self._painted(latent[None]).cpu(), image[None]) for latent, image in pairs]).mean()
            )
            for name, pairs in sets.items()
            if pairs
        }

    def sheet(self) -> Image.Image | None:
        """Redrawn pictures as the decoder paints them, and below as they were meant."""
        pairs = self._known_pairs()[:SHOWN]
        if not pairs:
            return None
        both = [torch.cat([self._painted(latent[None])[0].cpu(), image], dim=1) for latent, image in pairs]
        return to_picture(torch.cat(both, dim=2))

    def export(self, folder: Path) -> None:
        """Write the whole model into `folder/model`; nothing but its decoder, or the one beside it, has changed."""
        parts = self.parts
        if self.tiny is not None:
            parts = replace(parts, autoencoder=WithTinyDecoder(self.autoencoder, self.tiny))
        save_folder(folder / "model", parts)

    def _fit(self, painter: nn.Module, data: ViewsConfig, folder: Path) -> None:
        """Fit the last layer to whole training samples, or take it from `folder`, where it was fitted to the same."""
        made_of = hashlib.sha256(json.dumps([self.fingerprint, asdict(self.settings), asdict(data)]).encode())
        for tensor in painter.state_dict().values():
            made_of.update(tensor.float().cpu().numpy().tobytes())
        order = Random(0).sample(range(self.size), self.size)

        def pairs() -> Iterator[tuple[Tensor, Tensor]]:
            for number in tqdm(range(self.settings.fitted), desc="fitted", unit="picture", disable=None):
                with suppress(BadSample):
                    yield self._pair(order[number % self.size], Random(f"fitted/{number}"))

        def fit(_: range) -> dict[str, Tensor]:
            gain = 1.0 if self.tiny is None else 2.0  # a tiny one paints in [0, 1], and stretches that
            weight, bias = fitted(self._last_layer, gain, self._painted, pairs())
            return {"weight": weight.cpu().contiguous(), "bias": bias.cpu()}

        [file] = prepare(folder, 1, made_of.hexdigest(), fit, "last layer")
        self._last_layer.load_state_dict(load_file(file))

    @property
    def _last_layer(self) -> nn.Conv2d:
        """The convolution that paints."""
        return self.autoencoder.decoder.conv_out if self.tiny is None else self.tiny.conv_out

    def _painted(self, latent: Tensor) -> Tensor:
        """Scaled latents (b, c, h, w) -> pictures (b, 3, f h, f w), float32."""
        given = latent.to(self._last_layer.weight.device).float().contiguous(memory_format=torch.channels_last)
        if self.tiny is not None:
            return self.tiny(given).float()
        return self.autoencoder.decode(given / self.autoencoder.config.scale).float()

    def _known_pairs(self) -> list[tuple[Tensor, Tensor]]:
        return [
            (self.redrawn.latents[number], self.own.views[self.redrawn.rows[number]].image())
            for number in range(self.known)
        ]


def tiny_decoder_for(start: Start, own: Autoencoder, settings: DecoderConfig) -> TinyDecoder | None:
    """A tiny decoder of the latents of `own`, where the settings ask for one: new, or the one beside the model.

    Raises BadInput where there is none to go on with, or a new one could not be.
    """
    place = own.decoder.conv_out.weight.device
    if settings.tiny_go_on:
        if start.parts.tiny_decoder is None:
            raise BadInput(f"decoder.tiny_go_on is true, but the model {start.name!r} has no tiny decoder beside it.")
        return channels_last(load_tiny_decoder(start.parts.tiny_decoder, torch.float32).to(place))
    blocks = settings.tiny_blocks
    if not blocks:
        return None
    tiny = TinyAutoencoderConfig(
        image_channels=own.config.image_channels,
        latent_channels=own.config.latent_channels,
        width=settings.tiny_width,
        encoder_blocks=blocks[::-1],
        decoder_blocks=blocks,
    )
    if tiny.factor != own.config.factor:
        levels = len(own.config.channels)
        raise BadInput(f"decoder.tiny_blocks is {list(blocks)}; it needs {levels} entries, as the model's own decoder.")
    return channels_last(TinyDecoder(tiny).to(place))


def check_crop(crop: int, factor: int, side: int) -> None:
    """Raise BadInput where the part of a picture that a step sees is no part of its latent."""
    if crop % factor or crop > side:
        raise BadInput(f"loss.crop is {crop}; it must be a multiple of {factor}, and at most the pictures' {side}.")


def decoder_task(inputs: Inputs, recipe: DecoderRecipe, records: list[Record]) -> DecoderTask:
    """The task over a whole model; its pictures are encoded, and redrawn, before the first step."""
    assert inputs.model is not None
    start = open_start(inputs.model, recipe.loop.device)
    check_draws_from_text(start, "a decoder's training")
    inputs.begin()
    check_same_start(inputs.out, start)
    return DecoderTask(start, recipe.decoder, recipe.loss, recipe.data, records, inputs.out)
