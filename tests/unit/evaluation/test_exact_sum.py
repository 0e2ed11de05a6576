"""Sums against fractions, and the order of scores as integers."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmeta_worker.evaluation.exact_sum import exact_sums, value_of
from gmeta_worker.evaluation.order import from_ordered, to_ordered

addends = st.lists(st.floats(0, 1) | st.floats(0, 2.0**100), max_size=30)
scores = st.lists(st.floats(width=32, allow_nan=False), max_size=30)


@given(addends, st.integers(0, 30))
def test_a_sum_is_exact_but_for_what_is_cut_off(rows: list[float], cut: int) -> None:
    values, cut = np.array(rows), min(cut, len(rows))
    sums = exact_sums(values, np.array([0, cut, cut, len(rows)]))
    exact = sum(map(Fraction, rows), Fraction(0))
    total = Fraction(value_of(sums.sum(0)))
    assert abs(total - exact) <= len(rows) * Fraction(2) ** -60 + exact * Fraction(2) ** -53
    assert not sums[1].any(), "an empty segment"
    assert np.array_equal(sums.sum(0), exact_sums(values[::-1], np.array([0, len(rows)]))[0])


@pytest.mark.parametrize("strange", [math.nan, math.inf, 2.0**128])
def test_a_sum_with_a_number_out_of_range_is_unknown(strange: float) -> None:
    values = np.array([1.0, strange])
    assert math.isnan(value_of(exact_sums(values, np.array([0, 2]))[0]))
    assert value_of(exact_sums(values, np.array([0, 1]))[0]) == 1.0


@given(scores, scores)
def test_integers_have_the_order_of_the_scores(some: list[float], others: list[float]) -> None:
    values = np.array([0.0, -0.0, math.inf, -math.inf, *some, *others, *some], dtype=np.float32)
    ordered = to_ordered(values)
    assert ordered.min() >= 0
    assert ordered.max() < 2**32
    assert np.array_equal(np.sign(ordered[:, None] - ordered), np.sign(compare(values[:, None], values)))
    assert np.array_equal(from_ordered(ordered), values)


def compare(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return (left > right).astype(int) - (left < right)


def test_what_is_not_a_number_ranks_above_all() -> None:
    strange = np.array([math.nan, -math.nan, math.inf], dtype=np.float32)
    first, second, infinite = to_ordered(strange)
    assert first == second > infinite
