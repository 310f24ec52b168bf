"""Agreement of pictures and texts, as transformers' CLIP sees it on the same weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import CLIPModel, CLIPVisionModelWithProjection

from safelight.errors import BadInput
from safelight.evaluation.clip_judge import clip_scores, open_clip
from safelight.evaluation.features import features_of
from safelight.images import to_tensor
from tests.evaluation.tiny_judges import clip_run, plain

CPU = torch.device("cpu")


def test_scores_are_the_references(tmp_path: Path) -> None:
    judge = open_clip(clip_run(tmp_path), CPU)
    pictures, texts = [plain("red", 16), plain("blue", 16)], ["a red circle", "a blue square"]
    found = clip_scores(features_of(judge).features(pictures), judge.embed_texts(texts))
    reference = CLIPModel.from_pretrained(tmp_path / "clip")
    tokens = judge.tokenizer(texts)
    with torch.no_grad():
        out = reference(input_ids=tokens.ids, pixel_values=torch.stack([to_tensor(each) for each in pictures]))
    cosines = (out.image_embeds * out.text_embeds).sum(1)
    torch.testing.assert_close(found, 100 * cosines.clamp(min=0), rtol=1e-4, atol=1e-3)


def test_a_score_is_never_below_zero() -> None:
    picture, text = torch.tensor([[1.0, 0.0], [2.0, 2.0]]), torch.tensor([[-1.0, 0.0], [3.0, 0.0]])
    assert clip_scores(picture, text).tolist() == pytest.approx([0, 100 / 2**0.5])


def test_half_a_clip_cannot_judge_agreement(tmp_path: Path) -> None:
    clip_run(tmp_path / "run")
    CLIPVisionModelWithProjection.from_pretrained(tmp_path / "run" / "clip").save_pretrained(tmp_path / "half")
    with pytest.raises(BadInput, match="holds an image encoder alone"):
        open_clip(tmp_path / "half", CPU)
