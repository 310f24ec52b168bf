"""What can go wrong on the way to the hub, each in one sentence that says what to do."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from safelight.errors import BadInput
from safelight.weights.hub.address import Address
from safelight.weights.hub.cache import cache_folder

TOKEN = "set HF_TOKEN to a token of yours, or run `hf auth login`"
FULL = {errno.ENOSPC, errno.EDQUOT}
CLOSED = {errno.EACCES, errno.EPERM, errno.EROFS}


class Unreachable(BadInput):
    """The hub gave no answer, or none that it meant: what the cache holds may do instead."""


@contextmanager
def in_words(address: Address) -> Iterator[None]:
    """Turn what huggingface_hub and the system raise into BadInput."""
    from huggingface_hub.errors import HfHubHTTPError

    # HfHubHTTPError is an error of whichever HTTP library this huggingface_hub talks through.
    failures = cast(
        "tuple[type[Exception], ...]", (HfHubHTTPError.__bases__[0], OSError, ValueError, LookupError, TypeError)
    )
    try:
        yield
    except BadInput:
        raise
    except failures as error:
        raise _refusal(address, error) from error


def _refusal(address: Address, error: BaseException) -> BadInput:
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    hub, name = constants.ENDPOINT, address.repository
    if isinstance(error, LocalEntryNotFoundError) and error.__cause__ is not None:
        return _refusal(address, error.__cause__)  # it only adds that the file is not in the cache either
    match error:
        case OfflineModeIsEnabled():
            return Unreachable(
                f"{str(address)!r} is not in {str(cache_folder())!r}, and HF_HUB_OFFLINE forbids a call."
            )
        case GatedRepoError():
            return BadInput(f"{name!r} is gated: accept its terms at {hub}/{name}, then {TOKEN}.")
        case RepositoryNotFoundError():
            return BadInput(f"{name!r} is not on {hub}, or is private: check the id; for a private model, {TOKEN}.")
        case RevisionNotFoundError():
            return BadInput(f"{name!r} has no revision {address.revision!r}; see {hub}/{name}/commits/main.")
        case LocalEntryNotFoundError():
            return Unreachable(f"{str(address)!r} is not in {str(cache_folder())!r}, and {hub} cannot be reached.")
        case HfHubHTTPError():
            return _answered(address, error.response.status_code, hub)
    return _broken(address, error, hub)


def _answered(address: Address, status: int, hub: str) -> BadInput:
    if status in (401, 403):
        return BadInput(f"{hub} does not give {str(address)!r} to you (HTTP {status}): check the token; {TOKEN}.")
    if status == 404:  # a hub would say what it is that it does not have
        return Unreachable(f"{hub} answered HTTP 404 for {str(address)!r}, and not like a hub; check HF_ENDPOINT.")
    return Unreachable(f"{hub} answered HTTP {status} for {str(address)!r}; what arrived is kept, try again later.")


def _broken(address: Address, error: BaseException, hub: str) -> BadInput:
    """Errors of the disk name the cache, all others the connection."""
    code = error.errno if isinstance(error, OSError) else None
    if code in FULL:
        return BadInput(
            f"The disk of {str(cache_folder())!r} is full; what arrived of {str(address)!r} is kept: make room, or set "
            "HF_HUB_CACHE to a folder on a larger disk."
        )
    if code in CLOSED:
        return BadInput(
            f"{str(cache_folder())!r} is not writable ({os.strerror(code or 0)}); set HF_HUB_CACHE to another folder."
        )
    if isinstance(error, (ValueError, LookupError, TypeError)):
        return Unreachable(f"{hub} does not answer like a hub ({_said(error)}); check HF_ENDPOINT and the network.")
    return Unreachable(
        f"{str(address)!r} could not be downloaded from {hub} ({_said(error)}); what arrived is kept, try again."
    )


def _said(error: BaseException) -> str:
    """The first line of a library's message, without its last dot."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
