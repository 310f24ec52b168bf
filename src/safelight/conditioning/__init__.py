"""What brings something other than text to the UNet: classes, maps of labels, labelled boxes, pictures' meanings."""

from safelight.conditioning.boxes import Box, box_tokens, most_boxes
from safelight.conditioning.classes import ClassEmbedder
from safelight.conditioning.open_images import open_images_number
from safelight.conditioning.rescaler import Rescaler
from safelight.conditioning.statistics import EmbeddingStatistics

__all__ = ["Box", "ClassEmbedder", "EmbeddingStatistics", "Rescaler", "box_tokens", "most_boxes", "open_images_number"]
