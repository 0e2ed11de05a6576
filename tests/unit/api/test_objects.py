"""A plan as Kubernetes objects: what runs is what runs on a laptop, confined and owned by the job."""

from pathlib import Path
from typing import Any

import pytest

from gmeta_api.load import load_manifest, parse_job
from gmeta_api.objects import Incarnation, Object, PodDefaults, cluster_plan, overlay_problems, pod, shared_objects
from gmeta_api.objects.names import COORDINATOR_PORT, METRICS_PORT
from gmeta_api.spec import MetaTrainingJob
from gmeta_api.status import RestartCounts

DEFAULTS = PodDefaults("registry/worker:1", "IfNotPresent")
THIRD = Incarnation(attempt=2, restarts=RestartCounts(counted=2, uncounted=1), generation=4)


def job(**groups: Any) -> MetaTrainingJob:
    volumes = [
        {"name": "data", "persistentVolumeClaim": {"claimName": "ratings", "readOnly": True}},
        {"name": "runs", "emptyDir": {"sizeLimit": "1Gi"}},
    ]
    spec = {
        "volumes": volumes,
        "data": {"volume": "data", "path": "set"},
        "checkpoint": {"volume": "runs", "path": "run"},
        **groups,
    }
    metadata = {"name": "movies", "namespace": "team", "uid": "u-1"}
    return parse_job(
        {"apiVersion": "gmeta.dev/v1alpha1", "kind": "MetaTrainingJob", "metadata": metadata, "spec": spec}
    )


def worker_pod(**groups: Any) -> Object:
    manifest = job(**groups)
    return pod(manifest, cluster_plan(manifest, 2).workers[0], THIRD, DEFAULTS)


def container(made: Object) -> Object:
    only: Object = made["spec"]["containers"][0]
    return only


