"""`import safelight` and the first words of the command line are quick, because they load no torch."""

import importlib.util
import subprocess
import sys

import pytest

import safelight

HEAVY = {"torch", "numpy", "PIL", "tokenizers", "safetensors", "diffusers", "transformers"}


def packages_loaded_by(code: str, *arguments: str) -> set[str]:
    """The packages that a new interpreter imports while it runs some code."""
    command = [sys.executable, "-X", "importtime", "-c", code, *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-2000:]
    lines = [line for line in ended.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}


def test_heavy_packages_are_noticed() -> None:
    assert packages_loaded_by("import safelight.errors, numpy") & HEAVY == {"numpy"}


def test_import_is_light() -> None:
    assert not packages_loaded_by("import safelight; safelight.BadInput; dir(safelight)") & HEAVY


@pytest.mark.skipif(not importlib.util.find_spec("safelight.apps.cli"), reason="the command line is not written yet")
def test_help_is_light() -> None:
    assert "torch" not in packages_loaded_by("from safelight.apps.cli import main; raise SystemExit(main())", "--help")


@pytest.mark.skipif(not importlib.util.find_spec("safelight.pipeline"), reason="the pipeline is not written yet")
def test_every_public_name_is_found() -> None:
    assert not [name for name in safelight.__all__ if not hasattr(safelight, name)]


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'laod'"):
        safelight.laod  # noqa: B018
