"""The task of a ControlNet, which takes part when its sheet is drawn."""

from __future__ import annotations

from pathlib import Path

from safelight.data.record import Record
from safelight.pipeline import Pipeline
from safelight.training.diffusion.settings import DiffusionDataConfig, ObjectiveConfig
from safelight.training.diffusion.task import DiffusionTask
from safelight.training.finetuning.control import LearntControl
from safelight.training.finetuning.hints import ShownHint


class ControlTask(DiffusionTask):
    """A noise predictor that a ControlNet steers."""

    def __init__(
        self,
        learner: LearntControl,
        shown: ShownHint,
        objective: ObjectiveConfig,
        data: DiffusionDataConfig,
        records: list[Record],
        cache: Path,
    ) -> None:
        super().__init__(learner, shown, objective, data, records, cache)
        self.control = learner

    def pipeline(self) -> Pipeline:
        """What draws the sheet: the model with the ControlNet as it is now."""
        pipeline = super().pipeline()
        pipeline.steered_by(self.control.network)
        return pipeline
