"""Networks without weights: built only to be filled from a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

# What layers call to draw their first weights.
DRAWING = {Tensor.uniform_, Tensor.normal_}


@contextmanager
def without_weights() -> Iterator[None]:
    """Modules built in here lie on the meta device: nothing is allocated, and nothing is drawn at random."""
    with torch.device("meta"), _Undrawn():
        yield


class _Undrawn(TorchFunctionMode):
    """Skips the drawing of weights: on the meta device it draws nothing, but has torch import its compiler first."""

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        arguments: Sequence[Any] = (),
        keywords: Mapping[str, Any] | None = None,
    ) -> Any:
        keywords = keywords or {}
        if function in DRAWING or getattr(function, "__module__", None) == "torch.nn.init":
            return arguments[0] if arguments else keywords["tensor"]
        return function(*arguments, **keywords)
