"""Everything that an evaluation tells of drawn pictures, put together from whatever judges there are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from safelight.data.collection import Record
from safelight.evaluation.backgrounds import asked_background, background_figure
from safelight.evaluation.classifier import Classifier, classify
from safelight.evaluation.clip_judge import ClipJudge, clip_scores
from safelight.evaluation.colours import colour_figure
from safelight.evaluation.comparison import comparison_figures, fid_figure, refusal_of_comparison, refusal_of_fid
from safelight.evaluation.copies import TrainingPictures, copy_figures, nearest_training
from safelight.evaluation.digest import SHORT, digest_of
from safelight.evaluation.diversity import diversity_figure
from safelight.evaluation.feature_file import kept_features
from safelight.evaluation.features import AT_ONCE, FeatureNetwork, features_of
from safelight.evaluation.figure import Figure
from safelight.evaluation.intervals import mean
from safelight.evaluation.pictures import Pictures
from safelight.evaluation.prompts import LIST
from safelight.evaluation.recognition import recognition
from safelight.evaluation.report import Report
from safelight.evaluation.scenes import scene_recognitions

MOST_TRAINING = 20_000  # pictures that drawn ones are searched for in; of more, evenly chosen ones

Watch = Callable[[Iterable[Any], int, str], Iterable[Any]]  # lets things through: their number, what is done


@dataclass(frozen=True)
class Judges:
    """Who looks at the pictures; None is who is not there.

    network: compares drawn with real pictures. clip: compares pictures with texts. classifier: tells concepts, styles.
    """

    network: FeatureNetwork | None = None
    clip: ClipJudge | None = None
    classifier: Classifier | None = None


@dataclass(frozen=True)
class Beside:
    """What drawn pictures are held against.

    real: pictures to compare with. held_out: pictures that the model has not seen. training: what it has. concepts: all
    that CLIP chooses from. kept: the file of the real pictures' features. fewest: pictures of which FID is told.
    """

    real: Pictures | None
    held_out: Pictures | None
    training: Sequence[Record]
    concepts: Sequence[str]
    kept: Path | None
    fewest: int


def judge(report: Report, drawn: Pictures, beside: Beside, judges: Judges, watch: Watch) -> None:
    """Add to the report all that these judges can tell of the drawn pictures; raises BadInput where there are none."""
    network = judges.network
    if network is not None:
        features = torch.cat(list(watch(network.batches(drawn), _batches(drawn), "drawn")))
        report.add(diversity_figure(network.name, features, _prompts(drawn)))
        if beside.real is not None or beside.kept is not None:
            real = kept_features(beside.kept, network, beside.real, watch)
            _beside_real(report, features, real, network.name, beside.fewest)
    else:
        report.left_out.append("FID, KID, precision, recall and diversity need a network: give --features or --clip.")
    if judges.clip is not None:
        _agreement(report, drawn, judges.clip, beside.concepts)
    if judges.classifier is not None:
        for name, pictures in _by_list(drawn).items():
            _content(report, pictures, judges.classifier, f"{name}: " if name else "")
        if beside.real is not None:
            _content(report, beside.real, judges.classifier, "real: ")
        for found in scene_recognitions(drawn, judges.classifier, _name(judges.classifier), watch):
            report.recognised(found)
    report.add(background_figure(drawn, _asked_backgrounds(drawn)))
    report.add(colour_figure(drawn, _fields(drawn.records, "colour")))
    if beside.training:
        step = -(-len(beside.training) // MOST_TRAINING)
        known = TrainingPictures(beside.training[::step])
        usual = nearest_training(beside.held_out, known) if beside.held_out else None
        asked = _fields(drawn.records, "concept")
        report.figures += copy_figures(nearest_training(drawn, known), usual, known, asked, _prompts(drawn))


def _beside_real(report: Report, drawn: Tensor, real: Tensor, judge: str, fewest: int) -> None:
    """FID, or why it is not told, KID, precision and recall of features (n, d), (m, d)."""
    if reason := refusal_of_comparison(len(drawn), len(real)):
        report.left_out.append(reason)
        return
    if reason := refusal_of_fid(len(drawn), len(real), fewest=fewest):
        report.left_out.append(reason)
    else:
        report.add(fid_figure(judge, drawn, real, fewest=fewest))
    report.figures += comparison_figures(judge, drawn, real)


def _agreement(report: Report, drawn: Pictures, clip: ClipJudge, concepts: Sequence[str]) -> None:
    """The CLIP score of the pictures that have a prompt, and where their concept stands among all concepts."""
    prompted = Pictures([record for record in drawn.records if record.captions], drawn.backdrop, drawn.side)
    if not prompted.records:
        report.left_out.append("The CLIP score needs prompts, and these pictures have none.")
        return
    features, prompts = features_of(clip).features(prompted), _prompts(prompted)
    scores = mean(clip_scores(features, clip.embed_texts(prompts)), prompts)
    report.add(Figure(name="CLIP score", judge=clip.name, interval=scores, pictures=len(prompts)))
    if concepts:
        likeness = functional.normalize(features, dim=1) @ clip.embed_texts(concepts).T
        asked, styles = _fields(prompted.records, "concept"), _fields(prompted.records, "style")
        report.recognised(recognition("concept", clip.name, likeness, concepts, asked, styles))


def _asked_backgrounds(drawn: Pictures) -> list[str | None]:
    """The colour that each prompt names, or its field `background`; white is taken for granted and not asked for."""
    fields = _fields(drawn.records, "background")
    named = [asked_background(prompt) or field for prompt, field in zip(_prompts(drawn), fields, strict=True)]
    return [None if name == "white" else name for name in named]


def _content(report: Report, pictures: Pictures, classifier: Classifier, whose: str) -> None:
    """How often each head of a classifier finds what the pictures' fields say. whose: goes before the names."""
    name, styles = _name(classifier), _fields(pictures.records, "style")
    starts = range(0, len(pictures), AT_ONCE)
    parts = [classify(classifier, list(pictures[start : start + AT_ONCE])) for start in starts]
    for head, labels in classifier.labels.items():
        scores = torch.cat([part[head] for part in parts])
        asked = _fields(pictures.records, head)
        report.recognised(recognition(f"{whose}{head}", name, scores, labels, asked, styles))


def _name(classifier: Classifier) -> str:
    return f"classifier {digest_of(classifier, '')[:SHORT]}"


def _by_list(pictures: Pictures) -> dict[str, Pictures]:
    """The pictures of each list of prompts, by its name; "" is of those that do not say theirs."""
    rows: dict[str, list[Record]] = defaultdict(list)
    for record in pictures.records:
        rows[str(record.fields.get(LIST, ""))].append(record)
    return {name: Pictures(records, pictures.backdrop, pictures.side) for name, records in rows.items()}


def _prompts(pictures: Pictures) -> list[str]:
    """What each was drawn from; where that is not known, its name, which no other has."""
    return [record.captions[0] if record.captions else record.key for record in pictures.records]


def _fields(records: Sequence[Record], name: str) -> list[str | None]:
    """A field of each record as text; None where it has none."""
    values: list[Any] = [record.fields.get(name) for record in records]
    return [None if value is None else str(value) for value in values]


def _batches(pictures: Pictures) -> int:
    return -(-len(pictures) // AT_ONCE)
