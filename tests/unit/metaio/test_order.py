"""The global order: golden values, since a commit made today must resume with tomorrow's numpy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmeta_worker.metaio.mixing import Purpose, draw, shuffled
from gmeta_worker.metaio.order import epoch_order, file_order, step_bounds, steps_in_epoch

MASK = 2**64 - 1


def splitmix64(state: int) -> int:
    """The published algorithm, on Python's integers."""
    state = (state + 0x9E3779B97F4A7C15) & MASK
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & MASK
    return state ^ (state >> 31)


def test_the_reference_is_splitmix64() -> None:
    assert [splitmix64(i * 0x9E3779B97F4A7C15) for i in range(3)] == [
        0xE220A8397B1DCDAF,
        0x6E789E6AA1B965F4,
        0x06C45D188009454F,
    ]


@given(st.integers(0, 2**64 - 1), st.lists(st.integers(0, 2**64 - 1), max_size=3), st.integers(0, 2**62))
def test_draw_is_splitmix64_seeded_by_its_words(seed: int, words: list[int], position: int) -> None:
    state = 0
    for word in (seed, Purpose.SUPPORT_SIZE, *words):
        state = splitmix64((state + word) & MASK)
    expected = splitmix64((state + position * 0x9E3779B97F4A7C15) & MASK)
    found = draw(seed, Purpose.SUPPORT_SIZE, *words, positions=np.array([position]))
    assert found.tolist() == [expected]


@given(st.integers(0, 60), st.integers(0, 2**63))
def test_shuffled_is_a_permutation(count: int, seed: int) -> None:
    assert sorted(shuffled(count, seed, Purpose.CHUNK_ORDER, 1).tolist()) == list(range(count))


def test_golden_order() -> None:
    order = epoch_order(np.array([5, 2, 7]), 3, seed=7, epoch=2)
    assert [(part.chunk, part.first, part.last, part.position) for part in order] == [
        (1, 0, 2, 0),
        (2, 4, 7, 2),
        (2, 0, 2, 5),
        (2, 2, 4, 7),
        (0, 0, 2, 9),
        (0, 2, 5, 11),
    ]


@given(st.integers(1, 500), st.integers(1, 40))
def test_a_chunk_is_cut_into_the_fewest_steps_of_near_equal_size(task_batches: int, tasks_per_step: int) -> None:
    bounds = step_bounds(task_batches, tasks_per_step)
    sizes = np.diff(bounds)
    assert (bounds[0], bounds[-1]) == (0, task_batches)
    assert len(sizes) == -(-task_batches // tasks_per_step)
    assert sizes.max() - sizes.min() <= 1
    assert sizes.max() <= tasks_per_step


@pytest.mark.parametrize("epoch", [0, 1, 9])
def test_every_epoch_has_the_same_slices_in_another_order(epoch: int) -> None:
    batches = np.array([40, 33, 64, 1])
    order = epoch_order(batches, 8, seed=3, epoch=epoch)
    slices = {(part.chunk, part.first, part.last) for part in order}
    assert slices == {(part.chunk, part.first, part.last) for part in file_order(batches, 8)}
    assert len(order) == steps_in_epoch(batches, 8) == 5 + 5 + 8 + 1


def test_order_is_uniform_over_chunks() -> None:
    first = [epoch_order(np.ones(4, np.int64), 1, seed=0, epoch=epoch)[0].chunk for epoch in range(4000)]
    counts = np.bincount(first, minlength=4)
    # 1000 each, standard deviation 27.
    assert counts.min() > 880
    assert counts.max() < 1120
