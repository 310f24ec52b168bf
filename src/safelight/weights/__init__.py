"""Weights: folders in the diffusers layout become networks, and networks such folders.

`unet.py`, `autoencoder.py`, `tiny_autoencoder.py`, `clip.py`, `bert.py` and `schedule.py` read and write each part
alone, `folder.py` a whole model. What the other libraries call each tensor stands in the `*_keys.py` tables, what
their config.json says in the `*_config.py` files; what a model of ours says beside that, in `usual.py`.
"""

from safelight.weights.autoencoder import load_autoencoder, save_autoencoder
from safelight.weights.bert import load_bert, save_bert
from safelight.weights.clip import (
    load_clip,
    load_image_embedder,
    load_image_encoder,
    load_text_embedder,
    load_text_encoder,
    save_clip,
    save_image_embedder,
    save_image_encoder,
    save_text_embedder,
    save_text_encoder,
)
from safelight.weights.fit import check_fit
from safelight.weights.folder import open_folder, save_folder
from safelight.weights.parts import Parts
from safelight.weights.schedule import load_schedule, save_schedule
from safelight.weights.tiny_autoencoder import (
    load_tiny_autoencoder,
    load_tiny_decoder,
    load_tiny_encoder,
    load_tiny_halves,
    save_tiny_autoencoder,
    save_tiny_halves,
)
from safelight.weights.unet import load_unet, save_unet

__all__ = [
    "Parts",
    "check_fit",
    "load_autoencoder",
    "load_bert",
    "load_clip",
    "load_image_embedder",
    "load_image_encoder",
    "load_schedule",
    "load_text_embedder",
    "load_text_encoder",
    "load_tiny_autoencoder",
    "load_tiny_decoder",
    "load_tiny_encoder",
    "load_tiny_halves",
    "load_unet",
    "open_folder",
    "save_autoencoder",
    "save_bert",
    "save_clip",
    "save_folder",
    "save_image_embedder",
    "save_image_encoder",
    "save_schedule",
    "save_text_embedder",
    "save_text_encoder",
    "save_tiny_autoencoder",
    "save_tiny_halves",
    "save_unet",
]
