"""A run that goes on keeps what its steps mean; the rest may change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from safelight.data.collection import Record, fingerprint
from safelight.errors import BadInput
from safelight.training.engine import checkpoint
from safelight.training.engine.checkpoint import checkpoints, load_checkpoint
from safelight.training.engine.loop import train
from tests.data.shapes import records
from tests.training.tiny_tasks import PlainTask, clip_task, loop_config, run, stored


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    run(PlainTask(), loop_config(), tmp_path, stop=3)
    return tmp_path


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"batch_size": 2}, "loop.batch_size is 2, not 4"),
        ({"accumulate": 3}, "loop.accumulate is 3, not 1"),
        ({"seed": 7}, "loop.seed is 7, not 0"),
        ({"optimiser": "muon"}, "loop.optimiser is muon, not adamw"),
    ],
)
def test_a_setting_that_changes_what_a_step_means_is_refused_by_name(
    begun: Path, changes: dict[str, Any], said: str
) -> None:
    before = stored(begun)
    (name,) = changes
    with pytest.raises(BadInput) as error:
        train(PlainTask(), loop_config(**changes), begun)
    for words in (str(begun), said, f'loop.allow=["{name}"] goes on all the same'):
        assert words in str(error.value)
    assert stored(begun).keys() == before.keys()
    assert run(PlainTask(), loop_config(**changes, allow=(name,)), begun)[0].step == 4
    assert run(PlainTask(), loop_config(**changes, steps=9), begun)[0].step == 9  # those are its terms from now on


def test_all_that_changed_is_named_at_once(begun: Path) -> None:
    with pytest.raises(
        BadInput, match=r"loop.batch_size is 2, not 4; the data is another collection.*\"seed\", \"batch"
    ):
        train(PlainTask(size=11), loop_config(batch_size=2, seed=1, allow=("seed",)), begun)


def test_other_data_is_refused(begun: Path) -> None:
    with pytest.raises(BadInput, match=r'the data is another collection.*loop\.allow=\["data"\]'):
        train(PlainTask(size=11), loop_config(), begun)
    assert run(PlainTask(size=11), loop_config(allow=("data",)), begun)


def test_the_other_settings_may_change(begun: Path) -> None:
    free = {"steps": 12, "learning_rate": 1e-4, "save_every": 1, "evaluate_every": 2, "workers": 1, "keep": 3}
    taken = run(PlainTask(), loop_config(**free, precision="bf16", weight_decay=0.0, patience=1, warmup=0), begun)
    assert [step.step for step in taken] == list(range(4, 13))
    assert len(checkpoints(begun / "checkpoints")) == 3


def test_a_run_of_an_earlier_version_goes_on(begun: Path) -> None:
    (path,) = checkpoints(begun / "checkpoints")
    tensors, _ = load_checkpoint(path)
    checkpoint.save_file(tensors, path, {"facts": '{"step": 3}'})
    (begun / "log.jsonl").unlink()
    assert [step.step for step in run(PlainTask(), loop_config(seed=5), begun)] == [4, 5, 6, 7, 8]
    assert len((begun / "log.jsonl").read_text().splitlines()) == 5 + 1  # with the last evaluation


def test_the_fingerprint_tells_names_captions_and_order(tmp_path: Path) -> None:
    found = records()
    same = [Record(one.key, one.captions, {}, bytes) for one in found]
    assert fingerprint(found) == fingerprint(same)
    others = [
        found[1:],
        found[::-1],
        *([Record(*one, {}, bytes), *found[1:]] for one in (("x", ()), (found[0].key, ("x",)))),
    ]
    assert len({fingerprint(each) for each in (found, *others)}) == 5
    named, renamed = ([Record("x", (), {"concept": name, "size": 1}, bytes)] for name in ("cat", "dog"))
    assert fingerprint(named, ["size"]) == fingerprint(renamed, ["size"])
    assert fingerprint(named, ["concept"]) != fingerprint(renamed, ["concept"])
    training = [one for one in found if one.split == "train"]
    assert clip_task(tmp_path, found).fingerprint == fingerprint(training)
