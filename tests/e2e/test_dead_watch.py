"""An operator whose watches are dead without a word hears again by itself.

Both need the network of the operator's pod, so the cluster has to be one of this machine.
"""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import deaf_proxy
import pytest
from e2e_cluster import Cluster, wait_for
from e2e_jobs import Jobs
from e2e_node import NodeAgent
from e2e_release import Release
from unavailable import unavailable

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

PROXY_PORT = 16443
QUIET_SECONDS = deaf_proxy.QUIET_SECONDS + 25
"""After an operator has begun to lead: its watches are quiet by then, and none has ended by itself."""
HEARD_AGAIN_SECONDS = 120


@pytest.fixture
def new_pod(cluster: Cluster, agent: NodeAgent, operator: Release) -> Iterator[Callable[[], int]]:
    """Replaces the operator's pod; the number of its new process on this machine. It stands by for 15 s at first."""
    if cluster.script is None:
        unavailable("packets cannot be kept back: set GMETA_TEST_CLUSTER to the script of a cluster of this machine")

    def replace() -> int:
        operator.replace_pod(agent)
        wait_for("the new container", lambda: [each["status"]["phase"] for each in operator.pods()] == ["Running"])
        return agent.pids(operator.pod()["metadata"]["name"], operator.namespace)[0]

    yield replace
    operator.replace_pod(agent)
    operator.rolled_out()


def inside(pid: int, *command: str) -> list[str]:
    """A command as it is run in the network of a process."""
    return ["nsenter", "--target", str(pid), "--net", *command]


def run_inside(pid: int, *command: str) -> str:
    done = subprocess.run(inside(pid, *command), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: exit {done.returncode}: {done.stderr}"
    return done.stdout


def quiet_ports(pid: int) -> list[str]:
    """Local ports of connections to the API server on which nothing has been sent for a while: those of watches."""
    lines = run_inside(pid, "ss", "-Htnoi", "state", "established", "dport", "=", ":443").splitlines()
    milliseconds = 1000 * deaf_proxy.QUIET_SECONDS
    return [
        ends.split()[2].rpartition(":")[2]
        for ends, facts in zip(lines[::2], lines[1::2], strict=True)
        if float(re.search(r"lastsnd:(\d+)", facts + " lastsnd:0")[1]) > milliseconds  # type: ignore[index]
    ]


@contextmanager
def proxied(pid: int, cluster: Cluster) -> Iterator[subprocess.Popen[str]]:
    """Every new connection from a pod to the API server goes through a proxy while the block runs."""
    server = cluster.get("service", "kubernetes", "-n", "default")["spec"]["clusterIP"]
    script = [sys.executable, str(Path(deaf_proxy.__file__)), str(PROXY_PORT), server, "443"]
    with subprocess.Popen(inside(pid, *script), stdout=subprocess.PIPE, text=True) as proxy:
        try:
            assert proxy.stdout is not None
            assert proxy.stdout.readline() == "ready\n"
            of_others = ("-p", "tcp", "-d", server, "-m", "owner", "!", "--uid-owner", "0")
            to_proxy = ("-j", "REDIRECT", "--to-ports", str(PROXY_PORT))
            run_inside(pid, "iptables", "-t", "nat", "-A", "OUTPUT", *of_others, *to_proxy)
            yield proxy
        finally:
            proxy.kill()


def test_an_operator_whose_connections_are_cut_hears_again_by_itself(
    jobs: Jobs, operator: Release, new_pod: Callable[[], int]
) -> None:
    epoch = operator.lease()["leaseTransitions"]
    pid = new_pod()
    operator.wait_for_next_leader(epoch)
    time.sleep(QUIET_SECONDS)
    watches = quiet_ports(pid)
    assert len(watches) >= 2, "the watches are not found"
    for port in watches:
        run_inside(pid, "iptables", "-A", "OUTPUT", "-p", "tcp", "--sport", port, "-j", "DROP")
        run_inside(pid, "iptables", "-A", "INPUT", "-p", "tcp", "--dport", port, "-j", "DROP")
    jobs.submit("unheard", training={"epochs": 1})
    jobs.wait("unheard", "the operator to hear of it", lambda status: "state" in status, HEARD_AGAIN_SECONDS)
    assert jobs.wait_for_end("unheard")["state"] == "Succeeded", jobs.describe("unheard")
    assert operator.restarts() == 0


def test_an_operator_whose_watches_tell_nothing_opens_them_anew(
    jobs: Jobs, cluster: Cluster, operator: Release, new_pod: Callable[[], int]
) -> None:
    """The connections live, but what the server sends is swallowed: no bookmark comes, and that is noticed."""
    epoch = operator.lease()["leaseTransitions"]
    with proxied(new_pod(), cluster) as proxy:
        operator.wait_for_next_leader(epoch)
        time.sleep(QUIET_SECONDS)
        proxy.send_signal(signal.SIGUSR1)
        assert proxy.stdout is not None
        assert int(proxy.stdout.readline()) >= 2, "the watches are not deaf"
        jobs.submit("unheard", training={"epochs": 1})
        jobs.wait("unheard", "the operator to hear of it", lambda status: "state" in status, HEARD_AGAIN_SECONDS)
        status = jobs.wait_for_end("unheard")
    assert (status["state"], status["reason"]) == ("Succeeded", "Completed"), jobs.describe("unheard")
    assert operator.restarts() == 0
