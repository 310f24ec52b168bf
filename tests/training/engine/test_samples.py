"""Samples that cannot be read: replaced, told once, counted, and too many of them stop the run."""

from __future__ import annotations

import json
import logging
from collections import Counter
from pathlib import Path
from random import Random

import pytest
import torch

from safelight.data.record import BadSample
from safelight.errors import BadInput
from safelight.training.engine.stream import batches
from tests.training.tiny_tasks import PlainTask, loop_config, run

torch.set_num_threads(1)


class Spoilt(PlainTask):
    """Some of its samples cannot be read."""

    def __init__(self, bad: set[int], size: int = 10) -> None:
        super().__init__(size)
        self.bad = bad

    def sample(self, index: int, random: Random) -> torch.Tensor:
        if index in self.bad:
            raise BadSample(f"The picture of sample 'n{index}' cannot be read.")
        return super().sample(index, random)


def lines(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_a_bad_sample_is_replaced_told_once_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    task = Spoilt({3, 7})
    with caplog.at_level(logging.WARNING, "safelight.training.engine.samples"):
        taken = run(task, loop_config(steps=10, bad_share=1.0), tmp_path)
    told = [record.message for record in caplog.records if "Another sample takes its place" in record.message]
    assert sorted(told) == [
        f"The picture of sample 'n{n}' cannot be read. Another sample takes its place." for n in (3, 7)
    ]
    assert len(task.seen) == 40
    assert not {3, 7} & set(task.seen)
    # Each epoch of ten draws both; what replaces one may be bad as well.
    assert sum(step.figures.get("bad", 0) for step in taken) >= 2 * 4
    assert all(step.figures.get("bad", 1) > 0 for step in taken)
    assert [step.figures.get("bad") for step in taken] == [
        line.get("training/bad") for line in lines(tmp_path) if "training/loss" in line
    ]


@pytest.mark.parametrize("workers", [0, 2])
def test_what_replaces_it_follows_from_the_seed(tmp_path: Path, workers: int) -> None:
    config = loop_config(steps=10, bad_share=1.0, workers=workers)
    run(Spoilt({3, 7}), loop_config(steps=10, bad_share=1.0), tmp_path / "whole")
    run(Spoilt({3, 7}), config, tmp_path / "parts", stop=4)
    run(Spoilt({3, 7}), config, tmp_path / "parts")
    assert (tmp_path / "whole" / "log.jsonl").read_bytes() == (tmp_path / "parts" / "log.jsonl").read_bytes()


def test_good_samples_stay_where_they_were(tmp_path: Path) -> None:
    good, spoilt = PlainTask(), Spoilt({3})
    for task in (good, spoilt):
        list(batches(task, loop_config(bad_share=1.0), 0))
    assert [mine for mine, other in zip(spoilt.seen, good.seen, strict=True) if other != 3] == [
        other for other in good.seen if other != 3
    ]


@pytest.mark.parametrize(("bad", "share"), [({1, 4, 5}, 0.05), (set(range(10)), 0.9)])
def test_too_many_stop_the_run_with_a_sentence(tmp_path: Path, bad: set[int], share: float) -> None:
    with pytest.raises(BadInput) as error:
        run(Spoilt(bad), loop_config(steps=100, bad_share=share), tmp_path)
    said = str(error.value)
    for words in ("samples drawn so far", f"loop.bad_share is {share:g}", "sample 'n", "`safelight data check`"):
        assert words in said
    assert "\n" not in said


def test_a_few_bad_ones_by_chance_stop_nothing(tmp_path: Path) -> None:
    assert len(run(Spoilt({3}, size=10), loop_config(steps=20, bad_share=0.0, batch_size=1), tmp_path)) == 20
    many = Spoilt({3}, size=100)  # one in a hundred
    assert len(run(many, loop_config(steps=150, batch_size=8), tmp_path / "many")) == 150


class Bucketed(PlainTask):
    """Its samples differ in shape, by their bucket."""

    def __init__(self) -> None:
        super().__init__(size=23)
        self.buckets = [index % 3 if index > 3 else 7 for index in range(23)]

    def sample(self, index: int, random: Random) -> torch.Tensor:
        self.seen.append(index)
        side = 4 + self.buckets[index]
        return torch.full((2, side, side), float(index))


def test_every_batch_is_of_one_bucket_and_every_sample_is_seen_each_epoch() -> None:
    task = Bucketed()
    counts = Counter(task.buckets)
    batches_each = sum(-(-count // 4) for count in counts.values())
    found = [batch.samples[:, 0, 0, 0].tolist() for batch in batches(task, loop_config(steps=3 * batches_each), 0)]
    epochs = [found[start : start + batches_each] for start in range(0, len(found), batches_each)]
    for epoch in epochs:
        assert {index for batch in epoch for index in batch} == set(range(23))
        assert all(len({task.buckets[int(index)] for index in batch}) == 1 for batch in epoch)
        assert all(len(set(batch)) == 4 for batch in epoch if counts[task.buckets[int(batch[0])]] >= 4)
        seen = Counter(int(index) for batch in epoch for index in batch)
        assert max(seen.values()) == 2  # what fills a batch up; no sample a third time
    orders = [tuple(task.buckets[int(batch[0])] for batch in epoch) for epoch in epochs]
    assert len(set(orders)) > 1
    assert epochs[0] != epochs[1]


def test_buckets_resume_and_a_bad_sample_is_replaced_from_its_own(tmp_path: Path) -> None:
    class SpoiltBuckets(Bucketed):
        def sample(self, index: int, random: Random) -> torch.Tensor:
            if index in (5, 8):
                raise BadSample(f"The picture of sample 'n{index}' cannot be read.")
            return super().sample(index, random)

    config = loop_config(steps=12, bad_share=1.0)
    run(SpoiltBuckets(), config, tmp_path / "whole")
    run(SpoiltBuckets(), config, tmp_path / "parts", stop=7)
    run(SpoiltBuckets(), config, tmp_path / "parts")
    assert (tmp_path / "whole" / "log.jsonl").read_bytes() == (tmp_path / "parts" / "log.jsonl").read_bytes()
    assert any("training/bad" in line for line in lines(tmp_path / "whole"))


class OneAlone(Spoilt):
    """Of its two shapes one has a single sample, and that is bad."""

    def __init__(self) -> None:
        super().__init__({0}, size=100)
        self.buckets = [0] + [1] * 99


def test_where_all_of_a_shape_are_bad_the_next_batch_stands_in() -> None:
    task = OneAlone()
    found = list(batches(task, loop_config(steps=80, batch_size=4, bad_share=0.05), 0))
    assert len(found) == 80
    assert all(len(batch.samples) == 4 for batch in found)
    assert 0 not in task.seen
    assert sum(batch.bad > 0 for batch in found) >= 2  # once an epoch of 26 batches
