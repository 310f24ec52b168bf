"""The bundled model: whole, small, an ordinary member of the family, and it draws what it is asked for."""

from collections.abc import Sequence
from pathlib import Path

import numpy
import pytest
import torch
from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline
from PIL import Image

import safelight
from safelight.data.captions import ARTICLE, worded
from safelight.evaluation.composed_prompts import SENTENCES
from safelight.opening import BUNDLED
from safelight.text.prompt import encode_prompts
from safelight.training.recipe_file import read_recipe

ROOT = Path(__file__).parent.parent
LARGEST = 60_000_000  # bytes in the package


@pytest.fixture(scope="module")
def pipe() -> safelight.Pipeline:
    return safelight.load(dtype="float32", device="cpu")


def pixels(picture: Image.Image) -> numpy.ndarray:
    return numpy.asarray(picture.convert("RGB")).astype(int)


def test_it_is_small() -> None:
    assert sum(file.stat().st_size for file in BUNDLED.rglob("*") if file.is_file()) <= LARGEST


def test_it_has_a_card_with_the_attribution() -> None:
    card = (BUNDLED / "README.md").read_text("utf-8")
    notice = (ROOT / "NOTICE").read_text("utf-8")
    for line in (
        "Noto Emoji",
        "Fluent UI Emoji",
        "Twemoji",
        "Blobmoji",
        "FxEmojis",
        "Planet Cute",
        "Caltech 101",
        "Grocery Store",
    ):
        assert line in card
        assert line in notice


def test_diffusers_draws_the_same_picture(pipe: safelight.Pipeline, tmp_path: Path) -> None:
    ours = pipe(
        "a red apple", seed=5, num_inference_steps=8, guidance_scale=5.0, guidance_start=0.0, guidance_end=1.0
    ).images[0]
    pipe.save(tmp_path)  # in the package the weights lie in eight bits
    theirs = StableDiffusionPipeline.from_pretrained(tmp_path, torch_dtype=torch.float32)
    theirs.scheduler = DPMSolverMultistepScheduler.from_config(theirs.scheduler.config, use_karras_sigmas=True)
    theirs.set_progress_bar_config(disable=True)
    generator = torch.Generator("cpu").manual_seed(5)
    same = theirs("a red apple", num_inference_steps=8, guidance_scale=5.0, generator=generator).images[0]
    assert numpy.abs(pixels(ours) - pixels(same)).max() <= 1


def test_a_red_apple_is_red_on_white(pipe: safelight.Pipeline) -> None:
    picture = pixels(pipe("a red apple", seed=1).images[0])
    middle, corner = picture[108:148, 108:148].mean((0, 1)), picture[:16, :16].mean((0, 1))
    assert middle[0] > 1.5 * max(middle[1], middle[2])
    assert corner.min() > 220


@pytest.mark.parametrize(("colour", "channel"), [("blue", 2), ("green", 1), ("red", 0)])
def test_named_backgrounds(pipe: safelight.Pipeline, colour: str, channel: int) -> None:
    picture = pixels(pipe(f"a penguin on a {colour} background", seed=2).images[0])
    edge = numpy.concatenate(
        [picture[:24].reshape(-1, 3), picture[:, :24].reshape(-1, 3), picture[:, -24:].reshape(-1, 3)]
    )
    shade = edge.mean(0)
    assert int(shade.argmax()) == channel
    assert shade.max() - shade.min() > 40


def test_seeds_give_different_pictures(pipe: safelight.Pipeline) -> None:
    first, second = pipe("a fox", seed=1, num_images=2, num_inference_steps=10).images
    assert numpy.abs(pixels(first) - pixels(second)).mean() > 1


THINGS = ("a red apple", "a fox", "a rocket", "an owl", "a guitar", "a robot", "a castle", "a strawberry")


def read(pipe: safelight.Pipeline, prompts: Sequence[str]) -> torch.Tensor:
    """What the UNet is told of each prompt behind its first words, as one vector."""
    return encode_prompts(prompts, pipe.tokenizer, pipe.text_encoder)[:, -64:].flatten(1)


def test_words_that_it_does_not_know_do_no_harm(pipe: safelight.Pipeline) -> None:
    """Of things in sentences that it was never taught, the UNet is mostly told what it is told of the bare things."""
    other_names = read_recipe("bundled").reword.rewording.names.values()
    vocabulary = (ROOT / "docs" / "bundled-vocabulary.txt").read_text("utf-8").splitlines()
    known = {ARTICLE.sub("", name) for name in [*vocabulary, *(name for names in other_names for name in names)]}
    unknown = [sentence for sentence in SENTENCES if not any(f" {name} " in f"{sentence} " for name in known)]
    assert len(unknown) > 10
    bare = read(pipe, THINGS)
    said = torch.stack([read(pipe, [worded(sentence, thing) for thing in THINGS]) for sentence in unknown])
    nearest = torch.cdist(said, bare).argmin(2)
    assert (nearest == torch.arange(len(THINGS))).float().mean() > 0.9
    errors = (said - bare).square().mean((1, 2)) / bare.var(0).mean()
    assert errors.median() < 0.25


def test_other_names_are_read_as_what_they_name(pipe: safelight.Pipeline) -> None:
    names = ("an apple", "a vixen", "a rocket ship", "a barn owl", "a ukulele", "an android", "a palace", "a raspberry")
    nearest = torch.cdist(read(pipe, names), read(pipe, THINGS)).argmin(1)
    assert (nearest == torch.arange(len(THINGS))).float().mean() > 0.8
