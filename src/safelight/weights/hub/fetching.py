"""From an id to files on this machine."""

from __future__ import annotations

from pathlib import Path

from safelight.errors import BadInput
from safelight.weights.hub.address import Address
from safelight.weights.hub.cache import commit_of, files_in, note_commit, snapshot
from safelight.weights.hub.refusals import Unreachable, in_words
from safelight.weights.hub.repository import Repository
from safelight.weights.hub.selection import NotThere, Selection, select


def fetch(model_id: str, *, revision: str | None = None, variant: str | None = None) -> Path:
    """A model's files: those in the cache where all that is needed is there, without a call; else from the hub.

    model_id: owner/name, owner/name@revision, owner/name/file.safetensors, owner/name/folder. variant: "fp16" takes the
    weights of that name. The path is the folder of a model or of one network, or the single file that holds it.
    Raises BadInput where it cannot be had, BadCheckpoint for a model that cannot be opened (before it is downloaded).
    """
    address = Address.parse(model_id, revision)
    _check_installed()
    found = _held(address, variant)
    if found is not None and not found[1].guessed:
        return found[0]
    return _newest(address, variant)


def refresh(model_id: str, *, revision: str | None = None, variant: str | None = None) -> Path:
    """The same, as the hub has it today; what the cache holds where the hub cannot be reached."""
    address = Address.parse(model_id, revision)
    _check_installed()
    return _newest(address, variant)


def _newest(address: Address, variant: str | None) -> Path:
    try:
        with in_words(address):
            repository = Repository.open(address)
            selection = select(address, repository.files, variant, repository.get)
            repository.check_room(selection.files)
            for name in selection.files:
                repository.get(name)
            note_commit(address, repository.commit)
            return snapshot(address, repository.commit) / selection.result
    except Unreachable:
        found = _held(address, variant)
        if found is None:
            raise
        return found[0]


def _held(address: Address, variant: str | None) -> tuple[Path, Selection] | None:
    """What the cache holds of it, if that is all that is needed."""
    commit = commit_of(address)
    if commit is None or not snapshot(address, commit).is_dir():
        return None
    folder = snapshot(address, commit)
    try:
        selection = select(address, files_in(folder), variant, lambda name: folder / name)
    except NotThere:
        return None
    return folder / selection.result, selection


def _check_installed() -> None:
    try:
        import huggingface_hub  # noqa: F401
    except ImportError as error:
        raise BadInput(
            'Fetching a model by its id needs huggingface_hub: pip install "safelight[hub]", or give a folder or file.'
        ) from error
