"""The names of the tiny autoencoder, in diffusers' AutoencoderTiny and in the files of its author.

Both number all layers of a half in one row, those without weights included. The author's decoder counts one layer
more, which bends the latent; his two halves are files of their own.
"""

from __future__ import annotations

from safelight.configs import TinyAutoencoderConfig
from safelight.weights.key_table import KeyTable, Rows, under

NO_WEIGHTS = ""  # a layer that only has a number
BLOCK: Rows = (("conv1", "conv.0"), ("conv2", "conv.2"), ("conv3", "conv.4"))


def tiny_autoencoder_keys(config: TinyAutoencoderConfig) -> KeyTable:
    """Both halves, as diffusers names them."""
    return KeyTable(
        rows=(
            *under("encoder", "encoder.layers", _numbered(_encoder_layers(config))),
            *under("decoder", "decoder.layers", _numbered(_decoder_layers(config))),
        )
    )


def tiny_encoder_keys(config: TinyAutoencoderConfig) -> KeyTable:
    """The encoder alone, as its author names it (taesd_encoder)."""
    return KeyTable(rows=_numbered(_encoder_layers(config)))


def tiny_decoder_keys(config: TinyAutoencoderConfig) -> KeyTable:
    """The decoder alone, as its author names it (taesd_decoder)."""
    return KeyTable(rows=_numbered([NO_WEIGHTS, *_decoder_layers(config)]))


def _encoder_layers(config: TinyAutoencoderConfig) -> list[str]:
    layers = ["conv_in"]
    for level, count in enumerate(config.encoder_blocks):
        layers += [f"downsample.{level - 1}"] if level else []
        layers += [f"levels.{level}.{block}" for block in range(count)]
    return [*layers, "conv_out"]


def _decoder_layers(config: TinyAutoencoderConfig) -> list[str]:
    layers = ["conv_in", NO_WEIGHTS]
    for level, count in enumerate(config.decoder_blocks):
        layers += [NO_WEIGHTS, f"upsample.{level - 1}"] if level else []
        layers += [f"levels.{level}.{block}" for block in range(count)]
    return [*layers, "conv_out"]


def _numbered(layers: list[str]) -> Rows:
    rows: list[tuple[str, str]] = []
    for number, layer in enumerate(layers):
        if layer.startswith("levels"):
            rows += under(layer, str(number), BLOCK)
        elif layer != NO_WEIGHTS:
            rows.append((layer, str(number)))
    return tuple(rows)
