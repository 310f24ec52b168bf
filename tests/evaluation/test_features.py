"""Feature networks: what they see, what they are called, and that features of two of them never meet."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from transformers import CLIPModel, CLIPVisionModelWithProjection

from safelight.errors import BadCheckpoint, BadInput
from safelight.evaluation.clip_judge import open_clip
from safelight.evaluation.feature_file import kept_features, read_features, write_features
from safelight.evaluation.features import features_of, inception_pixels, open_features
from safelight.evaluation.pictures import Pictures, on_white
from safelight.images import to_tensor
from safelight.text.clip_pixels import clip_pixels
from tests.evaluation.tiny_judges import clip_run, plain, record

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clip_run(tmp_path_factory.mktemp("run"))


@pytest.fixture
def pictures() -> Pictures:
    generator = torch.Generator().manual_seed(0)
    colours = [f"#{int(torch.randint(2**24, (), generator=generator)):06x}" for _ in range(5)]
    return Pictures([record(colour, plain(colour), colour=colour) for colour in colours], on_white)


def test_a_run_sees_pixels_as_it_was_trained(run: Path, pictures: Pictures) -> None:
    found = open_features(run, CPU).features(pictures)
    reference = CLIPModel.from_pretrained(run / "clip")
    pixels = torch.stack([to_tensor(picture.resize((16, 16))) for picture in pictures])
    with torch.no_grad():
        pooled = reference.vision_model(pixels).pooler_output
        torch.testing.assert_close(found, reference.visual_projection(pooled), rtol=1e-4, atol=1e-5)


def test_a_folder_of_transformers_sees_pixels_as_published(run: Path, pictures: Pictures, tmp_path: Path) -> None:
    CLIPVisionModelWithProjection.from_pretrained(run / "clip").save_pretrained(tmp_path)
    found = open_features(tmp_path, CPU)
    pixels = torch.stack([clip_pixels(picture, 16) for picture in pictures])
    with torch.no_grad():
        expected = CLIPVisionModelWithProjection.from_pretrained(tmp_path)(pixels).image_embeds
    torch.testing.assert_close(found.features(pictures), expected, rtol=1e-4, atol=1e-5)
    assert found.name != open_features(run, CPU).name  # the same weights, but they are shown something else


def test_a_preprocessor_config_counts(run: Path, pictures: Pictures, tmp_path: Path) -> None:
    shutil.copytree(run / "clip", tmp_path / "moved")
    (tmp_path / "moved" / "preprocessor_config.json").write_text(
        '{"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}'
    )
    ours, moved = open_features(run, CPU), open_features(tmp_path / "moved", CPU)
    assert torch.equal(ours.features(pictures), moved.features(pictures))
    assert ours.name == moved.name
    (tmp_path / "moved" / "preprocessor_config.json").write_text('{"image_mean": [0.5]}')
    with pytest.raises(BadCheckpoint, match="image_mean"):
        open_features(tmp_path / "moved", CPU)


def test_a_name_is_kind_and_weights(run: Path, tmp_path: Path) -> None:
    one, again, other = (open_features(path, CPU) for path in (run, run, clip_run(tmp_path, seed=1)))
    assert one.name == again.name != other.name
    assert one.name == f"clip-image {one.digest[:8]}"
    assert features_of(open_clip(run, CPU)).name == one.name


def test_inception_sees_as_pytorch_fid_shows_it() -> None:
    picture = plain("red", 8)
    picture.putpixel((3, 3), (0, 0, 255))
    expected = torch.nn.functional.interpolate(to_tensor(picture)[None], (299, 299), mode="bilinear")[0]
    assert torch.equal(inception_pixels(picture), expected)


@pytest.mark.parametrize("make", [lambda path: path, lambda path: path.mkdir() or path])
def test_neither_file_nor_folder(make: object, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"is not there|is no CLIP"):
        open_features(make(tmp_path / "x"), CPU)  # type: ignore[operator]


def test_no_pictures(run: Path) -> None:
    with pytest.raises(BadInput, match="no pictures"):
        open_features(run, CPU).features([])


def test_weights_that_give_no_numbers(run: Path, pictures: Pictures) -> None:
    network = open_features(run, CPU)
    object.__setattr__(network, "network", lambda images: torch.full((len(images), 3), torch.nan))
    with pytest.raises(BadInput, match="no finite numbers"):
        network.features(pictures)


def watch(batches: object, total: int, what: str) -> object:
    return batches


def test_features_are_kept_and_read_again(run: Path, pictures: Pictures, tmp_path: Path) -> None:
    network, file = open_features(run, CPU), tmp_path / "real.safetensors"
    first = kept_features(file, network, pictures, watch)  # type: ignore[arg-type]
    blind = open_features(run, CPU)
    object.__setattr__(blind, "network", None)
    assert torch.equal(kept_features(file, blind, pictures, watch), first)  # type: ignore[arg-type]
    assert torch.equal(kept_features(file, blind, None, watch), first)  # type: ignore[arg-type]


def test_features_of_another_network_are_refused(run: Path, pictures: Pictures, tmp_path: Path) -> None:
    network, other = open_features(run, CPU), open_features(clip_run(tmp_path / "other", seed=1), CPU)
    write_features(tmp_path / "f.safetensors", torch.zeros(3, 8), network, "abc")
    with pytest.raises(BadInput, match=f"holds features of '{network.name}'; those of '{other.name}' are needed"):
        read_features(tmp_path / "f.safetensors", other)
    with pytest.raises(BadInput, match="features of other pictures"):
        read_features(tmp_path / "f.safetensors", network, "abd")
    with pytest.raises(BadInput, match="features of other pictures"):
        kept_features(tmp_path / "f.safetensors", network, pictures, watch)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="no file of features"):
        read_features(run / "clip" / "model.safetensors", network)
