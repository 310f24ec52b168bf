"""CLIP's two losses: against those of transformers, at their limits, and what is exported of the networks."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Generator, Tensor
from torch.nn import functional

from safelight.training.clip.contrast import SigmoidCLIP, plain, sigmoid_loss, softmax_loss
from safelight.training.clip.settings import ClipLossConfig
from safelight.weights import load_clip
from tests.training.overfitting import losses_of_one_batch
from tests.training.tiny_tasks import clip_task, loop_config, run, stored

SIGMOID = ClipLossConfig(kind="sigmoid")


def pairs(count: int = 7) -> tuple[Tensor, Tensor]:
    """Embeddings of pictures and of texts, of length 1."""
    images, texts = functional.normalize(torch.randn(2, count, 5, generator=Generator().manual_seed(0)), dim=-1)
    return images, texts


def test_the_softmax_loss_is_that_of_transformers() -> None:
    clip = pytest.importorskip("transformers.models.clip.modeling_clip")
    images, texts = pairs()
    scale = torch.tensor(2.6593)
    loss = getattr(clip, "image_text_contrastive_loss", None) or clip.clip_loss  # its name before transformers 5
    torch.testing.assert_close(softmax_loss(images, texts, scale), loss(texts @ images.T * scale.exp()))


def test_the_sigmoid_loss_is_that_of_transformers() -> None:
    siglip = pytest.importorskip("transformers.models.siglip")
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    config = siglip.SiglipConfig(
        text_config={**sizes, "vocab_size": 20, "max_position_embeddings": 6, "projection_size": 8},
        vision_config={**sizes, "image_size": 8, "patch_size": 4},
    )
    torch.manual_seed(0)
    model = siglip.SiglipModel(config).eval()
    with torch.no_grad():
        model.logit_scale.fill_(1.3)
        model.logit_bias.fill_(-2.5)
        out = model(torch.randint(20, (5, 6)), torch.randn(5, 3, 8, 8), return_loss=True)
    scale, bias = torch.tensor(1.3), torch.tensor(-2.5)
    ours = sigmoid_loss(out.image_embeds, out.text_embeds, scale, bias, torch.arange(5))
    torch.testing.assert_close(ours, out.loss)


def test_the_scale_is_held_at_a_hundred() -> None:
    losses: list[Any] = [softmax_loss, lambda *given: sigmoid_loss(*given, torch.tensor(-10.0), torch.arange(7))]
    for loss in losses:
        torch.testing.assert_close(loss(*pairs(), torch.tensor(9.0)), loss(*pairs(), torch.tensor(math.log(100))))


def test_pictures_with_the_same_caption_are_both_right_to_it() -> None:
    image, text = pairs(2)
    images, texts = image[[0, 1, 1]].requires_grad_(), text[[0, 1, 1]]
    perfect = [torch.tensor([0, 1, 1]), torch.tensor([0, 1, 2])]
    aligned = functional.normalize(torch.tensor([[1.0, 0], [-1, 0], [-1, 0]]), dim=-1)
    same, told_apart = (sigmoid_loss(aligned, aligned, torch.tensor(5.0), torch.tensor(0.0), one) for one in perfect)
    assert same < 1e-6
    assert told_apart > 10
    # softmax: the gradients are those of an even choice between the two
    softmax_loss(images, texts, torch.tensor(1.0)).backward()
    found = images.grad
    images.grad = None
    logits = math.e * images @ texts.T
    even = torch.tensor([[1.0, 0, 0], [0, 0.5, 0.5], [0, 0.5, 0.5]])
    ((functional.cross_entropy(logits, even) + functional.cross_entropy(logits.T, even)) / 2).backward()
    torch.testing.assert_close(found, images.grad)


def test_the_sigmoid_loss_overfits_one_batch(tmp_path: Path) -> None:
    losses = losses_of_one_batch(clip_task(tmp_path, loss=SIGMOID), range(8), steps=250, rate=4e-3)
    assert losses[0] > 3
    assert losses[-1] < 0.1


def test_the_bias_is_learnt_and_kept_in_checkpoints_but_not_exported(tmp_path: Path) -> None:
    task = clip_task(tmp_path, loss=SIGMOID)
    run(task, loop_config(average_decay=0.5), tmp_path)
    assert isinstance(task.network, SigmoidCLIP)
    assert float(stored(tmp_path)["weights/bias"]) != -10
    opened = load_clip(tmp_path / "clip").state_dict()
    ours = task.network.state_dict()
    assert ours.keys() - opened.keys() == {"bias"}
    assert all(torch.equal(ours[name], tensor) for name, tensor in opened.items())


def test_the_plain_clip_shares_its_weights(tmp_path: Path) -> None:
    network = clip_task(tmp_path).network
    for name, tensor in plain(network).state_dict().items():
        assert tensor.data_ptr() == network.state_dict()[name].data_ptr()
