"""A contact sheet of prompts that nobody chose: each picture with its prompt and its seed below it.

The prompts are drawn at random from a file with one on each line, such as the bundled model's own vocabulary:

    python benchmarks/sheet.py --prompts docs/bundled-vocabulary.txt --count 40 --out sheet.png
"""

from __future__ import annotations

import argparse
from pathlib import Path
from random import Random

from PIL import Image, ImageDraw, ImageFont

import safelight

TEXT = 30  # pixels below each picture


def main() -> None:
    """Draw the sheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=Path, required=True, help="one on each line")
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--fast", action="store_true")
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--columns", type=int, default=8)
    parser.add_argument("--side", type=int, default=128, help="pixels of a picture on the sheet")
    parser.add_argument("--seed", type=int, default=0, help="of the choice; picture n has the seed n")
    parser.add_argument("--in-order", action="store_true", help="the prompts as they stand, not drawn at random")
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    prompts = [line for line in asked.prompts.read_text("utf-8").splitlines() if line.strip()]
    chosen = prompts if asked.in_order else Random(asked.seed).sample(prompts, min(asked.count, len(prompts)))
    pipe = safelight.load(asked.model, fast=asked.fast)
    rows = -(-len(chosen) // asked.columns)
    sheet = Image.new("RGB", (asked.columns * asked.side, rows * (asked.side + TEXT)), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=10)
    for number, prompt in enumerate(chosen):
        left, top = number % asked.columns * asked.side, number // asked.columns * (asked.side + TEXT)
        picture = pipe(prompt, seed=number).images[0].resize((asked.side, asked.side), Image.Resampling.LANCZOS)
        sheet.paste(picture, (left, top))
        for line, text in enumerate((prompt, f"seed {number}")):
            pen.text((left + 3, top + asked.side + 2 + 12 * line), shortened(text, asked.side - 6, font), "black", font)
    sheet.save(asked.out, optimize=True)


def shortened(text: str, width: int, font: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> str:
    """The text, cut where it is wider than so many pixels."""
    while font.getlength(text) > width:
        text = text.removesuffix("…")[:-1] + "…"
    return text


if __name__ == "__main__":
    main()
