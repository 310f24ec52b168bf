"""Text: the tokenizer, and CLIP's text and image encoders."""

from safelight.text.clip import CLIP, ImageEncoder, TextEncoder
from safelight.text.tokenizer import Tokenizer

__all__ = ["CLIP", "ImageEncoder", "TextEncoder", "Tokenizer"]
