"""Jobs with gang schedulers on a real cluster. No such scheduler runs here: its objects are installed, or it is played.

tests/contracts has what stands for the schedulers' own definitions.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import yaml
from charts import ROOT
from e2e_cluster import GONE_SECONDS, Cluster, wait_for
from e2e_jobs import LONG, Jobs, condition
from e2e_node import NodeAgent
from restart_counts import restarts

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

CONTRACTS = ROOT / "tests/contracts"
FINALIZER = "kueue.x-k8s.io/managed"
ENDED_GROUP = "kueue.x-k8s.io/retriable-in-group"
PREEMPTED = {
    "type": "TerminationTarget",
    "status": "True",
    "reason": "Preempted",
    "message": "Preempted to accommodate a workload in the ClusterQueue",
    "lastTransitionTime": "2026-01-01T00:00:00Z",
}


@contextmanager
def installed(cluster: Cluster, scheduler: str) -> Iterator[str]:
    """The definition of a scheduler's PodGroup is there while the block runs; its name."""
    definition = yaml.safe_load((CONTRACTS / f"{scheduler}-podgroups.yaml").read_text())
    name: str = definition["metadata"]["name"]
    cluster.apply(definition)
    try:
        cluster.kubectl("wait", f"crd/{name}", "--for=condition=Established", "--timeout=30s")
        yield name
    finally:
        cluster.kubectl("delete", "crd", name, "--timeout=60s")


def pod_group(jobs: Jobs, definition: str, name: str) -> dict[str, Any]:
    """The PodGroup of a job."""
    return jobs.cluster.get(definition, name, "-n", jobs.namespace)


def pod_groups(jobs: Jobs, definition: str) -> list[str]:
    """All PodGroups of the namespace."""
    return jobs.cluster.names(definition, "-n", jobs.namespace)


