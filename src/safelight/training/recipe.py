"""A training recipe: the whole configuration of every kind of training, as frozen dataclasses.

What a recipe leaves out has the default that stands here. `recipe_file` reads and writes them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from safelight.configs import (
    AutoencoderConfig,
    BertConfig,
    ClassEmbedderConfig,
    ClassifierConfig,
    ImageEncoderConfig,
    RescalerConfig,
    ScheduleConfig,
    TextEncoderConfig,
    UNetConfig,
)
from safelight.errors import BadInput
from safelight.training.autoencoder.settings import AutoencoderLossConfig, ComparisonConfig
from safelight.training.classifier.settings import ClassifierDataConfig, ClassifierLossConfig, VariationConfig
from safelight.training.clip.settings import ClipDataConfig, ClipLossConfig
from safelight.training.decoder.settings import DecoderConfig
from safelight.training.diffusion.settings import DiffusionDataConfig, LearningConfig, ObjectiveConfig, ViewsConfig
from safelight.training.distillation.settings import DistillationConfig
from safelight.training.engine.settings import LoopConfig
from safelight.training.finetuning.settings import (
    LoRAConfig,
    PriorConfig,
    SteeringConfig,
    WordConfig,
)
from safelight.training.restyling.settings import RestylingConfig
from safelight.training.rewording.settings import RewordingConfig
from safelight.training.sketch.settings import FollowingConfig, SketchConfig

Where: TypeAlias = dict[str, tuple[str, ...]]  # for example {style = ["noto"]}


@dataclass(frozen=True, kw_only=True)
class AutoencoderRecipe:
    """Stage one."""

    where: Where = field(default_factory=dict)  # fields of the samples that are used, and the values they may have
    network: AutoencoderConfig = field(default_factory=AutoencoderConfig)
    loss: AutoencoderLossConfig = field(default_factory=AutoencoderLossConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)

    def __post_init__(self) -> None:
        for name in ("size", "crop"):
            if getattr(self.loss, name) % self.network.factor:
                raise BadInput(
                    f"autoencoder.loss.{name} is {getattr(self.loss, name)}; it must be a multiple of "
                    f"{self.network.factor}, for network.channels has {len(self.network.channels)} levels."
                )


@dataclass(frozen=True, kw_only=True)
class ClipRecipe:
    """Stage two."""

    where: Where = field(default_factory=dict)  # fields of the samples that are used, and the values they may have
    text: TextEncoderConfig = field(default_factory=TextEncoderConfig)
    image: ImageEncoderConfig = field(default_factory=ImageEncoderConfig)
    data: ClipDataConfig = field(default_factory=ClipDataConfig)
    loss: ClipLossConfig = field(default_factory=ClipLossConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)


@dataclass(frozen=True, kw_only=True)
class SketchRecipe:
    """Between stages two and three: the text encoder learns to foretell the picture."""

    where: Where = field(default_factory=dict)  # fields of the samples that are used, and the values they may have
    sketch: SketchConfig = field(default_factory=SketchConfig)
    data: DiffusionDataConfig = field(default_factory=DiffusionDataConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)


@dataclass(frozen=True, kw_only=True)
class DiffusionRecipe:
    """Stage three."""

    where: Where = field(default_factory=dict)  # fields of the samples that are used, and the values they may have
    model: LearningConfig = field(default_factory=LearningConfig)
    network: UNetConfig = field(default_factory=UNetConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    following: FollowingConfig = field(default_factory=FollowingConfig)
    data: DiffusionDataConfig = field(default_factory=DiffusionDataConfig)
    class_embedder: ClassEmbedderConfig = field(default_factory=ClassEmbedderConfig)
    boxes: BertConfig = field(default_factory=lambda: BertConfig(vocabulary=8192, length=92, width=512, layers=16))
    rescaler: RescalerConfig = field(default_factory=RescalerConfig)
    small_picture_noise: ScheduleConfig = field(default_factory=lambda: ScheduleConfig(beta_start=1e-4, beta_end=0.02))
    loop: LoopConfig = field(default_factory=LoopConfig)


@dataclass(frozen=True, kw_only=True)
class DecoderRecipe:
    """The decoder of a whole model, which learns to paint what its UNet draws."""

    where: Where = field(default_factory=dict)  # fields of the samples that are used, and the values they may have
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    loss: ComparisonConfig = field(default_factory=ComparisonConfig)
    data: ViewsConfig = field(default_factory=ViewsConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)


@dataclass(frozen=True, kw_only=True)
class RestyleRecipe:
    """What turns a thing's drawings into other styles."""

    where: Where = field(default_factory=dict)  # fields of the samples that are used, and the values they may have
    restyling: RestylingConfig = field(default_factory=RestylingConfig)
    data: ViewsConfig = field(default_factory=ViewsConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)


