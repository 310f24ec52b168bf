"""The folder that keeps the drawn pictures, so that an evaluation that was interrupted goes on where it was left.

Each picture has a companion with its prompt, so that the folder is a collection like any other; `evaluation.json` says
what drew them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from safelight.data.collection import Record
from safelight.errors import BadInput
from safelight.evaluation.prompts import Prompt
from safelight.images import write_picture
from safelight.weights.files import write_json

SETTINGS = "evaluation.json"


@dataclass(frozen=True)
class DrawnFolder:
    """A picture for each prompt in turn, the first with the seed of that number and the next with one more."""

    path: Path
    prompts: Sequence[Prompt]
    seed: int
    settings: Mapping[str, Any]

    def begin(self) -> None:
        """Make the folder, or take up what it holds; raises BadInput where that was drawn in another way."""
        file = self.path / SETTINGS
        if file.is_file():
            self._check(file)
            return
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise BadInput(
                f"{str(self.path)!r} holds something that no evaluation drew (it has no {SETTINGS}); name a new "
                "folder, or leave out --model to judge what is there."
            )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadInput(f"The folder {str(self.path)!r} cannot be made: {error.strerror}.") from error
        write_json(file, self.settings)

    def missing(self) -> list[int]:
        """The numbers of the pictures that are still to be drawn; raises BadInput for one of another prompt."""
        left = []
        for number in range(len(self.prompts)):
            if not self.file(number).is_file() or not self._companion(number).is_file():
                left.append(number)
                continue
            if _facts(self._companion(number)) != self._wanted(number):
                raise BadInput(
                    f"{str(self.file(number))!r} was drawn for another prompt than {self.prompts[number].text!r}; "
                    "name a new folder with --pictures."
                )
        return left

    def write(self, number: int, picture: Image.Image) -> None:
        """Keep a picture, whole or not at all; its companion comes first. Raises BadInput where the disk refuses."""
        write_json(self._companion(number), self._wanted(number))
        write_picture(picture, self.file(number))

    def records(self) -> list[Record]:
        """The pictures that are there, in their order, with what they should show."""
        found = []
        for number in range(len(self.prompts)):
            file, facts = self.file(number), self._wanted(number)
            if file.is_file():
                found.append(Record(file.stem, tuple(filter(None, facts["captions"])), facts, file.read_bytes))
        return found

    def file(self, number: int) -> Path:
        """Where a picture lies."""
        return self.path / f"{number:06}.png"

    def _companion(self, number: int) -> Path:
        return self.file(number).with_suffix(".json")

    def _wanted(self, number: int) -> dict[str, Any]:
        prompt = self.prompts[number]
        return {"captions": [prompt.text], "seed": self.seed + number, **prompt.facts}

    def _check(self, file: Path) -> None:
        found = _facts(file)
        for name in [*self.settings, *found]:
            if found.get(name) != self.settings.get(name):
                raise BadInput(
                    f"{str(self.path)!r} holds pictures drawn with {name} {found.get(name)!r}, not "
                    f"{self.settings.get(name)!r}; name a new folder with --pictures."
                )


def _facts(file: Path) -> dict[str, Any]:
    try:
        facts = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"{str(file)!r} cannot be read: {error}; {_way_out(file)}.") from error
    if not isinstance(facts, dict):
        raise BadInput(f"{str(file)!r} holds {type(facts).__name__}, not an object; {_way_out(file)}.")
    return facts


def _way_out(file: Path) -> str:
    if file.name == SETTINGS:
        return "name a new folder with --pictures"
    return "delete it, and its picture is drawn again"
