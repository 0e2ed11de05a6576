"""`kubectl gmeta why`: the whole page for the states that people ask about."""

from collections.abc import Callable
from typing import Any

import pytest
from fake_kubectl import FakeKubectl
from seen_jobs import NOW, ago, condition, listed, running, seen_job, seen_pods

from gmeta_kubectl.jobs import Job, Pod
from gmeta_kubectl.text import WIDTH
from gmeta_kubectl.why import page, witness

NO_ROOM = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."

UNSCHEDULABLE = """\
team-a/movies is Pending (Unschedulable). No node takes a pod: none has the CPU, memory or GPUs that
are free, or none that has them may be used.

How that is known
  - status: movies-w0-0: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu.
  - condition WorkersReady is False (Unschedulable): 0 of 1 running; movies-w0-0: 0/3 nodes are
    available: 3 Insufficient nvidia.com/gpu.
  - pod movies-w0-0, on no node yet, is Pending
  - event 30s ago, Pod movies-w0-0, FailedScheduling: 0/3 nodes are available: 3 Insufficient
    nvidia.com/gpu.

What to do
  Compare what the pods ask for with what the nodes have. Ask for less in workers.resources, scale
  down, free or add nodes, or correct workers.nodeSelector, workers.tolerations and the affinity in
  workers.podTemplate. A claim that is not bound holds its pod back too.
    kubectl gmeta plan movies -n team-a

More: docs/states/pending.md
"""

FAILED = """\
team-a/movies is Failed (BadModel). The model class cannot be imported, built or adapted.

How that is known
  - status: movies-w0-0 ended with exit code 66 (BadModel): no module named 'ranker'
  - last failure 2m ago: movies-w0-0 on node2 ended with exit code 66 (BadModel): no module named
    'ranker'
  - exit code 66: the model class cannot be imported, built or adapted
  - pod movies-w0-0, on node2, is Failed: exit code 66, Error

What to do
  Correct spec.model.type, or put the class on PYTHONPATH in the image. Then make a new job:
  spec.model cannot be changed.
    kubectl logs movies-w0-0 -n team-a

More: docs/states/failed.md
"""

NOT_SEEN = """\
team-a/movies is not seen yet. The operator has written nothing about this job: it does not run, or
it does not serve this namespace.

What to do
  Look whether its pod is ready, and whether its setting `namespaces` names this one.
    kubectl get pods -A -l app.kubernetes.io/component=operator

More: docs/states/pending.md
"""


def event(seconds: float, reason: str, message: str, kind: str = "Warning") -> dict[str, Any]:
    about = {"kind": "Pod", "name": "movies-w0-0"}
    return {"type": kind, "reason": reason, "message": message, "involvedObject": about, "lastTimestamp": ago(seconds)}


def unschedulable() -> dict[str, Any]:
    return {
        "state": "Pending",
        "reason": "Unschedulable",
        "conditions": [
            condition("Invalid", "False", "SpecValid", "the spec is valid"),
            condition("Suspended", "False", "NotSuspended", "runPolicy.suspend is not set"),
            condition("WorkersReady", "False", "Unschedulable", f"0 of 1 running; movies-w0-0: {NO_ROOM}"),
            condition("Succeeded", "Unknown", "Unschedulable", f"movies-w0-0: {NO_ROOM}"),
        ],
    }


def failed(**failure: Any) -> dict[str, Any]:
    words = "movies-w0-0 ended with exit code 66 (BadModel): no module named 'ranker'"
    last = {"pod": "movies-w0-0", "node": "node2", "exitCode": 66, "class": "BadModel", "time": ago(120)}
    return {
        "state": "Failed",
        "reason": "BadModel",
        "conditions": [
            condition("WorkersReady", "False", "JobEnded", "the job has ended"),
            condition("Succeeded", "False", "BadModel", words),
        ],
        "lastFailure": {**last, "message": "no module named 'ranker'", **failure},
    }


def text(lines: list[str]) -> str:
    assert max(map(len, lines)) <= WIDTH
    return "\n".join([*lines, ""])


def test_a_job_that_no_node_has_room_for() -> None:
    job = seen_job(status=unschedulable())
    _, coordinator, worker = (Pod(pod) for pod in seen_pods(job, phase="Pending"))
    coordinator.resource["status"].update(running())
    pod = witness(Job(job), [coordinator, worker])
    assert pod is not None
    assert pod.name == "movies-w0-0"
    events = [
        event(30, "FailedScheduling", NO_ROOM),
        event(90, "FailedScheduling", NO_ROOM),
        event(5, "Ok", "x", "Normal"),
    ]
    assert text(page(Job(job), pod, events, NOW)) == UNSCHEDULABLE


