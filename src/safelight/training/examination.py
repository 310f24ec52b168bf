"""An examination of a new model by a judge that was trained apart from it: does it draw what it is asked for?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from safelight.data.collection import Record, split_up
from safelight.evaluation.classifier import classify, load_classifier
from safelight.evaluation.figure import Interval
from safelight.evaluation.intervals import share
from safelight.images import grid
from safelight.pipeline import Pipeline
from safelight.placement import placement_for
from safelight.weights import open_folder

FIELD = "concept"
COLUMNS = 12  # of the sheet


@dataclass(frozen=True)
class Marks:
    """What came of it. found: the share of pictures in which the judge puts the prompted concept first.

    by_concept: the same for each. sheet: the first picture of each, in that order.
    """

    found: Interval
    by_concept: dict[str, float]
    pictures: int
    sheet: Image.Image

    @property
    def worst(self) -> list[str]:
        """Concepts that were not found every time, the worst first."""
        missed = [name for name, found in self.by_concept.items() if found < 1]
        return sorted(missed, key=lambda name: self.by_concept[name])


def questions(records: Sequence[Record]) -> dict[str, str]:
    """Each concept of the training samples with the prompt that asks for it: its commonest first caption."""
    captions: dict[str, Counter[str]] = {}
    for record in split_up(records)[0]:
        if record.captions:
            captions.setdefault(str(record.fields[FIELD]), Counter())[record.captions[0]] += 1
    return {concept: counts.most_common(1)[0][0] for concept, counts in sorted(captions.items())}


def examine(
    model: Path, judge: Path, records: Sequence[Record], *, seeds: int = 4, steps: int = 25, device: str = "cpu"
) -> Generator[int, None, Marks]:
    """Draw every concept with each of the first `seeds` seeds and ask the judge; yields after each concept.

    model: a folder in the diffusers layout. judge: what the stage `classifier` leaves. Its `return` value is the marks.
    """
    pipeline = Pipeline(open_folder(model), placement=placement_for(device, "bfloat16"))
    classifier = load_classifier(judge)
    names = list(classifier.labels[FIELD])
    asked = questions(records)
    hits: dict[str, float] = {}
    firsts = []
    for number, (concept, prompt) in enumerate(asked.items(), 1):
        pictures = pipeline(prompt, seed=0, num_images=seeds, num_inference_steps=steps).images
        first = classify(classifier, pictures)[FIELD].argmax(dim=1)
        hits[concept] = float((first == names.index(concept)).float().mean())
        firsts.append(pictures[0])
        yield number
    total = seeds * len(asked)
    return Marks(share(round(sum(hits.values()) * seeds), total), hits, total, grid(firsts, COLUMNS))
