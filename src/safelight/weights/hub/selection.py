"""Which of a repository's files are needed: one form of the weights of each part that is read, and its settings.

The same rules are put to the hub's list of files, to know what to get, and to the cache's, to know
whether all is there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from safelight.errors import BadCheckpoint, BadInput
from safelight.weights.fields import Fields
from safelight.weights.files import STEM_OF_BIN
from safelight.weights.folder import FEW_STEPS, TINY_DECODER
from safelight.weights.hub.address import Address
from safelight.weights.model_index import BY_SCHEDULE, NAME, read_model_index
from safelight.weights.network_folder import CONFIG, DIFFUSERS, TRANSFORMERS
from safelight.weights.usual import USUAL

WEIGHTS = (".safetensors", ".ckpt", ".pt", ".pth", ".bin")  # the dearest first, of files that differ in this alone
STEMS = {DIFFUSERS, TRANSFORMERS, *STEM_OF_BIN.values()}  # how the weights of a folder with a config.json are called
BESIDE = ("adapter_config.json",)  # what a single file's reader wants to find next to it

# Each slot's settings: one of these sets must be there, and all of their files that are there are taken.
SCHEDULER = (("scheduler_config.json",),)
TOKENIZER = (("vocab.json", "merges.txt"), ("tokenizer.json",), ("vocab.txt",))
NETWORK = ((CONFIG,),)
OPTIONAL = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")


class NotThere(BadInput):
    """A file that is needed is not in the repository, or not in the cache."""


@dataclass(frozen=True)
class Selection:
    """What to get, and what it is then.

    files: in this order, so that an interrupted download lacks weights, never something that nobody would miss.
    result: the file or folder that was asked for, from the repository's root. guessed: whether it was taken because
    no other file of weights is in the list; a fuller list may hold another.
    """

    files: tuple[str, ...]
    result: str
    guessed: bool = False


def select(address: Address, names: Collection[str], variant: str | None, read: Callable[[str], Path]) -> Selection:
    """The files of `names` that are needed to open what an address names.

    variant: "fp16" takes the weights of that name, and no others. read: gets one of the files, for those that name
    others. Raises NotThere, BadInput where there is a choice to make, BadCheckpoint for a model that cannot be opened.
    """
    chosen = _Chooser(address, frozenset(names), variant, read).chosen()
    if missing := [name for name in chosen.files if name not in names]:
        raise NotThere(f"{address.repository!r} has no {', '.join(map(repr, missing))}, which this model needs.")
    return replace(chosen, files=tuple(dict.fromkeys(chosen.files)))


@dataclass(frozen=True)
class _Chooser:
    address: Address
    names: frozenset[str]
    variant: str | None
    read: Callable[[str], Path]

    def chosen(self) -> Selection:
        path = self.address.path
        if path in self.names:
            return self.single_file(path)
        here = self.directly_in(path)
        if NAME in here:
            return Selection(self.whole_model(path), path)
        if CONFIG in here and any(name.partition(".")[0] in STEMS for name in here):
            return Selection((*self.settings(path, NETWORK, TOKENIZER), *self.weights(path)), path)
        if files := [name for name in sorted(here) if name.endswith(WEIGHTS)]:
            return replace(self.single_file(self.only_one(path, files)), guessed=True)
        for kind in (SCHEDULER, TOKENIZER):
            if any(set(group) <= here for group in kind):
                return Selection(tuple(self.settings(path, kind)), path)
        raise NotThere(
            f"{self.address.repository!r} has no model" + (f" in {path!r}" if path else "") + f"; {self.offer()}."
        )

    def single_file(self, path: str) -> Selection:
        if self.variant:
            raise BadInput(
                f"variant is {self.variant!r}, and {path!r} is one file: a file of that variant is given by name."
            )
        folder = str(PurePosixPath(path).parent)
        beside = (join(folder, name) for name in BESIDE)
        return Selection((*(name for name in beside if name in self.names), path), path)

    def whole_model(self, path: str) -> tuple[str, ...]:
        index = join(path, NAME)
        settings, weights = [index], []
        for slot, (folder, _) in read_model_index(Fields.read(self.read(index))).items():
            folder = join(path, folder)
            if slot in BY_SCHEDULE:
                settings += self.settings(folder, SCHEDULER)
            elif slot == "tokenizer":
                settings += self.settings(folder, TOKENIZER)
            else:
                settings += self.settings(folder, NETWORK)
                weights += self.weights(folder)
        beside = (join(path, name) for name in (USUAL, FEW_STEPS.as_posix(), TINY_DECODER.as_posix()))
        return (*settings, *(name for name in beside if name in self.names), *weights)

    def settings(
        self, folder: str, first: tuple[tuple[str, ...], ...], *others: tuple[tuple[str, ...], ...]
    ) -> list[str]:
        """The settings of a folder; one group of the first kind must be there."""
        here = self.directly_in(folder)
        if not any(set(group) <= here for group in first):
            allowed = " or ".join(" with ".join(group) for group in first)
            raise NotThere(
                f"{self.address.repository!r} has no {allowed} in {folder or 'its root'!r}, which is needed."
            )
        groups = (*first, *(group for kind in others for group in kind), OPTIONAL)
        return [join(folder, name) for group in groups for name in group if name in here]

    def form_of_weights(self, folder: str) -> str | None:
        """The file of weights that is there, or the index of its shards; safetensors before pickles."""
        here = self.directly_in(folder)
        suffix = f".{self.variant}" if self.variant else ""
        for ending in ("safetensors", "bin"):
            for stem in (DIFFUSERS, TRANSFORMERS):
                stem = STEM_OF_BIN.get(stem, stem) if ending == "bin" else stem
                for name in (f"{stem}{suffix}.{ending}", f"{stem}.{ending}.index{suffix}.json"):
                    if name in here:
                        return join(folder, name)
        return None

    def weights(self, folder: str) -> list[str]:
        form = self.form_of_weights(folder)
        if form is None:
            there = sorted(name for name in self.directly_in(folder) if name.endswith((*WEIGHTS, ".msgpack", ".onnx")))
            asked = f"of variant {self.variant!r} " if self.variant else ""
            raise NotThere(
                f"{self.address.repository!r} has no weights {asked}in {folder or 'its root'!r} that can be opened; "
                f"it holds: {', '.join(there) or 'none'}."
            )
        return [form, *self.shards(form)] if form.endswith(".json") else [form]

    def shards(self, index: str) -> list[str]:
        """The files that an index names, which must lie beside it."""
        fields = Fields.read(self.read(index))
        files = sorted(set(map(str, fields.inner("weight_map").values.values())))
        for file in files:
            if PurePosixPath(file).name != file or "\\" in file or not file.endswith((".safetensors", ".bin")):
                raise BadCheckpoint(
                    f"{index!r} of {self.address.repository!r} names {file!r}; allowed: files beside it."
                )
        folder = str(PurePosixPath(index).parent)
        return [join(folder, file) for file in files]

    def only_one(self, folder: str, files: list[str]) -> str:
        """The file where there is one, in whatever forms; raises BadInput that lists several."""
        stems = {PurePosixPath(file).stem for file in files}
        if len(stems) > 1:
            listed = ", ".join(join(folder, file) for file in files)
            raise BadInput(
                f"{self.address.repository!r} holds several files of weights; give one as "
                f"{str(replace(self.address, path='FILE'))!r}: {listed}."
            )
        return join(folder, min(files, key=lambda file: WEIGHTS.index(PurePosixPath(file).suffix)))

    def directly_in(self, folder: str) -> set[str]:
        start = join(folder, "")
        return {rest for name in self.names if name.startswith(start) and "/" not in (rest := name[len(start) :])}

    def offer(self) -> str:
        files = [name for name in sorted(self.names) if name.endswith(WEIGHTS)] or sorted(self.names)
        more = f" and {len(files) - 20} more" if len(files) > 20 else ""
        return f"it holds: {', '.join(files[:20]) or 'nothing'}{more}"


def join(folder: str, name: str) -> str:
    """`folder/name`, where the root has no name."""
    return name if folder in ("", ".") else f"{folder}/{name}"
