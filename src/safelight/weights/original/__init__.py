"""The layout of the original repositories (CompVis, Stability AI, OpenCLIP): one table of names for each network."""

from safelight.weights.original.autoencoder_keys import original_autoencoder_keys
from safelight.weights.original.bert_keys import original_bert_keys
from safelight.weights.original.open_clip_keys import IMAGE_KEYS, STATISTICS_KEYS, open_clip_text_keys
from safelight.weights.original.unet_keys import original_unet_keys

__all__ = [
    "IMAGE_KEYS",
    "STATISTICS_KEYS",
    "open_clip_text_keys",
    "original_autoencoder_keys",
    "original_bert_keys",
    "original_unet_keys",
]
