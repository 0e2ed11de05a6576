"""Goodput of a real job: what a killed worker has cost, in the status and in the operator's metrics."""

import pytest
from e2e_jobs import LONG, Jobs
from e2e_node import NodeAgent

from gmeta_operator.timestamps import from_text

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_a_killed_worker_is_time_lost_to_a_restart_and_all_time_is_told(jobs: Jobs, agent: NodeAgent) -> None:
    jobs.submit("wasted", training=LONG, faultTolerance={"restartBackoffSeconds": 4})
    jobs.wait_for_commit("wasted")
    assert jobs.status("wasted")["goodput"]["phase"] == "training"
    agent.kill("wasted-w0-0", jobs.namespace)
    jobs.wait("wasted", "restart", lambda status: status["goodput"]["phase"] == "restart")
    status = jobs.wait_for_end("wasted")
    assert (status["state"], status["reason"]) == ("Succeeded", "Completed"), jobs.describe("wasted")

    goodput = status["goodput"]
    lost = goodput["lostSeconds"]
    assert lost["restart"] >= 4, "the back-off alone takes that long"
    assert lost["startup"] > 0
    assert goodput["productiveSeconds"] > 0
    spent = sum(lost.values()) + goodput["productiveSeconds"]
    metadata = jobs.cluster.get("mtj", "wasted", "-n", jobs.namespace)["metadata"]
    made, ended = from_text(metadata["creationTimestamp"]), from_text(status["completionTime"])
    assert made is not None
    assert ended is not None
    assert spent == pytest.approx((ended - made).total_seconds(), abs=1.5)
    assert goodput["wallSeconds"] == pytest.approx(spent, abs=0.1)
    assert goodput["ratio"] == pytest.approx(goodput["productiveSeconds"] / spent, abs=0.001)
    assert lost["other"] < 0.25 * spent
    assert goodput["phase"] == "ended"
    header, line = (each.split() for each in jobs.kubectl("get", "mtj", "wasted", "-o", "wide").splitlines())
    assert float(line[header.index("GOODPUT")]) == goodput["ratio"]
