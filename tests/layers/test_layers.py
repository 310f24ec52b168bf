"""The parts that several networks use, against their definitions."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional
from weights.references import noise, relative_error

from safelight.layers.attention import Attention, SpatialSelfAttention, attend
from safelight.layers.embeddings import guidance_embedding, sinusoidal_embedding
from safelight.layers.normalisation import GroupNorm
from safelight.layers.resampling import Downsample, DownsampleBottomRight, Upsample, UpsampleTwice
from safelight.layers.residual import ResidualBlock, ResidualDownsample, ResidualUpsample


def test_attention_is_a_softmax_over_the_context() -> None:
    layer = Attention(8, context_width=6, heads=2, input_bias=False)
    x, context = noise(1, 5, 8), noise(1, 3, 6, seed=2)
    q, k, v = layer.query(x), layer.key(context), layer.value(context)
    heads = []
    for columns in (slice(0, 4), slice(4, 8)):
        scores = q[..., columns] @ k[..., columns].mT / math.sqrt(4)
        heads.append(scores.softmax(-1) @ v[..., columns])
    expected = layer.out(torch.cat(heads, dim=-1))
    assert relative_error(layer(x, context), expected) < 1e-5


def test_causal_attention_does_not_see_what_follows() -> None:
    layer = Attention(8, context_width=8, heads=2, input_bias=True)
    x = noise(1, 5, 8)
    changed = torch.cat([x[:, :3], noise(1, 2, 8, seed=3)], dim=1)
    before, after = layer(x, x, causal=True), layer(changed, changed, causal=True)
    assert torch.allclose(before[:, :3], after[:, :3], atol=1e-6)
    assert not torch.allclose(before[:, 3:], after[:, 3:], atol=1e-3)


def test_self_attention_over_a_map_does_not_depend_on_where() -> None:
    layer = SpatialSelfAttention(8, heads=2, groups=4, norm_epsilon=1e-6)
    x = noise(1, 8, 3, 5)
    assert torch.allclose(layer(x.flip(2, 3)), layer(x).flip(2, 3), atol=1e-5)


@pytest.mark.parametrize("sine_first", [False, True])
@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_the_embedding_of_a_level_is_made_of_waves(sine_first: bool, shift: float) -> None:
    timesteps = torch.tensor([0.0, 3.5, 999.0])
    found = sinusoidal_embedding(timesteps, 8, sine_first=sine_first, frequency_shift=shift)
    for row, timestep in zip(found, timesteps.tolist(), strict=True):
        angles = [timestep * 10000 ** (-i / (4 - shift)) for i in range(4)]
        sines, cosines = [math.sin(a) for a in angles], [math.cos(a) for a in angles]
        expected = [*sines, *cosines] if sine_first else [*cosines, *sines]
        assert row.tolist() == pytest.approx(expected, abs=1e-4)


def test_group_norm_goes_backward_in_every_layout_alike() -> None:
    ours, reference = GroupNorm(2, 4), nn.GroupNorm(2, 4)
    gradients = []
    for layer, layout in ((ours, torch.channels_last), (reference, torch.contiguous_format)):
        x = noise(2, 4, 3, 5).to(memory_format=layout).requires_grad_()
        functional.silu(layer(x)).square().sum().backward()
        assert x.grad is not None
        gradients.append([x.grad, layer.weight.grad, layer.bias.grad])
    assert all(relative_error(a, b) < 1e-5 for a, b in zip(*gradients, strict=True))


@pytest.mark.parametrize("size", [(8, 6), (7, 5)])
def test_sizes_are_halved_and_come_back(size: tuple[int, int]) -> None:
    x = noise(1, 4, *size)
    small = Downsample(4)(x)
    assert small.shape[-2:] == (math.ceil(size[0] / 2), math.ceil(size[1] / 2))
    assert Upsample(4)(small, size).shape == x.shape
    assert DownsampleBottomRight(4)(x).shape[-2:] == (size[0] // 2, size[1] // 2)


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (4, 3)], ids=["fewer positions than channels", "one row", "more"])
def test_doubling_in_one_step_is_doubling_and_convolving(size: tuple[int, int]) -> None:
    """Pictures and gradients, borders included; both ways of computing it, by the number of positions."""
    one_step, two_steps = UpsampleTwice(4), Upsample(4)
    two_steps.load_state_dict(one_step.state_dict())
    found = []
    for layer, given in ((one_step, ()), (two_steps, ((2 * size[0], 2 * size[1]),))):
        x = noise(2, 4, *size).requires_grad_()
        y = layer(x, *given)
        y.square().sum().backward()
        found.append([y, x.grad, layer.conv.weight.grad, layer.conv.bias.grad])
    assert found[0][0].shape == (2, 4, 2 * size[0], 2 * size[1])
    assert all(relative_error(a, b) < 1e-5 for a, b in zip(*found, strict=True))


def test_attention_trains_by_the_plain_formula_as_by_the_fused_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    gradients = []
    for largest in (2**18, 0):
        monkeypatch.setattr("safelight.layers.attention.LARGEST_PLAIN", largest)
        q, k, v = (noise(2, 3, n, 4, seed=n).requires_grad_() for n in (7, 5, 5))
        result = attend(q, k, v, causal=False)
        result.square().sum().backward()
        gradients.append([result.detach(), q.grad, k.grad, v.grad])
    for plain, fused in zip(*gradients, strict=True):
        assert relative_error(plain, fused) < 1e-5


def test_the_embedding_of_no_guidance_is_that_of_zero() -> None:
    none, doubled = guidance_embedding(torch.tensor([1.0, 2.0]), 6)
    assert none.tolist() == [0, 0, 0, 1, 1, 1]
    angles = [1000 * 10000 ** (-i / 2) for i in range(3)]
    expected = [math.sin(a) for a in angles] + [math.cos(a) for a in angles]
    assert doubled.tolist() == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("modulation", ["shift", "scale_and_shift"])
def test_an_embedding_of_nothing_leaves_a_residual_block_alone(modulation: str) -> None:
    block = ResidualBlock(4, 4, embedding_width=6, groups=2, norm_epsilon=1e-5, modulation=modulation)
    nn.init.zeros_(block.embedding.bias)
    x = noise(2, 4, 3, 5)
    assert torch.allclose(block(x, torch.zeros(2, 6)), block(x), atol=1e-6)  # SiLU(0) = 0
    assert not torch.allclose(block(x, noise(2, 6)), block(x), atol=1e-3)


def test_residual_blocks_resize_both_of_their_ways() -> None:
    shape = {"embedding_width": 0, "groups": 2, "norm_epsilon": 1e-5}
    x = noise(2, 4, 6, 8)
    down, up = ResidualDownsample(4, 4, **shape), ResidualUpsample(4, 4, **shape)
    for block in (down, up):
        nn.init.zeros_(block.conv2.weight)
        nn.init.zeros_(block.conv2.bias)  # only the shortcut is left
    means = x.unflatten(3, (4, 2)).unflatten(2, (3, 2)).mean(dim=(3, 5))
    assert torch.allclose(down(x), means, atol=1e-6)
    assert torch.equal(up(x), x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3))
