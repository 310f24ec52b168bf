"""Word pieces of BERT, lower-cased (Devlin et al. 2019; Wu et al. 2016), on the `tokenizers` library.

The latent-diffusion paper's text-to-image model reads them: [CLS], the words, [SEP], and [PAD] up to 77.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from tokenizers import Tokenizer as Backend
from tokenizers import models, normalizers, pre_tokenizers

from safelight.errors import BadCheckpoint
from safelight.text.framing import FramingTokenizer

START, END, PAD, UNKNOWN, MASK = "[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]"
CONTINUED = "##"  # before a piece that does not begin its word
LONGEST_WORD = 100  # characters; a longer word is unknown
LENGTH = 77  # of the paper's models, whatever BERT itself could read


class BertTokenizer(FramingTokenizer):
    """Prompts to token ids with a vocabulary of BERT's kind, by the same calls as CLIP's `Tokenizer`."""

    def __init__(self, vocabulary: Mapping[str, int], *, length: int = LENGTH) -> None:
        model = models.WordPiece(
            vocab=dict(vocabulary),
            unk_token=UNKNOWN,
            continuing_subword_prefix=CONTINUED,
            max_input_chars_per_word=LONGEST_WORD,
        )
        backend = Backend(model)
        backend.normalizer = normalizers.BertNormalizer()  # control characters, accents and capitals go
        backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()  # spaces part words, punctuation stands alone
        super().__init__(
            backend, vocabulary, length=length, start=START, end=END, pad=PAD, special=(PAD, UNKNOWN, START, END, MASK)
        )

    @classmethod
    def load(cls, folder: Path) -> BertTokenizer:
        """Read vocab.txt or tokenizer.json from a checkpoint's tokenizer folder.

        Raises BadCheckpoint, for a vocabulary with capitals too: none of the models has one.
        """
        try:
            vocabulary = _read_vocabulary(folder)
            settings_file = folder / "tokenizer_config.json"
            settings = json.loads(settings_file.read_text("utf-8")) if settings_file.exists() else {}
            if not settings.get("do_lower_case", True):
                raise BadCheckpoint("do_lower_case is false; only BERT's lower-case vocabulary is known here")
            return cls(vocabulary, length=min(int(settings.get("model_max_length", LENGTH)), LENGTH))
        except Exception as error:  # the backend raises Exception itself
            raise BadCheckpoint(f"The tokenizer in {str(folder)!r} cannot be read: {error}.") from error

    def save(self, folder: Path) -> None:
        """Write vocab.txt and tokenizer_config.json, which transformers' BertTokenizer opens."""
        folder.mkdir(parents=True, exist_ok=True)
        pieces = sorted(self.vocabulary, key=self.vocabulary.__getitem__)
        (folder / "vocab.txt").write_text("".join(f"{piece}\n" for piece in pieces), "utf-8", newline="\n")
        settings = {
            "tokenizer_class": "BertTokenizer",
            "model_max_length": self.length,
            "cls_token": START,
            "sep_token": END,
            "pad_token": PAD,
            "unk_token": UNKNOWN,
            "mask_token": MASK,
            "do_lower_case": True,
        }
        (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", "utf-8")


def _read_vocabulary(folder: Path) -> dict[str, int]:
    """Word piece -> id, from either kind of file."""
    lines_file, one_file = folder / "vocab.txt", folder / "tokenizer.json"
    if lines_file.exists():
        pieces = lines_file.read_text("utf-8").removesuffix("\n").split("\n")
        if len(set(pieces)) < len(pieces):
            raise BadCheckpoint(f"vocab.txt names a piece twice in its {len(pieces)} lines")
        return {piece: number for number, piece in enumerate(pieces)}
    if one_file.exists():
        vocabulary = json.loads(one_file.read_text("utf-8"))["model"]["vocab"]
        if sorted(vocabulary.values()) != list(range(len(vocabulary))):
            raise BadCheckpoint(f"the ids in tokenizer.json are not 0 to {len(vocabulary) - 1}, each once")
        return dict(vocabulary)
    raise BadCheckpoint("it holds neither vocab.txt nor tokenizer.json")
