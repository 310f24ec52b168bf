"""A model's decoder learns to paint what its UNet draws: it learns, resumes exactly, and nothing else changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch

import safelight
from safelight.autoencoder import TinyDecoder, WithTinyDecoder
from safelight.configs import TinyAutoencoderConfig
from safelight.data.record import BadSample, Record
from safelight.errors import BadInput
from safelight.training.autoencoder.settings import ComparisonConfig, DiscriminatorConfig
from safelight.training.decoder.settings import DecoderConfig
from safelight.training.decoder.task import DecoderTask
from safelight.training.diffusion.settings import ViewsConfig
from safelight.training.engine.lock import Claim
from safelight.training.engine.noise import SampleNoise
from safelight.training.finetuning.start import Start
from safelight.training.recipe import DecoderRecipe
from safelight.training.running import left_by, run_stage
from safelight.training.stages import Inputs
from safelight.weights import Parts, load_tiny_decoder, save_folder
from safelight.weights.folder import TINY_DECODER
from safelight.weights.tiny_autoencoder import save_tiny_decoder
from tests.data.shapes import SIDE, records, write_folder
from tests.training.overfitting import losses_of_one_batch
from tests.training.tiny_tasks import check_resumes, loop_config, parts

DECODER = DecoderConfig(redrawn=20, steps=2)
HALF = SIDE // 2
LOSS = ComparisonConfig(crop=HALF)


def decoder_task(
    folder: Path,
    found: list[Record] | None = None,
    loss: ComparisonConfig = LOSS,
    tiny: Path | None = None,
    **settings: Any,
) -> DecoderTask:
    start = Start(parts=replace(parts(), tiny_decoder=tiny), name="tiny", fingerprint="its")
    data = ViewsConfig(colours=("white", "blue"))
    return DecoderTask(start, replace(DECODER, **settings), loss, data, found or records("none"), folder)


@pytest.mark.parametrize("discriminator", [DiscriminatorConfig(), DiscriminatorConfig(weight=0.1, levels=1, width=8)])
def test_it_overfits_one_batch(tmp_path: Path, discriminator: DiscriminatorConfig) -> None:
    task = decoder_task(tmp_path, loss=replace(LOSS, discriminator=discriminator))
    batch = {
        name: torch.stack([task.sample(index, Random(index))[name] for index in range(4)])
        for name in ("latent", "image")
    }
    before = task.loss(batch, SampleNoise(0, range(4)))["reconstruction"].item()
    losses_of_one_batch(task, range(4), steps=150, rate=1e-2)
    assert task.loss(batch, SampleNoise(0, range(4)))["reconstruction"].item() < before / 3


def test_pictures_without_a_caption_get_that_of_the_recipe(tmp_path: Path) -> None:
    bare = [replace(record, captions=()) for record in records("none")]
    start = Start(parts=parts(), name="tiny", fingerprint="its")
    with pytest.raises(BadInput, match="caption"):
        decoder_task(tmp_path, bare)
    task = DecoderTask(start, DECODER, LOSS, ViewsConfig(caption="a red apple"), bare, tmp_path)
    assert {caption for view in task.own.views for caption in view.captions} == {"a red apple"}


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_sample_is_one_part_of_a_latent_and_of_its_picture(tmp_path: Path, share: float) -> None:
    task = decoder_task(tmp_path, redrawn_share=share)
    cells = HALF // task.autoencoder.config.factor
    places = set()
    for seed in range(24):
        one = task.sample(seed % task.size, Random(seed))
        assert one["image"].shape == (3, HALF, HALF)
        if share:
            pairs = list(zip(task.redrawn.rows, task.redrawn.latents, strict=True))[task.known :]
        else:
            pairs = [(row, task.own[row]) for row in task.own.rows[seed % task.size]]
        found = {
            (top, left)
            for row, latent in pairs
            for top in range(latent.shape[1] - cells + 1)
            for left in range(latent.shape[2] - cells + 1)
            if torch.equal(latent[:, top : top + cells, left : left + cells].float(), one["latent"])
            and torch.equal(
                task.own.views[row].image()[:, 2 * top : 2 * top + HALF, 2 * left : 2 * left + HALF], one["image"]
            )
        }
        assert found
        places |= found
    assert len(places) > 8


def test_the_share_of_redrawn_ones_is_as_set_and_some_are_kept_back(tmp_path: Path) -> None:
    task = decoder_task(tmp_path, redrawn=10, redrawn_share=0.5)
    assert (len(task.redrawn), task.known) == (10, 5)
    own = {task.own[row].float().sum().item() for row in range(len(task.own))}
    task.cells = HALF  # whole latents
    seen = [task.sample(0, Random(seed))["latent"].sum().item() for seed in range(400)]
    redrawn = [one for one in seen if one not in own]
    assert 0.4 < len(redrawn) / len(seen) < 0.6
    assert set(redrawn) == {latent.float().sum().item() for latent in task.redrawn.latents[task.known :]}


def test_a_run_that_was_interrupted_ends_as_one_that_was_not(tmp_path: Path) -> None:
    check_resumes(decoder_task, loop_config(steps=6, workers=2), tmp_path, stop=3)


def test_figures_tell_own_and_redrawn_pictures_apart(tmp_path: Path) -> None:
    task = decoder_task(tmp_path)
    with torch.no_grad():
        figures = task.evaluate()
        assert figures.keys() == {"psnr_own", "psnr_redrawn"}
        task.autoencoder.decoder.conv_out.weight.zero_()
        task.autoencoder.decoder.conv_out.bias.fill_(1.0)  # white, as the held-out pictures are for the most part
        assert task.evaluate()["psnr_own"] > figures["psnr_own"] + 1
        sheet = task.sheet()
    assert sheet is not None
    assert sheet.size == (8 * SIDE, 2 * SIDE)
    nothing = decoder_task(tmp_path / "none", redrawn=0)
    with torch.no_grad():
        assert nothing.evaluate().keys() == {"psnr_own"}
        assert nothing.sheet() is None
    assert nothing.sample(0, Random(0))["image"].shape == (3, HALF, HALF)


def learnt(folder: Path, model: Parts, recipe: DecoderRecipe) -> Path:
    """What a run of the stage leaves of that model."""
    save_folder(folder / "model", model)
    write_folder(folder / "data", "none")
    for _ in run_stage("decoder", inputs_of(folder), recipe):
        pass
    return left_by("decoder", folder / "run")


def inputs_of(folder: Path) -> Inputs:
    claim = Claim(folder / "run")
    return Inputs(out=folder / "run", claim=claim, data=folder / "data", model=str(folder / "model"))


def test_it_leaves_the_model_with_another_decoder(tmp_path: Path) -> None:
    recipe = DecoderRecipe(decoder=DECODER, loss=LOSS, loop=loop_config(steps=3))
    left = learnt(tmp_path, parts(), recipe)
    before, after = (safelight.load(folder).parts() for folder in (tmp_path / "model", left))
    old, new = before.autoencoder.state_dict(), after.autoencoder.state_dict()
    changed = {name.partition(".")[0] for name in old if not torch.equal(old[name], new[name])}
    assert changed == {"decoder", "latent_in"}
    for one, other in ((before.unet, after.unet), (before.reader[1], after.reader[1])):
        assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    assert safelight.load(left)("a red circle", num_inference_steps=2).images[0].size == (SIDE, SIDE)
    save_folder(tmp_path / "model", after)
    with pytest.raises(BadInput, match="started from the model"):
        list(run_stage("decoder", inputs_of(tmp_path), replace(recipe, loop=loop_config(steps=4))))


def test_a_tiny_decoder_learns_to_paint_as_well(tmp_path: Path) -> None:
    task = decoder_task(tmp_path, tiny_blocks=(2, 1), tiny_width=16)
    assert task.tiny is not None
    assert {id(p) for p in task.network.parameters()} == {id(p) for p in task.tiny.parameters()}
    batch = {
        name: torch.stack([task.sample(index, Random(index))[name] for index in range(4)])
        for name in ("latent", "image")
    }
    before = task.loss(batch, SampleNoise(0, range(4)))["reconstruction"].item()
    in_use = WithTinyDecoder(task.autoencoder, task.tiny).decode(batch["latent"] / task.autoencoder.config.scale)
    compared = task.comparison.terms(in_use, batch["image"], task.tiny.conv_out.weight, 0)
    assert before == pytest.approx(compared["reconstruction"].item(), rel=1e-4)
    losses_of_one_batch(task, range(4), steps=150, rate=3e-3)
    assert task.loss(batch, SampleNoise(0, range(4)))["reconstruction"].item() < before / 3


def tiny_decoder_in(file: Path, seed: int = 0) -> TinyDecoder:
    torch.manual_seed(seed)
    tiny = TinyDecoder(TinyAutoencoderConfig(width=4, encoder_blocks=(1, 1), decoder_blocks=(1, 1)))
    save_tiny_decoder(file, tiny)
    return tiny


def test_the_tiny_decoder_is_left_beside_the_model(tmp_path: Path) -> None:
    tiny_decoder_in(tmp_path / "old.safetensors")
    decoder = replace(DECODER, tiny_blocks=(2, 1), tiny_width=8)
    recipe = DecoderRecipe(decoder=decoder, loss=LOSS, loop=loop_config(steps=3))
    left = learnt(tmp_path, replace(parts(), tiny_decoder=tmp_path / "old.safetensors"), recipe)
    before, after = (safelight.load(folder).parts() for folder in (tmp_path / "model", left))
    one, other = before.autoencoder.state_dict(), after.autoencoder.state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)
    fast = safelight.load(left, fast=True).autoencoder
    assert isinstance(fast, WithTinyDecoder)
    assert (fast.decoder.config.width, fast.decoder.config.decoder_blocks) == (8, (2, 1))


def test_the_tiny_decoder_of_a_model_learns_on(tmp_path: Path) -> None:
    file = tmp_path / "old.safetensors"
    old = tiny_decoder_in(file).state_dict()
    task = decoder_task(tmp_path, tiny=file, tiny_go_on=True)
    assert task.tiny is not None
    assert all(torch.equal(old[name], tensor) for name, tensor in task.tiny.state_dict().items())
    recipe = DecoderRecipe(decoder=replace(DECODER, tiny_go_on=True), loss=LOSS, loop=loop_config(steps=3))
    left = learnt(tmp_path, replace(parts(), tiny_decoder=file), recipe)
    assert (tmp_path / "model" / TINY_DECODER).read_bytes() != (left / TINY_DECODER).read_bytes()
    new = load_tiny_decoder(left / TINY_DECODER).state_dict()
    assert all((new[name] - tensor).abs().max() < 0.1 for name, tensor in old.items()), "three small steps from the old"
    with pytest.raises(BadInput, match=r"tiny_go_on is true, but the model 'tiny' has no tiny decoder beside it"):
        decoder_task(tmp_path, tiny_go_on=True)
    with pytest.raises(BadInput, match=r"tiny_go_on is true and decoder\.tiny_blocks is \[2, 1\]"):
        DecoderConfig(tiny_go_on=True, tiny_blocks=(2, 1))


@pytest.mark.parametrize("tiny", [{}, {"tiny_blocks": (2, 1), "tiny_width": 16}])
def test_its_last_layer_is_fitted_to_whole_pictures_once(tmp_path: Path, tiny: dict[str, Any]) -> None:
    torch.manual_seed(0)
    rough = decoder_task(tmp_path, **tiny)
    torch.manual_seed(0)
    fine = decoder_task(tmp_path, fitted=12, **tiny)
    with torch.no_grad():
        one, other = rough.evaluate(), fine.evaluate()
    assert other["psnr_own"] > one["psnr_own"] + 1
    assert other["psnr_redrawn"] > one["psnr_redrawn"] + 1
    changed = {
        name
        for name, tensor in rough.network.state_dict().items()
        if not torch.equal(tensor, fine.network.state_dict()[name])
    }
    assert changed == {name for name in rough.network.state_dict() if "conv_out." in name}
    [file] = (tmp_path / "last-layer").iterdir()
    was = file.stat().st_mtime_ns
    torch.manual_seed(0)
    again = decoder_task(tmp_path, fitted=12, **tiny)
    assert file.stat().st_mtime_ns == was, "taken from the file"
    assert torch.equal(again._last_layer.weight, fine._last_layer.weight)
    torch.manual_seed(0)
    decoder_task(tmp_path, fitted=6, **tiny)
    assert file.stat().st_mtime_ns != was
    with torch.no_grad():
        for tensor, before in zip(fine._last_layer.parameters(), rough._last_layer.parameters(), strict=True):
            tensor.lerp_(before, 0.5)
        assert other["psnr_own"] > fine.evaluate()["psnr_own"], "it did not go too far"


def test_the_last_layer_is_fitted_anew_to_what_another_decoder_gives(tmp_path: Path) -> None:
    one, other = tmp_path / "one.safetensors", tmp_path / "other.safetensors"
    tiny_decoder_in(one, seed=0)
    tiny_decoder_in(other, seed=1)
    weights = [
        decoder_task(tmp_path, fitted=6, tiny=file, tiny_go_on=True)._last_layer.weight for file in (one, other, one)
    ]
    assert not torch.allclose(weights[0], weights[1], atol=0.1 * weights[0].abs().max().item())
    assert torch.equal(weights[0], weights[2])


def test_the_last_layer_is_fitted_anew_to_other_views(tmp_path: Path) -> None:
    kept = []
    for colours in (("white",), ("white", "black")):
        start = Start(parts=parts(), name="tiny", fingerprint="its")
        DecoderTask(start, replace(DECODER, fitted=6), LOSS, ViewsConfig(colours=colours), records("none"), tmp_path)
        [file] = (tmp_path / "last-layer").iterdir()
        kept.append(file.read_bytes())
    assert kept[0] != kept[1]


def test_a_picture_that_cannot_be_read_is_passed_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    pair = DecoderTask._pair

    def now_and_then(self: DecoderTask, index: int, random: Random) -> tuple[torch.Tensor, torch.Tensor]:
        seen.append(index)
        if len(seen) % 2:
            raise BadSample("torn")
        return pair(self, index, random)

    monkeypatch.setattr(DecoderTask, "_pair", now_and_then)
    task = decoder_task(tmp_path, fitted=12)
    assert len(seen) == 12
    assert len(set(seen)) == min(12, task.size)
    assert task._last_layer.weight.isfinite().all()


def test_a_tiny_decoder_has_as_many_levels_as_the_models_own(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"decoder\.tiny_blocks is \[1, 1, 1\]; it needs 2 entries"):
        decoder_task(tmp_path, tiny_blocks=(1, 1, 1))
    with pytest.raises(BadInput, match=r"decoder\.tiny_blocks is \[1, 0\]; a level has at least one block"):
        DecoderConfig(tiny_blocks=(1, 0))
    with pytest.raises(BadInput, match=r"decoder\.tiny_width is 0"):
        DecoderConfig(tiny_width=0)


@pytest.mark.parametrize(("crop", "said"), [(HALF + 1, f"{HALF + 1}"), (2 * SIDE, f"{2 * SIDE}")])
def test_a_crop_is_part_of_the_picture(tmp_path: Path, crop: int, said: str) -> None:
    with pytest.raises(BadInput, match=rf"loss\.crop is {said}; it must be a multiple of 2, and at most .* {SIDE}"):
        decoder_task(tmp_path, loss=ComparisonConfig(crop=crop))


def test_settings_that_cannot_be() -> None:
    with pytest.raises(BadInput, match=r"decoder\.noisiest is 50; it must be at least cleanest, 100"):
        DecoderConfig(noisiest=50)
    with pytest.raises(BadInput, match=r"decoder\.redrawn_share is 1\.5; it must be from 0 to 1"):
        DecoderConfig(redrawn_share=1.5)
    with pytest.raises(BadInput, match=r"decoder\.cleanest is 0; it must be from 1 to 999"):
        DecoderConfig(cleanest=0)
