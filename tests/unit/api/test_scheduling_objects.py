"""What the schedulers of a cluster are told: pod groups, and marks on pods."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from gmeta_api.cel import holds
from gmeta_api.load import load_manifest, parse_job
from gmeta_api.objects import (
    Incarnation,
    Object,
    PodDefaults,
    cluster_plan,
    pod,
    pod_group,
    pod_group_reference,
)
from gmeta_api.spec import MetaTrainingJob
from gmeta_api.spec.job import Spec
from gmeta_api.status import RestartCounts

PREPARE = {
    "source": "ratings.csv",
    "task": ["user"],
    "labels": [{"name": "click", "rule": "rating >= 4"}],
    "features": [{"name": "movie", "type": "categorical", "columns": ["movie"]}],
}
RESOURCES: dict[str, Any] = {
    "coordinator": {"resources": {"requests": {"cpu": "500m", "memory": "512Mi"}}},
    "workers": {
        "replicas": 4,
        "resources": {"requests": {"cpu": 2, "memory": "4Gi"}, "limits": {"memory": "8Gi", "nvidia.com/gpu": 1}},
    },
}
CONTRACTS = Path(__file__).parents[2] / "contracts"
QUEUED = {"queue": "research", "priorityClassName": "urgent"}


def manifest(gang: str, **groups: Any) -> Object:
    scheduling = {"gang": {"scheduler": gang}, **groups.pop("scheduling", {})}
    spec = {
        "volumes": [{"name": "all", "emptyDir": {}}],
        "data": {"volume": "all", "path": "set", "prepare": PREPARE},
        "checkpoint": {"volume": "all", "path": "run"},
        "scheduling": scheduling,
        **RESOURCES,
        **groups,
    }
    metadata = {"name": "movies", "namespace": "team", "uid": "0123456789-abcdef"}
    return {"apiVersion": "gmeta.dev/v1alpha1", "kind": "MetaTrainingJob", "metadata": metadata, "spec": spec}


def job(gang: str, **groups: Any) -> MetaTrainingJob:
    return parse_job(manifest(gang, **groups))


def pods(made: MetaTrainingJob, attempt: int = 2, avoid: tuple[str, ...] = ()) -> dict[str, Object]:
    """A pod of each role."""
    incarnation = Incarnation(attempt, RestartCounts(counted=1, uncounted=0), generation=1, avoid=avoid)
    processes = cluster_plan(made, attempt).processes
    return {each.role: pod(made, each, incarnation, PodDefaults("worker:1")) for each in processes}


def marks(thing: Object) -> dict[str, str]:
    """Labels and annotations that are not G-Meta's own."""
    both = {**thing["metadata"]["labels"], **thing["metadata"]["annotations"]}
    return {name: value for name, value in both.items() if not name.startswith(("gmeta.dev/", "app.kubernetes.io/"))}


def test_a_pod_group_of_volcano() -> None:
    made = pod_group(job("volcano", scheduling=QUEUED))
    assert made is not None
    assert (made["apiVersion"], made["kind"]) == ("scheduling.volcano.sh/v1beta1", "PodGroup")
    assert made["spec"] == {
        "minMember": 5,
        "minResources": {"cpu": "8500m", "memory": "16896Mi", "nvidia.com/gpu": "4"},
        "queue": "research",
        "priorityClassName": "urgent",
    }


def test_a_pod_group_of_coscheduling() -> None:
    gang = {"scheduler": "coscheduling", "timeoutSeconds": 90}
    made = pod_group(job("coscheduling", scheduling={"gang": gang, "priorityClassName": "urgent"}))
    assert made is not None
    assert (made["apiVersion"], made["kind"]) == ("scheduling.x-k8s.io/v1alpha1", "PodGroup")
    assert made["spec"] == {
        "minMember": 5,
        "minResources": {"cpu": "8500m", "memory": "16896Mi", "nvidia.com/gpu": "4"},
        "scheduleTimeoutSeconds": 90,
    }


