"""`safelight evaluate`: how good a model's pictures are, or how well its autoencoder gives pictures back."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safelight.apps.drawing import add_drawing_arguments, drawn_folder, prompted
from safelight.apps.terminal import add_json_argument, add_model_arguments, answer, pipeline_of, progress
from safelight.apps.where import add_where_argument, where_of
from safelight.errors import BadInput
from safelight.recipe import whole_number
from safelight.request import check_text

if TYPE_CHECKING:
    from PIL import Image

    from safelight.data.collection import Record
    from safelight.evaluation.classifier import Classifier
    from safelight.evaluation.features import FeatureNetwork
    from safelight.evaluation.judging import Judges
    from safelight.evaluation.pictures import Pictures
    from safelight.evaluation.prompts import Prompt
    from safelight.evaluation.report import Report
    from safelight.evaluation.samples import Samples

LISTS = "captions, concepts, styles, unseen, colours, relations, numbers, sentences"
COUNT = 256  # pictures, where no file of prompts says how many
MOST = 1_000_000
SHEET_SIDE = 96  # pixels


def add_to(commands: Any) -> None:
    """The arguments of the command."""
    command = commands.add_parser("evaluate", help="measure how good a model's pictures are")
    add_model_arguments(command)
    command.add_argument(
        "--pictures", type=Path, metavar="FOLDER", help="where they are kept; without --model, judged as they are"
    )
    command.add_argument("--data", type=Path, metavar="F", help="real pictures with captions: to ask for, to compare")
    add_where_argument(command, "samples")
    command.add_argument(
        "--recipe", metavar="R", help="only the samples that this recipe's diffusion stage learns from"
    )
    command.add_argument("--real", default="val", metavar="S", help="compare with val, train or all (default: val)")
    command.add_argument(
        "--features", metavar="F", help="network to compare by: Inception's weights, or a CLIP's folder"
    )
    command.add_argument("--real-features", type=Path, metavar="FILE", help="keeps those of the real pictures")
    command.add_argument(
        "--clip", type=Path, metavar="RUN", help="judge of agreement: a run, or a folder with tokenizer"
    )
    command.add_argument("--judge", type=Path, metavar="RUN", help="run of `safelight train classifier`")
    command.add_argument(
        "--prompts", default="captions", metavar="P,Q", help=f"{LISTS}; or a file (default: %(default)s)"
    )
    command.add_argument(
        "--count", type=int, metavar="N", help=f"pictures of each list (default: {COUNT}), or of a file (default: all)"
    )
    command.add_argument("--each", type=int, default=2, metavar="N", help="pictures of a prompt (default: %(default)s)")
    command.add_argument("--autoencoder", action="store_true", help="judge the model's autoencoder alone, on --data")
    command.add_argument("--small", action="store_true", help="tell FID of however few pictures")
    command.add_argument("--sheet", type=Path, metavar="F", help="also write one picture of each prompt into this file")
    command.add_argument("--out", type=Path, metavar="FILE", help="also write the report as JSON into this file")
    add_drawing_arguments(command)
    add_json_argument(command)
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Draw what is to be drawn, judge, report."""
    check(arguments)
    report = reconstructed(arguments) if arguments.autoencoder else judged(arguments)
    facts = report.json()
    if arguments.out is not None:
        from safelight.weights.files import write_json

        write_json(arguments.out, facts)
    answer(arguments, facts, report.lines())


def check(arguments: argparse.Namespace) -> None:
    """Raise BadInput for what no work could satisfy, before any is done."""
    whole_number("--each", arguments.each, 1, MOST)
    whole_number("--seed", arguments.seed, 0, 2**62)
    if arguments.count is not None:
        whole_number("--count", arguments.count, 1, MOST)
    for name in ("out", "real_features"):
        file: Path | None = getattr(arguments, name)
        if file is not None and (file.is_dir() or not file.parent.is_dir()):
            raise BadInput(f"--{name.replace('_', '-')} {str(file)!r} is no file in a folder that exists.")
    if arguments.autoencoder and arguments.data is None:
        raise BadInput("--data is missing; --autoencoder needs pictures to give back.")
    if arguments.data is None and not (arguments.clip or arguments.judge or arguments.real_features):
        raise BadInput("There is nothing to judge by: give --data, --clip, --judge or --real-features.")


