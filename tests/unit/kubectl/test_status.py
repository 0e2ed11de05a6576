"""`kubectl gmeta status`: the table of all jobs and the page of one."""

from collections.abc import Callable
from typing import Any

from fake_kubectl import FakeKubectl
from seen_jobs import NOW, ago, condition, listed, running, seen_job, seen_pods

from gmeta_kubectl.jobs import Job, Pod
from gmeta_kubectl.status import overview, page, seconds_left
from gmeta_kubectl.text import WIDTH

RUNNING = {
    "state": "Running",
    "reason": "Training",
    "attempt": 0,
    "workers": {"desired": 2, "ready": 2},
    "restarts": {"counted": 1, "uncounted": 2},
    "progress": {
        "epoch": 4,
        "step": 450,
        "totalSteps": 1000,
        "percent": 45,
        "samples": 450_000,
        "samplesPerSecond": 5500.0,
        "loss": 0.5123,
        "auc": 0.74214,
    },
    "lastCheckpoint": {"step": 400, "attempt": 0, "path": "a0/s400"},
    "lastFailure": {
        "pod": "movies-w1-0",
        "node": "node2",
        "exitCode": 137,
        "reason": "OOMKilled",
        "class": "OutOfMemory",
        "time": ago(240),
    },
    "conditions": [
        condition("Invalid", "False", "SpecValid", "the spec is valid"),
        condition("WorkersReady", "True", "Running", "2 of 2 running"),
        condition("Succeeded", "Unknown", "Training", "all pods run"),
    ],
}

PAGE = """\
Job:         team-a/movies, 10m old
State:       Running (Training): all pods run
Progress:    [#########-----------] 45%, step 450 of 1,000, 5,500 samples/s, about 1m40s left
Quality:     loss 0.5123, AUC 0.7421
Checkpoint:  step 400 in a0/s400, 50 steps ago (about 9s of work)
Workers:     2 of 2 ready
Restarts:    1 counted of at most 6, 2 uncounted; attempt 0
Failure:     4m ago: movies-w1-0 on node2 ended with exit code 137 (OutOfMemory, OOMKilled)

WORKER  POD          NODE   PHASE    READY  INCARNATION  AGE
0       movies-w0-0  node1  Running  yes    0            5m
1       movies-w1-1  node1  Running  yes    1            5m

CONDITION     STATUS   REASON     MESSAGE
Invalid       False    SpecValid  the spec is valid
WorkersReady  True     Running    2 of 2 running
Succeeded     Unknown  Training   all pods run

`kubectl gmeta why movies -n team-a` explains the state; so does docs/states/running.md.
"""


def two_workers() -> tuple[Job, list[Pod]]:
    """A job whose second worker has been replaced."""
    job = seen_job("spec.workers.replicas=2", status=RUNNING)
    first, second = seen_pods(job, **running()), seen_pods(job, restarts=1, **running())
    pods = [pod for pod in first if "prepare" not in pod["metadata"]["name"]] + [second[-1]]
    for pod in pods:
        pod["spec"]["nodeName"] = "node1"
    return Job(job), [Pod(pod) for pod in pods]


def text(lines: list[str]) -> str:
    assert max(map(len, lines)) <= WIDTH
    return "\n".join([*lines, ""])


def test_the_page_of_a_running_job() -> None:
    assert text(page(*two_workers(), NOW)) == PAGE


def test_the_page_of_a_job_without_a_status() -> None:
    assert text(page(Job(seen_job()), [], NOW)) == (
        "Job:    team-a/movies, 10m old\n"
        "State:  not seen yet\n"
        "\n"
        "No worker pods.\n"
        "\n"
        "`kubectl gmeta why movies -n team-a` explains the state; so does docs/states/pending.md.\n"
    )


def test_avoided_nodes_and_goodput_are_shown_where_the_operator_tells_them() -> None:
    told = {
        "avoidedNodes": [
            {"node": "node2", "until": "2026-03-01T13:00:00Z", "reason": "OutOfMemory"},
            {"node": "node3"},
        ],
        "goodput": {"ratio": 0.93, "lostSeconds": {"commit": 2.4, "restart": 75.0, "image": 0.2}},
    }
    lines = page(Job(seen_job(status={**RUNNING, **told})), [], NOW)
    assert "Avoided:     node2 until 2026-03-01T13:00:00Z: OutOfMemory" in lines
    assert "Avoided:     node3 until -: -" in lines
    assert "Goodput:     93% of the time brought the job forward; lost to restart 1m15s, commit 2s" in lines


