"""Two jobs of one name in two namespaces have nothing to do with each other."""

from collections.abc import Callable

import pytest
from e2e_jobs import LONG, Jobs
from restart_counts import restarts

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_two_jobs_of_one_name_in_two_namespaces(make_jobs: Callable[[], Jobs]) -> None:
    first, second = make_jobs(), make_jobs()
    first.submit("twin", training=LONG)
    second.submit("twin")
    for jobs in (first, second):
        jobs.wait_for_running("twin")
    children = first.children("twin")
    assert second.wait_for_end("twin")["state"] == "Succeeded"
    second.delete("twin")
    assert first.children("twin") == children
    status = first.status("twin")
    assert status["state"] == "Running", "the first has ended before the second was deleted: nothing is tested"
    assert first.wait_for_end("twin")["state"] == "Succeeded"
    assert restarts(first.status("twin")) == (0, 0)
