"""Rules of the manifest, the budget of restarts, and nodes that pods rather do not go to."""

import json
from typing import Any

import pytest
from restart_counts import restarts
from simulated import Server, manifest
from simulated_operator import Operator

from gmeta_api.failures import End, action_for, classify
from gmeta_api.load import parse_job
from gmeta_operator.report import read_report
from gmeta_operator.timestamps import to_text

RULES = [
    {"name": "cuda", "message": "CUDA error|NCCL", "action": "RestartUncounted"},
    {"name": "drained", "conditions": ["DisruptionTarget"], "exitCodes": [65], "action": "Restart"},
    {"name": "memory", "reasons": ["OOMKilled"], "action": "Fail"},
    {"name": "any-memory", "exitCodes": [137], "action": "RestartUncounted"},
]


@pytest.mark.parametrize(
    ("end", "action"),
    [
        (End(1, message="step 3\nRuntimeError: CUDA error: unspecified"), "RestartUncounted"),
        (End(1, message="ordinary"), "Restart"),
        (End(65, conditions=frozenset({"DisruptionTarget", "Ready"})), "Restart"),
        (End(65, conditions=frozenset({"Ready"})), "Fail"),
        (End(137, "OOMKilled"), "Fail"),
        (End(137), "RestartUncounted"),
    ],
)
def test_the_first_rule_that_matches_decides(end: End, action: str) -> None:
    job = parse_job(manifest(faultTolerance={"rules": RULES}))
    assert action_for(end, job.spec.fault_tolerance.rules) == action


def test_what_the_cluster_ends_costs_nothing() -> None:
    assert classify(End(137, conditions=frozenset({"DisruptionTarget"}))).name == "Infrastructure"
    assert classify(End(137, told=True)).name == "Interrupted"
    assert classify(End(137)).name == "Killed"
    assert classify(End(137, "OOMKilled", told=True)).name == "OutOfMemory"


def begun(**rules: Any) -> tuple[Server, Operator]:
    server = Server(manifest(faultTolerance=rules))
    operator = Operator(server)
    operator.sync()
    for name in sorted(server.live):
        server.start(name)
    operator.sync(1)
    return server, operator


def commit(server: Server, step: int) -> None:
    told = {"attempt": 0, "commit": {"attempt": 0, "step": step, "path": f"s{step}"}}
    server.report = read_report(json.dumps(told))


def crash(server: Server, operator: Operator, number: int, wait: int) -> dict[str, Any]:
    """The worker dies; its successor is made after so many seconds, and not before."""
    server.end(f"movies-w0-{number}", 137)
    operator.sync()
    made = len(server.made)
    operator.sync(wait - 1)
    assert len(server.made) == made, f"the restart does not wait for {wait} s"
    status: dict[str, Any] = operator.sync(1)
    assert server.made[-1] == f"movies-w0-{number + 1}"
    server.start(server.made[-1])
    operator.sync(6)
    return status


def test_a_new_commit_resets_back_off_and_budget() -> None:
    server, operator = begun(restartBackoffSeconds=10, backoffLimit=2)
    crash(server, operator, 0, 10)
    status = crash(server, operator, 1, 20)
    assert status["restarts"] == {"counted": 2, "uncounted": 0, "withoutProgress": 2, "atStep": 0}
    commit(server, 7)
    operator.sync(6)
    status = crash(server, operator, 2, 10)
    assert status["restarts"] == {"counted": 3, "uncounted": 0, "withoutProgress": 1, "atStep": 7}
    crash(server, operator, 3, 20)
    server.end("movies-w0-4", 137)
    status = operator.sync()
    assert (status["state"], status["reason"]) == ("Failed", "BackoffLimitExceeded")
    told = next(each["message"] for each in status["conditions"] if each["type"] == "Succeeded")
    assert told.endswith("faultTolerance.backoffLimit of 2 restarts without a new commit is reached")


def test_the_rule_that_decided_is_in_the_status() -> None:
    server, operator = begun(rules=RULES)
    server.end("movies-w0-0", 1, "NCCL time-out")
    failure = operator.sync()["lastFailure"]
    assert (failure["rule"], failure["action"], failure["class"]) == ("cuda", "RestartUncounted", "Internal")


def lose(server: Server, name: str, node: str) -> None:
    """A pod's node goes, and the pod is deleted."""
    pod = server.live[name]
    server.live[name] = {**pod, "spec": {**pod["spec"], "nodeName": node}}
    server.stop(name)


