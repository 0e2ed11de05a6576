"""The chart renders, the same with both majors of helm, to objects that Kubernetes 1.25 and newer know."""

import shutil
from typing import Any

import kubernetes_validate
import pytest
import yaml
from charts import CASES, CHART, ROOT, Helm, of_kind, only
from kubernetes_validate.utils import all_versions

from gmeta_api.objects import JOB_LABEL
from gmeta_api.objects.names import COORDINATOR_PORT_NAME, METRICS_PORT_NAME
from gmeta_api.objects.pods import USER_ID
from gmeta_operator.settings import Settings

VERSIONS = sorted({version.removesuffix(".0") for version in all_versions()})
CRD = ROOT / "crds/gmeta.dev_metatrainingjobs.yaml"
UNKNOWN_TO_KUBERNETES = {"PodMonitor", "PrometheusRule"}


def container(values: dict[str, Any], helm: Helm) -> Any:
    """The operator's container."""
    return only(helm.objects(values), "Deployment")["spec"]["template"]["spec"]["containers"][0]


@pytest.mark.parametrize("case", CASES)
def test_lint_is_clean(each_helm: Helm, case: str) -> None:
    done = each_helm.run("lint", "--strict", str(CHART), values=CASES[case])
    assert done.returncode == 0, done.stdout
    assert "[WARNING]" not in done.stdout + done.stderr


@pytest.mark.parametrize("case", CASES)
def test_both_majors_render_the_same(helm: Helm, helm3: Helm, case: str) -> None:
    assert helm.template(CASES[case]).split() == helm3.template(CASES[case]).split()


def test_the_oldest_and_newest_schemas_are_checked() -> None:
    assert "1.25" in VERSIONS
    assert VERSIONS[0] == "1.25"
    assert len(VERSIONS) >= 13


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_knows_every_field(helm: Helm, version: str) -> None:
    without_crd = {**CASES["namespaces"], "crds": {"enabled": False}}  # it is slow to check, once is enough
    for values in (CASES["everything"], without_crd):
        for found in helm.objects(values, "--kube-version", f"{version}.0"):
            if found["kind"] not in UNKNOWN_TO_KUBERNETES:
                kubernetes_validate.validate(found, version, strict=True)


@pytest.mark.parametrize("case", CASES)
def test_every_object_has_the_labels_and_its_namespace(helm: Helm, case: str) -> None:
    cluster_wide = {"CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding"}
    for found in helm.objects(CASES[case]):
        metadata = found["metadata"]
        assert metadata["labels"]["app.kubernetes.io/instance"] == "gmeta"
        assert metadata["labels"]["app.kubernetes.io/managed-by"] == "Helm"
        assert ("namespace" not in metadata) == (found["kind"] in cluster_wide), found["kind"]


def test_what_a_default_release_holds(helm: Helm) -> None:
    assert sorted(f"{found['kind']}/{found['metadata']['name']}" for found in helm.objects({})) == [
        "ClusterRole/gmeta",
        "ClusterRole/gmeta-editor",
        "ClusterRole/gmeta-viewer",
        "ClusterRoleBinding/gmeta",
        "CustomResourceDefinition/metatrainingjobs.gmeta.dev",
        "Deployment/gmeta",
        "NetworkPolicy/gmeta",
        "Pod/gmeta-test",
        "Role/gmeta-leader",
        "RoleBinding/gmeta-leader",
        "Service/gmeta",
        "ServiceAccount/gmeta",
    ]


def test_the_crd_is_the_one_of_gmeta_api() -> None:
    assert (CHART / "files" / CRD.name).read_text() == CRD.read_text(), "run `make crds`"


@pytest.mark.parametrize(("keep", "annotations"), [(True, {"helm.sh/resource-policy": "keep"}), (False, None)])
def test_the_crd_is_rendered_whole(helm: Helm, keep: bool, annotations: dict[str, str] | None) -> None:
    rendered = only(helm.objects({"crds": {"keep": keep}}), "CustomResourceDefinition")
    assert rendered["metadata"].pop("annotations", None) == annotations
    del rendered["metadata"]["labels"]
    assert rendered == yaml.safe_load(CRD.read_text())


@pytest.mark.parametrize(("version", "kept"), [("1.27.9", False), ("1.28.0-rc.1", True)])
def test_the_crd_leaves_out_what_an_old_server_does_not_know(helm: Helm, version: str, kept: bool) -> None:
    text = helm.template({}, "--kube-version", version, "--show-only", "templates/crd.yaml")
    lines = [line for line in CRD.read_text().splitlines() if kept or not line.lstrip().startswith("fieldPath: ")]
    rendered = yaml.safe_load(text)
    expected = yaml.safe_load("\n".join(lines))
    assert rendered["spec"] == expected["spec"]
    assert ("fieldPath" in text) == kept


