"""What docs/adapters.md says works: its Python runs, one snippet after the other, on a small model."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import diffusers
import pytest
from PIL import Image
from weights.references import noise

from adapters.low_rank import kohya, layers, matrices, write

PAGE = (Path(__file__).parents[2] / "docs" / "adapters.md").read_text("utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_python_runs(number: int, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(model_folder, "model")
    unet = diffusers.UNet2DConditionModel.from_pretrained("model/unet")
    diffusers.ControlNetModel.from_unet(unet).save_pretrained("edges")
    write(Path("style.safetensors"), kohya(matrices(unet, layers(unet)), {}))
    write(Path("learned_embeds.safetensors"), {"<moon-toy>": noise(2, 32)})
    Image.new("RGB", (64, 64), "white").save("edges.png")
    code = SNIPPETS[number]
    exec(compile(code, f"docs/adapters.md, snippet {number + 1}", "exec"), {})


def test_there_are_snippets() -> None:
    assert len(SNIPPETS) == 4
