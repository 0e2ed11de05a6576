"""Inputs side by side: the same output and gradients as one product, and none where none is needed."""

import pytest
import torch
from torch.nn.functional import linear

from gmeta_worker.layers.inputs import LayerInput


@pytest.mark.parametrize(
    ("needs", "varying"),
    [
        ((True, True, True), None),
        ((False, False, False), None),
        ((True, True, False), 5),
        ((True, False, False), 2),
        ((True, False, True), None),
        ((False, True, True), None),
    ],
)
def test_a_product_of_parts_is_that_of_the_whole(needs: tuple[bool, ...], varying: int | None) -> None:
    draw = torch.Generator().manual_seed(0)
    widths = (2, 3, 4)
    parts = [torch.randn(6, w, generator=draw).double().requires_grad_(n) for w, n in zip(widths, needs, strict=True)]
    weight = torch.randn(5, 9, generator=draw).double().requires_grad_()
    bias = torch.randn(5, generator=draw).double().requires_grad_()
    rows = LayerInput.side_by_side(parts)
    assert (None if rows.varying is None else rows.varying.shape[1]) == varying
    got, expected = rows.linear(weight, bias), linear(torch.cat(parts, 1), weight, bias)
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)
    leaves = [*(part for part in parts if part.requires_grad), weight, bias]
    factor = torch.randn(got.shape, generator=draw).double()
    both = (torch.autograd.grad((h * factor).sum(), leaves) for h in (got, expected))
    torch.testing.assert_close(*both, rtol=1e-12, atol=1e-12)
