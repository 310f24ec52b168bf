"""What the header of a LoRA's file says of it: the names that kohya's scripts use, and what they have no name for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from safelight import __version__
from safelight.data.collection import Record, fingerprint, split_up
from safelight.training.finetuning.settings import LoRAConfig
from safelight.training.finetuning.start import Start


def notes(start: Start, settings: LoRAConfig, records: Sequence[Record]) -> dict[str, str]:
    """The base model with a hash of its weights, rank and alpha, the settings, and a hash of the training pictures."""
    training, _ = split_up(records)
    return {
        "ss_sd_model_name": start.name,
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(settings.rank),
        "ss_network_alpha": str(settings.alpha),
        "ss_num_train_images": str(len(training)),
        "safelight.model": start.fingerprint,
        "safelight.data": fingerprint(training),
        "safelight.lora": json.dumps(asdict(settings)),
        "safelight.version": __version__,
    }
