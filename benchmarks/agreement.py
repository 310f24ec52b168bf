"""How often our own CLIP finds the prompted concept in the bundled model's pictures, and a sheet of them.

The judge is the CLIP of a training run (`safelight train clip`), which knows all concepts of the data. What it makes of
the data's own pictures of the vocabulary bounds what it can find in ours, and is printed beside.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

import torch
from PIL import Image
from tqdm import tqdm

import safelight
from safelight.data.backdrop import COLOURS, on_colour, with_background
from safelight.data.collection import open_collection
from safelight.images import grid, scaled, to_tensor, write_picture
from safelight.text import Tokenizer
from safelight.training.clip.figures import ranking
from safelight.training.recipe_file import read_recipe
from safelight.weights import load_clip


def judge_scores(run: Path, pictures: list, concepts: list[str]) -> torch.Tensor:
    """Similarity of each picture to each concept by the CLIP of a training run: (pictures, concepts)."""
    clip, tokenizer = load_clip(run / "clip", torch.float32).eval(), Tokenizer.load(run / "tokenizer")
    size = clip.image.config.size
    with torch.inference_mode():
        images = torch.cat([clip.embed_image(to_tensor(scaled(picture, size, size))[None]) for picture in pictures])
        tokens = [tokenizer([concept]) for concept in concepts]
        texts = torch.cat([clip.embed_text(token.ids[:, : int(token.end) + 1], token.end) for token in tokens])
    return images @ texts.T


def nearest_share(pictures: list, concepts: list[str], colours: list[str], records: list) -> float:
    """Share of the pictures whose nearest training picture, on the same background, shows the prompted concept.

    Nearness is the squared difference of the pictures at 32 x 32 pixels. It needs no judge that was trained.
    """
    hits = 0
    for picture, concept, colour in zip(pictures, concepts, colours, strict=True):
        known = torch.stack([small(on_colour(record.picture(), COLOURS[colour])) for record in records])
        nearest = int((known - small(picture)).square().flatten(1).sum(1).argmin())
        hits += records[nearest].fields["concept"] == concept
    return hits / len(pictures)


def small(picture: Image.Image) -> torch.Tensor:
    """A picture at 32 x 32 pixels: (3, 32, 32)."""
    return to_tensor(scaled(picture, 32, 32))


def main() -> None:
    """Draw, judge, print."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--judge", type=Path, required=True, help="the run of `safelight train clip`")
    arguments.add_argument("--data", type=Path, required=True, help="the data, for the list of all concepts")
    arguments.add_argument("--model", help="(default: the bundled model)")
    arguments.add_argument(
        "--recipe", default="bundled", help="whose concepts are the vocabulary (default: %(default)s)"
    )
    arguments.add_argument("--prompts", type=int, default=100)
    arguments.add_argument("--seeds", type=int, default=4)
    arguments.add_argument("--guidance", type=float, default=7.5)
    arguments.add_argument("--sheet", type=Path, help="write a picture of each concept, seed 0, into this file")
    chosen = arguments.parse_args()
    where = read_recipe(chosen.recipe).diffusion.where
    records = [record for record in open_collection(chosen.data, where) if record.split == "train"]
    vocabulary = sorted({str(record.fields["concept"]) for record in records})
    every = sorted({str(record.fields["concept"]) for record in open_collection(chosen.data)})
    wordings = [(concept, colour) for concept in vocabulary for colour in COLOURS]
    prompts = random.Random(0).sample(wordings, min(chosen.prompts, len(wordings)))
    pipeline = safelight.load(chosen.model)
    pictures = []
    for concept, colour in tqdm(prompts, unit="prompt"):
        prompt = with_background(f"{'an' if concept[0] in 'aeiou' else 'a'} {concept}", colour)
        pictures += pipeline(prompt, seed=0, num_images=chosen.seeds, guidance_scale=chosen.guidance).images
    concepts = [concept for concept, _ in prompts]
    which = torch.eye(len(every), dtype=torch.bool)
    right = which[[every.index(concept) for concept in concepts]].repeat_interleave(chosen.seeds, dim=0)
    figures = ranking("concept", judge_scores(chosen.judge, pictures, every), right)
    real = [on_colour(record.picture(), COLOURS["white"]) for record in records]
    right = which[[every.index(record.fields["concept"]) for record in records]]
    figures |= ranking("real_picture", judge_scores(chosen.judge, real, every), right)
    each = [pair for pair in prompts for _ in range(chosen.seeds)]
    figures["nearest_training_picture"] = nearest_share(
        pictures, [concept for concept, _ in each], [colour for _, colour in each], records
    )
    facts = {"prompts": len(concepts), "pictures": len(pictures), "concepts": len(every), **figures}
    print(json.dumps(facts))
    if chosen.sheet:
        names = [f"{'an' if concept[0] in 'aeiou' else 'a'} {concept}" for concept in vocabulary]
        sheet = pipeline(names, seed=0, guidance_scale=chosen.guidance).images
        write_picture(grid([picture.resize((96, 96)) for picture in sheet], 12), chosen.sheet)


if __name__ == "__main__":
    main()
