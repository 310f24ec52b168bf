"""Findings about a collection by their causes, each with a count and the first few examples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

EXAMPLES = 5

# Every cause, in the order of the report.
CAUSES: Mapping[str, str] = {
    "unreadable": "pictures that cannot be read; training skips and counts them",
    "companion": "pictures that belong to another one, and cannot be read or have another shape",
    "small": "pictures with a side that is too short",
    "same bytes": "files that repeat an earlier one byte for byte",
    "same pixels": "pictures that repeat the pixels of an earlier one",
    "near": "pictures that look like an earlier one",
    "leak": "held-out pictures that are, or look like, a training picture",
    "against": "pictures that are, or look like, one of the other collection",
    "same key": "samples whose name an earlier one has, too",
    "other split": "samples that are neither train nor val; training never sees them",
    "no caption": "samples without a caption",
    "empty caption": "samples with an empty caption among others",
    "long caption": "samples with a caption that will be cut off",
    "cmyk": "pictures in print colours; they become RGB without their profile",
    "16-bit": "pictures of 16 bits; they are scaled to 8",
    "animated": "animations; the first picture counts",
    "rotated": "pictures with an EXIF tag that turns them upright",
    "alpha": "pictures with transparency; they are laid over a plain colour",
    "palette": "pictures with a palette",
    "1-bit": "pictures in black and white alone",
    "grey": "grey pictures",
}


@dataclass
class Finding:
    """How often one thing was found, and where at first."""

    count: int = 0
    examples: list[str] = field(default_factory=list)


class Report:
    """The findings of a collection."""

    def __init__(self, samples: int, splits: Mapping[str, int]) -> None:
        self.samples = samples
        self.splits = dict(splits)
        self.findings = {cause: Finding() for cause in CAUSES}

    def add(self, cause: str, example: str) -> None:
        """One more sample with that cause."""
        finding = self.findings[cause]
        finding.count += 1
        if len(finding.examples) < EXAMPLES:
            finding.examples.append(example)

    def count(self, cause: str) -> int:
        """How many samples have that cause."""
        return self.findings[cause].count

    def facts(self) -> dict[str, Any]:
        """All of it as plain values; a cause that was not found has a count of 0."""
        findings = {
            cause: {"count": finding.count, "says": CAUSES[cause], "examples": finding.examples}
            for cause, finding in self.findings.items()
        }
        return {"samples": self.samples, "splits": self.splits, "findings": findings}

    def sentences(self) -> list[str]:
        """The same for a reader: a line for each cause that was found, and its examples below."""
        splits = ", ".join(f"{count:,} {name}" for name, count in self.splits.items())
        found = {cause: finding for cause, finding in self.findings.items() if finding.count}
        lines = [f"{self.samples:,} samples ({splits})" + ("; nothing to say about them." if not found else "")]
        for cause, finding in found.items():
            lines.append(f"{finding.count:>8,}  {cause}: {CAUSES[cause]}")
            lines += [f"{'':10}  {example}" for example in finding.examples]
            if finding.count > len(finding.examples):
                lines.append(f"{'':10}  ...")
        return lines