def test_a_pod_is_named_labelled_and_owned() -> None:
    metadata = worker_pod()["metadata"]
    assert (metadata["name"], metadata["namespace"]) == ("movies-w0-3", "team")
    assert {name: value for name, value in metadata["labels"].items() if name.startswith("gmeta.dev/")} == {
        "gmeta.dev/job": "movies",
        "gmeta.dev/role": "worker",
        "gmeta.dev/index": "0",
        "gmeta.dev/attempt": "2",
        "gmeta.dev/incarnation": "3",
    }
    assert metadata["annotations"] == {
        "gmeta.dev/restarts-counted": "2",
        "gmeta.dev/restarts-uncounted": "1",
        "gmeta.dev/restarts-without-progress": "0",
        "gmeta.dev/restarts-at-step": "0",
        "gmeta.dev/job-generation": "4",
    }
    assert metadata["ownerReferences"] == [
        {
            "apiVersion": "gmeta.dev/v1alpha1",
            "kind": "MetaTrainingJob",
            "name": "movies",
            "uid": "u-1",
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]


@pytest.mark.parametrize("role", ["coordinator", "worker", "prepare"])
def test_every_pod_meets_the_restricted_pod_security_standard(role: str) -> None:
    prepare = {
        "source": "ratings.csv",
        "task": ["user"],
        "labels": [{"name": "click", "rule": "rating >= 4"}],
        "features": [{"name": "movie", "type": "categorical", "columns": ["movie"]}],
        "supportOrder": {"by": "seed"},
        "split": {"by": "task", "train": 0.8, "valid": 0.1, "test": 0.1},
    }
    manifest = job(
        data={"volume": "runs", "path": "set", "prepare": prepare},
        workers={"podTemplate": {"spec": {"securityContext": {"runAsUser": 7, "fsGroup": 8}}}},
    )
    process = next(each for each in cluster_plan(manifest, 0).processes if each.role == role)
    made = pod(manifest, process, Incarnation(0, RestartCounts(), 1), DEFAULTS)
    assert made["spec"]["securityContext"] == {
        "fsGroup": 8,
        "fsGroupChangePolicy": "OnRootMismatch",
        "runAsNonRoot": True,
        "runAsUser": 7,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container(made)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
    }
    assert made["spec"]["automountServiceAccountToken"] is False
    assert made["spec"]["restartPolicy"] == "Never"
    assert container(made)["command"] == ["python", "-m", "gmeta_worker", role]


def test_the_environment_is_the_plans_over_writable_defaults() -> None:
    env = {
        each["name"]: each.get("value")
        for each in container(worker_pod(workers={"env": [{"name": "HOME", "value": "/h"}]}))["env"]
    }
    assert env == {
        "GMETA_COORDINATOR": "http://movies-coordinator.team.svc:7070",
        "GMETA_HOST": None,
        "GMETA_JOB": "/etc/gmeta/job.json",
        "GMETA_LOCAL_SIZE": "1",
        "GMETA_METRICS_PORT": "9400",
        "GMETA_VOLUMES": '{"data": "/volumes/data", "runs": "/volumes/runs"}',
        "GMETA_WORKER_INDEX": "0",
        "HOME": "/h",
        "OMP_NUM_THREADS": "1",
        "XDG_CACHE_HOME": "/cache",
    }


def test_a_worker_tells_others_its_pods_address() -> None:
    own = next(each for each in container(worker_pod())["env"] if each["name"] == "GMETA_HOST")
    assert own["valueFrom"] == {"fieldRef": {"fieldPath": "status.podIP"}}


def test_every_rank_of_a_worker_has_a_port_for_its_metrics() -> None:
    made = container(worker_pod(workers={"processesPerWorker": 3}))
    ports = [(each["name"], each["containerPort"]) for each in made["ports"]]
    assert ports == [("metrics", 9400), ("metrics-1", 9401), ("metrics-2", 9402)]
    manifest = job(workers={"processesPerWorker": 3})
    policy = next(
        each
        for each in shared_objects(manifest, cluster_plan(manifest, 0), "ops", ["monitoring"])
        if each["kind"] == "NetworkPolicy"
    )
    assert policy["spec"]["ingress"][1]["ports"][1] == {"protocol": "TCP", "port": 9400, "endPort": 9402}


def test_the_coordinator_listens_everywhere_and_leaves_its_last_words() -> None:
    manifest = job()
    made = pod(manifest, cluster_plan(manifest, 0).coordinator, THIRD, DEFAULTS)
    env = {each["name"]: each["value"] for each in container(made)["env"]}
    assert env["GMETA_COORDINATOR"] == "http://0.0.0.0:7070"
    assert env["GMETA_LAST_WORDS"] == container(made)["terminationMessagePath"]


def test_volumes_are_mounted_below_volumes() -> None:
    made = worker_pod()
    sources = {each.pop("name"): each for each in made["spec"]["volumes"]}
    places = {each["mountPath"]: sources[each["name"]] for each in container(made)["volumeMounts"]}
    assert places == {
        "/etc/gmeta": {"configMap": {"name": "movies-job-2"}},
        "/tmp": {"emptyDir": {}},
        "/cache": {"emptyDir": {}},
        "/volumes/data": {"persistentVolumeClaim": {"claimName": "ratings", "readOnly": True}},
        "/volumes/runs": {"emptyDir": {"sizeLimit": "1Gi"}},
    }


def test_a_gpu_pod_has_shared_memory() -> None:
    made = worker_pod(workers={"resources": {"limits": {"nvidia.com/gpu": 1}}})
    assert {"name": "gmeta-shm", "mountPath": "/dev/shm"} in container(made)["volumeMounts"]
    assert {"name": "gmeta-shm", "emptyDir": {"medium": "Memory"}} in made["spec"]["volumes"]
    assert container(made)["resources"] == {"limits": {"nvidia.com/gpu": "1"}}


def test_the_manifests_image_and_placement_win() -> None:
    made = worker_pod(
        workers={
            "image": "mine:2",
            "imagePullSecrets": [{"name": "pull"}],
            "nodeSelector": {"disk": "fast"},
            "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
            "objectStoreSecrets": [{"name": "store"}],
        },
        scheduling={"priorityClassName": "high", "schedulerName": "mine"},
    )
    spec = made["spec"]
    assert (container(made)["image"], "imagePullPolicy" in container(made)) == ("mine:2", False)
    assert container(made)["envFrom"] == [{"secretRef": {"name": "store"}}]
    assert spec["imagePullSecrets"] == [{"name": "pull"}]
    assert spec["nodeSelector"] == {"disk": "fast"}
    assert spec["tolerations"] == [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert (spec["priorityClassName"], spec["schedulerName"]) == ("high", "mine")


def test_the_shared_objects_select_the_job_alone() -> None:
    manifest = job()
    plan = cluster_plan(manifest, 2)
    config, service, policy = shared_objects(manifest, plan, "gmeta-system")
    assert config["data"] == {"job.json": plan.document.to_json()}
    assert service["spec"]["selector"] == {
        "gmeta.dev/job": "movies",
        "gmeta.dev/role": "coordinator",
        "gmeta.dev/attempt": "2",
    }
    own = {"matchLabels": {"gmeta.dev/job": "movies"}}
    assert policy["spec"]["podSelector"] == own
    assert policy["spec"]["ingress"] == [{"from": [{"podSelector": own}, namespaces("gmeta-system")]}]


def namespaces(*names: str) -> Object:
    expression = {"key": "kubernetes.io/metadata.name", "operator": "In", "values": list(names)}
    return {"namespaceSelector": {"matchExpressions": [expression]}}


def test_monitoring_namespaces_reach_the_ports_with_metrics_and_no_other() -> None:
    manifest = job()
    *_, policy = shared_objects(manifest, cluster_plan(manifest, 0), "gmeta-system", ["monitoring", "team-metrics"])
    _, monitoring = policy["spec"]["ingress"]
    assert monitoring["from"] == [namespaces("monitoring", "team-metrics")]
    assert monitoring["ports"] == [
        {"protocol": "TCP", "port": COORDINATOR_PORT},
        {"protocol": "TCP", "port": METRICS_PORT, "endPort": METRICS_PORT},
    ]


def test_an_overlay_adds_what_is_allowed() -> None:
    overlay = {
        "metadata": {"annotations": {"team": "a"}, "labels": {"cost": "b"}},
        "spec": {"runtimeClassName": "nvidia", "terminationGracePeriodSeconds": 60},
    }
    assert list(overlay_problems(overlay)) == []
    made = worker_pod(workers={"podTemplate": overlay})
    assert made["metadata"]["annotations"]["team"] == "a"
    assert made["metadata"]["labels"]["cost"] == "b"
    assert made["metadata"]["labels"]["gmeta.dev/job"] == "movies"
    assert (made["spec"]["runtimeClassName"], made["spec"]["terminationGracePeriodSeconds"]) == ("nvidia", 60)


@pytest.mark.parametrize(
    ("overlay", "message"),
    [
        ({"spec": {"hostNetwork": True}}, "spec.workers.podTemplate.spec.hostNetwork: a manifest may not set this; "),
        ({"spec": {"containers": []}}, "spec.workers.podTemplate.spec.containers: a manifest may not set this; "),
        ({"spec": {"volumes": []}}, "spec.workers.podTemplate.spec.volumes: a manifest may not set this; "),
        (
            {"spec": {"securityContext": {"sysctls": []}}},
            "spec.workers.podTemplate.spec.securityContext.sysctls: a manifest may not set this; ",
        ),
        (
            {"spec": {"securityContext": {"runAsUser": 0}}},
            "spec.workers.podTemplate.spec.securityContext.runAsUser: expected a user other than root; received 0",
        ),
        (
            {"metadata": {"labels": {"gmeta.dev/job": "other"}}},
            "spec.workers.podTemplate.metadata.labels: 'gmeta.dev/job' is set by G-Meta; choose another prefix",
        ),
        ({"metadata": {"name": "x"}}, "spec.workers.podTemplate.metadata.name: a manifest may not set this; "),
        ({"kind": "Pod"}, "spec.workers.podTemplate.kind: a manifest may not set this; allowed are metadata, spec"),
    ],
)
def test_an_overlay_that_is_not_allowed_is_named(overlay: dict[str, Any], message: str) -> None:
    assert [str(problem)[: len(message)] for problem in overlay_problems(overlay)] == [message]


def test_the_example_has_a_pod_for_each_process() -> None:
    manifest = load_manifest(Path(__file__).parents[3] / "examples/movielens-maml.yaml")
    made = [
        pod(manifest, each, Incarnation(0, RestartCounts(), 1), DEFAULTS)
        for each in cluster_plan(manifest, 0).processes
    ]
    names = [each["metadata"]["name"] for each in made]
    assert names == [f"movielens-maml-{each}-0" for each in ("prepare", "coordinator", "w0", "w1")]
