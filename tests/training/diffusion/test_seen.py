"""What a collection gives to training: things in their styles, and scenes laid together from latents."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from PIL import Image

from safelight.autoencoder import Pixels
from safelight.data.backdrop import COLOURS
from safelight.data.collection import split_up
from safelight.data.record import Record
from safelight.data.scenes import LAYOUTS, SIZES, Scene, scene_with
from safelight.data.styles import styles_of
from safelight.errors import BadInput
from safelight.images import to_tensor
from safelight.training.diffusion import scenes as scenes_module
from safelight.training.diffusion.latents import latent_set
from safelight.training.diffusion.learner import WholeUNet
from safelight.training.diffusion.scenes import Scenes, empty_latents
from safelight.training.diffusion.seen import Seen, smaller_framings
from safelight.training.diffusion.settings import DiffusionDataConfig, ObjectiveConfig
from safelight.training.diffusion.shown import ShownText
from safelight.training.diffusion.task import DiffusionTask
from safelight.training.diffusion.views import Framing, framing_of
from safelight.training.distillation.pictures import captions_of
from safelight.training.finetuning.hints import ShownHint
from tests.data.shapes import SIDE, records
from tests.training.tiny_tasks import diffusion_task, parts

SIXTEENTH = SIDE // 16
STYLES = {"drawing": ("a drawing of {caption}",), "print": ("a print of {caption}",)}


def two_styles() -> list[Record]:
    """Every shape as a drawing; the circles as prints too."""
    drawn = [replace(one, fields={**one.fields, "concept": one.key}) for one in records("none")]
    prints = [one for one in drawn if one.key.endswith("circle")]
    return drawn + [replace(one, key=f"print-{one.key}", fields={**one.fields, "style": "print"}) for one in prints]


def seen(folder: Path, found: list[Record] | None = None, **data: Any) -> tuple[Seen, DiffusionDataConfig]:
    settings = DiffusionDataConfig(**{"caption_dropout": 0.0, **data})
    own = parts()
    framing = framing_of(own, settings)
    return Seen(*split_up(found or two_styles()), own.autoencoder, framing, settings, folder), settings


def test_things_lie_where_the_scene_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On pixels, where nothing is lost."""
    drawn = []

    def watched(*given: Any) -> Scene:
        drawn.append(scene_with(*given))
        return drawn[-1]

    monkeypatch.setattr(scenes_module, "scene_with", watched)
    pixels, shapes = Pixels(), split_up(records("none"))[0]
    framing = Framing(sizes=[(SIDE, SIDE)], colours=["white", "blue"])
    things = {
        size: latent_set(shapes, pixels, smaller, tmp_path / f"{size}.safetensors")
        for size, smaller in smaller_framings(framing, 1).items()
    }
    scenes = Scenes(things, empty_latents(pixels, ["white", "blue"], (SIDE, SIDE)), styles_of([], {}))
    small = {
        (size, view.record.key, view.colour): to_tensor(view.picture())
        for size, latents in things.items()
        for view in latents.views
    }
    assert {image.shape[1] for image in small.values()} == {size * SIXTEENTH for size in SIZES}
    for seed in range(120):
        sample = scenes.sample(Random(seed), 0.5, 0.0)
        said = drawn[-1].caption
        colour = "white" if sample["caption"] == said else "blue"
        assert sample["caption"] in (said, f"{said} on a blue background")
        expected = to_tensor(Image.new("RGB", (SIDE, SIDE), COLOURS[colour]))
        for thing, place in zip(drawn[-1].things, LAYOUTS[drawn[-1].layout].places, strict=True):
            y, x, side = (number * SIXTEENTH for number in (place.top, place.left, place.size))
            expected[:, y : y + side, x : x + side] = small[place.size, thing.key, colour]
        assert (sample["latent"] - expected).abs().max() < 0.01, said
    assert {scene.layout for scene in drawn} == set(LAYOUTS)


def test_scenes_are_so_many_of_the_samples_and_some_without_a_caption(tmp_path: Path) -> None:
    collection, data = seen(tmp_path, scene_share=0.4, caption_dropout=0.2)
    captions = [collection.sample(0, ShownText(data), Random(seed))["caption"] for seed in range(600)]
    alone = sum(caption in ("a red circle", "a drawing of a red circle") for caption in captions) / len(captions)
    assert 0.42 < alone < 0.54  # 0.6 * 0.8
    assert 0.15 < captions.count("") / len(captions) < 0.25
    shown = collection.sample(0, ShownText(data), Random(1))["latent"]
    assert shown.shape == collection.latents[0].shape


def test_so_many_scenes_lie_over_the_usual_colour(tmp_path: Path) -> None:
    usual, other = (
        seen(tmp_path, scene_share=1.0, white_share=share, colours=("white", "black", "red", "blue"))
        for share in (0.9, 0.1)
    )
    shares = []
    for collection, data in (usual, other):
        captions = [collection.sample(0, ShownText(data), Random(seed))["caption"] for seed in range(400)]
        shares.append(sum(not caption.endswith(" background") for caption in captions) / len(captions))
    assert 0.87 < shares[0] < 0.98  # 0.9, and a quarter of the rest
    assert 0.25 < shares[1] < 0.4


