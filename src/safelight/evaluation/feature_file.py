"""Features kept in a file, so that real pictures pass through a slow network once; it says which network's they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import Tensor

from safelight.errors import BadInput
from safelight.evaluation.features import AT_ONCE, FeatureNetwork
from safelight.evaluation.pictures import Pictures
from safelight.weights.files import write_tensors
from safelight.weights.formats import read_file

FEATURES = "features"


def kept_features(
    file: Path | None,
    network: FeatureNetwork,
    pictures: Pictures | None,
    watch: Callable[[Iterable[Tensor], int, str], Iterable[Tensor]],
) -> Tensor:
    """The features (n, d) of the pictures: from the file where it is there, else taken anew and kept there.

    Without pictures, the file's own. Raises BadInput for a file of another network's features or other pictures'.
    """
    fingerprint = None if pictures is None else pictures.fingerprint()
    if file is not None and (pictures is None or file.exists()):
        return read_features(file, network, fingerprint)
    if pictures is None or fingerprint is None:
        raise BadInput("There are neither real pictures nor a file of their features to compare with.")
    features = torch.cat(list(watch(network.batches(pictures), -(-len(pictures) // AT_ONCE), "real")))
    if file is not None:
        write_features(file, features, network, fingerprint)
    return features


def write_features(path: Path, features: Tensor, network: FeatureNetwork, pictures: str) -> None:
    """Keep the features (n, d) of the pictures with that fingerprint; raises BadInput where the disk refuses."""
    metadata = {"network": network.name, "network_digest": network.digest, "pictures": pictures}
    write_tensors(path, {FEATURES: features}, metadata)


def read_features(path: Path, network: FeatureNetwork, pictures: str | None = None) -> Tensor:
    """The features (n, d) of a file, if they are this network's, and of these pictures where a fingerprint is given.

    Raises BadInput that names whose they are, BadCheckpoint for a damaged file.
    """
    file = read_file(path)
    facts, features = file.metadata, file.tensors.get(FEATURES)
    if features is None or features.ndim != 2 or "network_digest" not in facts:
        raise BadInput(f"{str(path)!r} is no file of features; `safelight evaluate --real-features` writes one.")
    if facts["network_digest"] != network.digest:
        raise BadInput(
            f"{str(path)!r} holds features of {facts.get('network', 'another network')!r}; those of {network.name!r} "
            "are needed, and features of two networks cannot be compared. Name another file."
        )
    if pictures is not None and facts.get("pictures") != pictures:
        raise BadInput(f"{str(path)!r} holds features of other pictures than these; name another file.")
    return features.clone()
