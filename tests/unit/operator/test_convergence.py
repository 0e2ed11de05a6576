"""From any state, after a crash at any write, with events lost, repeated or late: the same pods, none twice."""

import pytest
from convergence import Tally, histories_of, run_histories
from simulated import POINTS

LONG = 30
"""Events of a long history."""

CRASHES = [(point, when) for point in POINTS for when in ("before", "after")]

RARE = (
    "force",
    "expire",
    "Completed",
    "BackoffLimitExceeded",
    "DeadlineExceeded",
    "PreRunningDeadlineExceeded",
)
"""What must have happened in many histories."""


def run_long_histories(tried: int, wanted: int) -> Tally:
    tally = run_histories(histories_of(tried))
    assert sum(length >= LONG for length in tally.lengths) >= wanted
    return tally


def test_it_converges() -> None:
    tally = run_long_histories(tried=60, wanted=30)
    assert sum(tally.crashes[crash] > 0 for crash in CRASHES) > len(CRASHES) / 2


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_it_converges_after_2000_long_histories_with_crashes_at_every_write() -> None:
    tally = run_long_histories(tried=2500, wanted=2000)
    assert {each for each in RARE if tally.happened[each] < 20} == set()
    assert {crash: tally.crashes[crash] for crash in CRASHES if tally.crashes[crash] < 20} == {}
