"""What the operator and a cluster's users may do: all that is needed, and no more."""

from typing import Any

import pytest
from charts import CASES, Helm, Objects, of_kind

READ = {"get", "list", "watch"}
APPLY = {"get", "create", "patch"}
OPERATOR = {
    ("gmeta.dev", "metatrainingjobs"): READ | {"delete"},
    ("gmeta.dev", "metatrainingjobs/status"): {"get", "patch"},
    ("gmeta.dev", "metatrainingjobs/finalizers"): {"update"},
    ("", "pods"): READ | {"create", "patch", "delete"},
    ("", "services"): APPLY,
    ("", "configmaps"): APPLY,
    ("networking.k8s.io", "networkpolicies"): APPLY,
    ("", "events"): {"create"},
}
GANGS = {
    "volcano": {("scheduling.volcano.sh", "podgroups"): APPLY | {"delete"}},
    "coscheduling": {("scheduling.x-k8s.io", "podgroups"): APPLY | {"delete"}},
}


def rights(role: dict[str, Any]) -> dict[tuple[str, str], set[str]]:
    """(group, resource) -> verbs."""
    found: dict[tuple[str, str], set[str]] = {}
    for rule in role["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                found.setdefault((group, resource), set()).update(rule["verbs"])
    return found


def named(objects: Objects, kind: str, name: str) -> Objects:
    return [found for found in of_kind(objects, kind) if found["metadata"]["name"] == name]


def test_cluster_wide_rights(helm: Helm) -> None:
    objects = helm.objects({})
    (role,) = named(objects, "ClusterRole", "gmeta")
    (binding,) = of_kind(objects, "ClusterRoleBinding")
    assert rights(role) == OPERATOR | {("apiextensions.k8s.io", "customresourcedefinitions"): {"list", "watch"}}
    assert binding["roleRef"] == {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "gmeta"}
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "gmeta", "namespace": "gmeta-system"}]


@pytest.mark.parametrize("case", ["default", "namespaces"])
def test_the_lease_of_the_own_namespace_is_all_that_the_operator_may_change_there(helm: Helm, case: str) -> None:
    objects = helm.objects(CASES[case])
    ((role,), (binding,)) = (named(objects, kind, "gmeta-leader") for kind in ("Role", "RoleBinding"))
    leases = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"]}
    assert role["rules"] == [
        {**leases, "verbs": ["create"]},
        {**leases, "resourceNames": ["gmeta"], "verbs": ["get", "patch"]},
    ]
    assert role["metadata"]["namespace"] == binding["metadata"]["namespace"] == "gmeta-system"
    assert binding["roleRef"]["name"] == "gmeta-leader"


def test_rights_in_the_named_namespaces_only(helm: Helm) -> None:
    objects = helm.objects(CASES["namespaces"])
    roles, bindings = named(objects, "Role", "gmeta"), named(objects, "RoleBinding", "gmeta")
    assert [role["metadata"]["namespace"] for role in roles] == ["team-a", "team-b"]
    assert [binding["metadata"]["namespace"] for binding in bindings] == ["team-a", "team-b"]
    assert all(rights(role) == OPERATOR | GANGS["coscheduling"] for role in roles)
    assert all(binding["roleRef"]["kind"] == "Role" for binding in bindings)
    assert of_kind(objects, "ClusterRoleBinding") == []
    assert named(objects, "ClusterRole", "gmeta") == []


@pytest.mark.parametrize("schedulers", [["volcano"], ["coscheduling"], ["volcano", "coscheduling"]])
def test_pod_groups_are_written_where_their_scheduler_is_named(helm: Helm, schedulers: list[str]) -> None:
    (role,) = named(helm.objects({"gangSchedulers": schedulers}), "ClusterRole", "gmeta")
    pod_groups = {place: verbs for place, verbs in rights(role).items() if place[1] == "podgroups"}
    assert pod_groups == {place: verbs for name in schedulers for place, verbs in GANGS[name].items()}


@pytest.mark.parametrize("case", CASES)
def test_no_role_reads_secrets_executes_or_takes_all(helm: Helm, case: str) -> None:
    for role in [*of_kind(helm.objects(CASES[case]), "ClusterRole"), *of_kind(helm.objects(CASES[case]), "Role")]:
        for (group, resource), verbs in rights(role).items():
            assert "*" not in {group, resource, *verbs}
            assert resource.split("/")[0] not in {"secrets", "serviceaccounts", "roles", "rolebindings", "nodes"}
            assert resource not in {"pods/exec", "pods/attach", "pods/portforward", "pods/ephemeralcontainers"}
            assert not verbs & {"escalate", "bind", "impersonate"}


def test_users_rights_are_aggregated(helm: Helm) -> None:
    objects = helm.objects({})
    (viewer,) = named(objects, "ClusterRole", "gmeta-viewer")
    (editor,) = named(objects, "ClusterRole", "gmeta-editor")
    prefix = "rbac.authorization.k8s.io/aggregate-to-"
    assert {label for label in viewer["metadata"]["labels"] if label.startswith(prefix)} == {f"{prefix}view"}
    assert {label for label in editor["metadata"]["labels"] if label.startswith(prefix)} == {
        f"{prefix}edit",
        f"{prefix}admin",
    }
    assert set().union(*rights(viewer).values()) == READ
    assert rights(editor) == {
        ("gmeta.dev", "metatrainingjobs"): READ | {"create", "update", "patch", "delete", "deletecollection"},
        ("gmeta.dev", "metatrainingjobs/scale"): {"get", "update", "patch"},
        ("gmeta.dev", "metatrainingjobs/status"): {"get"},
    }


def test_nothing_is_granted_where_rbac_is_off(helm: Helm) -> None:
    kinds = {found["kind"] for found in helm.objects(CASES["bare"])}
    assert not kinds & {"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding", "ServiceAccount"}
