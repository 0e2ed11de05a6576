"""An operator whose watches are dead without a word: the liveness probe notices, and it is started again."""

import re
import subprocess
from collections.abc import Iterator

import pytest
from e2e_cluster import Cluster, wait_for
from e2e_jobs import Jobs
from e2e_node import NodeAgent
from e2e_release import Release
from unavailable import unavailable

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

QUIET_MILLISECONDS = 20_000
"""A connection on which the operator has sent nothing for so long carries a watch; its Lease is renewed more often."""
NOTICED_SECONDS = 420


def test_an_operator_whose_watches_are_dead_is_started_again_and_catches_up(
    jobs: Jobs, agent: NodeAgent, cluster: Cluster, operator: Release
) -> None:
    if cluster.script is None:
        unavailable(
            "packets cannot be dropped: set GMETA_TEST_CLUSTER to the control script of a cluster of this machine"
        )
    operator.replace_pod(agent)  # each watch ends by itself, and begins anew, after 300 s
    operator.rolled_out()
    pod = operator.pod()["metadata"]["name"]
    pid = agent.pids(pod, operator.namespace)[0]
    wait_for("watches and nothing else on quiet connections", lambda: len(quiet_ports(pid)) >= 2)
    for port in quiet_ports(pid):
        drop(pid, port)
    jobs.submit("unheard")
    wait_for("the operator's restart", lambda: operator.restarts() == 1, NOTICED_SECONDS)
    assert any(
        re.search(r"Liveness probe failed: .*the watch of \w+s is dead: it tells nothing, for 60 s", each, re.DOTALL)
        for each in messages(cluster, operator.namespace)
    ), messages(cluster, operator.namespace)
    operator.rolled_out()
    status = jobs.wait_for_end("unheard")
    assert (status["state"], status["reason"]) == ("Succeeded", "Completed"), jobs.describe("unheard")


def quiet_ports(pid: int) -> list[str]:
    """Local ports of a process's network whose connections to the API server carry watches."""
    lines = inside(pid, "ss", "-Htnoi", "state", "established").split("\n")
    pairs = zip(lines[::2], lines[1::2], strict=False)
    return list(_quiet(pairs))


def _quiet(pairs: "zip[tuple[str, str]]") -> Iterator[str]:
    for ends, facts in pairs:
        local, peer = ends.split()[2:4]
        sent = re.search(r"lastsnd:(\d+)", facts)
        if peer.endswith((":443", ":6443")) and sent is not None and int(sent[1]) > QUIET_MILLISECONDS:
            yield local.rpartition(":")[2]


def drop(pid: int, port: str) -> None:
    """From now on no packet of this connection comes through, either way, and nobody is told."""
    inside(pid, "iptables", "-A", "OUTPUT", "-p", "tcp", "--sport", port, "-j", "DROP")
    inside(pid, "iptables", "-A", "INPUT", "-p", "tcp", "--dport", port, "-j", "DROP")


def inside(pid: int, *command: str) -> str:
    """Run a command in a process's network."""
    nsenter = ["nsenter", "--target", str(pid), "--net", *command]
    done = subprocess.run(nsenter, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(nsenter)}: exit {done.returncode}: {done.stderr}"
    return done.stdout


def messages(cluster: Cluster, namespace: str) -> list[str]:
    """Of the events of a namespace."""
    return [each["message"] for each in cluster.get("events", "-n", namespace)["items"]]
