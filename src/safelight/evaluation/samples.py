"""Which samples an evaluation uses: what the model was trained on, what was held out, what its pictures lie beside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from safelight.data.collection import BadSample, Record, open_collection
from safelight.errors import BadInput, unknown_name

SPLITS = ("val", "train", "all")


@dataclass(frozen=True)
class Samples:
    """The samples of an evaluation.

    training, held_out: the two splits. real: what is compared with. concepts: of all samples, also of those that were
    not chosen. remarks: sentences on what is left out.
    """

    training: list[Record]
    held_out: list[Record]
    real: list[Record]
    concepts: list[str]
    remarks: list[str]

    @property
    def to_ask_for(self) -> list[Record]:
        """The samples whose captions are drawn: the held-out ones, or all where nothing is held out."""
        return self.held_out or self.training

    @property
    def everything(self) -> list[Record]:
        """The samples of both splits."""
        return [*self.training, *self.held_out]

    @property
    def unseen_pairs(self) -> list[Record]:
        """The held-out samples whose concept is in the training samples, but not in their style."""
        pairs = {_pair(record) for record in self.training}
        concepts = {concept for concept, _ in pairs}
        return [record for record in self.held_out if _pair(record)[0] in concepts and _pair(record) not in pairs]


def _pair(record: Record) -> tuple[str, str]:
    concept, style = (str(record.fields.get(name)) for name in ("concept", "style"))
    return concept, style


def open_samples(path: Path, where: Mapping[str, Sequence[str]], real: str) -> Samples:
    """The samples under `path` whose fields hold one of the named values; `real` is one of SPLITS.

    Raises BadInput where nothing is left, or that split is empty.
    """
    if real not in SPLITS:
        raise unknown_name("--real", real, SPLITS)
    every = open_collection(path)
    kept = open_collection(path, where) if where else every
    splits = {
        "train": [record for record in kept if record.split == "train"],
        "val": [record for record in kept if record.split == "val"],
        "all": kept,
    }
    if not splits[real]:
        counts = ", ".join(f"{name} {len(records)}" for name, records in splits.items())
        raise BadInput(f"--real is {real!r}, and that split is empty; there are: {counts}.")
    concepts = sorted({str(record.fields["concept"]) for record in every if "concept" in record.fields})
    needed = {id(record): record for record in (*splits["val"], *splits[real])}
    damaged = {place for place, record in needed.items() if not is_readable(record)}
    held_out, compared = ([each for each in splits[name] if id(each) not in damaged] for name in ("val", real))
    if not compared:
        raise BadInput(f"None of the {len(splits[real])} samples of --real {real} can be read.")
    remarks = [f"{len(damaged)} samples cannot be read and are left out; `safelight data check` names them."]
    return Samples(splits["train"], held_out, compared, concepts, remarks if damaged else [])


def is_readable(record: Record) -> bool:
    """Whether its picture can be decoded."""
    try:
        record.picture()
    except BadSample:
        return False
    return True