def judged(arguments: argparse.Namespace) -> Report:
    """What the judges tell of pictures: those of a folder, or the model's own."""
    from safelight import __version__
    from safelight.evaluation.frechet_distance import FEWEST
    from safelight.evaluation.judging import Beside, judge
    from safelight.evaluation.pictures import Pictures, mixed_backdrops, on_white, own_backdrop
    from safelight.evaluation.report import Report
    from safelight.images import check_writable, write_picture

    if arguments.sheet is not None:
        check_writable(arguments.sheet)
    judges, samples = judges_of(arguments), samples_of(arguments)
    shown = shown_of(arguments, samples, judges.classifier)
    drawn = Pictures(shown.records, own_backdrop)
    side = min(drawn[0].size)
    coloured = any(own_backdrop(record) != "white" for record in shown.records)
    backdrop = mixed_backdrops(arguments.seed) if coloured else on_white
    report = Report({**shown.facts, **facts_of(arguments, samples), "version": __version__})
    report.left_out += [*shown.remarks, *(samples.remarks if samples else ())]
    beside = Beside(
        real=Pictures(samples.real, backdrop, side) if samples else None,
        held_out=Pictures(samples.held_out, backdrop, side) if samples else None,
        training=samples.training if samples else [],
        concepts=samples.concepts if samples else [],
        kept=arguments.real_features,
        fewest=2 if arguments.small else FEWEST,
    )
    judge(report, drawn, beside, judges, progress)
    if arguments.sheet is not None:
        write_picture(sheet_of(drawn), arguments.sheet)
    return report


def sheet_of(drawn: Pictures) -> Image.Image:
    """The first picture of each prompt side by side, each in a square of SHEET_SIDE pixels."""
    from safelight.images import grid, scaled

    first: dict[str, int] = {}
    for number, record in enumerate(drawn.records):
        first.setdefault(record.captions[0] if record.captions else record.key, number)
    return grid([scaled(drawn[number], SHEET_SIDE, SHEET_SIDE) for number in first.values()])


@dataclass(frozen=True)
class Shown:
    """The pictures to judge, what is known of how they came to be, and what a reader should know of them."""

    records: list[Record]
    facts: dict[str, Any]
    remarks: list[str]


def shown_of(arguments: argparse.Namespace, samples: Samples | None, judge: Classifier | None) -> Shown:
    """The pictures of --pictures as they are, or those that the model draws, drawn now as far as they are missing."""
    from safelight.data.collection import open_collection
    from safelight.evaluation.prompts import Prompt

    if arguments.model is None and arguments.pictures is not None:
        records = prompted(open_collection(arguments.pictures)[: arguments.count])
        return Shown(records, {"pictures": str(arguments.pictures)}, [])
    pipeline = pipeline_of(arguments)
    remarks = []
    if pipeline.task.reads_text:
        prompts = prompts_of(arguments, samples, judge)
        if samples is not None and not samples.held_out and arguments.prompts == "captions":
            remarks.append("Nothing is held out in this data: the prompts are captions that the model may know.")
    else:
        prompts = [Prompt("")] * (arguments.count or COUNT)
    folder = arguments.pictures or Path(f"evaluation-{Path(pipeline.name).name}")
    drawn = drawn_folder(pipeline, prompts, folder, arguments)
    return Shown(drawn.records(), {"pictures": str(folder), **drawn.settings}, remarks)


