"""The parts of a new model of any kind: what earlier stages left, a new UNet, and what is to learn with it."""

from __future__ import annotations

from pathlib import Path

import torch

from safelight.autoencoder import Pixels
from safelight.conditioning import ClassEmbedder, Rescaler
from safelight.conditioning.boxes import FRAME, TOKENS
from safelight.errors import BadInput
from safelight.placement import placement_for
from safelight.text import BertEncoder, TextEncoder, Tokenizer
from safelight.training.diffusion.settings import READING
from safelight.training.recipe import DiffusionRecipe
from safelight.unet import UNet
from safelight.weights import Parts, check_fit, load_autoencoder, load_clip
from safelight.weights.parts import AnyAutoencoder

SMALL_PICTURE = 3  # channels of a picture that is joined to the latent as it is
FEWEST_NOISE_LEVELS = 21  # that an upscaler's UNet must know: one draws at level 20 if nothing is asked for


def new_parts(recipe: DiffusionRecipe, autoencoder: Path | None, clip: Path | None) -> Parts:
    """A model of the recipe's kind with a new UNet, over what the first two stages left in the folders of their runs.

    autoencoder, clip: None where the kind needs none. Raises BadInput where a stage has not come to its end, and where
    a field of the recipe does not suit the kind, naming the field; BadCheckpoint where the parts do not fit together.
    """
    check_finished(autoencoder, clip)
    place = placement_for(recipe.loop.device, None).device
    first: AnyAutoencoder = Pixels()
    if recipe.data.space == "latents":
        assert autoencoder is not None
        first = load_autoencoder(autoencoder / "vae", torch.float32).to(place).eval()
    tokenizer, text = None, None
    if recipe.data.kind in READING:
        assert clip is not None
        tokenizer, text = Tokenizer.load(clip / "tokenizer"), load_clip(clip / "clip", torch.float32).text
        text = text.to(place).eval()
    check_network(recipe, first)
    parts = _assembled(recipe, first, tokenizer, text)
    check_fit(parts)
    return parts


def check_finished(autoencoder: Path | None, clip: Path | None) -> None:
    """Raise BadInput for the run of an earlier stage, where it is needed, that has not come to its end."""
    for stage, run, folder in (("autoencoder", autoencoder, "vae"), ("clip", clip, "clip")):
        if run is not None and not (run / folder / "config.json").is_file():
            raise BadInput(
                f"{str(run)!r} is no finished run of `safelight train {stage}`: it has no folder {folder!r}; "
                f"`safelight train {stage} --out {run} ...` makes it."
            )


def _assembled(
    recipe: DiffusionRecipe, autoencoder: AnyAutoencoder, tokenizer: Tokenizer | None, text: TextEncoder | None
) -> Parts:
    """The parts of the recipe's kind; of the new ones, the UNet is the first that takes random numbers."""
    kind, unet = recipe.data.kind, UNet(recipe.network)
    embeds = kind == "class" and not recipe.network.classes
    return Parts(
        unet=unet,
        schedule=recipe.schedule,
        autoencoder=autoencoder,
        tokenizer=tokenizer,
        text_encoder=BertEncoder(recipe.boxes) if kind == "layout" else text,
        class_embedder=ClassEmbedder(recipe.class_embedder) if embeds else None,
        rescaler=Rescaler(recipe.rescaler) if kind == "semantic" else None,
        noise_schedule=recipe.small_picture_noise if kind == "upscaling" else None,
    )


def check_network(recipe: DiffusionRecipe, autoencoder: AnyAutoencoder) -> None:
    """Raise BadInput that names the field of the recipe which does not suit its kind or its autoencoder."""
    kind, network, latent = recipe.data.kind, recipe.network, autoencoder.config.latent_channels
    if recipe.model.text_encoder and kind not in READING:
        raise _wrong("model.text_encoder", True, kind, "false: it reads no text")
    joined = joined_channels(recipe, latent)
    if network.in_channels != latent + joined:
        more = f" and {joined} that are joined to it" if joined else ""
        raise _wrong("network.in_channels", network.in_channels, kind, f"{latent + joined}: {latent} of a latent{more}")
    if network.out_channels != latent:
        raise _wrong("network.out_channels", network.out_channels, kind, f"{latent}, as a latent has")
    halvings = 2 ** (len(network.channels) - 1)
    if network.sample_size % halvings:
        raise _wrong("network.sample_size", network.sample_size, kind, f"a multiple of {halvings}, for its levels")
    if kind == "restoration" and latent != SMALL_PICTURE:
        raise BadInput(f'data.kind is "restoration"; latents then need {SMALL_PICTURE} channels, not {latent}.')
    _check_labels(recipe)
    _check_context(recipe)
    if kind == "semantic" and 2**recipe.rescaler.stages != autoencoder.config.factor:
        factor = autoencoder.config.factor
        raise _wrong("rescaler.stages", recipe.rescaler.stages, kind, f"as many halvings as make {factor}")


def joined_channels(recipe: DiffusionRecipe, latent: int) -> int:
    """The channels that the recipe's kind joins to a latent with that many."""
    return {
        "semantic": recipe.rescaler.out_channels,
        "inpainting": latent + 1,
        "filling": latent + 1,
        "instruction": latent,
        "depth": 1,
        "upscaling": SMALL_PICTURE,
        "restoration": SMALL_PICTURE,
    }.get(recipe.data.kind, 0)


def _check_labels(recipe: DiffusionRecipe) -> None:
    kind, classes = recipe.data.kind, recipe.network.classes
    if kind == "upscaling" and classes < FEWEST_NOISE_LEVELS:
        raise _wrong("network.classes", classes, kind, f"at least {FEWEST_NOISE_LEVELS}, levels of the picture's noise")
    if kind not in ("upscaling", "class") and classes:
        raise _wrong("network.classes", classes, kind, "0")
    for name in ("class_vector", "guidance_width"):
        if getattr(recipe.network, name):
            raise _wrong(f"network.{name}", getattr(recipe.network, name), kind, "0")


def _check_context(recipe: DiffusionRecipe) -> None:
    kind, network = recipe.data.kind, recipe.network
    embeds = kind == "class" and not network.classes
    if network.reads_context and not (kind in READING or kind == "layout" or embeds):
        raise _wrong(
            "network.attention", (*network.attention, network.middle_attention), kind, '"self" and "none" on all levels'
        )
    if not network.reads_context and (kind in READING or kind == "layout" or embeds):
        allowed = '"cross" on a level' + (", or network.classes" if embeds else "")
        raise _wrong("network.attention", network.attention, kind, allowed)
    widths = {"class": recipe.class_embedder.width, "layout": recipe.boxes.width}
    table = {"class": "class_embedder", "layout": "boxes"}.get(kind)
    if table and network.reads_context and widths[kind] != network.context_width:
        raise _wrong(f"{table}.width", widths[kind], kind, f"{network.context_width}, as network.context_width")
    if kind == "layout" and recipe.boxes.length % TOKENS != FRAME:
        raise _wrong("boxes.length", recipe.boxes.length, kind, f"a multiple of {TOKENS} and {FRAME} more")


def _wrong(field: str, value: object, kind: str, allowed: str) -> BadInput:
    return BadInput(f"diffusion.{field} is {value!r}; a model of the kind {kind!r} needs {allowed}.")