def test_the_limit_is_for_restarts_without_a_commit_where_those_are_told() -> None:
    counts = {"restarts": {"counted": 7, "uncounted": 0, "withoutProgress": 2}}
    lines = page(Job(seen_job(status={**RUNNING, **counts})), [], NOW)
    assert "Restarts:    7 counted (2 of at most 6 without a commit), 0 uncounted; attempt 0" in lines


def test_a_commit_of_the_present_step() -> None:
    commits = {"lastCheckpoint": {"step": 450, "path": "a0/s450"}}
    lines = page(Job(seen_job(status={**RUNNING, **commits})), [], NOW)
    assert "Checkpoint:  step 450 in a0/s450, nothing came after it" in lines
    assert "Checkpoint:  none yet" in page(Job(seen_job(status={**RUNNING, "lastCheckpoint": None})), [], NOW)


def test_long_texts_are_wrapped_and_aligned() -> None:
    message = "0 of 2 running; movies-w0-0: 0/3 nodes are available: 3 Insufficient cpu. " * 3
    status = {
        "state": "Pending",
        "reason": "Unschedulable",
        "conditions": [condition("WorkersReady", "False", "Unschedulable", message)],
    }
    lines = page(Job(seen_job(status=status)), [], NOW)
    start = next(number for number, line in enumerate(lines) if line.startswith("CONDITION"))
    column = lines[start].index("MESSAGE")
    wrapped = lines[start + 1 : lines.index("", start)]
    assert len(wrapped) == 4
    assert " ".join(line[column:] for line in wrapped) == message.strip()
    assert {line[:column].strip() for line in wrapped[1:]} == {""}
    assert max(map(len, lines)) <= WIDTH


def test_all_jobs() -> None:
    jobs = [
        Job(seen_job("spec.workers.replicas=2", status=RUNNING)),
        Job(seen_job("spec.workers.replicas=3", name="new")),
    ]
    assert text(overview(jobs, NOW, everywhere=True)) == (
        "NAMESPACE  NAME    STATE    REASON    WORKERS  RESTARTS  STEP  PROGRESS  LEFT   AGE\n"
        "team-a     movies  Running  Training  2/2      1         450   45%       1m40s  10m\n"
        "team-a     new     -        -         0/3      0         -     -         -      10m\n"
    )
    assert overview([], NOW, everywhere=False) == ["No jobs found."]


def test_the_time_left_is_known_only_from_whole_figures() -> None:
    progress: dict[str, Any] = dict(RUNNING["progress"])  # type: ignore[call-overload]  # a mapping
    assert seconds_left({"progress": progress}) == 100.0
    for name in ("step", "totalSteps", "samples", "samplesPerSecond"):
        assert seconds_left({"progress": {**progress, name: 0}}) is None
    assert seconds_left({"progress": {**progress, "step": 1200}}) == 0
    assert seconds_left({}) is None


def test_the_command_asks_for_one_job_or_for_all(fake: FakeKubectl, call: Callable[..., Any]) -> None:
    job = seen_job(status=RUNNING)
    fake.answer("get", "metatrainingjobs.gmeta.dev", "movies", out=job)
    fake.answer("get", "pods", out=listed(*seen_pods(job, **running())))
    done = call("status", "movies", "-n", "team-a", "--context", "prod")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[1] == "State:       Running (Training): all pods run"
    flags = ["-o", "json", "--context=prod", "--namespace=team-a"]
    assert fake.asked() == [
        ["get", "metatrainingjobs.gmeta.dev", "movies", *flags],
        ["get", "pods", "-l", "gmeta.dev/job=movies", *flags],
    ]
    fake.answer("get", "metatrainingjobs.gmeta.dev", "--all-namespaces", out=listed(job))
    assert call("status", "-A").out.splitlines()[1].startswith("team-a     movies  Running")
