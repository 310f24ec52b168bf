"""Autoencoders, KL and VQ, from and to their folders in the diffusers layout."""

from __future__ import annotations

from pathlib import Path

import torch

from safelight.autoencoder import Autoencoder
from safelight.weights.autoencoder_config import read_autoencoder_config, write_autoencoder_config
from safelight.weights.autoencoder_keys import AUTOENCODER_KEYS
from safelight.weights.network_folder import DIFFUSERS, load_network, read_config, save_network


def load_autoencoder(folder: Path | str, dtype: torch.dtype | None = None, variant: str | None = None) -> Autoencoder:
    """An autoencoder (AutoencoderKL, VQModel).

    dtype: None keeps the file's. variant: "fp16" reads the file of that name. Raises BadCheckpoint.
    """
    config = read_autoencoder_config(read_config(folder))
    return load_network("autoencoder", lambda: Autoencoder(config), AUTOENCODER_KEYS, folder, DIFFUSERS, dtype, variant)


def save_autoencoder(folder: Path | str, autoencoder: Autoencoder) -> None:
    """Write an autoencoder; raises BadInput."""
    save_network(folder, write_autoencoder_config(autoencoder.config), DIFFUSERS, autoencoder, AUTOENCODER_KEYS)
