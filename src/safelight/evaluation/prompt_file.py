"""Prompts from a file, each with what its picture must then show."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path

from safelight.data.backdrop import COLOURS
from safelight.data.colour_names import COLOUR_WORDS
from safelight.errors import BadInput
from safelight.evaluation.composed_prompts import NUMBERS, RELATIONS
from safelight.evaluation.prompt_lists import LISTS
from safelight.evaluation.prompts import KNOWN, Prompt

# What is known of a prompt, where it is one of a few words.
WORDS: Mapping[str, Collection[str]] = {
    "background": COLOURS,
    "colour": COLOUR_WORDS,
    "relation": RELATIONS,
    "number": NUMBERS,
}


def read_prompts(path: Path) -> list[Prompt]:
    """The prompts of a file, one a line: plain text, or an object with "prompt" and what is known of KNOWN.

    Raises BadInput that names the line.
    """
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise BadInput(
            f"--prompts {str(path)!r} is neither a list ({', '.join(LISTS)}) nor a readable file of text: {error}."
        ) from error
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    prompts = [_read_line(line, f"{str(path)!r}, line {number}") for number, line in numbered]
    if not prompts:
        raise BadInput(f"{str(path)!r} holds no prompts; one a line is read.")
    return prompts


def _read_line(line: str, where: str) -> Prompt:
    if not line.lstrip().startswith("{"):
        return Prompt(line.strip())
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{where} begins like JSON and is none: {error}.") from error
    text = found.pop("prompt", None)
    if not isinstance(text, str) or not all(isinstance(value, str) for value in found.values()):
        raise BadInput(f'{where} needs a "prompt", and all its values must be text.')
    if unknown := sorted(found.keys() - set(KNOWN)):
        raise BadInput(f"{where} has {', '.join(unknown)}; allowed beside prompt: {', '.join(KNOWN)}.")
    for name, allowed in WORDS.items():
        if name in found and found[name] not in allowed:
            raise BadInput(f"{where} has the {name} {found[name]!r}; allowed: {', '.join(allowed)}.")
    return Prompt(text, **found)
