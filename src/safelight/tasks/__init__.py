"""Tasks: what each kind of model is shown beside the noise, one file for each way of showing it.

A task binds a picture's inputs to the networks and returns a network of latent and timestep; the pipeline's loop is the
same for all of them.
"""

from safelight.tasks.registry import TASKS
from safelight.tasks.task import Drawing, Task, check_inputs

__all__ = ["TASKS", "Drawing", "Task", "check_inputs"]
