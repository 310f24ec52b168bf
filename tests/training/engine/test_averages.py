"""Several averages of the weights at once: each checkpointed, evaluated and exported under its own name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from safelight.errors import BadInput
from safelight.training.engine.checkpoint import checkpoints, load_checkpoint
from safelight.weights.files import write_tensors
from tests.training.tiny_tasks import PlainTask, loop_config, run, stored

torch.set_num_threads(1)


class Written(PlainTask):
    """Exports a file."""

    def export(self, folder: Path) -> None:
        write_tensors(folder / "model.safetensors", dict(self.network.named_parameters()))


def test_each_average_is_kept_evaluated_and_exported(tmp_path: Path) -> None:
    config = loop_config(more_averages=(0.2, 0.9999), evaluate_every=4)
    taken = run(Written(), config, tmp_path)
    tensors = stored(tmp_path)
    for name, folder in (("average", "."), ("average@0.2", "averages/0.2"), ("average@0.9999", "averages/0.9999")):
        exported = load_file(tmp_path / folder / "model.safetensors")
        assert exported
        assert all(torch.equal(tensor, tensors[f"{name}/{path}"]) for path, tensor in exported.items())
    first = {name: float(tensors[f"{name}/0.weight"].flatten()[0]) for name in ("average", "average@0.2")}
    assert taken[-1].figures["first"] == pytest.approx(first["average"])
    assert taken[-1].figures["first@0.2"] == pytest.approx(first["average@0.2"])
    assert not torch.equal(tensors["average/0.weight"], tensors["average@0.2/0.weight"])
    last = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
    assert {"held-out/first", "held-out/first@0.2", "held-out/first@0.9999"} < last.keys()
    assert len(list((tmp_path / "sheets").iterdir())) == 2


def test_more_averages_change_nothing_else_and_resume_exactly(tmp_path: Path) -> None:
    run(PlainTask(), loop_config(), tmp_path / "one")
    several = loop_config(more_averages=(0.5, 0.9999))
    run(PlainTask(), several, tmp_path / "whole")
    run(PlainTask(), several, tmp_path / "parts", stop=3)
    run(PlainTask(), several, tmp_path / "parts")
    whole = stored(tmp_path / "whole")
    assert all(torch.equal(tensor, whole[name]) for name, tensor in stored(tmp_path / "one").items())
    parts = stored(tmp_path / "parts")
    assert [name for name in whole if not torch.equal(whole[name], parts[name])] == []


def test_an_average_that_a_run_did_not_have_begins_as_the_one_it_had(tmp_path: Path) -> None:
    run(PlainTask(), loop_config(), tmp_path, stop=3)
    before = stored(tmp_path)
    run(PlainTask(), loop_config(more_averages=(1.0,)), tmp_path, stop=4)
    (_, path) = checkpoints(tmp_path / "checkpoints")
    after, _ = load_checkpoint(path)
    weight = (1 + 4) / (10 + 4)  # of the average, while a run is young
    expected = weight * before["average/0.weight"] + (1 - weight) * after["weights/0.weight"]
    torch.testing.assert_close(after["average@1.0/0.weight"], expected)


@pytest.mark.parametrize("wrong", [(1.5,), (0.9, 0.9), (0.999,)])
def test_wrong_decays_are_named(wrong: tuple[float, ...]) -> None:
    with pytest.raises(BadInput, match=rf"loop\.more_averages\[\d\] is {wrong[-1]}; it must be from 0 to 1"):
        loop_config(more_averages=wrong)
