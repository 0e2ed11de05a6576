"""An export as a job on a real cluster: after training, of another run alone, and by who may only create jobs."""

import json
from typing import Any

import pytest
import yaml
from charts import ROOT, only
from e2e_jobs import EXPORT, EXPORTED, Jobs, condition
from e2e_node import NodeAgent
from restart_counts import restarts

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

NIGHTLY = list(yaml.safe_load_all((ROOT / "examples/export-nightly.yaml").read_text()))


def manifest_of(agent: NodeAgent, folder: str) -> dict[str, Any]:
    """The manifest of an export on the node, all of whose files are there with the size that it says."""
    manifest: dict[str, Any] = json.loads(agent.shell(f"cat {folder}/export.json"))
    sizes = dict(
        line.split()[::-1]
        for line in agent.shell(f"cd {folder} && find * -type f | xargs stat -c '%s %n'").splitlines()
    )
    listed = {file["path"]: str(file["bytes"]) for file in manifest["files"]}
    assert listed == {name: size for name, size in sizes.items() if name != "export.json"}
    return manifest


def test_a_job_exports_what_it_has_trained_and_another_job_exports_it_again(jobs: Jobs, agent: NodeAgent) -> None:
    jobs.submit("trained", training=EXPORTED, workers={"replicas": 2})
    status = jobs.wait_for_end("trained")
    assert (status["state"], status["reason"]) == ("Succeeded", "Completed"), jobs.describe("trained")
    first = manifest_of(agent, f"{jobs.namespace}/runs/exports/movies")
    place = {"volume": "runs", "path": "exports/movies"}
    assert status["export"] == {**place, "step": first["step"], "created": first["created"]}
    told = f"every step was trained; step {first['step']} is exported to exports/movies of volume runs"
    assert condition(status, "Succeeded") == ("True", "Completed", told)
    assert restarts(status) == (0, 0), "no worker leaves before the export is whole"

    origin = {"volume": "runs", "path": "trained"}
    jobs.submit("again", training={"epochs": None, "phases": [EXPORT], "initFrom": origin})
    status = jobs.wait_for_end("again")
    assert status["state"] == "Succeeded", jobs.describe("again")
    second = manifest_of(agent, f"{jobs.namespace}/runs/exports/movies")
    assert (second["job"]["name"], second["step"]) == ("trained", first["step"])
    assert second["created"] == status["export"]["created"] > first["created"]
    assert "lastCheckpoint" not in status, "a job that trains nothing commits nothing"
    assert agent.shell(f"ls {jobs.namespace}/runs/exports").split() == ["movies"]


def test_an_export_that_fails_is_told(jobs: Jobs) -> None:
    origin = {"volume": "runs", "path": "nowhere"}
    jobs.submit("early", training={"epochs": None, "phases": [EXPORT], "initFrom": origin})
    status = jobs.wait(
        "early", "a failure", lambda status: "lastFailure" in status or status.get("state") == "Failed", 120
    )
    failure = status["lastFailure"]
    assert (failure["class"], failure["exitCode"]) == ("CheckpointLost", 67)
    assert "no commit to read; train first, or give the folder of a run" in failure["message"]


def test_who_creates_the_nightly_jobs_may_do_nothing_else(jobs: Jobs) -> None:
    account, role, binding = (only(NIGHTLY, kind) for kind in ("ServiceAccount", "Role", "RoleBinding"))
    for each in (account, role, binding):
        jobs.apply(each)
    user = f"system:serviceaccount:{jobs.namespace}:{account['metadata']['name']}"

    def may(verb: str, resource: str) -> bool:
        asked = {"namespace": jobs.namespace, "verb": verb, "group": "gmeta.dev", "resource": resource}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {"user": user, "resourceAttributes": asked},
        }
        answer = jobs.cluster.kubectl(
            "create", "-f", "-", "-o", "jsonpath={.status.allowed}", text=yaml.safe_dump(review)
        )
        return answer == "true"

    verbs = ("create", "get", "list", "watch", "update", "patch", "delete")
    assert [verb for verb in verbs if may(verb, "metatrainingjobs")] == ["create"]
    job = only(NIGHTLY, "ConfigMap")["data"]["job.yaml"].replace("TODAY", "20260102")
    where = ("-n", jobs.namespace, f"--as={user}", "--validate=false")
    jobs.cluster.kubectl("create", *where, "-f", "-", text=job)
    assert jobs.wait("movielens-20260102", "a verdict", lambda status: "state" in status)["state"] == "Pending"
