"""Tiny autoencoders, from and to diffusers' folders and the files of TAESD's author, who keeps the halves apart."""

from __future__ import annotations

from pathlib import Path

import torch

from safelight.autoencoder import TinyAutoencoder, TinyDecoder, TinyEncoder
from safelight.errors import BadCheckpoint, BadInput
from safelight.weights.files import write_tensors
from safelight.weights.formats import read_file
from safelight.weights.network_folder import DIFFUSERS, load_network, read_config, save_network
from safelight.weights.strict import foreign_tensors, load_strictly
from safelight.weights.tiny_autoencoder_config import (
    read_tiny_autoencoder_config,
    tiny_decoder_config,
    tiny_encoder_config,
    write_tiny_autoencoder_config,
)
from safelight.weights.tiny_autoencoder_keys import tiny_autoencoder_keys, tiny_decoder_keys, tiny_encoder_keys


def load_tiny_autoencoder(
    folder: Path | str, dtype: torch.dtype | None = None, variant: str | None = None
) -> TinyAutoencoder:
    """A tiny autoencoder (AutoencoderTiny).

    dtype: None keeps the file's. variant: "fp16" reads the file of that name. Raises BadCheckpoint.
    """
    config = read_tiny_autoencoder_config(read_config(folder))
    table = tiny_autoencoder_keys(config)
    return load_network("tiny autoencoder", lambda: TinyAutoencoder(config), table, folder, DIFFUSERS, dtype, variant)


def save_tiny_autoencoder(folder: Path | str, autoencoder: TinyAutoencoder) -> None:
    """Write a tiny autoencoder for diffusers; raises BadInput."""
    config = autoencoder.config
    save_network(folder, write_tiny_autoencoder_config(config), DIFFUSERS, autoencoder, tiny_autoencoder_keys(config))


def load_tiny_encoder(file: Path | str, dtype: torch.dtype | None = None) -> TinyEncoder:
    """The encoder in a file of its own (taesd_encoder.safetensors or .pth); raises BadCheckpoint."""
    path, tensors = Path(file), read_file(Path(file)).tensors
    config = tiny_encoder_config(path, tensors)
    return load_strictly("tiny encoder", lambda: TinyEncoder(config), tiny_encoder_keys(config), path, tensors, dtype)


def load_tiny_decoder(file: Path | str, dtype: torch.dtype | None = None) -> TinyDecoder:
    """The decoder in a file of its own (taesd_decoder.safetensors or .pth); raises BadCheckpoint."""
    path, tensors = Path(file), read_file(Path(file)).tensors
    config = tiny_decoder_config(path, tensors)
    return load_strictly("tiny decoder", lambda: TinyDecoder(config), tiny_decoder_keys(config), path, tensors, dtype)


def load_tiny_halves(encoder: Path | str, decoder: Path | str, dtype: torch.dtype | None = None) -> TinyAutoencoder:
    """A tiny autoencoder whose halves lie in a file each; raises BadCheckpoint, also where they do not match."""
    halves = load_tiny_encoder(encoder, dtype), load_tiny_decoder(decoder, dtype)
    try:
        return TinyAutoencoder.joined(*halves)
    except BadInput as error:
        raise BadCheckpoint(f"{str(encoder)!r} and {str(decoder)!r}: {error}") from error


def save_tiny_halves(encoder: Path | str, decoder: Path | str, autoencoder: TinyAutoencoder) -> None:
    """Write the halves as TAESD's author does, each into its own safetensors file; raises BadInput."""
    write_tensors(Path(encoder), foreign_tensors(autoencoder.encoder, tiny_encoder_keys(autoencoder.config)))
    save_tiny_decoder(decoder, autoencoder.decoder)


def save_tiny_decoder(file: Path | str, decoder: TinyDecoder) -> None:
    """Write a decoder alone, as TAESD's author does; raises BadInput."""
    write_tensors(Path(file), foreign_tensors(decoder, tiny_decoder_keys(decoder.config)))
