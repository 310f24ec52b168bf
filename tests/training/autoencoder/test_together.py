"""Two processes that hold half of a batch each learn what one does that holds all of it, adaptive weight and all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, distributed, multiprocessing

from safelight.training.autoencoder.settings import AutoencoderLossConfig, DiscriminatorConfig
from safelight.training.autoencoder.task import AutoencoderTask
from safelight.training.engine.noise import SampleNoise
from tests.data.shapes import SIDE, records
from tests.training.tiny_tasks import AUTOENCODER

COUNT = 8
PROCESSES = 2


def learnt(codes: int, indices: Sequence[int]) -> dict[str, Tensor]:
    """The gradients of these samples' loss, and its terms."""
    torch.manual_seed(0)
    against = DiscriminatorConfig(weight=0.5, width=8, levels=2)
    settings = AutoencoderLossConfig(size=SIDE, crop=SIDE // 2, perceptual="ms_ssim", discriminator=against)
    task = AutoencoderTask(replace(AUTOENCODER, codes=codes), settings, records("none"))
    batch = torch.stack([task.sample(index, Random(index)) for index in indices])
    terms = task.loss(batch, SampleNoise(0, indices))
    terms["loss"].backward()
    weights = {name: weight.grad for name, weight in task.network.named_parameters() if weight.grad is not None}
    return weights | {f"the {name}": value.detach() for name, value in terms.items()}


def one_of_several(rank: int, folder: Path) -> None:
    """What each process does: its share, and the mean of all gradients, as the loop takes it."""
    torch.set_num_threads(1)
    meet = f"file://{folder / 'meeting'}"
    distributed.init_process_group("gloo", init_method=meet, rank=rank, world_size=PROCESSES)
    share = COUNT // PROCESSES
    for codes in (0, 16):
        found = learnt(codes, range(rank * share, (rank + 1) * share))
        for value in found.values():
            distributed.all_reduce(value)
            value /= PROCESSES
        if rank == 0:
            save_file({name: value.contiguous() for name, value in found.items()}, folder / f"{codes}.safetensors")
    distributed.destroy_process_group()


@pytest.mark.skipif(not distributed.is_available(), reason="this PyTorch was built without torch.distributed")
def test_two_processes_learn_what_one_does(tmp_path: Path) -> None:
    multiprocessing.spawn(one_of_several, (tmp_path,), nprocs=PROCESSES)
    for codes in (0, 16):
        together = load_file(tmp_path / f"{codes}.safetensors")
        for name, value in learnt(codes, range(COUNT)).items():
            torch.testing.assert_close(together[name], value, rtol=1e-4, atol=1e-6, msg=f"{codes} codes: {name}")
