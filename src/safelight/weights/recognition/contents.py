"""What a file of tensors holds, told from their names and shapes alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from safelight.catalog import PublishedModel
from safelight.errors import BadInput
from safelight.weights.recognition.adapter_names import adapter, controlnet_prefix
from safelight.weights.recognition.forms import FORMS, Form, Kind, Layout
from safelight.weights.recognition.leftovers import FOREIGN_STARTS, STARTS, family
from safelight.weights.recognition.matching import as_published, rows_like
from safelight.weights.recognition.shapes import Shapes

MODEL, AVERAGED, SHOWN = "model.", "model_ema.", "cond_stage_model."


@dataclass(frozen=True, kw_only=True)
class Found:
    """One part.

    prefix: how the names of its tensors begin in the file. names: all of these, in full. config: of the network, None
    for adapters and where `fault` says why there is none. averaged: name -> the name of its moving average, where the
    file has one. form: how to open it, None for adapters.
    """

    kind: Kind
    layout: Layout
    prefix: str
    names: tuple[str, ...]
    config: Any = None
    fault: str = ""
    averaged: Mapping[str, str] = field(default_factory=dict)
    form: Form | None = None


@dataclass(frozen=True, kw_only=True)
class Contents:
    """All of a file.

    found: its parts. models: the published models that they may be. unused: tensors that are known and make no picture.
    unknown: tensors that are not. foreign: the family that they tell, where that is none of ours.
    """

    found: tuple[Found, ...]
    models: tuple[PublishedModel, ...]
    unused: tuple[str, ...]
    unknown: tuple[str, ...]
    foreign: str = ""

    @property
    def task(self) -> str | None:
        """What the published models that it may be draw from, where they agree."""
        tasks = {row.task for row in self.models}
        return tasks.pop() if len(tasks) == 1 else None

    def part(self, kind: Kind) -> Found | None:
        """The first part of a kind."""
        return next((found for found in self.found if found.kind == kind), None)


def recognise(tensors: Mapping[str, Tensor]) -> Contents:
    """The parts of a file, their layouts and configurations; nothing of the tensors is read but their shapes."""
    places, control = _places(tensors), controlnet_prefix(tensors.keys())
    whole = adapter(tensors) if not places and control is None else None
    if whole is not None:
        adapted = Found(kind=whole[0], layout=whole[1], prefix="", names=tuple(tensors))
        return Contents(found=(adapted,), models=(), unused=(), unknown=())
    owned, others = _owned(tensors, places)
    there = sorted(((FORMS.index(form), prefix) for prefix, forms in places.items() for form in forms))
    found = [_found(FORMS[place], prefix, owned[prefix], tensors) for place, prefix in there]
    if control is not None:
        names = tuple(name for name in others if name.startswith(control[0]))
        found.append(Found(kind="controlnet", layout=control[1], prefix=control[0], names=names))
        others = [name for name in others if not name.startswith(control[0])]
    found, again = _without_twins(found)
    averages = {name for part in found for name in part.averaged.values()}
    parts, rows = _published(found)
    foreign = next((family(name) for name in tensors if name.startswith(FOREIGN_STARTS)), None)
    return Contents(
        found=tuple(parts),
        models=rows,
        unused=(*again, *(name for name in others if name.startswith(STARTS) and name not in averages)),
        unknown=tuple(name for name in others if not name.startswith(STARTS)),
        foreign=foreign or "",
    )


def _places(tensors: Mapping[str, Tensor]) -> dict[str, list[Form]]:
    """Prefix -> the forms whose landmarks stand under it."""
    ordered = sorted(FORMS, key=lambda form: len(form.landmark), reverse=True)
    landmarks = tuple(form.landmark for form in ordered)
    places: dict[str, list[Form]] = {}
    for name in tensors:
        if not name.endswith(landmarks):
            continue
        for form in ordered:
            before = name.removesuffix(form.landmark)
            if before != name and (not before or (before.endswith(".") and not form.alone)):
                places.setdefault(before + form.inner, []).append(form)
                break
    return places


def _owned(tensors: Mapping[str, Tensor], places: Mapping[str, list[Form]]) -> tuple[dict[str, list[str]], list[str]]:
    """Prefix -> the names that belong to a part there, the longest prefix first; and the names that belong to none."""
    ordered = sorted(places, key=len, reverse=True)
    roots = {prefix: frozenset().union(*(form.roots for form in forms)) for prefix, forms in places.items()}
    owned: dict[str, list[str]] = {prefix: [] for prefix in places}
    others = []
    for name in tensors:
        for prefix in ordered:
            if name.startswith(prefix) and name[len(prefix) :].partition(".")[0] in roots[prefix]:
                owned[prefix].append(name)
                break
        else:
            others.append(name)
    return owned, others


def _found(form: Form, prefix: str, names: list[str], tensors: Mapping[str, Tensor]) -> Found:
    own = {name[len(prefix) :]: name for name in names if name[len(prefix) :].partition(".")[0] in form.roots}
    part = Found(kind=form.kind, layout=form.layout, prefix=prefix, names=tuple(own.values()), form=form)
    try:
        config = form.infer(Shapes(form.kind, {inner: tensors[name] for inner, name in own.items()}))
    except BadInput as error:  # a shape that no configuration has
        return replace(part, fault=str(error))
    averaged = {}
    if prefix.startswith(MODEL):
        wanted = ((name, AVERAGED + name.removeprefix(MODEL).replace(".", "")) for name in own.values())
        averaged = {name: average for name, average in wanted if average in tensors}
    return replace(part, config=config, averaged=averaged)


def _without_twins(found: list[Found]) -> tuple[list[Found], tuple[str, ...]]:
    """The parts without the autoencoder that the paper's inpainting file holds a second time; and its names there."""
    autoencoders = [part for part in found if part.kind == "autoencoder"]
    twins = [part for part in autoencoders if part.prefix == SHOWN] if len(autoencoders) > 1 else []
    return [part for part in found if part not in twins], tuple(name for part in twins for name in part.names)


def _published(found: list[Found]) -> tuple[list[Found], tuple[PublishedModel, ...]]:
    """The parts with what was published of them, and the models that they may be together."""
    rows = rows_like({part.kind: part.config for part in found if part.config is not None})
    return [
        part if part.config is None else replace(part, config=as_published(part.kind, part.config, rows))
        for part in found
    ], rows