def prompts_of(arguments: argparse.Namespace, samples: Samples | None, judge: Classifier | None) -> list[Prompt]:
    """The prompt of each picture: as many of each as --each says, --count in all, or of each list."""
    from safelight.evaluation.pictures import mixed_backdrops
    from safelight.evaluation.prompt_file import read_prompts
    from safelight.evaluation.prompt_lists import Material, listed_prompts, named_lists

    check_text("--prompts", arguments.prompts)
    if names := named_lists(arguments.prompts):
        if samples is None:
            raise BadInput(f"--prompts {arguments.prompts} are taken from --data, which is missing; or name a file.")
        known = None if judge is None else judge.labels.get("concept", ())
        things = [record for record in samples.everything if known is None or record.fields.get("concept") in known]
        material = Material(samples, things, arguments.seed, mixed_backdrops(arguments.seed))
        count = arguments.count or COUNT
        prompts = listed_prompts(names, material, -(-count // arguments.each))
        count *= len(names)
    else:
        prompts = read_prompts(Path(arguments.prompts))
        count = arguments.count or len(prompts) * arguments.each
        if count > len(prompts) * arguments.each:
            raise BadInput(
                f"--count is {count}; {len(prompts)} prompts with --each {arguments.each} make "
                f"{len(prompts) * arguments.each} pictures at most."
            )
    return [prompt for prompt in prompts for _ in range(arguments.each)][:count]


def samples_of(arguments: argparse.Namespace) -> Samples | None:
    """The samples of --data that --where and --recipe leave."""
    if arguments.data is None:
        return None
    from safelight.evaluation.samples import open_samples

    where: dict[str, Sequence[str]] = {}
    if arguments.recipe is not None:
        from safelight.training.recipe_file import read_recipe

        where |= read_recipe(arguments.recipe).diffusion.where
    return open_samples(arguments.data, where | where_of(arguments.where), arguments.real)


def judges_of(arguments: argparse.Namespace) -> Judges:
    """Who looks at the pictures: --features (or --clip's own image encoder), --clip and --judge."""
    from safelight.evaluation.classifier import load_classifier
    from safelight.evaluation.clip_judge import open_clip
    from safelight.evaluation.features import features_of
    from safelight.evaluation.judging import Judges
    from safelight.placement import placement_for

    clip = None if arguments.clip is None else open_clip(arguments.clip, placement_for(arguments.device, None).device)
    network = network_of(arguments)
    if network is None and clip is not None:
        network = features_of(clip)
    if network is None and arguments.real_features is not None:
        raise BadInput("--real-features needs to know whose features they are: give --features or --clip.")
    return Judges(network, clip, None if arguments.judge is None else load_classifier(arguments.judge))


def network_of(arguments: argparse.Namespace) -> FeatureNetwork | None:
    """The network of --features."""
    from safelight.evaluation.features import open_features
    from safelight.placement import placement_for

    if arguments.features is None:
        return None
    return open_features(arguments.features, placement_for(arguments.device, None).device)


def reconstructed(arguments: argparse.Namespace) -> Report:
    """How well the model's autoencoder gives the real pictures back."""
    import torch

    from safelight import __version__
    from safelight.evaluation.frechet_distance import FEWEST
    from safelight.evaluation.pictures import Pictures, on_white
    from safelight.evaluation.reconstruction import judge_reconstruction
    from safelight.evaluation.report import Report

    network, samples, pipeline = judges_of(arguments).network, samples_of(arguments), pipeline_of(arguments)
    assert samples is not None

    def back(image: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return pipeline.decoded(pipeline.encoded(image).mean)

    dtype = pipeline.placement.dtype_name
    facts = {"model": pipeline.name, "dtype": dtype, **facts_of(arguments, samples), "version": __version__}
    report = Report(facts, left_out=samples.remarks)
    originals = Pictures(samples.real, on_white, pipeline.size)
    judge_reconstruction(report, originals, back, network, 2 if arguments.small else FEWEST, progress)
    return report


def facts_of(arguments: argparse.Namespace, samples: Samples | None) -> dict[str, Any]:
    """What was compared with."""
    if samples is None:
        return {}
    counts = {"training": len(samples.training), "held_out": len(samples.held_out), "real": len(samples.real)}
    return {"data": str(arguments.data), "where": arguments.where, "recipe": arguments.recipe, **counts}
