"""The latent-diffusion paper's text transformer, from and to its folder in the diffusers layout (LDMBertModel)."""

from __future__ import annotations

from pathlib import Path

import torch

from safelight.text.bert import BertEncoder
from safelight.weights.bert_config import read_bert_config, write_bert_config
from safelight.weights.bert_keys import BERT_KEYS
from safelight.weights.network_folder import TRANSFORMERS, load_network, read_config, save_network


def load_bert(folder: Path | str, dtype: torch.dtype | None = None, variant: str | None = None) -> BertEncoder:
    """A text transformer of the paper's.

    dtype: None keeps the file's. variant: "fp16" reads the file of that name. Raises BadCheckpoint.
    """
    config = read_bert_config(read_config(folder))
    return load_network("text encoder", lambda: BertEncoder(config), BERT_KEYS, folder, TRANSFORMERS, dtype, variant)


def save_bert(folder: Path | str, encoder: BertEncoder) -> None:
    """Write a text transformer of the paper's; raises BadInput."""
    save_network(folder, write_bert_config(encoder.config), TRANSFORMERS, encoder, BERT_KEYS)
