"""Lines through points."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmeta_worker.forecast import Line, fit_line

PARTS = st.floats(0, 1e3, allow_nan=False)


@given(fixed=PARTS, each=PARTS, amounts=st.lists(st.integers(1, 1000), min_size=2, max_size=8, unique=True))
def test_points_on_a_line_give_the_line(fixed: float, each: float, amounts: list[int]) -> None:
    exact = Line(fixed, each)
    found = fit_line(amounts, [exact(amount) for amount in amounts])
    scale = exact(max(amounts)) + 1e-9
    for amount in amounts:
        assert found(amount) == pytest.approx(exact(amount), abs=1e-6 * scale)


@given(points=st.lists(st.tuples(st.integers(0, 1000), PARTS), min_size=1, max_size=8))
def test_no_part_is_ever_negative(points: list[tuple[int, float]]) -> None:
    found = fit_line([x for x, _ in points], [y for _, y in points])
    assert found.fixed >= 0
    assert found.each >= 0


def test_one_size_alone_is_taken_to_grow_from_nothing() -> None:
    assert fit_line([4.0, 4.0], [2.0, 4.0]) == Line(0.0, 0.75)


def test_what_falls_with_the_amount_is_fixed() -> None:
    assert fit_line([1.0, 2.0], [4.0, 2.0]) == Line(3.0, 0.0)
