"""What an adapter leaves behind in a model that it was attached to, and the way to take it off again."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

import torch
from torch import Tensor, nn

from safelight.errors import BadInput


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

    def __init__(self, layer: nn.Module) -> None:
        assert isinstance(layer.weight, nn.Parameter)
        self.before = self.now = layer.weight

    def check(self, layer: nn.Module) -> None:
        """Raise BadInput where somebody else replaced the weight since."""
        if layer.weight is not self.now:
            raise BadInput("A weight was replaced while an adapter was in it; detach adapters before that.")

    def swap(self, layer: nn.Module, weight: Tensor) -> None:
        """Have the layer use another weight."""
        with torch.inference_mode(False):
            self.now = nn.Parameter(weight.detach().clone(), requires_grad=self.before.requires_grad)
        layer.weight = self.now

    def original(self) -> Tensor:
        """The weight that was there at first, in the precision and the place that the model has by now."""
        return self.before.detach().to(self.now.device, self.now.dtype)

    def restore(self, layer: nn.Module) -> None:
        """Put that weight back."""
        with torch.inference_mode(False), torch.no_grad():
            self.before.data = self.original()
        layer.weight = self.now = self.before
