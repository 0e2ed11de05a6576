"""From any state, after a crash at any write, with events lost, repeated or late: the same pods, none twice."""

import pytest
from convergence import histories_of, run_histories
from simulated import POINTS

LONG = 30
"""Events of a long history."""


def test_it_converges() -> None:
    assert sum(length >= LONG for length in run_histories(histories_of(60)).lengths) >= 40


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_it_converges_after_2000_long_histories_with_crashes_at_every_write() -> None:
    tally = run_histories(histories_of(2500))
    assert sum(length >= LONG for length in tally.lengths) >= 2000
    rare = {(point, when): tally.crashes[point, when] for point in POINTS for when in ("before", "after")}
    assert {crash: times for crash, times in rare.items() if times < 20} == {}
