"""CLIP against transformers', with the same random weights, through the files that both read."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPVisionConfig,
    CLIPVisionModel,
    CLIPVisionModelWithProjection,
)
from weights.references import TOLERANCE, noise, relative_error, scrambled, settled

from safelight.weights import (
    load_clip,
    load_image_embedder,
    load_image_encoder,
    load_text_embedder,
    load_text_encoder,
    save_clip,
    save_image_embedder,
    save_image_encoder,
    save_text_embedder,
    save_text_encoder,
)

SMALL: dict[str, Any] = {
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "projection_dim": 16,
}
TEXT = {**SMALL, "vocab_size": 99, "max_position_embeddings": 20, "bos_token_id": 97, "eos_token_id": 98}
IMAGE = {**SMALL, "image_size": 28, "patch_size": 7}
IDS = torch.tensor([[97, 5, 7, 11, 98, 98, 98], [97, 2, 98, 98, 98, 98, 98]])
ENDS = torch.tensor([4, 2])
WEIGHTS = "model.safetensors"


def contrastive(activation: str = "quick_gelu") -> CLIPModel:
    text, image = ({**settings, "hidden_act": activation} for settings in (TEXT, IMAGE))
    return scrambled(CLIPModel(CLIPConfig(text_config=text, vision_config=image, projection_dim=16)))


@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
@pytest.mark.parametrize("kind", [CLIPTextModel, CLIPTextModelWithProjection])
def test_the_same_hidden_states_as_transformers(kind: Any, activation: str, tmp_path: Path) -> None:
    theirs = scrambled(kind(CLIPTextConfig(**TEXT, hidden_act=activation)))
    theirs.save_pretrained(tmp_path)
    ours = load_text_encoder(tmp_path)
    with torch.no_grad():
        assert relative_error(ours(IDS), theirs(IDS).last_hidden_state) <= TOLERANCE


@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
def test_the_same_image_vector_as_transformers(activation: str, tmp_path: Path) -> None:
    theirs = scrambled(CLIPVisionModel(CLIPVisionConfig(**IMAGE, hidden_act=activation)))
    theirs.save_pretrained(tmp_path / "theirs")
    ours = load_image_encoder(tmp_path / "theirs")
    save_image_encoder(tmp_path / "ours", ours)
    again = CLIPVisionModel.from_pretrained(tmp_path / "ours").eval()
    with torch.no_grad():
        expected = theirs(noise(2, 3, 28, 28)).pooler_output
        assert relative_error(ours(noise(2, 3, 28, 28)), expected) <= TOLERANCE
        assert torch.equal(again(noise(2, 3, 28, 28)).pooler_output, expected)


@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
def test_the_same_projected_image_vector_as_transformers(activation: str, tmp_path: Path) -> None:
    theirs = scrambled(CLIPVisionModelWithProjection(CLIPVisionConfig(**IMAGE, hidden_act=activation)))
    theirs.save_pretrained(tmp_path / "theirs")
    ours = load_image_embedder(tmp_path / "theirs")
    save_image_embedder(tmp_path / "ours", ours)
    again, report = CLIPVisionModelWithProjection.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not any(report.values())
    with torch.no_grad():
        expected = theirs(noise(2, 3, 28, 28)).image_embeds
        assert relative_error(ours(noise(2, 3, 28, 28)), expected) <= TOLERANCE
        assert torch.equal(again.eval()(noise(2, 3, 28, 28)).image_embeds, expected)
    assert expected.shape == (2, ours.config.projection_width)


def test_the_same_projected_text_vector_as_transformers(tmp_path: Path) -> None:
    theirs = scrambled(CLIPTextModelWithProjection(CLIPTextConfig(**TEXT)))
    theirs.save_pretrained(tmp_path / "theirs")
    ours = load_text_embedder(tmp_path / "theirs")
    save_text_embedder(tmp_path / "ours", ours)
    again, report = CLIPTextModelWithProjection.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not any(report.values())
    with torch.no_grad():
        expected = theirs(IDS).text_embeds
        assert relative_error(ours(IDS, ENDS), expected) <= TOLERANCE
        assert torch.equal(again.eval()(IDS).text_embeds, expected)


def test_published_folders_name_the_projected_encoder_in_full(tmp_path: Path) -> None:
    """transformers 5 writes `vision_model.` in front of a projected encoder; older files add the position numbers."""
    scrambled(CLIPVisionModelWithProjection(CLIPVisionConfig(**IMAGE))).save_pretrained(tmp_path)
    expected = settled(load_image_embedder(tmp_path))(noise(1, 3, 28, 28))
    tensors = load_file(tmp_path / WEIGHTS)
    assert all(name.startswith(("vision_model.", "visual_projection.")) for name in tensors)
    save_file({**tensors, "vision_model.embeddings.position_ids": torch.arange(17)[None]}, tmp_path / WEIGHTS)
    assert torch.equal(settled(load_image_embedder(tmp_path))(noise(1, 3, 28, 28)), expected)
    assert torch.equal(
        load_image_embedder(tmp_path).image(noise(1, 3, 28, 28)), load_image_encoder(tmp_path)(noise(1, 3, 28, 28))
    )


@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
def test_the_same_agreement_of_texts_and_images(activation: str, tmp_path: Path) -> None:
    theirs = contrastive(activation)
    theirs.save_pretrained(tmp_path / "theirs")
    ours = load_clip(tmp_path / "theirs")
    save_clip(tmp_path / "ours", ours)
    again = CLIPModel.from_pretrained(tmp_path / "ours").eval()
    images = noise(3, 3, 28, 28)
    with torch.no_grad():
        expected = theirs(input_ids=IDS, pixel_values=images).logits_per_text
        logits = ours.log_scale.exp() * ours.embed_text(IDS, ENDS) @ ours.embed_image(images).T
        assert relative_error(logits, expected) <= TOLERANCE
        assert torch.equal(again(input_ids=IDS, pixel_values=images).logits_per_text, expected)


def test_transformers_opens_the_text_encoder_that_we_write(tmp_path: Path) -> None:
    theirs = scrambled(CLIPTextModel(CLIPTextConfig(**TEXT)))
    theirs.save_pretrained(tmp_path / "theirs")
    save_text_encoder(tmp_path / "ours", load_text_encoder(tmp_path / "theirs"))
    again, report = CLIPTextModel.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not any(report.values())
    with torch.no_grad():
        results = [network.eval()(IDS) for network in (theirs, again)]
    assert torch.equal(results[0].last_hidden_state, results[1].last_hidden_state)
    assert torch.equal(results[0].pooler_output, results[1].pooler_output)  # so the end token is found


def test_the_text_names_of_every_version_are_read(tmp_path: Path) -> None:
    scrambled(CLIPTextModel(CLIPTextConfig(**TEXT))).save_pretrained(tmp_path)
    tensors = load_file(tmp_path / WEIGHTS)
    bare = {name.removeprefix("text_model."): tensor for name, tensor in tensors.items()}
    forms = [bare, {f"text_model.{name}": tensor for name, tensor in bare.items()}]
    forms.append({**forms[1], "text_model.embeddings.position_ids": torch.arange(20)[None]})
    expected = load_text_encoder(tmp_path)(IDS)
    for form in forms:
        save_file(form, tmp_path / WEIGHTS)
        assert torch.equal(load_text_encoder(tmp_path)(IDS), expected)


def test_the_position_numbers_of_old_files_are_passed_over(tmp_path: Path) -> None:
    contrastive().save_pretrained(tmp_path)
    tensors = load_file(tmp_path / WEIGHTS)
    tensors["text_model.embeddings.position_ids"] = torch.arange(20)[None]
    tensors["vision_model.embeddings.position_ids"] = torch.arange(17)[None]
    save_file(tensors, tmp_path / WEIGHTS)
    assert torch.equal(load_clip(tmp_path).log_scale.detach(), tensors["logit_scale"])
