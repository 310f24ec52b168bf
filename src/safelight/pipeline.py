"""The one pipeline: text to image, image to image and inpainting, with the parts of any model of the family.

Here networks and diffusion meet. A task is another start or another wrapper around the denoiser; the loop is the same.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Generator, Tensor

from safelight import __version__
from safelight.autoencoder.kl import DiagonalGaussian
from safelight.autoencoder.preview import latent_colours
from safelight.diffusion.denoiser import Denoiser, as_denoiser
from safelight.diffusion.guidance import guided
from safelight.diffusion.inpainting import inpainting
from safelight.diffusion.noise import generators, noise_source
from safelight.diffusion.plan import Plan, plan
from safelight.diffusion.schedule import Schedule
from safelight.diffusion.side_by_side import side_by_side
from safelight.errors import BadInput
from safelight.images import Drawn, to_picture
from safelight.placement import Placement, placement_for, run_in_half, use_fast_layout
from safelight.recipe import Recipe
from safelight.request import LARGEST_SEED, Request, check_size
from safelight.source import Source, digest, open_source, picture_size
from safelight.text.prompt import encode_prompts
from safelight.weights import Parts, check_fit, open_folder, save_folder

BUNDLED = Path(__file__).parent / "bundled"


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


@dataclass(frozen=True)
class Run:
    """A request made ready for one model: its size, seeds and pictures are settled."""

    request: Request
    width: int
    height: int
    seed: int
    source: Source | None
    plan: Plan

    @property
    def first_step(self) -> int:
        """How many steps of the grid are left out: none from noise, (1 - strength) of them from a picture."""
        if self.source is None:
            return 0
        steps = self.request.num_inference_steps
        return steps - min(int(steps * self.request.strength), steps)

    @property
    def total(self) -> int:
        """How many steps will be taken."""
        return len(self.plan.sigmas) - 1 - self.first_step

    @property
    def seeds(self) -> list[int]:
        """The seed of each picture."""
        return [self.seed + i for i in range(len(self.request.picture_prompts))]


class Pipeline:
    """All parts of a model, and the way from a prompt to a picture.

    tokenizer, text_encoder, unet, autoencoder, schedule: each can be called, replaced or wrapped by its user.
    """

    def __init__(self, parts: Parts, *, placement: Placement | None = None, name: str = "") -> None:
        check_fit(parts)
        self.placement = placement or placement_for("cpu", "float32")
        device, dtype = self.placement.device, self.placement.dtype
        self.name = name
        self.tokenizer = parts.tokenizer
        self.text_encoder = parts.text_encoder.to(device, dtype).eval()
        self.unet = use_fast_layout(parts.unet.to(device, dtype).eval())
        self.autoencoder = use_fast_layout(parts.autoencoder.to(device, dtype).eval())
        self.schedule = Schedule(parts.schedule)
        self._colours: Callable[[Tensor], Tensor] | None = None

    @property
    def size(self) -> int:
        """The side in pixels of the pictures that the model was trained on, and draws by default."""
        return self.unet.config.sample_size * self.autoencoder.config.factor

    def __call__(self, prompt: str | Sequence[str], **options: Any) -> Result:
        """Draw pictures; the options, their units and defaults are the fields of `request.Request`.

        Raises BadInput, naming the value and what is allowed.
        """
        run = self.prepare(Request.of(prompt, options))
        latent = None
        for step in self.steps(run):
            latent = step.latent
        return self.finish(run, latent)

    def stream(self, prompt: str | Sequence[str], **options: Any) -> Iterator[Step]:
        """The same call as a generator that yields after each step; `decode` turns the last latent into pictures."""
        return self.steps(self.prepare(Request.of(prompt, options)))

    def prepare(self, request: Request) -> Run:
        """Settle what a request leaves open, and check it against this model."""
        channels, wanted = self.unet.config.in_channels, self.autoencoder.config.latent_channels
        if channels != wanted:
            raise BadInput(
                f"This UNet takes {channels} channels; drawing from a prompt alone needs one that takes {wanted}."
            )
        multiple = max(8, self.autoencoder.config.factor)
        width, height = picture_size(request.image, self.size, multiple)
        width, height = request.width or width, request.height or height
        check_size("width", width, multiple)
        check_size("height", height, multiple)
        count = len(request.picture_prompts)
        seed = secrets.randbelow(2**32) if request.seed is None else request.seed
        if seed + count - 1 > LARGEST_SEED:
            raise BadInput(f"seed is {seed}; with {count} pictures it may be {LARGEST_SEED - count + 1} at most.")
        run = Run(
            request,
            width,
            height,
            seed,
            open_source(request.image, request.mask_image, width, height),
            plan(self.schedule, request.sampler, request.grid, request.num_inference_steps),
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
        denoiser = self._denoiser(run)
        if run.source is None:
            x = start_noise() * run.plan.start_scale
        else:
            known = self._encode(run.source, sources)  # its noise comes before the start noise, as in diffusers
            noise = start_noise()
            x = known + noise * sigmas[0]
            if run.source.mask is not None:
                mask = run.source.latent_mask(self.autoencoder.config.factor).to(known)
                denoiser = inpainting(denoiser, known, mask, noise)
        for step in run.plan.sampler(denoiser, x, sigmas, draw):
            yield Step(step.index, step.total, step.latent, step.denoised, self.preview)

    def decode(self, latent: Tensor) -> list[Image.Image]:
        """Scaled latents (b, c, h, w) -> pictures; one at a time, so that memory does not grow with their number."""
        with torch.inference_mode():
            unscaled = latent.to(self.placement.device) / self.autoencoder.config.scale
            return [to_picture(self._decode_one(one[None])[0]) for one in unscaled]

    def preview(self, latent: Tensor) -> list[Image.Image]:
        """Scaled latents (b, c, h, w) -> rough pictures of w x h pixels, by a linear map from latent to colour."""
        if self._colours is None:
            self._colours = latent_colours(self.autoencoder)
        return [to_picture(image) for image in self._colours(latent / self.autoencoder.config.scale)]

    def finish(self, run: Run, latent: Tensor | None) -> Result:
        """The pictures of a run from its last latent, recipes included; without a step taken, the source itself."""
        prompts = run.request.picture_prompts
        if latent is not None:
            images = self.decode(latent)
        elif run.source is not None:
            images = [run.source.picture] * len(prompts)
        else:
            raise BadInput("The run took no step; give num_inference_steps of at least 1.")
        if run.source is not None:
            images = [run.source.paste(image) for image in images]
        weights = fingerprint(self.parts())
        recipes = [self._recipe(run, seed, prompt, weights) for seed, prompt in zip(run.seeds, prompts, strict=True)]
        images = [Drawn.of(image, recipe.chunks()) for image, recipe in zip(images, recipes, strict=True)]
        return Result(images, recipes)

    def parts(self) -> Parts:
        """The parts as they are now."""
        return Parts(self.tokenizer, self.text_encoder, self.unet, self.autoencoder, self.schedule.config)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write all parts in the diffusers folder layout, which `safelight.load` and diffusers open."""
        save_folder(Path(folder), self.parts())

    def _denoiser(self, run: Run) -> Denoiser:
        """D for the batch: each picture has its own, guided by its own prompt, and runs alone."""
        request = run.request
        # Without guidance nothing reads the negative prompt; a long one would only draw out the context.
        negative_prompt = "" if request.guidance_scale == 1 else request.negative_prompt
        contexts = {text: self._contexts(text, negative_prompt) for text in dict.fromkeys(request.prompts)}
        denoisers = []
        for prompt in request.picture_prompts:
            unconditional, conditioning = contexts[prompt]
            network = guided(
                self._predict, conditioning, unconditional, request.guidance_scale, request.guidance_rescale
            )
            denoisers.append(as_denoiser(network, self.schedule, run.plan.timestep_of))
        return side_by_side(denoisers)

    def _contexts(self, prompt: str, negative_prompt: str) -> tuple[Tensor, Tensor]:
        """The vectors of the negative prompt and of the prompt, (1, n, d) each."""
        both = run_in_half(
            self.text_encoder,
            lambda: encode_prompts([negative_prompt, prompt], self.tokenizer, self.text_encoder),
            "text encoder",
        )
        return both[:1], both[1:]

    def _predict(self, latent: Tensor, timestep: Tensor, context: Tensor) -> Tensor:
        def call() -> Tensor:
            dtype = self.unet.conv_in.weight.dtype
            fast = latent.to(dtype).contiguous(memory_format=torch.channels_last)
            return self.unet(fast, timestep, context.to(dtype))

        return run_in_half(self.unet, call, "UNet").float()

    def _decode_one(self, unscaled: Tensor) -> Tensor:
        def call() -> Tensor:
            return self.autoencoder.decode(unscaled.to(self.autoencoder.latent_in.weight.dtype))

        return run_in_half(self.autoencoder, call, "autoencoder").float()

    def _encode(self, source: Source, sources: list[Generator]) -> Tensor:
        """The source's scaled latent, sampled for each picture from its own generator: (b, c, h, w)."""

        def call() -> Tensor:
            image = source.image.to(self.placement.device, self.autoencoder.latent_in.weight.dtype)
            found = self.autoencoder.encode(image)
            return torch.stack([found.mean, found.log_variance])

        mean, log_variance = run_in_half(self.autoencoder, call, "autoencoder").float()
        distribution = DiagonalGaussian(mean, log_variance)
        return torch.cat([distribution.sample(one) for one in sources]) * self.autoencoder.config.scale

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
            sampler=request.sampler,
            grid=request.grid,
            seed=seed,
            strength=None if source is None else request.strength,
            image=None if source is None else digest(source.picture),
            mask=None if source is None else digest(source.mask),
            own_latents=request.latents is not None,
            model=self.name,
            fingerprint=weights,
            dtype=self.placement.dtype_name,
            version=__version__,
        )


