"""Collections that draw one thing in several styles: what captions call each style, and the one meant by naming none.

Records say in their fields `style` and `concept` what they are; one that does not is left as it is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from safelight.data.captions import worded
from safelight.data.record import Record

Wordings = Mapping[str, Sequence[str]]  # of each style, sentences that name it, with {caption} or {name}


@dataclass(frozen=True)
class Styles:
    """The wordings of each style, and the usual style of each concept: the first of them in which it is at hand."""

    wordings: Wordings
    usual: Mapping[str, str]

    def is_usual(self, record: Record) -> bool:
        """Whether a caption that names no style may mean this record."""
        style = record.fields.get("style")
        return style not in self.wordings or self.usual.get(str(record.fields.get("concept", "")), style) == style

    def captions(self, record: Record) -> tuple[str, ...]:
        """A record's captions, and those in its style's wordings; unless it is usual, only such as name it, if any."""
        if record.fields.get("style") not in self.wordings or not record.captions:
            return record.captions
        named = tuple(worded(wording, record.captions[0]) for wording in self.wordings[record.fields["style"]])
        if self.is_usual(record):
            return record.captions + named
        phrase = str(record.fields.get("style_phrase", "")).lower()
        found = named + tuple(caption for caption in record.captions if phrase and phrase in caption.lower())
        return found or record.captions

    def sentence(self, said: str, things: Sequence[Record], random: Random) -> str:
        """What is said of things of one style, which is named unless it is usual for all of them."""
        if all(map(self.is_usual, things)):
            return said
        whole = [wording for wording in self.wordings[things[0].fields["style"]] if "{caption}" in wording]
        return worded(random.choice(whole), said) if whole else said

    def captioned(self, record: Record) -> Record:
        """The record with the captions that mean it alone."""
        return dataclasses.replace(record, captions=self.captions(record))

    def order(self, records: Sequence[Record], usual_times: int) -> list[int]:
        """The places of all records, those of the usual ones so often; without any styles, all once."""
        times = [usual_times if self.wordings and self.is_usual(record) else 1 for record in records]
        return [place for place, often in enumerate(times) for _ in range(often)]


def styles_of(records: Sequence[Record], wordings: Wordings) -> Styles:
    """The usual styles of a collection; `wordings` names the styles in their order of preference.

    Pictures that the restyle stage made count for nothing: nobody drew their things in that style.
    """
    order = {style: place for place, style in enumerate(wordings)}
    usual: dict[str, str] = {}
    for record in records:
        if "restyled_from" in record.fields:
            continue
        concept, style = str(record.fields.get("concept", "")), record.fields.get("style")
        if concept and style in order and order[style] < order.get(usual.get(concept, ""), len(order)):
            usual[concept] = style
    return Styles(wordings, usual)
