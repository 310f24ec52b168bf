"""Our Inception against torch-fidelity's on the same random weights, and files that hold another network."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
import torch
from torch import Tensor

from safelight.errors import BadCheckpoint, BadInput
from safelight.evaluation.inception import Inception
from safelight.evaluation.inception_file import load_inception
from tests.evaluation.inception_weights import random_weights

# Some features of torch-fidelity 0.4.0's FeatureExtractorInceptionV3 with the weights of `random_weights`, of
# torch.randint(0, 256, (2, 3, 299, 299), dtype=torch.uint8) from a generator seeded with 1; ours were equal.
FIRST = [1.257178544998169, 0.0, 0.07747778296470642, 0.3356877267360687, 0.07780253887176514, 0.0173990149050951]
LAST = [0.15675973892211914, 0.0, 0.0, 0.16474248468875885]
SUMS = [581.14447021, 580.05914307]


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    return random_weights()


@pytest.fixture(scope="module")
def file(weights: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inception") / "pt_inception.pth"
    torch.save(weights, path)
    return path


def test_features_are_the_references(file: Path) -> None:
    pixels = torch.randint(0, 256, (2, 3, 299, 299), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    with torch.inference_mode():
        found = load_inception(file)((pixels.float() - 128) / 128)
    assert found.shape == (2, 2048)
    torch.testing.assert_close(found[0, :6], torch.tensor(FIRST), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(found[1, -4:], torch.tensor(LAST), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(found.sum(1), torch.tensor(SUMS), rtol=1e-4, atol=0)


def test_the_names_are_the_published_ones(weights: dict[str, Tensor]) -> None:
    assert sum(tensor.numel() for tensor in weights.values()) == 23_885_392 == _count(Inception())
    for name in (
        "Conv2d_1a_3x3.conv.weight",
        "Mixed_6b.branch7x7dbl_5.bn.running_var",
        "Mixed_7c.branch3x3_2b.bn.bias",
    ):
        assert name in weights


def test_counters_of_newer_versions_are_no_weights(weights: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save({**weights, "Mixed_5b.branch1x1.bn.num_batches_tracked": torch.tensor(3)}, tmp_path / "w.pth")
    load_inception(tmp_path / "w.pth")


def test_other_weights_are_refused(weights: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save({**weights, "fc.weight": torch.zeros(1000, 2048), "fc.bias": torch.zeros(1000)}, path)
    with pytest.raises(BadCheckpoint, match="tells 1000 classes; the Inception that FID is measured with tells 1008"):
        load_inception(path)
    torch.save({name: tensor for name, tensor in weights.items() if name != "Mixed_5b.branch1x1.conv.weight"}, path)
    with pytest.raises(BadCheckpoint, match=r"missing: Mixed_5b.branch1x1.conv.weight"):
        load_inception(path)


def test_a_program_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "inception-2015-12-05.pt", "w") as archive:
        archive.writestr("inception/data.pkl", b"\x80\x02}.")
        archive.writestr("inception/code/__torch__.py", "raise SystemExit")
    with pytest.raises(BadCheckpoint, match="is a TorchScript program"):
        load_inception(tmp_path / "inception-2015-12-05.pt")


def test_pictures_of_another_size() -> None:
    with pytest.raises(BadInput, match="reads 299 x 299"):
        Inception()(torch.zeros(1, 3, 64, 64))


def _count(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
