"""The one pipeline: from whatever a model of the family draws from, to pictures.

Here networks and diffusion meet. A task (tasks/) is another way to show the networks something, or another wrapper
around the denoiser; the loop is the same.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from safelight import __version__
from safelight.adapted import Adapted
from safelight.autoencoder.preview import latent_colours
from safelight.configs import Prediction
from safelight.diffusion.denoiser import as_denoiser
from safelight.diffusion.inpainting import inpainting
from safelight.diffusion.noise import generators, noise_source
from safelight.diffusion.plan import plan
from safelight.diffusion.side_by_side import side_by_side
from safelight.errors import BadInput
from safelight.images import Drawn, read_picture, to_picture
from safelight.opening import Averaging, fingerprint, is_bundled, open_model
from safelight.placement import Placement, placement_for
from safelight.recipe import Recipe
from safelight.request import DISTILLED, LARGEST_SEED, Request, check_size
from safelight.run import Run
from safelight.source import digest, open_map, open_source, picture_size
from safelight.tasks import TASKS, Drawing, Task, check_inputs
from safelight.weights import Parts, save_folder
from safelight.weights.parts import AnyAutoencoder


@dataclass(frozen=True)
class Result:
    """Finished pictures. Each carries its recipe in its `info`, and into a PNG when it is saved as one."""

    images: list[Image.Image]
    recipes: list[Recipe]


@dataclass(frozen=True)
class Step:
    """A step taken. latent, denoised: (b, c, h, w), scaled: the latent now, and the clean estimate that led to it."""

    index: int
    total: int
    latent: Tensor
    denoised: Tensor
    show: Callable[[Tensor], list[Image.Image]]

    def preview(self) -> list[Image.Image]:
        """Rough pictures of `denoised`, one pixel for each latent position; costs next to nothing."""
        return self.show(self.denoised)


class Pipeline(Adapted):
    """All parts of a model, and the way from a request to a picture.

    tokenizer, text_encoder, unet, autoencoder, schedule: each can be called, replaced or wrapped by its user.
    """

    def __init__(
        self,
        parts: Parts,
        *,
        placement: Placement | None = None,
        name: str = "",
        opened: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(parts, placement or placement_for("cpu", "float32"))
        self.name = name
        self.opened = dict(opened or {})  # how, by the arguments of `load`
        self._colours: tuple[AnyAutoencoder, Callable[[Tensor], Tensor]] | None = None

    @property
    def task(self) -> Task:
        """What the model draws from."""
        return TASKS[self.parts().task]

    @property
    def size(self) -> int:
        """The side in pixels of the pictures that the model was trained on, and draws by default."""
        return self.unet.config.sample_size * self.autoencoder.config.factor

    @property
    def usual(self) -> dict[str, Any]:
        """The defaults of a call that are this model's own: what its folder says, or few steps, if it is distilled.

        A distilled model's guidance is inside, and can be chosen only where the UNet is told it. The last level of a
        law with zero terminal signal-to-noise ratio is noise alone, where Karras' grid would spend most of its steps;
        such a model walks the trailing one (Lin et al. 2023, section 3.3).
        """
        found = DISTILLED.get(self.sampler or "")
        if found is None:
            grid = {"grid": "trailing"} if self.schedule.config.zero_terminal_snr else {}
            return {**grid, **self.suits}
        return found if self.unet.config.guidance_width else {**found, "guidance_scale": 1.0}

    def __call__(self, prompt: str | Sequence[str] = "", **options: Any) -> Result:
        """Draw pictures; the options, their units and defaults are the fields of `request.Request`.

        A model that was distilled to few steps has other defaults, `usual`. Raises BadInput, naming the value and what
        is allowed.
        """
        run = self.prepare(Request.of(prompt, {**self.usual, **options}))
        latent = None
        for step in self.steps(run):
            latent = step.latent
        return self.finish(run, latent)

    def stream(self, prompt: str | Sequence[str] = "", **options: Any) -> Iterator[Step]:
        """The same call as a generator that yields after each step; `decode` turns the last latent into pictures."""
        return self.steps(self.prepare(Request.of(prompt, {**self.usual, **options})))

    def prepare(self, request: Request) -> Run:
        """Settle what a request leaves open, and check it against this model."""
        task = self.task
        check_inputs(task, request, self)
        width, height = self._run_size(request, task)
        count = len(request.picture_prompts)
        seed = secrets.randbelow(2**32) if request.seed is None else request.seed
        if seed + count - 1 > LARGEST_SEED:
            raise BadInput(f"seed is {seed}; with {count} pictures it may be {LARGEST_SEED - count + 1} at most.")
        shrink = self.autoencoder.config.factor if task.enlarges else 1
        source = open_source(request.image, request.mask_image, width // shrink, height // shrink)
        strength = task.strength if request.strength is None else request.strength
        maps = {name: getattr(request, name) for name in ("depth_map", "semantic_map")}
        run = Run(
            request if task.guides else replace(request, guidance_scale=1.0),
            width,
            height,
            seed,
            source,
            plan(self.schedule, request.sampler, request.grid, request.num_inference_steps),
            1.0 if strength is None else strength,
            # A model that is shown the rest of the picture starts from noise alone where all of the hole is redrawn.
            source is not None and task.strength is not None and not (task.strength == 1 and strength == 1),
            {name: open_map(name, given, width, height) for name, given in maps.items() if given is not None},
            [read_picture(hint) for hint in request.control_images],
        )
        if run.total == 0 and run.strength > 0:
            steps = request.num_inference_steps
            raise BadInput(
                f"strength is {run.strength:g} of {steps} steps, which is no step at all; it must be 0, or at least "
                f"{1 / steps:.3g}, or take more steps."
            )
        if request.latents is not None:
            check_latents(request.latents, (count, *self._latent_shape(run)))
        return run

    @torch.inference_mode()  # as a decorator: between two steps the caller's own gradients are on
    def steps(self, run: Run) -> Iterator[Step]:
        """Walk the sampler's grid, one `Step` at a time."""
        if run.total == 0:
            return
        device, latents = self.placement.device, run.request.latents
        sources = generators(run.seeds)
        draw = noise_source(sources, self._latent_shape(run), device)
        start_noise = draw if latents is None else lambda: latents.to(device, torch.float32)
        sigmas = run.plan.sigmas[run.first_step :]
        networks, bind = self.controlled(run), self.task.bind
        denoiser = side_by_side(
            [
                as_denoiser(bind(networks, run, Drawing(prompt, one)), self.schedule, run.plan.timestep_of)
                for prompt, one in zip(run.request.picture_prompts, sources, strict=True)
            ]
        )
        if run.source is None or not run.starts_from_source:
            x = start_noise() * run.plan.start_scale
        else:
            found = self.encoded(run.source.image)  # its noise comes before the start noise, as in diffusers
            known = torch.cat([found.sample(one) for one in sources]) * self.autoencoder.config.scale
            noise = start_noise()
            x = known + noise * sigmas[0]
            if run.source.mask is not None:
                if run.strength == 1:  # nothing that the mask hides may shine through
                    x = noise * run.plan.start_scale
                mask = run.source.latent_mask(self.autoencoder.config.factor).to(known)
                denoiser = inpainting(denoiser, known, mask, noise)
        for step in run.plan.sampler(denoiser, x, sigmas, draw):
            yield Step(step.index, step.total, step.latent, step.denoised, self.preview)

    def decode(self, latent: Tensor) -> list[Image.Image]:
        """Scaled latents (b, c, h, w) -> pictures; one at a time, so that memory does not grow with their number."""
        with torch.inference_mode():
            unscaled = latent.to(self.placement.device) / self.autoencoder.config.scale
            return [to_picture(self.decoded(one[None])[0]) for one in unscaled]

    def preview(self, latent: Tensor) -> list[Image.Image]:
        """Scaled latents (b, c, h, w) -> rough pictures of w x h pixels, by a linear map from latent to colour."""
        if self._colours is None or self._colours[0] is not self.autoencoder:
            self._colours = self.autoencoder, latent_colours(self.autoencoder)
        return [to_picture(image) for image in self._colours[1](latent / self.autoencoder.config.scale)]

    def finish(self, run: Run, latent: Tensor | None) -> Result:
        """The pictures of a run from its last latent, recipes included; without a step taken, the source itself."""
        prompts = run.request.picture_prompts
        if latent is not None:
            images = self.decode(latent)
        elif run.source is not None:
            images = [run.source.picture] * len(prompts)
        else:
            raise BadInput("The run took no step; give num_inference_steps of at least 1.")
        if run.source is not None and run.source.mask is not None:
            images = [run.source.paste(image) for image in images]
        weights = fingerprint(self.parts())
        recipes = [self._recipe(run, seed, prompt, weights) for seed, prompt in zip(run.seeds, prompts, strict=True)]
        images = [Drawn.of(image, recipe.chunks()) for image, recipe in zip(images, recipes, strict=True)]
        return Result(images, recipes)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write all parts in the diffusers folder layout, which `safelight.load` and diffusers open."""
        save_folder(Path(folder), self.parts())

    def _run_size(self, request: Request, task: Task) -> tuple[int, int]:
        """Width and height in pixels: those asked for, the picture's, or the model's own."""
        factor = self.autoencoder.config.factor
        if task.enlarges:
            width, height = (factor * side for side in picture_size(request.image, self.size, 1))
            if (request.width or width, request.height or height) != (width, height):
                raise BadInput(
                    f"width and height are {request.width} and {request.height}; this model makes a picture {factor} "
                    f"times as large as the one given: {width} x {height}."
                )
            check_size("width", width, factor)
            check_size("height", height, factor)
            return width, height
        multiple = max(8, factor)
        given = [one for one in (request.image, request.depth_map, request.semantic_map) if one is not None]
        width, height = picture_size(given[0] if given and task.keeps_size else None, self.size, multiple)
        width, height = request.width or width, request.height or height
        check_size("width", width, multiple)
        check_size("height", height, multiple)
        return width, height

    def _latent_shape(self, run: Run) -> tuple[int, int, int]:
        factor = self.autoencoder.config.factor
        return self.autoencoder.config.latent_channels, run.height // factor, run.width // factor

    def _recipe(self, run: Run, seed: int, prompt: str, weights: str) -> Recipe:
        request, source = run.request, run.source
        return Recipe(
            prompt=prompt,
            negative_prompt=request.negative_prompt,
            width=run.width,
            height=run.height,
            num_inference_steps=request.num_inference_steps,
            guidance_scale=request.guidance_scale,
            guidance_rescale=request.guidance_rescale,
            guidance_start=request.guidance_start,
            guidance_end=request.guidance_end,
            sampler=request.sampler,
            grid=request.grid,
            seed=seed,
            strength=run.strength if run.starts_from_source else None,
            image=None if source is None else digest(source.picture),
            mask=None if source is None else digest(source.mask),
            inputs=self._inputs(run),
            own_latents=request.latents is not None,
            model=self.name,
            opened=self.opened,
            fingerprint=weights,
            dtype=self.placement.dtype_name,
            version=__version__,
        )

    def _inputs(self, run: Run) -> dict[str, str]:
        """What this model was shown beside text and picture, as text: digests of maps, numbers, boxes as JSON."""
        request = run.request
        shown: dict[str, object] = {name: digest(picture) for name, picture in run.maps.items()}
        shown |= {name: getattr(request, name) for name in ("class_label", "noise_level")}
        if request.boxes is not None:
            shown["boxes"] = json.dumps([asdict(box) for box in request.boxes])
        if self.parts().task == "instruction":
            shown["image_guidance_scale"] = request.image_guidance_scale
        if self.adapters:
            shown["adapters"] = json.dumps([adapter.as_text() for adapter in self.adapters])
        for number, hint in enumerate(run.control_images, 1):
            shown[f"control_image {number}"] = digest(hint)
        return {name: str(value) for name, value in shown.items() if value is not None}


def check_latents(latents: object, shape: tuple[int, ...]) -> None:
    """Raise BadInput unless `latents` is a tensor of finite numbers in that shape."""
    if not isinstance(latents, Tensor):
        raise BadInput(f"latents must be a torch tensor, got {type(latents).__name__}.")
    if tuple(latents.shape) != shape:
        raise BadInput(f"latents have the shape {tuple(latents.shape)}; this call needs {shape}.")
    if not bool(torch.isfinite(latents).all()):
        raise BadInput("latents hold NaN or infinite numbers; start noise is finite, of unit variance.")


def load(
    model: str | os.PathLike[str] | None = None,
    *,
    dtype: str | torch.dtype | None = None,
    device: str | torch.device | None = None,
    variant: str | None = None,
    prediction: Prediction | None = None,
    weights: Averaging = "averaged",
    autoencoder: str | os.PathLike[str] | None = None,
    text_encoder: str | os.PathLike[str] | None = None,
    unet: str | os.PathLike[str] | None = None,
    fast: bool = False,
) -> Pipeline:
    """Open a model: None is the bundled one; otherwise a folder in the diffusers layout, one file, an id on the hub.

    dtype: float32 (what None means for any but the bundled model), bfloat16, float16, or auto, the fastest that the
    device does well (what None means for the bundled one). device: cpu, cuda, ...; None is a GPU where there is one.
    variant: "fp16" reads the files of that name. prediction: "epsilon", "v" or "x0", where what a file says or seems to
    say is wrong. weights: "averaged" takes the moving averages that a training file has beside its "raw" weights.
    autoencoder (or a tiny decoder), text_encoder, unet: parts to use instead of the model's own, in a folder or a file.
    fast: draw in few steps, with the LoRA and the tiny decoder that the model has beside it for that, as the bundled
    one has.
    Raises BadInput for what is no model, BadCheckpoint for one that is damaged or does not fit together.
    """
    placement = placement_for(device, dtype or ("auto" if is_bundled(model) else None))
    parts, name = open_model(
        model,
        placement.dtype,
        variant=variant,
        prediction=prediction,
        weights=weights,
        autoencoder=autoencoder,
        text_encoder=text_encoder,
        unet=unet,
    )
    said = {
        "variant": variant,
        "prediction": prediction,
        "weights": None if weights == "averaged" else weights,
        "autoencoder": autoencoder,
        "text_encoder": text_encoder,
        "unet": unet,
    }
    opened = {word: os.fspath(value) for word, value in said.items() if value is not None}
    pipeline = Pipeline(parts, placement=placement, name=name, opened=opened)
    if fast:
        pipeline.add_few_steps()
    return pipeline
