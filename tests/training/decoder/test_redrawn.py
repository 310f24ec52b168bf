"""Noise over a latent is taken away again by the model, as the schedule says; and what was drawn is kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from safelight.diffusion.schedule import Schedule
from safelight.errors import BadInput
from safelight.training.decoder import redrawn as redrawing
from safelight.training.decoder.redrawn import redraw
from tests.data.shapes import records
from tests.training.decoder.test_task import decoder_task
from tests.training.tiny_tasks import parts


class Knowing(nn.Module):
    """Predicts what is right for one clean latent, and notes at which timesteps it was asked."""

    def __init__(self, clean: Tensor, alpha_bar: Tensor) -> None:
        super().__init__()
        self.clean, self.alpha_bar = clean, alpha_bar
        self.weight = nn.Parameter(torch.zeros(1))
        self.asked: list[float] = []

    def forward(self, x: Tensor, timestep: Tensor, *others: Any) -> Tensor:
        self.asked.append(timestep[0].item())
        share = self.alpha_bar[timestep[0].round().long()]
        noise = (x - share.sqrt() * self.clean) / (1 - share).sqrt()
        return share.sqrt() * noise - (1 - share).sqrt() * self.clean


def test_a_model_that_knows_the_picture_draws_it_again() -> None:
    of = parts()
    clean, noise = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8)
    network = Knowing(clean, Schedule(of.schedule).alpha_bar)
    found = redraw(replace(of, unet=network), clean, noise, torch.zeros(2, 1, 16), 400.0, 4)
    assert network.asked == pytest.approx([400, 300, 200, 100], abs=0.01)
    torch.testing.assert_close(found, clean, rtol=0, atol=1e-3)


def test_the_start_is_the_picture_under_that_much_noise() -> None:
    """A network that predicts nothing leaves the latent's own share: so it can be seen what it was given."""
    of, seen = parts(), []

    class Nothing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(1))

        def forward(self, x: Tensor, timestep: Tensor, *others: Any) -> Tensor:
            seen.append(x)
            return torch.zeros_like(x)

    clean, noise = torch.randn(1, 4, 8, 8), torch.randn(1, 4, 8, 8)
    redraw(replace(of, unet=Nothing()), clean, noise, torch.zeros(1, 1, 16), 500.0, 1)
    share = Schedule(of.schedule).alpha_bar[500]
    torch.testing.assert_close(seen[0], share.sqrt() * clean + (1 - share).sqrt() * noise, rtol=1e-4, atol=1e-4)


def test_they_are_drawn_once_and_again_where_something_else_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[int] = []

    def counted(of: Any, latent: Tensor, *others: Any) -> Tensor:
        drawn.append(len(latent))
        return latent

    monkeypatch.setattr(redrawing, "redraw", counted)
    decoder_task(tmp_path)
    assert drawn == [16, 4]
    decoder_task(tmp_path)
    assert drawn == [16, 4]
    (tmp_path / "redrawn" / "00001.safetensors").write_bytes(b"lost")
    decoder_task(tmp_path)
    assert drawn == [16, 4, 4]
    decoder_task(tmp_path, steps=3)
    assert drawn == [16, 4, 4, 16, 4]


def test_they_are_drawn_again_for_other_pictures_of_the_same_captions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redrawing, "redraw", lambda of, latent, *others: latent)
    before = decoder_task(tmp_path).redrawn.latents
    given = records("none")
    turned_about = [replace(one, read=other.read) for one, other in zip(given, reversed(given), strict=True)]
    after = decoder_task(tmp_path, found=turned_about).redrawn.latents
    assert not any(torch.equal(one, other) for one, other in zip(before, after, strict=True))


def test_nothing_to_redraw_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"decoder\.redrawn_where is \{'concept': \('star',\)\}; none of the training"):
        decoder_task(tmp_path, redrawn_where={"concept": ("star",)})


def test_only_those_asked_for_are_redrawn_each_in_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redrawing, "redraw", lambda of, latent, *others: latent)
    task = decoder_task(tmp_path, redrawn_where={"concept": ("circle",)})
    keys = [task.own.views[row].record.key for row in task.redrawn.rows]
    assert sorted(set(keys)) == ["black-circle", "blue-circle", "green-circle", "red-circle"]
    assert {keys.count(key) for key in set(keys)} == {5}
    for row, latent in zip(task.redrawn.rows, task.redrawn.latents, strict=True):
        assert torch.equal(latent, task.own[row])
    assert len({task.own.views[row].colour for row in task.redrawn.rows}) == 2
