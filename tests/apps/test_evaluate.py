"""`safelight evaluate` from words to a report: judged once, gone on with, and refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from tasks.family import FAMILY

from safelight.apps import drawing
from safelight.apps.cli import main
from safelight.apps.evaluate import LISTS
from safelight.autoencoder import TinyAutoencoder
from safelight.configs import ClassifierConfig, TinyAutoencoderConfig
from safelight.evaluation.classifier import Classifier, save_classifier
from safelight.evaluation.drawn_folder import DrawnFolder
from safelight.evaluation.prompt_lists import LISTS as KNOWN_LISTS
from safelight.pipeline import Pipeline
from safelight.weights import save_tiny_halves
from tests.data.shapes import SHAPES, write_folder
from tests.evaluation.tiny_judges import clip_run

COUNT = 12


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data, a CLIP and a classifier."""
    home = tmp_path_factory.mktemp("evaluate")
    write_folder(home / "data", "none")
    clip_run(home / "clip")
    config = ClassifierConfig(size=16, channels=(8, 8), groups=4)
    torch.manual_seed(0)
    save_classifier(
        home / "judge" / "classifier", Classifier(config, {"concept": SHAPES, "style": ("drawing", "photo")})
    )
    return home


@pytest.fixture
def words(home: Path, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A command that works: twelve pictures, judged by all there is."""
    monkeypatch.chdir(tmp_path)
    judges = ["--clip", str(home / "clip"), "--judge", str(home / "judge")]
    size = ["--count", str(COUNT), "--steps", "1", "--real", "train"]
    return ["evaluate", "--model", str(model_folder), "--data", str(home / "data"), *judges, *size, "--json"]


def evaluated(words: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert main(words) == 0
    return json.loads(capsys.readouterr().out)


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(words) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    return said.err


def named(home: Path) -> Path:
    """The same data with captions that are bare names."""
    folder = write_folder(home / "named", "none")
    for file in folder.glob("*.json"):
        facts = json.loads(file.read_text("utf-8"))
        facts["captions"].append(f"a {facts['concept']}")
        file.write_text(json.dumps(facts), "utf-8")
    return folder


def columns(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {figure["column"].split(" (")[0]: figure for figure in report["figures"]}


def test_everything_that_is_told(words: list[str], pipe: Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    report = evaluated([*words, "--pictures", "drawn", "--out", "report.json"], capsys)
    assert json.loads(Path("report.json").read_text("utf-8")) == report
    found = columns(report)
    assert found.keys() >= {
        "KID", "precision", "recall", "diversity", "CLIP score", "concept first", "concept first five", "style first",
        "real: concept first", "background", "nearest training", "nearest training shows concept", "copies",
    }  # fmt: skip
    assert {(figure["pictures"], figure["real"]) for figure in report["figures"] if figure["name"] == "KID"} == {
        (12, 14)
    }
    assert found["KID"]["judge"].startswith("clip-image ")
    assert found["CLIP score"]["judge"].startswith("clip ")
    for figure in report["figures"]:
        assert figure["low"] <= figure["value"] <= figure["high"]
        assert figure["column"] == f"{figure['name']} ({figure['judge']})"
    assert (report["steps"], report["seed"], report["training"], report["held_out"]) == (1, 0, 14, 2)
    first = json.loads(Path("drawn/000003.json").read_text("utf-8"))
    expected = pipe(first["captions"][0], seed=3, num_inference_steps=1).images[0]
    with Image.open("drawn/000003.png") as picture:
        assert picture.tobytes() == expected.tobytes()


def test_fid_is_told_of_few_pictures_only_when_asked_for(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    report = evaluated(words, capsys)
    assert "FID" not in columns(report)
    assert "FID is not told of 12 drawn and 14 real pictures" in report["left_out"][0]
    again = evaluated([*words, "--small"], capsys)  # the pictures are there
    assert columns(again)["FID"]["pictures"] == COUNT
    assert again["left_out"] == []
    assert columns(again)["KID"] == columns(report)["KID"]


def test_an_interrupted_evaluation_goes_on(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = evaluated([*words, "--pictures", "whole"], capsys)
    write, calls = DrawnFolder.write, []

    def stopping(folder: DrawnFolder, number: int, picture: Image.Image) -> None:
        calls.append(number)
        if len(calls) == 6:
            raise KeyboardInterrupt
        write(folder, number, picture)

    monkeypatch.setattr(drawing, "AT_ONCE", 4)
    with monkeypatch.context() as patched:
        patched.setattr(DrawnFolder, "write", stopping)
        assert main([*words, "--pictures", "parts"]) == 130
    Path("parts/000001.png").unlink()  # so that what is missing does not lie in one piece
    drawn_before = {file: file.stat().st_mtime_ns for file in Path("parts").glob("*.png")}
    assert len(drawn_before) == 4
    assert capsys.readouterr().out == ""
    parts = evaluated([*words, "--pictures", "parts"], capsys)
    assert {file: file.stat().st_mtime_ns for file in drawn_before} == drawn_before
    names = sorted(file.name for file in Path("whole").iterdir())
    assert names == sorted(file.name for file in Path("parts").iterdir())
    assert all(Path("whole", name).read_bytes() == Path("parts", name).read_bytes() for name in names)
    assert parts["figures"] == whole["figures"]


def test_another_way_of_drawing_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    evaluated([*words, "--pictures", "drawn"], capsys)
    assert "drawn with guidance 7.5, not 2.0" in refused([*words, "--pictures", "drawn", "--guidance", "2"], capsys)
    assert "drawn with seed 0, not 5" in refused([*words, "--pictures", "drawn", "--seed", "5"], capsys)


def test_pictures_as_they_are(home: Path, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A perfect model: its pictures are the data's own."""
    command = ["evaluate", "--pictures", str(home / "data"), *words[3:5], "--clip", str(home / "clip"), "--real", "all"]
    found = columns(evaluated([*command, "--json", "--small"], capsys))
    assert found["FID"]["value"] == pytest.approx(0, abs=1e-6)
    assert found["precision"]["value"] == found["recall"]["value"] == 1
    assert found["nearest training"]["pictures"] == 16


def test_features_of_two_networks_are_never_mixed(
    home: Path, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = ["--real-features", "real.safetensors"]
    first = evaluated([*words, *kept], capsys)
    assert evaluated([*words, *kept], capsys)["figures"] == first["figures"]
    other = clip_run(tmp_path / "other", seed=3)
    said = refused([*words, *kept, "--features", str(other)], capsys)
    assert "features of two networks cannot be compared" in said
    assert (
        columns(evaluated([*words, "--features", str(other)], capsys))["KID"]["judge"] != first["figures"][0]["judge"]
    )


def test_prompts_from_a_file(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    Path("prompts.txt").write_text('a red apple\n{"prompt": "a table", "concept": "bar"}\n', "utf-8")
    command = [*words, "--prompts", "prompts.txt", "--each", "3"]
    report = evaluated([*command, "--count", "5"], capsys)
    assert columns(report)["CLIP score"]["pictures"] == 5
    assert columns(report)["concept first"]["pictures"] == 2
    assert "2 prompts with --each 3 make 6 pictures at most" in refused([*command, "--count", "7"], capsys)


def test_several_lists_of_prompts_are_told_apart(
    home: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    command = [*words, "--data", str(named(home)), "--prompts", "concepts,colours,relations,numbers"]
    command += ["--count", "4", "--each", "1"]
    report = evaluated([*command, "--pictures", "drawn"], capsys)
    counts = {name: figure["pictures"] for name, figure in columns(report).items() if figure["unit"] == "share"}
    expected = {"concepts: concept first": 4, "colours: concept first": 4, "colour": 4, "relation first": 4}
    expected |= {"number first five": 4, "relation or number first": 8}
    assert expected.items() <= counts.items()
    assert not {"relations: concept first", "numbers: concept first"} & counts.keys()
    told = [json.loads(file.read_text("utf-8")) for file in sorted(Path("drawn").glob("0*.json"))]
    assert [facts["prompts"] for facts in told] == ["concepts", "colours", "relations", "numbers"] * 4
    assert {facts["thing"] for facts in told if "thing" in facts} <= set(SHAPES)
    # more of each goes on from there, and what is there can be judged as it is
    more = columns(evaluated([*command, "--count", "5", "--pictures", "drawn"], capsys))
    assert (more["relation first"]["pictures"], more["colour"]["pictures"]) == (5, 5)
    alone = evaluated(["evaluate", "--pictures", "drawn", "--judge", str(home / "judge"), "--json"], capsys)
    assert columns(alone)["relation or number first"]["pictures"] == 10


def test_prompts_of_concepts_that_the_judge_knows(
    home: Path, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = ClassifierConfig(size=16, channels=(8, 8), groups=4)
    save_classifier(tmp_path / "judge" / "classifier", Classifier(config, {"concept": ("bar", "cross")}))
    command = [*words, "--data", str(named(home)), "--judge", str(tmp_path / "judge"), "--prompts", "relations"]
    assert columns(evaluated([*command, "--pictures", "drawn"], capsys))["relation first"]["pictures"] == COUNT
    told = [json.loads(file.read_text("utf-8")) for file in Path("drawn").glob("0*.json")]
    assert {facts["thing"] for facts in told} == {"bar", "cross"}


def test_the_help_names_every_list() -> None:
    assert ", ".join(KNOWN_LISTS) == LISTS


def test_a_table_for_people(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    words.remove("--json")
    assert main([*words, "--prompts", "concepts", "--where", "concept=bar,cross"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["figure", "(by", "whom)", "value", "95", "%", "interval", "pictures", "real"]
    assert any(line.startswith("KID (clip-image ") for line in lines)
    assert any(line.startswith("Nothing is held out") for line in lines) is False
    assert {json.loads(file.read_text("utf-8"))["concept"] for file in Path().glob("*/0*.json")} == {"bar", "cross"}


def test_prompts_that_lie_in_the_pictures(
    home: Path, words: list[str], pipe: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("mine").mkdir()
    for number in range(4):
        pipe("a red apple", seed=number, num_inference_steps=1).images[0].save(f"mine/{number}.png")
    command = ["evaluate", "--pictures", "mine", "--clip", str(home / "clip"), "--json"]
    assert columns(evaluated(command, capsys)).keys() == {"diversity", "CLIP score"}


def test_a_sheet(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    evaluated([*words, "--sheet", "sheet.png"], capsys)  # two samples are held out
    with Image.open("sheet.png") as sheet:
        assert sheet.size == (2 * 96, 96)


def test_a_model_that_reads_no_text(home: Path, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    Pipeline(FAMILY["unconditional"]()).save("unconditional")
    judges = ["--data", str(home / "data"), "--clip", str(home / "clip"), "--json"]
    report = evaluated(["evaluate", "--model", "unconditional", *judges, "--count", "6", "--steps", "1"], capsys)
    assert columns(report)["nearest training"]["pictures"] == 6
    assert "6 drawn and 2 real pictures are too few to compare; give 4 of each." in report["left_out"]
    assert "The CLIP score needs prompts, and these pictures have none." in report["left_out"]


def test_an_autoencoder_alone(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    found = columns(evaluated([*words, "--autoencoder"], capsys))
    assert found.keys() == {"PSNR of illustrations", "SSIM of illustrations", "rKID"}
    assert found["rKID"]["pictures"] == found["rKID"]["real"] == 14
    assert not list(Path().glob("evaluation-*"))


def test_a_tiny_decoder_beside_the_encoder(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    save_tiny_halves(Path("e.safetensors"), Path("d.safetensors"), TinyAutoencoder(TinyAutoencoderConfig(width=16)))
    found = columns(evaluated([*words, "--autoencoder", "--vae", "d.safetensors"], capsys))
    assert found["PSNR of illustrations"]["pictures"] == 14


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (["--count", "0"], "--count"),
        (["--each", "0"], "--each"),
        (["--steps", "0"], "num_inference_steps"),
        (["--sampler", "eulr"], "Did you mean 'euler'"),
        (["--real", "test"], "--real 'test' is unknown"),
        (["--where", "style"], "--where is 'style'; it must be a field and its values"),
        (["--where", "style=oil"], "No sample in"),
        (["--prompts", "concepts,colors"], "--prompts 'colors' is unknown. Did you mean 'colours'"),
        (["--prompts", "unseen"], "Of 0 held-out samples of unseen pairs"),
        (
            ["--prompts", "nothing.txt"],
            "neither a list (captions, concepts, styles, unseen, colours, relations, numbers, sentences) nor a",
        ),
        (["--clip", "nothing"], "'nothing' is no CLIP"),
        (["--features", "nothing"], "'nothing' is not there"),
        (["--judge", "nothing"], "nothing"),
        (["--sheet", "no/sheet.png"], "The folder 'no' does not exist"),
        (["--out", "no/report.json"], "--out 'no/report.json' is no file in a folder that exists"),
    ],
)
def test_bad_input_is_refused_before_anything_is_drawn(
    change: list[str], said: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in refused([*words, *change], capsys)
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["evaluate"], "nothing to judge by: give --data, --clip, --judge or --real-features"),
        (["evaluate", "--autoencoder"], "--data is missing"),
        (["evaluate", "--real-features", "x.safetensors"], "give --features or --clip"),
    ],
)
def test_nothing_to_judge_by(command: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert said in refused(command, capsys)
