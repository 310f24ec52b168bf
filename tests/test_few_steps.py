"""What a model has beside it: a LoRA for few steps, taught, put on and taken off; and what suits it best."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import LCMScheduler, StableDiffusionPipeline
from PIL import Image
from safetensors.torch import load_file, save_file

import safelight
from safelight.adapters.lora_file import open_lora
from safelight.apps.cli import main
from safelight.autoencoder import Autoencoder, TinyAutoencoder, TinyDecoder, WithTinyDecoder
from safelight.configs import TinyAutoencoderConfig
from safelight.errors import BadCheckpoint, BadInput
from safelight.images import to_picture, to_tensor
from safelight.placement import placement_for
from safelight.training.distillation.task import DistillationTask, distillation_task
from safelight.training.finetuning.settings import LoRAConfig
from safelight.weights import Parts, open_folder, save_folder
from safelight.weights.folder import FEW_STEPS, TINY_DECODER, USUAL
from safelight.weights.tiny_autoencoder import save_tiny_decoder
from tests.data.shapes import records
from tests.tiny_model import tiny_parts
from tests.training.distillation.tiny_students import recipe, student_task


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of random weights with a LoRA for few steps that changes much, as a run of `distill` leaves it."""
    folder = tmp_path_factory.mktemp("student")
    torch.manual_seed(0)
    task = lora_task(tiny_parts(), folder)
    with torch.no_grad():
        for name, parameter in task.network.named_parameters():
            if name.endswith("up"):
                parameter.normal_(generator=torch.Generator().manual_seed(1))
    task.export(folder)
    return folder / "model"


def lora_task(teacher: Parts, folder: Path, rank: int = 2, go_on: bool = False) -> DistillationTask:
    settings = replace(
        recipe("trajectories", learner="lora", lowest_guidance=4.0, highest_guidance=4.0, go_on=go_on),
        adapter=LoRAConfig(rank=rank, layers=("transformer", "convs")),
    )
    return distillation_task(teacher, settings, records("none"), folder)


def pixels(picture: Image.Image) -> torch.Tensor:
    return to_tensor(picture.convert("RGB"))


def test_it_draws_in_few_steps_without_guidance(student: Path) -> None:
    fast, slow = safelight.load(student, fast=True), safelight.load(student)
    recipe = fast("a red apple", seed=1).recipes[0]
    assert (recipe.sampler, recipe.num_inference_steps, recipe.guidance_scale) == ("lcm", 4, 1.0)
    assert slow("a red apple", seed=1).recipes[0].sampler == "dpmpp_2m"


def test_it_comes_off_again(student: Path) -> None:
    pipe = safelight.load(student)
    before = {name: tensor.clone() for name, tensor in pipe.unet.state_dict().items()}
    attachment = pipe.add_few_steps()
    assert any(not torch.equal(tensor, before[name]) for name, tensor in pipe.unet.state_dict().items())
    attachment.detach()
    assert all(torch.equal(tensor, before[name]) for name, tensor in pipe.unet.state_dict().items())
    assert pipe.usual == {}
    pipe.add_few_steps()


def test_diffusers_draws_the_same_with_the_lora(student: Path) -> None:
    ours = safelight.load(student, fast=True)("a red apple", seed=1, num_inference_steps=3).images[0]
    theirs = StableDiffusionPipeline.from_pretrained(student)
    theirs.load_lora_weights(student / FEW_STEPS.parent, weight_name=FEW_STEPS.name)
    theirs.scheduler = LCMScheduler.from_config(theirs.scheduler.config)
    theirs.set_progress_bar_config(disable=True)
    generator = torch.Generator("cpu").manual_seed(1)
    same = theirs("a red apple", num_inference_steps=3, guidance_scale=1.0, generator=generator).images[0]
    assert (pixels(ours) - pixels(same)).abs().max() <= 2 / 255 + 1e-6


def test_a_saved_model_keeps_it_until_it_is_on(student: Path, tmp_path: Path) -> None:
    safelight.load(student).save(tmp_path / "both")
    assert (tmp_path / "both" / FEW_STEPS).read_bytes() == (student / FEW_STEPS).read_bytes()
    fast = safelight.load(student, fast=True)
    fast.save(tmp_path / "merged")
    merged = safelight.load(tmp_path / "merged")
    assert open_folder(tmp_path / "merged").few_steps is None
    assert merged.usual == fast.usual
    both = (pipe("a red apple", seed=2).images[0] for pipe in (fast, merged))
    assert torch.equal(*map(pixels, both))


