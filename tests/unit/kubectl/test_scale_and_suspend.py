"""Commands that change a job: what they check, what kubectl is asked, what they wait for."""

from collections.abc import Callable
from typing import Any

import pytest
from fake_kubectl import FakeKubectl
from seen_jobs import condition, listed, running, seen_job, seen_pods

from gmeta_kubectl import suspend
from gmeta_kubectl.jobs import Job
from gmeta_kubectl.scale import refusal

JOB = ("get", "metatrainingjobs.gmeta.dev", "movies")
ELASTIC = ("spec.workers.replicas=2", "spec.workers.minReplicas=2", "spec.workers.maxReplicas=3")
CHANGE = '; to change that: kubectl patch mtj movies -n team-a --type=merge -p \'{"spec":{"workers":{"%s":%d}}}\''

Call = Callable[..., Any]


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suspend, "POLL_SECONDS", 0.0)


def state(state: str, reason: str = "Training", message: str = "") -> dict[str, Any]:
    return {"state": state, "reason": reason, "conditions": [condition("Succeeded", "Unknown", reason, message)]}


def test_limits_are_checked_first() -> None:
    job = Job(seen_job(*ELASTIC))
    assert refusal(job, 2) is None
    assert refusal(job, 3) is None
    fewer, more = CHANGE % ("minReplicas", 1), CHANGE % ("maxReplicas", 4)
    assert refusal(job, 1) == f"1 worker would be fewer than spec.workers.minReplicas, 2{fewer}"
    assert refusal(job, 4) == f"4 workers would be more than spec.workers.maxReplicas, 3{more}"
    none = "; `kubectl gmeta suspend movies` gives up all of them"
    assert refusal(Job(seen_job()), 0) == f"0 workers would be fewer than the least that a job has, 1{none}"
    ended = Job(seen_job(status=state("Succeeded", "Completed")))
    assert refusal(ended, 2) == "job movies has ended (Succeeded); it makes no pods any more"


def test_scaling(fake: FakeKubectl, call: Call) -> None:
    fake.answer(*JOB, out=seen_job(*ELASTIC, status=state("Suspended", "Suspended")))
    fake.answer("scale")
    done = call("scale", "movies", "3", "-n", "team-a")
    assert (done.code, done.err) == (0, "")
    words = "; it is suspended, so that holds once it is resumed"
    assert done.out == f"team-a/movies scaled from 2 to 3 workers{words}\n"
    assert fake.asked()[-1] == ["scale", "metatrainingjobs.gmeta.dev", "movies", "--replicas=3", "--namespace=team-a"]


def test_what_is_refused_or_so_already_is_not_asked_for(fake: FakeKubectl, call: Call) -> None:
    fake.answer(*JOB, out=seen_job(*ELASTIC))
    done = call("scale", "movies", "9")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("kubectl gmeta: 9 workers would be more than spec.workers.maxReplicas, 3; ")
    assert call("scale", "movies", "2").out == "team-a/movies has 2 workers already\n"
    assert {asked[0] for asked in fake.asked()} == {"get"}
    assert call("scale", "movies", "many").code == 2


def test_suspending_without_waiting(fake: FakeKubectl, call: Call) -> None:
    fake.answer(*JOB, out=seen_job(status=state("Running")))
    fake.answer("patch")
    done = call("suspend", "movies", "-n", "team-a")
    assert (done.code, done.out) == (0, "team-a/movies will be suspended\n")
    patch = '--patch={"spec": {"runPolicy": {"suspend": true}}}'
    assert fake.asked()[-1][:5] == ["patch", "metatrainingjobs.gmeta.dev", "movies", "--type=merge", patch]


def test_suspending_shows_what_it_waits_for(fake: FakeKubectl, call: Call) -> None:
    before = seen_job(status=state("Running"))
    after = seen_job(status=state("Suspended", "Suspended"))
    there, gone = seen_pods(before, **running()), seen_pods(before, phase="Succeeded")
    for pod in there:
        pod["metadata"]["deletionTimestamp"] = "2026-03-01T12:00:30Z"
    told = seen_job(status=state("Suspended", "Suspending"))
    fake.answers(*JOB, outs=[before, before, before, before, told, after])
    fake.answers("get", "pods", outs=[listed(*there), listed(*there), listed(there[2]), listed(*gone), listed(*gone)])
    fake.answer("patch")
    done = call("suspend", "movies", "--wait")
    assert done.code == 0
    assert done.out == (
        "waiting for movies-prepare-0, movies-coordinator-0, movies-w0-0 to commit and leave\n"
        "waiting for movies-w0-0 to commit and leave\n"
        "waiting for the operator\n"
        "team-a/movies suspended\n"
    )


def test_resuming_waits_for_all_pods(fake: FakeKubectl, call: Call) -> None:
    suspended = seen_job(status=state("Suspended", "Suspended", "runPolicy.suspend is set"))
    starting = seen_job(status=state("Pending", "Starting", "pods are starting"))
    ready = seen_job(status=state("Running"))
    fake.answers(*JOB, outs=[suspended, suspended, starting, ready])
    pods = seen_pods(starting, phase="Pending")[1:]
    fake.answers("get", "pods", outs=[listed(), listed(*pods), listed()])
    fake.answer("patch")
    done = call("resume", "movies", "--wait")
    assert (done.code, done.out) == (
        0,
        "waiting for the job, Suspended (Suspended)\n"
        "waiting for 2 pods; the job is Pending (Starting): pods are starting\n"
        "team-a/movies resumed\n",
    )
    assert '--patch={"spec": {"runPolicy": {"suspend": false}}}' in fake.asked()[1]


def test_waiting_has_an_end(fake: FakeKubectl, call: Call) -> None:
    fake.answer(*JOB, out=seen_job(status=state("Running")))
    fake.answer("get", "pods", out=listed(*seen_pods(seen_job(), **running())[2:]))
    fake.answer("patch")
    done = call("suspend", "movies", "--wait", "--timeout", "0")
    assert done.code == 1
    assert done.err == (
        "kubectl gmeta: gave up after 0 s; job movies still waits for movies-w0-0 to commit and leave\n"
    )


def test_a_job_that_has_ended_is_neither_suspended_nor_waited_for(fake: FakeKubectl, call: Call) -> None:
    ended = seen_job(status=state("Failed", "BadData", "no column age"))
    fake.answers(*JOB, outs=[seen_job(status=state("Suspended", "Suspended")), ended])
    fake.answer("patch")
    done = call("resume", "movies", "--wait")
    words = "job movies has ended meanwhile: Failed (BadData): no column age"
    assert (done.code, done.err) == (1, f"kubectl gmeta: {words}\n")
    done = call("suspend", "movies")
    assert (done.code, done.err) == (
        1,
        "kubectl gmeta: job movies has ended (Failed); it cannot be suspended any more\n",
    )
    assert [asked[0] for asked in fake.asked()] == ["get", "patch", "get", "get"]