def avoided(server: Server, pod: str) -> list[str]:
    """Nodes that a pod rather does not go to."""
    affinity = server.live[pod]["spec"].get("affinity", {}).get("nodeAffinity", {})
    terms = affinity.get("preferredDuringSchedulingIgnoredDuringExecution", [])
    return [field["values"][0] for term in terms for field in term["preference"]["matchFields"]]


def test_a_lost_pod_is_replaced_elsewhere_and_deleted_by_force_once_that_is_told() -> None:
    server, operator = begun(avoidNodesSeconds=600)
    lose(server, "movies-w0-0", "gpu-7")
    operator.sync(39)
    assert server.made[2:] == []
    told: list[str] = []
    server.witness = lambda verb, thing: told.append(verb)
    status = operator.sync(1)
    operator.sync()
    writes = [verb for verb in told if verb != "Event"]
    assert (writes[:2], writes[-1], writes.count("force")) == (["Pod", "status"], "force", 1)
    assert (server.made[2:], restarts(status)) == (["movies-w0-1"], (0, 1))
    assert "movies-w0-0" not in server.live
    assert avoided(server, "movies-w0-1") == ["gpu-7"]
    until = "2026-01-02T12:10:31Z"
    assert status["avoidedNodes"] == [
        {"node": "gpu-7", "reason": "NodeLost", "pod": "movies-w0-0", "until": until},
    ]
    server.start("movies-w0-1")
    assert "avoidedNodes" in operator.sync(570)
    assert "avoidedNodes" not in operator.sync(30)
    server.remove("movies-w0-1")
    operator.sync(1)
    assert avoided(server, "movies-w0-2") == []


def test_nodes_are_remembered_across_jobs_and_by_a_new_operator() -> None:
    server, operator = begun()
    other = manifest()
    entry = {"node": "gpu-3", "reason": "Evicted", "pod": "books-w0-0", "until": "2026-01-02T13:00:00Z"}
    over = {**entry, "node": "gpu-4", "until": to_text(server.now)}
    metadata = {"name": "books", "namespace": "team", "uid": "books-1", "resourceVersion": "1"}
    operator.store.put_job({**other, "metadata": metadata, "status": {"avoidedNodes": [entry, over]}})
    server.remove("movies-w0-0")
    operator.sync(1)
    assert avoided(server, "movies-w0-1") == ["gpu-3"]
    operator.store.drop_job(("team", "books"), "books-1")
    server.remove("movies-w0-1")
    operator.sync(1)
    assert avoided(server, "movies-w0-2") == []


@pytest.mark.parametrize("until", ["tomorrow", "", "2026-01-02T13:00:00"])
def test_what_is_no_time_in_another_jobs_status_stops_no_pass(until: str) -> None:
    server, operator = begun()
    entry = {"node": "gpu-3", "reason": "NodeLost", "pod": "books-w0-0", "until": until}
    metadata = {"name": "books", "namespace": "other", "uid": "books-1", "resourceVersion": "1"}
    operator.store.put_job({**manifest(), "metadata": metadata, "status": {"avoidedNodes": [entry]}})
    server.remove("movies-w0-0")
    operator.sync(1)
    assert avoided(server, "movies-w0-1") == []


def test_a_wrong_command_is_not_held_against_the_node() -> None:
    server, operator = begun()
    pod = server.live["movies-w0-0"]
    server.live["movies-w0-0"] = {**pod, "spec": {**pod["spec"], "nodeName": "gpu-7"}}
    server.end("movies-w0-0", 128, reason="StartError")
    status = operator.sync()
    assert (status["lastFailure"]["class"], status.get("avoidedNodes")) == ("CannotStart", None)


def test_the_manifests_own_affinity_stays() -> None:
    affinity = {"podAffinity": {}, "nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1}]}}
    server = Server(manifest(workers={"podTemplate": {"spec": {"affinity": affinity}}}))
    operator = Operator(server)
    entry = {"node": "gpu-3", "reason": "Evicted", "pod": "books-w0-0", "until": "2026-01-02T13:00:00Z"}
    metadata = {"name": "books", "namespace": "team", "uid": "books-1", "resourceVersion": "1"}
    operator.store.put_job({**manifest(), "metadata": metadata, "status": {"avoidedNodes": [entry]}})
    operator.sync()
    made = server.live["movies-w0-0"]["spec"]["affinity"]
    first, second = made["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    assert (first, second["weight"], made["podAffinity"]) == ({"weight": 1}, 100, {})
    assert "affinity" not in manifest()["spec"], "the manifest itself is not changed"
