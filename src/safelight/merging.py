"""Two models into one: the mean of their weights, or what one learnt beyond a base, added to the other.

Models that were trained on from the same weights lie in one valley of the loss: the mean of their weights is often
better than either (Wortsman et al. 2022, "Model soups"), and what training changed in one can be added to a sister
(Ilharco et al. 2023, "Editing models with task arithmetic"). Models that began apart have no such mean.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import torch
from torch import nn

from safelight.converting import check_ending, check_free, in_memory, pack_where_asked, write_model
from safelight.errors import BadInput
from safelight.opening import Model, open_model
from safelight.weights import Parts

# What learns together. Latents go on meaning what the first model's autoencoder makes of them.
MERGED = ("text_encoder", "class_embedder", "rescaler", "unet")


def merge(
    first: Model | None,
    second: Model | None,
    out: Path | str,
    *,
    share: float = 0.5,
    base: Model | None = None,
    dtype: torch.dtype | None = None,
) -> str:
    """Write the merger of two models as `out`, and say what it is; see `merge_into`.

    dtype: None keeps that of the first model; int8 packs the matrices of a folder. Raises BadInput where `out` is taken
    or the models do not match, BadCheckpoint for one that cannot be opened.
    """
    out = Path(out)
    check_free(out, dtype)
    check_ending(out)
    _check_share(share)
    merged, name = open_model(first, in_memory(dtype))
    other, other_name = open_model(second)
    begun, begun_name = (None, "") if base is None else open_model(base)
    merge_into(merged, other, begun, share=share)
    left = write_model(out, merged)
    pack_where_asked(out, dtype)
    if begun is None:
        return f"{name}, {share:g} of the way to {other_name}{left}"
    return f"{name}, with {share:g} of what {other_name} has learnt since {begun_name}{left}"


def merge_into(parts: Parts, other: Parts, base: Parts | None = None, *, share: float = 0.5) -> None:
    """Change the networks of `parts` that read and draw to (1 - share) * parts + share * other.

    With a base: to parts + share * (other - base). share: from 0 to 1. The sums are made in float32 and kept in the
    dtype that `parts` have; autoencoder, tokenizer and all else stay as they are. Raises BadInput, before anything is
    changed, where the models are not of one make.
    """
    _check_share(share)
    for model in (other, base):
        if model is not None:
            _check_alike(parts, model)
    with torch.no_grad():
        for name in _networks(parts):
            others = _weights(other, name)
            bases = None if base is None else _weights(base, name)
            for key, tensor in _weights(parts, name).items():
                if tensor.is_floating_point():
                    own, far = tensor.float(), others[key].float()
                    moved = own.lerp(far, share) if bases is None else own + share * (far - bases[key].float())
                    tensor.copy_(moved)


def _check_share(share: float) -> None:
    if not 0 <= share <= 1:
        raise BadInput(f"share is {share}; allowed: from 0 (all of the first model) to 1.")


def _networks(parts: Parts) -> list[str]:
    return [name for name in MERGED if getattr(parts, name) is not None]


def _weights(parts: Parts, name: str) -> dict[str, torch.Tensor]:
    return cast(nn.Module, getattr(parts, name)).state_dict()


def _check_alike(parts: Parts, other: Parts) -> None:
    """Raise BadInput that says in what the two are not of one make."""
    if _networks(parts) != _networks(other):
        raise BadInput(f"One model has {', '.join(_networks(parts))}, the other {', '.join(_networks(other))}.")
    for name in _networks(parts):
        if getattr(parts, name).config != getattr(other, name).config:
            what = name.replace("_", " ").replace("unet", "UNet")
            raise BadInput(f"The two models' {what}s are of different shapes; only models of one make can be merged.")
    if parts.schedule.prediction != other.schedule.prediction:
        predicted = f"{parts.schedule.prediction} and {other.schedule.prediction}"
        raise BadInput(f"The two models predict {predicted}; only models that predict the same can be merged.")
    words, others = (each.tokenizer and each.tokenizer.vocabulary for each in (parts, other))
    if words != others:
        raise BadInput("The two models read with different vocabularies; a word would mean two things at once.")
