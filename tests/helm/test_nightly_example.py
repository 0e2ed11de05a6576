"""examples/export-nightly.yaml: what Kubernetes knows, who may do what, and the job that the script creates."""

import os
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from charts import ROOT, of_kind, only
from kubernetes_validate.utils import all_versions

from gmeta_api.load import load_manifest, parse_job

OBJECTS = list(yaml.safe_load_all((ROOT / "examples/export-nightly.yaml").read_text()))
POD = only(OBJECTS, "CronJob")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
JOB = only(OBJECTS, "ConfigMap")["data"]["job.yaml"]
CURL = """#!/bin/sh
echo "$@" > {folder}/arguments
while [ $# -gt 0 ]; do
  case "$1" in
    --output) echo the answer > "$2"; shift;;
    --data-binary) cp "${{2#@}}" {folder}/sent.yaml; shift;;
  esac
  shift
done
printf {code}
"""
"""Notes what it is asked to send, and prints a status code in place of the API server's."""


@pytest.mark.parametrize("version", sorted({version.removesuffix(".0") for version in all_versions()}))
def test_kubernetes_knows_every_field(version: str) -> None:
    for found in OBJECTS:
        kubernetes_validate.validate(found, version, strict=True)


def test_the_account_may_create_jobs_and_nothing_else() -> None:
    role, binding = only(OBJECTS, "Role"), only(OBJECTS, "RoleBinding")
    assert role["rules"] == [{"apiGroups": ["gmeta.dev"], "resources": ["metatrainingjobs"], "verbs": ["create"]}]
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert [each["name"] for each in binding["subjects"]] == [POD["serviceAccountName"]]
    assert only(OBJECTS, "ServiceAccount")["metadata"]["name"] == POD["serviceAccountName"]
    assert not [each for kind in ("ClusterRole", "ClusterRoleBinding") for each in of_kind(OBJECTS, kind)]


def called(folder: Path, code: int) -> "subprocess.CompletedProcess[str]":
    """Run the pod's script with a stand-in for curl; its absolute folders lie in `folder`."""
    for name, text in (("job/job.yaml", JOB), ("account/namespace", "team"), ("account/token", "secret")):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    (folder / "bin").mkdir()
    curl = folder / "bin/curl"
    curl.write_text(CURL.format(folder=folder, code=code))
    curl.chmod(0o755)
    *shell, script = POD["containers"][0]["command"]
    script = script.replace("/tmp/", f"{folder}/").replace("/job/", f"{folder}/job/")
    script = script.replace("/var/run/secrets/kubernetes.io/serviceaccount", f"{folder}/account")
    path = {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    return subprocess.run([*shell, script], env=path, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("code", "ends"), [(201, 0), (409, 0), (403, 1), (500, 1)])
def test_the_script_creates_todays_job(tmp_path: Path, code: int, ends: int) -> None:
    done = called(tmp_path, code)
    assert (done.returncode, done.stdout) == (ends, "the answer\n"), done.stderr
    job = load_manifest(tmp_path / "sent.yaml")
    name, _, today = job.metadata.name.partition("-")
    assert (name, len(today), today.isdigit()) == ("movielens", 8, True)
    assert (job.spec.checkpoint.path, job.spec.data.path) == (f"nightly/{today}", f"nightly/{today}")
    arguments = (tmp_path / "arguments").read_text()
    assert arguments.endswith("/apis/gmeta.dev/v1alpha1/namespaces/team/metatrainingjobs\n")
    assert "Authorization: Bearer secret" in arguments


def test_the_job_starts_from_the_example_that_it_follows() -> None:
    """What initFrom needs: the same features, model and volumes."""
    base = load_manifest(ROOT / "examples/movielens-maml.yaml").spec
    nightly = parse_job(yaml.safe_load(JOB.replace("TODAY", "20260102"))).spec
    for part in ("volumes", "model", "meta", "optimizer"):
        assert getattr(nightly, part) == getattr(base, part)
    assert nightly.data.prepare == base.data.prepare
    origin: Any = nightly.training.init_from
    assert (origin.volume, origin.path) == (base.checkpoint.volume, base.checkpoint.path)
    assert nightly.training.export is not None
