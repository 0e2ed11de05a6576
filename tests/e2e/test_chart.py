"""The chart's own promises."""

import pytest
from e2e_cluster import Cluster, wait_for
from e2e_release import Release

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


def test_helm_test_passes_and_leaves_nothing(operator: Release) -> None:
    before = operator.left()
    assert "Phase:          Succeeded" in operator.helm("test", operator.name)
    wait_for("the end of the test's pod", lambda: operator.left() == before)


def test_a_second_release_serves_one_namespace_and_is_uninstalled_whole(cluster: Cluster, operator: Release) -> None:
    name = "gmeta-e2e-second"
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    values = {**operator.values, "crds.enabled": "false", "rbac.aggregate": "false", "namespaces": f"{{{name}}}"}
    second = Release(cluster, values, name, name)
    second.install()
    assert cluster.names("clusterroles,clusterrolebindings", "-l", f"app.kubernetes.io/instance={name}") == []
    assert "Phase:          Succeeded" in second.helm("test", name)
    second.uninstall()
    wait_for("an empty namespace", lambda: second.left() == [])
    assert cluster.names("crd", "metatrainingjobs.gmeta.dev")
    cluster.kubectl("delete", "namespace", name, "--wait=false")
