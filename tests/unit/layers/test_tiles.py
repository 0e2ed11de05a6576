"""Tiles against the product written as a double loop over tasks and rows."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gmeta_worker.layers.tiles import CUT_HEIGHT, TilePairs, make_layout, make_pairs, tile_height

CPU = torch.device("cpu")
LENGTHS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=6)


def make(lengths: list[tuple[int, int]], heights: tuple[int, int] | None = None) -> TilePairs:
    left, right = (np.array(side, dtype=np.int64) for side in zip(*lengths, strict=True))
    left_height, right_height = heights or (tile_height(left), tile_height(right))
    return make_pairs(make_layout(left, left_height, CPU), make_layout(right, right_height, CPU), CPU)


def by_loop(
    lengths: list[tuple[int, int]], h: Tensor, left: Tensor, right: Tensor, values: Tensor, scale: Tensor
) -> Tensor:
    sums, r = [], 0
    per_task = [each.split([n for n, _ in lengths]) for each in (h, left)]
    for (_, n), own, rows, size in zip(lengths, *per_task, scale, strict=True):
        sums += [
            h + size * sum(((row @ right[s] + 1) * values[s] for s in range(r, r + n)), torch.zeros(2).double())
            for h, row in zip(own, rows, strict=True)
        ]
        r += n
    return torch.stack(sums) if sums else torch.zeros(0, 2).double()


@settings(deadline=None, max_examples=60)
@given(lengths=LENGTHS, heights=st.none() | st.tuples(st.integers(1, 20), st.integers(1, 20)))
def test_a_product_is_that_of_the_loop(lengths: list[tuple[int, int]], heights: tuple[int, int] | None) -> None:
    pairs = make(lengths, heights)
    generator = torch.Generator().manual_seed(len(lengths))
    left = torch.randn(pairs.left.rows, 3, generator=generator).double()
    right, values = (torch.randn(pairs.right.rows, width, generator=generator).double() for width in (3, 2))
    h = torch.randn(pairs.left.rows, 2, generator=generator).double()
    scale = torch.randn(len(lengths), generator=generator).double()
    got = pairs.plus_product(h, left, pairs.right.tile(right), pairs.right.tile(values), scale, 1.0)
    torch.testing.assert_close(got, by_loop(lengths, h, left, right, values, scale), rtol=1e-12, atol=1e-12)


@settings(deadline=None, max_examples=60)
@given(lengths=st.lists(st.integers(0, 50), min_size=1, max_size=8), height=st.integers(1, 20))
def test_tiles_and_their_tasks_find_each_other(lengths: list[int], height: int) -> None:
    layout = make_layout(np.array(lengths), height, CPU)
    own = torch.arange(len(lengths))
    of_tiles = layout.of_tasks(own)
    assert of_tiles.tolist() == layout.tasks.tolist()
    counts = torch.tensor([-(-n // height) for n in lengths])
    assert torch.equal(layout.plus_by_task(own, torch.ones_like(of_tiles)), own + counts)


@settings(deadline=None, max_examples=60)
@given(lengths=st.lists(st.integers(0, 50), min_size=1, max_size=8), height=st.integers(1, 20))
def test_tiles_hold_every_row_once_and_no_two_tasks(lengths: list[int], height: int) -> None:
    layout = make_layout(np.array(lengths), height, CPU)
    task = torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths))
    packed = torch.stack([torch.arange(1, layout.rows + 1), task], 1)
    tiles = layout.tile(packed)
    assert torch.equal(layout.untile(tiles), packed)
    filled = tiles[..., 0] > 0
    assert sorted(tiles[..., 0][filled].tolist()) == packed[:, 0].tolist()
    assert torch.equal(tiles[..., 1][filled], torch.from_numpy(layout.tasks)[:, None].expand_as(filled)[filled])
    assert not tiles[~filled].any()


@pytest.mark.parametrize(
    "lengths",
    [
        pytest.param([(3, 3), (3, 3)], id="equal tasks: no index at all"),
        pytest.param([(3, 2), (5, 4), (4, 3)], id="one tile a task, padded"),
        pytest.param([(40, 2), (1, 30), (2, 1), (0, 3), (3, 0)], id="cut tiles and missing sides"),
    ],
)
def test_products_are_differentiable_twice(lengths: list[tuple[int, int]]) -> None:
    pairs = make(lengths)
    generator = torch.Generator().manual_seed(0)
    shapes = ((pairs.left.rows, 1), (pairs.left.rows, 2), (pairs.right.rows, 2), (pairs.right.rows, 1), (len(lengths),))
    leaves = tuple(torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True) for shape in shapes)

    def product(h: Tensor, left: Tensor, right: Tensor, values: Tensor, scale: Tensor) -> Tensor:
        return pairs.plus_product(h, left, pairs.right.tile(right), pairs.right.tile(values), scale, 1.0)

    assert torch.autograd.gradcheck(product, leaves)
    assert torch.autograd.gradgradcheck(product, leaves)


def test_equal_tasks_need_no_index() -> None:
    pairs = make([(16, 4)] * 5)
    assert pairs.left.slots is None
    assert pairs.right.slots is None
    assert pairs.index is None


@pytest.mark.parametrize(
    ("lengths", "height"),
    [([], 1), ([0, 0], 1), ([7, 7, 0], 7), ([10, 5, 5], 10), ([10, 1, 1], 10), ([500, 3, 2], CUT_HEIGHT)],
)
def test_tasks_are_cut_when_one_tile_each_would_more_than_double_the_rows(lengths: list[int], height: int) -> None:
    assert tile_height(np.array(lengths, dtype=np.int64)) == height


def test_the_work_follows_the_tasks_not_the_longest_one() -> None:
    lengths = [(1000, 10), *[(10, 10)] * 99]
    pairs = make(lengths)
    assert pairs.index is not None
    multiplied = len(pairs.index[0]) * pairs.left.height * pairs.right.height
    assert multiplied <= 2 * sum(left * right for left, right in lengths)
