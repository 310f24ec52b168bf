"""A whole model: diffusers writes, we open, we save, diffusers opens."""

import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy
import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline

from safelight.configs import ScheduleConfig
from safelight.errors import BadCheckpoint, BadInput
from safelight.unet import UNet
from safelight.weights import Parts, check_fit, open_folder, save_folder
from weights.references import TOLERANCE, noise, relative_error

PROMPT = "a red fox"


def drawn(pipeline: StableDiffusionPipeline) -> numpy.ndarray:
    pipeline.set_progress_bar_config(disable=True)
    pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config, clip_sample=False)
    generator = torch.Generator().manual_seed(7)
    return pipeline(PROMPT, num_inference_steps=3, generator=generator, output_type="np").images


def test_the_parts_compute_what_diffusers_computes(pipeline: StableDiffusionPipeline, parts: Parts) -> None:
    tokens = parts.tokenizer([PROMPT])
    expected_ids = pipeline.tokenizer(PROMPT, padding="max_length", truncation=True, return_tensors="pt").input_ids
    assert torch.equal(tokens.ids, expected_ids)
    latent = noise(1, 4, 8, 8)
    with torch.no_grad():
        context = parts.text_encoder(tokens.ids)
        expected = pipeline.text_encoder(expected_ids).last_hidden_state
        assert relative_error(context, expected) <= TOLERANCE
        assert relative_error(parts.unet(latent, 500, context), pipeline.unet(latent, 500, expected)[0]) <= TOLERANCE
        assert relative_error(parts.autoencoder.decode(latent), pipeline.vae.decode(latent)[0]) <= TOLERANCE
    assert parts.schedule == ScheduleConfig()
    assert parts.unet.config.sample_size == 8


def test_diffusers_draws_the_same_picture_from_what_we_save(theirs: Path, parts: Parts, tmp_path: Path) -> None:
    save_folder(tmp_path / "ours", parts)
    before, after = (StableDiffusionPipeline.from_pretrained(path) for path in (theirs, tmp_path / "ours"))
    for name in ("unet", "vae", "text_encoder"):
        expected = getattr(before, name).state_dict()
        found = getattr(after, name).state_dict()
        assert found.keys() == expected.keys()
        assert all(torch.equal(tensor, expected[key]) for key, tensor in found.items())
    assert before.tokenizer.get_vocab() == after.tokenizer.get_vocab()
    assert numpy.array_equal(drawn(before), drawn(after))


def test_the_scheduler_that_we_write_is_our_default_and_stays_right_under_another(parts: Parts, tmp_path: Path) -> None:
    save_folder(tmp_path / "ours", parts)
    pipeline = StableDiffusionPipeline.from_pretrained(tmp_path / "ours")
    assert type(pipeline.scheduler).__name__ == "DPMSolverMultistepScheduler"
    assert pipeline.scheduler.config.use_karras_sigmas
    other = DDIMScheduler.from_config(pipeline.scheduler.config).config
    assert (other.clip_sample, other.set_alpha_to_one, other.steps_offset) == (False, False, 1)
    assert (other.beta_start, other.beta_end, other.beta_schedule) == (0.00085, 0.012, "scaled_linear")


def test_saving_over_the_folder_that_is_open(folder: Path, theirs: Path) -> None:
    (folder / "README.md").write_text("mine")
    (folder / "unet" / "diffusion_pytorch_model.bin").write_text("stale")
    parts = open_folder(folder)
    save_folder(folder, parts)
    again = open_folder(folder)
    expected = open_folder(theirs).unet.state_dict()
    for unet in (again.unet, parts.unet):
        assert all(torch.equal(tensor, expected[name]) for name, tensor in unet.state_dict().items())
    assert (folder / "README.md").read_text() == "mine"
    assert not (folder / "unet" / "diffusion_pytorch_model.bin").exists()
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_what_suited_a_model_goes_with_it(folder: Path, parts: Parts, tmp_path: Path) -> None:
    (lora := tmp_path / "lora.safetensors").write_bytes(b"few steps")
    save_folder(folder, replace(parts, few_steps=lora, usual={"num_inference_steps": 3}))
    assert open_folder(folder).few_steps == folder / "fast" / "pytorch_lora_weights.safetensors"
    save_folder(folder, parts)
    again = open_folder(folder)
    assert (again.few_steps, again.usual) == (None, {})


def test_a_folder_of_something_else_is_not_overwritten(parts: Parts, tmp_path: Path) -> None:
    (tmp_path / "photographs").mkdir()
    (tmp_path / "photographs" / "fox.png").write_text("fox")
    with pytest.raises(BadInput, match="no model"):
        save_folder(tmp_path / "photographs", parts)
    with pytest.raises(BadInput, match="is a file"):
        save_folder(tmp_path / "photographs" / "fox.png", parts)
    (tmp_path / "empty").mkdir()
    save_folder(tmp_path / "empty", parts)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "photographs"]
    assert [path.name for path in (tmp_path / "photographs").iterdir()] == ["fox.png"]


