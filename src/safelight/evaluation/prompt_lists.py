"""The lists of prompts that --prompts names, and several of them as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, zip_longest

from safelight.data.collection import Record
from safelight.errors import BadInput, unknown_name
from safelight.evaluation.composed_prompts import (
    colour_prompts,
    number_prompts,
    relation_prompts,
    sentence_prompts,
)
from safelight.evaluation.pictures import Backdrop
from safelight.evaluation.prompts import Prompt, caption_prompts, concept_prompts, names_style
from safelight.evaluation.samples import Samples


@dataclass(frozen=True)
class Material:
    """What prompts are made of. things: the samples whose concepts the judge knows, if there is one."""

    samples: Samples
    things: Sequence[Record]
    seed: int
    backdrop: Backdrop


def style_prompts(the: Material, count: int) -> list[Prompt]:
    """Captions of training samples that name their style: pairs of concept and style that the model has seen."""
    return caption_prompts(_styled(the.samples.training, "training samples"), count, the.seed, the.backdrop)


def unseen_prompts(the: Material, count: int) -> list[Prompt]:
    """The same of held-out samples whose concept was never shown in their style: each sample once at most."""
    samples = _styled(the.samples.unseen_pairs, "held-out samples of unseen pairs of concept and style")
    return caption_prompts(samples, min(count, len(samples)), the.seed, the.backdrop)


# --prompts WORD -> what it means: so many prompts, of which the first are those of fewer; anything else is a file.
LISTS: dict[str, Callable[[Material, int], list[Prompt]]] = {
    "captions": lambda the, count: caption_prompts(the.samples.to_ask_for, count, the.seed, the.backdrop),
    "concepts": lambda the, count: concept_prompts(the.samples.everything, count, the.seed),
    "styles": style_prompts,
    "unseen": unseen_prompts,
    "colours": lambda the, count: colour_prompts(the.things, count, the.seed),
    "relations": lambda the, count: relation_prompts(the.things, count, the.seed),
    "numbers": lambda the, count: number_prompts(the.things, count, the.seed),
    "sentences": lambda the, count: sentence_prompts(the.things, count, the.seed),
}


def named_lists(words: str) -> list[str]:
    """The lists that "styles,colours" names; none where it is something else. Raises BadInput for one among several."""
    names = list(dict.fromkeys(words.split(",")))
    for name in names:
        if name not in LISTS and not LISTS.keys().isdisjoint(names):
            raise unknown_name("--prompts", name, LISTS)
    return names if names[0] in LISTS else []


def listed_prompts(names: Sequence[str], material: Material, count: int) -> list[Prompt]:
    """`count` prompts of each list, or all that it has; of several, one of each in turn, that say their list."""
    lists = [LISTS[name](material, count) for name in names]
    if len(names) == 1:
        return lists[0]
    told = [[replace(prompt, prompts=name) for prompt in each] for name, each in zip(names, lists, strict=True)]
    return [prompt for prompt in chain.from_iterable(zip_longest(*told)) if prompt is not None]


def _styled(records: Sequence[Record], what: str) -> list[Record]:
    """The samples with a style, each with those captions that name it; raises BadInput where there are none."""
    named = [
        replace(record, captions=tuple(caption for caption in record.captions if names_style(record, caption)))
        for record in records
        if "style" in record.fields
    ]
    if samples := [record for record in named if record.captions]:
        return samples
    raise BadInput(f"Of {len(records)} {what} none has a field 'style' and a caption that names it.")
