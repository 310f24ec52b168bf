"""From the tree that a pickle builds to named tensors, and to words about the rest.

A tree may be large, deep, or lead back to itself: each walk is bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor

from safelight.weights.formats.faults import Damaged, quoted
from safelight.weights.formats.names import Leftover, LeftoverClass, Maker
from safelight.weights.formats.views import View

DEEPEST = 32
MOST_VALUES = 1_000_000
LONGEST_TEXT = 200  # characters of a text among the rest
WRAPPER = "state_dict"  # Lightning's key of the weights

Read = Callable[[View], Tensor]


def named_tensors(tree: object, read: Read) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a tree under dotted names, and what else it holds, in a few words each; raises Damaged.

    Where a training program wrapped the weights up as "state_dict", they alone are the tensors.
    """
    if not isinstance(tree, dict):
        raise Damaged(f"it holds a {words(tree)}; needed is a dictionary of tensors")
    rest: dict[str, str] = {}
    weights = tree
    if isinstance(tree.get(WRAPPER), dict):
        weights = tree[WRAPPER]
        rest = {words(name): words(value) for name, value in tree.items() if name != WRAPPER}
    tensors: dict[str, Tensor] = {}
    for name, value in _leaves(weights, "", 0, _Walk()):
        if name in tensors or name in rest:
            raise Damaged(f"it has {quoted(name)} twice")
        if isinstance(value, View):
            tensors[name] = read(value)
        else:
            rest[name] = words(value)
    return tensors, rest


def plain_tree(tree: object, read: Read) -> Any:
    """The tree of dictionaries, lists, tensors, texts and numbers; leftovers become words. Raises Damaged."""
    return _plain(tree, read, 0, _Walk())


def words(value: object) -> str:
    """A value in a few words."""
    if isinstance(value, str):
        return value if len(value) <= LONGEST_TEXT else f"{value[:LONGEST_TEXT]}…"
    if value is None or isinstance(value, bool | int | float):
        return str(value)
    if isinstance(value, View):
        return value.what
    if isinstance(value, dict | list | tuple):
        return f"{'dictionary' if isinstance(value, dict) else 'list'} of {len(value)}"
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    return f"{value.name}, left out" if isinstance(value, Leftover | LeftoverClass | Maker) else type(value).__name__


class _Walk:
    """Counts what a walk meets; raises Damaged where that is too much or too deep."""

    def __init__(self) -> None:
        self.met = 0

    def meet(self, depth: int) -> None:
        self.met += 1
        if self.met > MOST_VALUES:
            raise Damaged(f"it holds more than {MOST_VALUES} values")
        if depth > DEEPEST:
            raise Damaged(f"it is nested more than {DEEPEST} deep")


def _leaves(tree: dict[Any, Any], prefix: str, depth: int, walk: _Walk) -> Iterator[tuple[str, object]]:
    """Dotted names and values below the dictionaries."""
    for key, value in tree.items():
        walk.meet(depth)
        name = f"{prefix}{_plain_key(key)}"
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{name}.", depth + 1, walk)
        else:
            yield name, value


def _plain(value: object, read: Read, depth: int, walk: _Walk) -> Any:
    walk.meet(depth)
    if isinstance(value, View):
        return read(value)
    if isinstance(value, dict):
        return {_plain_key(key): _plain(inner, read, depth + 1, walk) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner, read, depth + 1, walk) for inner in value]
    return value if value is None or isinstance(value, bool | int | float | str) else words(value)


def _plain_key(key: object) -> Any:
    return key if isinstance(key, str | int) else words(key)