def test_a_save_that_fails_leaves_the_old_model_whole(
    parts: Parts, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    monkeypatch.setattr("safelight.weights.files.save_file", full)
    for target in (folder, folder.parent / "new"):
        with pytest.raises(BadInput, match="No space left"):
            save_folder(target, parts)
    assert {path: path.read_bytes() for path in folder.parent.rglob("*") if path.is_file()} == before
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_kept_or_converted(dtype: torch.dtype, parts: Parts, theirs: Path, tmp_path: Path) -> None:
    halved = open_folder(theirs, dtype)
    assert {p.dtype for part in (halved.unet, halved.autoencoder, halved.text_encoder) for p in part.parameters()} == {
        dtype
    }
    save_folder(tmp_path / "half", halved)
    again = open_folder(tmp_path / "half")
    widened = open_folder(tmp_path / "half", torch.float32)
    for name, tensor in parts.unet.state_dict().items():
        assert torch.equal(again.unet.state_dict()[name], tensor.to(dtype))
        assert torch.equal(widened.unet.state_dict()[name], tensor.to(dtype).float())


def test_a_variant_is_read_by_name(folder: Path, parts: Parts) -> None:
    for file in [*folder.glob("*/*model.safetensors")]:
        file.rename(file.with_name(file.name.replace(".safetensors", ".fp16.safetensors")))
    with pytest.raises(BadCheckpoint, match="variant= one of: fp16"):
        open_folder(folder)
    opened = open_folder(folder, variant="fp16").unet.state_dict()
    assert all(torch.equal(tensor, opened[name]) for name, tensor in parts.unet.state_dict().items())


def test_all_parts_at_fault_are_named(folder: Path) -> None:
    (folder / "unet" / "config.json").write_text("{")
    (folder / "vae" / "diffusion_pytorch_model.safetensors").write_bytes(b"")
    for file in (folder / "tokenizer").iterdir():
        file.unlink()
    with pytest.raises(BadCheckpoint) as raised:
        open_folder(folder)
    assert [line.split("model/")[1].split("'")[0] for line in str(raised.value).splitlines()] == [
        "tokenizer",
        "unet/config.json",
        "vae/diffusion_pytorch_model.safetensors",
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"unet": None}, "names no unet"),
        ({"vae": ["diffusers", "AutoencoderDC"]}, "AutoencoderDC.*allowed classes: AutoencoderKL"),
        ({"tokenizer": None}, "names no tokenizer"),
        ({"text_encoder": None}, "names no text_encoder or bert"),
        ({"bert": ["diffusers", "LDMBertModel"]}, "names both text_encoder and bert"),
        ({"text_encoder_2": ["transformers", "CLIPTextModelWithProjection"]}, "with text_encoder_2; allowed parts"),
    ],
)
def test_another_kind_of_pipeline_is_refused(change: dict[str, object], message: str, folder: Path) -> None:
    index = folder / "model_index.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), **change}))
    with pytest.raises(BadCheckpoint, match=message):
        open_folder(folder)


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadCheckpoint, match="is no folder"):
        open_folder(tmp_path / "nowhere")
    with pytest.raises(BadCheckpoint, match="is missing; this layout needs it"):
        open_folder(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"context_width": 32}, "text encoder is 24 wide, the UNet reads vectors 32 wide"),
        ({"out_channels": 3}, "UNet gives 3 channels, the autoencoder's latents have 4"),
        ({"in_channels": 3}, "UNet takes 3 channels"),
    ],
)
def test_parts_that_do_not_fit_are_refused(change: dict[str, int], message: str, parts: Parts, tmp_path: Path) -> None:
    wrong = replace(parts, unet=UNet(replace(parts.unet.config, **change)))
    with pytest.raises(BadCheckpoint, match=message):
        check_fit(wrong)
    with pytest.raises(BadCheckpoint, match=message):
        save_folder(tmp_path / "wrong", wrong)
    assert not (tmp_path / "wrong").exists()


def test_a_vocabulary_must_fit_its_encoder(folder: Path) -> None:
    file = folder / "tokenizer" / "tokenizer.json"  # transformers 5 writes this one alone
    document = json.loads(file.read_text())
    document["model"]["vocab"]["extra"] = 5000
    file.write_text(json.dumps(document))
    with pytest.raises(BadCheckpoint, match="token ids up to 5000, the text encoder knows"):
        open_folder(folder)


def test_a_tokenizer_must_not_be_longer_than_its_encoder(folder: Path) -> None:
    settings = folder / "tokenizer" / "tokenizer_config.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "model_max_length": 77}))
    with pytest.raises(BadCheckpoint, match="pads to 77 tokens, the text encoder has 16 positions"):
        open_folder(folder)


def test_diffusers_has_nothing_to_complain_of(parts: Parts, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save_folder(tmp_path / "ours", parts)
    logger = logging.getLogger("diffusers")
    logger.addHandler(caplog.handler)
    try:
        StableDiffusionPipeline.from_pretrained(tmp_path / "ours")
    finally:
        logger.removeHandler(caplog.handler)
    assert [record.getMessage() for record in caplog.records] == []
