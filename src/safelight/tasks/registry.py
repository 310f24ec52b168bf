"""Every task by the name that `Parts.task` gives."""

from __future__ import annotations

from safelight.configs import TaskName
from safelight.tasks.depth import from_depth
from safelight.tasks.inpainting import from_hole, from_hole_and_text
from safelight.tasks.instruction import from_instruction
from safelight.tasks.labels import from_boxes, from_class, from_map, from_nothing
from safelight.tasks.task import Task
from safelight.tasks.text import from_text
from safelight.tasks.upscaling import from_small_picture, from_small_picture_and_text
from safelight.tasks.variation import from_meaning

TASKS: dict[TaskName, Task] = {
    "text": Task(does="draws from text", bind=from_text, takes=("image", "mask_image"), strength=0.75),
    "inpainting": Task(
        does="redraws a part of a picture from text",
        bind=from_hole_and_text,
        needs=("image", "mask_image"),
        strength=1.0,
    ),
    "filling": Task(
        does="redraws a part of a picture",
        bind=from_hole,
        needs=("image", "mask_image"),
        reads_text=False,
        strength=1.0,
        guides=False,
    ),
    "depth": Task(
        does="draws from text and a depth map",
        bind=from_depth,
        needs=("depth_map",),
        takes=("image", "mask_image"),
        strength=0.75,
    ),
    "instruction": Task(does="changes a picture as a text says", bind=from_instruction, needs=("image",)),
    "upscaling": Task(
        does="enlarges a picture with the help of a text",
        bind=from_small_picture_and_text,
        needs=("image",),
        takes=("noise_level",),
        enlarges=True,
    ),
    "variation": Task(
        does="varies a picture", bind=from_meaning, needs=("image",), takes=("noise_level",), keeps_size=False
    ),
    "unconditional": Task(
        does="draws what it was trained on",
        bind=from_nothing,
        takes=("image", "mask_image"),
        reads_text=False,
        strength=0.75,
        guides=False,
    ),
    "class": Task(
        does="draws a thing of a class",
        bind=from_class,
        needs=("class_label",),
        takes=("image", "mask_image"),
        reads_text=False,
        strength=0.75,
    ),
    "layout": Task(
        does="draws labelled boxes",
        bind=from_boxes,
        needs=("boxes",),
        takes=("image", "mask_image"),
        reads_text=False,
        strength=0.75,
        guides=False,
    ),
    "semantic": Task(
        does="draws a map of labels", bind=from_map, needs=("semantic_map",), reads_text=False, guides=False
    ),
    "restoration": Task(
        does="enlarges a picture",
        bind=from_small_picture,
        needs=("image",),
        reads_text=False,
        guides=False,
        enlarges=True,
    ),
}
