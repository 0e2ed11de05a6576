"""An operator whose watches are dead without a word hears again by itself.

Both need the network of the operator's pod, so the cluster has to be one of this machine.
"""

import base64
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import watch_proxy
from e2e_cluster import Cluster, wait_for
from e2e_jobs import Jobs
from e2e_node import NodeAgent
from e2e_release import Release
from unavailable import unavailable

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

PROXY_PORT = 16443
SIGNED = "gmeta-e2e-proxy"
QUIET_SECONDS = 20.0
"""A connection on which the operator sends nothing for so long carries a watch."""
HEARD_AGAIN_SECONDS = 120
RESTARTED_SECONDS = 300
"""A check after 120 s at the latest, 60 s of grace and six probes, with time to spare."""
DEAD = (
    "the watch of MetaTrainingJobs is dead: it tells nothing, for 60 s not even of unheard; "
    "the liveness probe fails until it tells of anything"
)
LIVENESS = "Liveness probe failed: HTTP probe failed with statuscode: 503"


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
    milliseconds = 1000 * QUIET_SECONDS
    return [
        ends.split()[2].rpartition(":")[2]
        for ends, facts in zip(lines[::2], lines[1::2], strict=True)
        if float(re.search(r"lastsnd:(\d+)", facts + " lastsnd:0")[1]) > milliseconds  # type: ignore[index]
    ]


@pytest.fixture(scope="module")
def identity(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A certificate with the API server's names, of the cluster's own authority, and its key."""
    folder = tmp_path_factory.mktemp("identity")
    request, key, certificate = (folder / name for name in ("proxy.csr", "proxy.key", "proxy.crt"))
    names = f"subjectAltName=IP:{server(cluster)},DNS:kubernetes.default.svc"
    subject = ("-subj", f"/O=system:nodes/CN=system:node:{SIGNED}", "-addext", names)
    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(key))
    cluster.run("openssl", "req", "-new", *new_key, *subject, "-out", str(request))
    cluster.kubectl("delete", "csr", SIGNED, "--ignore-not-found")
    spec = {
        "request": base64.b64encode(request.read_bytes()).decode(),
        "signerName": "kubernetes.io/kubelet-serving",
        "usages": ["digital signature", "key encipherment", "server auth"],
    }
    kind = {"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest"}
    cluster.apply({**kind, "metadata": {"name": SIGNED}, "spec": spec})
    cluster.kubectl("certificate", "approve", SIGNED)
    wait_for("the certificate", lambda: "certificate" in cluster.get("csr", SIGNED)["status"])
    certificate.write_bytes(base64.b64decode(cluster.get("csr", SIGNED)["status"]["certificate"]))
    cluster.kubectl("delete", "csr", SIGNED)
    return str(certificate), str(key)


def server(cluster: Cluster) -> str:
    """The address of the API server within the cluster."""
    return str(cluster.get("service", "kubernetes", "-n", "default")["spec"]["clusterIP"])


@contextmanager
def proxied(pid: int, address: str, identity: tuple[str, str]) -> Iterator[Callable[[signal.Signals], int]]:
    """Every new connection from a pod to the API server goes through a proxy while the block runs.

    Yields:
        What signals the proxy; how many watches were open.
    """
    script = [sys.executable, str(Path(watch_proxy.__file__)), str(PROXY_PORT), f"{address}:443", *identity]
    of_others = ("-p", "tcp", "-d", address, "-m", "owner", "!", "--uid-owner", "0")
    rule = ("OUTPUT", "-t", "nat", *of_others, "-j", "REDIRECT", "--to-ports", str(PROXY_PORT))
    with subprocess.Popen(inside(pid, *script), stdout=subprocess.PIPE, text=True) as proxy:
        assert proxy.stdout is not None
        told = proxy.stdout

        def keep_back(what: signal.Signals) -> int:
            proxy.send_signal(what)
            return int(told.readline())

        try:
            assert told.readline() == "ready\n"
            run_inside(proxy.pid, "iptables", "-A", *rule)
            yield keep_back
            run_inside(proxy.pid, "iptables", "-D", *rule)
        finally:
            proxy.kill()


def test_an_operator_whose_connections_are_cut_hears_again_by_itself(
    jobs: Jobs, operator: Release, new_pod: Callable[[], int]
) -> None:
    epoch = operator.lease()["leaseTransitions"]
    pid = new_pod()
    operator.wait_for_next_leader(epoch)
    time.sleep(QUIET_SECONDS + 25)
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
    jobs: Jobs, cluster: Cluster, operator: Release, new_pod: Callable[[], int], identity: tuple[str, str]
) -> None:
    """The connections live, but nothing comes, not even a bookmark, and that is noticed."""
    epoch = operator.lease()["leaseTransitions"]
    with proxied(new_pod(), server(cluster), identity) as keep_back:
        operator.wait_for_next_leader(epoch)
        wait_for("the watches", lambda: keep_back(signal.SIGUSR1) >= 2)
        jobs.submit("unheard", training={"epochs": 1})
        jobs.wait("unheard", "the operator to hear of it", lambda status: "state" in status, HEARD_AGAIN_SECONDS)
        status = jobs.wait_for_end("unheard")
        assert (status["state"], status["reason"]) == ("Succeeded", "Completed"), jobs.describe("unheard")
        assert operator.restarts() == 0


def test_an_operator_whose_watches_tell_bookmarks_only_is_started_again(
    jobs: Jobs, cluster: Cluster, operator: Release, new_pod: Callable[[], int], identity: tuple[str, str]
) -> None:
    """To kopf such a watch lives: the liveness probe is what helps."""
    epoch = operator.lease()["leaseTransitions"]
    with proxied(new_pod(), server(cluster), identity) as keep_back:
        operator.wait_for_next_leader(epoch)
        wait_for("the watches", lambda: keep_back(signal.SIGUSR2) >= 2)
        jobs.submit("unheard", training={"epochs": 1})
        pod = operator.pod()["metadata"]["name"]
        wait_for("the operator's restart", lambda: operator.restarts() == 1, RESTARTED_SECONDS)
        assert DEAD in operator.last_words(pod)
        assert LIVENESS in operator.events(pod)
        jobs.wait("unheard", "the operator to hear of it", lambda status: "state" in status, HEARD_AGAIN_SECONDS)
    status = jobs.wait_for_end("unheard")
    assert (status["state"], status["reason"]) == ("Succeeded", "Completed"), jobs.describe("unheard")
