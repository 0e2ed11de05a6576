"""The chart's ServiceAccount through jobs' lives: no request is refused, and no right of its role is left unused."""

from collections.abc import Iterator, Mapping

import pytest
from e2e_cluster import Cluster
from e2e_jobs import LONG, Jobs
from e2e_node import NodeAgent
from e2e_release import Release
from prometheus_client.parser import text_string_to_metric_families

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

Right = tuple[str, str]
"""Verb and resource."""

WATCHED = ("metatrainingjobs", "pods", "customresourcedefinitions")
UNSEEN: Mapping[Right, str] = {
    **{(verb, resource): "kopf's, without a metric" for resource in WATCHED for verb in ("list", "watch")},
    ("update", "metatrainingjobs/finalizers"): "asked for by admission where it checks blockOwnerDeletion",
    **{(verb, "podgroups"): "used in test_scheduling.py" for verb in ("create", "patch", "delete")},
}
"""Rights that no request of the operator's own shows, and why they are needed."""


def requests(cluster: Cluster, operator: Release) -> dict[tuple[str, str, str], float]:
    """How many requests the operator has made, by verb, resource and code."""
    pod = operator.pod()["metadata"]["name"]
    path = f"/api/v1/namespaces/{operator.namespace}/pods/{pod}:8080/proxy/metrics"
    families = text_string_to_metric_families(cluster.kubectl("get", "--raw", path))
    samples = [sample for family in families for sample in family.samples]
    return {
        (each.labels["verb"], each.labels["resource"], each.labels["code"]): each.value
        for each in samples
        if each.name == "gmeta_operator_api_requests_total"
    }


def granted(cluster: Cluster, operator: Release) -> set[Right]:
    """The rights in the operator's roles."""
    own = ("-n", operator.namespace, "-l", f"app.kubernetes.io/instance={operator.name}")
    roles = [cluster.get("clusterrole", operator.name), *cluster.get("roles", *own)["items"]]
    rules = [rule for role in roles for rule in role["rules"]]
    return {(verb, each) for rule in rules for each in rule["resources"] for verb in rule["verbs"]}


def needed(verb: str, resource: str) -> Iterator[Right]:
    """The rights that a request needs; server-side apply of what may not be there yet needs two."""
    if verb != "apply":
        yield verb, resource
        return
    yield "patch", resource
    if resource not in ("pods", "metatrainingjobs/status"):
        yield "create", resource


def live_through(jobs: Jobs, agent: NodeAgent) -> None:
    """Run, failure, scaling, suspension, resumption, an end, a refusal and a deletion."""
    elastic = {"replicas": 1, "minReplicas": 1, "maxReplicas": 2}
    jobs.submit("life", workers=elastic, training={"epochs": 600})
    jobs.wait_for_commit("life")
    agent.kill("life-w0-0", jobs.namespace)
    jobs.wait("life", "restart", lambda status: status["restarts"]["counted"] == 1)
    jobs.wait_for_running("life")
    jobs.kubectl("scale", "mtj", "life", "--replicas=2")
    jobs.wait("life", "two workers", lambda status: status["workers"] == {"desired": 2, "ready": 2}, 150)
    for suspend, state in (("true", "Suspended"), ("false", "Running")):
        jobs.kubectl(
            "patch", "mtj", "life", "--type=merge", "-p", f'{{"spec":{{"runPolicy":{{"suspend":{suspend}}}}}}}'
        )
        jobs.wait("life", state, lambda status, state=state: status["state"] == state, 150)  # type: ignore[misc]
    jobs.submit("short", training=LONG, runPolicy={"cleanPodPolicy": "All"})
    jobs.submit("bad", model={"type": "my_models:Ranker"}, runPolicy={"ttlSecondsAfterFinished": 10})
    jobs.wait_for_end("bad")
    jobs.delete("life")
    assert jobs.wait_for_end("short")["state"] == "Succeeded"


def test_every_right_is_used_and_no_request_is_refused(
    cluster: Cluster, operator: Release, jobs: Jobs, agent: NodeAgent
) -> None:
    before = requests(cluster, operator)
    live_through(jobs, agent)
    made = requests(cluster, operator)
    # Only what has come on top: a quota refuses with 403 too, in other tests.
    assert [key for key, count in made.items() if key[2] in ("401", "403") and count > before.get(key, 0)] == []
    assert "forbidden: User" not in operator.log()
    used = {right for verb, resource, code in made if code[0] == "2" for right in needed(verb, resource)}
    assert {("create", "pods"), ("delete", "pods"), ("patch", "pods"), ("create", "events")} <= used
    rights = granted(cluster, operator)
    assert sorted(used - rights) == []
    assert sorted(rights - used - set(UNSEEN)) == []
    assert sorted(set(UNSEEN) - rights) == []