def test_a_job_that_has_failed() -> None:
    job = seen_job(status=failed())
    pods = [Pod(pod) for pod in seen_pods(job, phase="Failed")]
    ended = {"terminated": {"exitCode": 66, "reason": "Error"}}
    worker = pods[-1].resource
    worker["spec"]["nodeName"] = "node2"
    worker["status"]["containerStatuses"] = [{"ready": False, "state": ended}]
    assert text(page(Job(job), witness(Job(job), pods), [], NOW)) == FAILED


def test_a_job_that_the_operator_has_not_seen() -> None:
    job = Job(seen_job())
    assert text(page(job, witness(job, []), [], NOW)) == NOT_SEEN


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (137, "ended by SIGKILL"),
        (139, "ended by SIGSEGV"),
        (42, "none of G-Meta's codes"),
        (127, "the command was not found"),
    ],
)
def test_an_exit_code_is_told_in_words(code: int, words: str) -> None:
    job = Job(seen_job(status=failed(exitCode=code)))
    assert f"  - exit code {code}: {words}" in page(job, None, [], NOW)


def test_a_lost_pod_has_no_exit_code() -> None:
    status = {**failed(reason="NodeLost"), "state": "Restarting", "reason": "Infrastructure"}
    status["lastFailure"] = {k: v for k, v in status["lastFailure"].items() if k not in ("exitCode", "message")}
    lines = page(Job(seen_job(status=status)), None, [], NOW)
    assert "  - last failure 2m ago: movies-w0-0 on node2 was lost (BadModel, NodeLost)" in lines
    assert not [line for line in lines if "exit code None" in line]
    assert lines[-1] == "More: docs/states/restarting.md"


def test_a_reason_that_is_not_in_the_table_leaves_the_words_of_kubernetes() -> None:
    status = unschedulable() | {"reason": "DeviceBusy"}
    job = seen_job(status=status)
    pods = [Pod(pod) for pod in seen_pods(job, phase="Pending")]
    waiting = {"ready": False, "state": {"waiting": {"reason": "DeviceBusy", "message": "gpu 3 is held"}}}
    pods[-1].resource["status"]["containerStatuses"] = [waiting]
    lines = page(Job(job), pods[-1], [event(5, "Busy", "gpu 3 is held by another pod")], NOW)
    assert "  - pod movies-w0-0, on no node yet, is Pending: DeviceBusy: gpu 3 is held" in lines
    assert "  - event 5s ago, Pod movies-w0-0, Busy: gpu 3 is held by another pod" in lines
    assert "    kubectl describe pod movies-w0-0 -n team-a" in lines


def test_every_problem_of_an_invalid_spec_is_shown() -> None:
    problems = "spec.workers.podTemplate.spec.hostNetwork: a manifest may not set this\nspec.workers.env: too long"
    status = {
        "state": "Running",
        "reason": "SpecInvalid",
        "conditions": [condition("Invalid", "True", "SpecInvalid", problems)],
    }
    lines = page(Job(seen_job(status=status)), None, [], NOW)
    assert lines[0].startswith("team-a/movies is Running (SpecInvalid). The manifest breaks a rule.")
    start = lines.index("How that is known")
    assert lines[start + 1 : start + 3] == [
        "  - status: spec.workers.podTemplate.spec.hostNetwork: a manifest may not set this",
        "    spec.workers.env: too long",
    ]


def test_the_command_reads_the_events_of_the_pod_and_of_the_job(fake: FakeKubectl, call: Callable[..., Any]) -> None:
    job = seen_job(status=failed())
    fake.answer("get", "metatrainingjobs.gmeta.dev", "movies", out=job)
    fake.answer("get", "pods", out=listed(*seen_pods(job, phase="Failed")))
    fake.answer("get", "events", out=listed())
    done = call("why", "movies")
    assert done.code == 0
    assert done.out.startswith("team-a/movies is Failed (BadModel).")
    selectors = [f"involvedObject.name={name}" for name in ("movies-w0-0", "movies")]
    assert [asked[3] for asked in fake.asked()[2:]] == selectors
