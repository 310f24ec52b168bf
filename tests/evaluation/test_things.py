"""Things on plain backgrounds, drawn by hand, are found, counted and cut out."""

from __future__ import annotations

import pytest
import torch
from PIL import Image, ImageDraw

from safelight.data.backdrop import COLOURS
from safelight.evaluation.things import SIDE, alone, cut_out, halves, things

Box = tuple[int, int, int, int]


def drawn(*boxes: Box, backdrop: str = "white", side: int = 256) -> Image.Image:
    """Red boxes."""
    picture = Image.new("RGB", (side, side), COLOURS[backdrop])
    for box in boxes:
        ImageDraw.Draw(picture).rectangle(box, fill=(200, 20, 30))
    return picture


LEFT, RIGHT, TOP = (20, 70, 115, 180), (140, 70, 236, 180), (70, 10, 180, 110)


@pytest.mark.parametrize(
    ("boxes", "count"),
    [
        ([], 0),
        ([LEFT], 1),
        ([LEFT, RIGHT], 2),
        ([(80, 10, 170, 100), (10, 130, 100, 220), (150, 130, 240, 220)], 3),
        ([LEFT, (118, 70, 150, 180)], 1),  # a gap of two pixels
        ([LEFT, (200, 200, 206, 206)], 1),  # a crumb
        ([LEFT, (200, 200, 240, 240)], 1),  # more than a crumb, but much smaller than the thing
    ],
)
@pytest.mark.parametrize("backdrop", ["white", "blue"])
def test_things_are_counted(boxes: list[Box], count: int, backdrop: str) -> None:
    assert len(things(drawn(*boxes, backdrop=backdrop))) == count


def test_a_winding_thing_is_one() -> None:
    comb = [(20, 20, 236, 30), *((left, 20, left + 8, 230) for left in range(20, 230, 40))]
    assert len(things(drawn(*comb))) == 1


def test_a_little_noise_is_no_thing() -> None:
    noise = torch.randint(230, 256, (256, 256, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    assert things(Image.fromarray(noise.numpy())) == []


def centre(mask: torch.Tensor) -> tuple[float, float]:
    """Of a mask, as shares of its height and width."""
    rows, columns = torch.nonzero(mask).float().mean(0).tolist()
    return rows / SIDE, columns / SIDE


def test_halves_come_in_order() -> None:
    first, second = halves(drawn(RIGHT, LEFT), 1)
    assert centre(first)[1] < 0.3 < 0.7 < centre(second)[1]
    first, second = halves(drawn((70, 140, 180, 240), TOP), 0)
    assert centre(first)[0] < 0.3 < 0.7 < centre(second)[0]


def test_a_cut_goes_between_things_that_are_off_the_middle() -> None:
    first, second = halves(drawn((10, 70, 90, 180), (104, 70, 240, 180)), 1)
    assert [int(mask.any(0).sum()) for mask in (first, second)] == pytest.approx([45, 73], abs=2)


def test_a_bare_half() -> None:
    assert halves(drawn((10, 70, 60, 180)), 1) == []
    assert halves(drawn(), 0) == []


@pytest.mark.parametrize("backdrop", ["white", "green"])
def test_a_thing_alone_lies_in_the_middle_and_nearly_fills_its_square(backdrop: str) -> None:
    picture = drawn((20, 40, 59, 199), backdrop=backdrop)
    ImageDraw.Draw(picture).rectangle((75, 60, 240, 200), fill="black")  # a neighbour, which is not shown
    masks = things(picture)
    shown = alone(picture, masks[1])
    red = torch.tensor([pixel == (200, 20, 30) for pixel in shown.get_flattened_data()]).view(shown.height, shown.width)
    assert shown.width == shown.height
    assert set(shown.get_flattened_data()) == {(200, 20, 30), COLOURS[backdrop]}
    rows, columns = (torch.nonzero(red.any(dim))[:, 0] for dim in (1, 0))
    assert 0.85 < len(rows) / shown.height < 0.96
    assert (rows[0] + rows[-1]).item() / shown.height == pytest.approx(1, abs=0.05)
    assert (columns[0] + columns[-1]).item() / shown.width == pytest.approx(1, abs=0.05)


def test_only_the_thing_is_left_of_a_cut_out() -> None:
    alpha = cut_out(drawn(LEFT, backdrop="purple")).getchannel("A")
    assert alpha.getbbox() == (20, 70, 116, 181)
    assert alpha.getextrema() == (0, 255)
