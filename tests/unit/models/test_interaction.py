"""Pairwise dot products against the formula, their first and second derivatives, and what gets no gradient."""

import torch
from torch import Tensor

from gmeta_worker.models.interaction import pairs_with, pairwise_dots


def vectors(*shape: int, grad: bool = True) -> Tensor:
    draw = torch.Generator().manual_seed(len(shape))
    return torch.randn(*shape, generator=draw, dtype=torch.float64).requires_grad_(grad)


def by_hand(x: Tensor) -> Tensor:
    count = x.shape[1]
    return torch.stack([(x[:, i] * x[:, j]).sum(1) for i in range(count) for j in range(i + 1, count)], 1)


def test_dots_are_those_of_the_formula_with_two_derivatives() -> None:
    x = vectors(3, 4, 2)
    torch.testing.assert_close(pairwise_dots(x), by_hand(x), rtol=1e-12, atol=1e-12)
    one = vectors(1, 3, 2)
    assert torch.autograd.gradcheck(pairwise_dots, one)
    assert torch.autograd.gradgradcheck(pairwise_dots, one)


def test_one_vector_has_no_pairs() -> None:
    assert pairwise_dots(vectors(3, 1, 2)).shape == (3, 0)


def test_products_with_the_first_vector_stand_apart_where_the_others_need_no_gradient() -> None:
    first = vectors(3, 2)
    for grad in (True, False):
        others = vectors(3, 4, 2, grad=grad)
        parts = pairs_with(first, others)
        assert [part.requires_grad for part in parts] == ([True] if grad else [True, False])
        expected = by_hand(torch.cat([first.unsqueeze(1), others], 1))
        torch.testing.assert_close(torch.cat(parts, 1), expected, rtol=1e-12, atol=1e-12)
        weights = torch.arange(10.0, dtype=torch.float64)
        got, wanted = (torch.autograd.grad((d * weights).sum(), first)[0] for d in (torch.cat(parts, 1), expected))
        torch.testing.assert_close(got, wanted, rtol=1e-12, atol=1e-12)
