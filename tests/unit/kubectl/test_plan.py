"""`kubectl gmeta plan`: whole pages, of a manifest and of a job on the cluster."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from fake_kubectl import FakeKubectl
from rule_cases import SMALL_MANIFEST
from seen_jobs import listed, running, seen_job, seen_pods

SETTINGS = (
    "spec.workers.replicas=3",
    "spec.workers.processesPerWorker=2",
    "spec.workers.minReplicas=2",
    "spec.workers.resources.limits={cpu: 4, memory: 8Gi, nvidia.com/gpu: 2}",
    "spec.workers.resources.requests={cpu: 2}",
    "spec.workers.image=registry.example/worker:1",
    "spec.coordinator.resources.limits={cpu: 500m, memory: 256Mi}",
    "spec.model.vocabulary={type: hash, rows: 1000000}",
)

PAGE = """\
team-a/quickstart: the operator would make

PODS                      ROLE             CPU               MEMORY     GPU
quickstart-prepare-0      prepare          2 (limit 4)       8.0 GiB    2
quickstart-coordinator-0  coordinator      0.5               256.0 MiB  -
quickstart-w0-0 .. w2-0   3 workers, each  2 (limit 4)       8.0 GiB    2
4 together                                 6.5 (limit 12.5)  24.2 GiB   6

Image:   registry.example/worker:1
World:   6 ranks: 3 workers of 2; worker W has ranks 2 W to 2 W + 1
Elastic: trains with 2 to 3 workers
Shared:  ConfigMap quickstart-job-0, Service quickstart-coordinator, NetworkPolicy quickstart

Memory
  embeddings: 21.6 MiB each rank, 129.7 MiB in all
  dense layers: 4,833 parameters, 75.5 KiB each rank
  not counted: the rows of a step, the input that is read ahead, and torch itself

Quota
  gpus would refuse 2 of 4 pods: requests.nvidia.com/gpu of 2 a pod, and 0 is left
"""

Call = Callable[..., Any]


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "job.yaml"
    path.write_text(yaml.safe_dump(SMALL_MANIFEST))
    return path


def with_settings(path: Path) -> list[str]:
    return ["plan", "-f", str(path), "-n", "team-a", *(part for each in SETTINGS for part in ("--set", each))]


def gpu_quota(used: int) -> dict[str, Any]:
    hard = {"requests.nvidia.com/gpu": "6"}
    return {"metadata": {"name": "gpus"}, "status": {"hard": hard, "used": {"requests.nvidia.com/gpu": str(used)}}}


# Of the memory: movie and genres have 1,000,000 rows each, of 16 numbers and one of optimiser state, 4 bytes each.
def test_a_manifest(fake: FakeKubectl, call: Call, manifest: Path) -> None:
    fake.answer("get", "resourcequotas", out=listed(gpu_quota(4)))
    done = call(*with_settings(manifest))
    assert (done.code, done.err) == (0, "")
    assert done.out == PAGE
    assert fake.asked() == [["get", "resourcequotas", "-o", "json", "--namespace=team-a"]]


def test_the_gang_and_the_queue_are_named(fake: FakeKubectl, call: Call, manifest: Path) -> None:
    fake.answer("config", out="team-b")
    fake.answer("get", "resourcequotas", out=listed())
    gang = ("--set", "spec.scheduling.gang.scheduler=volcano", "--set", "spec.scheduling.queue=ranking")
    lines = call("plan", "-f", str(manifest), *gang).out.splitlines()
    assert lines[0] == "team-b/quickstart: the operator would make"
    assert "Gang:    volcano places all pods or none" in lines
    assert "Queue:   ranking" in lines
    assert "PodGroup quickstart" in " ".join(lines)
    assert "World:   1 rank, one in each worker" in lines
    assert lines[-2:] == ["Quota", "  the namespace has none"]
    assert fake.asked()[-1][-1] == "--namespace=team-b"


def test_without_a_cluster_only_the_quota_is_missing(fake: FakeKubectl, call: Call, manifest: Path) -> None:
    fake.answer("config", err="error: current-context must exist in order to minify\n")
    fake.answer("get", err="The connection to the server was refused\n")
    done = call("plan", "-f", str(manifest))
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == "default/quickstart: the operator would make"
    assert lines[lines.index("Memory") + 1].startswith("  embeddings: 68 bytes a row with optimiser state; how many")
    assert lines[-2:] == [
        "  not checked: `kubectl get resourcequotas -o json` has failed: The connection to the server was",
        "  refused",
    ]


def test_a_job_on_the_cluster_has_its_pods_already(fake: FakeKubectl, call: Call) -> None:
    job = seen_job("spec.workers.resources.limits={nvidia.com/gpu: 3}", "spec.workers.replicas=2")
    pods = seen_pods(job, **running())[1:]
    fake.answer("get", "metatrainingjobs.gmeta.dev", "movies", out=job)
    fake.answer("get", "resourcequotas", out=listed(gpu_quota(6)))
    fake.answer("get", "pods", out=listed(*pods))
    assert call("plan", "movies").out.splitlines()[-1] == "  there is room for all pods"
    for pod in pods:
        pod["status"]["phase"] = "Failed"
    fake.answer("get", "pods", out=listed(*pods))
    assert call("plan", "movies").out.splitlines()[-2:] == [
        "  gpus would refuse 1 of 1 pod: requests.nvidia.com/gpu of 3 a pod, and 0 is left",
        "  gpus would refuse 2 of 3 pods: requests.nvidia.com/gpu of 3 a pod, and 0 is left",
    ]


def test_a_manifest_that_is_wrong_is_told_whole(call: Call, manifest: Path) -> None:
    wrong = ("--set", "spec.workers.replicas=0", "--set", "spec.training.tasksPerStep=0")
    done = call("plan", "-f", str(manifest), *wrong)
    assert done.code == 64
    assert done.err == (
        "kubectl gmeta: spec.training.tasksPerStep: expected at least 1, received 0\n"
        "spec.workers.replicas: expected at least 1, received 0\n"
    )
    done = call("plan", "-f", str(manifest), "--set", "spec.workers.podTemplate={spec: {hostNetwork: true}}")
    assert done.code == 64
    assert done.err.startswith(
        "kubectl gmeta: spec.workers.podTemplate.spec.hostNetwork: a manifest may not set this; "
    )
    assert call("plan", "movies", "-f", str(manifest)).code == 2
