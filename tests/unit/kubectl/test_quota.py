"""Which pods a ResourceQuota has room for, by the rules of Kubernetes' documentation."""

from decimal import Decimal
from typing import Any

import pytest
from seen_jobs import seen_job, seen_pods

from gmeta_kubectl.quantity import parse, show
from gmeta_kubectl.quota import Refusal, free, refusals, selects, usage


def quota(hard: dict[str, str], used: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "team"}, "spec": {"hard": hard, **spec}, "status": {"hard": hard, "used": used or {}}}


def workers(count: int, **resources: dict[str, str]) -> list[dict[str, Any]]:
    pods = seen_pods(seen_job(f"spec.workers.replicas={count}"))[2:]
    for pod in pods:
        pod["spec"]["containers"][0]["resources"] = resources
    return pods


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("500m", "0.5"),
        ("2", "2"),
        ("1.5Gi", "1610612736"),
        ("1e3", "1000"),
        ("3k", "3000"),
        ("7n", "0.000000007"),
        ("1Ki", "1024"),
        (4, "4"),
    ],
)
def test_quantities(text: object, number: str) -> None:
    assert parse(text) == Decimal(number)


def test_what_is_no_quantity_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^expected a quantity such as 500m or 16Gi, received '2 GB'$"):
        parse("2 GB")


def test_amounts_are_shown_for_people() -> None:
    assert show("requests.memory", parse("1536Mi")) == "1.5 GiB"
    assert [show("cpu", parse(text)) for text in ("500m", "10", "0")] == ["0.5", "10", "0"]


def test_a_request_that_is_not_set_is_the_limit() -> None:
    (pod,) = workers(1, requests={"cpu": "1"}, limits={"cpu": "2", "memory": "4Gi", "nvidia.com/gpu": "1"})
    assert {name: str(amount) for name, amount in usage(pod).items()} == {
        "pods": "1",
        "count/pods": "1",
        "requests.cpu": "1",
        "cpu": "1",
        "limits.cpu": "2",
        "requests.memory": str(4 * 1024**3),
        "memory": str(4 * 1024**3),
        "limits.memory": str(4 * 1024**3),
        "requests.nvidia.com/gpu": "1",
        "limits.nvidia.com/gpu": "1",
    }


def test_pods_are_refused_once_nothing_is_left() -> None:
    pods = workers(4, limits={"nvidia.com/gpu": "2"})
    found = refusals(quota({"requests.nvidia.com/gpu": "8"}, {"requests.nvidia.com/gpu": "3"}), pods)
    cause = "requests.nvidia.com/gpu of 2 a pod, and 1 is left"
    assert found == [Refusal("team", cause)] * 2


def test_a_smaller_pod_may_still_fit() -> None:
    pods = workers(3, limits={"memory": "4Gi"})
    pods[1]["spec"]["containers"][0]["resources"] = {"limits": {"memory": "20Gi"}}
    found = refusals(quota({"limits.memory": "8Gi"}), pods)
    assert found == [Refusal("team", "limits.memory of 20.0 GiB a pod, and 4.0 GiB is left")]


def test_a_pod_has_to_declare_what_a_quota_bounds() -> None:
    assert refusals(quota({"limits.cpu": "8"}), workers(1)) == [
        Refusal("team", "a pod has to declare limits.cpu there")
    ]
    assert refusals(quota({"requests.nvidia.com/gpu": "0"}), workers(1)) == []


def test_pods_of_the_job_that_are_there_do_not_count_twice() -> None:
    pods = workers(2, limits={"cpu": "2"})
    full = quota({"pods": "2", "cpu": "4"}, {"pods": "2", "cpu": "4"})
    assert len(refusals(full, pods)) == 2
    assert refusals(full, pods, own=pods) == []
    assert free(full, pods) == {"pods": 2, "cpu": 4}


@pytest.mark.parametrize(
    ("spec", "selected"),
    [
        ({"scopes": ["NotTerminating"]}, True),
        ({"scopes": ["Terminating"]}, False),
        ({"scopes": ["NotBestEffort"]}, True),
        ({"scopes": ["BestEffort"]}, False),
        ({"scopes": ["NotTerminating", "BestEffort"]}, False),
        ({"scopes": ["CrossNamespacePodAffinity"]}, False),
        (
            {
                "scopeSelector": {
                    "matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}]
                }
            },
            True,
        ),
        (
            {
                "scopeSelector": {
                    "matchExpressions": [{"scopeName": "PriorityClass", "operator": "NotIn", "values": ["high"]}]
                }
            },
            False,
        ),
        ({"scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "Exists"}]}}, True),
        ({"scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "DoesNotExist"}]}}, False),
    ],
)
def test_scopes(spec: dict[str, Any], selected: bool) -> None:
    (pod,) = workers(1, limits={"cpu": "2"})
    pod["spec"]["priorityClassName"] = "high"
    limited = quota({"pods": "0"}, **spec)
    assert selects(limited, pod) is selected
    assert len(refusals(limited, [pod])) == int(selected)
