"""How a network that learns lies over the processes of a run: alone in one, whole in each, or a part of it in each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import torch
from torch import Tensor, distributed, nn

from safelight.errors import BadInput
from safelight.placement import keep_layout
from safelight.training.engine.blocks import blocks_of
from safelight.training.engine.shards import own_part, whole

if TYPE_CHECKING:
    from accelerate import Accelerator

Result = TypeVar("Result")


class Spread(Protocol):
    """A network over processes. The network itself keeps its parameters' names.

    memory_format: in which its weights may lie. needs_all: whether its weights can be gathered only while every process
    of the run is there.
    """

    memory_format: torch.memory_format
    needs_all: bool

    def place(self, network: nn.Module) -> None:
        """Spread a network that is on its device already; once, before its optimiser is made."""
        ...

    def learn(self, work: Callable[[], Result]) -> Result:
        """A loss from the network, by whatever methods; its gradients will be the mean over the processes."""
        ...

    def look(self, work: Callable[[], Result]) -> Result:
        """The same without gradients; every process must look."""
        ...

    def adding_up(self) -> AbstractContextManager[Any]:
        """Backward passes whose gradients are not yet shared: those of a step's last batch bring them along."""
        ...

    def finite(self, tensors: Mapping[str, Tensor]) -> bool:
        """Whether all numbers are finite, in all processes."""
        ...

    def whole(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What is saved of tensors that lie as the network does; the main process alone gets it."""
        ...

    def exporting(self) -> AbstractContextManager[Any]:
        """A time in which the main process's network has plain weights: it can be run and written there, alone."""
        ...


class Lone:
    """A network in the only process."""

    memory_format = torch.channels_last
    needs_all = False

    def place(self, network: nn.Module) -> None:
        """It lies where it should."""

    def learn(self, work: Callable[[], Result]) -> Result:
        """Nothing but the work."""
        return work()

    def look(self, work: Callable[[], Result]) -> Result:
        """Nothing but the work."""
        return work()

    def adding_up(self) -> AbstractContextManager[Any]:
        """Nothing is shared."""
        return nullcontext()

    def finite(self, tensors: Mapping[str, Tensor]) -> bool:
        """Of these tensors."""
        return all(bool(own_part(tensor).isfinite().all()) for tensor in tensors.values())

    def whole(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """They are."""
        return dict(tensors)

    def exporting(self) -> AbstractContextManager[Any]:
        """They are plain."""
        return nullcontext()


class Within(nn.Module):
    """One forward pass in which work is done with a network, so that what wraps this module sees all of it."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, work: Callable[[], Result]) -> Result:
        """The work's result."""
        return work()


class Replicated(Lone):
    """The whole network in each process (PyTorch's DistributedDataParallel, as accelerate prepares it)."""

    def __init__(self, accelerator: Accelerator) -> None:
        self.accelerator = accelerator

    def place(self, network: nn.Module) -> None:
        """Give every process the main one's weights."""
        self.within = self.accelerator.prepare_model(Within(network), device_placement=False)

    def learn(self, work: Callable[[], Result]) -> Result:
        """The work, seen by the wrapper."""
        result: Result = self.within(work)
        return result

    def adding_up(self) -> AbstractContextManager[Any]:
        """Gradients stay in their process."""
        context: AbstractContextManager[Any] = self.accelerator.no_sync(self.within)
        return context

    def whole(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The main process's."""
        return dict(tensors) if self.accelerator.is_main_process else {}


class Sharded:
    """A part of every weight in each process, gathered block by block when it is used.

    PyTorch's `fully_shard` (FSDP 2; Zhao et al. 2023, arXiv:2304.11277). accelerate offers it for GPUs alone; called by
    itself it runs on the CPU as well.
    """

    memory_format = torch.contiguous_format  # the only one that can be parted
    needs_all = True

    def __init__(self, accelerator: Accelerator) -> None:
        self.accelerator = accelerator

    def place(self, network: nn.Module) -> None:
        """Keep this process's part of it."""
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        for name, parameter in network.named_parameters():
            if not parameter.dim():
                raise BadInput(
                    f'loop.strategy is "fsdp", which cannot part {name!r}, a single number; "ddp" trains this network.'
                )
        keep_layout(network)
        mesh = init_device_mesh(self.accelerator.device.type, (self.accelerator.num_processes,))
        for block in blocks_of(network):
            fully_shard(block, mesh=mesh, reshard_after_forward=True)
        self.network = network
        self.within: Any = fully_shard(Within(network), mesh=mesh, reshard_after_forward=True)

    def learn(self, work: Callable[[], Result]) -> Result:
        """The work, inside the pass that gathers the weights."""
        result: Result = self.within(work)
        return result

    look = learn

    @contextmanager
    def adding_up(self) -> Iterator[None]:
        """Gradients stay in their process, whole."""
        self.within.set_requires_gradient_sync(False)
        try:
            yield
        finally:
            self.within.set_requires_gradient_sync(True)

    def finite(self, tensors: Mapping[str, Tensor]) -> bool:
        """Of all parts."""
        faults = sum(not bool(own_part(tensor).isfinite().all()) for tensor in tensors.values())
        total = torch.tensor(float(faults), device=self.accelerator.device)
        distributed.all_reduce(total)
        return not total

    def whole(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Gathered one after the other, and kept on the main process's CPU."""
        kept = {}
        for name, tensor in tensors.items():
            full = whole(tensor)
            if self.accelerator.is_main_process:
                kept[name] = full.cpu()
        return kept

    @contextmanager
    def exporting(self) -> Iterator[None]:
        """The main process's modules hold whole weights in the place of their parts, and gather nothing."""
        gathered = self.whole(dict(self.network.named_parameters()))
        changed: list[tuple[dict[Any, Any], dict[Any, Any]]] = []
        for module in self.network.modules() if gathered else ():
            for part in (module._parameters, module._forward_pre_hooks, module._forward_hooks):
                changed.append((part, dict(part)))
            module._forward_pre_hooks.clear()
            module._forward_hooks.clear()
        for path, tensor in gathered.items():
            owner, _, name = path.rpartition(".")
            whole_weight = nn.Parameter(tensor.to(self.accelerator.device))
            self.network.get_submodule(owner)._parameters[name] = whole_weight
        try:
            yield
        finally:
            for part, before in changed:
                part.clear()
                part.update(before)
