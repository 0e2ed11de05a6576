"""From any state, after a crash at any write, with events lost, repeated or late: the same pods, none twice."""

from convergence import CRASHES, EVENTS, Histories
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test


def test_it_converges() -> None:
    run_state_machine_as_test(
        Histories,
        settings=settings(
            max_examples=200,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    print(CRASHES, EVENTS)
