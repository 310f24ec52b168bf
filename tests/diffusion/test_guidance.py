"""Guidance, batches run picture by picture, and inpainting: identities that must hold exactly."""

from __future__ import annotations

import pytest
import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg
from torch import Tensor

from safelight.diffusion.conditioning import Conditioning
from safelight.diffusion.denoiser import Denoiser, as_denoiser
from safelight.diffusion.guidance import ALWAYS, NEVER, Interval, conditioned, guided, guided_twice, rescaled
from safelight.diffusion.inpainting import inpainting
from safelight.diffusion.plan import plan
from safelight.diffusion.samplers import SAMPLERS
from safelight.diffusion.schedule import Schedule
from safelight.diffusion.side_by_side import side_by_side
from safelight.errors import BadInput

from .analytic import one_bump

PROMPT = torch.tensor([[[2.0]], [[3.0]]])
NO_PROMPT = torch.tensor([[[1.0]], [[1.5]]])
TIMESTEP = torch.tensor([10.0, 10.0])


class Recorder:
    """A network whose answer is its latent times its context, and which remembers what it was asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[Tensor, Tensor, Tensor]] = []

    def __call__(self, latent: Tensor, timestep: Tensor, context: Tensor) -> Tensor:
        self.calls.append((latent, timestep, context))
        return latent * context[:, :, :, None] + latent**2 * context[:, :, :, None] ** 2


def test_scale_one_is_one_unguided_pass() -> None:
    network, latent = Recorder(), torch.randn(2, 4, 8, 8)
    prediction = guided(network, PROMPT, NO_PROMPT, 1.0, rescale=0.7)(latent, TIMESTEP)
    assert len(network.calls) == 1
    assert len(network.calls[0][0]) == 2
    assert torch.equal(prediction, conditioned(Recorder(), PROMPT)(latent, TIMESTEP))


def test_two_passes_are_one_call_with_the_unconditional_first() -> None:
    network, latent = Recorder(), torch.randn(2, 4, 8, 8)
    prediction = guided(network, PROMPT, NO_PROMPT, 7.5)(latent, TIMESTEP)
    ((asked, told, context),) = network.calls
    assert torch.equal(asked, torch.cat([latent, latent]))
    assert told.shape == (4,)
    assert context.flatten().tolist() == [1.0, 1.5, 2.0, 3.0]
    without = conditioned(Recorder(), NO_PROMPT)(latent, TIMESTEP)
    along = conditioned(Recorder(), PROMPT)(latent, TIMESTEP)
    torch.testing.assert_close(prediction, without + 7.5 * (along - without))


def test_scale_zero_is_the_unconditional_prediction() -> None:
    latent = torch.randn(2, 4, 8, 8)
    prediction = guided(Recorder(), PROMPT, NO_PROMPT, 0.0)(latent, TIMESTEP)
    assert torch.equal(prediction, conditioned(Recorder(), NO_PROMPT)(latent, TIMESTEP))


@pytest.mark.parametrize(
    ("interval", "at", "steers"),
    [
        (Interval(10.0, 20.0), 9.9, False),
        (Interval(10.0, 20.0), 10.0, True),
        (Interval(10.0, 20.0), 20.0, True),
        (Interval(10.0, 20.0), 20.1, False),
        (Interval(10.0), 999.0, True),
        (ALWAYS, 0.0, True),
        (NEVER, 500.0, False),
    ],
)
def test_outside_its_interval_it_is_one_unguided_pass(interval: Interval, at: float, steers: bool) -> None:
    latent = torch.randn(2, 4, 8, 8)
    along, steered = conditioned(Recorder(), PROMPT), guided(Recorder(), PROMPT, NO_PROMPT, 7.5)
    network, timestep = Recorder(), torch.tensor([at, at])
    found = guided(network, PROMPT, NO_PROMPT, 7.5, interval=interval)(latent, timestep)
    assert torch.equal(found, (steered if steers else along)(latent, timestep))
    assert [len(asked) for asked, _, _ in network.calls] == [4 if steers else 2]


def test_outside_its_interval_a_picture_and_a_prompt_are_shown_and_nothing_is_steered() -> None:
    latent, full, picture, nothing = (
        torch.randn(2, 4, 8, 8),
        *(Conditioning(context=torch.full((2, 1, 1), value)) for value in (3.0, 2.0, 1.0)),
    )
    asked: list[int] = []

    def network(x: Tensor, timestep: Tensor, shown: Conditioning) -> Tensor:
        asked.append(len(x))
        assert shown.context is not None
        return x * shown.context[:, :, :, None]

    predict = guided_twice(network, full, picture, nothing, scale=5.0, picture_scale=2.0, interval=Interval(10.0))
    torch.testing.assert_close(predict(latent, TIMESTEP - 1), 3 * latent)
    torch.testing.assert_close(predict(latent, TIMESTEP), (1 + 2 * (2 - 1) + 5 * (3 - 2)) * latent)
    assert asked == [2, 6]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 1.0])
def test_rescale_is_that_of_diffusers(share: float) -> None:
    prediction, conditional = 3 * torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8)
    torch.testing.assert_close(
        rescaled(prediction, conditional, share), rescale_noise_cfg(prediction, conditional, guidance_rescale=share)
    )


def test_full_rescale_gives_the_spread_of_the_conditional_prediction() -> None:
    latent = torch.randn(2, 4, 8, 8)
    prediction = guided(Recorder(), PROMPT, NO_PROMPT, 7.5, rescale=1.0)(latent, TIMESTEP)
    along = conditioned(Recorder(), PROMPT)(latent, TIMESTEP)
    torch.testing.assert_close(prediction.std(dim=(1, 2, 3)), along.std(dim=(1, 2, 3)))


@pytest.mark.parametrize("scale", [float("nan"), float("inf")])
def test_bad_scale(scale: float) -> None:
    with pytest.raises(BadInput, match="finite"):
        guided(Recorder(), PROMPT, NO_PROMPT, scale)


@pytest.mark.parametrize("rescale", [-0.1, 1.5, float("nan")])
def test_bad_rescale(rescale: float) -> None:
    with pytest.raises(BadInput, match="between 0 and 1"):
        guided(Recorder(), PROMPT, NO_PROMPT, 7.5, rescale)


def test_contexts_of_unlike_shape_are_refused() -> None:
    with pytest.raises(BadInput, match="same shape"):
        guided(Recorder(), PROMPT, NO_PROMPT[:1], 7.5)


def per_picture(schedule: Schedule, contexts: Tensor) -> list[Denoiser]:
    """A denoiser for each picture, its network a wide matrix product, which rounds by batch size if it may."""
    weight = torch.randn(256, 256, generator=torch.Generator().manual_seed(0)) / 16

    def network(latent: Tensor, timestep: Tensor, context: Tensor) -> Tensor:
        hidden = latent.flatten(1) @ weight + context[:, 0] + timestep[:, None] / 1000
        return torch.tanh(hidden).reshape(latent.shape)

    return [
        as_denoiser(guided(network, row, torch.zeros_like(row), 7.5), schedule) for row in contexts.reshape(-1, 1, 1, 1)
    ]


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_a_picture_does_not_depend_on_its_batch(name: str, schedule: Schedule) -> None:
    contexts = torch.tensor([0.3, -1.0, 2.0])
    start, extra = torch.randn(3, 4, 8, 8), torch.randn(3, 4, 8, 8)
    layout = plan(schedule, name, "karras", 8)
    denoisers = per_picture(schedule, contexts)

    def last(picked: slice) -> Tensor:
        denoiser = side_by_side(denoisers[picked])
        *_, step = layout.sampler(denoiser, start[picked] * 14, layout.sigmas, lambda: extra[picked])
        return step.x

    together = last(slice(0, 3))
    assert torch.equal(together[1:2], last(slice(1, 2)))
    assert torch.equal(together[2:3], last(slice(2, 3)))
    assert not torch.equal(together[1], together[2])


def test_side_by_side_gives_each_picture_its_own_sigma() -> None:
    x = torch.randn(2, 1, 2, 2)
    denoiser = side_by_side([one_bump, lambda x, sigma: x * sigma])
    denoised = denoiser(x, torch.tensor([1.0, 3.0]))
    assert torch.equal(denoised, torch.cat([x[:1] / 2, x[1:] * 3]))


def test_side_by_side_counts() -> None:
    with pytest.raises(BadInput, match="2 denoisers"):
        side_by_side([one_bump, one_bump])(torch.zeros(3, 1, 2, 2), torch.tensor(1.0))


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_inpainting_keeps_the_known_region(name: str) -> None:
    known, noise = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8)
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., :3] = 1
    sigmas = torch.tensor([14.0, 7.0, 3.0, 1.0, 0.3, 0.0])
    denoiser = inpainting(one_bump, known, mask, noise)
    *_, step = SAMPLERS[name](denoiser, noise * 14, sigmas, lambda: torch.randn(2, 4, 8, 8))
    torch.testing.assert_close(step.x[..., 3:], known[..., 3:], atol=1e-4, rtol=1e-4)
    *_, free = SAMPLERS[name](one_bump, noise * 14, sigmas, lambda: torch.zeros(2, 4, 8, 8))
    assert not torch.allclose(free.x[..., 3:], known[..., 3:], atol=1e-1)


def test_inpainting_redraws_freely_where_the_mask_is_one() -> None:
    x, known, noise = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8)
    sigma = torch.tensor(2.0)
    everything = inpainting(one_bump, known, torch.ones(1, 1, 8, 8), noise)
    assert torch.equal(everything(x, sigma), one_bump(x, sigma))


def test_inpainting_shows_the_network_the_known_region_at_its_level() -> None:
    known, noise = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8)
    seen: list[Tensor] = []

    def watching(x: Tensor, sigma: Tensor) -> Tensor:
        seen.append(x)
        return x

    mask = torch.zeros(1, 1, 8, 8)
    inpainting(watching, known, mask, noise)(torch.randn(2, 4, 8, 8), torch.tensor([2.0, 3.0]))
    assert torch.equal(seen[0], known + torch.tensor([2.0, 3.0]).reshape(2, 1, 1, 1) * noise)
