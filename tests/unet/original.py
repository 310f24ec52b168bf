"""The UNet of the latent-diffusion paper, stated a second time: by the names, shapes and formulas of its authors.

From the published source, ldm/modules/diffusionmodules/openaimodel.py and ldm/modules/attention.py of
CompVis/latent-diffusion; the hyperparameters have the names of its configuration files. Plain functions over a
dictionary of tensors with the original names; nothing here knows our networks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

Tensors = dict[str, Tensor]
Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """`unet_config.params` of a published configuration; -1 means that it is not given."""

    in_channels: int
    out_channels: int
    model_channels: int
    attention_resolutions: tuple[int, ...]
    channel_mult: tuple[int, ...]
    num_res_blocks: int = 2
    num_heads: int = -1
    num_head_channels: int = -1
    use_scale_shift_norm: bool = False
    resblock_updown: bool = False
    transformer_depth: int = 1
    context_dim: int = 0  # 0: no spatial transformer


@dataclass(frozen=True)
class Layer:
    """One entry of one of the source's sequences."""

    name: str
    kind: str
    into: int
    out: int
    skip: bool = False  # whether it is the first of a block of the way up, which takes a skip connection


def layers(settings: Settings) -> list[Layer]:
    """Every layer in the order in which it runs."""
    base, attention = settings.model_channels, "transformer" if settings.context_dim else "attention"
    down, up = ("residual_down", "residual_up") if settings.resblock_updown else ("down", "up")
    found, skips, place, width, rate = (
        [Layer("input_blocks.0.0", "conv", settings.in_channels, base)],
        [base],
        1,
        base,
        1,
    )
    for level, factor in enumerate(settings.channel_mult):
        for _ in range(settings.num_res_blocks):
            found.append(Layer(f"input_blocks.{place}.0", "residual", width, width := factor * base))
            if rate in settings.attention_resolutions:
                found.append(Layer(f"input_blocks.{place}.1", attention, width, width))
            skips.append(width)
            place += 1
        if level < len(settings.channel_mult) - 1:
            found.append(Layer(f"input_blocks.{place}.0", down, width, width))
            skips.append(width)
            place, rate = place + 1, 2 * rate
    middle = ("residual", attention, "residual")
    found += [Layer(f"middle_block.{i}", kind, width, width) for i, kind in enumerate(middle)]
    place = 0
    for level, factor in reversed(list(enumerate(settings.channel_mult))):
        for i in range(settings.num_res_blocks + 1):
            into, width = width + skips.pop(), factor * base
            found.append(Layer(f"output_blocks.{place}.0", "residual", into, width, skip=True))
            inside = 1
            if rate in settings.attention_resolutions:
                found.append(Layer(f"output_blocks.{place}.1", attention, width, width))
                inside = 2
            if level and i == settings.num_res_blocks:
                found.append(Layer(f"output_blocks.{place}.{inside}", up, width, width))
                rate //= 2
            place += 1
    return found


def shapes(settings: Settings) -> Shapes:
    """The name and shape of every tensor, in the order of the layers."""
    base = settings.model_channels
    found = {**_linear("time_embed.0", base, 4 * base), **_linear("time_embed.2", 4 * base, 4 * base)}
    for layer in layers(settings):
        found |= _shapes(layer, settings)
    return found | _norm("out.0", base) | _conv("out.2", base, settings.out_channels, 3)


def _shapes(layer: Layer, settings: Settings) -> Shapes:
    name, into, out = layer.name, layer.into, layer.out
    if layer.kind == "conv":
        return _conv(name, into, out, 3)
    if layer.kind in ("down", "up"):
        return _conv(f"{name}.{'op' if layer.kind == 'down' else 'conv'}", into, out, 3)
    if layer.kind == "attention":
        qkv = {f"{name}.qkv.weight": (3 * out, out, 1), f"{name}.qkv.bias": (3 * out,)}
        return (
            _norm(f"{name}.norm", out)
            | qkv
            | {
                f"{name}.proj_out.weight": (out, out, 1),
                f"{name}.proj_out.bias": (out,),
            }
        )
    if layer.kind == "transformer":
        return _transformer_shapes(name, out, settings)
    told = 2 * out if settings.use_scale_shift_norm else out
    return (
        _norm(f"{name}.in_layers.0", into)
        | _conv(f"{name}.in_layers.2", into, out, 3)
        | _linear(f"{name}.emb_layers.1", 4 * settings.model_channels, told)
        | _norm(f"{name}.out_layers.0", out)
        | _conv(f"{name}.out_layers.3", out, out, 3)
        | (_conv(f"{name}.skip_connection", into, out, 1) if into != out else {})
    )


