"""Support sizes: the stated clamp, the stated draw."""

from typing import Any

import numpy as np
import pytest

from gmeta_worker.metaio import SupportPolicy

ROWS = np.array([1, 2, 5, 40, 40])
RANKED = np.array([1, 2, 3, 0, 40])
PLACES = np.arange(5)


def sizes(policy: SupportPolicy) -> list[int]:
    sizes: list[int] = policy.sizes(ROWS, RANKED, PLACES, seed=0, epoch=0).tolist()
    return sizes


def test_fixed_is_clamped_to_ranked_rows_and_to_one_query_row() -> None:
    assert sizes(SupportPolicy("fixed", size=10)) == [0, 1, 3, 0, 10]
    assert sizes(SupportPolicy("fixed", size=0)) == [0, 0, 0, 0, 0]


def test_column_takes_every_ranked_row_but_one_query_row() -> None:
    assert sizes(SupportPolicy("column")) == [0, 1, 3, 0, 39]


def test_uniform_draws_every_size_equally_often_and_anew_each_epoch() -> None:
    policy = SupportPolicy("uniform", min=2, max=5)
    rows = np.full(40_000, 100)
    drawn = policy.sizes(rows, rows, np.arange(40_000), seed=3, epoch=0)
    counts = np.bincount(drawn, minlength=7)
    assert counts[:2].sum() + counts[6:].sum() == 0
    # 10,000 each, standard deviation 87.
    assert abs(counts[2:6] - 10_000).max() < 400
    again = policy.sizes(rows, rows, np.arange(40_000), seed=3, epoch=1)
    assert abs((drawn == again).mean() - 0.25) < 0.02


def test_a_draw_depends_on_the_place_and_not_on_its_neighbours() -> None:
    policy = SupportPolicy("uniform", min=0, max=30)
    rows, places = np.full(50, 100), np.arange(50)
    whole = policy.sizes(rows, rows, places, seed=9, epoch=4)
    part = policy.sizes(rows[20:30], rows[20:30], places[20:30], seed=9, epoch=4)
    assert part.tolist() == whole[20:30].tolist()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"policy": "fixed"}, "a fixed support policy needs size >= 0, received None"),
        (
            {"policy": "uniform", "min": 3, "max": 2},
            "a uniform support policy needs 0 <= min <= max, received min=3, max=2",
        ),
        ({"policy": "uniform", "min": 3}, "a uniform support policy needs 0 <= min <= max, received min=3, max=None"),
    ],
)
def test_impossible_policies_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        SupportPolicy(**arguments)
