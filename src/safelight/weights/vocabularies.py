"""The tokenizer that goes with a text encoder whose file carries none."""

from __future__ import annotations

from pathlib import Path

from safelight.errors import BadCheckpoint
from safelight.text import BertEncoder
from safelight.weights.parts import AnyTextEncoder, AnyTokenizer

CLIP_TOKENS, BERT_TOKENS = 49408, 30522
PADS = {"quick_gelu": "<|endoftext|>", "gelu": "!"}  # OpenAI's CLIP (SD 1) and OpenCLIP (SD 2), told by the activation


def tokenizer_for(encoder: AnyTextEncoder | None, file: Path) -> AnyTokenizer | None:
    """CLIP's or BERT's, by the size of the encoder's vocabulary; None for one that reads boxes, or for no encoder.

    Raises BadCheckpoint for a vocabulary that is not published, and BadInput where the published one is not at hand.
    """
    if encoder is None or (isinstance(encoder, BertEncoder) and encoder.config.vocabulary != BERT_TOKENS):
        return None
    from safelight.text.vocabulary import bert_tokenizer, clip_tokenizer

    if isinstance(encoder, BertEncoder):
        return bert_tokenizer(length=encoder.config.length)
    if encoder.config.vocabulary == CLIP_TOKENS:
        return clip_tokenizer(pad=PADS[encoder.config.activation], length=encoder.config.length)
    raise BadCheckpoint(
        f"{str(file)!r}: its text encoder knows {encoder.config.vocabulary} tokens, which is not CLIP's vocabulary of "
        f"{CLIP_TOKENS}, and no tokenizer is in the file; a folder with one can be opened."
    )
