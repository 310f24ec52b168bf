"""How well an autoencoder gives pictures back: PSNR and SSIM by kind of picture, and how far the whole set moves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import partial

import torch
from PIL import Image
from torch import Tensor

from safelight.data.collection import Record
from safelight.evaluation.comparison import refusal_of_comparison, refusal_of_fid
from safelight.evaluation.features import FeatureNetwork
from safelight.evaluation.fidelity import psnr, ssim
from safelight.evaluation.figure import Figure
from safelight.evaluation.frechet_distance import fid_interval
from safelight.evaluation.intervals import mean
from safelight.evaluation.kernel_distance import kid_of_pairs_interval
from safelight.evaluation.pictures import Pictures
from safelight.evaluation.report import Report
from safelight.images import to_picture, to_tensor

KINDS = {"photo": "photographs", "background": "backgrounds"}  # every other style is an illustration
JUDGE = "pixels"
MEASURES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"PSNR": psnr, "SSIM": ssim}


def judge_reconstruction(
    report: Report,
    originals: Pictures,
    back: Callable[[Tensor], Tensor],
    network: FeatureNetwork | None,
    fewest: int,
    watch: Callable[[Iterable[int], int, str], Iterable[int]],
) -> None:
    """Add PSNR (dB) and SSIM of each kind of picture; with a network, KID and FID beside the originals (rKID, rFID).

    back: (1, 3, h, w) in [-1, 1] -> what the autoencoder makes of it. fewest: pictures of which FID is told.
    """
    values: dict[tuple[str, str], list[Tensor]] = defaultdict(list)
    made: list[Image.Image] = []
    for number in watch(range(len(originals)), len(originals), "picture"):
        image = to_tensor(originals[number])[None]
        returned = back(image).float().cpu()
        for name, measure in MEASURES.items():
            values[name, kind_of(originals.records[number])].append(measure(returned, image))
        made.append(to_picture(returned[0]))
    for (name, kind), found in sorted(values.items()):
        each = torch.cat(found)
        report.add(Figure(name=f"{name} of {kind}", judge=JUDGE, interval=mean(each), pictures=len(each)))
    if network is None:
        report.left_out.append("rKID and rFID need a network: give --features or --clip.")
        return
    if reason := refusal_of_comparison(len(made), len(originals)):
        report.left_out.append(reason)
        return
    one, other = network.features(made), network.features(originals)
    figure = partial(Figure, judge=network.name, pictures=len(one), real=len(other))
    report.add(figure(name="rKID", interval=kid_of_pairs_interval(one, other)))
    if reason := refusal_of_fid(len(one), len(other), fewest=fewest):
        report.left_out.append(reason)
    else:
        report.add(figure(name="rFID", interval=fid_interval(one, other)))


def kind_of(record: Record) -> str:
    """Photographs, backgrounds or illustrations."""
    return KINDS.get(str(record.fields.get("style")), "illustrations")
