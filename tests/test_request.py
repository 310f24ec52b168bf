"""Every argument of a call is checked before any work, in one sentence that names the value and what is allowed."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy
import pytest

from safelight.errors import BadInput
from safelight.request import Request


@pytest.mark.parametrize("name", ["width", "height"])
@pytest.mark.parametrize("size", [0, -8, 4, 63, 8200, 10**30, True, 64.0, "64", float("nan")])
def test_sizes(name: str, size: Any) -> None:
    with pytest.raises(BadInput) as raised:
        Request(prompt="a", **{name: size})
    assert str(raised.value) == f"{name} is {size!r}; it must be a multiple of 8 from 8 to 8192 pixels."


@pytest.mark.parametrize("size", [8, 64, 8192])
def test_right_sizes(size: int) -> None:
    assert Request(prompt="a", width=size, height=size).width == size


@pytest.mark.parametrize(
    ("name", "values", "allowed"),
    [
        ("num_inference_steps", [0, -1, 1001, 2.0, True, "9", None], "a whole number from 1 to 1000"),
        ("num_images", [0, -1, 10_001, 1.0, True, None], "a whole number from 1 to 10000"),
        ("seed", [-1, 2**63, 1.0, True, "7"], f"a whole number from 0 to {2**63 - 1}"),
        ("strength", [-0.1, 1.1, float("nan"), float("inf"), "1", True], "a number from 0 to 1"),
        ("guidance_scale", [-1, 1001, float("nan"), float("-inf"), "7", None, 10**400], "a number from 0 to 1000"),
        ("guidance_rescale", [-1, 2, float("nan"), None], "a number from 0 to 1"),
        ("guidance_start", [-0.1, 1.1, None, True], "a number from 0 to 1"),
        ("guidance_end", [-0.1, 1.1, float("nan"), None, "1", True], "a number from 0 to 1"),
        ("image_guidance_scale", [-1, 1001, float("nan"), None, "1"], "a number from 0 to 1000"),
        ("class_label", [-1, 1.0, True, "7", 100_001], "a whole number from 0 to 100000"),
        ("noise_level", [-1, 1.0, True, "7"], "a whole number from 0 to 100000"),
    ],
)
def test_numbers(name: str, values: list[Any], allowed: str) -> None:
    for value in values:
        with pytest.raises(BadInput) as raised:
            Request(prompt="a", **{name: value})
        assert str(raised.value) == f"{name} is {value!r}; it must be {allowed}."


def test_the_ends_of_every_range_are_allowed() -> None:
    Request(prompt="a", num_inference_steps=1, seed=0, strength=0, guidance_scale=0, guidance_rescale=0, guidance_end=0)
    Request(prompt="a", num_inference_steps=1000, seed=2**63 - 1, strength=1, guidance_scale=1000, guidance_rescale=1)


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ([], "empty list"),
        ((), "empty list"),
        (None, "got NoneType"),
        (5, "got int"),
        (b"bytes", "got bytes"),
        ({"a": 1}, "got dict"),
        ((word for word in "ab"), "got generator"),
        (["a", 5], "prompt must be text, got int 5"),
        ([["a"]], "prompt must be text, got list"),
        ("\udcff", "no UTF-8"),
        (["a", "b\ud800"], "no UTF-8"),
    ],
)
def test_prompts(prompt: Any, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        Request(prompt=prompt)


@pytest.mark.parametrize("name", ["negative_prompt", "sampler", "grid"])
def test_texts(name: str) -> None:
    for value in (5, ["a"], "\udcff"):
        with pytest.raises(BadInput, match=name):
            Request(prompt="a", **{name: value})


@pytest.mark.parametrize("prompt", ["", "яблоко 苹果 🍎", "a" * 100_000, ["", ""], ("a", "b")])
def test_right_prompts(prompt: Any) -> None:
    request = Request(prompt=prompt, num_images=2)
    once = [prompt] if isinstance(prompt, str) else list(prompt)
    assert request.prompts == once
    assert request.picture_prompts == [text for text in once for _ in range(2)]


def test_an_unknown_argument_gets_the_nearest_name() -> None:
    with pytest.raises(BadInput, match=r"argument 'guidence_scale' is unknown\. Did you mean 'guidance_scale'"):
        Request.of("a", {"guidence_scale": 3})
    assert Request.of("a", {"guidance_scale": 3}) == Request(prompt="a", guidance_scale=3)


def test_a_request_is_checked_without_torch() -> None:
    code = "import sys, safelight.request; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_numbers_of_numpy_are_pythons_own() -> None:
    given = {"width": numpy.int64(64), "seed": numpy.uint8(3), "strength": numpy.float32(0.5), "num_images": 2}
    request = Request.of("a", given)
    assert [type(getattr(request, name)) for name in given] == [int, int, float, int]
    assert (request.width, request.seed, request.strength) == (64, 3, 0.5)


def test_guidance_that_ends_before_it_begins() -> None:
    with pytest.raises(BadInput, match=r"guidance_start is 0.5 and guidance_end 0.4; .* the end must not come first"):
        Request(prompt="a", guidance_start=0.5, guidance_end=0.4)
    assert Request(prompt="a", guidance_start=0.5, guidance_end=0.4, guidance_scale=1).guidance_start == 0.5
