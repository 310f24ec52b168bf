"""Text: tokenizers, CLIP's text and image encoders, and the text transformer of the latent-diffusion paper."""

from safelight.text.bert import BertEncoder
from safelight.text.bert_tokenizer import BertTokenizer
from safelight.text.clip import CLIP, ImageEmbedder, ImageEncoder, TextEmbedder, TextEncoder
from safelight.text.clip_pixels import clip_pixels
from safelight.text.tokenizer import Tokenizer

__all__ = [
    "CLIP",
    "BertEncoder",
    "BertTokenizer",
    "ImageEmbedder",
    "ImageEncoder",
    "TextEmbedder",
    "TextEncoder",
    "Tokenizer",
    "clip_pixels",
]