def test_no_crd_where_it_is_disabled(helm: Helm) -> None:
    assert of_kind(helm.objects({"crds": {"enabled": False}}), "CustomResourceDefinition") == []


@pytest.mark.parametrize("kind", ["Deployment", "Pod"])
def test_pods_are_restricted(helm: Helm, kind: str) -> None:
    """The *restricted* pod security standard, and a root file system that cannot be written."""
    found = only(helm.objects({}), kind)["spec"]
    spec = found["template"]["spec"] if kind == "Deployment" else found
    assert spec["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": USER_ID,
        "runAsGroup": USER_ID,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert spec["containers"][0]["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"limits", "requests"} <= set(spec["containers"][0]["resources"])


def test_the_operator_is_told_its_settings(helm: Helm) -> None:
    found = {item["name"]: item.get("value", item.get("valueFrom")) for item in container({}, helm)["env"]}
    assert found == {
        "GMETA_NAMESPACES": "",
        "GMETA_OPERATOR_NAMESPACE": {"fieldRef": {"fieldPath": "metadata.namespace"}},
        "GMETA_LEASE_NAME": "gmeta",
        "GMETA_POD_NAME": {"fieldRef": {"fieldPath": "metadata.name"}},
        "GMETA_WORKER_IMAGE": "gmeta-worker:0.1.0",
        "GMETA_WORKER_IMAGE_PULL_POLICY": "IfNotPresent",
        "GMETA_PROBE_PORT": "8080",
    }


def test_values_reach_the_operator(helm: Helm) -> None:
    values = {
        "namespaces": ["a", "b"],
        "http": {"port": 9000},
        "workerImage": {"digest": "sha256:" + "b" * 64, "tag": "ignored"},
        "networkPolicy": {"monitoringNamespaces": ["monitoring", "metrics"]},
        "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy.example:3128"}],
    }
    operator = container(values, helm)
    found = {item["name"]: item.get("value") for item in operator["env"]}
    assert found["GMETA_NAMESPACES"] == "a,b"
    assert found["GMETA_PROBE_PORT"] == "9000"
    assert found["GMETA_WORKER_IMAGE"] == "gmeta-worker@sha256:" + "b" * 64
    assert found["HTTPS_PROXY"] == "http://proxy.example:3128"
    settings = Settings.from_environment({name: value for name, value in found.items() if value is not None})
    assert (settings.namespaces, settings.probe_port) == (("a", "b"), 9000)
    assert settings.monitoring_namespaces == ("monitoring", "metrics")
    assert settings.pods.image == found["GMETA_WORKER_IMAGE"]
    assert settings.pods.pull_policy == "IfNotPresent"
    assert operator["ports"] == [{"name": "metrics", "containerPort": 9000}]
    assert operator["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "metrics"}
    assert operator["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "metrics"}


@pytest.mark.parametrize("case", CASES)
def test_selectors_find_the_operator_and_not_the_test(helm: Helm, case: str) -> None:
    objects = helm.objects(CASES[case])
    operator = only(objects, "Deployment")["spec"]["template"]["metadata"]["labels"].items()
    tester = only(objects, "Pod")["metadata"]["labels"].items()
    selectors = [only(objects, "Service")["spec"]["selector"]]
    selectors += [found["spec"]["selector"]["matchLabels"] for found in of_kind(objects, "PodDisruptionBudget")]
    for selector in selectors:
        assert selector.items() <= operator
        assert not selector.items() <= tester


def test_others_reach_the_operator_on_its_one_port_only(helm: Helm) -> None:
    objects = helm.objects({"http": {"port": 9000}})
    policy = only(objects, "NetworkPolicy")["spec"]
    pod = only(objects, "Deployment")["spec"]["template"]
    assert policy["policyTypes"] == ["Ingress"]
    assert policy["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    assert policy["ingress"] == [{"ports": [{"port": "metrics", "protocol": "TCP"}]}]
    assert pod["spec"]["containers"][0]["ports"] == [{"name": "metrics", "containerPort": 9000}]
    assert of_kind(helm.objects(CASES["bare"]), "NetworkPolicy") == []


def test_replicas_are_rather_apart_and_a_rollout_needs_no_end_of_the_old_one_first(helm: Helm) -> None:
    def affinity(values: dict[str, Any]) -> Any:
        return only(helm.objects(values), "Deployment")["spec"]["template"]["spec"].get("affinity")

    deployment = only(helm.objects({"replicas": 2}), "Deployment")["spec"]
    assert (deployment["replicas"], deployment["strategy"]) == (2, {"type": "RollingUpdate"})
    ((kind, terms),) = affinity({"replicas": 2})["podAntiAffinity"].items()
    assert kind == "preferredDuringSchedulingIgnoredDuringExecution"
    assert terms[0]["podAffinityTerm"]["labelSelector"] == deployment["selector"]
    assert affinity({}) is None
    assert affinity({"replicas": 2, "affinity": {"nodeAffinity": {}}}) == {"nodeAffinity": {}}


def test_a_disruption_budget_never_holds_up_a_drain(helm: Helm) -> None:
    objects = helm.objects({"podDisruptionBudget": {"enabled": True}})
    assert (
        only(objects, "PodDisruptionBudget")["spec"]["maxUnavailable"]
        >= only(objects, "Deployment")["spec"]["replicas"]
    )


def test_the_pod_monitor_of_the_operator_finds_its_port(helm: Helm) -> None:
    objects = helm.objects({"podMonitor": {"operator": {"enabled": True}, "interval": "30s"}})
    monitor, pod = only(objects, "PodMonitor"), only(objects, "Deployment")["spec"]["template"]
    assert monitor["metadata"]["name"] == "gmeta-operator"
    assert monitor["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    assert "namespaceSelector" not in monitor["spec"], "its own namespace"
    assert monitor["spec"]["podMetricsEndpoints"] == [{"port": "metrics", "interval": "30s", "honorLabels": True}]
    assert "metrics" in {port["name"] for port in pod["spec"]["containers"][0]["ports"]}


def test_the_pod_monitor_selects_job_pods_in_the_watched_namespaces(helm: Helm) -> None:
    everywhere = only(helm.objects({"podMonitor": {"jobs": {"enabled": True}}}), "PodMonitor")["spec"]
    named = only(helm.objects(CASES["namespaces"]), "PodMonitor")["spec"]
    assert everywhere["namespaceSelector"] == {"any": True}
    assert named["namespaceSelector"] == {"matchNames": ["team-a", "team-b"]}
    assert named["selector"] == {"matchExpressions": [{"key": JOB_LABEL, "operator": "Exists"}]}
    assert all(endpoint["honorLabels"] for endpoint in named["podMetricsEndpoints"])
    ports = {endpoint["port"] for endpoint in named["podMetricsEndpoints"]}
    assert ports == {COORDINATOR_PORT_NAME, METRICS_PORT_NAME}


def notes(helm: Helm, values: dict[str, Any], version: str) -> str:
    """NOTES.txt for a version of Kubernetes: `helm template` shows it only in an object, so a copy has one."""
    copy = helm.folder / "gmeta"
    shutil.copytree(CHART, copy)
    shutil.move(copy / "templates/NOTES.txt", copy / "files/NOTES.txt")
    (copy / "templates/notes.yaml").write_text('notes: |\n  {{- tpl (.Files.Get "files/NOTES.txt") . | nindent 2 }}\n')
    arguments = ("template", "gmeta", str(copy), "--namespace", "ops", "--kube-version", version)
    done = helm.run(*arguments, "--show-only", "templates/notes.yaml", values=values)
    assert done.returncode == 0, done.stderr
    return str(yaml.safe_load(done.stdout)["notes"])


def test_notes_name_the_next_command(helm: Helm) -> None:
    text = notes(helm, {"namespaces": ["a", "b"]}, "1.25.0")
    assert "helm test gmeta --namespace ops\n" in text
    assert "kubectl apply --namespace a -f examples/movielens-maml.yaml\n" in text
    assert "WARNING" not in text


@pytest.mark.parametrize(("version", "warned"), [("1.20.2", True), ("1.24.17-eks-1", True), ("1.25.0-gke.1", False)])
def test_notes_warn_below_1_25(helm: Helm, version: str, warned: bool) -> None:
    text = notes(helm, {}, version)
    assert (f"WARNING: this cluster is Kubernetes v{version}. Below 1.25" in text) == warned


def test_notes_say_what_an_uninstall_leaves(helm: Helm) -> None:
    assert "kubectl delete crd metatrainingjobs.gmeta.dev" in notes(helm, {}, "1.30.0")