def _transformer_shapes(name: str, width: int, settings: Settings) -> Shapes:
    found = _norm(f"{name}.norm", width) | _conv(f"{name}.proj_in", width, width, 1)
    for i in range(settings.transformer_depth):
        block = f"{name}.transformer_blocks.{i}"
        for place, read in ((1, width), (2, settings.context_dim)):
            found |= _norm(f"{block}.norm{place}", width)
            found |= {f"{block}.attn{place}.to_q.weight": (width, width)}
            found |= {f"{block}.attn{place}.to_{letter}.weight": (width, read) for letter in "kv"}
            found |= _linear(f"{block}.attn{place}.to_out.0", width, width)
        found |= _norm(f"{block}.norm3", width) | _linear(f"{block}.ff.net.0.proj", width, 8 * width)
        found |= _linear(f"{block}.ff.net.2", 4 * width, width)
    return found | _conv(f"{name}.proj_out", width, width, 1)


def _linear(name: str, into: int, out: int) -> Shapes:
    return {f"{name}.weight": (out, into), f"{name}.bias": (out,)}


def _norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _conv(name: str, into: int, out: int, kernel: int) -> Shapes:
    return {f"{name}.weight": (out, into, kernel, kernel), f"{name}.bias": (out,)}


def heads(settings: Settings, width: int) -> int:
    """How many heads a layer of attention has."""
    return settings.num_heads if settings.num_head_channels == -1 else width // settings.num_head_channels


def predict(tensors: Tensors, settings: Settings, x: Tensor, timestep: Tensor, context: Tensor | None) -> Tensor:
    """The source's UNetModel.forward."""
    half = settings.model_channels // 2
    angles = timestep[:, None].float() * torch.exp(-math.log(10000) * torch.arange(half) / half)[None]
    embedding = _dense(tensors, "time_embed.0", torch.cat([angles.cos(), angles.sin()], dim=-1))
    embedding = _dense(tensors, "time_embed.2", functional.silu(embedding))
    kept, program = [], layers(settings)
    for i, layer in enumerate(program):
        if layer.skip:
            x = torch.cat([x, kept.pop()], dim=1)
        x = _run(tensors, settings, layer, x, embedding, context)
        # An entry of input_blocks ends where the next layer belongs to another.
        block = layer.name.rsplit(".", 1)[0]
        if block.startswith("input_blocks") and program[i + 1].name.rsplit(".", 1)[0] != block:
            kept.append(x)
    return _convolved(tensors, "out.2", functional.silu(_normed(tensors, "out.0", x)))


def _run(
    tensors: Tensors, settings: Settings, layer: Layer, x: Tensor, embedding: Tensor, context: Tensor | None
) -> Tensor:
    match layer.kind:
        case "conv":
            return _convolved(tensors, layer.name, x)
        case "down":
            return _convolved(tensors, f"{layer.name}.op", x, stride=2)
        case "up":
            return _convolved(tensors, f"{layer.name}.conv", functional.interpolate(x, scale_factor=2, mode="nearest"))
        case "attention":
            return _attention(tensors, layer.name, x, heads(settings, layer.out))
        case "transformer":
            assert context is not None
            return _transformer(tensors, settings, layer.name, x, context)
        case _:
            return _residual(tensors, settings, layer, x, embedding)


