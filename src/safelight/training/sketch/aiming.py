"""Heads of a UNet's cross-attention that look at their own square of the sketch, from the first step on.

For a sketch to be copied, a head's queries have to say where in the picture a position is, and its keys of which square
a state speaks. Both can be told from features and states alike, for zeros around feature maps let positions be known
(Islam et al. 2020), and every state has a place of its own; but a softmax over all states gives a head that looks
everywhere next to no reason to look at one of them, and training leaves most heads as they are. So some heads are
taught beforehand where to look, by the cross-entropy of their attention (near to the guided attention loss of Tachibana
et al. 2018, section 4), and what they bring is added by maps that begin at zero: at first the UNet draws all but what
it drew.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from safelight.diffusion.schedule import Schedule
from safelight.errors import BadInput
from safelight.layers.attention import Attention, attend
from safelight.training.sketch.sketcher import Sketcher
from safelight.unet import UNet
from safelight.unet.transformer import TransformerBlock

STEPS = 400
RATE = 0.01  # of Adam, falling to zero
PICTURES = 24  # a step
AT_ONCE = 32  # pictures that go through the UNet together


def aim(
    unet: UNet, sketcher: Sketcher, schedule: Schedule, captions: Sequence[str], latents: Tensor, heads: int
) -> list[float]:
    """Turn so many heads of each cross-attention of the UNet's up path, those that bring least, in place.

    captions, latents: n pictures (n, c, h, h), scaled, and what they are called. Maps of fewer positions than the
    sketch has squares are passed over. Returns for each turned layer the share of attention that goes to own squares.
    Raises BadInput where a layer would keep no head as it is, and where there is no layer to turn.
    """
    random = torch.Generator().manual_seed(0)
    blocks = [module for module in unet.up.modules() if isinstance(module, TransformerBlock)]
    for block in blocks:
        if heads >= block.cross_attention.heads:
            raise BadInput(
                f"following.heads is {heads}; it must be below {block.cross_attention.heads}, the heads of a layer "
                "of this UNet, so that one stays as it is."
            )
    with torch.no_grad():
        states = sketcher.read(captions)
        features = _features(unet.to(states.device), blocks, schedule, latents.to(states), states, random)
    aimed = [pair for pair in zip(blocks, features, strict=True) if pair[1].shape[1] >= sketcher.cells**2]
    if not aimed:
        raise BadInput(
            f"following.heads is {heads}, but no cross-attention of this UNet's up path has as many positions as the "
            f"sketch has squares, {sketcher.cells**2}; it must be 0."
        )
    shares = []
    for block, seen in tqdm(aimed, desc="aiming heads", disable=None):
        attention = block.cross_attention
        own = own_states(seen.shape[1], sketcher.cells, states.shape[1]).to(states.device)
        query, key = _learnt(seen, states, own, attention.query.out_features // attention.heads, random)
        with torch.no_grad():
            _turn(attention, _least(attention, seen, states)[:heads], query, key, sketcher.head.weight)
            weights = _scores(seen[:AT_ONCE], states[:AT_ONCE], query, key).softmax(2)
            shares.append(float(weights[:, torch.arange(len(own)), own].mean()))
    return shares


def own_states(positions: int, cells: int, length: int) -> Tensor:
    """Which of `length` states speaks of the square in which each position of a square map lies: (positions,)."""
    side = isqrt(positions)
    places = torch.arange(side) * cells // side
    return length - cells**2 + (places[:, None] * cells + places).flatten()


def _features(
    unet: UNet,
    blocks: Sequence[TransformerBlock],
    schedule: Schedule,
    latents: Tensor,
    states: Tensor,
    random: torch.Generator,
) -> list[Tensor]:
    """What the cross-attention of each block is asked with, (n, positions, width), at levels of noise by lot."""
    levels = torch.randint(0, schedule.levels, (len(latents),), generator=random)
    noise = torch.randn(latents.shape, generator=random)
    noisy = schedule.add_noise(latents, noise.to(latents), levels.to(latents.device))
    seen: dict[nn.Module, list[Tensor]] = {block.norm2: [] for block in blocks}

    def keep(norm: nn.Module, inputs: object, output: Tensor) -> None:
        seen[norm].append(output.float())

    handles = [norm.register_forward_hook(keep) for norm in seen]
    try:
        for start in range(0, len(noisy), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            unet(noisy[part], levels[part].to(noisy.device), states[part])
    finally:
        for handle in handles:
            handle.remove()
    return [torch.cat(parts) for parts in seen.values()]


def _learnt(
    features: Tensor, states: Tensor, own: Tensor, width: int, random: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Maps (features, width) and (states, width) whose products are largest for a position and its own state."""
    query, key = (
        (torch.randn(given.shape[-1], width, generator=random) / given.shape[-1] ** 0.5).to(given).requires_grad_()
        for given in (features, states)
    )
    optimiser = torch.optim.Adam([query, key])
    for step in range(STEPS):
        optimiser.param_groups[0]["lr"] = RATE * (1 - step / STEPS)
        some = torch.randint(0, len(features), (PICTURES,), generator=random)
        scores = _scores(features[some], states[some], query, key)
        loss = functional.cross_entropy(scores.transpose(1, 2), own.expand(len(some), -1))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return query.detach(), key.detach()


def _scores(features: Tensor, states: Tensor, query: Tensor, key: Tensor) -> Tensor:
    """(n, positions, states) before the softmax."""
    return (features @ query) @ (states @ key).transpose(1, 2) / query.shape[1] ** 0.5


def _least(attention: Attention, features: Tensor, states: Tensor) -> list[int]:
    """The heads of a layer, the one that adds least first."""
    q, k, v = (
        rearrange(projected, "b n (h d) -> b h n d", h=attention.heads)
        for projected in (
            attention.query(features[:AT_ONCE]),
            attention.key(states[:AT_ONCE]),
            attention.value(states[:AT_ONCE]),
        )
    )
    maps = rearrange(attention.out.weight, "o (h d) -> h d o", h=attention.heads)
    brought = attend(q, k, v, causal=False) @ maps
    return [int(head) for head in brought.square().mean((0, 2, 3)).argsort()]


def _turn(attention: Attention, heads: Sequence[int], query: Tensor, key: Tensor, contents: Tensor) -> None:
    """Give these heads the maps; what they read is what varies most of the squares, and so far they add nothing.

    contents: the sketch's own map, (values of a square, width of a state).
    """
    width = query.shape[1]
    _, strengths, directions = torch.linalg.svd(contents, full_matrices=False)
    read = strengths[:, None] * directions / strengths.square().mean().sqrt()
    parts = read.repeat(-(-width * len(heads) // len(read)), 1)[: width * len(heads)].split(width)
    for head, part in zip(heads, parts, strict=True):
        rows = slice(head * width, (head + 1) * width)
        attention.query.weight[rows] = query.T
        attention.key.weight[rows] = key.T
        attention.value.weight[rows] = part
        attention.out.weight[:, rows] = 0
