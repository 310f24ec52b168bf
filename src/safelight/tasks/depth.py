"""Text and a depth map to image (Stable Diffusion 2's depth model)."""

from __future__ import annotations

from safelight.conditioning.depth_map import beside_depth
from safelight.diffusion.conditioning import Conditioning
from safelight.diffusion.denoiser import Network
from safelight.diffusion.guidance import guided
from safelight.images import grey_to_tensor
from safelight.networks import Networks
from safelight.run import Run
from safelight.tasks.task import Drawing
from safelight.tasks.text import contexts


def from_depth(networks: Networks, run: Run, drawing: Drawing) -> Network:
    """The depth map, brought to the latent's size and to [-1, 1], is joined to the latent."""
    factor = networks.autoencoder.config.factor
    depth = grey_to_tensor(run.maps["depth_map"])[None]
    beside = beside_depth(depth, run.height // factor, run.width // factor).to(networks.placement.device)
    along, without = (
        Conditioning(context=context, beside=beside) for context in contexts(networks, run, drawing.prompt)
    )
    return guided(networks.predict, along, without, *run.guidance)