@pytest.fixture
def both(student: Path, tmp_path: Path) -> Path:
    """The student with a tiny decoder beside its LoRA."""
    parts = open_folder(student)
    torch.manual_seed(2)
    assert isinstance(parts.autoencoder, Autoencoder)
    levels = (1,) * len(parts.autoencoder.config.channels)
    tiny = TinyDecoder(TinyAutoencoderConfig(width=8, encoder_blocks=levels, decoder_blocks=levels))
    save_tiny_decoder(tmp_path / "tiny.safetensors", tiny.half())
    save_folder(tmp_path / "both", replace(parts, tiny_decoder=tmp_path / "tiny.safetensors"))
    return tmp_path / "both"


def test_a_tiny_decoder_paints_what_is_drawn_in_few_steps(student: Path, both: Path) -> None:
    large, tiny, slow = safelight.load(student, fast=True), safelight.load(both, fast=True), safelight.load(both)
    latents = [list(pipe.stream("a red apple", seed=1))[-1].latent for pipe in (large, tiny)]
    assert torch.equal(*latents)
    assert isinstance(tiny.autoencoder, WithTinyDecoder)
    with torch.inference_mode():
        expected = tiny.autoencoder.decoder(latents[0])[0]
    assert torch.equal(pixels(tiny.decode(latents[0])[0]), pixels(to_picture(expected)))
    alone = safelight.load(student)("a red apple", seed=1).images[0]
    assert torch.equal(pixels(slow("a red apple", seed=1).images[0]), pixels(alone))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_tiny_decoder_is_in_the_models_precision(both: Path, dtype: torch.dtype) -> None:
    pipe = safelight.load(both, dtype=dtype, fast=True)
    assert {parameter.dtype for parameter in pipe.autoencoder.parameters()} == {dtype}
    assert pipe("a red apple", seed=1).images[0].size == (64, 64)


def test_a_tiny_decoder_comes_off_again(both: Path) -> None:
    pipe = safelight.load(both)
    own = pipe.autoencoder
    with pipe.add_few_steps():
        assert pipe.autoencoder is not own
        assert pipe.parts().tiny_decoder is None
    assert pipe.autoencoder is own
    assert pipe.parts().tiny_decoder == both / TINY_DECODER
    own.double().train()
    with pipe.add_few_steps():
        pass
    assert (own.decoder.conv_out.weight.dtype, own.training) == (torch.float64, True)
    attachment = pipe.add_few_steps()
    pipe.autoencoder = own
    with pytest.raises(BadInput, match="The autoencoder was replaced"):
        attachment.detach()


def test_without_a_tiny_decoder_the_autoencoder_may_be_replaced_meanwhile(student: Path) -> None:
    pipe = safelight.load(student)
    attachment = pipe.add_few_steps()
    pipe.autoencoder = other = TinyAutoencoder(TinyAutoencoderConfig(width=8))
    attachment.detach()
    assert pipe.autoencoder is other
    assert pipe.usual == {}


def test_a_tiny_decoder_is_not_saved_beside_another_autoencoder(both: Path, tmp_path: Path) -> None:
    parts = open_folder(both)
    save_folder(tmp_path / "other", replace(parts, autoencoder=TinyAutoencoder(TinyAutoencoderConfig(width=8))))
    assert (tmp_path / "other" / FEW_STEPS).is_file()
    assert not (tmp_path / "other" / TINY_DECODER).exists()


def test_a_model_may_have_a_tiny_decoder_alone(both: Path, tmp_path: Path) -> None:
    (both / FEW_STEPS).unlink()
    fast = safelight.load(both, fast=True)
    assert isinstance(fast.autoencoder, WithTinyDecoder)
    assert fast.usual == safelight.load(both).usual == {}
    fast.save(tmp_path / "saved")
    assert not isinstance(safelight.load(tmp_path / "saved").autoencoder, WithTinyDecoder)
    again = safelight.load(tmp_path / "saved", fast=True)
    assert torch.equal(*(pixels(pipe("a red apple", seed=1).images[0]) for pipe in (fast, again)))


def test_another_autoencoder_has_no_use_for_the_models_tiny_decoder(both: Path) -> None:
    pipe = safelight.load(both, autoencoder=both, fast=True)
    assert isinstance(pipe.autoencoder, Autoencoder)
    replaced = safelight.load(both)
    replaced.autoencoder = TinyAutoencoder(TinyAutoencoderConfig(width=8))
    replaced.add_few_steps()
    assert isinstance(replaced.autoencoder, TinyAutoencoder)


def test_a_model_without_one_says_so() -> None:
    pipe = safelight.Pipeline(tiny_parts(), placement=placement_for("cpu", "float32"))
    with pytest.raises(BadInput, match="no LoRA for few steps"):
        pipe.add_few_steps()