@dataclass(frozen=True, kw_only=True)
class RewordRecipe:
    """A model that knows its captions learns what people say instead."""

    where: Where = field(default_factory=dict)  # fields of the samples that are used, and the values they may have
    rewording: RewordingConfig = field(default_factory=RewordingConfig)
    data: DiffusionDataConfig = field(default_factory=DiffusionDataConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)


@dataclass(frozen=True, kw_only=True)
class ClassifierRecipe:
    """A judge, trained apart from the model that it judges."""

    where: Where = field(default_factory=dict)  # fields of the samples that are used, and the values they may have
    network: ClassifierConfig = field(default_factory=ClassifierConfig)
    data: ClassifierDataConfig = field(default_factory=ClassifierDataConfig)
    variation: VariationConfig = field(default_factory=VariationConfig)
    loss: ClassifierLossConfig = field(default_factory=ClassifierLossConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)


@dataclass(frozen=True, kw_only=True)
class FinetuneRecipe:
    """A whole model goes on learning."""

    where: Where = field(default_factory=dict)  # fields of the samples that are used, and the values they may have
    model: LearningConfig = field(default_factory=LearningConfig)
    prior: PriorConfig = field(default_factory=PriorConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    following: FollowingConfig = field(default_factory=FollowingConfig)
    data: DiffusionDataConfig = field(default_factory=DiffusionDataConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)


@dataclass(frozen=True, kw_only=True)
class LoRARecipe:
    """A LoRA beside a model that stays as it is."""

    where: Where = field(default_factory=dict)  # fields of the samples that are used, and the values they may have
    adapter: LoRAConfig = field(default_factory=LoRAConfig)
    prior: PriorConfig = field(default_factory=PriorConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    data: DiffusionDataConfig = field(default_factory=DiffusionDataConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)


@dataclass(frozen=True, kw_only=True)
class EmbeddingRecipe:
    """A word for something that the model can draw already."""

    where: Where = field(default_factory=dict)  # fields of the samples that are used, and the values they may have
    word: WordConfig = field(default_factory=WordConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    data: DiffusionDataConfig = field(default_factory=DiffusionDataConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)


@dataclass(frozen=True, kw_only=True)
class ControlNetRecipe:
    """A ControlNet beside a model that stays as it is."""

    where: Where = field(default_factory=dict)  # fields of the samples that are used, and the values they may have
    control: SteeringConfig = field(default_factory=SteeringConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    data: DiffusionDataConfig = field(default_factory=DiffusionDataConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)


@dataclass(frozen=True, kw_only=True)
class DistillRecipe:
    """A student that draws in a few steps."""

    where: Where = field(default_factory=dict)  # fields of the samples that are used, and the values they may have
    distill: DistillationConfig = field(default_factory=DistillationConfig)
    adapter: LoRAConfig = field(default_factory=LoRAConfig)  # of distill.learner = "lora"
    data: DiffusionDataConfig = field(default_factory=DiffusionDataConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Every stage of one model."""

    autoencoder: AutoencoderRecipe = field(default_factory=AutoencoderRecipe)
    clip: ClipRecipe = field(default_factory=ClipRecipe)
    sketch: SketchRecipe = field(default_factory=SketchRecipe)
    diffusion: DiffusionRecipe = field(default_factory=DiffusionRecipe)
    decoder: DecoderRecipe = field(default_factory=DecoderRecipe)
    restyle: RestyleRecipe = field(default_factory=RestyleRecipe)
    reword: RewordRecipe = field(default_factory=RewordRecipe)
    classifier: ClassifierRecipe = field(default_factory=ClassifierRecipe)
    finetune: FinetuneRecipe = field(default_factory=FinetuneRecipe)
    lora: LoRARecipe = field(default_factory=LoRARecipe)
    embedding: EmbeddingRecipe = field(default_factory=EmbeddingRecipe)
    controlnet: ControlNetRecipe = field(default_factory=ControlNetRecipe)
    distill: DistillRecipe = field(default_factory=DistillRecipe)

    def __post_init__(self) -> None:
        drawn = self.diffusion.network.sample_size * self.autoencoder.network.factor
        if self.sketch.sketch.included and self.sketch.sketch.size != drawn:
            raise BadInput(
                f"sketch.sketch.size is {self.sketch.sketch.size}; it must be {drawn}, the side of what the model of "
                "this recipe draws."
            )
        cells, followed = self.sketch.sketch.cells, self.diffusion.following
        if self.sketch.sketch.included and followed.asked and followed.cells != cells:
            raise BadInput(
                f"diffusion.following.cells is {followed.cells}; it must be {cells}, as sketch.sketch.cells is."
            )
