"""A LoRA that learns beside a model whose own weights stay as they are (Hu et al. 2021, section 4.1)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from safelight.adapters.lora import Layer, LoRA, Part, Update
from safelight.adapters.lora_file import DIFFUSERS_FILES, KOHYA_FILE, save_lora
from safelight.diffusion.conditioning import Conditioning
from safelight.errors import BadInput
from safelight.training.diffusion.texts import TextCache, read_with_gradients
from safelight.training.finetuning.frozen import frozen_prediction
from safelight.training.finetuning.settings import Layers, LoRAConfig
from safelight.weights import Parts

FOLDER = "lora"
FILES = {"diffusers": DIFFUSERS_FILES[0], "kohya": KOHYA_FILE}

# What `adapter.layers` may name -> the network that it is in, and our names of the layers.
CHOICES: Mapping[Layers, tuple[Part, re.Pattern[str]]] = {
    "attention": ("unet", re.compile(r".*\.(?:self_attention|cross_attention)\.(?:query|key|value|out)")),
    "transformer": ("unet", re.compile(r".*\battention\.(?:blocks\..+|project_in|project_out)")),
    "convs": ("unet", re.compile(r".*\.(?:conv1|conv2|shortcut|(?:downsample|upsample)\.conv)")),
    "text_encoder": ("text_encoder", re.compile(r".*\.(?:attention\.(?:query|key|value|out)|perceptron\.(?:up|down))")),
}


class Pair(nn.Module):
    """The two matrices of one layer's update: A drawn with a deviation of 1 / rank, B zero, so that nothing changes."""

    def __init__(self, layer: Layer, rank: int, alpha: float) -> None:
        super().__init__()
        out, into, *kernel = layer.weight.shape
        self.alpha = alpha
        self.down = nn.Parameter(torch.randn(rank, into, *kernel) / rank)
        self.up = nn.Parameter(torch.zeros(out, rank, *(1 for _ in kernel)))

    @torch.no_grad()
    def begin_with(self, known: Update) -> None:
        """Do what that update does, which has this rank or a lower one; what rank is left over changes nothing yet."""
        rank, scale = known.rank, known.scale / self.update.scale
        self.down[:rank] = known.down.reshape(rank, *self.down.shape[1:])
        self.up[:, :rank] = scale * known.up.reshape(-1, rank, *self.up.shape[2:])

    @property
    def update(self) -> Update:
        """The pair as an adapter; its matrices are those that learn."""
        return Update(down=self.down, up=self.up, alpha=self.alpha)

    def beside(self) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]:
        """A hook that adds the update to what a layer gives."""

        def hook(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            assert isinstance(layer, nn.Linear | nn.Conv2d)
            return output + self.update.through(layer, inputs[0])

        return hook


class LearntLoRA:
    """The pairs of all chosen layers learn; every other weight is frozen.

    notes: what is written into the header of the saved file. Raises BadInput where no layer is of the kinds asked for.
    """

    def __init__(self, parts: Parts, settings: LoRAConfig, notes: Mapping[str, str]) -> None:
        self.parts = parts
        self.settings = settings
        self.notes = notes
        self.layers = chosen_layers(parts, settings.layers)
        if not self.layers:
            raise BadInput(f"adapter.layers is {list(settings.layers)}; this model has none of these.")
        pairs = {place: Pair(layer, settings.rank, settings.alpha) for place, layer in self.layers.items()}
        self.pairs = pairs
        self.network: nn.Module = nn.ModuleDict({_key(*place): pair for place, pair in pairs.items()})
        for place, layer in self.layers.items():
            layer.register_forward_hook(pairs[place].beside())
        learns_to_read = any(part == "text_encoder" for part, _ in pairs)
        self.texts = None if learns_to_read or parts.tokenizer is None else TextCache(*parts.reader)
        self.frozen: Sequence[nn.Module] = [parts.unet, parts.reader[1]] if learns_to_read else [parts.unet]

    def read(self, captions: Sequence[str]) -> Tensor:
        """The hidden states (b, n, d), with gradients where the text encoder has updates."""
        return read_with_gradients(self.parts, captions) if self.texts is None else self.texts(captions)

    def predict(self, latent: Tensor, timestep: Tensor, shown: Conditioning) -> Tensor:
        """The UNet's prediction, updates included."""
        return frozen_prediction(self.parts, latent, timestep, shown)

    def lora(self) -> LoRA:
        """What was learnt, as an adapter."""
        updates: dict[Part, dict[str, Update]] = {"unet": {}, "text_encoder": {}}
        for (part, name), pair in self.pairs.items():
            down, up = (tensor.detach().cpu().contiguous() for tensor in (pair.down, pair.up))
            updates[part][name] = Update(down=down, up=up, alpha=pair.alpha)
        return LoRA(unet=updates["unet"], text_encoder=updates["text_encoder"], metadata=self.notes)

    def export(self, folder: Path) -> None:
        """Write the LoRA into `folder/lora`, in the form asked for."""
        (folder / FOLDER).mkdir(exist_ok=True)
        path = folder / FOLDER / FILES[self.settings.form]
        save_lora(path, self.lora(), self.settings.form, self.parts.unet.config)


def chosen_layers(parts: Parts, kinds: Sequence[Layers]) -> dict[tuple[Part, str], Layer]:
    """The layers of these kinds, by network and name, in the order of the networks."""
    networks: dict[Part, nn.Module | None] = {"unet": parts.unet, "text_encoder": parts.text_encoder}
    return {
        (part, name): layer
        for part, network in networks.items()
        for name, layer in _layers(network)
        if any(CHOICES[kind][0] == part and CHOICES[kind][1].fullmatch(name) for kind in kinds)
    }


def _layers(network: nn.Module | None) -> Iterator[tuple[str, Layer]]:
    for name, module in () if network is None else network.named_modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            yield name, module


def _key(part: Part, name: str) -> str:
    """The name of a pair among the modules, where a dot would part it."""
    return f"{part}/{name.replace('.', '/')}"
