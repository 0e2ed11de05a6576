"""The split of tasks and blocks: contiguous, complete, in proportion, and a function of its arguments only."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmeta_worker.parallel import block_ranges, split

LENGTHS = st.lists(st.integers(1, 200), max_size=40)
WEIGHTS = st.lists(st.one_of(st.just(0.0), st.floats(0.01, 100)), min_size=1, max_size=9).filter(lambda w: sum(w) > 0)


def offsets_of(lengths: list[int]) -> np.ndarray:
    return np.cumsum([0, *lengths], dtype=np.int64)


@given(LENGTHS, WEIGHTS)
def test_every_task_goes_to_one_rank_in_order(lengths: list[int], weights: list[float]) -> None:
    bounds = split(offsets_of(lengths), weights)
    assert (bounds[0], bounds[-1]) == (0, len(lengths))
    assert list(bounds) == sorted(bounds)
    assert len(bounds) == len(weights) + 1


@given(LENGTHS, WEIGHTS)
def test_no_rank_is_off_its_share_by_more_than_the_longest_task(lengths: list[int], weights: list[float]) -> None:
    offsets = offsets_of(lengths)
    for weight, (first, last) in zip(weights, pairwise(split(offsets, weights)), strict=True):
        share = sum(lengths) * weight / sum(weights)
        assert abs(offsets[last] - offsets[first] - share) <= max(lengths, default=0) + 1e-6
        assert weight > 0 or first == last or last == len(lengths)


@pytest.mark.parametrize(
    ("lengths", "weights", "bounds"),
    [
        ([5] * 8, [1, 1], (0, 4, 8)),
        ([5] * 8, [3, 1], (0, 6, 8)),
        ([5] * 5, [1, 1, 1], (0, 2, 3, 5)),
        ([5, 5], [1, 1, 1, 1], (0, 1, 1, 2, 2)),
        ([5] * 4, [1, 0, 1], (0, 2, 2, 4)),
        ([100, 1, 1], [1, 1, 1], (0, 0, 1, 3)),
        ([], [1, 1], (0, 0, 0)),
        ([9, 4], [1], (0, 2)),
    ],
)
def test_known_splits(lengths: list[int], weights: list[float], bounds: tuple[int, ...]) -> None:
    assert split(offsets_of(lengths), weights) == bounds


@pytest.mark.parametrize("weights", [[], [0.0, 0.0], [1.0, -1.0]])
def test_weights_without_meaning_are_refused(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="expected one a rank, none negative and some positive"):
        split(offsets_of([1, 2]), weights)


@given(st.integers(1, 100), st.integers(1, 5000))
def test_blocks_are_cut_into_equal_ranges(size: int, blocks: int) -> None:
    ranges = block_ranges(size, blocks)
    assert [block for each in ranges for block in each] == list(range(blocks))
    assert {len(each) for each in ranges} <= {blocks // size, -(-blocks // size)}