@pytest.mark.parametrize("gang", ["volcano", "coscheduling"])
def test_a_pod_group_is_named_labelled_and_owned_as_other_children_are(gang: str) -> None:
    made = pod_group(job(gang))
    assert made is not None
    metadata, of_a_pod = made["metadata"], pods(job(gang))["worker"]["metadata"]
    assert (metadata["name"], metadata["namespace"]) == ("movies", "team")
    assert metadata["ownerReferences"] == of_a_pod["ownerReferences"]
    assert metadata["labels"]["gmeta.dev/job"] == "movies"
    reference = pod_group_reference(manifest(gang))
    place = {"name": "movies", "namespace": "team"}
    assert reference == {"apiVersion": made["apiVersion"], "kind": "PodGroup", "metadata": place}


@pytest.mark.parametrize("gang", ["volcano", "coscheduling"])
def test_a_pod_group_has_the_fields_of_the_schedulers_definition(gang: str) -> None:
    queue = {"queue": "research"} if gang == "volcano" else {}
    timeout = {"timeoutSeconds": 90} if gang == "coscheduling" else {}
    scheduling = {"gang": {"scheduler": gang, **timeout}, "priorityClassName": "urgent", **queue}
    made = pod_group(job(gang, scheduling=scheduling))
    assert made is not None
    definition = yaml.safe_load((CONTRACTS / f"{gang}-podgroups.yaml").read_text())["spec"]
    (version,) = definition["versions"]
    assert (made["apiVersion"], made["kind"]) == (f"{definition['group']}/{version['name']}", "PodGroup")
    fields = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    assert set(made["spec"]) == set(fields)
    types = {"integer": int, "object": dict, "string": str}
    assert all(type(value) is types[fields[name]["type"]] for name, value in made["spec"].items())


def test_an_elastic_job_begins_with_the_fewest_workers() -> None:
    workers = {**RESOURCES["workers"], "minReplicas": 1, "maxReplicas": 8}
    made = pod_group(job("volcano", workers=workers))
    assert made is not None
    assert made["spec"]["minMember"] == 2
    assert made["spec"]["minResources"]["memory"] == "4608Mi"


def test_the_example_is_a_gang_of_the_fewest_workers() -> None:
    made = pod_group(load_manifest(Path(__file__).parents[3] / "examples/gang.yaml"))
    assert made is not None
    assert made["spec"] == {
        "minMember": 3,
        "minResources": {"cpu": "2100m", "memory": "2304Mi"},
        "queue": "research",
        "priorityClassName": "training",
    }


def test_a_group_without_requests_has_no_least_resources() -> None:
    made = pod_group(job("volcano", coordinator={}, workers={"replicas": 2}))
    assert made is not None
    assert made["spec"] == {"minMember": 3}


@pytest.mark.parametrize(("gang", "scheduling"), [("none", {}), ("kueue", {"queue": "research"})])
def test_other_schedulers_have_no_pod_group(gang: str, scheduling: Any) -> None:
    assert pod_group(job(gang, scheduling=scheduling)) is None
    assert pod_group_reference(manifest(gang, scheduling=scheduling)) is None
    bare = manifest(gang)
    del bare["spec"]["scheduling"]
    assert pod_group_reference(bare) is None


@pytest.mark.parametrize(
    ("gang", "scheduling", "role", "expected"),
    [
        ("none", {}, "worker", {}),
        ("volcano", QUEUED, "worker", {"scheduling.k8s.io/group-name": "movies"}),
        ("volcano", QUEUED, "coordinator", {"scheduling.k8s.io/group-name": "movies"}),
        ("volcano", QUEUED, "prepare", {"scheduling.volcano.sh/queue-name": "research"}),
        ("volcano", {}, "prepare", {}),
        ("coscheduling", {}, "worker", {"scheduling.x-k8s.io/pod-group": "movies"}),
        ("coscheduling", {}, "coordinator", {"scheduling.x-k8s.io/pod-group": "movies"}),
        ("coscheduling", {}, "prepare", {}),
        (
            "kueue",
            QUEUED,
            "worker",
            {
                "kueue.x-k8s.io/queue-name": "research",
                "kueue.x-k8s.io/pod-group-name": "movies-01234567-2",
                "kueue.x-k8s.io/pod-group-total-count": "5",
            },
        ),
        ("kueue", QUEUED, "prepare", {"kueue.x-k8s.io/queue-name": "research"}),
    ],
)
def test_pods_say_to_which_group_and_queue_they_belong(
    gang: str, scheduling: Any, role: str, expected: dict[str, str]
) -> None:
    assert marks(pods(job(gang, scheduling=scheduling))[role]) == expected


