"""The contract of a call: every argument does what it says, and a seed names one picture."""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from PIL import Image
from tiny_model import tiny_parts

import safelight
from safelight.errors import BadInput
from safelight.images import to_picture
from safelight.pipeline import Pipeline, Run, load
from safelight.placement import OVERFLOWED
from safelight.recipe import read_recipe
from safelight.unet import UNet

PROMPT, SEED = "a red apple", 7
FEW = {"num_inference_steps": 3, "seed": SEED}


def data(picture: Image.Image) -> bytes:
    return picture.tobytes()


def draw(pipe: Pipeline, prompt: str = PROMPT, **options: Any) -> bytes:
    """The bytes of one picture."""
    (picture,) = pipe(prompt, **{**FEW, **options}).images
    return data(picture)


def last_latent(pipe: Pipeline, prompt: str = PROMPT, **options: Any) -> torch.Tensor:
    *_, step = pipe.stream(prompt, **{**FEW, **options})
    return step.latent


def counted(network: torch.nn.Module, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The batch size of every call of `network` from now on."""
    sizes: list[int] = []
    forward = network.forward

    def counting(latent: torch.Tensor, *rest: Any) -> torch.Tensor:
        sizes.append(len(latent))
        return forward(latent, *rest)

    monkeypatch.setattr(network, "forward", counting)
    return sizes


def test_a_picture_is_of_the_size_that_the_model_was_trained_on(pipe: Pipeline) -> None:
    (picture,) = pipe(PROMPT, **FEW).images
    assert isinstance(picture, Image.Image)
    assert (picture.mode, picture.size) == ("RGB", (64, 64))
    assert len(set(data(picture))) > 50


def test_a_picture_is_what_its_last_latent_decodes_to(pipe: Pipeline) -> None:
    (decoded,) = pipe.decode(last_latent(pipe))
    assert data(decoded) == draw(pipe)


def test_width_and_height(pipe: Pipeline) -> None:
    (picture,) = pipe(PROMPT, width=72, height=40, **FEW).images
    assert picture.size == (72, 40)
    assert pipe(PROMPT, height=40, **FEW).images[0].size == (64, 40)


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": "two cats"},
        {"seed": SEED + 1},
        {"negative_prompt": "a table"},
        {"num_inference_steps": 4},
        {"guidance_scale": 3.0},
        {"guidance_rescale": 1.0},
        {"guidance_end": 0.5},
        {"guidance_start": 0.5},
        {"sampler": "euler"},
        {"grid": "exponential"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_argument_is_heard(change: dict[str, Any], pipe: Pipeline) -> None:
    before, after = last_latent(pipe), last_latent(pipe, **change)
    assert float((before - after).abs().max()) > 1e-4


@pytest.mark.parametrize(
    ("start", "end", "steered"),
    [
        (0.0, 1.0, range(8)),
        (0.0, 0.5, range(4)),
        (0.0, 0.3, range(2)),
        (0.0, 0.0, range(0)),
        (0.25, 0.5, range(2, 4)),
        (0.25, 1.0, range(2, 8)),
        (1.0, 1.0, range(0)),
        (0.7, 0.71, range(6, 7)),
        (0.99, 1.0, range(7, 8)),
    ],
)
@pytest.mark.parametrize("sampler", ["dpmpp_2m", "ddim", "euler_ancestral"])
def test_the_steps_between_are_steered(
    pipe: Pipeline, monkeypatch: pytest.MonkeyPatch, sampler: str, start: float, end: float, steered: range
) -> None:
    rows: list[int] = []
    predict = pipe.predict
    monkeypatch.setattr(pipe, "predict", lambda latent, *others: rows.append(len(latent)) or predict(latent, *others))
    pipe(PROMPT, sampler=sampler, grid=None, num_inference_steps=8, guidance_start=start, guidance_end=end)
    assert rows == [2 if step in steered else 1 for step in range(8)]


@pytest.mark.parametrize(("strength", "steered", "plain"), [(1, 4, 4), (0.5, 2, 2), (0.25, 1, 1)])
def test_from_a_picture_the_steps_that_are_taken_count(
    pipe: Pipeline, picture: Image.Image, monkeypatch: pytest.MonkeyPatch, strength: float, steered: int, plain: int
) -> None:
    rows: list[int] = []
    predict = pipe.predict
    monkeypatch.setattr(pipe, "predict", lambda latent, *others: rows.append(len(latent)) or predict(latent, *others))
    pipe(PROMPT, image=picture, strength=strength, num_inference_steps=8, guidance_end=0.5)
    assert rows == [2] * steered + [1] * plain


def test_previews_follow_another_autoencoder(model_folder: Path) -> None:
    pipe, latent = safelight.load(model_folder, device="cpu"), torch.randn(1, 4, 2, 2)
    before = pipe.preview(latent)[0].tobytes()
    pipe.autoencoder = tiny_parts(seed=3).autoencoder
    assert pipe.preview(latent)[0].tobytes() != before


def test_the_defaults_are_those_of_the_contract(pipe: Pipeline) -> None:
    named = {
        "negative_prompt": "", "image": None, "mask_image": None, "strength": 0.75, "height": None, "width": None,
        "num_inference_steps": 25, "guidance_scale": 7.5, "sampler": "dpmpp_2m", "grid": "karras", "num_images": 1,
        "latents": None,
    }  # fmt: skip
    assert data(pipe(PROMPT, seed=SEED).images[0]) == data(pipe(PROMPT, seed=SEED, **named).images[0])


def test_without_a_seed_every_call_differs_and_says_its_seed(pipe: Pipeline) -> None:
    options = {**FEW, "seed": None}
    first, second = pipe(PROMPT, **options), pipe(PROMPT, **options)
    assert first.recipes[0].seed != second.recipes[0].seed
    assert draw(pipe, seed=first.recipes[0].seed) == data(first.images[0])


def test_the_library_draws_nothing_from_the_global_generator(pipe: Pipeline) -> None:
    before = torch.get_rng_state()
    draw(pipe, sampler="euler_ancestral")
    assert torch.equal(torch.get_rng_state(), before)


def test_lists_of_prompts_and_several_pictures_of_each(pipe: Pipeline) -> None:
    result = pipe([PROMPT, "two cats"], num_images=2, **FEW)
    assert [(recipe.prompt, recipe.seed) for recipe in result.recipes] == [
        (PROMPT, SEED),
        (PROMPT, SEED + 1),
        ("two cats", SEED + 2),
        ("two cats", SEED + 3),
    ]
    assert len({data(picture) for picture in result.images}) == 4


@pytest.mark.parametrize("sampler", ["dpmpp_2m", "euler_ancestral", "dpmpp_sde"])
def test_a_picture_is_the_same_to_the_byte_whatever_is_beside_it(sampler: str, pipe: Pipeline) -> None:
    others = ["two cats", "a green apple on a table " * 30]  # the last in more pieces than the others
    result = pipe([others[0], PROMPT, others[1]], sampler=sampler, **FEW)
    for picture, recipe in zip(result.images, result.recipes, strict=True):
        assert draw(pipe, recipe.prompt, seed=recipe.seed, sampler=sampler) == data(picture)


def test_the_start_noise_is_the_seeds_own_and_may_be_given(pipe: Pipeline) -> None:
    noise = torch.randn(1, 4, 8, 8, generator=torch.Generator("cpu").manual_seed(SEED))
    assert draw(pipe, latents=noise, seed=99) == draw(pipe)
    assert draw(pipe, latents=noise + 0.5) != draw(pipe)
    assert pipe(PROMPT, latents=noise, **FEW).recipes[0].own_latents


def test_guidance_runs_both_passes_in_one_batch_and_a_scale_of_1_runs_one(
    pipe: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = counted(pipe.unet, monkeypatch)
    draw(pipe)
    assert sizes == [2, 2, 2]
    sizes.clear()
    draw(pipe, guidance_scale=1)
    assert sizes == [1, 1, 1]


def test_without_guidance_a_negative_prompt_changes_nothing(pipe: Pipeline) -> None:
    negative = "a table and a moon " * 40
    assert draw(pipe, guidance_scale=1, negative_prompt=negative) == draw(pipe, guidance_scale=1)


def test_guidance_of_0_does_not_hear_the_prompt(pipe: Pipeline) -> None:
    assert draw(pipe, "two cats", guidance_scale=0) == draw(pipe, "a red moon", guidance_scale=0)


def test_a_negative_prompt_equal_to_the_prompt_leaves_no_guidance(pipe: Pipeline) -> None:
    alike = last_latent(pipe, negative_prompt=PROMPT, guidance_scale=9)
    assert torch.allclose(alike, last_latent(pipe, guidance_scale=1), atol=1e-4)


def test_long_prompts_are_heard_to_their_end(pipe: Pipeline) -> None:
    start = "a red apple on a table and two cats under the moon " * 25
    assert len(pipe.tokenizer.words(start)) > 200
    latents = [last_latent(pipe, start + end, guidance_scale=20) for end in ("apple", "moon")]
    assert float((latents[0] - latents[1]).abs().max()) > 1e-4


@pytest.mark.parametrize("prompt", ["", " ", "яблоко 苹果 🍎", "é\n\t\0"])
def test_any_text_is_a_prompt(prompt: str, pipe: Pipeline) -> None:
    assert pipe(prompt, **FEW).recipes[0].prompt == prompt


@pytest.mark.parametrize("sampler", safelight.SAMPLERS)
def test_every_sampler_draws(sampler: str, pipe: Pipeline) -> None:
    steps = list(pipe.stream(PROMPT, num_inference_steps=5, seed=SEED, sampler=sampler, grid=None))
    assert [step.index for step in steps] == [0, 1, 2, 3, 4]
    assert bool(torch.isfinite(steps[-1].latent).all())


@pytest.mark.parametrize("grid", safelight.GRIDS)
def test_every_grid_draws(grid: str, pipe: Pipeline) -> None:
    for sampler in ("euler", "ddim", "dpmpp_2m"):
        assert bool(torch.isfinite(last_latent(pipe, sampler=sampler, grid=grid)).all())


def test_a_stream_yields_after_each_step(pipe: Pipeline) -> None:
    seen = []
    for step in pipe.stream([PROMPT, "two cats"], width=72, height=40, **FEW):
        assert step.latent.shape == step.denoised.shape == (2, 4, 5, 9)
        assert [picture.size for picture in step.preview()] == [(9, 5), (9, 5)]
        seen.append((step.index, step.total))
    assert seen == [(0, 3), (1, 3), (2, 3)]
    assert torch.equal(step.latent, last_latent(pipe, [PROMPT, "two cats"], width=72, height=40))


def test_a_stream_does_no_work_before_it_is_asked(pipe: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = counted(pipe.unet, monkeypatch)
    steps = pipe.stream(PROMPT, sampler="euler", **FEW)
    assert sizes == []
    next(steps)
    assert len(sizes) == 1


def test_a_stream_refuses_at_once(pipe: Pipeline) -> None:
    with pytest.raises(BadInput, match="width"):
        pipe.stream(PROMPT, width=63)


def test_between_two_steps_gradients_are_the_callers_own(pipe: Pipeline) -> None:
    assert next(pipe.unet.parameters()).requires_grad
    for step in pipe.stream(PROMPT, **FEW):
        assert torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()
        assert not step.latent.requires_grad


def test_the_parts_alone_make_the_same_picture(pipe: Pipeline) -> None:
    """The loop of the README: DDIM by hand, with nothing of the pipeline but its parts."""
    alpha_bar = pipe.schedule.alpha_bar
    with torch.no_grad():
        context = pipe.text_encoder(pipe.tokenizer(["", PROMPT]).ids)
        latent = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(SEED))
        for timestep in range(901, 0, -100):
            without, along = pipe.unet(torch.cat([latent, latent]), timestep, context).chunk(2)
            noise = without + 7.5 * (along - without)
            now, then = alpha_bar[timestep], alpha_bar[max(timestep - 100, 0)]
            clean = (latent - (1 - now).sqrt() * noise) / now.sqrt()
            latent = then.sqrt() * clean + (1 - then).sqrt() * noise
        image = pipe.autoencoder.decode(latent / pipe.autoencoder.config.scale)
    ours = pipe(PROMPT, seed=SEED, num_inference_steps=10, sampler="ddim", grid="leading").images[0]
    difference = numpy.asarray(to_picture(image[0]), dtype=int) - numpy.asarray(ours, dtype=int)
    assert abs(difference).max() <= 1


def test_what_is_saved_opens_as_the_same_model(pipe: Pipeline, tmp_path: Path) -> None:
    pipe.save(tmp_path / "again")
    assert draw(load(tmp_path / "again", device="cpu")) == draw(pipe)


def test_other_weights_have_another_fingerprint(pipe: Pipeline) -> None:
    other = Pipeline(tiny_parts(seed=1))
    assert other(PROMPT, **FEW).recipes[0].fingerprint != pipe(PROMPT, **FEW).recipes[0].fingerprint


# Half precision.


@pytest.fixture
def half(model_folder: Path) -> Iterator[Pipeline]:
    yield load(model_folder, dtype="float16", device="cpu")


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_draws_about_the_same(dtype: str, pipe: Pipeline, model_folder: Path) -> None:
    rough = load(model_folder, dtype=dtype, device="cpu")
    result = rough(PROMPT, **FEW)
    pixels, exact = (numpy.asarray(one.images[0], dtype=int) for one in (result, pipe(PROMPT, **FEW)))
    assert 0 < abs(pixels - exact).mean() < 4
    assert result.recipes[0].dtype == dtype
    assert {weight.dtype for weight in rough.unet.parameters()} == {getattr(torch, dtype)}


def overflowing(network: torch.nn.Module, name: str, monkeypatch: pytest.MonkeyPatch) -> list[torch.dtype]:
    """From now on `network.name` gives infinities in half precision; returns the dtypes it was called in."""
    method, seen = getattr(network, name), []

    def call(*inputs: Any) -> Any:
        result, dtype = method(*inputs), next(network.parameters()).dtype
        seen.append(dtype)
        factor = 1.0 if dtype == torch.float32 else torch.inf
        if isinstance(result, torch.Tensor):
            return result * factor
        return type(result)(result.mean * factor, result.log_variance)

    monkeypatch.setattr(network, name, call)
    return seen


@pytest.mark.parametrize(
    ("part", "name"),
    [("text_encoder", "forward"), ("unet", "forward"), ("autoencoder", "decode"), ("autoencoder", "encode")],
)
def test_what_overflows_in_half_precision_runs_again_in_float32(
    part: str,
    name: str,
    half: Pipeline,
    picture: Image.Image,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    options = {**FEW, "image": picture, "strength": 0.9}
    expected = numpy.asarray(half(PROMPT, **options).images[0], dtype=int)
    network = getattr(half, part)
    seen = overflowing(network, name, monkeypatch)
    with caplog.at_level(logging.WARNING):
        pixels = numpy.asarray(half(PROMPT, **options).images[0], dtype=int)
    assert seen[0] == torch.float16
    assert seen[-1] == torch.float32
    assert abs(pixels - expected).mean() < 4
    assert len([line for line in caplog.messages if "overflows in torch.float16" in line]) == 1
    assert {weight.dtype for weight in network.parameters()} == {torch.float16}
    assert not any(weight.is_inference() for weight in network.parameters())
    OVERFLOWED.discard(network)


def test_one_overflow_does_not_change_the_next_picture(half: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = draw(half)
    with monkeypatch.context() as patched:
        overflowing(half.unet, "forward", patched)
        draw(half)
    assert draw(half) == expected


def test_float32_is_not_run_twice(pipe: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipe.unet.conv_out, "forward", lambda x: x[:, :4] * torch.nan)
    sizes = counted(pipe.unet, monkeypatch)
    draw(pipe)
    assert len(sizes) == 3


# Bad input.


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sampler": "eulr"}, "Did you mean 'euler'"),
        ({"sampler": None}, "sampler must be text"),
        ({"grid": "karas"}, "Did you mean 'karras'"),
        ({"latents": [1, 2]}, "must be a torch tensor, got list"),
        ({"latents": torch.zeros(1, 4, 8, 9)}, r"\(1, 4, 8, 9\); this call needs \(1, 4, 8, 8\)"),
        ({"latents": torch.zeros(1, 4, 8, 8), "num_images": 2}, r"needs \(2, 4, 8, 8\)"),
        ({"latents": torch.full((1, 4, 8, 8), torch.nan)}, "NaN"),
        ({"latents": torch.full((1, 4, 8, 8), torch.inf)}, "infinite"),
        ({"seed": 2**63 - 1, "num_images": 2}, "with 2 pictures it may be 9223372036854775806 at most"),
        ({"num_inference_steps": 51, "sampler": "lcm", "grid": None}, "allows 1 to 50"),
        ({"image": "absent.png"}, "No such file"),
        ({"image": Image.new("RGB", (9000, 8))}, "width is 9000"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_a_model_cannot_do_is_refused_before_any_work(
    options: dict[str, Any], words: str, pipe: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipe.text_encoder, "forward", lambda ids: pytest.fail("work began"))
    with pytest.raises(BadInput, match=words):
        pipe(PROMPT, **options)


def test_sizes_are_multiples_of_what_the_autoencoder_folds_together(
    pipe: Pipeline, picture: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(pipe.autoencoder.config), "factor", 16)
    with pytest.raises(BadInput, match="width is 72; it must be a multiple of 16"):
        pipe(PROMPT, width=72)
    assert prepared(pipe, image=picture.resize((79, 33))).width == 64


def prepared(pipe: Pipeline, **options: Any) -> Run:
    return pipe.prepare(safelight.pipeline.Request.of(PROMPT, options))


@pytest.mark.parametrize("model", ["no/such/folder", "", "v1-5.ckpt"])
def test_a_model_that_is_none(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput):
        load(model)


def test_a_full_disk_leaves_no_half_model(pipe: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("safelight.weights.folder.write_json", full)
    with pytest.raises(BadInput, match="No space left"):
        pipe.save(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


# The recipe.


def test_a_saved_picture_carries_its_recipe(pipe: Pipeline, tmp_path: Path) -> None:
    result = pipe('яблоко, <b>: "x"', negative_prompt="日本", width=72, **FEW)
    result.images[0].save(tmp_path / "fox.png")
    with Image.open(tmp_path / "fox.png") as again:
        assert read_recipe(again, "fox.png") == result.recipes[0]
        assert data(again) == data(result.images[0])
        assert again.info["parameters"] == result.recipes[0].parameters()


def test_a_unet_that_needs_more_than_a_prompt_says_so(model_folder: Path) -> None:
    pipeline = safelight.load(model_folder)
    pipeline.unet = UNet(replace(pipeline.unet.config, in_channels=9))
    with pytest.raises(BadInput, match=r"takes 9 channels, not 4\) .* needs image .* and mask_image"):
        pipeline("a red fox")


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_few_steps_are_steered_too(pipe: Pipeline, monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    rows: list[int] = []
    predict = pipe.predict
    monkeypatch.setattr(pipe, "predict", lambda latent, *others: rows.append(len(latent)) or predict(latent, *others))
    pipe(PROMPT, sampler="euler", grid=None, num_inference_steps=steps, guidance_start=0.2, guidance_end=0.4)
    assert rows.count(2) == 1


@pytest.mark.parametrize("options", [{"prediction": "velocity"}, {"weights": "ema"}])
def test_words_that_open_nothing(model_folder: Path, options: dict[str, Any]) -> None:
    ((name, word),) = options.items()
    with pytest.raises(BadInput, match=f"{name} '{word}' is unknown"):
        load(model_folder, **options)


def test_the_working_folder_is_not_taken_away(pipe: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match="is the folder you are in"):
        pipe.save(".")
    assert Path.cwd() == tmp_path
    assert list(tmp_path.iterdir()) == []
