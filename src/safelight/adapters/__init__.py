"""Adapters: small files that change what a model draws, and the attaching and detaching of them.

`lora.py` updates layers, `embedding.py` teaches words, `controlnet.py` lets a picture steer. Each is opened from a
file, attached to a loaded model, whose own code never hears of it, and detached without a trace.
"""

from safelight.adapters.attachment import Attachment
from safelight.adapters.control_attach import Control, Controls, attach_controls, check_control
from safelight.adapters.control_config import ControlConfig
from safelight.adapters.control_edges import edges
from safelight.adapters.control_file import open_controlnet, save_control_file
from safelight.adapters.control_folder import save_controlnet
from safelight.adapters.controlnet import ControlNet
from safelight.adapters.embedding import Embedding, open_embedding, save_embedding
from safelight.adapters.embedding_attach import attach_embedding
from safelight.adapters.lora import LoRA, Update
from safelight.adapters.lora_attach import attach_lora, merge_lora
from safelight.adapters.lora_file import open_lora, save_lora

__all__ = [
    "Attachment",
    "Control",
    "ControlConfig",
    "ControlNet",
    "Controls",
    "Embedding",
    "LoRA",
    "Update",
    "attach_controls",
    "attach_embedding",
    "attach_lora",
    "check_control",
    "edges",
    "merge_lora",
    "open_controlnet",
    "open_embedding",
    "open_lora",
    "save_control_file",
    "save_controlnet",
    "save_embedding",
    "save_lora",
]
