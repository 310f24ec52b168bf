"""The shape of the source tree: imports point one way, files stay short, names say something.

The table is the last section of docs/architecture.md; when one changes, so does the other.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "safelight"
FILES = sorted(SOURCE.rglob("*.py"))
LONGEST = 400  # lines
EMPTY_NAMES = {"utils", "util", "common", "helpers", "helper", "base", "misc"}

FOUNDATION = {"errors", "configs", "paths"}
NETWORKS = {"text", "autoencoder", "unet", "conditioning"}
PICTURES = {"images", "recipe", "request", "source"}
RUNNING = {"run", "networks", "adapted", "tasks", "opening"}
ATTACHED = {"weights", "adapters"}

# Each module or package directly under safelight/, and what it may import beside itself.
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "configs": {"errors"},
    "paths": {"errors"},
    "catalog": FOUNDATION,
    "images": FOUNDATION,
    "recipe": FOUNDATION,
    "request": FOUNDATION | {"recipe", "conditioning"},
    "source": FOUNDATION | {"images"},
    "placement": FOUNDATION,
    "layers": FOUNDATION,
    "diffusion": FOUNDATION,
    "text": FOUNDATION | {"layers"},
    "autoencoder": FOUNDATION | {"layers"},
    "unet": FOUNDATION | {"layers"},
    "conditioning": FOUNDATION | {"layers"},
    "weights": FOUNDATION | NETWORKS | {"layers", "catalog", "diffusion"},
    "adapters": FOUNDATION | NETWORKS | {"layers", "catalog", "placement", "weights"},
    "run": FOUNDATION | PICTURES | {"diffusion"},
    "networks": FOUNDATION | NETWORKS | {"diffusion", "placement", "weights"},
    "adapted": FOUNDATION | {"adapters", "autoencoder", "images", "networks", "placement", "run", "weights"},
    "tasks": FOUNDATION | NETWORKS | PICTURES | {"layers", "diffusion", "weights", "networks", "run"},
    "converting": FOUNDATION | NETWORKS | ATTACHED | {"catalog", "opening"},
    "merging": FOUNDATION | ATTACHED | {"converting", "opening"},
    "single_part": FOUNDATION | NETWORKS | {"weights"},
    "opening": FOUNDATION | NETWORKS | ATTACHED | {"catalog", "single_part"},
    "pipeline": FOUNDATION | NETWORKS | ATTACHED | PICTURES | RUNNING | {"layers", "catalog", "diffusion", "placement"},
    "data": FOUNDATION | {"images"},
    "evaluation": FOUNDATION | NETWORKS | {"layers", "data", "images", "placement", "weights"},
    "training": FOUNDATION
    | NETWORKS
    | ATTACHED
    | {"layers", "catalog", "data", "diffusion", "evaluation", "images", "opening", "placement", "pipeline"},
}
ANYTHING = {"__init__", "__main__", "apps"}  # the way in: these may import all of it, and nothing imports them
KNOWN = {*MAY_IMPORT, *ANYTHING}


def place(name: str) -> str:
    """`safelight.unet.levels` -> `unet`; `safelight` itself is `__init__`."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def name_of(file: Path) -> str:
    """The dotted name of a module's file."""
    parts = file.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(tree: ast.AST, package: str) -> Iterator[str]:
    """Every dotted name under safelight that a module imports, wherever in the file the import stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: 1 - node.level or None] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            # `from safelight import unet` names a module; anybody may ask for the version.
            names = [f"{origin}.{alias.name}" for alias in node.names] if origin == "safelight" else [origin]
        else:
            continue
        for name in names:
            if name.split(".")[0] == "safelight" and name != "safelight.__version__":
                yield name if place(name) in KNOWN else "safelight"


def wrong_imports(name: str, package: str, text: str) -> list[str]:
    """What a module imports against the table."""
    home = place(name)
    if home in ANYTHING:
        return []
    allowed = MAY_IMPORT[home] | {home}
    return sorted({target for target in imported(ast.parse(text), package) if place(target) not in allowed})


def test_every_part_is_in_the_table() -> None:
    parts = {place(name_of(file)) for file in FILES}
    assert parts <= KNOWN, f"say in MAY_IMPORT what these may import: {sorted(parts - KNOWN)}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_imports_point_one_way(file: Path) -> None:
    name = name_of(file)
    package = name if file.stem == "__init__" else name.rpartition(".")[0]
    assert not wrong_imports(name, package, file.read_text(encoding="utf-8")), "see docs/architecture.md"


def test_the_table_has_no_circle() -> None:
    left = dict(MAY_IMPORT)
    while ready := {name for name, targets in left.items() if not targets & left.keys()}:
        left = {name: targets for name, targets in left.items() if name not in ready}
    assert not left


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("safelight.unet.unet", "from safelight.diffusion.grids import karras"),
        ("safelight.unet.unet", "from safelight import diffusion"),
        ("safelight.unet.unet", "import safelight.text.clip"),
        ("safelight.unet.unet", "from ..diffusion import grids"),
        ("safelight.unet.unet", "def f():\n    from safelight.pipeline import load"),
        ("safelight.diffusion.grids", "if TYPE_CHECKING:\n    from safelight.unet import UNet"),
        ("safelight.diffusion.grids", "from safelight.layers.attention import Attention"),
        ("safelight.configs", "from safelight import load"),
        ("safelight.pipeline", "from safelight.apps.cli import main"),
        ("safelight.pipeline", "import safelight"),
    ],
)
def test_a_wrong_import_is_seen(module: str, line: str) -> None:
    assert wrong_imports(module, module.rpartition(".")[0], line)


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("safelight.unet.unet", "from safelight.layers.attention import Attention"),
        ("safelight.unet.unet", "from .levels import Level"),
        ("safelight.recipe", "from safelight import __version__"),
        ("safelight.apps.cli", "import safelight"),
        ("safelight.training.diffusion", "from safelight.diffusion.denoiser import Denoiser"),
    ],
)
def test_a_right_import_passes(module: str, line: str) -> None:
    assert not wrong_imports(module, module.rpartition(".")[0], line)


def test_files_are_short() -> None:
    lengths = {str(file.relative_to(SOURCE)): len(file.read_text(encoding="utf-8").splitlines()) for file in FILES}
    assert not {name: length for name, length in lengths.items() if length > LONGEST}


def test_names_say_something() -> None:
    parts = {part for file in FILES for part in file.relative_to(SOURCE).with_suffix("").parts}
    assert not {part for part in parts if part.strip("_") in EMPTY_NAMES}


def test_every_folder_of_modules_is_a_package() -> None:
    # setuptools leaves a folder without __init__.py out of what people install
    folders = {file.parent for file in FILES}
    assert not [str(folder) for folder in folders if not (folder / "__init__.py").exists()]
