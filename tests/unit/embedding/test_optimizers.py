"""Row optimisers against torch.optim on dense tables."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from gmeta_worker.embedding import Adam, RowOptimizer, RowStore, RowWiseAdagrad, Sgd, build_row_optimizer

ROWS, RATE = 7, 0.3
TOUCHED = [[0, 3, 5], [3], [1, 3, 6], [0, 1, 2, 3], [5, 3]]


def store_of(optimizer: RowOptimizer, dim: int) -> tuple[RowStore, Tensor]:
    store = RowStore({"movie": ROWS}, dim, optimizer, seed=1, dtype=torch.float64)
    return store, torch.from_numpy(store.row_ids("movie", np.arange(ROWS)))


def gradients(dim: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(len(rows), dim, generator=generator, dtype=torch.float64) for rows in TOUCHED]


def by_row(initial: Tensor, grads: list[Tensor], make: Callable[[list[Tensor]], torch.optim.Optimizer]) -> Tensor:
    """Each row trained alone by a dense torch optimiser, on the steps that touch it."""
    rows = []
    for row in range(ROWS):
        weight = initial[row].clone().requires_grad_()
        optimizer = make([weight])
        for touched, grad in zip(TOUCHED, grads, strict=True):
            if row in touched:
                weight.grad = grad[touched.index(row)]
                optimizer.step()
        rows.append(weight.detach())
    return torch.stack(rows)


@pytest.mark.parametrize(
    ("optimizer", "dim", "make"),
    [
        pytest.param(Sgd(), 3, lambda w: torch.optim.SGD(w, lr=RATE), id="SGD"),
        pytest.param(Adam(), 3, lambda w: torch.optim.Adam(w, lr=RATE), id="Adam"),
        pytest.param(
            RowWiseAdagrad(), 1, lambda w: torch.optim.Adagrad(w, lr=RATE, eps=1e-8), id="Adagrad, one number"
        ),
    ],
)
def test_a_row_gets_what_the_dense_optimiser_gives_it_alone(
    optimizer: RowOptimizer, dim: int, make: Callable[[list[Tensor]], torch.optim.Optimizer]
) -> None:
    store, ids = store_of(optimizer, dim)
    initial, grads = store.lookup(ids), gradients(dim)
    for rows, grad in zip(TOUCHED, grads, strict=True):
        store.update(ids[rows], grad, RATE)
    torch.testing.assert_close(store.lookup(ids), by_row(initial, grads, make), rtol=1e-12, atol=1e-12)


def test_row_wise_adagrad_divides_by_the_root_of_summed_mean_squares() -> None:
    store, ids = store_of(RowWiseAdagrad(eps=0.1), 4)
    expected, sums = store.lookup(ids), torch.zeros(ROWS, dtype=torch.float64)
    for rows, grad in zip(TOUCHED, gradients(4), strict=True):
        for row, g in zip(rows, grad, strict=True):
            sums[row] += (g * g).sum() / 4
            expected[row] -= RATE * g / (sums[row].sqrt() + 0.1)
        store.update(ids[rows], grad, RATE)
    torch.testing.assert_close(store.lookup(ids), expected, rtol=1e-12, atol=1e-12)


def test_adam_equals_dense_adam_where_every_row_is_touched() -> None:
    store, ids = store_of(Adam(), 3)
    weight = store.lookup(ids).requires_grad_()
    dense = torch.optim.Adam([weight], lr=RATE)
    for step in range(5):
        weight.grad = torch.randn(ROWS, 3, generator=torch.Generator().manual_seed(step), dtype=torch.float64)
        store.update(ids, weight.grad, RATE)
        dense.step()
    torch.testing.assert_close(store.lookup(ids), weight.detach(), rtol=1e-12, atol=1e-12)


def test_decay_makes_adam_what_adamw_is() -> None:
    store, ids = store_of(build_row_optimizer("Adam", weight_decay=0.5), 3)
    weight = store.lookup(ids).requires_grad_()
    dense = torch.optim.AdamW([weight], lr=RATE, weight_decay=0.5)
    for step in range(5):
        weight.grad = torch.randn(ROWS, 3, generator=torch.Generator().manual_seed(step), dtype=torch.float64)
        store.update(ids, weight.grad, RATE)
        dense.step()
    torch.testing.assert_close(store.lookup(ids), weight.detach(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("name", "expected"), [("RowWiseAdagrad", RowWiseAdagrad), ("Adam", Adam), ("SGD", Sgd)])
def test_optimizers_go_by_their_names_in_the_manifest(name: str, expected: type) -> None:
    assert type(build_row_optimizer(name)) is expected