def check_latents(latents: object, shape: tuple[int, ...]) -> None:
    """Raise BadInput unless `latents` is a tensor of finite numbers in that shape."""
    if not isinstance(latents, Tensor):
        raise BadInput(f"latents must be a torch tensor, got {type(latents).__name__}.")
    if tuple(latents.shape) != shape:
        raise BadInput(f"latents have the shape {tuple(latents.shape)}; this call needs {shape}.")
    if not bool(torch.isfinite(latents).all()):
        raise BadInput("latents hold NaN or infinite numbers; start noise is finite, of unit variance.")


def fingerprint(parts: Parts) -> str:
    """A short name for the weights: a hash of samples of every tensor, quick even for large models."""
    hashed = hashlib.sha256()
    for network in (parts.text_encoder, parts.unet, parts.autoencoder):
        for name, tensor in network.state_dict().items():
            hashed.update(f"{name}{tuple(tensor.shape)}".encode())
            hashed.update(tensor.flatten()[:4].float().cpu().numpy().tobytes())
    return hashed.hexdigest()[:16]


def is_bundled(model: str | os.PathLike[str] | None) -> bool:
    """Whether that names the model inside the package; "./bundled" names a folder."""
    return model is None or model == "bundled"


def open_model(model: str | os.PathLike[str] | None) -> tuple[Parts, str]:
    """The parts and the name of a model: None is the bundled one, otherwise a folder in the diffusers layout."""
    if model is None or is_bundled(model):
        return open_folder(BUNDLED), "bundled"
    folder = Path(model)
    if not folder.is_dir():
        raise BadInput(f"model {str(model)!r} is no folder; give a folder in the diffusers layout, or 'bundled'.")
    return open_folder(folder), folder.resolve().name


def load(
    model: str | os.PathLike[str] | None = None,
    *,
    dtype: str | torch.dtype | None = None,
    device: str | torch.device | None = None,
) -> Pipeline:
    """Open a model: None is the bundled one, otherwise a folder in the diffusers layout.

    dtype: float32 (what None means for a folder), bfloat16, float16, or auto, the fastest that the device does well
    (what None means for the bundled model). device: cpu, cuda, ...; None is a GPU where there is one.
    Raises BadInput for what is no model, BadCheckpoint for one that is damaged or does not fit together.
    """
    placement = placement_for(device, dtype or ("auto" if is_bundled(model) else None))
    parts, name = open_model(model)
    return Pipeline(parts, placement=placement, name=name)