def test_a_pod_has_the_shape_of_the_one_whose_place_it_takes_in_a_kueue_group() -> None:
    def shapes(gang: str, attempt: int, *avoid: str) -> list[list[Any]]:
        made = pods(job(gang, scheduling={**QUEUED, "topologySpread": [{"topologyKey": "zone"}]}), attempt, avoid)
        fields = ("affinity", "nodeSelector", "tolerations", "topologySpreadConstraints", "priorityClassName")
        specs = [each["spec"] for each in made.values()]
        return [[*(spec.get(name) for name in fields), spec["containers"][0].get("resources")] for spec in specs]

    assert shapes("kueue", 0) == shapes("kueue", 7, "bad-node")
    assert shapes("volcano", 0) != shapes("volcano", 7, "bad-node")


def test_kueue_looks_for_the_group_and_queue_in_labels() -> None:
    labels = pods(job("kueue", scheduling=QUEUED))["coordinator"]["metadata"]["labels"]
    assert labels["kueue.x-k8s.io/queue-name"] == "research"
    assert labels["kueue.x-k8s.io/pod-group-name"] == "movies-01234567-2"


@pytest.mark.parametrize(
    ("gang", "scheduling", "name"),
    [
        ("none", {}, None),
        ("none", {"schedulerName": "mine"}, "mine"),
        ("volcano", {}, "volcano"),
        ("coscheduling", {"schedulerName": "scheduler-plugins-scheduler"}, "scheduler-plugins-scheduler"),
        ("coscheduling", {}, None),
    ],
)
def test_all_pods_name_the_scheduler(gang: str, scheduling: Any, name: str | None) -> None:
    made = pods(job(gang, scheduling=scheduling))
    assert {role: each["spec"].get("schedulerName") for role, each in made.items()} == dict.fromkeys(made, name)


def test_an_overlay_does_not_change_the_group() -> None:
    overlay = {"metadata": {"annotations": {"scheduling.k8s.io/group-name": "other", "team": "ranking"}}}
    made = pods(job("volcano", workers={"podTemplate": overlay}))["worker"]
    assert marks(made) == {"scheduling.k8s.io/group-name": "movies", "team": "ranking"}


def test_workers_are_spread_among_themselves_and_after_the_overlays_constraints() -> None:
    own = {"maxSkew": 2, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {}}
    overlay = {"spec": {"topologySpreadConstraints": [own]}}
    spread = [{"topologyKey": "topology.kubernetes.io/zone"}]
    made = pods(job("none", scheduling={"topologySpread": spread}, workers={"podTemplate": overlay}))
    ours = {
        "topologyKey": "topology.kubernetes.io/zone",
        "maxSkew": 1,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": {"gmeta.dev/job": "movies", "gmeta.dev/role": "worker"}},
    }
    assert made["worker"]["spec"]["topologySpreadConstraints"] == [own, ours]
    assert made["coordinator"]["spec"]["topologySpreadConstraints"] == [own]
    assert "topologySpreadConstraints" not in pods(job("none"))["worker"]["spec"]


@pytest.mark.parametrize(
    ("gang", "suspended", "replicas", "queue", "allowed"),
    [
        ("none", False, 5, "research", True),
        ("volcano", False, 5, "other", True),
        ("kueue", False, 4, "research", True),
        ("kueue", False, 5, "research", False),
        ("kueue", True, 5, "research", True),
        ("kueue", False, 4, "other", False),
        ("kueue", True, 4, "other", True),
    ],
)
def test_what_kueue_has_admitted_stays_until_the_job_is_suspended(
    gang: str, suspended: bool, replicas: int, queue: str, allowed: bool
) -> None:
    def version(replicas: int, queue: str, *, suspend: bool) -> Any:
        return {
            "scheduling": {"gang": {"scheduler": gang}, "queue": queue},
            "workers": {"replicas": replicas},
            "runPolicy": {"suspend": suspend},
        }

    before, after = version(4, "research", suspend=suspended), version(replicas, queue, suspend=False)
    rules = [rule for rule in Spec.cel_rules if rule.transition]
    assert len(rules) == 2
    assert all(holds(rule, after, before) for rule in rules) is allowed
