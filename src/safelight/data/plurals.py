"""The plural of what a caption names, where it is sure: "a cup of tea" -> "cups of tea".

The rules of English come from the package inflect; here is only which word of a name they are for.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from safelight.errors import BadInput

SINGULAR = re.compile(r"^an? ", re.IGNORECASE)
# What follows the noun that is counted: "a cup | of tea".
AFTER_NOUN = re.compile(r" (?:of|with|without|in|on|at|over|under|behind|by|from|for|to|after|before) ")
# Of these words the plural is sure even where a verb follows: "a person walking".
PEOPLE = {"person", "man", "woman", "boy", "girl", "child", "couple"}
# Nouns, though they end like verbs.
NOUNS = {"awning", "building", "lightning", "painting", "pudding", "ring", "spring", "string", "wing"}
# Words after which, or beside which, no noun is sure to be the last word of the name.
UNSURE = {"and", "or", "left", "right", "up", "down", "forward", "its", "their", "his", "her"}


def plural(caption: str) -> str | None:
    """What is named by a caption such as "a strawberry" in the plural, without an article; None where none is sure.

    That is so where the name does not begin with "a" or "an" and may be plural already ("grapes"), joins two things
    ("a fork and knife"), or says what its thing does ("a face blowing a kiss"); people may do something. Raises
    BadInput without inflect.
    """
    name = SINGULAR.sub("", caption.strip())
    if name == caption.strip():
        return None
    after = AFTER_NOUN.search(name)
    head, rest = (name[: after.start()], name[after.start() :]) if after else (name, "")
    words = head.split()
    if words and words[0] in PEOPLE and len(words) > 1 and words[1].endswith("ing"):
        return " ".join([_plural_noun(words[0]), *words[1:]]) + rest
    if not words or UNSURE & {*words, *re.findall(r"\b(?:its|their|his|her)\b", rest)} or _does_something(words):
        return None
    return " ".join([*words[:-1], _plural_noun(words[-1])]) + rest


def _does_something(words: list[str]) -> bool:
    """Whether a word after the first is a verb in -ing, unless it is one of several before the noun."""
    for place, word in enumerate(words[1:], 1):
        before = words[place - 1]
        described = place < len(words) - 1 and before.endswith(("ing", "ly"))  # "a slightly smiling face"
        if word.endswith("ing") and word not in NOUNS and not described:
            return True
    return False


def _plural_noun(word: str) -> str:
    return f"{word}s" if word.isupper() else str(_rules().plural_noun(word))  # "DVDs"


@cache
def _rules() -> Any:
    try:
        import inflect  # slow to import, and needed for nothing else
    except ImportError as error:
        raise BadInput("Plurals need inflect: pip install 'safelight[scenes]'.") from error
    return inflect.engine()
