"""Fused, reshaped and transposed tensors: what is packed comes apart again, and where possible without a copy."""

import pytest
import torch

from safelight.weights.packing import PLAIN, POINTWISE, Packing


@pytest.mark.parametrize(
    "packing", [PLAIN, POINTWISE, Packing(heads=2, trailing=1), Packing(heads=4), Packing(transposed=True)]
)
@pytest.mark.parametrize("shape", [(8, 5), (8,)], ids=["weight", "bias"])
@pytest.mark.parametrize("count", [1, 3])
def test_what_is_packed_comes_apart_again(packing: Packing, shape: tuple[int, ...], count: int) -> None:
    pieces = [torch.randn(shape) for _ in range(count)]
    back = packing.unpack(packing.pack(pieces), count)
    assert all(torch.equal(one, other) for one, other in zip(pieces, back, strict=True))


def test_rows_stand_head_by_head() -> None:
    query, key, value = (torch.full((4, 2), number) + torch.arange(4.0)[:, None] for number in (10.0, 20.0, 30.0))
    packed = Packing(heads=2, trailing=1).pack([query, key, value])
    assert packed.shape == (12, 2, 1)
    assert packed[:, 0, 0].tolist() == [10, 11, 20, 21, 30, 31, 12, 13, 22, 23, 32, 33]


def test_a_transposed_matrix_of_several_is_not_mixed_up() -> None:
    matrix = torch.randn(4, 6)
    assert torch.equal(Packing(transposed=True).pack([matrix]), matrix.T)


@pytest.mark.parametrize(("packing", "count"), [(PLAIN, 1), (PLAIN, 3), (POINTWISE, 1), (Packing(transposed=True), 1)])
def test_taking_apart_copies_nothing(packing: Packing, count: int) -> None:
    theirs = packing.pack([torch.randn(8, 5) for _ in range(count)]).clone()
    start, end = theirs.data_ptr(), theirs.data_ptr() + theirs.nbytes
    assert all(start <= piece.data_ptr() < end for piece in packing.unpack(theirs, count))