def test_without_volcano_the_job_says_so_and_goes_on_once_its_pod_groups_are_known(jobs: Jobs) -> None:
    resources = {"resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}}
    scheduling = {"gang": {"scheduler": "volcano"}, "queue": "research"}
    jobs.submit("gang", scheduling=scheduling, workers={"replicas": 2, **resources}, coordinator=resources)
    waiting = jobs.wait("gang", "sentence", lambda status: status.get("reason") == "SchedulerNotInstalled")
    sentence = (
        "the cluster has no CustomResourceDefinition podgroups.scheduling.volcano.sh: install Volcano, or make the job "
        "again with another spec.scheduling.gang.scheduler; no pod is made until then"
    )
    assert waiting["state"] == "Pending"
    assert condition(waiting, "AttemptStarted") == ("False", "SchedulerNotInstalled", sentence)
    assert jobs.events("gang") == [("Warning", "SchedulerNotInstalled", f"Pending: {sentence}")]
    assert jobs.pods("gang") == {}

    with installed(jobs.cluster, "volcano") as definition:
        jobs.wait("gang", "pods", lambda status: condition(status, "AttemptStarted")[0] == "True")
        assert pod_group(jobs, definition, "gang")["spec"] == {
            "minMember": 3,
            "minResources": {"cpu": "300m", "memory": "192Mi"},
            "queue": "research",
        }
        pods = jobs.pods("gang")
        assert {pod["spec"]["schedulerName"] for pod in pods.values()} == {"volcano"}
        groups = {pod["metadata"]["annotations"]["scheduling.k8s.io/group-name"] for pod in pods.values()}
        assert groups == {"gang"}
        words = "gang-coordinator-0: no scheduler named volcano has looked at this pod for 60 s; install or start it"
        status = jobs.wait("gang", "word", lambda status: words in condition(status, "Succeeded")[2], seconds=120)
        assert (status["state"], status["reason"]) == ("Pending", "SchedulerNotInstalled")
        assert restarts(status) == (0, 0)
        jobs.delete("gang")
        wait_for("the end of the PodGroup", lambda: pod_groups(jobs, definition) == [], GONE_SECONDS)


def test_a_pod_group_of_coscheduling_is_kept_when_a_worker_is_killed_and_goes_with_the_job(
    jobs: Jobs, agent: NodeAgent
) -> None:
    with installed(jobs.cluster, "coscheduling") as definition:
        gang = {"scheduler": "coscheduling", "timeoutSeconds": 30}
        jobs.submit("gang", training=LONG, scheduling={"gang": gang, "schedulerName": "default-scheduler"})
        jobs.wait_for_commit("gang")
        before = pod_group(jobs, definition, "gang")
        assert before["spec"] == {"minMember": 2, "scheduleTimeoutSeconds": 30}
        assert before["metadata"]["ownerReferences"][0]["name"] == "gang"
        pods = jobs.pods("gang")
        assert {pod["metadata"]["labels"]["scheduling.x-k8s.io/pod-group"] for pod in pods.values()} == {"gang"}

        agent.kill("gang-w0-0", jobs.namespace)
        jobs.wait("gang", "restart", lambda status: status["restarts"]["counted"] == 1)
        assert jobs.pods("gang")["gang-w0-1"]["metadata"]["labels"]["scheduling.x-k8s.io/pod-group"] == "gang"
        assert pod_group(jobs, definition, "gang")["metadata"]["uid"] == before["metadata"]["uid"]

        status = jobs.wait_for_end("gang")
        assert (status["state"], status["reason"]) == ("Succeeded", "Completed"), jobs.describe("gang")
        wait_for("the end of the PodGroup", lambda: pod_groups(jobs, definition) == [], GONE_SECONDS)
        assert jobs.status("gang")["state"] == "Succeeded"


def test_a_suspended_job_gives_up_its_pod_group_and_has_it_again(jobs: Jobs) -> None:
    with installed(jobs.cluster, "coscheduling") as definition:
        jobs.submit("gang", training=LONG, scheduling={"gang": {"scheduler": "coscheduling"}})
        jobs.wait_for_commit("gang")
        jobs.kubectl("patch", "mtj", "gang", "--type=merge", "-p", '{"spec": {"runPolicy": {"suspend": true}}}')
        wait_for("the end of the PodGroup", lambda: pod_groups(jobs, definition) == [], GONE_SECONDS)
        alive = [name for name, pod in jobs.pods("gang").items() if pod["status"]["phase"] == "Running"]
        assert alive == []
        jobs.kubectl("patch", "mtj", "gang", "--type=merge", "-p", '{"spec": {"runPolicy": {"suspend": false}}}')
        jobs.wait_for_running("gang")
        assert len(pod_groups(jobs, definition)) == 1


def hold(jobs: Jobs, name: str) -> None:
    """Kueue puts its finalizer on a pod."""
    jobs.kubectl("patch", "pod", name, "--type=merge", "-p", json.dumps({"metadata": {"finalizers": [FINALIZER]}}))


def let_go(jobs: Jobs, name: str) -> None:
    """Kueue takes its finalizer from a pod."""
    jobs.kubectl("patch", "pod", name, "--type=merge", "-p", '{"metadata": {"finalizers": null}}')


def preempt(jobs: Jobs, name: str) -> None:
    """Kueue takes a pod's place from it: a condition, then a deletion."""
    jobs.add_condition(name, PREEMPTED)
    jobs.kubectl("delete", "pod", name, "--wait=false")


def ended_by(jobs: Jobs) -> list[str]:
    """The pods that tell Kueue of the end of their group."""
    annotations = {name: pod["metadata"]["annotations"] for name, pod in jobs.pods("gang").items()}
    return [name for name, each in annotations.items() if each.get(ENDED_GROUP) == "false"]


def test_pods_that_kueue_preempts_are_made_again_at_no_cost_and_their_group_ends_with_the_job(jobs: Jobs) -> None:
    jobs.submit("gang", training=LONG, scheduling={"gang": {"scheduler": "kueue"}, "queue": "research"})
    jobs.wait_for_commit("gang")
    first = jobs.pods("gang")
    uid = jobs.cluster.get("mtj", "gang", "-n", jobs.namespace)["metadata"]["uid"]
    assert {pod["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] for pod in first.values()} == {"research"}
    group = f"gang-{uid[:8]}-0"
    for pod in first.values():
        assert pod["metadata"]["labels"]["kueue.x-k8s.io/pod-group-name"] == group
        assert pod["metadata"]["annotations"]["kueue.x-k8s.io/pod-group-total-count"] == "2"
    for name in first:
        hold(jobs, name)
    try:
        for name in first:
            preempt(jobs, name)
        again = jobs.wait("gang", "new pods", lambda status: status["restarts"]["uncounted"] == len(first))
        assert again["restarts"]["counted"] == 0
        assert again["lastFailure"]["reason"] == "PreemptedByKueue"
        jobs.wait_for_running("gang")
        second = {name: pod for name, pod in jobs.pods("gang").items() if name not in first}
        groups = {pod["metadata"]["labels"]["kueue.x-k8s.io/pod-group-name"] for pod in second.values()}
        assert (len(second), groups) == (len(first), {group})
        assert set(first) <= set(jobs.pods("gang")), "Kueue holds the former pods"

        status = jobs.wait_for_end("gang")
        assert (status["state"], status["reason"]) == ("Succeeded", "Completed"), jobs.describe("gang")
        assert status["restarts"]["counted"] == 0
        wait_for("the end of the group", lambda: len(ended_by(jobs)) == 1)
    finally:
        for name in first:
            let_go(jobs, name)


def test_the_pods_of_a_deleted_job_end_their_group(jobs: Jobs) -> None:
    jobs.submit("gang", training=LONG, scheduling={"gang": {"scheduler": "kueue"}, "queue": "research"})
    jobs.wait_for_running("gang")
    pods = list(jobs.pods("gang"))
    for name in pods:
        hold(jobs, name)
    try:
        jobs.kubectl("delete", "mtj", "gang", "--timeout=20s")
        wait_for("the end of the group", lambda: len(ended_by(jobs)) == 1)
        assert sorted(jobs.pods("gang")) == sorted(pods), "Kueue holds the pods"
    finally:
        for name in pods:
            let_go(jobs, name)
