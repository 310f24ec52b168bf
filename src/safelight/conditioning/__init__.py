"""Small networks that bring something other than text to the UNet."""

from safelight.conditioning.statistics import EmbeddingStatistics

__all__ = ["EmbeddingStatistics"]
