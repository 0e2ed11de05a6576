"""The chart's own promises."""

import pytest
from e2e_cluster import Cluster, wait_for
from e2e_jobs import Jobs
from e2e_release import Release

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_helm_test_passes_and_leaves_nothing(operator: Release) -> None:
    before = operator.left()
    assert "Phase:          Succeeded" in operator.helm("test", operator.name)
    wait_for("the end of the test's pod", lambda: operator.left() == before)


def test_a_release_for_one_namespace_runs_its_jobs_with_rights_there_alone(
    cluster: Cluster, operator: Release, jobs: Jobs
) -> None:
    values = {"crds.enabled": "false", "rbac.aggregate": "false", "namespaces": f"{{{jobs.namespace}}}"}
    own = Release(cluster, {**operator.values, **values}, "gmeta-e2e-own", jobs.namespace)
    with operator.down(), own.installed():
        assert cluster.names("clusterroles,clusterrolebindings", "-l", f"app.kubernetes.io/instance={own.name}") == []
        assert "Phase:          Succeeded" in own.helm("test", own.name)
        jobs.submit("small")
        assert jobs.wait_for_end("small")["state"] == "Succeeded"
    assert cluster.names("crd", "metatrainingjobs.gmeta.dev")