def test_without_the_setting_there_are_no_scenes(tmp_path: Path) -> None:
    collection, data = seen(tmp_path)
    assert {collection.sample(0, ShownText(data), Random(seed))["caption"] for seed in range(50)} == {"a red circle"}
    assert [path.name for path in tmp_path.iterdir() if "of-16" in path.name] == []


def test_pictures_that_fill_their_frame_stand_in_no_scene(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"scene_share is above 0, but no two cut-out pictures are of one style"):
        seen(tmp_path, records("white"), scene_share=0.5)


def test_scenes_need_pictures_that_can_be_made_smaller(tmp_path: Path) -> None:
    own = parts()
    framing = Framing(sizes=[(SIDE - 2, SIDE - 2)])
    with pytest.raises(BadInput, match=r"multiples of 32 pixels, not 30x30"):
        Seen(two_styles(), [], own.autoencoder, framing, DiffusionDataConfig(scene_share=0.5), tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"kind": "inpainting"},
            r"scene_share is 0\.5; scenes are for data\.kind \"text\" \(here 'inpainting'\)",
        ),
        ({"shapes": "buckets"}, r'data\.shapes "square" \(here \'buckets\'\)'),
        ({"scene_share": 2}, r"data\.scene_share is 2"),
        ({"usual_times": 0}, r"data\.usual_times is 0"),
        ({"colours_each": 99}, r"data\.colours_each is 99"),
        ({"styles": {"line": ("a line {thing}",)}}, r"data\.styles\.line has 'a line \{thing\}'"),
    ],
)
def test_settings_that_cannot_be_are_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        DiffusionDataConfig(**{"scene_share": 0.5, **change})


def test_only_the_usual_picture_of_a_thing_goes_by_its_bare_name(tmp_path: Path) -> None:
    collection, data = seen(tmp_path, styles=STYLES, usual_times=3)
    assert len(collection) == 14 * 3 + 4
    shown = [collection.sample(index, ShownText(data), Random(0)) for index in range(len(collection))]
    captions = [one["caption"] for one in shown]
    assert captions.count("a red circle") + captions.count("a drawing of a red circle") == 3
    assert captions.count("a print of a red circle") == 1
    assert collection.unseen is not None
    assert {view.captions[0] for view in collection.unseen.views} == {"a black bar", "a black cross"}


def test_both_stages_see_the_scenes(tmp_path: Path) -> None:
    from tests.training.sketch.test_task import sketch_task

    for task in (diffusion_task(tmp_path / "a", scene_share=1.0), sketch_task(tmp_path / "b", scene_share=1.0)):
        captions = {task.sample(0, Random(seed))["caption"] for seed in range(30)}
        assert any(caption.startswith(("two ", "three ")) for caption in captions)


def test_few_colours_are_the_usual_one_and_some_by_lot() -> None:
    framing = Framing(sizes=[(SIDE, SIDE)], colours=["white", "black", "red", "blue"], colours_each=2)
    found = {one.key: [view.colour for view in framing.views(one, one.picture())] for one in records("none")}
    assert all(len(colours) == 2 and colours[0] == "white" for colours in found.values())
    assert {colours[1] for colours in found.values()} == {"black", "red", "blue"}
    assert found == {one.key: list(framing.colours_of(one)) for one in records("none")}


def test_distillation_asks_for_styles_and_scenes_too() -> None:
    data = DiffusionDataConfig(styles=STYLES, scene_share=0.5, caption_dropout=0.0, colours=("white", "blue"))
    captions = captions_of(two_styles(), data, 200, seed=0)
    assert captions == captions_of(two_styles(), data, 200, seed=0)
    assert any(caption.startswith(("two ", "three ")) for caption in captions)
    assert any(caption.startswith("a print of") for caption in captions)
    assert any(" to the left of " in caption for caption in captions)
    assert any(caption.endswith("on a blue background") for caption in captions)


def test_scenes_are_for_what_is_shown_text_alone(tmp_path: Path) -> None:
    data = DiffusionDataConfig(scene_share=0.5)
    hinted = ShownHint(ShownText(data), "edges")
    with pytest.raises(BadInput, match=r"data\.scene_share is 0\.5; scenes are for what draws from text alone"):
        DiffusionTask(WholeUNet(parts()), hinted, ObjectiveConfig(), data, records("none"), tmp_path)


def test_things_in_scenes_are_whole_and_not_in_a_mirror(tmp_path: Path) -> None:
    collection, _ = seen(tmp_path, scene_share=1.0, flip=True, cuts=2)
    assert any(view.flipped for view in collection.latents.views)
    assert collection.scenes is not None
    assert not any(view.flipped for view in collection.scenes.views)
    assert len({view.place for view in collection.scenes.views}) == 1
