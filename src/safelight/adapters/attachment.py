"""What an adapter leaves behind in a model that it was attached to, and the way to take it off again."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

import torch
from torch import Tensor, nn


class Attachment:
    """Something attached to a model; `detach`, or the end of a `with` block, leaves the model as it was before."""

    def __init__(self, *undo: Callable[[], object]) -> None:
        self._undo = list(undo)

    def detach(self) -> None:
        """Take it off; a second time does nothing. Raises BadInput where something attached later is in the way."""
        while self._undo:
            self._undo[-1]()  # one that refuses is left to be tried again
            self._undo.pop()

    def __enter__(self) -> Attachment:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.detach()


class SwappedWeight:
    """A layer's weight replaced by another; the old one is kept, and comes back bit for bit."""

    def __init__(self, layer: nn.Module, weight: Tensor) -> None:
        assert isinstance(layer.weight, nn.Parameter)
        self.layer = layer
        self.before = layer.weight
        with torch.inference_mode(False):
            self.now = nn.Parameter(weight.detach().clone(), requires_grad=self.before.requires_grad)
        layer.weight = self.now

    @property
    def is_on_top(self) -> bool:
        """Whether nobody replaced the weight again since."""
        return self.layer.weight is self.now

    def restore(self) -> None:
        """Put the weight back that was there before, in the precision and the place that the model has by now."""
        with torch.inference_mode(False), torch.no_grad():
            self.before.data = self.before.data.to(self.now.device, self.now.dtype)
        self.layer.weight = self.before