def _residual(tensors: Tensors, settings: Settings, layer: Layer, x: Tensor, embedding: Tensor) -> Tensor:
    name = layer.name
    h = functional.silu(_normed(tensors, f"{name}.in_layers.0", x))
    if layer.kind == "residual_down":
        h, x = (functional.avg_pool2d(each, kernel_size=2, stride=2) for each in (h, x))
    if layer.kind == "residual_up":
        h, x = (functional.interpolate(each, scale_factor=2, mode="nearest") for each in (h, x))
    h = _convolved(tensors, f"{name}.in_layers.2", h)
    told = _dense(tensors, f"{name}.emb_layers.1", functional.silu(embedding))[:, :, None, None]
    if settings.use_scale_shift_norm:
        scale, shift = told.chunk(2, dim=1)
        h = _normed(tensors, f"{name}.out_layers.0", h) * (1 + scale) + shift
    else:
        h = _normed(tensors, f"{name}.out_layers.0", h + told)
    h = _convolved(tensors, f"{name}.out_layers.3", functional.silu(h))
    return h + (_convolved(tensors, f"{name}.skip_connection", x) if layer.into != layer.out else x)


def _attention(tensors: Tensors, name: str, x: Tensor, count: int) -> Tensor:
    """QKVAttentionLegacy: the heads are split before queries, keys and values are."""
    batch, width, *_ = x.shape
    normed = _normed(tensors, f"{name}.norm", x).flatten(2)
    qkv = functional.conv1d(normed, tensors[f"{name}.qkv.weight"], tensors[f"{name}.qkv.bias"])
    q, k, v = qkv.reshape(batch * count, 3 * width // count, -1).chunk(3, dim=1)
    weight = torch.einsum("bct,bcs->bts", q, k) / math.sqrt(width // count)
    h = torch.einsum("bts,bcs->bct", weight.softmax(dim=-1), v).reshape(batch, width, -1)
    h = functional.conv1d(h, tensors[f"{name}.proj_out.weight"], tensors[f"{name}.proj_out.bias"])
    return x + h.reshape(x.shape)


def _transformer(tensors: Tensors, settings: Settings, name: str, x: Tensor, context: Tensor) -> Tensor:
    batch, width, height, breadth = x.shape
    count = heads(settings, width)
    h = _convolved(tensors, f"{name}.proj_in", _normed(tensors, f"{name}.norm", x, epsilon=1e-6), padding=0)
    h = h.flatten(2).mT
    for i in range(settings.transformer_depth):
        block = f"{name}.transformer_blocks.{i}"
        h1 = _layer_normed(tensors, f"{block}.norm1", h)
        h = h + _cross(tensors, f"{block}.attn1", h1, h1, count)
        h = h + _cross(tensors, f"{block}.attn2", _layer_normed(tensors, f"{block}.norm2", h), context, count)
        values, gates = _dense(tensors, f"{block}.ff.net.0.proj", _layer_normed(tensors, f"{block}.norm3", h)).chunk(
            2, dim=-1
        )
        h = h + _dense(tensors, f"{block}.ff.net.2", values * functional.gelu(gates))
    h = h.mT.reshape(batch, width, height, breadth)
    return x + _convolved(tensors, f"{name}.proj_out", h, padding=0)


def _cross(tensors: Tensors, name: str, x: Tensor, context: Tensor, count: int) -> Tensor:
    q, k, v = (
        _dense(tensors, f"{name}.to_{letter}", read).unflatten(-1, (count, -1))
        for letter, read in (("q", x), ("k", context), ("v", context))
    )
    weight = torch.einsum("bnhd,bmhd->bhnm", q, k) * q.shape[-1] ** -0.5
    return _dense(tensors, f"{name}.to_out.0", torch.einsum("bhnm,bmhd->bnhd", weight.softmax(-1), v).flatten(2))


def _dense(tensors: Tensors, name: str, x: Tensor) -> Tensor:
    return functional.linear(x, tensors[f"{name}.weight"], tensors.get(f"{name}.bias"))


def _normed(tensors: Tensors, name: str, x: Tensor, epsilon: float = 1e-5) -> Tensor:
    return functional.group_norm(x, 32, tensors[f"{name}.weight"], tensors[f"{name}.bias"], epsilon)


def _layer_normed(tensors: Tensors, name: str, x: Tensor) -> Tensor:
    return functional.layer_norm(x, x.shape[-1:], tensors[f"{name}.weight"], tensors[f"{name}.bias"])


def _convolved(tensors: Tensors, name: str, x: Tensor, *, stride: int = 1, padding: int | None = None) -> Tensor:
    weight = tensors[f"{name}.weight"]
    around = weight.shape[-1] // 2 if padding is None else padding
    return functional.conv2d(x, weight, tensors[f"{name}.bias"], stride=stride, padding=around)