def test_the_command_line_and_the_replay(student: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "apple.png"
    main(["generate", "a red apple", "--model", str(student), "--fast", "--seed", "3", "--out", str(picture)])
    again = tmp_path / "again.png"
    main(["replay", str(picture), "--model", str(student), "--out", str(again)])
    assert torch.equal(*(pixels(Image.open(file)) for file in (picture, again)))
    assert "byte for byte" in capsys.readouterr().out
    plain: Parts = open_folder(student)
    save_folder(tmp_path / "plain", replace(plain, few_steps=None))
    assert main(["generate", "a red apple", "--model", str(tmp_path / "plain"), "--fast", "--out", str(again)])
    assert "no LoRA for few steps" in capsys.readouterr().err


def test_it_learns_on_from_where_it_is(student: Path, tmp_path: Path) -> None:
    task = lora_task(open_folder(student), tmp_path, go_on=True)
    task.export(tmp_path)
    before, after = (load_file(model / FEW_STEPS) for model in (student, tmp_path / "model"))
    assert before.keys() == after.keys()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert any(tensor.any() for name, tensor in before.items() if "lora_B" in name or "up" in name)


def test_it_learns_on_with_more_rank(student: Path, tmp_path: Path) -> None:
    task = lora_task(open_folder(student), tmp_path, rank=5, go_on=True)
    task.export(tmp_path)
    config = open_folder(student).unet.config
    before, after = (open_lora(model / FEW_STEPS, config).unet for model in (student, tmp_path / "model"))
    assert before.keys() == after.keys()
    for name, update in before.items():
        assert (update.rank, after[name].rank) == (2, 5)
        delta = update.delta()
        torch.testing.assert_close(after[name].delta(), delta, rtol=2e-3, atol=2e-3 * delta.abs().max().item())
        fresh = after[name].down[2:].float().flatten(1)
        assert torch.linalg.matrix_rank(fresh) == 3, "what rank is left over can learn"
        assert not after[name].up[:, 2:].any()


def test_it_cannot_learn_on_from_what_is_not_there(student: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"this model has no LoRA for few steps beside it"):
        lora_task(tiny_parts(), tmp_path, go_on=True)
    with pytest.raises(BadInput, match=r"has rank 2; adapter.rank is 1, and must be as much at least"):
        lora_task(open_folder(student), tmp_path, rank=1, go_on=True)
    some = {name: tensor for name, tensor in load_file(student / FEW_STEPS).items() if "conv1" not in name}
    save_file(some, tmp_path / "some.safetensors")
    with pytest.raises(BadInput, match=r"few steps '.*conv1' has rank 0; adapter.rank is 2, and must be as much"):
        lora_task(replace(open_folder(student), few_steps=tmp_path / "some.safetensors"), tmp_path, go_on=True)
    with pytest.raises(BadInput, match=r"distill.go_on is true, which is for distill.learner \"lora\""):
        recipe("trajectories", go_on=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "guidance"}, "a LoRA is for few steps"),
        ({"lowest_guidance": 3.0}, "a LoRA is not told the scale"),
    ],
)
def test_what_a_lora_cannot_learn_is_refused(changes: dict[str, object], message: str, tmp_path: Path) -> None:
    usual = {"learner": "lora", "lowest_guidance": 9.0, "highest_guidance": 9.0}
    with pytest.raises(BadInput, match=message):
        student_task(tmp_path, **{"method": "trajectories", **usual, **changes})


def test_a_folder_may_say_what_suits_its_model(tmp_path: Path) -> None:
    suits = {"guidance_scale": 2.5, "num_inference_steps": 3}
    save_folder(tmp_path / "model", replace(tiny_parts(), usual=suits))
    pipe = safelight.load(tmp_path / "model")
    assert pipe.usual == pipe.parts().usual == suits
    assert pipe("a red apple", seed=0).recipes[0].guidance_scale == 2.5
    assert pipe("a red apple", seed=0, guidance_scale=4.0).recipes[0].guidance_scale == 4.0
    (tmp_path / "model" / USUAL).write_text('{"guidance": 3}')
    with pytest.raises(BadCheckpoint, match=r"usual.json' has guidance; allowed are num_inference_steps, guidance_sca"):
        safelight.load(tmp_path / "model")


def test_what_is_on_is_not_put_on_again(student: Path) -> None:
    pipe = safelight.load(student, device="cpu", fast=True)
    with pytest.raises(BadInput, match="is on already"):
        pipe.add_few_steps()


def test_it_is_found_from_another_folder(student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(student.parent)
    pipe = safelight.load(student.name, device="cpu")
    monkeypatch.chdir(tmp_path)
    pipe.add_few_steps()
