"""How well CLIP finds: shares of right answers among the first and the first five, with what chance would reach."""

from __future__ import annotations

import re

from torch import Tensor

from safelight.data.captions import article

FIRST = 5


def ranking(name: str, scores: Tensor, right: Tensor) -> dict[str, float]:
    """How often a row's best answers hold a right one.

    scores: (b, n), the higher the better. right: (b, n) bool, at least one to a row. Returns NAME_first, NAME_first5,
    and NAME_chance, which is NAME_first of answers in any order.
    """
    best = scores.topk(min(FIRST, scores.shape[1]), dim=1).indices
    hits = right.gather(1, best)
    return {
        f"{name}_first": float(hits[:, 0].float().mean()),
        f"{name}_first{FIRST}": float(hits.any(dim=1).float().mean()),
        f"{name}_chance": float(right.float().mean()),
    }


def retrieval(scores: Tensor, caption: Tensor) -> dict[str, float]:
    """Recall of captions by pictures and of pictures by captions.

    scores: (pictures, captions), no caption twice. caption: (pictures,) the place of each picture's own; where several
    pictures share one, each of them is a right answer to it.
    """
    right = caption[:, None] == caption.new_tensor(range(scores.shape[1]))
    return ranking("image_to_text", scores, right) | ranking("text_to_image", scores.T, right.T)


def said(sentence: str, name: str) -> str:
    """The sentence with the name in place of {}; "a" becomes "an" where the name begins with a vowel."""
    return re.sub(r"\ba \{\}", f"{article(name)} {{}}", sentence).replace("{}", name)
